//! 统计的行：求和、分位数、CSV。
//!
//! Owns what a row of statistics shows, and how sums of parts become the sum of the whole. Percentiles are
//! estimated from histograms ([`crate::histogram`]); everything else is exact.

use admission::time::Instant;
use serde::{Deserialize, Serialize};

use super::query::{Granularity, UsagePlace, UsageQuery};
use crate::admin_api::rfc3339;
use crate::histogram::percentile_ms;

/// A group as the statement reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of a row")]
pub struct UsageLine {
    /// Start of its hour or day, in milliseconds.
    pub bucket: u64,
    pub server_id: Option<String>,
    pub app: Option<String>,
    pub model: Option<String>,
    /// None where the server is no more.
    pub server_name: Option<String>,
    pub sums: UsageSums,
}

/// Sums over requests, in the order of the statement that reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of a row")]
pub struct UsageSums {
    pub requests: u64,
    pub errors: u64,
    pub queue_timeouts: u64,
    pub queue_evictions: u64,
    pub cancelled: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub cached_tokens: u64,
    pub total_tokens: u64,
    pub queued_requests: u64,
    pub queue_wait_ms_sum: u64,
    pub queue_wait_ms_max: u64,
    pub latency_ms_sum: u64,
    pub latency_ms_max: u64,
    /// Counts of the histogram of waits.
    pub waits: Vec<u64>,
    /// Counts of the histogram of latencies.
    pub latencies: Vec<u64>,
}

/// The figures of a row, and of the whole range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "UsageTotals"))]
#[expect(
    missing_docs,
    reason = "the fields are described in PRODUCT.md, section 7"
)]
pub struct UsageFigures {
    pub requests: u64,
    pub errors: u64,
    pub queue_timeouts: u64,
    pub queue_evictions: u64,
    pub cancelled: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub cached_tokens: u64,
    pub total_tokens: u64,
    pub queued_requests: u64,
    pub queue_wait_ms_sum: u64,
    pub queue_wait_ms_max: u64,
    pub latency_ms_sum: u64,
    pub latency_ms_max: u64,
    pub queue_wait_p50_ms: Option<u64>,
    pub queue_wait_p95_ms: Option<u64>,
    pub queue_wait_p99_ms: Option<u64>,
    pub latency_p50_ms: Option<u64>,
    pub latency_p95_ms: Option<u64>,
    pub latency_p99_ms: Option<u64>,
}

/// One row of statistics. What it is not grouped by is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "UsageRow"))]
#[expect(
    missing_docs,
    reason = "the fields are described in PRODUCT.md, section 7"
)]
pub struct UsageView {
    pub bucket: String,
    pub server_id: Option<String>,
    pub server_name: Option<String>,
    pub app: Option<String>,
    pub model: Option<String>,
    #[serde(flatten)]
    pub figures: UsageFigures,
}

/// The answer of `GET /api/stats/usage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "UsageReport"))]
pub struct UsageReport {
    /// Start of the range.
    pub from: String,
    /// Its end, not included.
    pub to: String,
    /// See there.
    pub granularity: Granularity,
    /// The rows of this page.
    pub items: Vec<UsageView>,
    /// Asks for the next page; None on the last one.
    pub next_cursor: Option<String>,
    /// The figures of the whole range, not of the page.
    pub totals: UsageFigures,
}

impl UsageSums {
    /// Adds the sums of other requests.
    pub fn add(&mut self, other: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.requests, other.requests);
        add(&mut self.errors, other.errors);
        add(&mut self.queue_timeouts, other.queue_timeouts);
        add(&mut self.queue_evictions, other.queue_evictions);
        add(&mut self.cancelled, other.cancelled);
        add(&mut self.prompt_tokens, other.prompt_tokens);
        add(&mut self.completion_tokens, other.completion_tokens);
        add(&mut self.cached_tokens, other.cached_tokens);
        add(&mut self.total_tokens, other.total_tokens);
        add(&mut self.queued_requests, other.queued_requests);
        add(&mut self.queue_wait_ms_sum, other.queue_wait_ms_sum);
        self.queue_wait_ms_max = self.queue_wait_ms_max.max(other.queue_wait_ms_max);
        add(&mut self.latency_ms_sum, other.latency_ms_sum);
        self.latency_ms_max = self.latency_ms_max.max(other.latency_ms_max);
        for (mine, theirs) in [
            (&mut self.waits, &other.waits),
            (&mut self.latencies, &other.latencies),
        ] {
            mine.resize(mine.len().max(theirs.len()), 0);
            for (sum, more) in mine.iter_mut().zip(theirs) {
                add(sum, *more);
            }
        }
    }

    /// What a client sees of them.
    #[must_use]
    pub fn figures(&self) -> UsageFigures {
        let wait = |percent| percentile_ms(&self.waits, self.queue_wait_ms_max, percent);
        let latency = |percent| percentile_ms(&self.latencies, self.latency_ms_max, percent);
        UsageFigures {
            requests: self.requests,
            errors: self.errors,
            queue_timeouts: self.queue_timeouts,
            queue_evictions: self.queue_evictions,
            cancelled: self.cancelled,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cached_tokens: self.cached_tokens,
            total_tokens: self.total_tokens,
            queued_requests: self.queued_requests,
            queue_wait_ms_sum: self.queue_wait_ms_sum,
            queue_wait_ms_max: self.queue_wait_ms_max,
            latency_ms_sum: self.latency_ms_sum,
            latency_ms_max: self.latency_ms_max,
            queue_wait_p50_ms: wait(50),
            queue_wait_p95_ms: wait(95),
            queue_wait_p99_ms: wait(99),
            latency_p50_ms: latency(50),
            latency_p95_ms: latency(95),
            latency_p99_ms: latency(99),
        }
    }
}

impl UsageLine {
    /// Its place in the order of groups.
    #[must_use]
    pub fn place(&self, query: &UsageQuery) -> UsagePlace {
        UsagePlace {
            bucket: self.bucket,
            keys: query.grouping.keys(
                self.server_id.as_ref(),
                self.app.as_ref(),
                self.model.as_ref(),
            ),
        }
    }

    /// The row as a client sees it.
    #[must_use]
    pub fn into_view(self) -> UsageView {
        UsageView {
            bucket: rfc3339(Instant::from_millis(self.bucket)),
            figures: self.sums.figures(),
            server_id: self.server_id,
            server_name: self.server_name,
            app: self.app,
            model: self.model,
        }
    }
}

impl UsageReport {
    /// The answer that these groups are, which were read with one more than the limit, and these sums of parts
    /// of the range.
    #[must_use]
    pub fn new(query: &UsageQuery, lines: Vec<UsageLine>, parts: &[UsageSums]) -> Self {
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = lines.len() > limit;
        let shown: Vec<UsageLine> = lines.into_iter().take(limit).collect();
        let mut totals = UsageSums::default();
        for part in parts {
            totals.add(part);
        }
        Self {
            from: rfc3339(query.from),
            to: rfc3339(query.to),
            granularity: query.granularity,
            next_cursor: shown
                .last()
                .filter(|_| more)
                .map(|line| line.place(query).encode()),
            items: shown.into_iter().map(UsageLine::into_view).collect(),
            totals: totals.figures(),
        }
    }
}

impl UsageView {
    /// The header of its CSV: the fields in their order.
    pub const CSV_HEADER: [&'static str; 25] = [
        "bucket",
        "server_id",
        "server_name",
        "app",
        "model",
        "requests",
        "errors",
        "queue_timeouts",
        "queue_evictions",
        "cancelled",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "total_tokens",
        "queued_requests",
        "queue_wait_ms_sum",
        "queue_wait_ms_max",
        "latency_ms_sum",
        "latency_ms_max",
        "queue_wait_p50_ms",
        "queue_wait_p95_ms",
        "queue_wait_p99_ms",
        "latency_p50_ms",
        "latency_p95_ms",
        "latency_p99_ms",
    ];

    /// Its cells; what is null is empty.
    #[must_use]
    pub fn csv_cells(&self) -> [String; 25] {
        let figures = &self.figures;
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        let optional = |ms: Option<u64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
        [
            self.bucket.clone(),
            name(&self.server_id),
            name(&self.server_name),
            name(&self.app),
            name(&self.model),
            figures.requests.to_string(),
            figures.errors.to_string(),
            figures.queue_timeouts.to_string(),
            figures.queue_evictions.to_string(),
            figures.cancelled.to_string(),
            figures.prompt_tokens.to_string(),
            figures.completion_tokens.to_string(),
            figures.cached_tokens.to_string(),
            figures.total_tokens.to_string(),
            figures.queued_requests.to_string(),
            figures.queue_wait_ms_sum.to_string(),
            figures.queue_wait_ms_max.to_string(),
            figures.latency_ms_sum.to_string(),
            figures.latency_ms_max.to_string(),
            optional(figures.queue_wait_p50_ms),
            optional(figures.queue_wait_p95_ms),
            optional(figures.queue_wait_p99_ms),
            optional(figures.latency_p50_ms),
            optional(figures.latency_p95_ms),
            optional(figures.latency_p99_ms),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::BUCKETS_LEN;

    fn sums(requests: u64, wait_max: u64, bucket: usize) -> UsageSums {
        let mut waits = vec![0; BUCKETS_LEN];
        waits[bucket] = requests;
        UsageSums {
            requests,
            total_tokens: requests.saturating_mul(10),
            queue_wait_ms_max: wait_max,
            waits,
            ..UsageSums::default()
        }
    }

    #[test]
    fn sums_of_parts_are_those_of_the_whole() {
        let mut whole = UsageSums::default();
        whole.add(&sums(3, 0, 0));
        whole.add(&sums(1, 9_000, 14));
        let figures = whole.figures();
        assert_eq!(
            (
                figures.requests,
                figures.total_tokens,
                figures.queue_wait_ms_max
            ),
            (4, 40, 9_000)
        );
        assert_eq!(
            (figures.queue_wait_p50_ms, figures.queue_wait_p99_ms),
            (Some(0), Some(9_000))
        );
        assert_eq!(figures.latency_p50_ms, None, "no latency was counted");
    }

    #[test]
    fn the_csv_has_the_fields_of_the_row_in_their_order() {
        let line = UsageLine {
            bucket: 1_795_420_800_000,
            server_id: Some("srv_a".to_owned()),
            app: None,
            model: Some("m".to_owned()),
            server_name: Some("a".to_owned()),
            sums: sums(2, 0, 0),
        };
        let view = line.into_view();
        let text = serde_json::to_string(&view).unwrap();
        let mut rest = text.as_str();
        for name in UsageView::CSV_HEADER {
            let (_, after) = rest.split_once(&format!("\"{name}\":")).expect(name);
            rest = after;
        }
        assert_eq!(
            view.csv_cells().join(","),
            "2026-11-23T08:00:00.000Z,srv_a,a,,m,2,0,0,0,0,0,0,0,20,0,0,0,0,0,0,0,0,,,"
        );
    }

    #[test]
    fn the_group_too_many_is_not_shown_but_announced() {
        let now = Instant::from_millis(1_795_420_800_000);
        let query = UsageQuery::parse("limit=1&group_by=server_id,model", now).unwrap();
        let line = |model: &str| UsageLine {
            bucket: 1_795_417_200_000,
            server_id: Some("srv_a".to_owned()),
            app: None,
            model: Some(model.to_owned()),
            server_name: None,
            sums: sums(1, 0, 0),
        };
        let report = UsageReport::new(&query, vec![line("a"), line("b")], &[sums(2, 0, 0)]);
        assert_eq!((report.items.len(), report.totals.requests), (1, 2));
        let cursor = report.next_cursor.unwrap();
        let next = UsageQuery::parse(
            &format!("limit=1&group_by=server_id,model&cursor={cursor}"),
            now,
        )
        .unwrap();
        assert_eq!(
            next.after.unwrap().keys,
            ["a", "srv_a"],
            "the model first, as in the index"
        );
        let last = UsageReport::new(&query, vec![line("b")], &[]);
        assert_eq!(last.next_cursor, None);
    }
}
