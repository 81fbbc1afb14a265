//! 日志页的查询：筛选、状态码、翻页，都在地址里。
//!
//! Owns what the page of the log asks of the API, how a page is put together of several answers, and which pages
//! somebody came through. The names of filters are the API's own, so a link reads like a call.
//!
//! Invariant: no row is left out or shown twice between two pages: the next one begins where the last answer
//! ended.

use gateway::admin_api::LogView;

use crate::query::Query;
use crate::range::{Range, time};

/// The names of the filters, as the API has them.
pub const FILTERS: [&str; 7] = [
    "server_id",
    "app",
    "model",
    "key_id",
    "status",
    "error_code",
    "request_id",
];
/// So many rows make a page.
pub const ROWS: usize = 50;
/// How many answers are put together before the page says how far it looked.
const ANSWERS_MAX: u32 = 8;
/// The longest page of the API, for looking through rows that it cannot sort out itself.
const ROWS_MAX: usize = 500;
/// Errors that a row of the log can have.
pub const ERROR_CODES: [&str; 8] = [
    "queue_timeout",
    "queue_evicted",
    "queue_full",
    "deadline_unreachable",
    "upstream_unreachable",
    "upstream_timeout",
    "upstream_stream_truncated",
    "server_overloaded",
];

/// Which statuses are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// All.
    Any,
    /// Those of a hundred, such as `5xx`, which the API cannot ask for.
    Class(u16),
    /// One, as text of three digits.
    Exact(u16),
}

impl Statuses {
    /// What a text says; what is no status is all of them.
    #[must_use]
    pub fn read(text: Option<&str>) -> Self {
        match text {
            Some("2xx") => Self::Class(2),
            Some("3xx") => Self::Class(3),
            Some("4xx") => Self::Class(4),
            Some("5xx") => Self::Class(5),
            Some(text) => match text.parse() {
                Ok(status @ 100..=599) => Self::Exact(status),
                _ => Self::Any,
            },
            None => Self::Any,
        }
    }

    /// Whether a status is one of them.
    #[must_use]
    pub const fn has(self, status: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Class(class) => match status.checked_div(100) {
                Some(its) => its == class,
                None => false,
            },
            Self::Exact(one) => one == status,
        }
    }
}

/// What is asked of the API for a page: its filters and its time, without `limit` and `cursor`. A preset has no
/// end, so that what comes in the meantime is there.
#[must_use]
pub fn asked(page: &Query, range: Range, now_ms: u64) -> Query {
    let bounds = range.bounds(now_ms);
    let mut query = Query::default().with("from", Some(&time(bounds.from_ms)));
    if matches!(range, Range::Custom { .. }) {
        query = query.with("to", Some(&time(bounds.to_ms)));
    }
    for name in FILTERS {
        query = query.with(name, page.get(name));
    }
    match Statuses::read(page.get("status")) {
        Statuses::Exact(status) => query.with("status", Some(&status.to_string())),
        Statuses::Any | Statuses::Class(_) => query.with("status", None),
    }
}

/// Whether any filter is set.
#[must_use]
pub fn is_filtered(page: &Query) -> bool {
    FILTERS
        .iter()
        .any(|name| page.get(name).is_some_and(|value| !value.is_empty()))
}

/// A page as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// Its rows, newest first.
    pub rows: Vec<LogView>,
    /// Where the next page begins; None on the last one.
    pub next: Option<String>,
    statuses: Statuses,
    answers: u32,
}

impl Gathered {
    /// Nothing yet, beginning at this cursor.
    #[must_use]
    pub const fn from(cursor: Option<String>, statuses: Statuses) -> Self {
        Self {
            rows: Vec::new(),
            next: cursor,
            statuses,
            answers: 0,
        }
    }

    /// What the next answer is asked with; None when the page is full, or looked far enough, or at its end.
    #[must_use]
    pub fn call(&self, query: &Query) -> Option<Query> {
        let missing = ROWS.saturating_sub(self.rows.len());
        let ended = self.answers > 0 && self.next.is_none();
        if missing == 0 || ended || self.answers >= ANSWERS_MAX {
            return None;
        }
        // Rows that are left out here are asked for in long pages; others by as many as are missing.
        let limit = match self.statuses {
            Statuses::Class(_) => ROWS_MAX,
            Statuses::Any | Statuses::Exact(_) => missing,
        };
        let query = query.clone().with("limit", Some(&limit.to_string()));
        Some(query.with("cursor", self.next.as_deref()))
    }

    /// Takes an answer.
    pub fn take(&mut self, rows: Vec<LogView>, next: Option<String>) {
        let statuses = self.statuses;
        let wanted = rows.into_iter().filter(|row| statuses.has(row.status));
        self.rows.extend(wanted);
        self.next = next;
        self.answers = self.answers.saturating_add(1);
    }

    /// Whether it ended before it was full, because few rows pass the filters, and there is more to look through.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.next.is_some() && self.rows.len() < ROWS
    }
}

/// The pages that somebody came through, by their cursors; the first page has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail(Vec<Option<String>>);

impl Trail {
    /// Notes that somebody is at a page now: one of before, or the one after the last.
    pub fn visit(&mut self, cursor: Option<&str>) {
        let same = |one: &Option<String>| one.as_deref() == cursor;
        if let Some(place) = self.0.iter().position(same) {
            self.0.truncate(place.saturating_add(1));
            return;
        }
        if cursor.is_none() {
            self.0.clear();
        }
        self.0.push(cursor.map(str::to_owned));
    }

    /// The page before this one, if somebody came from there: its cursor.
    #[must_use]
    pub fn newer(&self) -> Option<Option<&str>> {
        let place = self.0.len().checked_sub(2)?;
        self.0.get(place).map(Option::as_deref)
    }
}

#[cfg(test)]
pub(crate) mod tests;
