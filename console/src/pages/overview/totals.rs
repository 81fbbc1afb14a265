//! 汇总：四个数字，各带一条走势。
//!
//! The four figures of the chosen range: requests, tokens, errors, queue wait, each with what it is made of
//! and a line of its course.

use crate::reactive::create_memo;
use console_macros::view;
use sycamore::prelude::*;

use super::traffic::{at_buckets, buckets_of};
use crate::api::{UsageFigures, UsageReport};
use crate::components::{Sparkline, icon};
use crate::figures::{lossy, ratio};
use crate::i18n::overview;
use crate::icons::Icon;
use crate::intl;

/// The figures.
#[component(inline_props)]
pub fn Totals(usage: ReadSignal<UsageReport>) -> View {
    let totals = create_memo(move || usage.with(|usage| usage.totals.clone()));
    let line = move |value: fn(&UsageFigures) -> f64| {
        create_memo(move || usage.with(|usage| at_buckets(usage, &buckets_of(usage), value)))
    };
    view! {
        div(class="totals") {
            (tile(Icon::Requests, overview::requests,
                move || intl::compact(lossy(totals.with(|all| all.requests))),
                move || overview::queued_share(&intl::percent(totals.with(|all| ratio(all.queued_requests, all.requests)))),
                line(|row| lossy(row.requests))))
            (tile(Icon::Tokens, overview::tokens,
                move || intl::compact(lossy(totals.with(|all| all.total_tokens))),
                move || totals.with(|all| overview::prompt_and_completion(&intl::compact(lossy(all.prompt_tokens)), &intl::compact(lossy(all.completion_tokens)))),
                line(|row| lossy(row.total_tokens))))
            (tile(Icon::Failure, overview::errors,
                move || intl::percent(totals.with(|all| ratio(all.errors, all.requests))),
                move || overview::error_count(&intl::integer(totals.with(|all| all.errors))),
                line(|row| lossy(row.errors))))
            (tile(Icon::Clock, overview::wait_p95,
                move || totals.with(|all| all.queue_wait_p95_ms).map_or_else(|| "–".to_owned(), intl::span),
                move || match totals.with(|all| all.queue_wait_ms_max) {
                    0 => overview::no_waits().to_owned(),
                    longest => overview::longest_wait(&intl::span(longest)),
                },
                line(|row| lossy(row.queue_wait_p95_ms.unwrap_or(0)))))
        }
    }
}

/// Their shape before they are there.
#[component]
pub fn Waiting() -> View {
    let tiles: Vec<View> = (0..4).map(|_| view! { div(class="total card is-waiting") { span(class="skeleton-bar") span(class="skeleton-bar") } }).collect();
    view! { div(class="totals", aria-hidden="true") { (tiles) } }
}

fn tile(
    symbol: Icon,
    label: fn() -> &'static str,
    figure: impl Fn() -> String + 'static,
    note: impl Fn() -> String + 'static,
    line: ReadSignal<Vec<f64>>,
) -> View {
    let symbol = icon(symbol);
    view! {
        div(class="total card") {
            p(class="total-label") { (symbol) span { (label()) } }
            p(class="total-figure") { (figure()) }
            p(class="total-note") { (note()) }
            Sparkline(values=line)
        }
    }
}
