//! 日志页面：每个请求一行，筛选、翻页、自动刷新。
//!
//! The page of the log: filters, a page of rows with the way to newer and older ones, and beside it the panel of one
//! request. All of its state is in the query of the URL, the panel's request in its path. It changes nothing.

mod list;
mod panel;
mod timeline;

use std::collections::BTreeMap;

use crate::reactive::{create_effect, create_memo, create_selector};
use console_macros::view;
use gateway::admin_api::LogView;
use sycamore::prelude::*;

use crate::api::{self, List};
use crate::browser::{document, sleep};
use crate::components::{
    Button, FilterSelect, FilterText, IconButton, Kind as ButtonKind, LinkButton, PageHeader,
    RangePicker, Switch, clock, render, use_range,
};
use crate::errors::Failure;
use crate::i18n::{common, logs};
use crate::icons::Icon;
use crate::logs_query::{ERROR_CODES, FILTERS, Gathered, Statuses, Trail, asked, is_filtered};
use crate::navigation::{param, query, set_params};
use crate::query::Query;
use crate::range::{Preset, Range};
use crate::remote::{self, Remote};
use crate::series::sort_by;
use crate::task::spawn;

/// Between two looks at the log while it is watched.
const LIVE_PAUSE_MS: u32 = 3_000;

/// What the parts of the page share.
#[derive(Clone, Copy)]
struct State {
    range: ReadSignal<Range>,
    page: Remote<Gathered>,
    trail: ReadSignal<Trail>,
    /// Names of servers and keys, by id.
    servers: ReadSignal<BTreeMap<String, String>>,
    keys: ReadSignal<BTreeMap<String, String>>,
}

/// The page.
#[component]
pub fn LogsPage() -> View {
    let range = use_range(Preset::Day);
    let servers = names::<api::Server>("/api/servers?limit=500", |server| (server.id, server.name));
    let keys = names::<api::Key>("/api/keys?limit=500", |key| (key.id, key.name));
    let cursor = create_selector(|| param("cursor"));
    // The clock is no part of it: a preset means a little later with each call.
    let wanted = create_selector(move || (asked(&query(), range.get(), 0), cursor.get_clone()));
    let statuses = create_selector(|| Statuses::read(param("status").as_deref()));
    let page = remote::load_by(move || {
        wanted.track();
        let query = asked(&query(), range.get(), clock());
        gather(query, cursor.get_clone(), statuses.get())
    });
    let trail = create_signal(Trail::default());
    let filters = create_selector(move || asked(&query(), range.get(), 0));
    create_effect(move || {
        filters.track();
        trail.set_silent(Trail::default());
    });
    create_effect(move || {
        wanted.track();
        let mut next = trail.get_clone_untracked();
        next.visit(cursor.get_clone().as_deref());
        trail.set(next);
    });
    let live = create_selector(|| param("live").is_some());
    create_effect(move || {
        if live.get() && cursor.with(Option::is_none) {
            spawn(async move {
                loop {
                    sleep(LIVE_PAUSE_MS).await;
                    if !document().hidden() && !page.busy.get_untracked() {
                        page.reload();
                    }
                }
            });
        }
    });
    let state = State {
        range,
        page,
        trail: *trail,
        servers,
        keys,
    };
    view! {
        PageHeader(title=logs::title, hint=logs::hint, actions=render(move || view! {
            RangePicker(range=range)
            div(class="logs-tools") {
                (watch())
                IconButton(icon=Icon::Refresh, label=common::refresh, on:click=move |_| page.reload())
                LinkButton(
                    href=move || file(range),
                    icon=Icon::Download,
                    download="",
                    title=move || if matches!(statuses.get(), Statuses::Class(_)) { logs::download_class() } else { logs::download_hint() },
                ) { (logs::download()) }
            }
        }))
        (filter_bar(state))
        list::ListCard(state=state)
        panel::Panel(state=state)
    }
}

/// The switch of automatic looks.
fn watch() -> View {
    let on = create_signal(param("live").is_some());
    let wanted = create_selector(|| param("live").is_some());
    create_effect(move || on.set(wanted.get()));
    view! {
        Switch(label=logs::live, on=on, on_change=|on: bool| set_params(&[("live", on.then_some("1"))]))
    }
}

fn filter_bar(state: State) -> View {
    let filtered = create_selector(|| is_filtered(&query()));
    let apps = move || distinct(state, |row| row.app.clone());
    let models = move || distinct(state, |row| row.model.clone());
    view! {
        div(class="filters", role="group", aria-label=logs::filters()) {
            FilterSelect(param="status", label=logs::status, options=statuses)
            FilterSelect(param="server_id", label=logs::server, options=move || listed(state.servers))
            FilterText(id="filter-app", param="app", label=logs::app, suggestions=apps, most=64)
            FilterText(id="filter-model", param="model", label=logs::model, suggestions=models)
            FilterSelect(param="key_id", label=logs::key, options=move || listed(state.keys))
            FilterSelect(param="error_code", label=logs::error_code, options=move || ERROR_CODES.map(|code| (code.to_owned(), code.to_owned())).to_vec())
            FilterText(id="filter-request", param="request_id", label=logs::request_id, most=192)
            (if filtered.get() {
                view! { Button(kind=ButtonKind::Quiet, icon=Icon::Close, on:click=|_| clear()) { (logs::clear_filters()) } }
            } else {
                View::new()
            })
        }
    }
}

fn statuses() -> Vec<(String, String)> {
    let words = [
        ("2xx", logs::is_2xx()),
        ("4xx", logs::is_4xx()),
        ("5xx", logs::is_5xx()),
        ("200", logs::is_200()),
        ("499", logs::is_499()),
        ("429", "429"),
        ("500", "500"),
        ("502", "502"),
        ("503", "503"),
        ("504", "504"),
    ];
    words
        .iter()
        .map(|(value, label)| ((*value).to_owned(), (*label).to_owned()))
        .collect()
}

/// What the rows of the page have: suggestions, nothing more.
fn distinct(state: State, of: fn(&LogView) -> String) -> Vec<String> {
    let page = state.page.data.get_clone();
    let mut all: Vec<String> = page
        .map(|page| page.rows.iter().map(of).collect())
        .unwrap_or_default();
    sort_by(&mut all, &Ord::cmp);
    all.dedup();
    all
}

fn listed(names: ReadSignal<BTreeMap<String, String>>) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = names.get_clone().into_iter().collect();
    sort_by(&mut all, &|a, b| a.1.cmp(&b.1));
    all
}

fn names<T: serde::de::DeserializeOwned + Clone + 'static>(
    path: &'static str,
    pair: fn(T) -> (String, String),
) -> ReadSignal<BTreeMap<String, String>> {
    let list = remote::load::<List<T>>(move || path.to_owned());
    create_memo(move || {
        let items = list.data.get_clone().map(|list| list.items);
        let mut names = BTreeMap::new();
        names.extend(items.unwrap_or_default().into_iter().map(pair));
        names
    })
}

fn clear() {
    let mut changes: Vec<(&str, Option<&str>)> = FILTERS.iter().map(|name| (*name, None)).collect();
    changes.push(("cursor", None));
    set_params(&changes);
}

/// The file with all rows that pass the filters.
fn file(range: ReadSignal<Range>) -> String {
    let asked = asked(&query(), range.get(), clock());
    format!("/api/logs.csv{}", asked.to_text())
}

/// A page, answer by answer.
async fn gather(
    query: Query,
    cursor: Option<String>,
    statuses: Statuses,
) -> Result<Gathered, Failure> {
    let mut page = Gathered::from(cursor, statuses);
    while let Some(call) = page.call(&query) {
        let answer: List<LogView> = api::get(&format!("/api/logs{}", call.to_text())).await?;
        page.take(answer.items, answer.next_cursor);
    }
    Ok(page)
}
