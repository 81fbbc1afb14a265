//! 指标卡：一段时间的合计，选中哪个就画哪个。
//!
//! The figures of the whole range, each with its change since the stretch of time before; choosing one makes the
//! chart show it. Totals are the API's own, never sums of what was loaded.

use console_macros::view;
use gateway::admin_api::UsageFigures;
use sycamore::prelude::*;

use super::{Report, State};
use crate::components::icon;
use crate::figures::{lossy, ratio};
use crate::i18n::usage;
use crate::icons::Icon;
use crate::intl;
use crate::navigation::set_params;
use crate::usage_series::change;
use crate::usage_view::Subject;

/// All of them, as one choice.
#[component(inline_props)]
pub(super) fn Tiles(state: State, report: ReadSignal<Report>) -> View {
    let tiles: Vec<View> = Subject::ALL
        .iter()
        .map(|subject| tile(state, report, *subject))
        .collect();
    view! {
        div(class="usage-tiles", role="radiogroup", aria-label=usage::measure()) { (tiles) }
    }
}

fn tile(state: State, report: ReadSignal<Report>, subject: Subject) -> View {
    let figures = move || report.with(|report| report.totals.clone());
    let id = format!("tile-{}", subject.name());
    let described = id.clone();
    view! {
        label(class="usage-tile") {
            input(
                r#type="radio",
                name="measure",
                aria-label=label(subject),
                aria-describedby=described,
                prop:checked=state.shown.get().subject == subject,
                on:change=move |_| set_params(&[("measure", Some(subject.name())), ("kind", None), ("hide", None)]),
            )
            span(class="usage-tile-face", id=id) {
                span(class="usage-tile-label", aria-hidden="true") { (label(subject)) }
                span(class="usage-tile-figure") {
                    strong(class="usage-tile-value") { (told(subject, &figures())) }
                    (delta(state, subject, &figures()))
                }
                span(class="usage-tile-note") { (note(subject, &figures())) }
            }
        }
    }
}

/// What a subject is called.
pub(super) fn label(subject: Subject) -> &'static str {
    match subject {
        Subject::Requests => usage::requests(),
        Subject::Tokens => usage::tokens(),
        Subject::Errors => usage::errors(),
        Subject::Wait => usage::wait(),
        Subject::Latency => usage::latency(),
    }
}

fn value(subject: Subject, of: &UsageFigures) -> Option<u64> {
    match subject {
        Subject::Requests => Some(of.requests),
        Subject::Tokens => Some(of.total_tokens),
        Subject::Errors => Some(of.errors),
        Subject::Wait => of.queue_wait_p95_ms,
        Subject::Latency => of.latency_p95_ms,
    }
}

fn told(subject: Subject, of: &UsageFigures) -> String {
    let Some(value) = value(subject, of) else {
        return "—".to_owned();
    };
    match subject {
        _ if subject.is_span() => intl::span(value),
        _ if value < 1_000_000 => intl::integer(value),
        _ => intl::compact(lossy(value)),
    }
}

fn note(subject: Subject, of: &UsageFigures) -> String {
    let span = |value: Option<u64>| value.map_or_else(|| "—".to_owned(), intl::span);
    match subject {
        Subject::Requests => {
            usage::queued_share(&intl::percent(ratio(of.queued_requests, of.requests)))
        }
        Subject::Tokens => usage::split_tokens(
            &intl::compact(lossy(of.prompt_tokens)),
            &intl::compact(lossy(of.completion_tokens)),
        ),
        Subject::Errors => usage::of_requests(&intl::percent(ratio(of.errors, of.requests))),
        Subject::Wait => usage::median(&span(of.queue_wait_p50_ms)),
        Subject::Latency => usage::median(&span(of.latency_p50_ms)),
    }
}

/// How much more or less than in the stretch before; nothing where there was nothing to compare with.
fn delta(state: State, subject: Subject, now: &UsageFigures) -> View {
    let before = state.before.data.get_clone().map(|report| report.totals);
    let pair = before.and_then(|before| Some((value(subject, now)?, value(subject, &before)?)));
    let Some(change) = pair.and_then(|(now, before)| change(lossy(now), lossy(before))) else {
        return View::new();
    };
    // Less than the last digit that would be written.
    if change.abs() < 0.000_5 {
        return View::new();
    }
    let share = intl::percent(change.abs());
    let (symbol, words) = if change < 0.0 {
        (Icon::Fall, usage::less(&share))
    } else {
        (Icon::Rise, usage::more(&share))
    };
    // More of these is worse; more of the others is neither.
    let tone = match (subject, change) {
        (Subject::Requests | Subject::Tokens, _) => "usage-delta",
        (_, 0.05..) => "usage-delta is-worse",
        (_, ..-0.05) => "usage-delta is-better",
        _ => "usage-delta",
    };
    let symbol = icon(symbol);
    view! {
        span(class=tone, title=usage::against_before()) {
            (symbol)
            span(aria-hidden="true") { (share) }
            span(class="visually-hidden") { (words) }
        }
    }
}
