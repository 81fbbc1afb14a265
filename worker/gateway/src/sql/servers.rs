//! 服务器表的语句。
//!
//! Owns the reads and writes of `servers`. Invariant: a write with an expected version changes the
//! row only if it still has that version.

use std::collections::BTreeSet;

use serde_json::json;

use super::configuration::{Audited, record};
use super::{Edit, ServerRow, Statement, Value};
use crate::admin_api::bounds::SERVERS_LEN_MAX;
use crate::admin_api::{Page, ServerCreate, ServerOrder, ServerPatch};
use crate::envelope::{Keyring, NONCE_BYTES, SealedKey};
use crate::error::{ErrorCode, GatewayError};

/// The columns of [`ServerRow`].
macro_rules! columns {
    () => {
        "id, name, base_url, models, enabled, position, rpm_limit, tpm_limit, max_concurrency, \
         queue_max, queue_timeout_ms, on_full, overflow, upstream_timeout_ms, api_key, \
         api_key_hint, version, created_at, updated_at"
    };
}

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("INSERT_SERVER", INSERT_SERVER),
    ("UPDATE_SERVER", UPDATE_SERVER),
    ("RESEAL_SERVER_KEY", RESEAL_SERVER_KEY),
    ("DELETE_SERVER", DELETE_SERVER),
    ("REORDER_SERVERS", REORDER_SERVERS),
    ("SERVER_BY_ID", SERVER_BY_ID),
    ("ALL_SERVERS", ALL_SERVERS),
    ("SERVERS_PAGE", SERVERS_PAGE),
];

const INSERT_SERVER: &str = concat!(
    "INSERT INTO servers (",
    columns!(),
    ")
SELECT ?1, ?2, ?3, ?4, ?5, (SELECT coalesce(max(position) + 1, 0) FROM servers), ?6, ?7, ?8,
  ?9, ?10, ?11, ?12, ?13, ?14, ?15, 1, ?16, ?16
WHERE (SELECT count(*) FROM servers) < ?17
RETURNING ",
    columns!()
);

// A nullable column has two parameters: whether it is set, and to what.
const UPDATE_SERVER: &str = concat!(
    "UPDATE servers SET
  name = coalesce(?4, name),
  base_url = coalesce(?5, base_url),
  models = coalesce(?6, models),
  enabled = coalesce(?7, enabled),
  rpm_limit = CASE WHEN ?8 THEN ?9 ELSE rpm_limit END,
  tpm_limit = CASE WHEN ?10 THEN ?11 ELSE tpm_limit END,
  max_concurrency = CASE WHEN ?12 THEN ?13 ELSE max_concurrency END,
  queue_max = coalesce(?14, queue_max),
  queue_timeout_ms = coalesce(?15, queue_timeout_ms),
  on_full = coalesce(?16, on_full),
  overflow = coalesce(?17, overflow),
  upstream_timeout_ms = coalesce(?18, upstream_timeout_ms),
  api_key = coalesce(?19, api_key),
  api_key_hint = coalesce(?20, api_key_hint),
  version = version + 1,
  updated_at = ?3
WHERE id = ?1 AND (?2 IS NULL OR version = ?2)
RETURNING ",
    columns!()
);

// The same key in another envelope: no version rises. Only over the very envelope that was opened, so
// that a key which was entered meanwhile is never lost.
const RESEAL_SERVER_KEY: &str = "UPDATE servers SET api_key = ?3 WHERE id = ?1 AND api_key = ?2";

const DELETE_SERVER: &str = concat!(
    "DELETE FROM servers WHERE id = ?1 AND (?2 IS NULL OR version = ?2) RETURNING ",
    columns!()
);

// Only if the ids are exactly those that are stored, and only the rows whose place changes.
const REORDER_SERVERS: &str = concat!(
    "UPDATE servers SET position = wanted.key
FROM json_each(?1) AS wanted
WHERE servers.id = wanted.value AND servers.position <> wanted.key
  AND (SELECT count(*) FROM servers) = json_array_length(?1)
  AND NOT EXISTS (SELECT 1 FROM servers AS other WHERE other.id NOT IN (SELECT value FROM json_each(?1)))
RETURNING ",
    columns!()
);

const SERVER_BY_ID: &str = concat!("SELECT ", columns!(), " FROM servers WHERE id = ?1");

const ALL_SERVERS: &str = concat!("SELECT ", columns!(), " FROM servers ORDER BY position, id");

const SERVERS_PAGE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM servers WHERE (position, id) > (?1, ?2) ORDER BY position, id LIMIT ?3"
);

/// Creates a server at the end of the order. Read `CHANGED` and pass it to [`super::created`].
#[must_use]
pub fn create_server(
    id: &str,
    create: &ServerCreate,
    key: &SealedKey,
    edit: Edit<'_>,
) -> Vec<Statement> {
    let settings = &create.settings;
    let insert = Statement::new(
        INSERT_SERVER,
        [
            id.into(),
            settings.name.as_str().into(),
            settings.base_url.as_str().into(),
            json!(settings.models).to_string().into(),
            settings.enabled.into(),
            settings.rpm_limit.into(),
            settings.tpm_limit.into(),
            settings.max_concurrency.into(),
            settings.queue_max.into(),
            settings.queue_timeout_ms.into(),
            word(json!(settings.on_full)),
            word(json!(settings.overflow)),
            settings.upstream_timeout_ms.into(),
            key.envelope.as_str().into(),
            key.hint.as_str().into(),
            edit.at.into(),
            SERVERS_LEN_MAX.into(),
        ],
    );
    let audited = Audited {
        action: "create",
        target_kind: "server",
        target_id: id,
        detail: json!(settings),
    };
    with_record(insert, edit, &audited)
}

/// Changes the fields that the patch sets; a replacement is the patch that sets all
/// (`ServerPatch::from`). `key` is the sealed form of the patch's `api_key`, if it has one. Without
/// an expected version the last write wins. Read `CHANGED` and `CURRENT` and pass them to
/// [`super::changed`].
#[must_use]
pub fn update_server(
    id: &str,
    patch: &ServerPatch,
    key: Option<&SealedKey>,
    expected_version: Option<u64>,
    edit: Edit<'_>,
) -> Vec<Statement> {
    let [rpm_is_set, rpm_limit] = nullable(&patch.rpm_limit);
    let [tpm_is_set, tpm_limit] = nullable(&patch.tpm_limit);
    let [concurrency_is_set, max_concurrency] = nullable(&patch.max_concurrency);
    let update = Statement::new(
        UPDATE_SERVER,
        [
            id.into(),
            expected_version.into(),
            edit.at.into(),
            patch.name.as_set().map(String::as_str).into(),
            patch.base_url.as_set().map(String::as_str).into(),
            patch
                .models
                .as_set()
                .map(|models| json!(models).to_string())
                .into(),
            patch.enabled.as_set().copied().into(),
            rpm_is_set,
            rpm_limit,
            tpm_is_set,
            tpm_limit,
            concurrency_is_set,
            max_concurrency,
            patch.queue_max.as_set().copied().into(),
            patch.queue_timeout_ms.as_set().copied().into(),
            patch
                .on_full
                .as_set()
                .map_or(Value::Null, |choice| word(json!(choice))),
            patch
                .overflow
                .as_set()
                .map_or(Value::Null, |choice| word(json!(choice))),
            patch.upstream_timeout_ms.as_set().copied().into(),
            key.map(|key| key.envelope.as_str()).into(),
            key.map(|key| key.hint.as_str()).into(),
        ],
    );
    let mut detail = json!(patch);
    if let (Some(_), Some(fields)) = (key, detail.as_object_mut()) {
        fields.insert("api_key".to_owned(), json!("replaced"));
    }
    let audited = Audited {
        action: "update",
        target_kind: "server",
        target_id: id,
        detail,
    };
    let mut statements = with_record(update, edit, &audited);
    statements.push(server_by_id(id));
    statements
}

/// Most rows that one batch seals again: with the statements of the request beside which it runs it
/// stays below 50, the most that a Worker on the free plan may send in one invocation.
pub const RESEAL_ROWS_MAX: usize = 40;

/// Seals keys again that the previous encryption key opened, one statement a row and at most
/// [`RESEAL_ROWS_MAX`] of them. `nonce` gives fresh random bytes at each call. A row that nothing
/// opens, or that cannot be sealed, is left as it is.
pub fn reseal_server_keys(
    rows: &[ServerRow],
    keyring: Option<&Keyring>,
    mut nonce: impl FnMut() -> Option<[u8; NONCE_BYTES]>,
) -> Vec<Statement> {
    let Some(keyring) = keyring else {
        return Vec::new();
    };
    let sealed = rows.iter().filter_map(|row| {
        let opened = row.open_key(Some(keyring)).ok()?;
        let secret = (!opened.current).then_some(opened.secret)?;
        let fresh = keyring.seal_server_key(&row.id, &secret, nonce()?).ok()?;
        Some(Statement::new(
            RESEAL_SERVER_KEY,
            [
                row.id.as_str().into(),
                row.api_key.as_str().into(),
                fresh.envelope.into(),
            ],
        ))
    });
    sealed.take(RESEAL_ROWS_MAX).collect()
}

/// Deletes a server. Read `CHANGED` and `CURRENT` and pass them to [`super::changed`], which gives
/// the row as it was: its limiter has to be told with a version one higher.
#[must_use]
pub fn delete_server(id: &str, expected_version: Option<u64>, edit: Edit<'_>) -> Vec<Statement> {
    let delete = Statement::new(DELETE_SERVER, [id.into(), expected_version.into()]);
    let audited = Audited {
        action: "delete",
        target_kind: "server",
        target_id: id,
        detail: json!({}),
    };
    let mut statements = with_record(delete, edit, &audited);
    statements.push(server_by_id(id));
    statements
}

/// Puts all servers into this order. Read `CURRENT` and pass it to [`reordered`].
#[must_use]
pub fn reorder_servers(order: &ServerOrder, edit: Edit<'_>) -> Vec<Statement> {
    let ids = json!(order.ids);
    let reorder = Statement::new(REORDER_SERVERS, [ids.to_string().into()]);
    let audited = Audited {
        action: "reorder",
        target_kind: "server",
        target_id: "",
        detail: json!({ "ids": ids }),
    };
    let mut statements = with_record(reorder, edit, &audited);
    statements.push(all_servers());
    statements
}

/// What to answer after a reordering: all servers in their order.
///
/// # Errors
/// `invalid_field` if the ids were not exactly those of all servers; nothing changed then.
pub fn reordered(
    order: &ServerOrder,
    current: Vec<ServerRow>,
) -> Result<Vec<ServerRow>, GatewayError> {
    let asked: BTreeSet<&str> = order.ids.iter().map(String::as_str).collect();
    let stored: BTreeSet<&str> = current.iter().map(|row| row.id.as_str()).collect();
    if asked == stored {
        return Ok(current);
    }
    let message = match (
        asked.difference(&stored).next(),
        stored.difference(&asked).next(),
    ) {
        (None, Some(missing)) => {
            format!("`ids` must name every server, but \"{missing}\" is missing.")
        }
        _ => "`ids` names a server that does not exist.".to_owned(),
    };
    Err(GatewayError::new(ErrorCode::InvalidField, message).param("ids"))
}

/// Reads one server.
#[must_use]
pub fn server_by_id(id: &str) -> Statement {
    Statement::new(SERVER_BY_ID, [id.into()])
}

/// Reads one page of the servers, in order, and one row more.
#[must_use]
pub fn servers_page(page: &Page) -> Statement {
    let rows = u64::from(page.rows()).into();
    match &page.cursor {
        None => Statement::new(SERVERS_PAGE, [Value::Integer(-1), "".into(), rows]),
        Some(cursor) => Statement::new(
            SERVERS_PAGE,
            [cursor.sort_key.into(), cursor.id.as_str().into(), rows],
        ),
    }
}

/// Reads all servers, in order.
pub(super) fn all_servers() -> Statement {
    Statement::new(ALL_SERVERS, [])
}

pub(super) fn with_record(
    write: Statement,
    edit: Edit<'_>,
    audited: &Audited<'_>,
) -> Vec<Statement> {
    let [audit, bump] = record(edit, audited);
    vec![write, audit, bump]
}

/// Whether a nullable column is set, and to what.
fn nullable(field: &crate::admin_api::Change<Option<u64>>) -> [Value; 2] {
    let set = field.as_set();
    [set.is_some().into(), set.copied().flatten().into()]
}

/// The word that an enumeration has in JSON and in the table alike.
fn word(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::String(text) => Value::Text(text),
        _ => Value::Null,
    }
}
