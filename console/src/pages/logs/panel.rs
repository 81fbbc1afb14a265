//! 一个请求的侧栏：时间线、全部字段、同类请求。
//!
//! The panel of one request, at its own path: it opens from a row or from a link, and goes to the rows before and
//! after with the arrow keys. It knows what the log knows; there is no prompt and no answer anywhere.

use crate::reactive::create_selector;
use console_macros::view;
use gateway::admin_api::LogView;
use gateway::log_row::UsageSource;
use sycamore::prelude::*;
use web_sys::KeyboardEvent;

use super::{State, list, timeline};
use crate::api::{self, List};
use crate::browser::{listen, window};
use crate::components::{
    Badge, Button, CopyButton, Dialog, EmptyState, IconButton, Shape, Skeleton, remote_view, render,
};
use crate::errors::Failure;
use crate::figures::lossy;
use crate::i18n::{common, logs};
use crate::icons::Icon;
use crate::intl;
use crate::navigation::{go, query, replace, route, with_query};
use crate::query::Query;
use crate::range::milliseconds;
use crate::remote;
use crate::route::Route;

/// The panel; closed while the path names no request.
#[component(inline_props)]
pub(super) fn Panel(state: State) -> View {
    let id = create_selector(|| match route() {
        Route::Log(id) => Some(id),
        _ => None,
    });
    view! {
        Dialog(
            open=move || id.with(Option::is_some),
            title=logs::request,
            shape=Shape::Side,
            on_close=|| go(&with_query(&Route::Logs)),
            body=render(move || body(state, id)),
        )
    }
}

fn body(state: State, id: ReadSignal<Option<String>>) -> View {
    let found = remote::load_by(move || find(state, id.get_clone()));
    let neighbour = move |older: bool| {
        let id = id.get_clone()?;
        let page = state.page.data.get_clone()?;
        let place = page.rows.iter().position(|row| row.request_id == id)?;
        let place = if older {
            place.checked_add(1)
        } else {
            place.checked_sub(1)
        };
        let row = place.and_then(|place| page.rows.get(place));
        row.map(|row| row.request_id.clone())
    };
    let turn = move |older: bool| {
        if let Some(id) = neighbour(older) {
            replace(&with_query(&Route::Log(id)));
        }
    };
    listen(&window(), "keydown", move |event: KeyboardEvent| {
        let plain = !(event.ctrl_key() || event.alt_key() || event.meta_key() || event.shift_key());
        match event.key().as_str() {
            "ArrowUp" if plain => turn(false),
            "ArrowDown" if plain => turn(true),
            _ => return,
        }
        event.prevent_default();
    });
    let first = create_selector(move || neighbour(false).is_none());
    let last = create_selector(move || neighbour(true).is_none());
    view! {
        div(class="dialog-body logs-panel") {
            div(class="logs-panel-bar") {
                code(class="logs-id") { (id.get_clone().unwrap_or_default()) }
                CopyButton(text=move || id.get_clone().unwrap_or_default(), label=logs::copy_id)
                span(class="logs-turn") {
                    IconButton(icon=Icon::Up, label=logs::previous, disabled=first, on:click=move |_| turn(false))
                    IconButton(icon=Icon::Down, label=logs::next, disabled=last, on:click=move |_| turn(true))
                }
            }
            (remote_view(found, || view! { Skeleton(rows=8) }, move |row: ReadSignal<Option<LogView>>| view! {
                (if let Some(row) = row.get_clone() {
                    detail(state, row)
                } else {
                    view! {
                        EmptyState(icon=Icon::Empty, title=logs::not_there, hint=logs::not_there_hint, actions=render(move || view! {
                            Button(icon=Icon::Refresh, on:click=move |_| found.reload()) { (common::retry()) }
                        }))
                    }
                })
            }))
        }
    }
}

/// The row of a request: one that is on the page already, else as the API has it.
async fn find(state: State, id: Option<String>) -> Result<Option<LogView>, Failure> {
    let Some(id) = id else { return Ok(None) };
    let known = state.page.data.with_untracked(|page| {
        let rows = page.as_ref().map(|page| page.rows.iter());
        rows.and_then(|mut rows| rows.find(|row| row.request_id == id).cloned())
    });
    if known.is_some() {
        return Ok(known);
    }
    let asked = Query::default()
        .with("request_id", Some(&id))
        .with("limit", Some("1"));
    let list: List<LogView> = api::get(&format!("/api/logs{}", asked.to_text())).await?;
    Ok(list.items.into_iter().next())
}

fn detail(state: State, row: LogView) -> View {
    let time =
        milliseconds(&row.started_at).map_or_else(|| row.started_at.clone(), intl::precise_time);
    let status = row.status.to_string();
    let tone = list::tone(row.status);
    let code = row.error_code.clone();
    let code = code.map(|code| view! { code(class="logs-code") { (code) } });
    let told = told(&row).map(|told| view! { p(class="logs-told") { (told) } });
    let course = timeline::large(&row);
    let groups = [
        (logs::routing(), routing(state, &row)),
        (logs::usage(), tokens(&row)),
        (logs::timing(), times(&row)),
    ];
    let groups: Vec<View> = groups
        .into_iter()
        .map(|(title, fields)| view! { section(class="logs-fields") { h3 { (title) } dl { (fields) } } })
        .collect();
    view! {
        div(class="logs-verdict") {
            Badge(tone=tone) { (status) }
            (code)
            span(class="is-soft") { (time) }
            (told)
        }
        (course)
        (groups)
    }
}

fn routing(state: State, row: &LogView) -> Vec<View> {
    let key = if row.key_id.is_empty() {
        logs::no_key().to_owned()
    } else {
        let name = state.keys.with(|names| names.get(&row.key_id).cloned());
        name.unwrap_or_else(|| row.key_id.clone())
    };
    let server = list::server_name(state, &row.server_id);
    let stream = if row.stream {
        logs::streamed()
    } else {
        logs::plain()
    };
    let mut fields = vec![
        linked(logs::app, "app", &row.app, row.app.clone()),
        linked(logs::model, "model", &row.model, row.model.clone()),
        linked(logs::server, "server_id", &row.server_id, server),
        linked(logs::key, "key_id", &row.key_id, key),
        field(logs::endpoint, row.endpoint.clone()),
        field(logs::streaming, stream.to_owned()),
    ];
    if !row.colo.is_empty() {
        fields.push(field(logs::colo, row.colo.clone()));
    }
    fields
}

fn tokens(row: &LogView) -> Vec<View> {
    let source = list::source(row.usage_source).unwrap_or_else(logs::exact);
    let mut fields = vec![
        field(logs::prompt, intl::integer(row.prompt_tokens)),
        field(logs::cached, intl::integer(row.cached_tokens)),
        field(logs::completion, intl::integer(row.completion_tokens)),
        field(logs::all_tokens, intl::integer(row.total_tokens)),
    ];
    if let Some(speed) = speed(row) {
        fields.push(field(logs::speed, logs::tokens_per_second(&speed)));
    }
    fields.push(field(logs::source, source.to_owned()));
    fields
}

fn times(row: &LogView) -> Vec<View> {
    let first = row.ttft_ms.map_or_else(|| "—".to_owned(), intl::span);
    vec![
        field(logs::wait, intl::span(row.queue_wait_ms)),
        field(logs::first, first),
        field(logs::total, intl::span(row.total_ms)),
        field(logs::overhead, intl::span(row.overhead_ms)),
        field(logs::attempts_label, intl::integer(row.attempts)),
    ]
}

fn field(name: fn() -> &'static str, value: String) -> View {
    view! { div { dt { (name()) } dd { (value) } } }
}

/// A field whose value leads to all rows that share it.
fn linked(name: fn() -> &'static str, param: &'static str, value: &str, shown: String) -> View {
    if value.is_empty() {
        return field(name, shown);
    }
    let mut target = Query::default();
    for kept in ["range", "from", "to"] {
        target = target.with(kept, untrack(query).get(kept));
    }
    let href = format!("/logs{}", target.with(param, Some(value)).to_text());
    let title = logs::same(&shown);
    view! { div { dt { (name()) } dd { a(href=href, title=title) { (shown) } } } }
}

/// Tokens of the answer per second, from its first byte to its end.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and far below 2^53"
)]
fn speed(row: &LogView) -> Option<String> {
    let first = row.ttft_ms?;
    let span = row.total_ms.saturating_sub(first);
    let known = row.usage_source == UsageSource::Exact && row.stream;
    (known && span >= 100 && row.completion_tokens > 1).then(|| {
        let rate = lossy(row.completion_tokens) * 1_000.0 / lossy(span);
        intl::integer(rate.round() as u64)
    })
}

/// What a status or an error means, in a sentence.
fn told(row: &LogView) -> Option<&'static str> {
    match (row.error_code.as_deref(), row.status) {
        (Some("queue_timeout"), _) => Some(logs::told_queue_timeout()),
        (Some("queue_evicted"), _) => Some(logs::told_queue_evicted()),
        (Some("queue_full"), _) => Some(logs::told_queue_full()),
        (Some("deadline_unreachable"), _) => Some(logs::told_deadline()),
        (Some("upstream_unreachable"), _) => Some(logs::told_unreachable()),
        (Some("upstream_timeout"), _) => Some(logs::told_upstream_timeout()),
        (Some("upstream_stream_truncated"), _) => Some(logs::told_truncated()),
        (Some("server_overloaded"), _) => Some(logs::told_overloaded()),
        (None, 499) => Some(logs::told_cancelled()),
        (None, 400..) => Some(logs::told_upstream()),
        _ => None,
    }
}
