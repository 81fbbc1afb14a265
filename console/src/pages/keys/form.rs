//! 密钥的表单：新建与修改共用。
//!
//! Owns the form of a gateway key. What is typed for a new key lives in the page, so that a closed panel loses
//! nothing; the API's errors stand beside their fields, and what was typed stays.

use crate::reactive::{Keyed, create_effect, create_memo, create_selector};
use console_macros::view;
use sycamore::prelude::*;
use web_sys::SubmitEvent;

use super::{Created, Desk};
use crate::api::{self, Key};
use crate::browser::focus_first;
use crate::components::range_picker::{instant, local_text};
use crate::components::{
    Button, Field, Kind, SelectInput, TagsInput, TextInput, clock, icon, remote_view, toast,
};
use crate::errors::Failure;
use crate::i18n::{common, keys};
use crate::icons::Icon;
use crate::intl;
use crate::keys_form::{Draft, Expiry, Missing};
use crate::navigation::set_params;
use crate::range::milliseconds;
use crate::task;

/// So many models are suggested.
const SUGGESTIONS_MAX: usize = 16;
/// The fields that have a place of their own for an error.
const FIELDS: [&str; 4] = ["name", "app", "models", "expires_at"];

/// What is typed.
#[derive(Clone, Copy)]
pub struct Fields {
    name: Signal<String>,
    app: Signal<String>,
    models: Signal<Vec<String>>,
    expiry: Signal<String>,
    time: Signal<String>,
}

impl Fields {
    /// Nothing yet.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            name: create_signal(String::new()),
            app: create_signal(String::new()),
            models: create_signal(Vec::new()),
            expiry: create_signal(Expiry::Never.name()),
            time: create_signal(String::new()),
        }
    }

    /// A key as it is.
    fn of(key: &Key) -> Self {
        let fields = Self::empty();
        fields.name.set(key.name.clone());
        fields.app.set(key.app.clone().unwrap_or_default());
        fields.models.set(key.models.clone());
        if let Some(end) = key.expires_at.as_deref().and_then(milliseconds) {
            fields.expiry.set(Expiry::Custom.name());
            fields.time.set(local_text(end));
        }
        fields
    }

    /// Forgets it all.
    pub fn clear(self) {
        task::batch(move || {
            self.name.set(String::new());
            self.app.set(String::new());
            self.models.set(Vec::new());
            self.expiry.set(Expiry::Never.name());
            self.time.set(String::new());
        });
    }

    /// The time of the choice; a view that asks follows.
    fn end(self) -> Result<Option<u64>, Missing> {
        let choice = self.expiry.with(|name| Expiry::parse(name));
        choice.at(clock(), self.time.with(|time| instant(time)))
    }

    /// The form of a key that ends at `before`: a field of local time knows no seconds, so the end is changed
    /// only where its text is.
    fn draft(self, before: Option<u64>) -> Result<Draft, Missing> {
        let same = self
            .expiry
            .with(|name| Expiry::parse(name) == Expiry::Custom)
            && before.is_some_and(|before| self.time.with(|time| *time == local_text(before)));
        Ok(Draft {
            name: self.name.get_clone(),
            app: self.app.get_clone(),
            models: self.models.get_clone(),
            expires_ms: if same { before } else { self.end()? },
        })
    }
}

/// The form of a new key, or of `key`.
#[component(inline_props)]
pub fn KeyForm(#[prop(default, setter(strip_option))] key: Option<Key>) -> View {
    let desk = use_context::<Desk>();
    let is_new = key.is_none();
    let fields = key.as_ref().map_or(desk.new_key, Fields::of);
    let before = key.as_ref().map(Draft::of);
    let ended = before.as_ref().and_then(|before| before.expires_ms);
    let failure: Signal<Option<Failure>> = create_signal(None);
    let nameless = create_signal(false);
    let timeless = create_signal(false);

    let first = before.clone();
    create_effect(move || {
        let changed = match (&first, fields.draft(ended)) {
            (Some(first), Ok(draft)) => draft.patch(first) != serde_json::json!({}),
            (Some(_), Err(Missing)) => true,
            (None, _) => false,
        };
        if desk.changed.get_untracked() != changed {
            desk.changed.set(changed);
        }
    });
    on_cleanup(move || desk.changed.set(false));
    create_effect(move || {
        if fields.name.with(|name| !name.trim().is_empty()) {
            nameless.set(false);
        }
    });
    create_effect(move || {
        if fields.end().is_ok() {
            timeless.set(false);
        }
    });

    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if desk.saving.get_untracked() {
            return;
        }
        failure.set(None);
        let draft = fields.draft(ended);
        nameless.set(fields.name.with_untracked(|name| name.trim().is_empty()));
        timeless.set(draft.is_err());
        let Ok(draft) = draft else {
            focus_first("dialog[open] [aria-invalid]");
            return;
        };
        if nameless.get_untracked() {
            focus_first("dialog[open] [aria-invalid]");
            return;
        }
        let told = move |why: Failure| {
            if failure.is_alive() {
                failure.set(Some(why));
                focus_first("dialog[open] [aria-invalid]");
            }
        };
        match (&key, &before) {
            (Some(key), Some(before)) => change(desk, key, &draft.patch(before), told),
            _ => create(desk, draft.create(), told),
        }
    };
    let about = move |field: &'static str| {
        failure.with(|failure| failure.as_ref()?.about(field).map(str::to_owned))
    };
    let name_error = move || {
        if nameless.get() {
            Some(keys::name_missing().to_owned())
        } else {
            about("name")
        }
    };
    let time_error = move || {
        if timeless.get() {
            Some(keys::time_missing().to_owned())
        } else {
            about("expires_at")
        }
    };
    let is_custom = create_selector(move || {
        fields
            .expiry
            .with(|name| Expiry::parse(name) == Expiry::Custom)
    });
    view! {
        form(class="dialog-form", novalidate=true, on:submit=submit) {
            div(class="dialog-body") {
                (elsewhere(failure))
                Field(id="key-name", label=keys::name, hint=keys::name_hint, error=name_error) {
                    TextInput(id="key-name", value=fields.name, autofocus=true, error=name_error, "maxlength"="200")
                }
                Field(id="key-app", label=keys::app, hint=keys::app_hint, optional=true, error=move || about("app")) {
                    TextInput(id="key-app", value=fields.app, error=move || about("app"), "placeholder"=keys::any_app())
                }
                Field(id="key-models", label=keys::models, hint=keys::models_hint, optional=true, error=move || about("models")) {
                    TagsInput(id="key-models", values=fields.models, placeholder=keys::models_placeholder, error=move || about("models"))
                }
                (suggestions(desk, fields.models))
                Field(id="key-expiry", label=keys::expiry, hint=move || end_hint(fields), error=move || if is_custom.get() { None } else { about("expires_at") }) {
                    SelectInput(id="key-expiry", value=fields.expiry, options=choices)
                }
                (if is_custom.get() {
                    view! {
                        Field(id="key-time", label=keys::custom_time, hint=common::range_local, error=time_error) {
                            TextInput(id="key-time", kind="datetime-local", value=fields.time, error=time_error)
                        }
                    }
                } else {
                    View::new()
                })
            }
            div(class="dialog-foot") {
                Button(disabled=desk.saving, on:click=move |_| {
                    if is_new { fields.clear(); }
                    set_params(&[("new", None), ("key", None)]);
                }) { (common::cancel()) }
                Button(kind=Kind::Primary, submit=true, busy=desk.saving) {
                    (if is_new { keys::create() } else { keys::save_changes() })
                }
            }
        }
    }
}

/// A failure that is about none of the fields.
fn elsewhere(failure: Signal<Option<Failure>>) -> View {
    view! {
        (failure.get_clone().filter(|failure| !failure.param.as_deref().is_some_and(|param| FIELDS.contains(&param))).map(|failure| {
            let (title, said) = (failure.kind, failure.message.clone());
            let id = failure.request_id.clone();
            view! {
                div(class="keys-problem", role="alert") {
                    (icon(Icon::Failure))
                    div {
                        p(class="keys-problem-title") { (keys::not_saved()) " · " (remote_view::title(title)) }
                        p { (remote_view::hint(title, &said)) }
                        (id.clone().map(|id| view! { p(class="keys-problem-code") { (common::request_id(&id)) } }))
                    }
                }
            }
        }))
    }
}

fn suggestions(desk: Desk, models: Signal<Vec<String>>) -> View {
    let offered = create_memo(move || {
        let mut offered = desk.server_models();
        models.with(|models| offered.retain(|model| !models.contains(model)));
        offered.truncate(SUGGESTIONS_MAX);
        offered
    });
    let none = create_selector(move || offered.with(Vec::is_empty));
    view! {
        (if none.get() {
            View::new()
        } else {
            view! {
                div(class="keys-suggestions", role="group", aria-label=keys::suggestions()) {
                    Keyed(list=offered, key=String::clone, view=move |model| {
                        let (name, added) = (model.clone(), model);
                        view! {
                            button(r#type="button", class="keys-suggestion", on:click=move |_| {
                                models.update(|models| models.push(added.clone()));
                                focus_first("#key-models");
                            }) { (icon(Icon::Add)) (name) }
                        }
                    })
                }
            }
        })
    }
}

fn choices() -> Vec<(String, String)> {
    let words = |choice| match choice {
        Expiry::Never => keys::never().to_owned(),
        Expiry::Days(365) => keys::in_a_year().to_owned(),
        Expiry::Days(days) => keys::in_days(&days.to_string()),
        Expiry::Custom => keys::custom().to_owned(),
    };
    let all = Expiry::ALL.into_iter();
    all.map(|choice| (choice.name(), words(choice))).collect()
}

fn end_hint(fields: Fields) -> String {
    match fields.end() {
        Ok(Some(end)) => keys::ends_at(&intl::short_date_time(end), &intl::relative(end)),
        Ok(None) => keys::never_ends().to_owned(),
        Err(Missing) => String::new(),
    }
}

fn create(desk: Desk, body: serde_json::Value, told: impl Fn(Failure) + 'static) {
    desk.saving.set(true);
    // A task of the page: the answer has the secret, and no closed panel may lose it.
    desk.tasks.run(async move {
        let answer = api::post::<Created>("/api/keys", &body).await;
        desk.saving.set(false);
        match answer {
            Ok(created) => {
                desk.show(created);
                desk.new_key.clear();
            }
            Err(failure) => told(failure),
        }
    });
}

fn change(desk: Desk, key: &Key, body: &serde_json::Value, told: impl Fn(Failure) + 'static) {
    if *body == serde_json::json!({}) {
        toast(keys::unchanged());
        set_params(&[("key", None)]);
        return;
    }
    let (path, body) = (format!("/api/keys/{}", key.id), body.clone());
    desk.saving.set(true);
    desk.tasks.run(async move {
        let answer = api::patch::<Key>(&path, &body, None).await;
        desk.saving.set(false);
        match answer {
            Ok(key) => {
                toast(keys::was_saved(&key.name));
                desk.put(key);
                set_params(&[("key", None)]);
            }
            Err(failure) => told(failure),
        }
    });
}
