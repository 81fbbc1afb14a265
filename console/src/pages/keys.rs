//! 密钥页面：谁能用网关，凭什么，到何时。
//!
//! The page of gateway keys. Owns their list and which panel stands open beside it: the form of a new key or of
//! one of the list, a secret that was just made, and what asks before something is lost. The secret lives in a
//! signal of this page and nowhere else.
//!
//! Invariant: a secret that was not copied is not closed without asking, nor is a form that was changed.

#![allow(
    clippy::large_types_passed_by_value,
    reason = "what the parts share is a set of handles, copied like one"
)]

pub mod form;
pub mod panels;
pub mod row;
pub mod secret;

use crate::reactive::{Keyed, create_effect, create_memo, create_selector};
use console_macros::view;
use serde::Deserialize;
use sycamore::prelude::*;

use crate::api::{self, Key, List, Server};
use crate::browser::{listen, window};
use crate::components::{
    Button, Card, EmptyState, Kind, LinkButton, PageHeader, Skeleton, TextInput, remote_view,
    render, toast_failure,
};
use crate::i18n::{common, keys};
use crate::icons::Icon;
use crate::intl::integer;
use crate::keys_form::matches;
use crate::navigation::{param, set_params};
use crate::remote::{Remote, load};
use crate::session;
use crate::task::{self, Tasks, use_tasks};

/// The most that the API gives at a time.
const PAGE: &str = "/api/keys?limit=500";
/// From so many keys on a search is worth its place.
const SEARCH_FROM: usize = 8;

/// The answer that creates or rotates a key.
#[derive(Clone, PartialEq, Deserialize)]
pub struct Created {
    /// The key as lists show it.
    #[serde(flatten)]
    pub view: Key,
    /// The secret.
    pub key: String,
}

/// What the parts of the page share.
#[derive(Clone, Copy)]
pub struct Desk {
    /// The keys that were loaded.
    pub list: Remote<List<Key>>,
    /// For suggestions and snippets.
    pub servers: Remote<List<Server>>,
    /// What must not end with a panel: a secret is on its way.
    pub tasks: Tasks,
    /// The secret that is shown.
    pub secret: Signal<Option<Created>>,
    /// Whether it was copied.
    pub copied: Signal<bool>,
    /// The key whose secret is about to be replaced.
    pub rotating: Signal<Option<Key>>,
    /// The key that is about to be deleted.
    pub deleting: Signal<Option<Key>>,
    /// What was typed for a new key; stays when the panel closes.
    pub new_key: form::Fields,
    /// The open form differs from what is stored.
    pub changed: Signal<bool>,
    /// A form is being sent.
    pub saving: Signal<bool>,
}

impl Desk {
    /// Puts a key into the list, in its place or at the end.
    pub fn put(self, key: Key) {
        self.list.data.update(|list| {
            let Some(list) = list else { return };
            match list.items.iter_mut().find(|one| one.id == key.id) {
                Some(place) => *place = key,
                None => list.items.push(key),
            }
        });
    }

    /// Takes a key out of the list.
    pub fn remove(self, id: &str) {
        self.list.data.update(|list| {
            if let Some(list) = list {
                list.items.retain(|one| one.id != id);
            }
        });
    }

    /// Shows a secret, once.
    pub fn show(self, created: Created) {
        task::batch(move || {
            self.put(created.view.clone());
            self.copied.set(false);
            self.secret.set(Some(created));
            set_params(&[("new", None), ("key", None)]);
        });
    }

    /// The models that servers list, each once.
    #[must_use]
    pub fn server_models(self) -> Vec<String> {
        let mut models: Vec<String> = Vec::new();
        self.servers.data.with(|list| {
            let servers = list.iter().flat_map(|list| &list.items);
            for model in servers.flat_map(|server| &server.models) {
                if !models.contains(model) {
                    models.push(model.clone());
                }
            }
        });
        models
    }
}

/// The page.
#[component]
pub fn KeysPage() -> View {
    let desk = Desk {
        list: load(|| PAGE.to_owned()),
        servers: load(|| "/api/servers?limit=500".to_owned()),
        tasks: use_tasks(),
        secret: create_signal(None),
        copied: create_signal(false),
        rotating: create_signal(None),
        deleting: create_signal(None),
        new_key: form::Fields::empty(),
        changed: create_signal(false),
        saving: create_signal(false),
    };
    provide_context(desk);
    listen(&window(), "beforeunload", move |event: web_sys::Event| {
        let shown = desk.secret.with_untracked(Option::is_some);
        if shown && !desk.copied.get_untracked() {
            event.prevent_default();
        }
    });
    let actions = render(|| {
        view! {
            (if session::is_admin() {
                view! { LinkButton(href="/keys?new=1", kind=Kind::Primary, icon=Icon::Add) { (keys::create()) } }
            } else {
                View::new()
            })
        }
    });
    view! {
        PageHeader(title=keys::title, hint=keys::hint, actions=actions)
        (remote_view(desk.list, || view! { Card { Skeleton(rows=6) } }, move |list| {
            let is_empty = create_selector(move || list.with(|list| list.items.is_empty()));
            view! {
                (if is_empty.get() { nothing() } else { view! { Listed(list=list) } })
            }
        }))
        panels::Panels()
    }
}

fn nothing() -> View {
    let actions = render(|| {
        view! {
            (if session::is_admin() {
                view! { LinkButton(href="/keys?new=1", kind=Kind::Primary, icon=Icon::Add) { (keys::create()) } }
            } else {
                view! { p(class="is-soft") { (keys::empty_viewer()) } }
            })
        }
    });
    view! { EmptyState(icon=Icon::Keys, title=keys::empty_title, hint=keys::empty_hint, actions=actions) }
}

#[component(inline_props)]
fn Listed(list: ReadSignal<List<Key>>) -> View {
    let desk = use_context::<Desk>();
    let wanted = create_signal(param("q").unwrap_or_default());
    create_effect(move || {
        wanted.with(|wanted| {
            set_params(&[("q", Some(wanted.trim()).filter(|text| !text.is_empty()))]);
        });
    });
    let searchable = create_selector(move || {
        list.with(|list| list.items.len() >= SEARCH_FROM)
            || wanted.with(|wanted| !wanted.is_empty())
    });
    let shown = create_memo(move || {
        list.with(|list| {
            let keys = list.items.iter();
            let found = keys.filter(|key| wanted.with(|wanted| matches(key, wanted)));
            found.map(|key| key.id.clone()).collect::<Vec<_>>()
        })
    });
    let has_more = create_selector(move || list.with(|list| list.next_cursor.is_some()));
    let none = create_selector(move || shown.with(Vec::is_empty));
    let admin = create_selector(session::is_admin);
    view! {
        (if searchable.get() {
            view! {
                div(class="keys-tools") {
                    TextInput(id="keys-search", value=wanted, kind="search", "placeholder"=keys::search_hint(), "aria-label"=keys::search())
                    p(class="is-faint", role="status") {
                        (keys::count(&integer(u64::try_from(shown.with(Vec::len)).unwrap_or_default())))
                        (if has_more.get() { format!(" · {}", keys::only_loaded()) } else { String::new() })
                    }
                }
            }
        } else {
            View::new()
        })
        (if none.get() {
            let searched = wanted.get_clone();
            view! {
                EmptyState(icon=Icon::Search, title=move || keys::nothing_found(&searched), actions=render(move || view! {
                    Button(on:click=move |_| wanted.set(String::new())) { (common::clear()) }
                }))
            }
        } else {
            view! {
                Card(class="is-flush keys-list") {
                    table(class="table is-cards keys-table") {
                        caption(class="visually-hidden") { (keys::title()) }
                        thead {
                            tr {
                                th(scope="col") { (keys::name()) }
                                th(scope="col") { (keys::app()) }
                                th(scope="col") { (keys::models()) }
                                th(scope="col") { (keys::status()) }
                                th(scope="col") { (keys::expires()) }
                                th(scope="col", class="keys-created") { (keys::created()) }
                                (if admin.get() {
                                    view! { th(scope="col", class="is-tight") { span(class="visually-hidden") { (keys::actions()) } } }
                                } else {
                                    View::new()
                                })
                            }
                        }
                        tbody {
                            Keyed(list=shown, key=String::clone, view=move |id| view! { row::Row(id=id, list=list) })
                        }
                    }
                }
            }
        })
        (if has_more.get() {
            view! { div(class="keys-more") { More(desk=desk) } }
        } else {
            View::new()
        })
    }
}

#[component(inline_props)]
fn More(desk: Desk) -> View {
    let busy = create_signal(false);
    let tasks = use_tasks();
    let press = move |_| {
        let next = desk
            .list
            .data
            .with_untracked(|list| list.as_ref()?.next_cursor.clone());
        let Some(next) = next else { return };
        busy.set(true);
        tasks.run(async move {
            let path = format!("{PAGE}&cursor={next}");
            match api::get::<List<Key>>(&path).await {
                Ok(page) => desk.list.data.update(|list| {
                    let Some(list) = list else { return };
                    list.next_cursor = page.next_cursor;
                    for key in page.items {
                        // One that was created meanwhile stands at the end already.
                        list.items.retain(|one| one.id != key.id);
                        list.items.push(key);
                    }
                }),
                Err(failure) => toast_failure(&failure),
            }
            if busy.is_alive() {
                busy.set(false);
            }
        });
    };
    view! { Button(busy=busy, on:click=press) { (common::load_more()) } }
}
