//! 时间范围选择：预设与自定义，存在地址里。
//!
//! Owns the control that chooses a range of time; the range itself, its names in the query and its alignment
//! are `range`'s business. Times are shown and typed in the browser's time zone.

use crate::reactive::{create_effect, create_selector};
use console_macros::view;
use sycamore::prelude::*;
use wasm_bindgen::JsValue;
use web_sys::SubmitEvent;

use super::{Button, Field, Kind, Segmented, TextInput};
use crate::browser::{Text, now_ms};
use crate::i18n::common;
use crate::navigation::{query, set_params};
use crate::range::{Preset, Range};

/// The range that the query has; a view that asks follows.
#[must_use]
pub fn use_range(fallback: Preset) -> ReadSignal<Range> {
    create_selector(move || Range::of_query(&query(), fallback))
}

#[derive(Clone, Copy, PartialEq)]
enum Choice {
    Preset(Preset),
    Custom,
}

/// `RangePicker(range=range, presets=&Preset::ALL)`; writes `range`, or `from` and `to`, into the query.
#[component(inline_props)]
pub fn RangePicker(
    range: ReadSignal<Range>,
    #[prop(default = &Preset::ALL)] presets: &'static [Preset],
) -> View {
    let open = create_signal(matches!(range.get_untracked(), Range::Custom { .. }));
    let (from, to) = (create_signal(String::new()), create_signal(String::new()));
    create_effect(move || {
        let bounds = range.get().bounds(clock());
        from.set(local_text(bounds.from_ms));
        to.set(local_text(bounds.to_ms));
    });
    let backwards = create_selector(move || {
        match (
            from.with(|text| instant(text)),
            to.with(|text| instant(text)),
        ) {
            (Some(from), Some(to)) => from >= to,
            _ => true,
        }
    });
    let value = move || {
        if open.get() {
            return Choice::Custom;
        }
        match range.get() {
            Range::Preset(preset) => Choice::Preset(preset),
            Range::Custom { .. } => Choice::Custom,
        }
    };
    let choose = move |choice| match choice {
        Choice::Custom => open.set(true),
        Choice::Preset(preset) => {
            open.set(false);
            put(Range::Preset(preset));
        }
    };
    let mut options: Vec<(Choice, Text)> = presets
        .iter()
        .map(|preset| (Choice::Preset(*preset), name(*preset)))
        .collect();
    options.push((Choice::Custom, common::range_custom.into()));
    view! {
        div(class="range") {
            Segmented(name="range", label=common::range, value=value, options=options, on_choose=choose)
            (if open.get() {
                view! {
                    form(class="range-custom", novalidate=true, on:submit=move |event: SubmitEvent| {
                        event.prevent_default();
                        if let (Some(from_ms), Some(to_ms)) = (from.with_untracked(|text| instant(text)), to.with_untracked(|text| instant(text)))
                            && from_ms < to_ms
                        {
                            put(Range::Custom { from_ms, to_ms });
                        }
                    }) {
                        Field(id="range-from", label=common::range_from) { TextInput(id="range-from", kind="datetime-local", value=from) }
                        Field(
                            id="range-to",
                            label=common::range_to,
                            error=move || backwards.get().then(common::range_backwards),
                        ) { TextInput(id="range-to", kind="datetime-local", value=to) }
                        Button(kind=Kind::Primary, submit=true, disabled=backwards) { (common::range_apply()) }
                    }
                }
            } else {
                View::new()
            })
        }
    }
}

fn put(range: Range) {
    let params = range.params();
    let changes: Vec<(&str, Option<&str>)> = params
        .iter()
        .map(|(name, value)| (*name, value.as_deref()))
        .collect();
    set_params(&changes);
}

fn name(preset: Preset) -> Text {
    match preset {
        Preset::Hour => common::range_1h.into(),
        Preset::Day => common::range_24h.into(),
        Preset::Week => common::range_7d.into(),
        Preset::Month => common::range_30d.into(),
    }
}

/// Now, in whole milliseconds.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds since 1970 are positive and far below 2^53"
)]
pub fn clock() -> u64 {
    now_ms() as u64
}

/// `2026-11-23T10:00`, as the browser's input of local times has it.
#[must_use]
pub fn local_text(milliseconds: u64) -> String {
    let date = js_sys::Date::new(&JsValue::from_f64(crate::figures::lossy(milliseconds)));
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}",
        date.get_full_year(),
        date.get_month().saturating_add(1),
        date.get_date(),
        date.get_hours(),
        date.get_minutes()
    )
}

/// The milliseconds of a local time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be positive and finite"
)]
#[must_use]
pub fn instant(text: &str) -> Option<u64> {
    let milliseconds = js_sys::Date::new(&JsValue::from_str(text)).get_time();
    (milliseconds.is_finite() && milliseconds > 0.0).then_some(milliseconds as u64)
}
