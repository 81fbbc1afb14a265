//! 计数器：每一行日志计一次，只增不减。
//!
//! Owns what a limiter object counts of its requests. A row is counted in the turn that writes it to the
//! journal, and the counts are stored in the same turn: they survive what the row survives.
//! Stored as JSON whose lists may grow at their end, so that a newer gateway reads what an older one wrote.

use serde::{Deserialize, Serialize};

use crate::histogram::BOUNDS_MS;
use crate::journal::CLIENT_GONE;
use crate::log_row::{LogRow, UsageSource};

/// Greatest value of each bucket but the last of the gateway's own time, in milliseconds: a millisecond or two
/// is usual, 50 is the most that SC-001 allows.
pub(super) const OVERHEAD_BOUNDS_MS: [u64; 10] = [0, 1, 2, 5, 10, 20, 50, 100, 500, 1_000];

/// How a request ended, as far as an operator has to tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream's 2xx or 3xx, whole.
    Ok,
    /// The upstream answered 4xx.
    ClientError,
    /// The upstream answered 5xx.
    ServerError,
    /// No connection, no headers in time, or a stream that broke off.
    UpstreamFailed,
    /// Waited its whole queue timeout.
    QueueTimeout,
    /// Pushed out of a full queue.
    QueueEvicted,
    /// The client left.
    Cancelled,
    /// Everything else that the gateway itself refused or failed at after the request had been let in.
    GatewayError,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    #[serde(rename = "r")]
    requests: Vec<u64>,
    #[serde(rename = "u")]
    sources: Vec<u64>,
    #[serde(rename = "p")]
    prompt_tokens: u64,
    #[serde(rename = "c")]
    completion_tokens: u64,
    #[serde(rename = "h")]
    cached_tokens: u64,
    #[serde(rename = "a")]
    attempts: u64,
    #[serde(rename = "w")]
    queue_wait: Histogram,
    #[serde(rename = "f")]
    time_to_first_token: Histogram,
    #[serde(rename = "d")]
    duration: Histogram,
    #[serde(rename = "o")]
    overhead: Histogram,
}

/// Counts by bucket, not cumulative, and the sum of all values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Histogram {
    #[serde(rename = "b")]
    counts: Vec<u64>,
    #[serde(rename = "s")]
    sum_ms: u64,
}

impl Outcome {
    /// All of them, in the order of the stored counts: new ones are added at the end.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::ClientError,
        Self::ServerError,
        Self::UpstreamFailed,
        Self::QueueTimeout,
        Self::QueueEvicted,
        Self::Cancelled,
        Self::GatewayError,
    ];

    /// The value of the label `outcome`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::UpstreamFailed => "upstream_failed",
            Self::QueueTimeout => "queue_timeout",
            Self::QueueEvicted => "queue_evicted",
            Self::Cancelled => "cancelled",
            Self::GatewayError => "gateway_error",
        }
    }

    /// How the request of this row ended.
    #[must_use]
    pub fn of(row: &LogRow) -> Self {
        match row.error_code.as_deref() {
            _ if row.status == CLIENT_GONE => Self::Cancelled,
            Some("queue_timeout") => Self::QueueTimeout,
            Some("queue_evicted") => Self::QueueEvicted,
            Some(code) if code.starts_with("upstream_") => Self::UpstreamFailed,
            Some(_) => Self::GatewayError,
            None if row.status >= 500 => Self::ServerError,
            None if row.status >= 400 => Self::ClientError,
            None => Self::Ok,
        }
    }
}

impl Counters {
    /// Counts one row.
    pub fn add(&mut self, row: &LogRow) {
        increment(&mut self.requests, Outcome::of(row) as usize);
        increment(&mut self.sources, row.usage_source as usize);
        self.prompt_tokens = self.prompt_tokens.saturating_add(row.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(row.completion_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(row.cached_tokens);
        self.attempts = self.attempts.saturating_add(row.attempts);
        self.queue_wait.add(&BOUNDS_MS, row.queue_wait_ms);
        if let Some(ttft_ms) = row.ttft_ms {
            self.time_to_first_token.add(&BOUNDS_MS, ttft_ms);
        }
        self.duration.add(&BOUNDS_MS, row.total_ms);
        self.overhead.add(&OVERHEAD_BOUNDS_MS, row.overhead_ms);
    }

    /// As one line of ASCII, to be stored and to travel in a header.
    #[must_use]
    pub fn encode(&self) -> String {
        // Numbers cannot fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// # Errors
    /// A line that [`Counters::encode`] did not make.
    pub fn decode(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }

    pub(super) fn requests(&self, outcome: Outcome) -> u64 {
        at(&self.requests, outcome as usize)
    }

    pub(super) fn rows(&self, source: UsageSource) -> u64 {
        at(&self.sources, source as usize)
    }

    pub(super) fn tokens(&self) -> [(&'static str, u64); 3] {
        [
            ("prompt", self.prompt_tokens),
            ("completion", self.completion_tokens),
            ("cached", self.cached_tokens),
        ]
    }

    pub(super) const fn attempts(&self) -> u64 {
        self.attempts
    }

    pub(super) const fn queue_wait(&self) -> &Histogram {
        &self.queue_wait
    }

    pub(super) const fn time_to_first_token(&self) -> &Histogram {
        &self.time_to_first_token
    }

    pub(super) const fn duration(&self) -> &Histogram {
        &self.duration
    }

    pub(super) const fn overhead(&self) -> &Histogram {
        &self.overhead
    }
}

impl Histogram {
    fn add(&mut self, bounds: &[u64], value: u64) {
        increment(
            &mut self.counts,
            bounds.partition_point(|bound| *bound < value),
        );
        self.sum_ms = self.sum_ms.saturating_add(value);
    }

    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }

    pub(super) const fn sum_ms(&self) -> u64 {
        self.sum_ms
    }
}

fn increment(counts: &mut Vec<u64>, index: usize) {
    if counts.len() <= index {
        counts.resize(index.saturating_add(1), 0);
    }
    if let Some(count) = counts.get_mut(index) {
        *count = count.saturating_add(1);
    }
}

fn at(counts: &[u64], index: usize) -> u64 {
    counts.get(index).copied().unwrap_or(0)
}
