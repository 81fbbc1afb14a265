//! 审计列表：筛选条件与条目视图。
//!
//! Owns what may be asked of the audit trail and how an entry looks. Writes none: each entry belongs to
//! the change that it tells. Invariant: a query that cannot be understood is refused, never widened.

use admission::time::Instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded;

use super::bounds::{ACTION_CHARS_MAX, ACTOR_CHARS_MAX, ID_CHARS_MAX, STORED_INTEGER_MAX};
use super::object::invalid_field;
use super::page::{Cursor, Page};
use super::time::parse_rfc3339;
use crate::error::GatewayError;

/// What a change was made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A server, or the order of all of them.
    Server,
    /// A gateway key.
    Key,
}

/// Which entries of the audit trail are asked for. What is None filters nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// How many of them.
    pub page: Page,
    /// Where the page before ended: time in milliseconds and number of its last entry.
    pub before: Option<(u64, u64)>,
    /// Kind of what was changed.
    pub target_kind: Option<TargetKind>,
    /// Id of what was changed.
    pub target_id: Option<String>,
    /// Who made the change.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// Not before this time.
    pub from: Option<Instant>,
    /// Before this time.
    pub to: Option<Instant>,
}

/// An entry of the audit trail as the admin API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "AuditEntry"))]
#[expect(
    missing_docs,
    reason = "the fields are the columns of the table, described in its migration"
)]
pub struct AuditView {
    pub id: u64,
    pub at: String,
    pub actor: String,
    pub action: String,
    pub target_kind: String,
    pub target_id: String,
    /// The fields that were written, without secrets.
    pub detail: Value,
}

impl TargetKind {
    /// As the table has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Key => "key",
        }
    }
}

impl AuditQuery {
    /// Reads the query of a URL; parameters that are not named here are not ours to judge.
    pub fn parse(query: &str) -> Result<Self, GatewayError> {
        let page = Page::parse(query)?;
        let before = page.cursor.as_ref().map(place).transpose()?;
        let mut asked = Self {
            page,
            before,
            target_kind: None,
            target_id: None,
            actor: None,
            action: None,
            from: None,
            to: None,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "target_kind" => asked.target_kind = Some(target_kind(&value)?),
                "target_id" => asked.target_id = Some(text("target_id", &value, ID_CHARS_MAX)?),
                "actor" => asked.actor = Some(text("actor", &value, ACTOR_CHARS_MAX)?),
                "action" => asked.action = Some(text("action", &value, ACTION_CHARS_MAX)?),
                "from" => asked.from = Some(time("from", &value)?),
                "to" => asked.to = Some(time("to", &value)?),
                _ => {}
            }
        }
        match (asked.from, asked.to) {
            (Some(from), Some(to)) if from > to => Err(invalid_field(
                "from",
                "`from` must not be later than `to`.".to_owned(),
            )),
            _ => Ok(asked),
        }
    }
}

/// The place that a cursor of this list means; those of other lists have ids that are no numbers.
fn place(cursor: &Cursor) -> Result<(u64, u64), GatewayError> {
    let id = cursor.id.parse().ok();
    let id = id.filter(|id| *id <= STORED_INTEGER_MAX);
    id.map(|id| (cursor.sort_key, id))
        .ok_or_else(Cursor::unknown)
}

fn target_kind(value: &str) -> Result<TargetKind, GatewayError> {
    [TargetKind::Server, TargetKind::Key]
        .into_iter()
        .find(|kind| kind.as_str() == value)
        .ok_or_else(|| {
            invalid_field(
                "target_kind",
                "`target_kind` must be \"server\" or \"key\".".to_owned(),
            )
        })
}

fn text(name: &'static str, value: &str, chars_max: usize) -> Result<String, GatewayError> {
    if (1..=chars_max).contains(&value.chars().count()) {
        Ok(value.to_owned())
    } else {
        let message = format!("`{name}` must be a text of 1 to {chars_max} characters.");
        Err(invalid_field(name, message))
    }
}

fn time(name: &'static str, value: &str) -> Result<Instant, GatewayError> {
    parse_rfc3339(value).ok_or_else(|| {
        let message = format!(
            "`{name}` must be an RFC 3339 time such as \"2027-01-31T08:00:00Z\"; in a URL, a `+` is written %2B."
        );
        invalid_field(name, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(query: &str) -> String {
        let error = AuditQuery::parse(query).unwrap_err();
        assert_eq!(error.status(), 422);
        error.param.unwrap().into_owned()
    }

    #[test]
    fn every_filter_is_read_and_none_is_needed() {
        let none = AuditQuery::parse("other=x").unwrap();
        assert_eq!((none.page.limit, none.before, none.actor), (50, None, None));
        let all = AuditQuery::parse(
            "limit=7&target_kind=key&target_id=key_a&actor=a%20b&action=rotate\
             &from=2026-11-23T16:00:00%2B08:00&to=2026-11-23T08:00:01Z",
        )
        .unwrap();
        assert_eq!(all.page.limit, 7);
        assert_eq!(all.target_kind, Some(TargetKind::Key));
        assert_eq!(all.target_id.as_deref(), Some("key_a"));
        assert_eq!(all.actor.as_deref(), Some("a b"));
        assert_eq!(all.action.as_deref(), Some("rotate"));
        assert_eq!(all.from, Some(Instant::from_millis(1_795_420_800_000)));
        assert_eq!(all.to, Some(Instant::from_millis(1_795_420_801_000)));
    }

    #[test]
    fn a_filter_that_cannot_be_understood_is_refused() {
        let long = "x".repeat(257);
        for (query, name) in [
            ("target_kind=servers", "target_kind"),
            ("target_kind=", "target_kind"),
            ("target_id=", "target_id"),
            (&format!("target_id={}", "x".repeat(65)), "target_id"),
            (&format!("actor={long}"), "actor"),
            (&format!("action={}", "x".repeat(65)), "action"),
            ("from=yesterday", "from"),
            ("to=2026-11-23", "to"),
            ("to=2026-11-23T16:00:00+08:00", "to"),
            ("from=2026-11-23T08:00:01Z&to=2026-11-23T08:00:00Z", "from"),
            ("limit=0", "limit"),
            ("cursor=%21", "cursor"),
        ] {
            assert_eq!(param(query), name, "{query}");
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let cursor = |id: &str| Cursor {
            sort_key: 5,
            id: id.to_owned(),
        };
        let query = |id| format!("cursor={}", cursor(id).encode());
        assert_eq!(
            AuditQuery::parse(&query("12")).unwrap().before,
            Some((5, 12))
        );
        assert_eq!(param(&query("srv_a")), "cursor");
        assert_eq!(param(&query("99999999999999999999")), "cursor");
        assert_eq!(param(&query("9007199254740992")), "cursor");
    }
}
