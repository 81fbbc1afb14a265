//! 表单：边输入边校验，接口的字段错误就地显示。
//!
//! Owns the life of a draft: where it comes from, saving it, what the API says about it, and that a change of
//! somebody else neither overwrites nor loses what was typed. The rules of the fields are `server_form`'s.

use std::borrow::Cow;

use sycamore::prelude::*;
use web_sys::SubmitEvent;

use super::Data;
use super::fields::fields;
use super::panel::Guard;
use super::probe::Probe;
use crate::api::{self, Server};
use crate::browser::focus_first;
use crate::components::{Button, Kind as ButtonKind, toast};
use crate::errors::{Failure, Kind};
use crate::i18n::{common, servers};
use crate::intl;
use crate::navigation;
use crate::route::Route;
use crate::server_form::{Draft, Fault};
use crate::session;
use crate::task::use_tasks;

/// What the fields read and write.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// As typed.
    pub draft: Signal<Draft>,
    /// As stored, or the defaults.
    pub stored: Signal<Draft>,
    /// None for a new server.
    pub is_new: bool,
    /// Somebody tried to save: every fault is shown.
    tried: Signal<bool>,
    /// Why the API refused it, and the draft that it refused.
    refused: Signal<Option<(Failure, Draft)>>,
}

impl Form {
    /// What to show beside a field: a fault once it was changed or somebody tried to save, else what the API
    /// said about just this draft.
    #[must_use]
    pub fn error(self, field: &'static str) -> Option<Cow<'static, str>> {
        let draft = self.draft.get_clone();
        if let Some(fault) = draft.fault(field, self.is_new) {
            let touched = self.tried.get()
                || self.stored.get_clone().fault(field, self.is_new) != Some(fault.clone());
            return touched.then(|| words(&fault));
        }
        let (failure, refused) = self.refused.get_clone()?;
        let same = draft.body().get(field) == refused.body().get(field);
        let message = failure.about(field).filter(|_| same)?;
        // The one thing about a name that only the gateway knows.
        let is_taken = field == "name" && failure.kind == Kind::Invalid;
        Some(if is_taken {
            servers::fault_taken().into()
        } else {
            message.to_owned().into()
        })
    }
}

/// The form of a new or an existing server.
pub fn server_form(data: Data, id: Option<String>, guard: Guard) -> View {
    let present = id.as_deref().and_then(|id| data.server(id));
    let first = present.as_ref().map(Draft::of).unwrap_or_default();
    let form = Form {
        draft: create_signal(first.clone()),
        stored: create_signal(first),
        is_new: id.is_none(),
        tried: create_signal(false),
        refused: create_signal(None),
    };
    let version = create_signal(present.map_or(0, |server| server.version));
    let busy = create_signal(false);
    let conflict = create_signal(false);
    let tasks = use_tasks();
    let admin = create_selector(session::is_admin);
    let dirty = create_selector(move || form.draft.get_clone() != form.stored.get_clone());
    guard.asked.set(false);
    create_effect(move || guard.dirty.set(dirty.get() && admin.get()));
    on_cleanup(move || guard.dirty.set(false));

    let accept = move |server: Server| {
        let stored = Draft::of(&server);
        version.set(server.version);
        form.stored.set(stored.clone());
        form.draft.set(stored);
        form.tried.set(false);
        form.refused.set(None);
        data.put(server);
    };
    let save_id = id.clone();
    let save = move || {
        let draft = form.draft.get_clone_untracked();
        form.tried.set(true);
        if let Some(field) = draft.first_fault(form.is_new) {
            focus_first(&format!("#server-{field}"));
            return;
        }
        let id = save_id.clone();
        busy.set(true);
        tasks.run(async move {
            let answer: Result<Server, Failure> = match &id {
                None => api::post("/api/servers", &draft.body()).await,
                Some(id) => {
                    let changes = draft.changes(&form.stored.get_clone_untracked());
                    api::patch(
                        &format!("/api/servers/{id}"),
                        &changes,
                        Some(version.get_untracked()),
                    )
                    .await
                }
            };
            busy.set(false);
            match answer {
                Ok(server) if id.is_none() => {
                    toast(servers::created());
                    form.stored.set(draft);
                    data.to_test.set(Some(server.id.clone()));
                    let path = Route::Server(server.id.clone()).path();
                    data.put(server);
                    navigation::replace(&path);
                }
                Ok(server) => {
                    toast(servers::saved());
                    accept(server);
                }
                Err(failure) => {
                    conflict
                        .set(failure.kind == Kind::Conflict && failure.code == "version_conflict");
                    let field = failure.param.clone();
                    form.refused.set(Some((failure, draft)));
                    if let Some(field) = field {
                        focus_first(&format!("#server-{field}"));
                    }
                }
            }
        });
    };
    // What somebody else stored becomes what this draft is compared with; the draft stays.
    let load_id = id.clone();
    let load_again = move || {
        let Some(id) = load_id.clone() else { return };
        tasks.run(async move {
            if let Ok(server) = api::get::<Server>(&format!("/api/servers/{id}")).await {
                let (mine, base, theirs) = (
                    form.draft.get_clone_untracked(),
                    form.stored.get_clone_untracked(),
                    Draft::of(&server),
                );
                version.set(server.version);
                form.draft.set(mine.onto(&base, &theirs));
                form.stored.set(theirs);
                conflict.set(false);
                form.refused.set(None);
                data.put(server);
            }
        });
    };
    let general = move || {
        let (failure, _) = form.refused.get_clone()?;
        let known = failure
            .param
            .as_deref()
            .is_some_and(|param| crate::server_form::FIELDS.contains(&param));
        (!known && !conflict.get()).then(|| {
            let said = crate::components::remote_view::hint(failure.kind, &failure.message);
            view! { p(class="form-refused", role="alert") { strong { (crate::components::remote_view::title(failure.kind)) } " " (said) } }
        })
    };
    let all = fields(data, id.clone(), form);
    let probe_id = id;
    let leave = move || {
        guard.dirty.set(false);
        navigation::go(&Route::Servers.path());
    };
    view! {
        form(class="dialog-form", novalidate=true, on:submit=move |event: SubmitEvent| {
            event.prevent_default();
            if admin.get_untracked() && !busy.get_untracked() { save(); }
        }) {
            div(class="dialog-body") {
                (probe_id.clone().filter(|_| admin.get()).map(|id| view! { Probe(data=data, id=id, form=form) }))
                (all)
            }
            (if admin.get() {
                let load_again = load_again.clone();
                view! {
                    div(class="dialog-foot is-form") {
                        div(class="form-notes") {
                            (general())
                            (if conflict.get() {
                                let load_again = load_again.clone();
                                view! {
                                    p(class="form-refused", role="alert") { (servers::conflict()) }
                                    Button(on:click=move |_| load_again()) { (servers::load_again()) }
                                }
                            } else {
                                View::new()
                            })
                        }
                        (if guard.asked.get() {
                            view! {
                                p(class="form-asked", role="alert") { (servers::unsaved()) }
                                Button(on:click=move |_| guard.asked.set(false)) { (servers::keep_editing()) }
                                Button(kind=ButtonKind::Danger, on:click=move |_| leave()) { (servers::discard()) }
                            }
                        } else {
                            view! {
                                Button(on:click=move |_| {
                                    if dirty.get_untracked() { guard.asked.set(true); } else { leave(); }
                                }) { (common::cancel()) }
                                Button(
                                    kind=ButtonKind::Primary,
                                    submit=true,
                                    busy=busy,
                                    disabled=move || !form.is_new && !dirty.get(),
                                ) { (if form.is_new { servers::create() } else { servers::save() }) }
                            }
                        })
                    }
                }
            } else {
                View::new()
            })
        }
    }
}

fn words(fault: &Fault) -> Cow<'static, str> {
    let number = |count: usize| intl::integer(count as u64);
    match fault {
        Fault::Missing => servers::fault_missing().into(),
        Fault::Long(most) => servers::fault_long(&number(*most)).into(),
        Fault::Line => servers::fault_line().into(),
        Fault::Url => servers::fault_url().into(),
        Fault::UrlExtra => servers::fault_url_extra().into(),
        Fault::Number => servers::fault_number().into(),
        Fault::Range(least, most) => {
            servers::fault_range(&intl::integer(*least), &intl::integer(*most)).into()
        }
        Fault::Star(model) => servers::fault_star(model).into(),
        Fault::Model(model) => servers::fault_model(model).into(),
        Fault::Many(most) => servers::fault_many(&number(*most)).into(),
        Fault::Key => servers::fault_key().into(),
    }
}
