//! 密钥页上打开的面板与对话框。
//!
//! Owns which panel is open (the query of the URL says so, or a secret that is there), the dialogs that rotate
//! and delete a key, and the questions before something is lost.

use console_macros::view;
use std::rc::Rc;

use crate::reactive::create_selector;
use sycamore::prelude::*;
use web_sys::SubmitEvent;

use super::{Created, Desk, form, secret};
use crate::api::{self, Key};
use crate::browser::Text;
use crate::components::{
    Button, ConfirmByName, Dialog, Field, Kind, SelectInput, Shape, render, toast, toast_failure,
};
use crate::i18n::{common, keys};
use crate::navigation::{param, set_params};
use crate::session;

/// A message.
type Words = fn() -> &'static str;

/// Seconds that an old secret goes on, as the values of the options.
const GRACES: [(&str, Words); 5] = [
    ("0", keys::grace_none),
    ("3600", keys::grace_hour),
    ("86400", keys::grace_day),
    ("604800", keys::grace_week),
    ("2592000", keys::grace_month),
];
const GRACE: &str = "86400";

#[derive(Clone, PartialEq)]
enum Panel {
    Closed,
    New,
    Edit(String),
    Secret,
}

/// Everything that opens over the page.
#[component]
pub fn Panels() -> View {
    let desk = use_context::<Desk>();
    let panel = create_selector(move || {
        if desk.secret.with(Option::is_some) {
            return Panel::Secret;
        }
        if !session::is_admin() {
            return Panel::Closed;
        }
        if param("new").is_some() {
            return Panel::New;
        }
        match param("key").filter(|id| find(desk, id).is_some()) {
            Some(id) => Panel::Edit(id),
            None => Panel::Closed,
        }
    });
    let leaving = create_signal(false);
    let discarding = create_signal(false);
    let close = move || match panel.get_clone_untracked() {
        Panel::Secret if desk.copied.get_untracked() => desk.secret.set(None),
        Panel::Secret => leaving.set(true),
        _ if desk.saving.get_untracked() => {}
        Panel::Edit(_) if desk.changed.get_untracked() => discarding.set(true),
        _ => set_params(&[("new", None), ("key", None)]),
    };
    let title = move || match panel.get_clone() {
        Panel::Closed => String::new(),
        Panel::New => keys::new_title().to_owned(),
        Panel::Edit(id) => {
            find(desk, &id).map_or_else(String::new, |key| keys::edit_title(&key.name))
        }
        Panel::Secret => desk.secret.with(|created| {
            created.as_ref().map_or_else(String::new, |created| {
                keys::secret_title(&created.view.name)
            })
        }),
    };
    let body = render(move || {
        view! {
            (match panel.get_clone() {
                Panel::Closed => View::new(),
                Panel::New => view! { form::KeyForm() },
                Panel::Edit(id) => match untrack(|| find(desk, &id)) {
                    Some(key) => view! { form::KeyForm(key=key) },
                    None => View::new(),
                },
                Panel::Secret => view! { secret::Secret(on_done=close) },
            })
        }
    });
    view! {
        Dialog(open=move || panel.get_clone() != Panel::Closed, title=title, shape=Shape::Side, on_close=close, body=body)
        Ask(
            open=leaving,
            title=keys::leave_title,
            hint=keys::leave_hint,
            stay=keys::stay,
            leave=keys::leave,
            on_leave=move || desk.secret.set(None),
        )
        Ask(
            open=discarding,
            title=keys::discard_title,
            hint=keys::discard_hint,
            stay=keys::go_on,
            leave=keys::discard,
            on_leave=|| set_params(&[("key", None)]),
        )
        Rotating()
        Deleting()
    }
}

fn find(desk: Desk, id: &str) -> Option<Key> {
    desk.list.data.with(|list| {
        list.as_ref()?
            .items
            .iter()
            .find(|key| key.id == id)
            .cloned()
    })
}

/// Asks before something is lost.
#[component(inline_props)]
fn Ask(
    open: Signal<bool>,
    #[prop(setter(into))] title: Text,
    #[prop(setter(into))] hint: Text,
    #[prop(setter(into))] stay: Text,
    #[prop(setter(into))] leave: Text,
    on_leave: impl Fn() + 'static,
) -> View {
    let on_leave = Rc::new(on_leave);
    let body = render(move || {
        let (hint, stay, leave, on_leave) =
            (hint.clone(), stay.clone(), leave.clone(), on_leave.clone());
        view! {
            div(class="dialog-body") { p { (hint.get_clone()) } }
            div(class="dialog-foot") {
                Button(kind=Kind::Danger, on:click=move |_| { open.set(false); on_leave(); }) { (leave.get_clone()) }
                Button(kind=Kind::Primary, "autofocus"="", on:click=move |_| open.set(false)) { (stay.get_clone()) }
            }
        }
    });
    view! { Dialog(open=open, title=title, on_close=move || open.set(false), body=body) }
}

#[component]
fn Rotating() -> View {
    let desk = use_context::<Desk>();
    let rotating = desk.rotating;
    let busy = create_signal(false);
    let body = render(move || {
        let grace = create_signal(GRACE.to_owned());
        let hint = move || {
            if grace.with(|grace| grace == "0") {
                keys::grace_none_hint()
            } else {
                keys::grace_hint()
            }
        };
        let submit = move |event: SubmitEvent| {
            event.prevent_default();
            let Some(key) = rotating
                .get_clone_untracked()
                .filter(|_| !busy.get_untracked())
            else {
                return;
            };
            let seconds: u64 = grace.with_untracked(|grace| grace.parse().unwrap_or_default());
            busy.set(true);
            desk.tasks.run(async move {
                let body = serde_json::json!({ "grace_seconds": seconds });
                let path = format!("/api/keys/{}/rotate", key.id);
                let answer = api::post::<Created>(&path, &body).await;
                busy.set(false);
                match answer {
                    Ok(created) => {
                        rotating.set(None);
                        desk.show(created);
                    }
                    Err(failure) => toast_failure(&failure),
                }
            });
        };
        let options = || {
            GRACES
                .iter()
                .map(|(value, words)| ((*value).to_owned(), words().to_owned()))
                .collect::<Vec<_>>()
        };
        view! {
            form(class="dialog-form", novalidate=true, on:submit=submit) {
                div(class="dialog-body") {
                    p(class="dialog-lead") { (keys::rotate_hint()) }
                    Field(id="grace", label=keys::grace, hint=hint) {
                        SelectInput(id="grace", value=grace, options=options)
                    }
                }
                div(class="dialog-foot") {
                    Button(disabled=busy, on:click=move |_| rotating.set(None)) { (common::cancel()) }
                    Button(kind=Kind::Primary, submit=true, busy=busy) { (keys::rotate_now()) }
                }
            }
        }
    });
    let title = move || {
        rotating.with(|key| {
            key.as_ref()
                .map_or_else(String::new, |key| keys::rotate_title(&key.name))
        })
    };
    let close = move || {
        if !busy.get_untracked() {
            rotating.set(None);
        }
    };
    view! { Dialog(open=move || rotating.with(Option::is_some), title=title, on_close=close, body=body) }
}

#[component]
fn Deleting() -> View {
    let desk = use_context::<Desk>();
    let deleting = desk.deleting;
    let busy = create_signal(false);
    let name = move || {
        deleting.with(|key| {
            key.as_ref()
                .map_or_else(String::new, |key| key.name.clone())
        })
    };
    let confirm = move || {
        let Some(key) = deleting
            .get_clone_untracked()
            .filter(|_| !busy.get_untracked())
        else {
            return;
        };
        busy.set(true);
        desk.tasks.run(async move {
            let answer = api::delete(&format!("/api/keys/{}", key.id), None).await;
            busy.set(false);
            match answer {
                Ok(()) => {
                    deleting.set(None);
                    toast(keys::was_deleted(&key.name));
                    desk.remove(&key.id);
                }
                Err(failure) => toast_failure(&failure),
            }
        });
    };
    view! {
        ConfirmByName(
            open=move || deleting.with(Option::is_some),
            title=move || keys::delete_title(&name()),
            warning=keys::delete_warning,
            name=name,
            busy=busy,
            on_confirm=confirm,
            on_close=move || deleting.set(None),
        )
    }
}
