//! 网关密钥对象：上下限、生成、编号。
//!
//! Bounds of a gateway key's fields, how its secret is made, and what its ids look like.

use admission::time::Instant;
use serde_json::json;

use super::super::*;
use super::{key, refused};

#[test]
fn a_key_needs_a_name_and_may_then_use_anything() {
    let created = key(&json!({"name": "ci"})).unwrap();
    assert_eq!(
        (
            created.app,
            created.models,
            created.expires_at,
            created.enabled
        ),
        (None, Vec::new(), None, true)
    );
    refused(key(&json!({})), "name");
}

#[test]
fn each_field_of_a_key_is_checked() {
    for (field, good, bad) in [
        (
            "app",
            json!([null, "My App/1.0", "~".repeat(64)]),
            json!(["", "~".repeat(65), "é", " a", "a\tb", 1]),
        ),
        (
            "models",
            json!([null, [], ["gpt-*"]]),
            json!([["a*b"], [""], "gpt"]),
        ),
        (
            "expires_at",
            json!([null, "2026-11-23T16:00:00.001+08:00"]),
            json!([
                "2026-11-23T08:00:00Z",
                "2020-01-01T00:00:00Z",
                "2027-01-01",
                "soon",
                1_900_000_000_000_u64
            ]),
        ),
        ("enabled", json!([true, false]), json!([null, 1])),
    ] {
        for value in good.as_array().unwrap() {
            assert!(
                key(&json!({"name": "n", field: value})).is_ok(),
                "{field} {value}"
            );
        }
        for value in bad.as_array().unwrap() {
            refused(key(&json!({"name": "n", field: value})), field);
        }
    }
    refused(key(&json!({"name": "n", "digest": "x"})), "digest");
    assert!(refused(key(&json!({"name": "n", "key": "x"})), "key").contains("set by the gateway"));
}

#[test]
fn a_key_may_be_retired_by_an_expiry_in_the_past() {
    let patch = KeyPatch::parse(br#"{"expires_at":"2020-01-01T00:00:00Z"}"#).unwrap();
    assert_eq!(
        patch.expires_at,
        Change::Set(Some(Instant::from_millis(1_577_836_800_000)))
    );
    assert_eq!(
        serde_json::to_value(&patch).unwrap(),
        json!({"expires_at": "2020-01-01T00:00:00.000Z"})
    );
}

#[test]
fn a_new_key_is_recognised_by_its_prefix_and_found_by_its_digest() {
    let new = NewKey::from_random([0xfb; 32]);
    assert_eq!(
        new.secret.expose(),
        format!("sk-sluice-{}", "-_v7".repeat(10) + "-_s")
    );
    assert_eq!(new.prefix, "sk-sluice--_v7");
    let bearer = format!("Bearer {}", new.secret.expose());
    assert_eq!(
        crate::auth::client_key(Some(&bearer), None).unwrap(),
        new.digest
    );
    assert!(!format!("{new:?}").contains("-_v7-_v7"));
}

#[test]
fn ids_fit_into_urls_and_into_their_columns() {
    for id in [server_id([0xff; 12]), gateway_key_id([0; 12])] {
        assert!(id.len() <= bounds::ID_CHARS_MAX);
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
            "{id}"
        );
    }
    assert_ne!(server_id([1; 12]), server_id([2; 12]));
}

#[test]
fn a_rotation_has_a_grace_of_a_day_unless_asked_otherwise_within_thirty_days() {
    let grace = |body: &str| KeyRotate::parse(body.as_bytes()).map(|rotate| rotate.grace_seconds);
    assert_eq!((grace(""), grace("{}")), (Ok(86_400), Ok(86_400)));
    for seconds in [0, 1, 2_592_000] {
        assert_eq!(
            grace(&json!({"grace_seconds": seconds}).to_string()),
            Ok(seconds)
        );
    }
    for bad in [
        json!(-1),
        json!(2_592_001),
        json!(1.5),
        json!("1"),
        json!(null),
    ] {
        refused(
            KeyRotate::parse(json!({"grace_seconds": bad}).to_string().as_bytes()),
            "grace_seconds",
        );
    }
    refused(KeyRotate::parse(br#"{"expires_at":null}"#), "expires_at");
    let at = Instant::from_millis(1_000);
    let ends = |grace_seconds| KeyRotate { grace_seconds }.previous_expires_at(at);
    assert_eq!(
        (ends(0), ends(2)),
        (None, Some(Instant::from_millis(3_000)))
    );
}
