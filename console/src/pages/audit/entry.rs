//! 一条审计：一句话，和改动的字段。
//!
//! Owns how an entry of the trail is told: who did what to which object, when, and the fields with what stood
//! there before where that is known. Values are written as people read them; what nobody knows stays as it is.

use console_macros::view;
use serde_json::Value;
use sycamore::prelude::*;

use super::{Listed, Object};
use crate::audit_detail::Change;
use crate::components::icon;
use crate::i18n::audit;
use crate::icons::Icon;
use crate::intl;
use crate::range::milliseconds;

/// An entry of the list.
#[must_use]
pub fn entry(listed: Listed) -> View {
    let Listed {
        entry,
        changes,
        object,
        order,
        ..
    } = listed;
    let (symbol, class) = match entry.action.as_str() {
        "create" => (Icon::Add, "audit-mark is-create"),
        "delete" => (Icon::Delete, "audit-mark is-delete"),
        "rotate" => (Icon::Rotate, "audit-mark is-rotate"),
        "reorder" => (Icon::Sort, "audit-mark"),
        _ => (Icon::Edit, "audit-mark"),
    };
    let at = milliseconds(&entry.at);
    let (utc, written) = (entry.at.clone(), entry.at.clone());
    let has_fields = entry
        .detail
        .as_object()
        .is_some_and(|fields| !fields.is_empty());
    let repeated = changes.is_empty() && has_fields && entry.action == "update";
    let (kind, action, actor) = (entry.target_kind, entry.action, entry.actor);
    let words = move || sentence(&kind, &action, &actor);
    let rows: Vec<View> = changes.into_iter().map(change).collect();
    let rows = (!rows.is_empty()).then(|| view! { dl(class="audit-changes") { (rows) } });
    let ordered: Vec<View> = order
        .into_iter()
        .map(|name| view! { li { (name) } })
        .collect();
    let ordered = (!ordered.is_empty()).then(|| view! { ol(class="audit-order") { (ordered) } });
    let object = name(object);
    view! {
        li(class="audit-entry") {
            span(class=class, aria-hidden="true") { (icon(symbol)) }
            div(class="audit-body") {
                div(class="audit-head") {
                    p(class="audit-words") {
                        (words())
                        " "
                        (object)
                    }
                    time(class="audit-time", datetime=utc, title=written) {
                        (at.map(intl::time_of_day).unwrap_or_default())
                    }
                }
                (rows)
                (repeated.then(|| view! { p(class="audit-same") { (audit::same()) } }))
                (ordered)
            }
        }
    }
}

fn name(object: Object) -> View {
    match object {
        Object::None => View::new(),
        Object::There { name, path } => view! { a(class="audit-object", href=path) { (name) } },
        Object::Named { name, gone } => view! {
            span(class="audit-object") { (name) }
            " "
            span(class="is-faint") { (if gone { audit::gone() } else { "" }) }
        },
    }
}

fn sentence(kind: &str, action: &str, who: &str) -> String {
    match (kind, action) {
        ("server", "create") => audit::created_server(who),
        ("server", "update") => audit::changed_server(who),
        ("server", "delete") => audit::deleted_server(who),
        ("server", "reorder") => audit::reordered(who),
        ("key", "create") => audit::created_key(who),
        ("key", "update") => audit::changed_key(who),
        ("key", "delete") => audit::deleted_key(who),
        ("key", "rotate") => audit::rotated_key(who),
        _ => audit::other(who, action),
    }
}

fn change(change: Change) -> View {
    let Change {
        field,
        before,
        after,
    } = change;
    let (label, one, two) = (field.clone(), field.clone(), field.clone());
    let secret = field == "api_key";
    let before = before.filter(|_| !secret);
    let replaced = before.is_some();
    view! {
        div(class="audit-change") {
            dt { (field_name(&label)) }
            dd {
                (before.clone().map(|before| {
                    let one = one.clone();
                    view! {
                        span(class="visually-hidden") { (audit::written()) " " }
                        del(class="audit-before") { (shown(&one, &before)) }
                        span(class="audit-arrow", aria-hidden="true") { "→" }
                        span(class="visually-hidden") { " " (audit::became()) " " }
                    }
                }))
                span(class=if replaced { "audit-after is-new" } else { "audit-after" }) { (shown(&two, &after)) }
            }
        }
    }
}

fn field_name(field: &str) -> String {
    let known = match field {
        "name" => audit::field_name(),
        "enabled" => audit::field_enabled(),
        "base_url" => audit::field_base_url(),
        "api_key" => audit::field_api_key(),
        "app" => audit::field_app(),
        "models" => audit::field_models(),
        "expires_at" => audit::field_expires_at(),
        "grace_seconds" => audit::field_grace(),
        "rpm_limit" => audit::field_rpm(),
        "tpm_limit" => audit::field_tpm(),
        "max_concurrency" => audit::field_concurrency(),
        "queue_max" => audit::field_queue_max(),
        "queue_timeout_ms" => audit::field_queue_timeout(),
        "on_full" => audit::field_on_full(),
        "overflow" => audit::field_overflow(),
        "upstream_timeout_ms" => audit::field_upstream_timeout(),
        other => return other.to_owned(),
    };
    known.to_owned()
}

/// A value as people read it; the field says what nothing and a number mean.
fn shown(field: &str, value: &Value) -> String {
    match (field, value) {
        ("api_key", _) => audit::replaced().to_owned(),
        ("expires_at", Value::Null) => audit::never().to_owned(),
        ("expires_at", Value::String(time)) => intl::api_time(time),
        ("rpm_limit" | "tpm_limit" | "max_concurrency", Value::Null) => {
            audit::unlimited().to_owned()
        }
        ("rpm_limit" | "tpm_limit" | "max_concurrency", Value::Number(limit))
            if limit.as_u64() == Some(0) =>
        {
            audit::paused().to_owned()
        }
        ("grace_seconds", Value::Number(seconds)) if seconds.as_u64() == Some(0) => {
            audit::at_once().to_owned()
        }
        ("grace_seconds", Value::Number(seconds)) => {
            intl::span(seconds.as_u64().unwrap_or_default().saturating_mul(1_000))
        }
        (_, Value::Number(span)) if field.ends_with("_ms") => {
            span.as_u64().map_or_else(|| span.to_string(), intl::span)
        }
        (_, Value::Number(number)) => number
            .as_u64()
            .map_or_else(|| number.to_string(), intl::integer),
        (_, Value::Bool(true)) => audit::yes().to_owned(),
        (_, Value::Bool(false)) => audit::no().to_owned(),
        (_, Value::String(text)) => text.clone(),
        (_, Value::Array(items)) if items.is_empty() => audit::any().to_owned(),
        (_, Value::Array(items)) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect();
            items.join(", ")
        }
        (_, Value::Null) => audit::any().to_owned(),
        (_, other) => other.to_string(),
    }
}
