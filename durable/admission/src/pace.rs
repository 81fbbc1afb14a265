//! 落盘的节奏：何时把攒下的变更写成一组。
//!
//! When what has changed is written: at once where nothing else is going on, in groups where much is.
//!
//! Owns that instant only. The shell says what changed, when a write begins and when it is durable; it
//! writes when [`WritePace::due`] says so.
//!
//! - A permit that waits to be answered, or [`Commit::Now`], is written at once, unless a write is on its
//!   way: then with all that has gathered when that one is durable.
//! - Everything else waits for [`COMMIT_INTERVAL`] at most and goes along with the next permit.
//!
//! Invariant: one write at a time, and none is due before there is something to write.

use crate::admission::COMMIT_INTERVAL;
use crate::state::Commit;
use crate::time::Instant;

/// See the module.
#[derive(Debug, Default)]
pub struct WritePace {
    /// A write has begun that is not durable yet.
    is_writing: bool,
    /// When what has changed is to be written at the latest.
    latest: Option<Instant>,
}

impl WritePace {
    /// The core asks for a write ([`Admission::needs_commit`](crate::Admission::needs_commit)).
    pub fn asked(&mut self, commit: Commit, now: Instant) {
        if commit == Commit::Nothing {
            return;
        }
        let latest = match commit {
            Commit::Now => now,
            _ => now.saturating_add(COMMIT_INTERVAL),
        };
        self.latest = Some(self.latest.map_or(latest, |before| before.min(latest)));
    }

    /// A permit waits until it is written, if it is not yet.
    pub fn permit_waits(&mut self, now: Instant) {
        self.latest = self.latest.map(|latest| latest.min(now));
    }

    /// When to write; `None` while there is nothing to write, or a write is on its way.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.latest.filter(|_| !self.is_writing)
    }

    /// Whether anything is to be written.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        self.latest.is_some()
    }

    /// All that has changed is being written.
    pub const fn began(&mut self) {
        self.is_writing = true;
        self.latest = None;
    }

    /// The write is durable.
    pub const fn durable(&mut self) {
        self.is_writing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn soon(millis: u64) -> Instant {
        at(millis).saturating_add(COMMIT_INTERVAL)
    }

    #[test]
    fn nothing_is_written_before_something_changed() {
        let mut pace = WritePace::default();
        pace.asked(Commit::Nothing, at(5));
        pace.permit_waits(at(5));
        assert_eq!((pace.due(), pace.is_asked()), (None, false));
        // A permit that was written already hurries nothing.
        pace.asked(Commit::Soon, at(5));
        assert_eq!(pace.due(), Some(soon(5)));
    }

    #[test]
    fn a_permit_is_written_at_once_where_no_write_is_on_its_way() {
        let mut pace = WritePace::default();
        for millis in [1_000, 1_001] {
            pace.asked(Commit::Soon, at(millis));
            pace.permit_waits(at(millis));
            assert_eq!(pace.due(), Some(at(millis)));
            pace.began();
            pace.durable();
            assert_eq!((pace.due(), pace.is_asked()), (None, false));
        }
    }

    #[test]
    fn what_comes_during_a_write_goes_together_as_soon_as_that_is_durable() {
        let mut pace = WritePace::default();
        pace.asked(Commit::Soon, at(1_000));
        pace.began();
        for millis in [1_001, 1_003] {
            pace.asked(Commit::Soon, at(millis));
            pace.permit_waits(at(millis));
            assert_eq!((pace.due(), pace.is_asked()), (None, true));
        }
        pace.durable();
        assert_eq!(pace.due(), Some(at(1_001)));
    }

    #[test]
    fn settlements_alone_gather_for_one_interval_and_go_with_a_permit_before_that() {
        let mut pace = WritePace::default();
        pace.asked(Commit::Soon, at(1_010));
        pace.asked(Commit::Soon, at(1_017));
        assert_eq!(pace.due(), Some(soon(1_010)));
        pace.permit_waits(at(1_018));
        assert_eq!(pace.due(), Some(at(1_018)));
    }

    #[test]
    fn what_must_be_written_now_counts_as_a_permit_that_waits() {
        let mut pace = WritePace::default();
        pace.asked(Commit::Soon, at(1_000));
        pace.asked(Commit::Now, at(1_005));
        assert_eq!(pace.due(), Some(at(1_005)));
    }
}
