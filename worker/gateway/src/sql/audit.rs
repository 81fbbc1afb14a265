//! 审计列表的语句：按筛选选择索引，键集分页。
//!
//! Owns the reads of `audit`; its rows are written by `configuration`, with the change that they tell.
//! Each filter has an index in the order of the list, and the most selective filter that is set
//! decides which one is used; the others are checked row by row.

use admission::time::Instant;

use super::{Statement, Value};
use crate::admin_api::bounds::STORED_INTEGER_MAX;
use crate::admin_api::{AuditQuery, TargetKind};

/// Entries before a place in the list, newest first. A filter that is null lets everything through.
macro_rules! page {
    ($driven_by:literal) => {
        concat!(
            "SELECT id, at, actor, action, target_kind, target_id, detail FROM audit WHERE ",
            $driven_by,
            "at >= ?1 AND (at, id) < (?2, ?3)
  AND (?4 IS NULL OR target_kind = ?4) AND (?5 IS NULL OR target_id = ?5)
  AND (?6 IS NULL OR actor = ?6) AND (?7 IS NULL OR action = ?7)
ORDER BY at DESC, id DESC LIMIT ?8"
        )
    };
}

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("AUDIT_PAGE", AUDIT_PAGE),
    ("AUDIT_PAGE_OF_KIND", AUDIT_PAGE_OF_KIND),
    ("AUDIT_PAGE_OF_TARGET", AUDIT_PAGE_OF_TARGET),
    ("AUDIT_PAGE_OF_ACTOR", AUDIT_PAGE_OF_ACTOR),
    ("AUDIT_PAGE_OF_ACTION", AUDIT_PAGE_OF_ACTION),
];

const AUDIT_PAGE: &str = page!("");

const AUDIT_PAGE_OF_KIND: &str = page!("target_kind = ?4 AND ");

const AUDIT_PAGE_OF_TARGET: &str = page!("target_id = ?5 AND ");

const AUDIT_PAGE_OF_ACTOR: &str = page!("actor = ?6 AND ");

const AUDIT_PAGE_OF_ACTION: &str = page!("action = ?7 AND ");

/// Reads one page of the audit trail ([`super::AuditRow`]), newest first, and one row more.
#[must_use]
pub fn audit_page(query: &AuditQuery) -> Statement {
    let sql = if query.target_id.is_some() {
        AUDIT_PAGE_OF_TARGET
    } else if query.actor.is_some() {
        AUDIT_PAGE_OF_ACTOR
    } else if query.action.is_some() {
        AUDIT_PAGE_OF_ACTION
    } else if query.target_kind.is_some() {
        AUDIT_PAGE_OF_KIND
    } else {
        AUDIT_PAGE
    };
    // Ids begin with 1: what lies before `(to, 0)` was written before `to`.
    let end = (query.to.map_or(STORED_INTEGER_MAX, Instant::as_millis), 0);
    let (before_at, before_id) = query.before.map_or(end, |before| before.min(end));
    let from: Value = query.from.map_or(Value::Integer(0), Value::from);
    Statement::new(
        sql,
        [
            from,
            before_at.into(),
            before_id.into(),
            query.target_kind.map(TargetKind::as_str).into(),
            query.target_id.as_deref().into(),
            query.actor.as_deref().into(),
            query.action.as_deref().into(),
            u64::from(query.page.rows()).into(),
        ],
    )
}
