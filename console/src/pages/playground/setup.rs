//! 请求的设置：密钥、应用、模型、参数。
//!
//! Owns the card where a request is prepared. The key is recognised by its first characters, its models are
//! asked for with it, and an administrator can have one made that ends after an hour.

use crate::reactive::{create_effect, create_memo, create_selector};
use admission::time::Instant;
use console_macros::view;
use gateway::admin_api::rfc3339;
use serde::Deserialize;
use sycamore::prelude::*;

use super::{Desk, Problem, exchange};
use crate::api::{self, Key};
use crate::browser::sleep;
use crate::components::{
    Button, Card, Field, NumberInput, SecretInput, SelectInput, Switch, TextInput, clock, toast,
    toast_failure,
};
use crate::errors::{Failure, Kind};
use crate::i18n::playground;
use crate::icons::Icon;
use crate::playground_request::Wrong;
use crate::session;
use crate::task::{spawn, use_tasks};

/// A pause in typing, after which the models are asked for.
const PAUSE_MS: u32 = 350;
const KEY_LIFE_MS: u64 = 3_600_000;
/// The app of a key that is made here.
const APP: &str = "playground";
/// The option that opens a field; no model has such a name.
const OTHER: &str = "*";

#[derive(Clone, PartialEq)]
enum Models {
    Unknown,
    Loading,
    Known(Vec<String>),
    Failed(Failure),
}

#[derive(Deserialize)]
struct Made {
    #[serde(flatten)]
    view: Key,
    key: String,
}

/// The card.
#[component]
pub fn Setup() -> View {
    let desk = use_context::<Desk>();
    let form = desk.form;
    let models = create_signal(Models::Unknown);
    let known = create_memo(move || recognised(desk));
    create_effect(move || {
        let bound = known.with(|key| key.as_ref()?.app.clone());
        if let Some(app) = bound
            && form.app.with_untracked(|typed| *typed != app)
        {
            form.app.set(app);
        }
    });
    create_effect(move || ask(desk, models));

    let number = move |wrong: Wrong, text: fn() -> &'static str| {
        move || (desk.problem.get() == Some(Problem::Number(wrong))).then(text)
    };
    let too_warm = number(Wrong::Temperature, playground::not_a_number);
    let too_many = number(Wrong::MaxTokens, playground::not_whole);
    let too_long = number(Wrong::Wait, playground::not_a_number);
    let bound = create_selector(move || {
        known.with(|key| key.as_ref().is_some_and(|key| key.app.is_some()))
    });
    view! {
        Card(title=playground::request) {
            div(class="stack") {
                KeyField(models=models, known=known)
                Field(id="play-app", label=playground::app, hint=move || if bound.get() { playground::app_bound() } else { playground::app_hint() }) {
                    TextInput(id="play-app", value=form.app)
                }
                ModelField(models=models)
                Field(id="play-system", label=playground::system, optional=true) {
                    textarea(class="input playground-system", id="play-system", rows="2", bind:value=form.system)
                }
                Switch(label=playground::stream, on=form.stream, on_change=move |on| form.stream.set(on))
                details(class="playground-more") {
                    summary { (playground::parameters()) }
                    div(class="playground-numbers") {
                        Field(id="play-temperature", label=playground::temperature, error=too_warm) {
                            TextInput(id="play-temperature", value=form.temperature, error=too_warm, "inputmode"="decimal", "placeholder"=playground::provider_decides())
                        }
                        Field(id="play-max-tokens", label=playground::max_tokens, error=too_many) {
                            TextInput(id="play-max-tokens", value=form.max_tokens, error=too_many, "inputmode"="numeric", "placeholder"=playground::provider_decides())
                        }
                        Field(id="play-wait", label=playground::wait, hint=playground::wait_hint, error=too_long) {
                            NumberInput(id="play-wait", value=form.wait, unit=playground::seconds, error=too_long, "placeholder"=playground::server_decides())
                        }
                    }
                }
            }
        }
    }
}

#[component(inline_props)]
fn KeyField(models: Signal<Models>, known: ReadSignal<Option<Key>>) -> View {
    let desk = use_context::<Desk>();
    let busy = create_signal(false);
    let tasks = use_tasks();
    let error = move || {
        let missing = desk.problem.get() == Some(Problem::Key)
            && desk.secret.with(|key| key.trim().is_empty());
        let refused = models.with(|models| match models {
            Models::Failed(failure) if failure.kind == Kind::Expired => {
                Some(playground::key_refused().to_owned())
            }
            Models::Failed(failure) if failure.code == "unsendable" => {
                Some(playground::key_refused().to_owned())
            }
            _ => None,
        });
        if missing {
            Some(playground::key_missing().to_owned())
        } else {
            refused
        }
    };
    let hint = move || {
        known.with(|key| match key {
            Some(key) => playground::key_known(&key.name),
            None => playground::key_hint().to_owned(),
        })
    };
    let make = move |_| {
        let app = desk.form.app.get_clone_untracked();
        let app = Some(app.trim().to_owned()).filter(|app| !app.is_empty());
        let end = Instant::from_millis(clock().saturating_add(KEY_LIFE_MS));
        let body = serde_json::json!({
            "name": playground::made_name(),
            "app": app.unwrap_or_else(|| APP.to_owned()),
            "expires_at": rfc3339(end),
        });
        busy.set(true);
        tasks.run(async move {
            match api::post::<Made>("/api/keys", &body).await {
                Ok(made) => {
                    desk.keys.data.update(|list| {
                        if let Some(list) = list {
                            list.items.push(made.view);
                        }
                    });
                    desk.secret.set(made.key);
                    toast(playground::made_key());
                }
                Err(failure) => toast_failure(&failure),
            }
            busy.set(false);
        });
    };
    let offer = create_selector(move || {
        session::is_admin() && desk.secret.with(|key| key.trim().is_empty())
    });
    view! {
        div(class="playground-key") {
            Field(id="play-key", label=playground::key, hint=hint, error=error) {
                SecretInput(id="play-key", value=desk.secret, error=error)
            }
            (if offer.get() {
                view! { Button(icon=Icon::Keys, busy=busy, on:click=make) { (playground::make_key()) } }
            } else {
                View::new()
            })
        }
    }
}

#[component(inline_props)]
fn ModelField(models: Signal<Models>) -> View {
    let desk = use_context::<Desk>();
    let model = desk.form.model;
    let choice = create_signal(String::new());
    // What the list does not have is typed, such as a name that a pattern covers.
    create_effect(move || {
        let Models::Known(known) = models.get_clone() else {
            return;
        };
        let wanted = model.get_clone_untracked();
        if known.contains(&wanted) {
            choice.set(wanted);
        } else if wanted.is_empty() {
            choice.set(known.first().cloned().unwrap_or_else(|| OTHER.to_owned()));
        } else {
            choice.set(OTHER.to_owned());
        }
    });
    create_effect(move || {
        let chosen = choice.get_clone();
        if !chosen.is_empty() && chosen != OTHER && model.with_untracked(|model| *model != chosen) {
            model.set(chosen);
        }
    });
    let error = move || {
        (desk.problem.get() == Some(Problem::Model) && model.with(|model| model.trim().is_empty()))
            .then(playground::model_missing)
    };
    let hint = move || {
        models.with(|models| match models {
            Models::Unknown => playground::model_waiting().to_owned(),
            Models::Loading => playground::model_loading().to_owned(),
            Models::Known(known) if known.is_empty() => playground::model_none().to_owned(),
            Models::Failed(failure)
                if failure.kind != Kind::Expired && failure.code != "unsendable" =>
            {
                super::failure::why(failure)
            }
            Models::Known(_) | Models::Failed(_) => String::new(),
        })
    };
    let options = move || {
        let mut options: Vec<(String, String)> = Vec::new();
        if let Models::Known(known) = models.get_clone() {
            options.extend(known.into_iter().map(|name| (name.clone(), name)));
        }
        options.push((OTHER.to_owned(), playground::model_other().to_owned()));
        options
    };
    let listed = create_selector(move || {
        models.with(|models| matches!(models, Models::Known(known) if !known.is_empty()))
    });
    let typed = create_selector(move || !listed.get() || choice.with(|choice| choice == OTHER));
    view! {
        (if listed.get() {
            view! {
                Field(id="play-model", label=playground::model, hint=hint, error=error) {
                    SelectInput(id="play-model", value=choice, options=options, error=error)
                }
            }
        } else {
            View::new()
        })
        (if typed.get() {
            view! {
                Field(
                    id="play-model-name",
                    label=move || if listed.get() { playground::model_name() } else { playground::model() },
                    hint=move || if listed.get() { String::new() } else { hint() },
                    error=error,
                ) {
                    TextInput(id="play-model-name", value=model, error=error)
                }
            }
        } else {
            View::new()
        })
    }
}

/// The key of the list that the typed one is, as far as its first characters tell.
fn recognised(desk: Desk) -> Option<Key> {
    let secret = desk.secret.with(|secret| secret.trim().to_owned());
    desk.keys.data.with(|list| {
        let mut keys = list.as_ref()?.items.iter();
        keys.find(|key| secret.starts_with(&key.prefix)).cloned()
    })
}

/// Asks for the models of the key, once nobody types.
fn ask(desk: Desk, models: Signal<Models>) {
    let secret = desk.secret.with(|secret| secret.trim().to_owned());
    let app = desk.form.app.with(|app| app.trim().to_owned());
    if secret.is_empty() {
        models.set(Models::Unknown);
        return;
    }
    spawn(async move {
        sleep(PAUSE_MS).await;
        if models.with_untracked(|models| !matches!(models, Models::Known(_))) {
            models.set(Models::Loading);
        }
        // A name that nobody has yet, so that an empty field does not hide the models.
        let app = if app.is_empty() { APP } else { &app };
        models.set(match exchange::models(&secret, app).await {
            Ok(known) => Models::Known(known),
            Err(failure) => Models::Failed(failure),
        });
    });
}
