//! 审计的筛选：对象、操作、操作者、时间，都在地址里。
//!
//! Owns the controls that narrow the trail. The query of the URL is the one place where a filter lives; each
//! change of one goes back to the newest entries.

use crate::reactive::{create_effect, create_selector};
use admission::time::Instant;
use console_macros::view;
use gateway::admin_api::rfc3339;
use sycamore::prelude::*;
use web_sys::Event;

use crate::components::range_picker::{instant, local_text};
use crate::components::{Button, Field, IconButton, Kind, Segmented, SelectInput, TextInput};
use crate::i18n::audit;
use crate::icons::Icon;
use crate::navigation::{param, set_params};
use crate::range::milliseconds;

/// Names of filters, in the query and for the API.
pub const FILTERS: [&str; 6] = ["target_kind", "target_id", "action", "actor", "from", "to"];

/// A message.
type Words = fn() -> &'static str;

const ACTIONS: [(&str, Words); 6] = [
    ("", audit::any_action),
    ("create", audit::action_create),
    ("update", audit::action_update),
    ("delete", audit::action_delete),
    ("rotate", audit::action_rotate),
    ("reorder", audit::action_reorder),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    All,
    Servers,
    Keys,
}

/// Whether any filter is set; a view that asks follows.
#[must_use]
pub fn is_filtered() -> bool {
    FILTERS.iter().any(|name| param(name).is_some())
}

/// Sets a filter, or takes it away.
fn put(name: &str, value: Option<&str>) {
    set_params(&[(name, value), ("cursor", None)]);
}

/// Takes all away.
pub fn clear() {
    let mut changes: Vec<(&str, Option<&str>)> = FILTERS.iter().map(|name| (*name, None)).collect();
    changes.push(("cursor", None));
    set_params(&changes);
}

/// The row of controls; `chosen` is the name of the object that the list is narrowed to.
#[component(inline_props)]
pub fn Filters(chosen: ReadSignal<Option<String>>) -> View {
    let kind = create_selector(|| match param("target_kind").as_deref() {
        Some("server") => Kinds::Servers,
        Some("key") => Kinds::Keys,
        _ => Kinds::All,
    });
    let choose = |kind| {
        put(
            "target_kind",
            match kind {
                Kinds::All => None,
                Kinds::Servers => Some("server"),
                Kinds::Keys => Some("key"),
            },
        );
    };
    let kinds = vec![
        (Kinds::All, audit::everything.into()),
        (Kinds::Servers, audit::servers.into()),
        (Kinds::Keys, audit::keys.into()),
    ];
    let action = create_signal(String::new());
    create_effect(move || action.set(param("action").unwrap_or_default()));
    create_effect(move || {
        let chosen = action.get_clone();
        put_action(&chosen);
    });
    let actor = create_signal(String::new());
    create_effect(move || actor.set(param("actor").unwrap_or_default()));
    let options = || {
        let all = ACTIONS.iter();
        all.map(|(value, words)| ((*value).to_owned(), words().to_owned()))
            .collect::<Vec<_>>()
    };
    let filtered = create_selector(is_filtered);
    view! {
        div(class="audit-filters", role="search", aria-label=audit::filters()) {
            Segmented(name="audit-kind", label=audit::object, value=move || kind.get(), options=kinds, on_choose=choose)
            Field(id="audit-action", label=audit::action) {
                SelectInput(id="audit-action", value=action, options=options)
            }
            Field(id="audit-actor", label=audit::actor) {
                TextInput(
                    id="audit-actor",
                    value=actor,
                    "placeholder"=audit::actor_placeholder(),
                    "maxlength"="256",
                    on:change=move |_: Event| {
                        let typed = actor.get_clone_untracked();
                        put("actor", Some(typed.trim()).filter(|text| !text.is_empty()));
                    },
                )
            }
            (time("audit-from", "from", audit::from))
            (time("audit-to", "to", audit::to))
            (if filtered.get() {
                view! { Button(kind=Kind::Quiet, icon=Icon::Close, on:click=move |_| clear()) { (audit::clear()) } }
            } else {
                View::new()
            })
        }
        (chosen.get_clone().map(|name| view! {
            p(class="audit-only") {
                (audit::only(&name))
                IconButton(icon=Icon::Close, label=audit::only_off, on:click=move |_| put("target_id", None))
            }
        }))
    }
}

fn put_action(action: &str) {
    if param("action").unwrap_or_default() != action {
        put("action", Some(action).filter(|action| !action.is_empty()));
    }
}

/// A field of local time that sets a filter.
fn time(id: &'static str, name: &'static str, label: fn() -> &'static str) -> View {
    let typed = create_signal(String::new());
    create_effect(move || {
        let set = param(name).as_deref().and_then(milliseconds);
        typed.set(set.map(local_text).unwrap_or_default());
    });
    let change = move |_: Event| {
        let at = typed.with_untracked(|text| instant(text));
        let text = at.map(|at| rfc3339(Instant::from_millis(at)));
        put(name, text.as_deref());
    };
    view! {
        Field(id=id, label=label) {
            TextInput(id=id, kind="datetime-local", value=typed, on:change=change)
        }
    }
}
