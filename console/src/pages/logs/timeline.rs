//! 时间线的图：一条按比例分段的横条。
//!
//! Draws what a request spent its time with: a small bar for a row, a large one with words for the panel. The
//! stretches come from `logs_timeline`.

use console_macros::view;
use gateway::admin_api::LogView;
use sycamore::prelude::*;

use crate::i18n::logs;
use crate::intl;
use crate::logs_timeline::{Phase, Stretch, stretches};
use crate::range::milliseconds;

const WIDTH: f64 = 1_000.0;

/// The bar of a row. Its words stand in the cells beside it.
pub(super) fn small(row: &LogView) -> View {
    bar("logs-bar", &stretches(row), row.total_ms)
}

/// The bar with its stretches and instants in words.
pub(super) fn large(row: &LogView) -> View {
    let all = stretches(row);
    let began = milliseconds(&row.started_at).unwrap_or_default();
    let bar = bar("logs-bar is-large", &all, row.total_ms);
    let phases: Vec<View> = all.iter().map(|one| phase(one, row)).collect();
    let instants: Vec<View> = instants(&all, row.total_ms)
        .into_iter()
        .map(|(name, after)| {
            let time = intl::precise_time_of_day(began.saturating_add(after));
            let after = format!("+{}", intl::span(after));
            view! { li { span { (name) } span(class="is-soft") { (time.clone()) } span(class="logs-after") { (after.clone()) } } }
        })
        .collect();
    view! {
        section(class="logs-timeline") {
            h3 { (logs::timeline()) }
            (bar)
            ul(class="logs-phases") { (phases) }
            ol(class="logs-instants") { (instants) }
        }
    }
}

fn bar(class: &'static str, all: &[Stretch], total_ms: u64) -> View {
    let parts: Vec<View> = all
        .iter()
        .filter(|one| one.span_ms() > 0)
        .map(|one| {
            let (from, length) = one.part_of(total_ms);
            let (x, width) = (from * WIDTH, length * WIDTH);
            // What happened is seen, however short.
            let width = width.max(4.0);
            let x = x.min(WIDTH - width);
            let (class, x, width) = (
                class_of(one.phase),
                format!("{x:.1}"),
                format!("{width:.1}"),
            );
            view! { rect(class=class, x=x, y="0", width=width, height="10") }
        })
        .collect();
    view! {
        svg(class=class, viewBox="0 0 1000 10", preserveAspectRatio="none", aria-hidden="true") { (parts) }
    }
}

const fn class_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Queue => "logs-part is-queue",
        Phase::Server => "logs-part is-server",
        Phase::Answer => "logs-part is-answer",
    }
}

fn phase(one: &Stretch, row: &LogView) -> View {
    let (class, name) = match one.phase {
        Phase::Queue => ("logs-swatch is-queue", logs::phase_queue()),
        Phase::Server => ("logs-swatch is-server", logs::phase_server()),
        Phase::Answer => ("logs-swatch is-answer", logs::phase_answer()),
    };
    let note = match one.phase {
        Phase::Queue if row.queue_position > 0 => {
            logs::position(&intl::integer(row.queue_position))
        }
        Phase::Queue => logs::straight().to_owned(),
        Phase::Server | Phase::Answer => String::new(),
    };
    let (span, share) = (
        intl::span(one.span_ms()),
        intl::percent(one.part_of(row.total_ms).1),
    );
    view! {
        li {
            span(class=class, aria-hidden="true")
            span(class="logs-phase") { (name) span(class="is-faint") { " " (note) } }
            strong { (span) }
            span(class="logs-share") { (share) }
        }
    }
}

/// What happened when, as far as it did.
fn instants(all: &[Stretch], total_ms: u64) -> Vec<(&'static str, u64)> {
    let mut instants = vec![(logs::arrived(), 0)];
    for one in all {
        match one.phase {
            Phase::Queue => {}
            Phase::Server => instants.push((logs::sent(), one.from_ms)),
            Phase::Answer => instants.push((logs::first_token(), one.from_ms)),
        }
    }
    instants.push((logs::done(), total_ms));
    instants
}
