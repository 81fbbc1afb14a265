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

use crate::time::{Instant, millis};
use core::time::Duration;
use std::collections::VecDeque;

/// What the limits are per.
pub const WINDOW: Duration = Duration::from_mins(1);

/// Resolution of the window. Smaller uses the limit better and holds more buckets: 604 at most.
pub const BUCKET: Duration = Duration::from_millis(100);

/// Greatest difference between two requests' delays from grant to arrival at the upstream that
/// is absorbed: the answer's way to the Worker, connection set-up and the provider's own queue.
pub const GUARD: Duration = Duration::from_millis(250);

/// How long after its last millisecond a bucket is held.
const HELD: Duration = Duration::from_millis(60_000 + 250);

const BUCKET_MS: u64 = 100;

/// Requests and tokens, counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

/// Which of the two counts is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Requests,
    Tokens,
}

/// The bucket of a charge, to correct it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BucketIndex(u64);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    index: BucketIndex,
    usage: Usage,
}

/// The window. Time in it moves only by [`Window::expire`].
#[derive(Debug, Default)]
pub(crate) struct Window {
    buckets: VecDeque<Bucket>,
    total: Usage,
    edge: Instant,
}

impl Window {
    /// Drops the buckets that have left by `at`.
    pub(crate) fn expire(&mut self, at: Instant) {
        self.edge = self.edge.max(at);
        while let Some(bucket) = self.buckets.front()
            && bucket.index.leaves_at() <= at
        {
            self.total = self.total.minus(bucket.usage);
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

    /// Charges one request with `tokens`.
    pub(crate) fn charge(&mut self, tokens: u64, at: Instant) -> BucketIndex {
        self.add(
            Usage {
                requests: 1,
                tokens,
            },
            at,
        )
    }

    /// Replaces the `reserved` tokens of a charge by the `actual` ones. Where its bucket has left
    /// the window, what was used beyond the reservation becomes debt in the bucket of `at`.
    pub(crate) fn correct(&mut self, index: BucketIndex, reserved: u64, actual: u64, at: Instant) {
        let more = Usage::of_tokens(actual.saturating_sub(reserved));
        let less = Usage::of_tokens(reserved.saturating_sub(actual));
        if let Some(bucket) = self.bucket_mut(index) {
            bucket.usage = bucket.usage.plus(more).minus(less);
            self.total = self.total.plus(more).minus(less);
        } else if more.tokens > 0 {
            self.add(more, at);
        }
    }

    /// Takes a charge back as if it had never been made.
    pub(crate) fn refund(&mut self, index: BucketIndex, reserved: u64) {
        let charge = Usage {
            requests: 1,
            tokens: reserved,
        };
        if let Some(bucket) = self.bucket_mut(index) {
            bucket.usage = bucket.usage.minus(charge);
            self.total = self.total.minus(charge);
            // At most 604 buckets, so a removal in the middle is bounded.
            self.buckets.retain(|bucket| !bucket.usage.is_empty());
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

    fn add(&mut self, usage: Usage, at: Instant) -> BucketIndex {
        let index = BucketIndex::at(at);
        self.total = self.total.plus(usage);
        match self.buckets.back_mut() {
            // Time never goes back here, so "not later" means the same bucket.
            Some(last) if last.index >= index => {
                last.usage = last.usage.plus(usage);
                last.index
            }
            _ => {
                self.buckets.push_back(Bucket { index, usage });
                index
            }
        }
    }

    fn bucket_mut(&mut self, index: BucketIndex) -> Option<&mut Bucket> {
        let place = self
            .buckets
            .binary_search_by_key(&index, |bucket| bucket.index)
            .ok()?;
        self.buckets.get_mut(place)
    }
}

impl BucketIndex {
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
        }
    }

    pub(crate) const fn get(self, count: Count) -> u64 {
        match count {
            Count::Requests => self.requests,
            Count::Tokens => self.tokens,
        }
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            tokens: self.tokens.saturating_sub(other.tokens),
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
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn constants_agree() {
        assert_eq!(HELD, WINDOW + GUARD);
        assert_eq!(u128::from(BUCKET_MS), BUCKET.as_millis());
        assert_eq!(
            u128::from(cycle_ms()),
            (WINDOW + BUCKET + GUARD).as_millis()
        );
    }

    #[test]
    fn a_charge_counts_until_its_whole_bucket_has_left_plus_the_guard() {
        let mut window = Window::default();
        window.charge(7, at(1_000));
        window.charge(5, at(1_099));
        window.expire(at(61_349));
        assert_eq!(
            window.total(),
            Usage {
                requests: 2,
                tokens: 12
            }
        );
        assert_eq!(window.total_at(at(61_350)), Usage::default());
        window.expire(at(61_350));
        assert_eq!(window.total(), Usage::default());
        assert_eq!(window.edge(), at(61_350));
    }

    #[test]
    fn a_correction_stays_in_its_own_bucket() {
        let mut window = Window::default();
        let first = window.charge(10, at(0));
        window.charge(10, at(5_000));
        window.correct(first, 10, 25, at(6_000));
        assert_eq!(window.total().tokens, 35);
        window.expire(at(60_350));
        assert_eq!(window.total().tokens, 10);
    }

    #[test]
    fn an_excess_beyond_a_departed_bucket_is_debt_and_a_surplus_is_nothing() {
        let mut window = Window::default();
        let first = window.charge(10, at(0));
        window.expire(at(70_000));
        window.correct(first, 10, 4, at(70_000));
        assert_eq!(window.total(), Usage::default());
        window.correct(first, 10, 14, at(70_000));
        assert_eq!(
            window.total(),
            Usage {
                requests: 0,
                tokens: 4
            }
        );
        assert_eq!(window.free_at(Count::Requests), at(70_000));
        assert_eq!(window.free_at(Count::Tokens), at(130_350));
    }

    #[test]
    fn a_refund_leaves_no_trace() {
        let mut window = Window::default();
        let first = window.charge(10, at(0));
        window.refund(first, 10);
        window.refund(first, 10);
        assert_eq!(window.total(), Usage::default());
        assert!(window.buckets.is_empty());
    }

    #[test]
    fn the_instant_is_that_of_the_bucket_with_the_last_one_needed() {
        let mut window = Window::default();
        for second in [1, 2, 3] {
            window.charge(10, at(second * 1_000));
        }
        assert_eq!(window.left_by(Count::Requests, 0), Some(at(0)));
        assert_eq!(window.left_by(Count::Requests, 2), Some(at(62_350)));
        assert_eq!(window.left_by(Count::Tokens, 21), Some(at(63_350)));
        assert_eq!(window.left_by(Count::Tokens, 31), None);
    }

    #[test]
    fn an_idle_window_is_empty_and_a_busy_one_is_bounded() {
        let mut window = Window::default();
        for step in 0..10_000 {
            window.expire(at(step * 37));
            window.charge(1, at(step * 37));
            assert!(window.buckets.len() <= 604);
        }
        window.expire(at(u64::MAX));
        assert!(window.buckets.is_empty());
    }

    #[test]
    fn the_end_of_time_does_not_panic() {
        let mut window = Window::default();
        let index = window.charge(u64::MAX, at(u64::MAX));
        window.correct(index, 0, u64::MAX, at(u64::MAX));
        assert_eq!(window.free_at(Count::Tokens), at(u64::MAX));
    }
}
