//! 落盘的节奏：何时把攒下的变更写成一组。
//!
//! When what has changed is written: at once where nothing else is going on, in groups where much is.
//!
//! Owns that instant only. The shell says what changed, when a write begins and when it is durable; it
//! writes when [`WritePace::due`] says so.
//!
//! - A permit that waits to be answered, or [`Commit::Now`], is written at once, unless a write is on its way: then with all
//!   that has gathered when that one is durable.
//! - Where the last write carried several permits, more of them come while one gathers. So the next write
//!   begins no sooner after it than [`REST_FACTOR`] times what it took, and [`COMMIT_INTERVAL`] at most:
//!   storage is busy for a part of the time only, however slow it is.
//! - Everything else waits for [`COMMIT_INTERVAL`] at most and goes along with the next permit.
//!
//! Invariant: one write at a time, and none is due before there is something to write.

use crate::admission::COMMIT_INTERVAL;
use crate::state::Commit;
use crate::time::Instant;
use core::time::Duration;

/// How many times as long as the last write took nothing is written after it, where permits are many. A
/// write of 4 ms then takes a fifth of the time.
pub const REST_FACTOR: u32 = 4;

/// See the module.
#[derive(Debug, Default)]
pub struct WritePace {
    /// When a write began that is not durable yet.
    began_at: Option<Instant>,
    durable_at: Instant,
    took: Duration,
    /// A permit waits to be written.
    permit_waits: bool,
    /// Permits of the last write.
    carried: usize,
    /// When what has changed is to be written at the latest.
    latest: Option<Instant>,
}

impl WritePace {
    /// The core asks for a write ([`Admission::needs_commit`](crate::Admission::needs_commit)).
    pub fn asked(&mut self, commit: Commit, now: Instant) {
        if commit == Commit::Nothing {
            return;
        }
        let latest = now.saturating_add(COMMIT_INTERVAL);
        self.latest = Some(self.latest.map_or(latest, |before| before.min(latest)));
        self.permit_waits |= commit == Commit::Now;
    }

    /// A permit waits until it is written, if it is not yet.
    pub fn permit_waits(&mut self) {
        self.permit_waits = self.is_asked();
    }

    /// When to write; `None` while there is nothing to write, or a write is on its way.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let latest = self.latest.filter(|_| self.began_at.is_none())?;
        if !self.permit_waits {
            return Some(latest);
        }
        let rest = match self.carried {
            0 | 1 => Duration::ZERO,
            _ => self.took.saturating_mul(REST_FACTOR).min(COMMIT_INTERVAL),
        };
        Some(latest.min(self.durable_at.saturating_add(rest)))
    }

    /// Whether anything is to be written.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        self.latest.is_some()
    }

    /// All that has changed is being written, so many permits among it.
    pub fn began(&mut self, permits: usize, now: Instant) {
        self.began_at = Some(now);
        self.carried = permits;
        self.permit_waits = false;
        self.latest = None;
    }

    /// The write is durable.
    pub fn durable(&mut self, now: Instant) {
        if let Some(began_at) = self.began_at.take() {
            self.took = now.saturating_since(began_at);
            self.durable_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// A pace whose last write lasted from 1,000 to 1,004 and carried so many permits.
    fn after_a_write_of(permits: usize) -> WritePace {
        let mut pace = WritePace::default();
        pace.asked(Commit::Soon, at(1_000));
        pace.began(permits, at(1_000));
        pace.durable(at(1_004));
        pace
    }

    #[test]
    fn nothing_is_written_before_something_changed() {
        let mut pace = WritePace::default();
        assert_eq!((pace.due(), pace.is_asked()), (None, false));
        pace.asked(Commit::Nothing, at(5));
        pace.permit_waits();
        assert_eq!((pace.due(), pace.is_asked()), (None, false));
        // A permit that is written already hurries nothing.
        pace.asked(Commit::Soon, at(5));
        assert_eq!(pace.due(), Some(at(5).saturating_add(COMMIT_INTERVAL)));
    }

    #[test]
    fn a_lone_permit_is_written_at_once_even_right_after_another() {
        for carried in [0, 1] {
            let mut pace = after_a_write_of(carried);
            pace.asked(Commit::Soon, at(1_005));
            pace.permit_waits();
            assert!(pace.due().is_some_and(|due| due <= at(1_005)), "{carried}");
        }
    }

    #[test]
    fn what_comes_during_a_write_goes_with_the_next_one() {
        let mut pace = after_a_write_of(1);
        pace.asked(Commit::Soon, at(1_005));
        pace.permit_waits();
        pace.began(1, at(1_005));
        assert_eq!((pace.due(), pace.is_asked()), (None, false));
        pace.asked(Commit::Now, at(1_006));
        pace.permit_waits();
        assert_eq!((pace.due(), pace.is_asked()), (None, true));
        pace.durable(at(1_009));
        assert_eq!(pace.due(), Some(at(1_009)));
    }

    #[test]
    fn where_permits_are_many_storage_rests_four_times_as_long_as_it_wrote() {
        let mut pace = after_a_write_of(2);
        pace.asked(Commit::Soon, at(1_005));
        pace.permit_waits();
        assert_eq!(pace.due(), Some(at(1_020)));
        // The next one alone is not written sooner for that; the one after it is.
        pace.began(1, at(1_020));
        pace.durable(at(1_024));
        pace.asked(Commit::Soon, at(1_025));
        pace.permit_waits();
        assert_eq!(pace.due(), Some(at(1_024)));
    }

    #[test]
    fn the_rest_is_bounded_however_slow_storage_is() {
        let mut pace = WritePace::default();
        pace.asked(Commit::Soon, at(0));
        pace.began(9, at(0));
        pace.durable(at(900));
        pace.asked(Commit::Soon, at(905));
        pace.permit_waits();
        assert_eq!(pace.due(), Some(at(900).saturating_add(COMMIT_INTERVAL)));
    }

    #[test]
    fn settlements_alone_gather_for_one_interval_and_go_with_a_permit_before_that() {
        let mut pace = after_a_write_of(1);
        pace.asked(Commit::Soon, at(1_010));
        pace.asked(Commit::Soon, at(1_017));
        assert_eq!(pace.due(), Some(at(1_030)));
        pace.permit_waits();
        assert_eq!(pace.due(), Some(at(1_004)));
    }

    #[test]
    fn what_must_be_written_now_counts_as_a_permit_that_waits() {
        let mut pace = after_a_write_of(1);
        pace.asked(Commit::Now, at(1_005));
        assert_eq!(pace.due(), Some(at(1_004)));
    }
}
