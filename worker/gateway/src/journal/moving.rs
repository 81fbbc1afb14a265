//! 日志行何时搬往 D1：闹钟、退避、界限。
//!
//! Owns when the alarm of a limiter object is due, which moves the rows of its journal to D1, and what a failed
//! move means for the next one. Sets no alarm and moves nothing: the shell does, and tells what came of it.
//!
//! Invariant: while rows are stored or permits are out, an alarm is set or a move is under way; and there is one
//! move at a time.

use std::time::Duration;

use admission::Instant;

/// Rows that a limiter object keeps while D1 does not take them: hours of 100 requests a second, and a tenth
/// of what its database may hold. Beyond it nobody is let in, because his row would be lost. Permits that are out
/// count, because each of them will leave a row; who waits already may come on top.
pub const ROWS_MAX: u64 = 1_000_000;
/// How long D1 may take for a batch, which is a hundred times what it usually takes. A call that takes longer is
/// given up, so that an alarm ends; the batch is brought again, and D1 takes each row once.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a row waits for others before they are moved to D1.
const GATHERING: Duration = Duration::from_secs(1);
/// Longest pause while D1 does not take rows.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// When the rows of one object are moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moving {
    alarm_at: Option<Instant>,
    is_under_way: bool,
    failures: u32,
}

impl Moving {
    /// The alarm that is to be set now, if any. `rows` are stored; a permit that nobody settles will leave a row
    /// at `lease_end`, and no call may ever come to this object again.
    pub fn alarm(
        &mut self,
        rows: u64,
        lease_end: Option<Instant>,
        now: Instant,
    ) -> Option<Duration> {
        if self.is_under_way {
            return None;
        }
        let due = if rows > 0 {
            now.saturating_add(pause_before_moving(self.failures))
        } else {
            lease_end?
        };
        if self.alarm_at.is_some_and(|set| set <= due) {
            return None;
        }
        self.alarm_at = Some(due);
        Some(due.saturating_since(now))
    }

    /// The alarm has fired. False if a move is under way already; else one is now, until [`Moving::ended`].
    pub fn begins(&mut self) -> bool {
        self.alarm_at = None;
        !std::mem::replace(&mut self.is_under_way, true)
    }

    /// The move is over. D1 has taken all that it was brought, or not.
    pub fn ended(&mut self, taken: bool) {
        self.is_under_way = false;
        self.failures = if taken {
            0
        } else {
            self.failures.saturating_add(1)
        };
    }

    /// The alarm could not be set.
    pub fn has_no_alarm(&mut self) {
        self.alarm_at = None;
    }

    /// Moves in a row that failed.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

/// How long until rows are moved: it doubles with each failure in a row.
fn pause_before_moving(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures);
    GATHERING.saturating_mul(factor).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(1_700_000_000_000);

    fn later(seconds: u64) -> Instant {
        NOW.saturating_add(Duration::from_secs(seconds))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_pause_before_rows_are_moved_doubles_with_each_failure_up_to_its_bound() {
        let pauses = |failures| pause_before_moving(failures).as_secs();
        assert_eq!([0, 1, 2, 4].map(pauses), [1, 2, 4, 16]);
        assert_eq!([5, 6, u32::MAX].map(pauses), [30, 30, 30]);
    }

    #[test]
    fn one_alarm_is_set_for_all_rows_until_it_fires() {
        let mut moving = Moving::default();
        assert_eq!(moving.alarm(0, None, NOW), None);
        assert_eq!(moving.alarm(1, None, NOW), Some(seconds(1)));
        assert_eq!(moving.alarm(2, None, NOW), None);
        assert!(moving.begins());
        assert_eq!(moving.alarm(2, None, NOW), None, "the move looks itself");
        moving.ended(true);
        assert_eq!(moving.alarm(0, None, NOW), None);
        assert_eq!(moving.alarm(5, None, NOW), Some(seconds(1)));
    }

    #[test]
    fn one_move_is_under_way_at_a_time() {
        let mut moving = Moving::default();
        assert!(moving.begins());
        assert!(!moving.begins());
        moving.ended(false);
        assert!(moving.begins());
    }

    #[test]
    fn failures_in_a_row_are_counted_and_put_the_next_move_off() {
        let mut moving = Moving::default();
        for failures in 0..3 {
            assert_eq!(moving.failures(), failures);
            assert_eq!(moving.alarm(9, None, NOW), Some(seconds(1 << failures)));
            assert!(moving.begins());
            moving.ended(false);
        }
        assert!(moving.begins());
        moving.ended(true);
        assert_eq!(
            (moving.failures(), moving.alarm(9, None, NOW)),
            (0, Some(seconds(1)))
        );
    }

    #[test]
    fn a_permit_that_is_out_sets_the_alarm_to_its_end_and_a_row_to_an_earlier_one() {
        let mut moving = Moving::default();
        assert_eq!(moving.alarm(0, Some(later(600)), NOW), Some(seconds(600)));
        assert_eq!(moving.alarm(0, Some(later(600)), later(1)), None);
        assert_eq!(moving.alarm(0, Some(later(30)), NOW), Some(seconds(30)));
        assert_eq!(moving.alarm(1, Some(later(30)), NOW), Some(seconds(1)));
        assert_eq!(moving.alarm(1, Some(later(30)), NOW), None);
        assert!(moving.begins());
        moving.ended(true);
        assert_eq!(
            moving.alarm(0, Some(later(30)), later(40)),
            Some(seconds(0))
        );
    }

    #[test]
    fn an_alarm_that_could_not_be_set_is_asked_for_again() {
        let mut moving = Moving::default();
        assert_eq!(moving.alarm(1, None, NOW), Some(seconds(1)));
        moving.has_no_alarm();
        assert_eq!(moving.alarm(1, None, NOW), Some(seconds(1)));
    }
}
