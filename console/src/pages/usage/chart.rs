//! 用量图：堆叠的时间序列，图例可开关。
//!
//! The chart of the page with its own legend: buttons that switch a series off and on, which the URL remembers.
//! What is drawn comes from `usage_series`; colours stay with their group whatever is switched off.

use crate::reactive::{create_memo, create_selector};
use console_macros::view;
use sycamore::prelude::*;

use super::{Report, State, tiles};
use crate::components::{Card, Chart, Draw, Figure, Frame, Measure, Segmented, render};
use crate::i18n::usage;
use crate::intl;
use crate::navigation::{query, set_params};
use crate::range::Step;
use crate::series::{Series, buckets};
use crate::usage_series::{GROUPS_MAX, Line, groups, lines, tones};
use crate::usage_view::{By, Kind, Subject, hidden, toggled};

/// The card.
#[component(inline_props)]
pub(super) fn ChartCard(state: State, report: ReadSignal<Report>) -> View {
    // What is split belongs to the rows: those of the last view stay until the next are there.
    let shown = create_selector(move || {
        let mut shown = state.shown.get();
        shown.by = report.with(|report| report.by);
        shown
    });
    let all = create_memo(move || {
        report.with(|report| {
            let starts = starts(report);
            lines(
                &report.rows,
                &groups(&report.rows, report.by),
                &starts,
                shown.get(),
            )
        })
    });
    let off = create_selector(|| hidden(&query()));
    let figure = create_memo(move || {
        let (buckets, step) = report.with(|report| (starts(report), report.window.step));
        let off = off.get_clone();
        let series = all.with(|all| all.iter().map(|line| drawn(line, &off)).collect());
        Figure {
            buckets,
            series,
            step,
        }
    });
    let shape = create_selector(move || {
        let shown = shown.get();
        (shown.subject.is_span(), tones(shown))
    });
    let subject = create_selector(move || shown.get().subject);
    let name = move || usage::chart(subject_label(subject.get()));
    let per = move || {
        let step = match report.with(|report| report.window.step) {
            Step::Hour => usage::chart_hint(usage::per_hour()),
            Step::Day => usage::per_day().to_owned(),
        };
        let shown = shown.get();
        if shown.subject.is_span()
            && shown.by != By::Nothing
            && report.with(|report| groups(&report.rows, report.by).len()) > GROUPS_MAX
        {
            format!("{step} · {}", usage::largest(&GROUPS_MAX.to_string()))
        } else {
            step
        }
    };
    view! {
        Card(
            title=move || subject_label(subject.get()),
            hint=per,
            actions=render(move || view! { (kinds(state, report)) }),
        ) {
            (legend(all, off))
            (match shape.get() {
                (true, tones) => view! { Chart(label=name, measure=Measure::Span, draw=Draw::Lines, figure=figure, tones=tones, frame=Frame::Pointer) },
                (false, tones) => view! { Chart(label=name, measure=Measure::Count, draw=Draw::Stacked, figure=figure, tones=tones, frame=Frame::Pointer) },
            })
        }
    }
}

fn starts(report: &Report) -> Vec<u64> {
    let bounds = report.window.bounds;
    buckets(
        bounds.from_ms,
        bounds.to_ms,
        report.window.step.milliseconds(),
    )
}

fn drawn(line: &Line, off: &[String]) -> Series {
    let values = if off.contains(&line.name) {
        vec![None; line.values.len()]
    } else {
        line.values.clone()
    };
    Series {
        label: line.label.clone(),
        values,
    }
}

fn subject_label(subject: Subject) -> &'static str {
    match subject {
        Subject::Wait => usage::chart_wait(),
        Subject::Latency => usage::chart_latency(),
        _ => tiles::label(subject),
    }
}

fn kind_label(kind: Kind) -> crate::browser::Text {
    match kind {
        Kind::Requests | Kind::TotalTokens | Kind::Errors => usage::all_requests.into(),
        Kind::Queued => usage::queued.into(),
        Kind::PromptTokens => usage::prompt.into(),
        Kind::CompletionTokens => usage::completion.into(),
        Kind::CachedTokens => usage::cached.into(),
        Kind::Timeouts => usage::timeouts.into(),
        Kind::Evictions => usage::evictions.into(),
        Kind::Cancelled => usage::cancelled.into(),
        Kind::WaitP50 | Kind::LatencyP50 => usage::p50.into(),
        Kind::WaitP95 | Kind::LatencyP95 => usage::p95.into(),
        Kind::WaitP99 | Kind::LatencyP99 => usage::p99.into(),
    }
}

/// Which figure of the subject; not split by anything, all its parts are there already.
fn kinds(state: State, report: ReadSignal<Report>) -> View {
    let subject = create_selector(move || {
        let split = report.with(|report| report.by != By::Nothing);
        split.then(|| state.shown.get().subject)
    });
    view! {
        (match subject.get() {
            Some(subject) => view! {
                Segmented(
                    name="kind",
                    label=usage::detail,
                    value=move || state.shown.get().kind,
                    options=subject.kinds().iter().map(|kind| (*kind, kind_label(*kind))).collect(),
                    on_choose=|kind: Kind| set_params(&[("kind", Some(kind.name()))]),
                )
            },
            None => View::new(),
        })
    }
}

fn legend(all: ReadSignal<Vec<Line>>, off: ReadSignal<Vec<String>>) -> View {
    let entries = create_selector(move || {
        all.with(|all| {
            all.iter()
                .map(|line| {
                    (
                        line.name.clone(),
                        line.label.clone(),
                        line.tone,
                        line.sum.map(f64::to_bits),
                    )
                })
                .collect::<Vec<_>>()
        })
    });
    let some_off = create_selector(move || !off.with(Vec::is_empty));
    view! {
        div(class="usage-legend", role="group", aria-label=usage::legend()) {
            (entries.get_clone().into_iter().map(|(name, label, tone, sum)| entry(name, label, tone, sum.map(f64::from_bits), off)).collect::<Vec<_>>())
            (if some_off.get() {
                view! { button(r#type="button", class="usage-legend-all", on:click=|_| set_params(&[("hide", None)])) { (usage::show_all()) } }
            } else {
                View::new()
            })
        }
    }
}

fn entry(
    name: String,
    label: String,
    tone: &'static str,
    sum: Option<f64>,
    off: ReadSignal<Vec<String>>,
) -> View {
    let (shown, pressed) = (name.clone(), name.clone());
    let title = label.clone();
    view! {
        button(
            r#type="button",
            class=if off.with(|off| off.contains(&shown)) { "usage-series is-off" } else { "usage-series" },
            aria-pressed=move || if off.with(|off| off.contains(&pressed)) { "false" } else { "true" },
            title=title,
            on:click=move |_| {
                let text = toggled(hidden(&query()), &name);
                set_params(&[("hide", Some(&text))]);
            },
        ) {
            span(class=format!("usage-swatch is-{tone}"), aria-hidden="true")
            span(class="usage-series-label") { (label) }
            (sum.map(|sum| view! { span(class="usage-series-sum", aria-hidden="true") { (intl::compact(sum)) } }))
        }
    }
}
