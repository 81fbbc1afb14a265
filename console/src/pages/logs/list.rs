//! 日志的表：一行一个请求，翻页在下。
//!
//! The table of a page of the log and what leads to newer and older pages. A row is a link to its panel; its last
//! cell shows what the request spent its time with.

use crate::reactive::{Keyed, create_memo, create_selector};
use console_macros::view;
use gateway::admin_api::LogView;
use gateway::log_row::UsageSource;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, MouseEvent};

use super::{State, clear, timeline};
use crate::browser::window;
use crate::components::{
    Badge, Button, EmptyState, FailureState, Skeleton, Tone, icon, remote_view, render,
};
use crate::errors::Kind as FailureKind;
use crate::i18n::{common, logs, plural};
use crate::icons::Icon;
use crate::intl;
use crate::logs_query::{FILTERS, Gathered, is_filtered};
use crate::navigation::{go, query, route, set_params, with_query};
use crate::range::{Preset, Range, milliseconds};
use crate::route::Route;

/// Skeleton, failure, nothing, or the rows.
#[component(inline_props)]
pub(super) fn ListCard(state: State) -> View {
    let page = state.page;
    let refused = create_selector(move || {
        let failure = page.failure.get_clone();
        failure.filter(|failure| failure.kind != FailureKind::Offline)
    });
    view! {
        (match refused.get_clone() {
            Some(failure) => view! { FailureState(failure=failure, retry=move || page.reload()) },
            None => remote_view(
                page,
                || view! { div(class="card") { Skeleton(rows=12) } },
                move |page: ReadSignal<Gathered>| rows(state, page),
            ),
        })
    }
}

fn rows(state: State, page: ReadSignal<Gathered>) -> View {
    let list = create_memo(move || page.with(|page| page.rows.clone()));
    let is_empty = create_selector(move || list.with(Vec::is_empty));
    let busy = state.page.busy;
    let ended = create_selector(move || page.with(|page| page.next.is_none()));
    view! {
        (if is_empty.get() && ended.get() {
            nothing(state)
        } else {
            view! {
                div(class="card is-flush logs-card", aria-busy=move || busy.get().then_some("true")) {
                    div(class="table-frame", tabindex="0", role="region", aria-label=logs::title()) {
                        table(class="table is-cards logs-table") {
                            thead {
                                tr {
                                    th(scope="col") { (logs::time()) }
                                    th(scope="col") { (logs::status()) }
                                    th(scope="col") { (logs::app()) }
                                    th(scope="col") { (logs::model()) }
                                    th(scope="col") { (logs::server()) }
                                    th(scope="col", class="is-number") { (logs::tokens()) }
                                    th(scope="col", class="is-number") { (logs::wait()) }
                                    th(scope="col", class="is-number") { (logs::first()) }
                                    th(scope="col", class="is-number") { (logs::total()) }
                                    th(scope="col", class="logs-course-head") { (logs::course()) }
                                }
                            }
                            tbody {
                                Keyed(list=list, view=move |row| line(state, row), key=|row: &LogView| row.request_id.clone())
                            }
                        }
                    }
                    (foot(state, page))
                }
            }
        })
    }
}

fn line(state: State, row: LogView) -> View {
    let path = Route::Log(row.request_id.clone());
    let (link, pressed, mine) = (path.clone(), path.clone(), path);
    let is_open = create_selector(move || route() == mine);
    let time = milliseconds(&row.started_at).unwrap_or_default();
    let server = row.server_id.clone();
    let code = row.error_code.clone();
    let bar = timeline::small(&row);
    let tokens = tokens(&row);
    let position = row.queue_position;
    view! {
        tr(
            class=if is_open.get() { "is-open" } else { "" },
            on:click=move |event: MouseEvent| if is_free(&event) { go(&with_query(&pressed)) },
        ) {
            th(scope="row", class="logs-time") {
                a(href=with_query(&link), aria-current=move || is_open.get().then_some("true")) { (intl::stamp(time)) }
            }
            td(data-label=logs::status()) {
                span(class="logs-status") {
                    Badge(tone=tone(row.status)) { (row.status.to_string()) }
                    (code.clone().map(|code| view! { span(class="logs-code") { (code) } }))
                }
            }
            td(data-label=logs::app(), class="logs-name") { (row.app.clone()) }
            td(data-label=logs::model(), class="logs-name") { (row.model.clone()) }
            td(data-label=logs::server(), class="logs-name") { (server_name(state, &server)) }
            td(data-label=logs::tokens(), class="is-number") { (tokens) }
            td(data-label=logs::wait(), class=if position > 0 { "is-number" } else { "is-number is-zero" }) { (intl::span(row.queue_wait_ms)) }
            td(data-label=logs::first(), class="is-number") { (row.ttft_ms.map_or_else(|| "—".to_owned(), intl::span)) }
            td(data-label=logs::total(), class="is-number") { (intl::span(row.total_ms)) }
            td(class="logs-course") { (bar) }
        }
    }
}

/// Whether a click is meant for the row: not for a link in it, and not the end of selecting text.
fn is_free(event: &MouseEvent) -> bool {
    let target: Option<Element> = event.target().and_then(|target| target.dyn_into().ok());
    let on_link = target.and_then(|target| target.closest("a, button").ok().flatten());
    let selects = window()
        .get_selection()
        .ok()
        .flatten()
        .is_some_and(|selection| !selection.is_collapsed());
    let modified = event.meta_key() || event.ctrl_key() || event.shift_key() || event.alt_key();
    on_link.is_none() && !selects && !modified
}

fn tokens(row: &LogView) -> View {
    let text = intl::integer(row.total_tokens);
    let Some(told) = source(row.usage_source) else {
        return view! { (text) };
    };
    let mark = match row.usage_source {
        UsageSource::Reserved => "≤",
        UsageSource::Exact | UsageSource::Estimated => "≈",
    };
    view! {
        span(class="logs-inexact", title=told) {
            span(aria-hidden="true") { (mark) }
            (text)
            span(class="visually-hidden") { (told) }
        }
    }
}

/// What there is to say about tokens that are not exact.
pub(super) fn source(source: UsageSource) -> Option<&'static str> {
    match source {
        UsageSource::Exact => None,
        UsageSource::Estimated => Some(logs::estimated()),
        UsageSource::Reserved => Some(logs::reserved()),
    }
}

/// How serious a status is: what the server or the gateway did wrong is worse than what a caller did.
pub(super) const fn tone(status: u16) -> Tone {
    match status {
        200..=399 => Tone::Good,
        499 => Tone::Neutral,
        400..=498 => Tone::Warning,
        _ => Tone::Bad,
    }
}

/// What a server is called; one that is no more has its id only.
pub(super) fn server_name(state: State, id: &str) -> String {
    let name = state.servers.with(|names| names.get(id).cloned());
    name.unwrap_or_else(|| id.to_owned())
}

fn nothing(state: State) -> View {
    let filtered = create_selector(|| is_filtered(&query()));
    let short = create_selector(move || !matches!(state.range.get(), Range::Preset(Preset::Month)));
    let names = move || {
        let query = query();
        let set: Vec<&str> = FILTERS
            .iter()
            .filter(|name| query.get(name).is_some())
            .map(|name| filter_name(name))
            .collect();
        set.join(logs::joined())
    };
    let longer = move || {
        view! {
            (if short.get() {
                view! { Button(icon=Icon::Calendar, on:click=|_| set_params(&[("range", Some("30d")), ("from", None), ("to", None), ("cursor", None)])) { (logs::last_month()) } }
            } else {
                View::new()
            })
        }
    };
    view! {
        (if filtered.get() {
            view! {
                EmptyState(
                    icon=Icon::Filter,
                    title=logs::empty_filtered,
                    hint=move || logs::empty_filtered_hint(&names()),
                    actions=render(move || view! {
                        Button(icon=Icon::Close, on:click=|_| clear()) { (logs::clear_filters()) }
                        (longer())
                    }),
                )
            }
        } else {
            view! { EmptyState(icon=Icon::Logs, title=logs::empty, hint=logs::empty_hint, actions=render(longer)) }
        })
    }
}

fn filter_name(name: &str) -> &'static str {
    match name {
        "server_id" => logs::server(),
        "app" => logs::app(),
        "model" => logs::model(),
        "key_id" => logs::key(),
        "status" => logs::status(),
        "error_code" => logs::error_code(),
        _ => logs::request_id(),
    }
}

/// How many rows, and the ways to other pages. Each is a place of its own, so "back" leads back.
fn foot(state: State, page: ReadSignal<Gathered>) -> View {
    let count = create_selector(move || page.with(|page| page.rows.len()));
    let next = create_selector(move || page.with(|page| page.next.clone()));
    let short = create_selector(move || page.with(Gathered::is_short));
    let reached = create_selector(move || {
        page.with(|page| {
            let last = page.rows.last();
            last.and_then(|row| milliseconds(&row.started_at))
        })
    });
    let is_first = create_selector(|| query().get("cursor").is_none());
    let newer = create_selector(move || {
        state
            .trail
            .with(|trail| trail.newer().map(|cursor| cursor.map(str::to_owned)))
    });
    let link = |cursor: Option<&str>| format!("/logs{}", query().with("cursor", cursor).to_text());
    view! {
        (if short.get() {
            view! {
                div(class="logs-short", role="status") {
                    p {
                        (logs::short()) " "
                        (reached.get().map(|time| logs::short_at(&intl::stamp(time))).unwrap_or_default())
                    }
                    (next.get_clone().map(|cursor| view! {
                        a(class="button is-small", href=link(Some(&cursor))) { (icon(Icon::Search)) span(class="button-label") { (logs::search_on()) } }
                    }))
                }
            }
        } else {
            View::new()
        })
        nav(class="logs-foot", aria-label=logs::pages()) {
            span(class="logs-count") {
                ({
                    let many = u64::try_from(count.get()).unwrap_or(u64::MAX);
                    logs::shown(&intl::integer(many), plural(many))
                })
                (if next.with(Option::is_none) { view! { span(class="is-faint") { " · " (logs::end()) } } } else { View::new() })
            }
            span(class="logs-pages") {
                (if is_first.get() { View::new() } else { view! { a(class="button is-small", href=link(None)) { (logs::newest()) } } })
                (newer.get_clone().map(|cursor| view! {
                    a(class="button is-small", rel="prev", href=link(cursor.as_deref())) { (icon(Icon::Left)) span(class="button-label") { (logs::newer()) } }
                }))
                (next.get_clone().map(|cursor| view! {
                    a(class="button is-small", rel="next", href=link(Some(&cursor))) { span(class="button-label") { (logs::older()) } (icon(Icon::Right)) }
                }))
            }
        }
        span(class="visually-hidden", role="status") { (if state.page.busy.get() { common::loading() } else { "" }) }
    }
}
