//! 只显示一次的密钥：复制，以及现成的用法。
//!
//! Owns what stands in the panel after a key was created or rotated: the secret with a button to copy it, the
//! warning that it is shown once, and calls that are ready to run with it.

use crate::reactive::{create_effect, create_memo, create_selector};
use console_macros::view;
use sycamore::prelude::*;

use super::{Created, Desk};
use crate::browser::{focus_first, window};
use crate::components::{
    Button, Card, CopyButton, Field, Kind, Segmented, SelectInput, icon, render,
};
use crate::i18n::keys;
use crate::icons::Icon;
use crate::keys_snippets::{Call, Language, snippet, usable_models};

/// Stands for the name of somebody's application.
const APP: &str = "my-app";
/// Stands for a model where none is known.
const MODEL: &str = "your-model";

/// The body of the panel.
#[component(inline_props)]
pub fn Secret(on_done: impl Fn() + 'static) -> View {
    let desk = use_context::<Desk>();
    let Some(created) = desk.secret.get_clone_untracked() else {
        return View::new();
    };
    let (secret, shown) = (created.key.clone(), created.key.clone());
    let copied = desk.copied;
    // The button that was pressed is gone with the form.
    on_mount(|| {
        focus_first(".keys-secret button");
    });
    view! {
        div(class="dialog-body") {
            div(class=if copied.get() { "keys-once is-copied" } else { "keys-once" }, role="status") {
                (icon(if copied.get() { Icon::Check } else { Icon::Warning }))
                div {
                    p(class="keys-once-title") { (if copied.get() { keys::secret_copied() } else { keys::secret_once() }) }
                    p { (keys::secret_once_hint()) }
                }
            }
            div(class="keys-secret") {
                code(
                    class="keys-secret-text",
                    tabindex="0",
                    role="textbox",
                    aria-readonly="true",
                    aria-label=keys::secret(),
                    on:copy=move |_: web_sys::Event| copied.set(true),
                ) { (shown.clone()) }
                CopyButton(text=secret, label=keys::copy_secret, noted=copied)
            }
            Usage(created=created)
        }
        div(class="dialog-foot") {
            Button(kind=Kind::Primary, on:click=move |_| on_done()) { (keys::done()) }
        }
    }
}

#[component(inline_props)]
fn Usage(created: Created) -> View {
    let desk = use_context::<Desk>();
    let (secret, app, models) = (created.key, created.view.app, created.view.models);
    let language = create_signal(Language::Curl);
    let usable = create_memo(move || usable_models(&models, &desk.server_models()));
    let model = create_signal(String::new());
    create_effect(move || {
        let first = usable.with(|usable| usable.first().cloned());
        model.set(first.unwrap_or_else(|| MODEL.to_owned()));
    });
    let any_app = app.is_none();
    let text = create_memo(move || {
        let call = Call {
            origin: window().location().origin().unwrap_or_default(),
            secret: secret.clone(),
            app: app.clone().unwrap_or_else(|| APP.to_owned()),
            model: model.get_clone(),
        };
        snippet(language.get(), &call)
    });
    let has_choice = create_selector(move || usable.with(|usable| usable.len() > 1));
    let has_none = create_selector(move || usable.with(Vec::is_empty));
    let choose = render(move || {
        let languages = Language::ALL.map(|one| (one, one.title().into())).to_vec();
        view! {
            Segmented(
                name="snippet",
                label=keys::language,
                value=move || language.get(),
                options=languages,
                on_choose=move |one| language.set(one),
            )
        }
    });
    let options = move || {
        usable.with(|all| {
            all.iter()
                .map(|one| (one.clone(), one.clone()))
                .collect::<Vec<_>>()
        })
    };
    let copied = desk.copied;
    view! {
        Card(title=keys::use_it, hint=keys::use_hint, actions=choose, class="keys-use") {
            (if has_choice.get() {
                view! {
                    Field(id="snippet-model", label=keys::model) {
                        SelectInput(id="snippet-model", value=model, options=options)
                    }
                }
            } else {
                View::new()
            })
            pre(class="code", tabindex="0", aria-label=move || language.get().title(), on:copy=move |_: web_sys::Event| copied.set(true)) {
                code { (text.get_clone()) }
            }
            div(class="keys-use-foot") {
                p(class="is-faint") {
                    (if has_none.get() { keys::no_model() } else if any_app { keys::app_note() } else { "" })
                }
                CopyButton(text=text, label=keys::copy_code, noted=copied)
            }
        }
    }
}
