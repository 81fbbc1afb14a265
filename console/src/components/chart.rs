//! 图表：uPlot 的外壳，主题、语言与表格替代都在这里。
//!
//! Owns the frame round a chart: its title for readers, its loading, and the same figures as a table. The
//! drawing is `scripts/charts.js`, which is fetched by the first page that has a chart. Knows no API.

use crate::reactive::{create_effect, create_selector};
use console_macros::view;
use js_sys::{Array, Object, Reflect};
use sycamore::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::browser::{Text, bridge, call, element_of};
use crate::figures::lossy;
use crate::i18n::{common, locale};
use crate::intl;
use crate::preferences::theme;
use crate::range::Step;
use crate::series::Series;
use crate::task::spawn;

/// What the values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// How many.
    Count,
    /// Milliseconds.
    Span,
}

/// How series are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Lines over each other.
    Lines,
    /// Bars on top of each other.
    Stacked,
}

/// What a chart shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Starts of the buckets, in milliseconds.
    pub buckets: Vec<u64>,
    /// One value per bucket each.
    pub series: Vec<Series>,
    /// How long a bucket is.
    pub step: Step,
}

/// How a chart is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// With a legend of its own that tells the values under the pointer.
    Legend,
    /// Taller, with a small table beside the pointer: the page brings its own legend.
    Pointer,
}

/// `Chart(label=…, measure=Measure::Count, draw=Draw::Stacked, figure=figure, tones=&["accent", "bad"])`.
/// `tones` name the colours in order (`accent`, `good`, `warning`, `bad`, `neutral`, or `1` to `8` of the
/// palette); without them the palette's own order is taken.
#[component(inline_props)]
pub fn Chart(
    #[prop(setter(into))] label: Text,
    measure: Measure,
    draw: Draw,
    figure: ReadSignal<Figure>,
    #[prop(default = &[])] tones: &'static [&'static str],
    #[prop(default = Frame::Legend)] frame: Frame,
) -> View {
    let node = create_node_ref();
    let drawn: Signal<Option<JsValue>> = create_signal(None);
    on_mount(move || {
        spawn(async move {
            let Some(module) = module().await else { return };
            let Some(element) = element_of(node) else {
                return;
            };
            let Some(chart) = call(&module, "chart", &[element.into()]) else {
                return;
            };
            drawn.set(Some(chart));
        });
    });
    create_effect(move || {
        let _ = theme();
        let options = options(figure, measure, draw, tones, frame);
        if let Some(chart) = drawn.get_clone() {
            call(&chart, "draw", &[options]);
        }
    });
    on_cleanup(move || {
        if let Some(chart) = drawn.take_silent() {
            call(&chart, "destroy", &[]);
        }
    });
    let name = label.clone();
    let empty = create_selector(move || figure.with(is_empty));
    let class = match frame {
        Frame::Legend => "chart",
        Frame::Pointer => "chart is-pointer",
    };
    view! {
        div(class=class) {
            div(class="chart-canvas", r#ref=node, role="img", aria-label=move || name.get_clone())
            (if empty.get() { view! { p(class="chart-empty") { (common::no_data()) } } } else { View::new() })
            details(class="chart-table") {
                summary { (common::as_table()) }
                (table(figure, measure))
            }
        }
    }
}

fn is_empty(figure: &Figure) -> bool {
    !figure.series.iter().any(|series| {
        series
            .values
            .iter()
            .any(|value| value.is_some_and(|value| value > 0.0))
    })
}

async fn module() -> Option<JsValue> {
    let promise = call(&bridge()?, "charts", &[])?
        .dyn_into::<js_sys::Promise>()
        .ok()?;
    JsFuture::from(promise).await.ok()
}

fn options(
    figure: ReadSignal<Figure>,
    measure: Measure,
    draw: Draw,
    tones: &[&str],
    frame: Frame,
) -> JsValue {
    let fields = Object::new();
    let set = |name: &str, value: JsValue| {
        let _ = Reflect::set(&fields, &JsValue::from_str(name), &value);
    };
    figure.with(|figure| {
        let seconds: Array = figure
            .buckets
            .iter()
            .map(|bucket| JsValue::from_f64(lossy(*bucket) / 1_000.0))
            .collect();
        let series: Array = figure
            .series
            .iter()
            .map(|series| {
                let values: Array = series
                    .values
                    .iter()
                    .map(|value| value.map_or(JsValue::NULL, JsValue::from_f64))
                    .collect();
                JsValue::from(Array::of2(&JsValue::from_str(&series.label), &values))
            })
            .collect();
        set("seconds", seconds.into());
        set("series", series.into());
        set(
            "step",
            JsValue::from_f64(lossy(figure.step.milliseconds()) / 1_000.0),
        );
    });
    let tones: Array = tones.iter().map(|tone| JsValue::from_str(tone)).collect();
    set("tones", tones.into());
    set("stacked", JsValue::from_bool(draw == Draw::Stacked));
    set("span", JsValue::from_bool(measure == Measure::Span));
    set("pointer", JsValue::from_bool(frame == Frame::Pointer));
    set("total", JsValue::from_str(common::sum()));
    set("locale", JsValue::from_str(locale().tag()));
    fields.into()
}

/// The newest first; the browser makes it only when somebody opens it, but it is there for readers.
fn table(figure: ReadSignal<Figure>, measure: Measure) -> View {
    let rows = move || {
        let figure = figure.get_clone();
        let buckets = figure.buckets.iter().enumerate().rev();
        buckets
            .filter_map(|(index, bucket)| row(&figure, index, *bucket, measure))
            .collect::<Vec<_>>()
    };
    let heads = move || {
        let head = |series: Series| view! { th(scope="col", class="is-number") { (series.label) } };
        figure
            .get_clone()
            .series
            .into_iter()
            .map(head)
            .collect::<Vec<_>>()
    };
    view! {
        div(class="table-frame is-short", tabindex="0") {
            table(class="table") {
                thead { tr { th(scope="col") { (common::time()) } (heads()) } }
                tbody { (rows()) }
            }
        }
    }
}

/// A row of the table; None where nothing happened.
fn row(figure: &Figure, index: usize, bucket: u64, measure: Measure) -> Option<View> {
    let value = |series: &Series| series.values.get(index).copied().flatten().unwrap_or(0.0);
    let values: Vec<f64> = figure.series.iter().map(value).collect();
    if values.iter().all(|value| *value <= 0.0) {
        return None;
    }
    let cell = |value| view! { td(class="is-number") { (write(value, measure)) } };
    let cells: Vec<View> = values.into_iter().map(cell).collect();
    let step = figure.step;
    let time = move || {
        if step == Step::Day {
            intl::utc_day(bucket)
        } else {
            intl::short_date_time(bucket)
        }
    };
    Some(view! { tr { th(scope="row") { (time()) } (cells) } })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are counts or milliseconds"
)]
fn write(value: f64, measure: Measure) -> String {
    match measure {
        Measure::Count => intl::integer(value.max(0.0) as u64),
        Measure::Span => intl::span(value.max(0.0) as u64),
    }
}
