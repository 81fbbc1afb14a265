//! 表单的字段：四组，限额旁边有当前用量。
//!
//! The fields of the form, in groups. Beside each limit stands what is used now and what saving the typed
//! value would do at this moment. Who may only look sees the same with nothing to type into.

use crate::reactive::{create_effect, create_memo, create_selector};
use console_macros::view;
use sycamore::prelude::*;

use super::Data;
use super::form::Form;
use crate::api::LiveView;
use crate::browser::Text;
use crate::components::{
    Field, NumberInput, SecretInput, SelectInput, Switch, TagsInput, TextInput,
};
use crate::i18n::{common, servers};
use crate::intl;
use crate::server_form::{Draft, Effect, effect, parsed};
use crate::session;

/// All fields.
pub fn fields(data: Data, id: Option<String>, form: Form) -> View {
    let server = {
        let id = id.clone();
        create_memo(move || id.as_deref().and_then(|id| data.server(id)))
    };
    let live = create_memo(move || id.as_deref().and_then(|id| data.live_of(id)));
    let fixed = create_selector(|| !session::is_admin());
    let name = text(form, |draft| &draft.name, |draft| &mut draft.name);
    let base_url = text(form, |draft| &draft.base_url, |draft| &mut draft.base_url);
    let api_key = text(form, |draft| &draft.api_key, |draft| &mut draft.api_key);
    let models = lens(form, |draft| &draft.models, |draft| &mut draft.models);
    let queue_max = text(form, |draft| &draft.queue_max, |draft| &mut draft.queue_max);
    let queue_timeout = text(
        form,
        |draft| &draft.queue_timeout,
        |draft| &mut draft.queue_timeout,
    );
    let upstream_timeout = text(
        form,
        |draft| &draft.upstream_timeout,
        |draft| &mut draft.upstream_timeout,
    );
    let on_full = text(form, |draft| &draft.on_full, |draft| &mut draft.on_full);
    let overflow = text(form, |draft| &draft.overflow, |draft| &mut draft.overflow);
    let key_hint = move || match server.get_clone() {
        None => servers::api_key_new().to_owned(),
        Some(server) if server.key_state == gateway::admin_api::KeyState::MustBeEnteredAgain => {
            servers::api_key_unreadable().to_owned()
        }
        Some(server) => servers::api_key_stored(&server.api_key_hint),
    };
    view! {
        fieldset(class="form-group", "disabled"=fixed.get().then_some("")) {
            legend { (servers::section_connection()) }
            Field(id="server-name", label=servers::name, hint=servers::name_hint, error=move || form.error("name")) {
                TextInput(id="server-name", value=name, autofocus=form.is_new, error=move || form.error("name"))
            }
            Field(id="server-base_url", label=servers::base_url, hint=servers::base_url_hint, error=move || form.error("base_url")) {
                TextInput(id="server-base_url", kind="url", value=base_url, error=move || form.error("base_url"), placeholder="https://api.example.com/v1")
            }
            (if fixed.get() { View::new() } else {
                view! {
                    Field(id="server-api_key", label=servers::api_key, hint=key_hint, error=move || form.error("api_key")) {
                        SecretInput(id="server-api_key", value=api_key, error=move || form.error("api_key"), autocomplete="new-password")
                    }
                }
            })
            Field(id="server-models", label=servers::models, hint=servers::models_hint, error=move || form.error("models")) {
                TagsInput(id="server-models", values=models, placeholder=servers::models_placeholder, error=move || form.error("models"))
            }
            Switch(
                label=servers::enabled,
                on=move || form.draft.with(|draft| draft.enabled),
                on_change=move |on| form.draft.update(|draft| draft.enabled = on),
                disabled=fixed,
            )
        }
        fieldset(class="form-group", "disabled"=fixed.get().then_some("")) {
            legend { (servers::section_limits()) }
            p(class="field-hint") { (servers::limits_hint()) }
            div(class="form-row") {
                (limit(form, live, &RPM))
                (limit(form, live, &TPM))
                (limit(form, live, &CONCURRENCY))
            }
        }
        fieldset(class="form-group", "disabled"=fixed.get().then_some("")) {
            legend { (servers::section_queue()) }
            div(class="form-row is-two") {
                Field(id="server-queue_max", label=servers::queue_max, hint=servers::queue_max_hint, error=move || form.error("queue_max")) {
                    NumberInput(id="server-queue_max", value=queue_max, error=move || form.error("queue_max"))
                }
                Field(id="server-queue_timeout_ms", label=servers::queue_timeout, hint=servers::queue_timeout_hint, error=move || form.error("queue_timeout_ms")) {
                    NumberInput(id="server-queue_timeout_ms", value=queue_timeout, unit=servers::seconds, error=move || form.error("queue_timeout_ms"))
                }
            }
            Field(id="server-on_full", label=servers::on_full) {
                SelectInput(id="server-on_full", value=on_full, options=move || vec![
                    ("evict_oldest".to_owned(), servers::on_full_evict().to_owned()),
                    ("reject_newest".to_owned(), servers::on_full_reject().to_owned()),
                ])
            }
            Field(id="server-overflow", label=servers::overflow) {
                SelectInput(id="server-overflow", value=overflow, options=move || vec![
                    ("wait".to_owned(), servers::overflow_wait().to_owned()),
                    ("next_server".to_owned(), servers::overflow_next().to_owned()),
                ])
            }
        }
        fieldset(class="form-group", "disabled"=fixed.get().then_some("")) {
            legend { (servers::section_upstream()) }
            Field(id="server-upstream_timeout_ms", label=servers::upstream_timeout, hint=servers::upstream_timeout_hint, error=move || form.error("upstream_timeout_ms")) {
                NumberInput(id="server-upstream_timeout_ms", value=upstream_timeout, unit=servers::seconds, error=move || form.error("upstream_timeout_ms"))
            }
        }
    }
}

/// A limit: its field, what is stored, and what is used of it.
struct Limit {
    field: &'static str,
    id: &'static str,
    label: fn() -> &'static str,
    read: fn(&Draft) -> &String,
    write: fn(&mut Draft) -> &mut String,
    used: fn(&LiveView) -> u64,
}

const RPM: Limit = Limit {
    field: "rpm_limit",
    id: "server-rpm_limit",
    label: servers::rpm_limit,
    read: |draft| &draft.rpm_limit,
    write: |draft| &mut draft.rpm_limit,
    used: |live| live.rpm_used,
};
const TPM: Limit = Limit {
    field: "tpm_limit",
    id: "server-tpm_limit",
    label: servers::tpm_limit,
    read: |draft| &draft.tpm_limit,
    write: |draft| &mut draft.tpm_limit,
    used: |live| live.tpm_used,
};
const CONCURRENCY: Limit = Limit {
    field: "max_concurrency",
    id: "server-max_concurrency",
    label: servers::max_concurrency,
    read: |draft| &draft.max_concurrency,
    write: |draft| &mut draft.max_concurrency,
    used: |live| live.in_flight,
};

fn limit(form: Form, live: ReadSignal<Option<LiveView>>, limit: &Limit) -> View {
    let Limit {
        field,
        id,
        label,
        read,
        write,
        used,
    } = *limit;
    let value = text(form, read, write);
    let used = create_selector(move || live.with(|live| live.as_ref().map(used)));
    let waiting = create_selector(move || {
        live.with(|live| live.as_ref().map_or(0, |live| live.queue_length))
    });
    let hint: Text = (move || {
        used.get()
            .map(|used| servers::now_used(&intl::integer(used)))
            .unwrap_or_default()
    })
    .into();
    let note = move || {
        let now = used.get()?;
        let stored = form.stored.with(|stored| parsed(read(stored)));
        let text = match effect(&value.get_clone(), stored, now, waiting.get()) {
            Effect::None => return None,
            Effect::Pause => servers::effect_pause().to_owned(),
            Effect::Over => servers::effect_over(&intl::integer(now)),
            Effect::Release => servers::effect_release(&intl::integer(waiting.get())),
        };
        Some(view! { p(class="form-effect", role="status") { (text) } })
    };
    view! {
        div(class="form-limit") {
            Field(id=id, label=label, hint=hint, error=move || form.error(field)) {
                NumberInput(id=id, value=value, error=move || form.error(field), placeholder=common::unlimited())
            }
            (note())
        }
    }
}

fn text(
    form: Form,
    read: fn(&Draft) -> &String,
    write: fn(&mut Draft) -> &mut String,
) -> Signal<String> {
    lens(form, read, write)
}

/// A field of the draft as a signal of its own, which an input can be bound to.
fn lens<T: Clone + PartialEq>(
    form: Form,
    read: fn(&Draft) -> &T,
    write: fn(&mut Draft) -> &mut T,
) -> Signal<T> {
    let signal = create_signal(form.draft.with_untracked(|draft| read(draft).clone()));
    create_effect(move || {
        let value = form.draft.with(|draft| read(draft).clone());
        if value != signal.get_clone_untracked() {
            signal.set(value);
        }
    });
    create_effect(move || {
        let value = signal.get_clone();
        if form.draft.with_untracked(|draft| *read(draft) != value) {
            form.draft.update(|draft| *write(draft) = value);
        }
    });
    signal
}
