//! 一把密钥在列表中的一行。
//!
//! Owns how one gateway key is told in a line (a card on a telephone) and the actions that it offers to an
//! administrator. The row lives as long as its key is in the list, so that the focus stays where it was.

use crate::reactive::{create_effect, create_selector};
use console_macros::view;
use sycamore::prelude::*;

use super::Desk;
use crate::api::{self, Key, List};
use crate::browser::element_of;
use crate::components::{Badge, Menu, MenuItem, Tone, clock, render, toast, toast_failure};
use crate::i18n::{common, keys};
use crate::icons::Icon;
use crate::intl;
use crate::keys_form::{State, state};
use crate::navigation::{go, param};
use crate::range::milliseconds;
use crate::session;

/// So many models are named; the rest is counted.
const MODELS_SHOWN: usize = 3;

/// A row of the table.
#[component(inline_props)]
pub fn Row(id: String, list: ReadSignal<List<Key>>) -> View {
    let find = {
        let id = id.clone();
        move || list.with(|list| list.items.iter().find(|key| key.id == id).cloned())
    };
    let Some(first) = untrack(&find) else {
        return View::new();
    };
    let key = create_signal(first);
    create_effect(move || {
        if let Some(found) = find()
            && key.with_untracked(|key| *key != found)
        {
            key.set(found);
        }
    });
    let key = *key;
    let node = create_node_ref();
    let chosen = create_selector({
        let id = id.clone();
        move || param("key").as_deref() == Some(&id)
    });
    on_mount(move || {
        if chosen.get_untracked()
            && let Some(row) = element_of(node)
        {
            row.scroll_into_view();
        }
    });
    let admin = create_selector(session::is_admin);
    let path = format!("/keys?key={id}");
    view! {
        tr(r#ref=node, class=if chosen.get() { "is-chosen" } else { "" }) {
            th(scope="row") {
                div(class="keys-who") {
                    (if admin.get() {
                        let path = path.clone();
                        view! { a(class="keys-name", href=path) { (key.with(|key| key.name.clone())) } }
                    } else {
                        view! { span(class="keys-name") { (key.with(|key| key.name.clone())) } }
                    })
                    span(class="keys-prefix") { (key.with(|key| format!("{}…", key.prefix))) }
                }
            }
            td(data-label=keys::app()) {
                (match key.with(|key| key.app.clone()) {
                    Some(app) => view! { span(class="is-mono keys-app") { (app) } },
                    None => view! { span(class="is-faint") { (keys::any_app()) } },
                })
            }
            td(data-label=keys::models()) { (models(key)) }
            td(data-label=keys::status()) { (status(key)) }
            td(data-label=keys::expires()) { (expiry(key)) }
            td(class="keys-created is-soft", data-label=keys::created()) {
                span(title=key.with(|key| key.created_at.clone())) {
                    (key.with(|key| milliseconds(&key.created_at)).map(intl::short_date_time).unwrap_or_default())
                }
            }
            (if admin.get() { view! { td(class="is-tight keys-actions") { Actions(key=key) } } } else { View::new() })
        }
    }
}

fn models(key: ReadSignal<Key>) -> View {
    view! {
        ({
            let models = key.with(|key| key.models.clone());
            if models.is_empty() {
                view! { span(class="is-faint") { (keys::any_model()) } }
            } else {
                let rest = models.len().saturating_sub(MODELS_SHOWN);
                let all = models.join("\n");
                let shown: Vec<View> = models
                    .into_iter()
                    .take(MODELS_SHOWN)
                    .map(|model| view! { span(class="keys-model") { (model) } })
                    .collect();
                let more = (rest > 0).then(|| view! { span(class="is-faint") { (keys::more_models(&rest.to_string())) } });
                view! { span(class="keys-models", title=all) { (shown) (more) } }
            }
        })
    }
}

fn status(key: ReadSignal<Key>) -> View {
    let old = move || {
        let end = key.with(|key| key.previous_expires_at.as_deref().and_then(milliseconds));
        end.filter(|end| *end > clock())
    };
    view! {
        div(class="keys-status") {
            (match key.with(|key| state(key, clock())) {
                State::Active => view! { Badge(tone=Tone::Good) { (keys::active()) } },
                State::Ending => view! { Badge(tone=Tone::Warning) { (keys::ending()) } },
                State::Expired => view! { Badge(tone=Tone::Bad) { (keys::expired()) } },
                State::Disabled => view! { Badge { (keys::disabled()) } },
            })
            (old().map(|end| view! {
                span(class="keys-old", title=intl::date_time(end)) { (keys::old_secret(&intl::relative(end))) }
            }))
        }
    }
}

fn expiry(key: ReadSignal<Key>) -> View {
    view! {
        (match key.with(|key| key.expires_at.as_deref().and_then(milliseconds)) {
            None => view! { span(class="is-faint") { (keys::never()) } },
            Some(end) => {
                let class = match key.with(|key| state(key, clock())) {
                    State::Ending => "keys-expiry is-ending",
                    State::Expired => "keys-expiry is-expired",
                    State::Active | State::Disabled => "keys-expiry",
                };
                let utc = key.with(|key| key.expires_at.clone().unwrap_or_default());
                view! {
                    span(class=class, title=utc) {
                        span { (intl::relative(end)) }
                        span(class="keys-date") { (intl::short_date_time(end)) }
                    }
                }
            }
        })
    }
}

#[component(inline_props)]
fn Actions(key: ReadSignal<Key>) -> View {
    let desk = use_context::<Desk>();
    let items = render(move || {
        let now = key.get_clone_untracked();
        let path = |start: &str| format!("{start}{}", now.id);
        let (edit, requests, history) = (
            path("/keys?key="),
            path("/logs?key_id="),
            path("/audit?target_id="),
        );
        let enabled = now.enabled;
        view! {
            MenuItem(icon=Icon::Edit, on_choose=move || go(&edit)) { (keys::edit()) }
            MenuItem(icon=Icon::Rotate, on_choose=move || desk.rotating.set(Some(key.get_clone_untracked()))) { (keys::rotate()) }
            MenuItem(icon=if enabled { Icon::Pause } else { Icon::Play }, on_choose=move || switch(desk, key.get_clone_untracked())) {
                (if enabled { keys::disable() } else { keys::enable() })
            }
            MenuItem(icon=Icon::Logs, on_choose=move || go(&requests)) { (keys::requests()) }
            MenuItem(icon=Icon::Audit, on_choose=move || go(&history)) { (keys::history()) }
            MenuItem(icon=Icon::Delete, danger=true, on_choose=move || desk.deleting.set(Some(key.get_clone_untracked()))) { (keys::delete()) }
        }
    });
    let label = move || key.with(|key| keys::actions_for(&key.name));
    let edit = move |_| {
        let path = key.with_untracked(|key| format!("/keys?key={}", key.id));
        go(&path);
    };
    view! {
        div(class="keys-buttons") {
            crate::components::IconButton(icon=Icon::Edit, label=move || key.with(|key| format!("{} {}", common::edit(), key.name)), on:click=edit)
            Menu(label=label, icon=Icon::More, items=items)
        }
    }
}

fn switch(desk: Desk, key: Key) {
    desk.tasks.run(async move {
        let body = serde_json::json!({ "enabled": !key.enabled });
        match api::patch::<Key>(&format!("/api/keys/{}", key.id), &body, None).await {
            Ok(key) => {
                toast(if key.enabled {
                    keys::was_enabled(&key.name)
                } else {
                    keys::was_disabled(&key.name)
                });
                desk.put(key);
            }
            Err(failure) => toast_failure(&failure),
        }
    });
}
