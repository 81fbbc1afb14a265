//! 审计条目读作改动：字段、之前、之后。
//!
//! Owns how the details of audit entries are read: which fields a change wrote, and what stood there before as
//! far as the entries at hand tell. The trail keeps what was written, not what was replaced; that is found in
//! an older entry of the same object. The trail holds no secret, and neither does this.
//!
//! Invariant: a value before is told only where an entry says it.

use std::collections::HashMap;

use crate::series::sort_by;
use gateway::admin_api::AuditView;
use serde_json::Value;

/// Fields in the order in which they are told; others follow.
const ORDER: [&str; 16] = [
    "name",
    "enabled",
    "base_url",
    "api_key",
    "app",
    "models",
    "expires_at",
    "grace_seconds",
    "rpm_limit",
    "tpm_limit",
    "max_concurrency",
    "queue_max",
    "queue_timeout_ms",
    "on_full",
    "overflow",
    "upstream_timeout_ms",
];

/// A field that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its name in the API.
    pub field: String,
    /// What an older entry says; None where none does.
    pub before: Option<Value>,
    /// What was written.
    pub after: Value,
}

/// The changes of each of these entries, which come newest first.
#[must_use]
pub fn changes(entries: &[AuditView]) -> Vec<Vec<Change>> {
    let mut known: HashMap<(&str, &str), HashMap<&str, &Value>> = HashMap::new();
    let mut read: Vec<Vec<Change>> = Vec::new();
    for entry in entries.iter().rev() {
        let fields = entry.detail.as_object();
        let object = known
            .entry((&entry.target_kind, &entry.target_id))
            .or_default();
        let mut changes: Vec<Change> = Vec::new();
        for (field, after) in fields.into_iter().flatten() {
            let before = match entry.action.as_str() {
                "update" => object.get(field.as_str()).map(|before| (*before).clone()),
                _ => None,
            };
            // A new object is enabled and without limits, unless it says so.
            let plain = is_nothing(after) || (field == "enabled" && after == &Value::Bool(true));
            let nothing_new = entry.action == "create" && plain;
            let repeated = before.as_ref() == Some(after) && field != "api_key";
            if field != "ids" && !nothing_new && !repeated {
                changes.push(Change {
                    field: field.clone(),
                    before,
                    after: after.clone(),
                });
            }
            object.insert(field, after);
        }
        sort_by(&mut changes, &|a, b| place(&a.field).cmp(&place(&b.field)));
        read.push(changes);
    }
    read.reverse();
    read
}

/// The name of each object that these entries tell, by its id: the newest one.
#[must_use]
pub fn names(entries: &[AuditView]) -> HashMap<String, String> {
    let mut names = HashMap::new();
    for entry in entries.iter().rev() {
        if let Some(name) = entry.detail.get("name").and_then(Value::as_str) {
            names.insert(entry.target_id.clone(), name.to_owned());
        }
    }
    names
}

/// The ids of an order.
#[must_use]
pub fn order(entry: &AuditView) -> Vec<String> {
    let ids = entry.detail.get("ids").and_then(Value::as_array);
    let ids = ids.into_iter().flatten().filter_map(Value::as_str);
    ids.map(str::to_owned).collect()
}

/// Stands for the absence of a choice.
#[must_use]
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn place(field: &str) -> usize {
    let place = ORDER.iter().position(|one| *one == field);
    place.unwrap_or(ORDER.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(id: u64, action: &str, target: &str, detail: Value) -> AuditView {
        AuditView {
            id,
            at: "2026-11-23T08:00:00.000Z".to_owned(),
            actor: "admin".to_owned(),
            action: action.to_owned(),
            target_kind: "key".to_owned(),
            target_id: target.to_owned(),
            detail,
        }
    }

    fn change(field: &str, before: Option<Value>, after: Value) -> Change {
        Change {
            field: field.to_owned(),
            before,
            after,
        }
    }

    #[test]
    fn what_stood_there_before_comes_from_an_older_entry_of_the_same_object() {
        let entries = [
            entry(4, "update", "a", json!({"name": "Z", "enabled": false})),
            entry(3, "update", "b", json!({"name": "B"})),
            entry(2, "update", "a", json!({"name": "Y"})),
            entry(
                1,
                "create",
                "a",
                json!({"name": "X", "app": null, "models": [], "enabled": true}),
            ),
        ];
        let read = changes(&entries);
        assert_eq!(
            read[0],
            [
                change("name", Some(json!("Y")), json!("Z")),
                change("enabled", Some(json!(true)), json!(false)),
            ]
        );
        assert_eq!(read[1], [change("name", None, json!("B"))]);
        assert_eq!(read[2], [change("name", Some(json!("X")), json!("Y"))]);
        assert_eq!(read[3], [change("name", None, json!("X"))]);
    }

    #[test]
    fn what_was_nothing_is_told_where_it_is_changed() {
        let entries = [
            entry(
                2,
                "update",
                "a",
                json!({"app": "bot", "api_key": "replaced"}),
            ),
            entry(
                1,
                "create",
                "a",
                json!({"app": null, "api_key": "replaced"}),
            ),
        ];
        assert_eq!(
            changes(&entries)[0],
            [
                change("api_key", Some(json!("replaced")), json!("replaced")),
                change("app", Some(json!(null)), json!("bot")),
            ]
        );
    }

    #[test]
    fn a_value_that_was_written_again_is_no_change() {
        let entries = [
            entry(2, "update", "a", json!({"name": "X", "rpm_limit": 5})),
            entry(1, "update", "a", json!({"name": "X"})),
        ];
        assert_eq!(changes(&entries)[0], [change("rpm_limit", None, json!(5))]);
    }

    #[test]
    fn an_order_is_told_by_its_ids_and_not_as_a_field() {
        let one = entry(1, "reorder", "", json!({"ids": ["srv_1", "srv_2"]}));
        assert!(changes(std::slice::from_ref(&one))[0].is_empty());
        assert_eq!(order(&one), ["srv_1", "srv_2"]);
    }

    #[test]
    fn the_newest_name_of_an_object_counts() {
        let entries = [
            entry(3, "delete", "a", json!({})),
            entry(2, "update", "a", json!({"name": "New"})),
            entry(1, "create", "a", json!({"name": "Old"})),
        ];
        assert_eq!(names(&entries).get("a").map(String::as_str), Some("New"));
    }
}
