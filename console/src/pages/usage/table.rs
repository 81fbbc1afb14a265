//! 用量表：每组一行，可排序，末行合计。
//!
//! The table of the page: a row for each group, or for each hour or day where nothing is split. Percentiles of a
//! group are asked of the API for the whole range, because they cannot be added; the largest groups are asked for.

use console_macros::view;
use std::collections::BTreeMap;

use crate::reactive::{create_memo, create_selector};
use futures::future::try_join_all;
use gateway::admin_api::UsageFigures;
use sycamore::prelude::*;

use super::Report;
use crate::api::{self, UsageReport};
use crate::components::{Card, Sort, SortHeader, Sorting, icon};
use crate::errors::Failure;
use crate::figures::{lossy, ratio};
use crate::i18n::{common, usage};
use crate::icons::Icon;
use crate::intl;
use crate::navigation::query;
use crate::query::Query;
use crate::range::{Step, milliseconds, time};
use crate::remote;
use crate::usage_series::{groups, tone};
use crate::usage_table::{COLUMNS, Column, Row, sort};
use crate::usage_view::{By, FILTERS};

/// Percentiles are asked for so many groups.
const ASKED_MAX: usize = 24;
/// At the same time.
const AT_ONCE: usize = 4;
/// More rows than this are for the file.
const ROWS_MAX: usize = 400;

const BY_GROUP: Sort = Sort::new(
    &COLUMNS,
    Sorting {
        column: "requests",
        descending: true,
    },
);
const BY_TIME: Sort = Sort::new(
    &COLUMNS,
    Sorting {
        column: "name",
        descending: true,
    },
);

/// The card.
#[component(inline_props)]
pub(super) fn TableCard(report: ReadSignal<Report>) -> View {
    let by = create_selector(move || report.with(|report| report.by));
    let percentiles = percentiles(report);
    let rows = create_memo(move || {
        let exact = percentiles.data.get_clone().unwrap_or_default();
        let mut rows = report.with(|report| rows(report, &exact));
        let order = if by.get() == By::Nothing {
            BY_TIME
        } else {
            BY_GROUP
        };
        let Sorting { column, descending } = order.get();
        if let Some(column) = Column::of(column) {
            sort(&mut rows, column, descending);
        }
        rows
    });
    let count = create_selector(move || rows.with(Vec::len));
    let title = move || {
        if by.get() == By::Nothing {
            usage::table_by_time()
        } else {
            usage::table_by_group()
        }
    };
    view! {
        Card(class="is-flush usage-card", title=title, hint=usage::table_hint) {
            div(class="table-frame", tabindex="0", role="region", aria-label=title()) {
                table(class="table is-cards usage-table") {
                    (match by.get() {
                        By::Nothing => head(BY_TIME, usage::time),
                        By::Server => head(BY_GROUP, usage::server),
                        By::App => head(BY_GROUP, usage::app),
                        By::Model => head(BY_GROUP, usage::model),
                    })
                    tbody {
                        (rows.get_clone().into_iter().take(ROWS_MAX).map(|row| body(row, report)).collect::<Vec<_>>())
                    }
                    tfoot { (foot(report)) }
                }
            }
            (if count.get() > ROWS_MAX {
                view! { p(class="usage-more") { (common::showing(&format!("{ROWS_MAX} / {}", count.get()))) } }
            } else {
                View::new()
            })
        }
    }
}

/// Percentiles of the largest groups, each as the API knows it.
fn percentiles(report: ReadSignal<Report>) -> remote::Remote<BTreeMap<String, UsageFigures>> {
    let wanted = create_selector(move || {
        report.with(|report| {
            let ids = if report.by == By::Nothing {
                Vec::new()
            } else {
                let groups = groups(&report.rows, report.by);
                let ids = groups.into_iter().map(|group| group.id);
                ids.filter(|id| !id.is_empty()).take(ASKED_MAX).collect()
            };
            (report.asked.clone(), report.by, ids, report.totals.requests)
        })
    });
    remote::load_by(move || {
        let (asked, by, ids, _) = wanted.get_clone();
        ask(asked, by, ids)
    })
}

async fn ask(
    asked: Query,
    by: By,
    ids: Vec<String>,
) -> Result<BTreeMap<String, UsageFigures>, Failure> {
    let mut all = BTreeMap::new();
    for some in ids.chunks(AT_ONCE) {
        let calls = some.iter().map(|id| {
            let one = asked
                .clone()
                .with("group_by", None)
                .with(by.name(), Some(id))
                .with("limit", Some("1"));
            async move {
                let report: UsageReport =
                    api::get(&format!("/api/stats/usage{}", one.to_text())).await?;
                Ok::<_, Failure>((id.clone(), report.totals))
            }
        });
        all.extend(try_join_all(calls).await?);
    }
    Ok(all)
}

fn rows(report: &Report, exact: &BTreeMap<String, UsageFigures>) -> Vec<Row> {
    if report.by == By::Nothing {
        let row = |row: &gateway::admin_api::UsageView| Row {
            id: row.bucket.clone(),
            label: bucket_label(&row.bucket, report.window.step),
            tone: None,
            figures: row.figures.clone(),
        };
        return report.rows.iter().map(row).collect();
    }
    groups(&report.rows, report.by)
        .into_iter()
        .enumerate()
        .map(|(place, group)| {
            let mut figures = group.figures;
            if let Some(exact) = exact.get(&group.id) {
                figures.queue_wait_p50_ms = exact.queue_wait_p50_ms;
                figures.queue_wait_p95_ms = exact.queue_wait_p95_ms;
                figures.queue_wait_p99_ms = exact.queue_wait_p99_ms;
                figures.latency_p50_ms = exact.latency_p50_ms;
                figures.latency_p95_ms = exact.latency_p95_ms;
                figures.latency_p99_ms = exact.latency_p99_ms;
            }
            Row {
                id: group.id,
                label: group.label,
                tone: Some(tone(place)),
                figures,
            }
        })
        .collect()
}

fn bucket_label(bucket: &str, step: Step) -> String {
    let Some(start) = milliseconds(bucket) else {
        return bucket.to_owned();
    };
    match step {
        Step::Hour => intl::short_date_time(start),
        Step::Day => intl::utc_day(start),
    }
}

fn head(sort: Sort, name: fn() -> &'static str) -> View {
    view! {
        thead {
            tr {
                SortHeader(sort=sort, column="name", label=name)
                SortHeader(sort=sort, column="requests", label=usage::requests, number=true)
                SortHeader(sort=sort, column="tokens", label=usage::tokens, number=true)
                SortHeader(sort=sort, column="errors", label=usage::errors, number=true)
                SortHeader(sort=sort, column="queued", label=usage::queued_requests, number=true)
                SortHeader(sort=sort, column="wait_p50", label=usage::wait_p50, number=true)
                SortHeader(sort=sort, column="wait_p95", label=usage::wait_p95, number=true)
                SortHeader(sort=sort, column="latency_p50", label=usage::latency_p50, number=true)
                SortHeader(sort=sort, column="latency_p95", label=usage::latency_p95, number=true)
                SortHeader(sort=sort, column="timeouts", label=usage::timeouts, number=true)
                SortHeader(sort=sort, column="evictions", label=usage::evictions, number=true)
                SortHeader(sort=sort, column="cancelled", label=usage::cancelled, number=true)
                SortHeader(sort=sort, column="prompt", label=usage::prompt, number=true)
                SortHeader(sort=sort, column="completion", label=usage::completion, number=true)
                SortHeader(sort=sort, column="cached", label=usage::cached, number=true)
            }
        }
    }
}

fn body(row: Row, report: ReadSignal<Report>) -> View {
    let cells = cells(&row.figures);
    let Row {
        id,
        label,
        tone,
        figures: _,
    } = row;
    let name = match tone {
        None => view! { (label) },
        Some(tone) => {
            let (href, logs) = links(&id, report);
            let words = usage::logs_of(&label);
            let told = words.clone();
            let symbol = icon(Icon::Logs);
            view! {
                span(class="usage-name") {
                    span(class=format!("usage-swatch is-{tone}"), aria-hidden="true")
                    a(href=href, class="usage-name-link") { (label) }
                    a(href=logs, class="usage-name-logs", aria-label=told, title=words) { (symbol) }
                }
            }
        }
    };
    view! { tr { th(scope="row") { (name) } (cells) } }
}

/// Into this group, split by something else; and its rows in the log.
fn links(id: &str, report: ReadSignal<Report>) -> (String, String) {
    let (by, bounds) = report.with_untracked(|report| (report.by, report.window.bounds));
    let next = match by {
        By::Server | By::App => By::Model,
        By::Model | By::Nothing => By::App,
    };
    let page = untrack(query);
    let into = page
        .clone()
        .with(by.name(), Some(id))
        .with("group_by", Some(next.name()))
        .with("hide", None)
        .with("sort", None);
    let mut log = Query::default();
    for name in ["range", "from", "to"] {
        log = log.with(name, page.get(name));
    }
    if log == Query::default() {
        log = log
            .with("from", Some(&time(bounds.from_ms)))
            .with("to", Some(&time(bounds.to_ms)));
    }
    for name in FILTERS {
        log = log.with(name, page.get(name));
    }
    let log = log.with(by.name(), Some(id));
    (
        format!("/usage{}", into.to_text()),
        format!("/logs{}", log.to_text()),
    )
}

fn foot(report: ReadSignal<Report>) -> View {
    let totals = create_memo(move || report.with(|report| report.totals.clone()));
    view! {
        tr {
            th(scope="row") { (usage::sum()) }
            (cells(&totals.get_clone()))
        }
    }
}

fn cells(of: &UsageFigures) -> View {
    let count = |label: &'static str, value: u64| number(label, intl::integer(value), value == 0);
    let span = |label: &'static str, value: Option<u64>| {
        number(
            label,
            value.map_or_else(|| "—".to_owned(), intl::span),
            value.unwrap_or(0) == 0,
        )
    };
    let tokens = |label: &'static str, value: u64| {
        let text = if value < 1_000_000 {
            intl::integer(value)
        } else {
            intl::compact(lossy(value))
        };
        let exact = intl::integer(value);
        view! { td(class="is-number", data-label=label, title=exact) { (text) } }
    };
    let share = |label: &'static str, value: u64| {
        let text = intl::percent(ratio(value, of.requests));
        let exact = intl::integer(value);
        let class = if value == 0 {
            "is-number is-zero"
        } else {
            "is-number"
        };
        view! { td(class=class, data-label=label, title=exact) { (text) } }
    };
    let errors = if of.errors == 0 {
        count(usage::errors(), 0)
    } else {
        let (many, part) = (
            intl::integer(of.errors),
            intl::percent(ratio(of.errors, of.requests)),
        );
        view! { td(class="is-number", data-label=usage::errors()) { span { (many) " " span(class="usage-part") { (part) } } } }
    };
    vec![
        count(usage::requests(), of.requests),
        tokens(usage::tokens(), of.total_tokens),
        errors,
        share(usage::queued_requests(), of.queued_requests),
        span(usage::wait_p50(), of.queue_wait_p50_ms),
        span(usage::wait_p95(), of.queue_wait_p95_ms),
        span(usage::latency_p50(), of.latency_p50_ms),
        span(usage::latency_p95(), of.latency_p95_ms),
        count(usage::timeouts(), of.queue_timeouts),
        count(usage::evictions(), of.queue_evictions),
        count(usage::cancelled(), of.cancelled),
        tokens(usage::prompt(), of.prompt_tokens),
        tokens(usage::completion(), of.completion_tokens),
        tokens(usage::cached(), of.cached_tokens),
    ]
    .into()
}

fn number(label: &'static str, text: String, zero: bool) -> View {
    let class = if zero {
        "is-number is-zero"
    } else {
        "is-number"
    };
    view! { td(class=class, data-label=label) { (text) } }
}
