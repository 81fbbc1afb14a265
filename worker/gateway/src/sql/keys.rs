//! 网关密钥表的语句。
//!
//! Owns the reads and writes of `gateway_keys`. The secret of a key is in none of them.

use serde_json::json;

use super::configuration::Audited;
use super::servers::with_record;
use super::{Edit, Statement, Value};
use crate::admin_api::bounds::KEYS_LEN_MAX;
use crate::admin_api::{KeyCreate, KeyPatch, KeyRotate, NewKey, Page};
use crate::auth::KeyDigest;
use crate::config::AppName;
use admission::time::Instant;

/// The columns of [`super::KeyRow`]; no digest is one of them, since nobody needs it back.
macro_rules! columns {
    () => {
        "id, name, app, models, prefix, expires_at, previous_expires_at, enabled, created_at"
    };
}

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("INSERT_KEY", INSERT_KEY),
    ("UPDATE_KEY", UPDATE_KEY),
    ("ROTATE_KEY", ROTATE_KEY),
    ("DELETE_KEY", DELETE_KEY),
    ("KEY_BY_ID", KEY_BY_ID),
    ("KEY_BY_DIGEST", KEY_BY_DIGEST),
    ("KEYS_PAGE", KEYS_PAGE),
];

const INSERT_KEY: &str = concat!(
    "INSERT INTO gateway_keys (",
    columns!(),
    ", digest)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7, ?8, ?9
WHERE (SELECT count(*) FROM gateway_keys) < ?10
RETURNING ",
    columns!()
);

// A nullable column has two parameters: whether it is set, and to what.
const UPDATE_KEY: &str = concat!(
    "UPDATE gateway_keys SET
  name = coalesce(?2, name),
  app = CASE WHEN ?3 THEN ?4 ELSE app END,
  models = coalesce(?5, models),
  expires_at = CASE WHEN ?6 THEN ?7 ELSE expires_at END,
  enabled = coalesce(?8, enabled)
WHERE id = ?1
RETURNING ",
    columns!()
);

// The right-hand sides are those of the row before: its digest becomes the previous one, unless there
// is no grace.
const ROTATE_KEY: &str = concat!(
    "UPDATE gateway_keys SET
  digest = ?2,
  prefix = ?3,
  previous_digest = CASE WHEN ?4 IS NULL THEN NULL ELSE digest END,
  previous_expires_at = ?4
WHERE id = ?1
RETURNING ",
    columns!()
);

const DELETE_KEY: &str = concat!(
    "DELETE FROM gateway_keys WHERE id = ?1 RETURNING ",
    columns!()
);

const KEY_BY_ID: &str = concat!("SELECT ", columns!(), " FROM gateway_keys WHERE id = ?1");

const KEY_BY_DIGEST: &str = concat!(
    "SELECT ",
    columns!(),
    ", digest <> ?1 AS by_previous
FROM gateway_keys WHERE digest = ?1 OR (previous_digest = ?1 AND previous_expires_at > ?2)"
);

const KEYS_PAGE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM gateway_keys WHERE (created_at, id) > (?1, ?2) ORDER BY created_at, id LIMIT ?3"
);

/// Creates a gateway key. Read `CHANGED` and pass it to [`super::created`].
#[must_use]
pub fn create_key(id: &str, create: &KeyCreate, key: &NewKey, edit: Edit<'_>) -> Vec<Statement> {
    let insert = Statement::new(
        INSERT_KEY,
        [
            id.into(),
            create.name.as_str().into(),
            create.app.as_ref().map(AppName::as_str).into(),
            json!(create.models).to_string().into(),
            key.prefix.as_str().into(),
            create.expires_at.into(),
            create.enabled.into(),
            edit.at.into(),
            key.digest.to_hex().into(),
            KEYS_LEN_MAX.into(),
        ],
    );
    let audited = Audited {
        action: "create",
        target_kind: "key",
        target_id: id,
        detail: json!(create),
    };
    with_record(insert, edit, &audited)
}

/// Changes the fields that the patch sets. Read `CHANGED` and pass it to [`super::changed`].
#[must_use]
pub fn update_key(id: &str, patch: &KeyPatch, edit: Edit<'_>) -> Vec<Statement> {
    let app = patch.app.as_set();
    let expires_at = patch.expires_at.as_set();
    let update = Statement::new(
        UPDATE_KEY,
        [
            id.into(),
            patch.name.as_set().map(String::as_str).into(),
            app.is_some().into(),
            app.and_then(Option::as_ref).map(AppName::as_str).into(),
            patch
                .models
                .as_set()
                .map(|models| json!(models).to_string())
                .into(),
            expires_at.is_some().into(),
            expires_at.copied().flatten().into(),
            patch.enabled.as_set().copied().into(),
        ],
    );
    let audited = Audited {
        action: "update",
        target_kind: "key",
        target_id: id,
        detail: json!(patch),
    };
    with_record(update, edit, &audited)
}

/// Gives a gateway key a new secret. The one before works until the end of the grace; the one before
/// that, if it still did, stops. Read `CHANGED` and pass it to [`super::changed`].
#[must_use]
pub fn rotate_key(id: &str, rotate: KeyRotate, key: &NewKey, edit: Edit<'_>) -> Vec<Statement> {
    let update = Statement::new(
        ROTATE_KEY,
        [
            id.into(),
            key.digest.to_hex().into(),
            key.prefix.as_str().into(),
            rotate.previous_expires_at(edit.at).into(),
        ],
    );
    let audited = Audited {
        action: "rotate",
        target_kind: "key",
        target_id: id,
        detail: json!(rotate),
    };
    with_record(update, edit, &audited)
}

/// Deletes a gateway key. Read `CHANGED` and pass it to [`super::changed`].
#[must_use]
pub fn delete_key(id: &str, edit: Edit<'_>) -> Vec<Statement> {
    let delete = Statement::new(DELETE_KEY, [id.into()]);
    let audited = Audited {
        action: "delete",
        target_kind: "key",
        target_id: id,
        detail: json!({}),
    };
    with_record(delete, edit, &audited)
}

/// Reads one gateway key.
#[must_use]
pub fn key_by_id(id: &str) -> Statement {
    Statement::new(KEY_BY_ID, [id.into()])
}

/// Finds the gateway key that a client presented ([`super::FoundKeyRow`]): by its secret, or at `now`
/// by the one before its last rotation.
#[must_use]
pub fn key_by_digest(digest: &KeyDigest, now: Instant) -> Statement {
    Statement::new(KEY_BY_DIGEST, [digest.to_hex().into(), now.into()])
}

/// Reads one page of the gateway keys, oldest first, and one row more.
#[must_use]
pub fn keys_page(page: &Page) -> Statement {
    let rows = u64::from(page.rows()).into();
    match &page.cursor {
        None => Statement::new(KEYS_PAGE, [Value::Integer(-1), "".into(), rows]),
        Some(cursor) => Statement::new(
            KEYS_PAGE,
            [cursor.sort_key.into(), cursor.id.as_str().into(), rows],
        ),
    }
}
