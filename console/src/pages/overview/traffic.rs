//! 趋势：请求、token、排队、延迟四张图。
//!
//! The four charts of the chosen range. Owns how rows of statistics become their series; drawing is the
//! chart's business.

use crate::reactive::create_memo;
use console_macros::view;
use sycamore::prelude::*;

use crate::api::{UsageFigures, UsageReport};
use crate::components::{Card, Chart, Draw, Figure, Measure};
use crate::figures::lossy;
use crate::i18n::overview;
use crate::range::{Bounds, Step, milliseconds};
use crate::series::{Series, buckets, filled};

/// A series: its name, and its value in a row.
type Line = (fn() -> &'static str, fn(&UsageFigures) -> f64);

const REQUESTS: [Line; 3] = [
    (overview::answered, |row| {
        lossy(
            row.requests
                .saturating_sub(row.errors)
                .saturating_sub(row.cancelled),
        )
    }),
    (overview::failed, |row| lossy(row.errors)),
    (overview::cancelled, |row| lossy(row.cancelled)),
];
const TOKENS: [Line; 2] = [
    (overview::prompt, |row| lossy(row.prompt_tokens)),
    (overview::completion, |row| lossy(row.completion_tokens)),
];
const WAIT: [Line; 2] = [
    (overview::p50, |row| {
        lossy(row.queue_wait_p50_ms.unwrap_or(0))
    }),
    (overview::p95, |row| {
        lossy(row.queue_wait_p95_ms.unwrap_or(0))
    }),
];
const LATENCY: [Line; 2] = [
    (overview::p50, |row| lossy(row.latency_p50_ms.unwrap_or(0))),
    (overview::p95, |row| lossy(row.latency_p95_ms.unwrap_or(0))),
];

/// The charts.
#[component(inline_props)]
pub fn Traffic(usage: ReadSignal<UsageReport>) -> View {
    let figure =
        move |lines: &'static [Line]| create_memo(move || usage.with(|usage| figure(usage, lines)));
    view! {
        div(class="charts") {
            Card(title=overview::chart_requests) {
                Chart(label=overview::chart_requests, measure=Measure::Count, draw=Draw::Stacked, figure=figure(&REQUESTS), tones=&["accent", "bad", "neutral"])
            }
            Card(title=overview::chart_tokens) {
                Chart(label=overview::chart_tokens, measure=Measure::Count, draw=Draw::Stacked, figure=figure(&TOKENS), tones=&["1", "3"])
            }
            Card(title=overview::chart_wait) {
                Chart(label=overview::chart_wait, measure=Measure::Span, draw=Draw::Lines, figure=figure(&WAIT), tones=&["1", "2"])
            }
            Card(title=overview::chart_latency) {
                Chart(label=overview::chart_latency, measure=Measure::Span, draw=Draw::Lines, figure=figure(&LATENCY), tones=&["1", "2"])
            }
        }
    }
}

fn figure(usage: &UsageReport, lines: &[Line]) -> Figure {
    let buckets = buckets_of(usage);
    let series = lines
        .iter()
        .map(|(name, value)| Series::new(name(), at_buckets(usage, &buckets, *value)))
        .collect();
    Figure {
        buckets,
        series,
        step: step(usage),
    }
}

/// All buckets of a report's range.
#[must_use]
pub fn buckets_of(usage: &UsageReport) -> Vec<u64> {
    let bounds = bounds(usage);
    buckets(bounds.from_ms, bounds.to_ms, step(usage).milliseconds())
}

/// One value per bucket; 0 where a report has no row.
#[must_use]
pub fn at_buckets(
    usage: &UsageReport,
    buckets: &[u64],
    value: fn(&UsageFigures) -> f64,
) -> Vec<f64> {
    let rows = usage
        .items
        .iter()
        .filter_map(|row| Some((milliseconds(&row.bucket)?, value(&row.figures))));
    filled(buckets, rows)
}

fn bounds(usage: &UsageReport) -> Bounds {
    Bounds {
        from_ms: milliseconds(&usage.from).unwrap_or(0),
        to_ms: milliseconds(&usage.to).unwrap_or(0),
    }
}

fn step(usage: &UsageReport) -> Step {
    bounds(usage).step()
}
