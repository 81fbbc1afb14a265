//! 上游：自己的限流器、回答时间与账本。
//!
//! Owns what the provider does with a request that arrives (accept it or answer 429 by its own
//! limit) and the record of all that arrived. The record is where limits are judged: what a
//! request really costs counts at the instant of its arrival.

use core::time::Duration;
use std::collections::VecDeque;

use super::WINDOW;

/// How the provider limits on its own account.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Not at all: only the record tells whether the gateway kept to its limits.
    None,
    /// An exact sliding window; refused requests do not count in it.
    Sliding {
        /// Requests in any 60 s.
        requests: u64,
    },
    /// A bucket that fills steadily; it starts full.
    Bucket {
        /// Requests that flow in per minute.
        per_minute: u64,
        /// Requests that it holds at most.
        capacity: u64,
    },
}

/// One request as it arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// When.
    pub at: Duration,
    /// Tokens that it really cost; none if it was refused.
    pub tokens: u64,
    /// Whether it was accepted.
    pub accepted: bool,
}

/// The provider of one run.
#[derive(Debug)]
pub(super) struct Provider {
    rule: Rule,
    recent: VecDeque<Duration>,
    level: f64,
    level_at: Duration,
    records: Vec<Record>,
    open: u64,
    open_max: u64,
}

impl Provider {
    /// A provider that has seen nothing.
    pub(super) fn new(rule: Rule) -> Self {
        let level = match rule {
            Rule::Bucket { capacity, .. } => capacity as f64,
            Rule::None | Rule::Sliding { .. } => 0.0,
        };
        Self {
            rule,
            recent: VecDeque::new(),
            level,
            level_at: Duration::ZERO,
            records: Vec::new(),
            open: 0,
            open_max: 0,
        }
    }

    /// A request arrives. Returns the place of its record, or after what time to come again, in
    /// whole seconds as `Retry-After` says it.
    pub(super) fn receive(&mut self, tokens: u64, now: Duration) -> Result<usize, Duration> {
        let refused = self.refuse(now);
        self.records.push(Record {
            at: now,
            tokens: if refused.is_none() { tokens } else { 0 },
            accepted: refused.is_none(),
        });
        if let Some(wait) = refused {
            return Err(Duration::from_secs(
                wait.as_secs_f64().ceil().max(1.0) as u64
            ));
        }
        self.open += 1;
        self.open_max = self.open_max.max(self.open);
        Ok(self.records.len() - 1)
    }

    /// An answer has ended, after `tokens` in all if it was broken off.
    pub(super) fn close(&mut self, record: usize, tokens: Option<u64>) {
        self.open -= 1;
        if let Some(tokens) = tokens {
            self.records[record].tokens = tokens;
        }
    }

    /// Everything that arrived, in order of arrival.
    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// The greatest number of answers that were open at once.
    pub(super) const fn open_max(&self) -> u64 {
        self.open_max
    }

    /// Counts a request in, or says how long it would have to wait.
    fn refuse(&mut self, now: Duration) -> Option<Duration> {
        match self.rule {
            Rule::None => None,
            Rule::Sliding { requests } => {
                while self.recent.front().is_some_and(|at| *at + WINDOW <= now) {
                    self.recent.pop_front();
                }
                if (self.recent.len() as u64) < requests {
                    self.recent.push_back(now);
                    return None;
                }
                self.recent
                    .front()
                    .map(|oldest| (*oldest + WINDOW).saturating_sub(now))
            }
            Rule::Bucket {
                per_minute,
                capacity,
            } => {
                let per_second = per_minute as f64 / WINDOW.as_secs_f64();
                let gained = now.saturating_sub(self.level_at).as_secs_f64() * per_second;
                self.level = (self.level + gained).min(capacity as f64);
                self.level_at = now;
                if self.level >= 1.0 {
                    self.level -= 1.0;
                    return None;
                }
                Some(Duration::from_secs_f64((1.0 - self.level) / per_second))
            }
        }
    }
}
