//! 表单：边输入边校验，接口的字段错误就地显示。
//!
//! Owns the life of a draft: where it comes from, saving it, what the API says about it, and that a change of
//! somebody else neither overwrites nor loses what was typed. The rules of the fields are `server_form`'s.

use std::borrow::Cow;

use crate::reactive::{create_effect, create_selector};
use console_macros::view;
use sycamore::prelude::*;
use web_sys::SubmitEvent;

use super::Data;
use super::fields::fields;
use super::panel::Guard;
use super::probe::Probe;
use crate::api::{self, Server};
use crate::browser::focus_first;
use crate::components::{Button, Kind as ButtonKind, remote_view, toast, toast_failure};
use crate::errors::{Failure, Kind};
use crate::i18n::{common, servers};
use crate::intl;
use crate::navigation;
use crate::route::Route;
use crate::server_form::{Draft, FIELDS, Fault};
use crate::session;
use crate::task::{Tasks, use_tasks};

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

/// The life of one draft.
#[derive(Clone, Copy)]
struct Editor {
    data: Data,
    form: Form,
    guard: Guard,
    /// None for a new server.
    id: Signal<Option<String>>,
    /// What `form.stored` was read as.
    version: Signal<u64>,
    busy: Signal<bool>,
    /// Somebody else was faster.
    conflict: Signal<bool>,
    dirty: ReadSignal<bool>,
    tasks: Tasks,
}

impl Editor {
    fn new(data: Data, id: Option<String>, guard: Guard) -> Self {
        let present = id.as_deref().and_then(|id| data.server(id));
        let first = present.as_ref().map(Draft::of).unwrap_or_default();
        let form = Form {
            draft: create_signal(first.clone()),
            stored: create_signal(first),
            is_new: id.is_none(),
            tried: create_signal(false),
            refused: create_signal(None),
        };
        Self {
            data,
            form,
            guard,
            id: create_signal(id),
            version: create_signal(present.map_or(0, |server| server.version)),
            busy: create_signal(false),
            conflict: create_signal(false),
            dirty: create_selector(move || form.draft.get_clone() != form.stored.get_clone()),
            tasks: use_tasks(),
        }
    }

    fn save(self) {
        let draft = self.form.draft.get_clone_untracked();
        self.form.tried.set(true);
        if let Some(field) = draft.first_fault(self.form.is_new) {
            focus_first(&format!("#server-{field}"));
            return;
        }
        self.busy.set(true);
        self.tasks.run(async move {
            let answer: Result<Server, Failure> = match self.id.get_clone_untracked() {
                None => api::post("/api/servers", &draft.body()).await,
                Some(id) => {
                    let changes = draft.changes(&self.form.stored.get_clone_untracked());
                    let version = Some(self.version.get_untracked());
                    api::patch(&format!("/api/servers/{id}"), &changes, version).await
                }
            };
            self.busy.set(false);
            match answer {
                Ok(server) if self.form.is_new => self.created(server, draft),
                Ok(server) => self.saved(server),
                Err(failure) => self.refused(failure, draft),
            }
        });
    }

    /// The panel goes on with the new server, and whether it can be reached is the first question.
    fn created(self, server: Server, draft: Draft) {
        toast(servers::created());
        self.form.stored.set(draft);
        self.data.to_test.set(Some(server.id.clone()));
        let path = Route::Server(server.id.clone()).path();
        self.data.put(server);
        navigation::replace(&path);
    }

    fn saved(self, server: Server) {
        toast(servers::saved());
        let stored = Draft::of(&server);
        self.version.set(server.version);
        self.form.stored.set(stored.clone());
        self.form.draft.set(stored);
        self.form.tried.set(false);
        self.form.refused.set(None);
        self.data.put(server);
    }

    fn refused(self, failure: Failure, draft: Draft) {
        let is_conflict = failure.kind == Kind::Conflict && failure.code == "version_conflict";
        self.conflict.set(is_conflict);
        let field = failure.param.clone();
        self.form.refused.set(Some((failure, draft)));
        if let Some(field) = field {
            focus_first(&format!("#server-{field}"));
        }
    }

    /// What somebody else stored becomes what this draft is compared with; what was typed stays.
    fn load_again(self) {
        let Some(id) = self.id.get_clone_untracked() else {
            return;
        };
        self.tasks.run(async move {
            match api::get::<Server>(&format!("/api/servers/{id}")).await {
                Ok(server) => {
                    let theirs = Draft::of(&server);
                    let mine = self.form.draft.get_clone_untracked();
                    let base = self.form.stored.get_clone_untracked();
                    self.version.set(server.version);
                    self.form.draft.set(mine.onto(&base, &theirs));
                    self.form.stored.set(theirs);
                    self.conflict.set(false);
                    self.form.refused.set(None);
                    self.data.put(server);
                }
                Err(failure) => toast_failure(&failure),
            }
        });
    }

    fn leave(self) {
        self.guard.dirty.set(false);
        navigation::go(&Route::Servers.path());
    }

    /// A refusal that is about no field of the form.
    fn general(self) -> Option<View> {
        let (failure, _) = self.form.refused.get_clone()?;
        let field = failure
            .param
            .as_deref()
            .is_some_and(|param| FIELDS.contains(&param));
        if field || self.conflict.get() {
            return None;
        }
        let title = remote_view::title(failure.kind);
        let hint = remote_view::hint(failure.kind, &failure.message);
        Some(view! { p(class="form-refused", role="alert") { strong { (title) } " " (hint) } })
    }
}

/// The form of a new or an existing server.
pub fn server_form(data: Data, id: Option<String>, guard: Guard) -> View {
    let editor = Editor::new(data, id.clone(), guard);
    let admin = create_selector(session::is_admin);
    guard.asked.set(false);
    create_effect(move || guard.dirty.set(editor.dirty.get() && admin.get()));
    on_cleanup(move || guard.dirty.set(false));
    let all = fields(data, id.clone(), editor.form);
    view! {
        form(class="dialog-form", novalidate=true, on:submit=move |event: SubmitEvent| {
            event.prevent_default();
            if admin.get_untracked() && !editor.busy.get_untracked() { editor.save(); }
        }) {
            div(class="dialog-body") {
                (id.clone().filter(|_| admin.get()).map(|id| view! { Probe(data=data, id=id, form=editor.form) }))
                (all)
            }
            (if admin.get() { untrack(|| foot(&editor)) } else { View::new() })
        }
    }
}

fn foot(editor: &Editor) -> View {
    let editor = *editor;
    let Editor {
        form, guard, dirty, ..
    } = editor;
    let cancel = move |_| {
        if dirty.get_untracked() {
            guard.asked.set(true);
        } else {
            editor.leave();
        }
    };
    view! {
        div(class="dialog-foot is-form") {
            div(class="form-notes") {
                (editor.general())
                (if editor.conflict.get() {
                    view! {
                        p(class="form-refused", role="alert") { (servers::conflict()) }
                        Button(on:click=move |_| editor.load_again()) { (servers::load_again()) }
                    }
                } else {
                    View::new()
                })
            }
            (if guard.asked.get() {
                view! {
                    p(class="form-asked", role="alert") { (servers::unsaved()) }
                    Button(on:click=move |_| guard.asked.set(false)) { (servers::keep_editing()) }
                    Button(kind=ButtonKind::Danger, on:click=move |_| editor.leave()) { (servers::discard()) }
                }
            } else {
                view! {
                    Button(on:click=cancel) { (common::cancel()) }
                    Button(
                        kind=ButtonKind::Primary,
                        submit=true,
                        busy=editor.busy,
                        disabled=move || !form.is_new && !dirty.get(),
                    ) { (if form.is_new { servers::create() } else { servers::save() }) }
                }
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
