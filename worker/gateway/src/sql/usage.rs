//! 统计的语句：从汇总表按任意分组读出一页，以及整个范围的总计。
//!
//! Owns the reads of the sums by hour and by day. Each grouping has a statement of its own, because its groups
//! come in the order of an index: nothing is sorted, and a page ends the scan.
//!
//! Invariant: the totals of a range are the sums of its rows, whatever is grouped by.

use super::buckets::buckets;
use super::logs::LineRow;
use super::{Statement, Value};
use crate::admin_api::{Granularity, Grouping, UsageLine, UsageQuery, UsageSums};

/// Length of an hour and of a day in UTC, which has no others.
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("HOURS", HOURS),
    ("HOURS_BY_SERVER", HOURS_BY_SERVER),
    ("HOURS_BY_APP", HOURS_BY_APP),
    ("HOURS_BY_MODEL", HOURS_BY_MODEL),
    ("HOURS_BY_SERVER_APP", HOURS_BY_SERVER_APP),
    ("HOURS_BY_SERVER_MODEL", HOURS_BY_SERVER_MODEL),
    ("HOURS_BY_APP_MODEL", HOURS_BY_APP_MODEL),
    ("HOURS_BY_ALL", HOURS_BY_ALL),
    ("DAYS", DAYS),
    ("DAYS_BY_SERVER", DAYS_BY_SERVER),
    ("DAYS_BY_APP", DAYS_BY_APP),
    ("DAYS_BY_MODEL", DAYS_BY_MODEL),
    ("DAYS_BY_SERVER_APP", DAYS_BY_SERVER_APP),
    ("DAYS_BY_SERVER_MODEL", DAYS_BY_SERVER_MODEL),
    ("DAYS_BY_APP_MODEL", DAYS_BY_APP_MODEL),
    ("DAYS_BY_ALL", DAYS_BY_ALL),
    ("TOTAL_OF_HOURS", TOTAL_OF_HOURS),
    ("TOTAL_OF_DAYS", TOTAL_OF_DAYS),
];

macro_rules! wait_sum {
    ($number:literal, $least:literal, $greatest:literal) => {
        concat!("sum(wait_", $number, ")")
    };
}
macro_rules! latency_sum {
    ($number:literal, $least:literal, $greatest:literal) => {
        concat!("sum(latency_", $number, ")")
    };
}

/// The sums of a group as JSON: D1 allows 100 columns, and 32 arguments of a function.
macro_rules! sums {
    () => {
        concat!(
            "json_array(sum(requests), sum(errors), sum(queue_timeouts), sum(queue_evictions), sum(cancelled),
  sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(total_tokens), sum(queued_requests),
  sum(queue_wait_ms_sum), max(queue_wait_ms_max), sum(latency_ms_sum), max(latency_ms_max),
  json_array(", buckets!(wait_sum), "),
  json_array(", buckets!(latency_sum), "))"
        )
    };
}

macro_rules! filtered {
    () => {
        "bucket >= ?1 AND bucket < ?2
  AND (?3 IS NULL OR server_id = ?3) AND (?4 IS NULL OR app = ?4) AND (?5 IS NULL OR model = ?5)"
    };
}

/// A page of statistics. The groups come in the order of an index, so that nothing is sorted and the page ends
/// the scan. The bound on `bucket` is where the page begins; the place after which it does is compared row by
/// row (hence the plus), or the planner might choose it in place of the bound.
macro_rules! page {
    ($table:literal, $index:literal, $server:literal, $app:literal, $model:literal, $keys:literal, $after:literal) => {
        concat!(
            "SELECT json_array(bucket, ",
            $server,
            ", ",
            $app,
            ", ",
            $model,
            ",
  (SELECT name FROM servers WHERE id = ",
            $server,
            "), ",
            sums!(),
            ") AS line
FROM ",
            $table,
            $index,
            "
WHERE ",
            filtered!(),
            " AND (+bucket",
            $keys,
            ") > (?7",
            $after,
            ")
GROUP BY bucket",
            $keys,
            " ORDER BY bucket",
            $keys,
            " LIMIT ?6"
        )
    };
}

macro_rules! total {
    ($table:literal) => {
        concat!(
            "SELECT ",
            sums!(),
            " AS line FROM ",
            $table,
            " WHERE ",
            filtered!(),
            " HAVING count(*) > 0"
        )
    };
}

const HOURS: &str = page!("usage_hours", "", "NULL", "NULL", "NULL", "", "");
const HOURS_BY_SERVER: &str = page!(
    "usage_hours",
    "",
    "server_id",
    "NULL",
    "NULL",
    ", server_id",
    ", ?8"
);
const HOURS_BY_SERVER_APP: &str = page!(
    "usage_hours",
    "",
    "server_id",
    "app",
    "NULL",
    ", server_id, app",
    ", ?8, ?9"
);
const HOURS_BY_ALL: &str = page!(
    "usage_hours",
    "",
    "server_id",
    "app",
    "model",
    ", server_id, app, model",
    ", ?8, ?9, ?10"
);
const HOURS_BY_APP: &str = page!(
    "usage_hours",
    " INDEXED BY usage_hours_by_app",
    "NULL",
    "app",
    "NULL",
    ", app",
    ", ?8"
);
const HOURS_BY_APP_MODEL: &str = page!(
    "usage_hours",
    " INDEXED BY usage_hours_by_app",
    "NULL",
    "app",
    "model",
    ", app, model",
    ", ?8, ?9"
);
const HOURS_BY_MODEL: &str = page!(
    "usage_hours",
    " INDEXED BY usage_hours_by_model",
    "NULL",
    "NULL",
    "model",
    ", model",
    ", ?8"
);
const HOURS_BY_SERVER_MODEL: &str = page!(
    "usage_hours",
    " INDEXED BY usage_hours_by_model",
    "server_id",
    "NULL",
    "model",
    ", model, server_id",
    ", ?8, ?9"
);

const DAYS: &str = page!("usage_days", "", "NULL", "NULL", "NULL", "", "");
const DAYS_BY_SERVER: &str = page!(
    "usage_days",
    "",
    "server_id",
    "NULL",
    "NULL",
    ", server_id",
    ", ?8"
);
const DAYS_BY_SERVER_APP: &str = page!(
    "usage_days",
    "",
    "server_id",
    "app",
    "NULL",
    ", server_id, app",
    ", ?8, ?9"
);
const DAYS_BY_ALL: &str = page!(
    "usage_days",
    "",
    "server_id",
    "app",
    "model",
    ", server_id, app, model",
    ", ?8, ?9, ?10"
);
const DAYS_BY_APP: &str = page!(
    "usage_days",
    " INDEXED BY usage_days_by_app",
    "NULL",
    "app",
    "NULL",
    ", app",
    ", ?8"
);
const DAYS_BY_APP_MODEL: &str = page!(
    "usage_days",
    " INDEXED BY usage_days_by_app",
    "NULL",
    "app",
    "model",
    ", app, model",
    ", ?8, ?9"
);
const DAYS_BY_MODEL: &str = page!(
    "usage_days",
    " INDEXED BY usage_days_by_model",
    "NULL",
    "NULL",
    "model",
    ", model",
    ", ?8"
);
const DAYS_BY_SERVER_MODEL: &str = page!(
    "usage_days",
    " INDEXED BY usage_days_by_model",
    "server_id",
    "NULL",
    "model",
    ", model, server_id",
    ", ?8, ?9"
);

const TOTAL_OF_HOURS: &str = total!("usage_hours");
const TOTAL_OF_DAYS: &str = total!("usage_days");

/// Reads one page of statistics in the order of [`UsageQuery`] and one group more ([`LineRow`], for
/// [`usage_line`]).
#[must_use]
pub fn usage_page(query: &UsageQuery) -> Statement {
    let from = query
        .after
        .as_ref()
        .map_or(query.from.as_millis(), |after| after.bucket);
    let mut params = ranged(query, from, query.to.as_millis());
    params.push(u64::from(query.limit).saturating_add(1).into());
    // Nothing comes before bucket -1, so the first page begins with the first group.
    params.push(
        query
            .after
            .as_ref()
            .map_or(Value::Integer(-1), |after| after.bucket.into()),
    );
    for place in 0..query.grouping.len() {
        let key = query.after.as_ref().and_then(|after| after.keys.get(place));
        params.push(key.map_or("", String::as_str).into());
    }
    Statement {
        sql: page_sql(query.granularity, query.grouping),
        params,
    }
}

/// Reads the sums of the whole range: whole days from the sums of days, the rest from those of hours. Each
/// result has one row ([`LineRow`], for [`usage_sums`]) or none.
#[must_use]
pub fn usage_totals(query: &UsageQuery) -> Vec<Statement> {
    let (from, to) = (query.from.as_millis(), query.to.as_millis());
    let first_day = from.div_ceil(DAY_MS).saturating_mul(DAY_MS);
    let last_day = to.checked_div(DAY_MS).unwrap_or(0).saturating_mul(DAY_MS);
    let ranges = if first_day < last_day {
        [
            (TOTAL_OF_HOURS, from, first_day),
            (TOTAL_OF_DAYS, first_day, last_day),
            (TOTAL_OF_HOURS, last_day, to),
        ]
    } else {
        [
            (TOTAL_OF_HOURS, from, to),
            (TOTAL_OF_DAYS, 0, 0),
            (TOTAL_OF_HOURS, 0, 0),
        ]
    };
    ranges
        .into_iter()
        .filter(|(_, from, to)| from < to)
        .map(|(sql, from, to)| Statement {
            sql,
            params: ranged(query, from, to),
        })
        .collect()
}

/// The group that a line of [`usage_page`] is. None for anything else, which no page can contain.
#[must_use]
pub fn usage_line(row: &LineRow) -> Option<UsageLine> {
    serde_json::from_str(&row.line).ok()
}

/// The sums that a line of [`usage_totals`] is.
#[must_use]
pub fn usage_sums(row: &LineRow) -> Option<UsageSums> {
    serde_json::from_str(&row.line).ok()
}

fn ranged(query: &UsageQuery, from: u64, to: u64) -> Vec<Value> {
    vec![
        from.into(),
        to.into(),
        query.filter.server_id.clone().into(),
        query.filter.app.clone().into(),
        query.filter.model.clone().into(),
    ]
}

const fn page_sql(granularity: Granularity, grouping: Grouping) -> &'static str {
    let Grouping {
        server_id,
        app,
        model,
    } = grouping;
    match (granularity, server_id, app, model) {
        (Granularity::Hour, false, false, false) => HOURS,
        (Granularity::Hour, true, false, false) => HOURS_BY_SERVER,
        (Granularity::Hour, false, true, false) => HOURS_BY_APP,
        (Granularity::Hour, false, false, true) => HOURS_BY_MODEL,
        (Granularity::Hour, true, true, false) => HOURS_BY_SERVER_APP,
        (Granularity::Hour, true, false, true) => HOURS_BY_SERVER_MODEL,
        (Granularity::Hour, false, true, true) => HOURS_BY_APP_MODEL,
        (Granularity::Hour, true, true, true) => HOURS_BY_ALL,
        (Granularity::Day, false, false, false) => DAYS,
        (Granularity::Day, true, false, false) => DAYS_BY_SERVER,
        (Granularity::Day, false, true, false) => DAYS_BY_APP,
        (Granularity::Day, false, false, true) => DAYS_BY_MODEL,
        (Granularity::Day, true, true, false) => DAYS_BY_SERVER_APP,
        (Granularity::Day, true, false, true) => DAYS_BY_SERVER_MODEL,
        (Granularity::Day, false, true, true) => DAYS_BY_APP_MODEL,
        (Granularity::Day, true, true, true) => DAYS_BY_ALL,
    }
}
