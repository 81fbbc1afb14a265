//! 导出：一页一页读出，一段一段写成 CSV。
//!
//! Owns the way from a query to a file: which statement reads the next page, what of the file that page is, and
//! when it ends. A page is all that is ever held. Reads and sends nothing.
//!
//! Invariant: the file has every row of the query once, in the order of its pages.

use admission::time::Instant;

use crate::admin_api::{LogQuery, LogView, UsageQuery, UsageView};
use crate::csv::push_line;
use crate::error::GatewayError;
use crate::sql::{
    LineRow, Statement, log_entry, logs_page, logs_scan, scan_end, usage_line, usage_page,
};

/// Rows of a page: about 1 MB of D1's answer, and few enough queries for a million rows (D1 allows a
/// thousand an invocation).
pub const EXPORT_PAGE_LEN: u32 = 2_000;

/// A file that is being written.
#[derive(Debug, Clone)]
pub struct Export {
    query: Query,
    /// Whether the header was written.
    begun: bool,
    /// Whether the last row was.
    ended: bool,
    /// Whether the end of the next page's scan is to be found first.
    scan_is_due: bool,
}

#[derive(Debug, Clone)]
enum Query {
    Logs(LogQuery),
    Usage(UsageQuery),
}

impl Export {
    /// The rows of the log.
    pub fn logs(query: &str) -> Result<Self, GatewayError> {
        LogQuery::parse_export(query, EXPORT_PAGE_LEN).map(|query| Self::new(Query::Logs(query)))
    }

    /// The rows of statistics.
    pub fn usage(query: &str, now: Instant) -> Result<Self, GatewayError> {
        UsageQuery::parse_export(query, now, EXPORT_PAGE_LEN)
            .map(|query| Self::new(Query::Usage(query)))
    }

    fn new(query: Query) -> Self {
        Self {
            query,
            begun: false,
            ended: false,
            scan_is_due: true,
        }
    }

    /// The `Content-Disposition` of the file.
    #[must_use]
    pub const fn disposition(&self) -> &'static str {
        match self.query {
            Query::Logs(_) => "attachment; filename=\"sluice-logs.csv\"",
            Query::Usage(_) => "attachment; filename=\"sluice-usage.csv\"",
        }
    }

    /// What to read next; None when the file is complete.
    #[must_use]
    pub fn next(&self) -> Option<Statement> {
        (!self.ended).then(|| match &self.query {
            Query::Logs(query) if self.scan_is_due => {
                logs_scan(query).unwrap_or_else(|| logs_page(query))
            }
            Query::Logs(query) => logs_page(query),
            Query::Usage(query) => usage_page(query),
        })
    }

    /// What comes next in the file, from the rows that were read; often nothing.
    pub fn push(&mut self, rows: &[LineRow]) -> Result<String, GatewayError> {
        match &mut self.query {
            Query::Logs(query) if self.scan_is_due && logs_scan(query).is_some() => {
                query.until = match rows.first() {
                    Some(row) => Some(scan_end(row).ok_or_else(unreadable)?),
                    None => None,
                };
                self.scan_is_due = false;
                Ok(String::new())
            }
            _ => self.push_page(rows),
        }
    }

    fn push_page(&mut self, rows: &[LineRow]) -> Result<String, GatewayError> {
        let mut csv = String::new();
        let limit = usize::try_from(EXPORT_PAGE_LEN).unwrap_or(usize::MAX);
        // One row more was read than the page has.
        self.ended = rows.len() <= limit;
        let rows = rows.iter().take(limit);
        let begins = !std::mem::replace(&mut self.begun, true);
        match &mut self.query {
            Query::Logs(query) => {
                if begins {
                    push_line(&mut csv, LogView::CSV_HEADER);
                }
                for row in rows {
                    let entry = log_entry(row).ok_or_else(unreadable)?;
                    query.after = Some((entry.started_at, entry.sequence));
                    push_line(
                        &mut csv,
                        entry.into_view().csv_cells().iter().map(String::as_str),
                    );
                }
                if let Some(until) = query.until.take()
                    && self.ended
                {
                    query.after = Some(until);
                    self.ended = false;
                }
                self.scan_is_due = true;
            }
            Query::Usage(query) => {
                if begins {
                    push_line(&mut csv, UsageView::CSV_HEADER);
                }
                for row in rows {
                    let line = usage_line(row).ok_or_else(unreadable)?;
                    query.after = Some(line.place(query));
                    push_line(
                        &mut csv,
                        line.into_view().csv_cells().iter().map(String::as_str),
                    );
                }
            }
        }
        Ok(csv)
    }
}

fn unreadable() -> GatewayError {
    GatewayError::internal("a stored row of usage could not be read")
}
