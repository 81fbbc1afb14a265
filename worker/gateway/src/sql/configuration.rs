//! 配置版本、审计与快照的语句。
//!
//! Owns what all writes have in common: the audit row and the new configuration version, each
//! written only if the statement before it changed a row. `changes()` counts for one connection,
//! and a D1 batch has one to itself.

use super::{Edit, Statement, Value, VersionRow, servers};

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("AUDIT", AUDIT),
    ("BUMP_VERSION", BUMP_VERSION),
    ("READ_VERSION", READ_VERSION),
    ("READ_SCHEMA_VERSION", READ_SCHEMA_VERSION),
];

/// The schema that this code needs: the number of the newest migration.
pub const SCHEMA_VERSION: u64 = 3;

/// The schema of a database without the table that tells it, which came with the second migration.
const SCHEMA_VERSION_UNTOLD: u64 = 1;

const AUDIT: &str = "\
INSERT INTO audit (at, actor, action, target_kind, target_id, detail)
SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE changes() > 0";

const BUMP_VERSION: &str = "\
UPDATE config_version SET version = version + 1, updated_at = ?1
WHERE id = 1 AND changes() > 0
RETURNING version";

const READ_VERSION: &str = "SELECT version FROM config_version WHERE id = 1";

const READ_SCHEMA_VERSION: &str = "SELECT version FROM schema_version WHERE id = 1";

/// What an audit row says about a change.
pub(super) struct Audited<'a> {
    pub(super) action: &'static str,
    pub(super) target_kind: &'static str,
    pub(super) target_id: &'a str,
    /// Without secrets.
    pub(super) detail: serde_json::Value,
}

/// Reads the configuration version ([`VersionRow`]).
#[must_use]
pub fn config_version_read() -> Statement {
    Statement::new(READ_VERSION, [])
}

/// The configuration version that a statement of this module answered with; None if there is none,
/// which a migrated database cannot have.
#[must_use]
pub fn config_version(rows: Vec<VersionRow>) -> Option<u64> {
    rows.into_iter().next().map(|row| row.version)
}

/// Reads the version of the schema ([`VersionRow`]).
#[must_use]
pub fn schema_version_read() -> Statement {
    Statement::new(READ_SCHEMA_VERSION, [])
}

/// The version of the schema, from what [`schema_version_read`] brought: rows, or the text of an error.
/// None if the database does not answer.
#[must_use]
pub fn schema_version(read: Result<Vec<VersionRow>, &str>) -> Option<u64> {
    match read {
        Ok(rows) => config_version(rows),
        Err(text) => text
            .contains("no such table: schema_version")
            .then_some(SCHEMA_VERSION_UNTOLD),
    }
}

/// Reads the whole configuration in one batch: the version ([`VersionRow`]), then all servers in
/// their order ([`super::ServerRow`]). Their number is bounded when one is created.
#[must_use]
pub fn snapshot() -> [Statement; 2] {
    [config_version_read(), servers::all_servers()]
}

/// The statements that follow every write.
pub(super) fn record(edit: Edit<'_>, audited: &Audited<'_>) -> [Statement; 2] {
    let at = Value::from(edit.at);
    let audit = Statement::new(
        AUDIT,
        [
            at.clone(),
            edit.actor.into(),
            audited.action.into(),
            audited.target_kind.into(),
            audited.target_id.into(),
            audited.detail.to_string().into(),
        ],
    );
    [audit, Statement::new(BUMP_VERSION, [at])]
}
