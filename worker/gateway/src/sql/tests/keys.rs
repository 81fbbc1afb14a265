//! 网关密钥表的行为。
//!
//! What the statements of gateway keys do to the table.

use admission::time::Instant;
use serde_json::json;

use super::database::{Database, typed};
use super::{at, key, new_key};
use crate::admin_api::{KeyPatch, KeyRotate, List, Page};
use crate::auth::KeyDigest;
use crate::config::KeyRecord;
use crate::error::ErrorCode;
use crate::sql::{
    CHANGED, FoundKeyRow, KeyRow, changed, create_key, created, delete_key, key_by_digest,
    key_by_id, keys_page, rotate_key, update_key,
};

fn with_key(body: &str) -> Database {
    let mut database = Database::migrated();
    let results = database
        .batch(&create_key("key_a", &key(body), &new_key(1), at(1_000)))
        .unwrap();
    created(typed::<KeyRow>(&results[CHANGED])).unwrap();
    database
}

fn stored(database: &Database, id: &str) -> Option<KeyRow> {
    typed::<KeyRow>(&database.run(&key_by_id(id)).unwrap()).pop()
}

#[test]
fn a_created_key_shows_its_secret_once_and_stores_its_digest() {
    let mut database = Database::migrated();
    let new = new_key(1);
    let body = r#"{"name":"ci","app":"billing","models":["gpt-*"],"expires_at":"2027-01-01T08:00:00+08:00"}"#;
    let results = database
        .batch(&create_key("key_a", &key(body), &new, at(1_000)))
        .unwrap();
    let row = created(typed::<KeyRow>(&results[CHANGED])).unwrap();
    assert_eq!(
        serde_json::to_value(row.into_created(new.clone(), Instant::from_millis(1_000))).unwrap(),
        json!({
            "id": "key_a", "name": "ci", "app": "billing", "models": ["gpt-*"], "prefix": "sk-sluice-AQEB",
            "expires_at": "2027-01-01T00:00:00.000Z", "previous_expires_at": null, "enabled": true,
            "created_at": "1970-01-01T00:00:01.000Z", "key": new.secret.expose()
        })
    );
    let everything = format!(
        "{:?}{:?}",
        database.query("SELECT * FROM gateway_keys"),
        database.query("SELECT * FROM audit")
    );
    assert!(everything.contains(&new.digest.to_hex()));
    assert!(!everything.contains(new.secret.expose()));
    assert_eq!(database.audited_and_version(), (1, 2));
}

#[test]
fn a_key_is_found_by_the_digest_of_what_a_client_sends() {
    let database = with_key(r#"{"name":"any"}"#);
    let digest = KeyDigest::of(new_key(1).secret.expose());
    let found = typed::<FoundKeyRow>(&database.run(&key_by_digest(&digest, LATER)).unwrap());
    let record = found.into_iter().next().unwrap().into_record();
    assert_eq!(
        (record.id.as_str(), record.enabled, record.expires_at),
        ("key_a", true, None)
    );
    assert!(record.app.is_none() && record.models.is_empty());
    assert!(by_secret(&database, "sk-other", 2_000).is_none());
}

/// After everything in these tests.
const LATER: Instant = Instant::from_millis(u64::MAX >> 20);

/// What a client with this secret finds.
fn by_secret(database: &Database, secret: &str, millis: u64) -> Option<KeyRecord> {
    let lookup = key_by_digest(&KeyDigest::of(secret), Instant::from_millis(millis));
    let mut found = typed::<FoundKeyRow>(&database.run(&lookup).unwrap());
    assert!(found.len() <= 1);
    found.pop().map(FoundKeyRow::into_record)
}

fn rotate(database: &mut Database, body: &str, new: u8, millis: u64) -> KeyRow {
    let rotate = KeyRotate::parse(body.as_bytes()).unwrap();
    let statements = rotate_key("key_a", rotate, &new_key(new), at(millis));
    let results = database.batch(&statements).unwrap();
    changed(typed::<KeyRow>(&results[CHANGED]), &[] as &[KeyRow]).unwrap()
}

fn secret(byte: u8) -> String {
    new_key(byte).secret.expose().to_owned()
}

#[test]
fn a_rotated_key_works_with_both_secrets_until_the_end_of_the_grace() {
    let mut database = with_key(r#"{"name":"n","app":"a"}"#);
    let row = rotate(&mut database, r#"{"grace_seconds":60}"#, 2, 10_000);
    assert_eq!(row.prefix, new_key(2).prefix);
    let new = by_secret(&database, &secret(2), 10_000).unwrap();
    let old = by_secret(&database, &secret(1), 69_999).unwrap();
    assert_eq!((new.expires_at, &new.id), (None, &old.id));
    assert_eq!(old.expires_at, Some(Instant::from_millis(70_000)));
    assert_eq!(old.app, new.app);
    assert!(by_secret(&database, &secret(1), 70_000).is_none());
    let shown = |millis| {
        row.clone()
            .into_view(Instant::from_millis(millis))
            .previous_expires_at
    };
    assert_eq!(shown(69_999).as_deref(), Some("1970-01-01T00:01:10.000Z"));
    assert_eq!(shown(70_000), None, "a past one is of no interest");
    assert_eq!(database.audited_and_version(), (2, 3));
}

#[test]
fn without_a_grace_the_old_secret_stops_at_once() {
    let mut database = with_key(r#"{"name":"n"}"#);
    rotate(&mut database, "", 2, 10_000);
    let row = rotate(&mut database, r#"{"grace_seconds":0}"#, 3, 20_000);
    assert_eq!(row.previous_expires_at, None);
    assert!(by_secret(&database, &secret(1), 20_000).is_none());
    assert!(by_secret(&database, &secret(2), 20_000).is_none());
    assert!(by_secret(&database, &secret(3), 20_000).is_some());
}

#[test]
fn a_second_rotation_within_the_grace_replaces_the_previous_secret() {
    let mut database = with_key(r#"{"name":"n"}"#);
    rotate(&mut database, "", 2, 10_000);
    rotate(&mut database, "{}", 3, 20_000);
    assert!(by_secret(&database, &secret(1), 20_000).is_none());
    let old = by_secret(&database, &secret(2), 20_000).unwrap();
    assert_eq!(
        old.expires_at,
        Some(Instant::from_millis(86_420_000)),
        "a day"
    );
    assert!(
        by_secret(&database, &secret(3), 20_000)
            .unwrap()
            .expires_at
            .is_none()
    );
}

#[test]
fn the_earlier_of_expiry_and_grace_ends_the_old_secret() {
    let mut database = with_key(r#"{"name":"n","expires_at":"1970-01-01T00:00:30Z"}"#);
    rotate(&mut database, r#"{"grace_seconds":60}"#, 2, 10_000);
    let ends = |byte| {
        by_secret(&database, &secret(byte), 11_000)
            .unwrap()
            .expires_at
    };
    assert_eq!(
        (ends(1), ends(2)),
        (
            Some(Instant::from_millis(30_000)),
            Some(Instant::from_millis(30_000))
        )
    );
}

#[test]
fn the_trail_of_a_rotation_has_the_grace_and_no_secret() {
    let mut database = with_key(r#"{"name":"n"}"#);
    rotate(&mut database, r#"{"grace_seconds":60}"#, 2, 10_000);
    let trail = database.query("SELECT * FROM audit WHERE id = 2");
    assert_eq!(trail[0]["action"], "rotate");
    assert_eq!(trail[0]["detail"], r#"{"grace_seconds":60}"#);
    let text = format!("{trail:?}");
    assert!(!text.contains("sk-sluice") && !text.contains(&new_key(2).digest.to_hex()));
    let missing = rotate_key("key_b", KeyRotate { grace_seconds: 1 }, &new_key(4), at(1));
    let results = database.batch(&missing).unwrap();
    let error = changed(typed::<KeyRow>(&results[CHANGED]), &[] as &[KeyRow]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(
        database.audited_and_version(),
        (2, 3),
        "nothing was changed"
    );
}

#[test]
fn patch_of_a_key_keeps_what_is_absent_and_clears_what_is_null() {
    let mut database =
        with_key(r#"{"name":"n","app":"a","models":["m"],"expires_at":"2027-01-01T00:00:00Z"}"#);
    let mut edit = |body: &str| {
        let patch = KeyPatch::parse(body.as_bytes()).unwrap();
        let results = database
            .batch(&update_key("key_a", &patch, at(2_000)))
            .unwrap();
        changed(typed::<KeyRow>(&results[CHANGED]), &[] as &[KeyRow]).unwrap()
    };
    let before = edit("{}");
    assert_eq!(
        edit(r#"{"enabled":false}"#),
        KeyRow {
            enabled: false,
            ..before.clone()
        }
    );
    let cleared = edit(r#"{"app":null,"models":null,"expires_at":null}"#);
    assert_eq!(
        cleared,
        KeyRow {
            enabled: false,
            app: None,
            models: Vec::new(),
            expires_at: None,
            ..before
        }
    );
    let set = edit(r#"{"name":"x","app":"b","models":["y"],"expires_at":"2028-01-01T00:00:00Z"}"#);
    assert_eq!(
        (set.name.as_str(), set.app.unwrap().as_str(), set.models),
        ("x", "b", vec!["y".to_owned()])
    );
    assert_eq!(set.expires_at, Some(1_830_297_600_000));
    assert_eq!(database.audited_and_version(), (5, 6));
}

#[test]
fn a_deleted_key_is_gone_and_cannot_be_deleted_again() {
    let mut database = with_key(r#"{"name":"n"}"#);
    let mut delete = || {
        let results = database.batch(&delete_key("key_a", at(2_000))).unwrap();
        changed(typed::<KeyRow>(&results[CHANGED]), &[] as &[KeyRow])
    };
    assert_eq!(delete().unwrap().id, "key_a");
    assert_eq!(delete().unwrap_err().code, ErrorCode::NotFound);
    assert!(stored(&database, "key_a").is_none());
    assert_eq!(database.audited_and_version(), (2, 3));
}

#[test]
fn keys_may_share_a_name_but_never_a_digest() {
    let mut database = with_key(r#"{"name":"n"}"#);
    assert!(
        database
            .batch(&create_key(
                "key_b",
                &key(r#"{"name":"n"}"#),
                &new_key(2),
                at(1)
            ))
            .is_ok()
    );
    assert!(
        database
            .batch(&create_key(
                "key_c",
                &key(r#"{"name":"n"}"#),
                &new_key(2),
                at(1)
            ))
            .is_err()
    );
}

#[test]
fn pages_of_keys_show_the_oldest_first_and_each_once() {
    let mut database = Database::migrated();
    for (index, millis) in [(1, 30), (2, 10), (3, 20), (4, 20)] {
        let id = format!("key_{index}");
        database
            .batch(&create_key(
                &id,
                &key(r#"{"name":"n"}"#),
                &new_key(index),
                at(millis),
            ))
            .unwrap();
    }
    let read = |query: &str| {
        let page = Page::parse(query).unwrap();
        let rows = typed::<KeyRow>(&database.run(&keys_page(&page)).unwrap());
        List::of_rows(&page, rows, KeyRow::place, |row| row.into_view(LATER).id)
    };
    let first = read("limit=3");
    assert_eq!(first.items, ["key_2", "key_3", "key_4"]);
    let second = read(&format!("limit=3&cursor={}", first.next_cursor.unwrap()));
    assert_eq!(
        (second.items, second.next_cursor),
        (vec!["key_1".to_owned()], None)
    );
    assert_eq!(
        read("limit=4").next_cursor,
        None,
        "a full last page has no next one"
    );
}

#[test]
fn a_row_without_models_allows_any() {
    let database = with_key(r#"{"name":"n","models":["m"]}"#);
    database
        .connection
        .execute("UPDATE gateway_keys SET models = NULL", [])
        .unwrap();
    assert!(stored(&database, "key_a").unwrap().models.is_empty());
}

#[test]
fn numbers_are_read_whether_they_come_as_integers_or_as_floats() {
    let row = |enabled: &str, expires_at: &str| {
        serde_json::from_str::<KeyRow>(&format!(
            r#"{{"id":"k","name":"n","app":null,"models":"[]","prefix":"p","expires_at":{expires_at},
                "previous_expires_at":null,"enabled":{enabled},"created_at":0}}"#
        ))
    };
    assert_eq!(
        row("1", "1700000000000").unwrap(),
        row("1.0", "1700000000000.0").unwrap()
    );
    assert_eq!(row("0.0", "null").unwrap().expires_at, None);
    assert_eq!(
        row("1", "9007199254740992.0").unwrap().expires_at,
        Some(9_007_199_254_740_992)
    );
    for (enabled, expires_at) in [
        ("2", "1"),
        ("null", "1"),
        ("1", "1.5"),
        ("1", "-1"),
        ("1", "1e300"),
        ("1", "\"1\""),
    ] {
        assert!(row(enabled, expires_at).is_err(), "{enabled} {expires_at}");
    }
}
