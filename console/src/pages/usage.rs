//! 用量页面：一段时间里用了多少，按服务器、应用或模型。
//!
//! The page of statistics: figures of a range of time that choose what the chart shows, the chart with its
//! legend, and a table of groups. All of its state is in the query of the URL. Reads sums only and changes nothing.

mod chart;
mod table;
mod tiles;

use crate::reactive::create_selector;
use console_macros::view;
use gateway::admin_api::{UsageFigures, UsageView};
use sycamore::prelude::*;

use crate::api::{self, UsageReport};
use crate::components::{
    Button, EmptyState, FilterSelect, FilterText, IconButton, Kind as ButtonKind, LinkButton,
    PageHeader, RangePicker, Segmented, Skeleton, clock, remote_view, render, use_range,
};
use crate::errors::{Failure, Kind as FailureKind};
use crate::i18n::{common, usage};
use crate::icons::Icon;
use crate::navigation::{query, set_params};
use crate::query::Query;
use crate::range::{Preset, Range, Step};
use crate::remote::{self, Remote};
use crate::usage_view::{By, FILTERS, Shown, asked};
use crate::usage_window::{Window, has_hours};

/// So many answers of 500 rows are put together at most.
const ANSWERS_MAX: u32 = 40;
const PRESETS: [Preset; 3] = [Preset::Day, Preset::Week, Preset::Month];

/// The statistics that the page shows.
#[derive(Clone, PartialEq)]
struct Report {
    /// What was asked.
    asked: Query,
    window: Window,
    by: By,
    rows: Vec<UsageView>,
    totals: UsageFigures,
    /// There are rows that were not loaded.
    truncated: bool,
}

/// What the parts of the page share.
#[derive(Clone, Copy)]
struct State {
    range: ReadSignal<Range>,
    shown: ReadSignal<Shown>,
    window: ReadSignal<Window>,
    report: Remote<Report>,
    before: Remote<UsageReport>,
}

/// The page.
#[component]
pub fn UsagePage() -> View {
    let range = use_range(Preset::Week);
    let shown = create_selector(|| Shown::of_query(&query()));
    let round = create_signal(0_u32);
    let window = create_selector(move || {
        round.track();
        Window::new(range.get(), shown.get().step, clock())
    });
    let by = create_selector(move || shown.get().by);
    let wanted = create_selector(move || asked(&query(), window.get(), by.get()));
    let report = remote::load_by(move || {
        round.track();
        gather(wanted.get_clone(), window.get(), by.get())
    });
    let before = remote::load::<UsageReport>(move || {
        let asked = asked(&query(), window.get().previous(clock()), By::Nothing);
        format!(
            "/api/stats/usage{}",
            asked.with("limit", Some("1")).to_text()
        )
    });
    let state = State {
        range,
        shown,
        window,
        report,
        before,
    };
    let refresh = move || round.set(round.get_untracked().wrapping_add(1));
    let refused = create_selector(move || {
        let failure = report.failure.get_clone();
        failure.filter(|failure| failure.kind != FailureKind::Offline)
    });
    view! {
        PageHeader(title=usage::title, hint=usage::hint, actions=render(move || view! {
            RangePicker(range=range, presets=&PRESETS)
            div(class="usage-tools") {
                IconButton(icon=Icon::Refresh, label=common::refresh, on:click=move |_| refresh())
                LinkButton(
                    href=move || file(state),
                    icon=Icon::Download,
                    download="",
                    title=move || usage::download_hint(),
                ) { (usage::download()) }
            }
        }))
        (toolbar(state))
        (match refused.get_clone() {
            Some(failure) => view! { crate::components::FailureState(failure=failure, retry=move || report.reload()) },
            None => content(state),
        })
    }
}

fn content(state: State) -> View {
    let busy = state.report.busy;
    let body = remote_view(
        state.report,
        || view! { div(class="card") { Skeleton(rows=12) } },
        move |report: ReadSignal<Report>| {
            let empty = create_selector(move || report.with(|report| report.totals.requests == 0));
            let truncated = create_selector(move || report.with(|report| report.truncated));
            view! {
                (if empty.get() {
                    nothing()
                } else {
                    view! {
                        tiles::Tiles(state=state, report=report)
                        (if truncated.get() { view! { p(class="usage-note", role="status") { (usage::truncated()) } } } else { View::new() })
                        chart::ChartCard(state=state, report=report)
                        table::TableCard(report=report)
                    }
                })
            }
        },
    );
    view! {
        div(class=if busy.get() { "usage-body is-stale" } else { "usage-body" }, aria-busy=move || busy.get().then_some("true")) {
            (body)
        }
    }
}

fn nothing() -> View {
    let filtered = create_selector(is_filtered);
    view! {
        (if filtered.get() {
            view! {
                EmptyState(icon=Icon::Filter, title=usage::empty_filtered, actions=render(|| view! {
                    Button(icon=Icon::Close, on:click=|_| clear()) { (usage::clear_filters()) }
                }))
            }
        } else {
            view! {
                EmptyState(icon=Icon::Usage, title=usage::empty, hint=usage::empty_hint, actions=render(|| view! {
                    LinkButton(href="/logs", icon=Icon::Logs) { (usage::to_logs()) }
                }))
            }
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Steps {
    Automatic,
    Step(Step),
}

/// Filters on the left, how it is split on the right.
fn toolbar(state: State) -> View {
    let servers = remote::load::<api::List<api::Server>>(|| "/api/servers?limit=500".to_owned());
    let servers = move || {
        let known = servers.data.get_clone();
        let known = known.map(|list| list.items).unwrap_or_default();
        known
            .into_iter()
            .map(|server| (server.id, server.name))
            .collect::<Vec<_>>()
    };
    let (apps, models) = (names(state, By::App), names(state, By::Model));
    let filtered = create_selector(is_filtered);
    let steps = move || state.shown.get().step.map_or(Steps::Automatic, Steps::Step);
    let hours = create_selector(move || has_hours(state.range.get(), clock()));
    view! {
        div(class="usage-bar") {
            div(class="filters", role="group", aria-label=usage::filters()) {
                FilterSelect(param="server_id", label=usage::server, options=servers)
                FilterText(id="filter-app", param="app", label=usage::app, suggestions=apps, most=64)
                FilterText(id="filter-model", param="model", label=usage::model, suggestions=models)
                (if filtered.get() {
                    view! { Button(kind=ButtonKind::Quiet, icon=Icon::Close, on:click=|_| clear()) { (usage::clear_filters()) } }
                } else {
                    View::new()
                })
            }
            div(class="usage-split") {
                div(class="usage-choice") {
                    span(class="usage-choice-label", aria-hidden="true") { (usage::group_by()) }
                    Segmented(
                        name="group",
                        label=usage::group_by,
                        value=move || state.shown.get().by,
                        options=By::ALL.iter().map(|by| (*by, by_label(*by))).collect(),
                        on_choose=|by: By| set_params(&[("group_by", Some(by.name())), ("hide", None), ("sort", None)]),
                    )
                }
                div(class="usage-choice", title=move || (!hours.get()).then(usage::hours_too_many)) {
                    span(class="usage-choice-label", aria-hidden="true") { (usage::granularity()) }
                    Segmented(
                        name="step",
                        label=usage::granularity,
                        value=steps,
                        options=vec![
                            (Steps::Automatic, usage::automatic.into()),
                            (Steps::Step(Step::Hour), usage::hour.into()),
                            (Steps::Step(Step::Day), usage::day.into()),
                        ],
                        on_choose=|steps| set_params(&[("granularity", match steps {
                            Steps::Automatic => None,
                            Steps::Step(step) => Some(step.name()),
                        })]),
                    )
                }
            }
        }
    }
}

fn by_label(by: By) -> crate::browser::Text {
    match by {
        By::Nothing => usage::nothing.into(),
        By::Server => usage::server.into(),
        By::App => usage::app.into(),
        By::Model => usage::model.into(),
    }
}

/// Apps or models to suggest: those of the range, whatever is filtered, as far as one answer holds them.
fn names(state: State, by: By) -> impl Fn() -> Vec<String> + 'static {
    let known = remote::load::<UsageReport>(move || {
        let bounds = state.window.get().bounds;
        let range = Range::Custom {
            from_ms: bounds.from_ms,
            to_ms: bounds.to_ms,
        };
        let days = Window::new(range, Some(Step::Day), bounds.to_ms);
        let asked = asked(&Query::default(), days, by);
        format!(
            "/api/stats/usage{}",
            asked.with("limit", Some("500")).to_text()
        )
    });
    move || {
        let rows = known.data.get_clone().map(|report| report.items);
        let groups = crate::usage_series::groups(&rows.unwrap_or_default(), by);
        groups.into_iter().map(|group| group.id).collect()
    }
}

fn is_filtered() -> bool {
    let query = query();
    FILTERS.iter().any(|name| query.get(name).is_some())
}

fn clear() {
    set_params(&FILTERS.map(|name| (name, None)));
}

/// The file with the rows of the view.
fn file(state: State) -> String {
    let asked = asked(&query(), state.window.get(), state.shown.get().by);
    format!("/api/stats/usage.csv{}", asked.to_text())
}

/// All rows of a view, answer by answer.
async fn gather(wanted: Query, window: Window, by: By) -> Result<Report, Failure> {
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    let mut answers = 0_u32;
    loop {
        let asked = wanted
            .clone()
            .with("limit", Some("500"))
            .with("cursor", cursor.as_deref());
        let answer: UsageReport = api::get(&format!("/api/stats/usage{}", asked.to_text())).await?;
        rows.extend(answer.items);
        answers = answers.saturating_add(1);
        cursor = answer.next_cursor;
        if cursor.is_none() || answers >= ANSWERS_MAX {
            return Ok(Report {
                asked: wanted,
                window,
                by,
                rows,
                totals: answer.totals,
                truncated: cursor.is_some(),
            });
        }
    }
}
