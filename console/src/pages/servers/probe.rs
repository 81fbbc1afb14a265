//! 测试连接：向服务器要模型列表，结果就地显示。
//!
//! Owns the test of a stored server: asking, the answer in words, and offering the models that the server
//! lists and the form does not have yet.

use crate::reactive::create_effect;
use console_macros::view;
use sycamore::prelude::*;

use super::Data;
use super::form::Form;
use crate::api;
use crate::components::{Button, icon, toast_failure};
use crate::i18n::servers;
use crate::icons::Icon;
use crate::intl;
use crate::task::use_tasks;

const OFFERED_MAX: usize = 8;

/// The answer of a test.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
struct Outcome {
    ok: bool,
    latency_ms: u64,
    models: Option<Vec<String>>,
    missing_models: Vec<String>,
    error: Option<String>,
}

/// The button and what came of it.
#[component(inline_props)]
pub fn Probe(data: Data, id: String, form: Form) -> View {
    let busy = create_signal(false);
    let outcome: Signal<Option<Outcome>> = create_signal(None);
    let tasks = use_tasks();
    let path = format!("/api/servers/{id}/test");
    let ask = move || {
        let path = path.clone();
        busy.set(true);
        tasks.run(async move {
            match api::post::<Outcome>(&path, &serde_json::json!({})).await {
                Ok(answer) => outcome.set(Some(answer)),
                Err(failure) => toast_failure(&failure),
            }
            busy.set(false);
        });
    };
    let first = ask.clone();
    create_effect(move || {
        if data.to_test.get_clone().as_deref() == Some(id.as_str()) {
            data.to_test.set(None);
            first();
        }
    });
    view! {
        section(class="probe") {
            div(class="spread") {
                p(class="field-hint") { (servers::test_hint()) }
                Button(icon=Icon::Test, busy=busy, on:click=move |_| ask()) { (servers::test()) }
            }
            div(role="status") { (outcome.get_clone().map(|outcome| told(outcome, form)).unwrap_or_default()) }
        }
    }
}

fn told(outcome: Outcome, form: Form) -> View {
    let Outcome {
        ok,
        latency_ms,
        models,
        missing_models,
        error,
    } = outcome;
    let class = if ok {
        "probe-outcome is-good"
    } else {
        "probe-outcome is-bad"
    };
    let symbol = icon(if ok { Icon::Check } else { Icon::Failure });
    let count = models.as_ref().map(|models| models.len() as u64);
    let listed = models.unwrap_or_default();
    let missing = missing_models.join(", ");
    let offered = move || {
        let present = form.draft.with(|draft| draft.models.clone());
        let new = listed
            .iter()
            .filter(|model| !covers(&present, model))
            .take(OFFERED_MAX)
            .cloned();
        new.map(|model| offer(model, form)).collect::<Vec<_>>()
    };
    view! {
        div(class=class) {
            (symbol)
            div(class="probe-words") {
                p(class="probe-title") { (if ok { servers::test_ok(&intl::span(latency_ms)) } else { servers::test_failed().to_owned() }) }
                (error.clone().map(|error| view! { p { (error) } }))
                (count.map(|count| view! { p(class="is-soft") { (servers::test_models(&intl::integer(count))) } }))
                ({ let missing = missing.clone(); if missing.is_empty() { View::new() } else { view! { p { (servers::test_missing(&missing)) } } } })
                div(class="probe-offers") { (offered()) }
            }
        }
    }
}

fn offer(model: String, form: Form) -> View {
    let (shown, added) = (model.clone(), model);
    view! {
        button(
            r#type="button",
            class="button is-small",
            on:click=move |_| form.draft.update(|draft| draft.models.push(added.clone())),
        ) { (icon(Icon::Add)) (servers::test_add(&shown)) }
    }
}

/// Whether a name is in the list, or a pattern of it stands for the name.
fn covers(models: &[String], name: &str) -> bool {
    models.iter().any(|model| match model.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => model == name,
    })
}
