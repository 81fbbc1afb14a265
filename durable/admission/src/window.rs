//! 滑动窗口：60 秒，100 毫秒一格，只存非空的格。
//!
//! The sliding window of requests and tokens: 60 s in buckets of 100 ms, only non-empty ones kept.
//!
//! Owns what has been charged and when it leaves. Knows no limit.
//!
//! A bucket counts until all of it has left the window, plus [`GUARD`]: a charge made anywhere in
//! bucket `i` leaves at `(i + 1) · BUCKET + WINDOW + GUARD`. Two grants of which the later one
//! relies on the earlier one's departure are therefore more than `WINDOW + GUARD` apart, and reach
//! the upstream at least `WINDOW` apart as long as the delays between grant and arrival differ by
//! at most `GUARD`. Its price: under saturation a place is used once in `WINDOW + BUCKET + GUARD`
//! = 60.35 s at worst, so at least 60 / 60.35 = 99.4 % of the limit is used.
//!
//! Invariant: the totals are the sums over the buckets, and buckets ascend in time.

use crate::marks::Marks;
use crate::state::{BucketRow, COUNT_MAX};
use crate::time::{Instant, millis};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

/// What the limits are per.
pub const WINDOW: Duration = Duration::from_mins(1);

/// Resolution of the window. Smaller uses the limit better and holds more buckets: 604 at most.
pub const BUCKET: Duration = Duration::from_millis(100);

/// Greatest difference between two requests' delays from grant to arrival at the upstream that
/// is absorbed: the answer's way to the Worker, connection set-up and the provider's own queue.
pub const GUARD: Duration = Duration::from_millis(250);

/// Longest time from grant to sending that the guard has room for, beside the way to the upstream. A
/// Worker that needs longer says so, and the charge moves ([`crate::Admission::sent_late`]).
pub const SEND_DELAY_MAX: Duration = Duration::from_millis(50);

/// How long after its last millisecond a bucket is held.
const HELD: Duration = Duration::from_millis(60_000 + 250);

const BUCKET_MS: u64 = 100;

/// Requests and tokens, counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    /// Requests among them that the upstream refused.
    pub(crate) refused: u64,
}

/// Which count is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Requests,
    Tokens,
    /// Requests that the upstream did not refuse.
    Accepted,
}

/// The bucket of a charge, to correct it later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BucketIndex(u64);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    index: BucketIndex,
    usage: Usage,
    /// Whether its row was ever taken.
    stored: bool,
}

/// The window. Time in it moves only by [`Window::expire`].
#[derive(Debug, Default)]
pub(crate) struct Window {
    buckets: VecDeque<Bucket>,
    total: Usage,
    edge: Instant,
    marks: Marks<BucketIndex>,
}

impl Window {
    /// Drops the buckets that have left by `at`.
    pub(crate) fn expire(&mut self, at: Instant) {
        self.edge = self.edge.max(at);
        while let Some(bucket) = self.buckets.front()
            && bucket.index.leaves_at() <= at
        {
            self.total = self.total.minus(bucket.usage);
            self.marks.remove(&bucket.index, bucket.stored);
            self.buckets.pop_front();
        }
    }

    /// The instant up to which buckets have been dropped.
    pub(crate) const fn edge(&self) -> Instant {
        self.edge
    }

    /// What the window holds as of its edge.
    pub(crate) const fn total(&self) -> Usage {
        self.total
    }

    /// What the window holds at `at`, which may lie ahead of its edge.
    pub(crate) fn total_at(&self, at: Instant) -> Usage {
        self.buckets
            .iter()
            .take_while(|bucket| bucket.index.leaves_at() <= at)
            .fold(self.total, |total, bucket| total.minus(bucket.usage))
    }

    /// Whether `at` lies in a later bucket than `index`, and in one that has not left.
    pub(crate) fn is_after(&self, at: Instant, index: BucketIndex) -> bool {
        let later = BucketIndex::at(at);
        later > index && later.leaves_at() > self.edge
    }

    /// Charges one request with `tokens`.
    pub(crate) fn charge(&mut self, tokens: u64, at: Instant) -> BucketIndex {
        self.add(
            Usage {
                requests: 1,
                tokens,
                refused: 0,
            },
            at,
        )
    }

    /// Charges what may have been used without anybody remembering it.
    pub(crate) fn charge_lost(&mut self, requests: u64, tokens: u64, at: Instant) {
        if requests > 0 || tokens > 0 {
            let usage = Usage {
                requests,
                tokens,
                refused: 0,
            };
            self.add(usage, at);
        }
    }

    /// Replaces the `reserved` tokens of a charge by the `actual` ones. Where its bucket has left
    /// the window, what was used beyond the reservation becomes debt in the bucket of `at`.
    pub(crate) fn correct(&mut self, index: BucketIndex, reserved: u64, actual: u64, at: Instant) {
        let more = Usage::of_tokens(actual.saturating_sub(reserved));
        let less = Usage::of_tokens(reserved.saturating_sub(actual));
        if self
            .rewrite(index, |usage| usage.plus(more).minus(less))
            .is_some()
        {
            self.marks.change(&index);
        } else if more.tokens > 0 {
            self.add(more, at);
        }
    }

    /// Gives back the `reserved` tokens of a charge that the upstream refused. Its request stays:
    /// it reached the upstream.
    pub(crate) fn refuse(&mut self, index: BucketIndex, reserved: u64) {
        let less = Usage::of_tokens(reserved);
        let more = Usage {
            refused: 1,
            ..Usage::default()
        };
        if self
            .rewrite(index, |usage| usage.plus(more).minus(less))
            .is_some()
        {
            self.marks.change(&index);
        }
    }

    /// Takes a charge back as if it had never been made.
    pub(crate) fn refund(&mut self, index: BucketIndex, reserved: u64) {
        let charge = Usage {
            requests: 1,
            tokens: reserved,
            refused: 0,
        };
        if let Some((empty, stored)) = self.rewrite(index, |usage| usage.minus(charge)) {
            if empty {
                self.marks.remove(&index, stored);
                // At most 604 buckets, so a removal in the middle is bounded.
                self.buckets.retain(|bucket| bucket.index != index);
            } else {
                self.marks.change(&index);
            }
        }
    }

    /// The earliest instant, not before the edge, by which `amount` of `count` has left.
    /// `None` if the window does not hold that much.
    pub(crate) fn left_by(&self, count: Count, amount: u64) -> Option<Instant> {
        if amount == 0 {
            return Some(self.edge);
        }
        let mut left = 0_u64;
        self.buckets.iter().find_map(|bucket| {
            left = left.saturating_add(bucket.usage.get(count));
            (left >= amount).then(|| bucket.index.leaves_at())
        })
    }

    /// The instant by which all of `count` that is held now has left.
    pub(crate) fn free_at(&self, count: Count) -> Instant {
        self.buckets
            .iter()
            .rev()
            .find(|bucket| bucket.usage.get(count) > 0)
            .map_or(self.edge, |bucket| bucket.index.leaves_at())
    }

    /// Whether there is nothing to store.
    pub(crate) fn is_stored(&self) -> bool {
        self.marks.is_empty()
    }

    /// The rows that changed and the buckets that have left.
    pub(crate) fn take_rows(&mut self) -> (Vec<BucketRow>, Vec<u64>) {
        let (changed, gone) = self.marks.take();
        let mut rows = Vec::with_capacity(changed.len());
        for index in changed {
            if let Some(bucket) = self.bucket_mut(index) {
                bucket.stored = true;
                rows.push(bucket.row());
            }
        }
        (rows, gone.into_iter().map(|index| index.0).collect())
    }

    /// All rows.
    pub(crate) fn rows(&self) -> Vec<BucketRow> {
        self.buckets.iter().map(Bucket::row).collect()
    }

    /// A window as it was stored, as of `at`. What lies in the future counts from `at`; what is
    /// beyond any meaning is bounded.
    pub(crate) fn restore(rows: Vec<BucketRow>, at: Instant) -> Self {
        let mut buckets: BTreeMap<BucketIndex, Usage> = BTreeMap::new();
        let mut window = Self {
            edge: at,
            ..Self::default()
        };
        for row in rows {
            let stored = BucketIndex(row.bucket);
            let index = stored.min(BucketIndex::at(at));
            if index.leaves_at() <= at || index != stored {
                window.marks.remove(&stored, true);
            }
            let usage = Usage {
                requests: row.requests.min(COUNT_MAX),
                tokens: row.tokens.min(COUNT_MAX),
                refused: row.refused.min(row.requests).min(COUNT_MAX),
            };
            if index.leaves_at() > at && !usage.is_empty() {
                if index != stored {
                    window.marks.change(&index);
                }
                let held = buckets.entry(index).or_default();
                *held = held.plus(usage);
                window.total = window.total.plus(usage);
            }
        }
        window.buckets = buckets
            .into_iter()
            .map(|(index, usage)| Bucket {
                index,
                usage,
                stored: true,
            })
            .collect();
        window
    }

    fn add(&mut self, usage: Usage, at: Instant) -> BucketIndex {
        self.total = self.total.plus(usage);
        let index = BucketIndex::at(at);
        // Almost always it is the last one or a new last one; a restart books into the past.
        let place = self
            .buckets
            .iter()
            .rposition(|bucket| bucket.index <= index);
        match place.and_then(|place| self.buckets.get_mut(place)) {
            Some(bucket) if bucket.index == index => bucket.usage = bucket.usage.plus(usage),
            _ => {
                let bucket = Bucket {
                    index,
                    usage,
                    stored: false,
                };
                let next = place.map_or(0, |place| place.saturating_add(1));
                self.buckets.insert(next, bucket);
            }
        }
        self.marks.change(&index);
        index
    }

    /// Gives a bucket another usage; answers whether it is empty then, and whether it is stored. The total changes by
    /// what the bucket really had: one that was restored may hold less than is taken from it.
    fn rewrite(
        &mut self,
        index: BucketIndex,
        change: impl FnOnce(Usage) -> Usage,
    ) -> Option<(bool, bool)> {
        let bucket = self.bucket_mut(index)?;
        let before = bucket.usage;
        let after = change(before);
        bucket.usage = after;
        let told = (after.is_empty(), bucket.stored);
        self.total = self.total.minus(before).plus(after);
        Some(told)
    }

    fn bucket_mut(&mut self, index: BucketIndex) -> Option<&mut Bucket> {
        let place = self
            .buckets
            .binary_search_by_key(&index, |bucket| bucket.index)
            .ok()?;
        self.buckets.get_mut(place)
    }
}

impl Bucket {
    fn row(&self) -> BucketRow {
        BucketRow {
            bucket: self.index.0,
            requests: self.usage.requests.min(COUNT_MAX),
            tokens: self.usage.tokens.min(COUNT_MAX),
            refused: self.usage.refused.min(COUNT_MAX),
        }
    }
}

impl BucketIndex {
    /// The bucket of that number.
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number: which 100 ms since the Unix epoch.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }

    const fn at(at: Instant) -> Self {
        Self(at.as_millis() / BUCKET_MS)
    }

    fn leaves_at(self) -> Instant {
        Instant::from_millis(self.0.saturating_add(1).saturating_mul(BUCKET_MS))
            .saturating_add(HELD)
    }
}

impl Usage {
    const fn of_tokens(tokens: u64) -> Self {
        Self {
            requests: 0,
            tokens,
            refused: 0,
        }
    }

    pub(crate) const fn get(self, count: Count) -> u64 {
        match count {
            Count::Requests => self.requests,
            Count::Tokens => self.tokens,
            Count::Accepted => self.requests.saturating_sub(self.refused),
        }
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
            refused: self.refused.saturating_add(other.refused),
        }
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            tokens: self.tokens.saturating_sub(other.tokens),
            refused: self.refused.saturating_sub(other.refused),
        }
    }

    const fn is_empty(self) -> bool {
        self.requests == 0 && self.tokens == 0
    }
}

/// How long a place in the window is taken at most: one cycle of a saturated window.
pub(crate) fn cycle_ms() -> u64 {
    BUCKET_MS.saturating_add(millis(HELD))
}

#[cfg(test)]
mod tests;
