//! 审计页面：谁在何时改了什么。
//!
//! The page of the audit trail: newest first, by day, a page at a time. Which entries are shown, and from where,
//! stands in the query of the URL, so that a link and the back button lead to the same. The names of objects
//! come from the lists of what exists now, and of what is gone from the entries themselves.

pub mod entry;
pub mod filters;

use std::collections::HashMap;

use crate::reactive::{create_effect, create_memo, create_selector};
use console_macros::view;
use gateway::admin_api::AuditView;
use sycamore::prelude::*;

use crate::api::{Key, List, Server};
use crate::audit_detail::{Change, changes, names, order};
use crate::browser::window;
use crate::components::{
    Button, Card, EmptyState, LinkButton, PageHeader, Skeleton, remote_view, render,
};
use crate::i18n::audit;
use crate::icons::Icon;
use crate::intl;
use crate::navigation::{param, query};
use crate::query::Query;
use crate::range::milliseconds;
use crate::remote::{Phase, Remote, load};
use crate::route::Route;

const PAGE_LEN: u32 = 50;

/// What a change was made to, as far as it is known.
#[derive(Clone, PartialEq)]
pub enum Object {
    /// Nothing in particular: an order.
    None,
    /// It exists.
    There {
        /// Its name now.
        name: String,
        /// Where it is shown.
        path: String,
    },
    /// It is in no list that is at hand.
    Named {
        /// Its last name that is known, else its id.
        name: String,
        /// Those lists are complete, so it was deleted.
        gone: bool,
    },
}

/// An entry with what is told about it.
#[derive(Clone, PartialEq)]
pub struct Listed {
    /// As the API shows it.
    pub entry: AuditView,
    /// The fields that it wrote.
    pub changes: Vec<Change>,
    /// What it was made to.
    pub object: Object,
    /// The names of an order.
    pub order: Vec<String>,
}

/// The page.
#[component]
pub fn AuditPage() -> View {
    let trail = load::<List<AuditView>>(path);
    let servers = load::<List<Server>>(|| "/api/servers?limit=500".to_owned());
    let keys = load::<List<Key>>(|| "/api/keys?limit=500".to_owned());
    let existing = create_memo(move || existing(servers, keys));
    // Names come with these; the trail is drawn once.
    let settled = create_selector(move || {
        servers.phase() != Phase::Loading && keys.phase() != Phase::Loading
    });
    let chosen = create_memo(move || {
        let id = param("target_id")?;
        let known = existing.with(|known| known.objects.get(&id).map(|(name, _)| name.clone()));
        let told = || {
            trail
                .data
                .with(|list| names(&list.as_ref()?.items).remove(&id))
        };
        Some(known.or_else(told).unwrap_or(id))
    });
    // Another page of the list begins at its top.
    let cursor = create_selector(|| param("cursor"));
    let first = std::cell::Cell::new(true);
    create_effect(move || {
        cursor.track();
        if !first.replace(false) {
            window().scroll_to_with_x_and_y(0.0, 0.0);
        }
    });
    view! {
        PageHeader(title=audit::title, hint=audit::hint)
        filters::Filters(chosen=chosen)
        (remote_view(trail, waiting, move |list| view! {
            (if settled.get() {
                view! { Trail(list=list, existing=existing, busy=*trail.busy) }
            } else {
                waiting()
            })
        }))
    }
}

fn waiting() -> View {
    view! { Card { Skeleton(rows=8) } }
}

/// What exists now, as far as the lists at hand tell.
#[derive(Clone, PartialEq, Eq)]
pub struct Existing {
    /// Name and path by id.
    objects: HashMap<String, (String, String)>,
    /// Both lists are there as a whole.
    complete: bool,
}

fn existing(servers: Remote<List<Server>>, keys: Remote<List<Key>>) -> Existing {
    let mut known = HashMap::new();
    let mut complete = true;
    servers.data.with(|list| {
        complete &= list.as_ref().is_some_and(|list| list.next_cursor.is_none());
        for server in list.iter().flat_map(|list| &list.items) {
            let path = Route::Server(server.id.clone()).path();
            known.insert(server.id.clone(), (server.name.clone(), path));
        }
    });
    keys.data.with(|list| {
        complete &= list.as_ref().is_some_and(|list| list.next_cursor.is_none());
        for key in list.iter().flat_map(|list| &list.items) {
            let path = format!("/keys?key={}", key.id);
            known.insert(key.id.clone(), (key.name.clone(), path));
        }
    });
    Existing {
        objects: known,
        complete,
    }
}

/// What is asked for.
fn path() -> String {
    let mut asked = Query::default().with("limit", Some(&PAGE_LEN.to_string()));
    for name in filters::FILTERS.iter().chain(&["cursor"]) {
        asked = asked.with(name, param(name).as_deref());
    }
    format!("/api/audit{}", asked.to_text())
}

#[component(inline_props)]
fn Trail(
    list: ReadSignal<List<AuditView>>,
    existing: ReadSignal<Existing>,
    busy: ReadSignal<bool>,
) -> View {
    let none = create_selector(move || list.with(|list| list.items.is_empty()));
    let days =
        create_memo(move || list.with(|list| existing.with(|known| by_day(&list.items, known))));
    let older = create_selector(move || list.with(|list| list.next_cursor.clone()));
    let moved = create_selector(|| param("cursor").is_some());
    let at = |cursor: Option<&str>| format!("/audit{}", query().with("cursor", cursor).to_text());
    view! {
        (if none.get() {
            nothing()
        } else {
            view! {
                div(class="audit-days", aria-busy=if busy.get() { "true" } else { "false" }) {
                    (days.get_clone().into_iter().map(day).collect::<Vec<_>>())
                }
            }
        })
        div(class="audit-pages") {
            (if moved.get() {
                view! { LinkButton(href=move || at(None), icon=Icon::Up) { (audit::newest()) } }
            } else {
                View::new()
            })
            (match older.get_clone() {
                Some(next) => view! { LinkButton(href=move || at(Some(&next)), icon=Icon::Down) { (audit::older()) } },
                None if moved.get() || list.with(|list| list.items.len() > 10) => {
                    view! { p(class="is-faint") { (audit::at_end()) } }
                }
                None => View::new(),
            })
        }
    }
}

fn nothing() -> View {
    let filtered = filters::is_filtered();
    if filtered {
        let actions =
            render(|| view! { Button(on:click=|_| filters::clear()) { (audit::clear()) } });
        view! { EmptyState(icon=Icon::Filter, title=audit::none_title, actions=actions) }
    } else {
        view! { EmptyState(icon=Icon::Audit, title=audit::empty_title, hint=audit::empty_hint) }
    }
}

#[derive(Clone, PartialEq)]
struct Day {
    first_ms: u64,
    entries: Vec<Listed>,
}

fn day(day: Day) -> View {
    let first = day.first_ms;
    let entries: Vec<View> = day.entries.into_iter().map(entry::entry).collect();
    view! {
        section(class="audit-day") {
            h2(class="audit-date") { (intl::long_day(first)) }
            Card(class="is-flush") { ol(class="audit-list") { (entries) } }
        }
    }
}

/// Entries by the day on which they were made, where the browser is.
fn by_day(entries: &[AuditView], known: &Existing) -> Vec<Day> {
    let told = names(entries);
    let name = |id: &str| {
        let now = known.objects.get(id).map(|(name, _)| name.clone());
        now.or_else(|| told.get(id).cloned())
            .unwrap_or_else(|| id.to_owned())
    };
    let mut days: Vec<Day> = Vec::new();
    for (entry, mut changes) in entries.iter().zip(changes(entries)) {
        if entry.action == "create" {
            // The sentence has it, unless the object is called otherwise now.
            let called = name(&entry.target_id);
            changes.retain(|change| change.field != "name" || change.after != called);
        }
        let object = match known.objects.get(&entry.target_id) {
            _ if entry.target_id.is_empty() => Object::None,
            Some((name, path)) => Object::There {
                name: name.clone(),
                path: path.clone(),
            },
            None => Object::Named {
                name: name(&entry.target_id),
                gone: known.complete,
            },
        };
        let listed = Listed {
            entry: entry.clone(),
            changes,
            object,
            order: order(entry).iter().map(|id| name(id)).collect(),
        };
        let at = milliseconds(&entry.at).unwrap_or_default();
        match days.last_mut() {
            Some(day) if intl::long_day(day.first_ms) == intl::long_day(at) => {
                day.entries.push(listed);
            }
            _ => days.push(Day {
                first_ms: at,
                entries: vec![listed],
            }),
        }
    }
    days
}
