//! 汇总与保留：定时任务的计划。
//!
//! Owns what one run of the cron does: add the rows of the log that came since to the sums, then remove rows
//! that are old enough, in steps of one D1 batch each. Runs nothing; the Worker carries the steps out and says
//! how many rows each of them took.
//!
//! A run that is killed loses nothing: its steps are transactions, and the next run begins where they ended.
//! Two runs at once take turns, one step each.
//!
//! Invariant: a row is removed only after it was added to the sums, and not before [`RETRY_SPAN`] has passed
//! since it was stored.

use std::time::Duration;

use admission::time::Instant;
use serde::Deserialize;

use crate::sql::{LOGS_REMOVE_LEN_MAX, ROLLUP_LEN_MAX, Statement, remove_logs, roll_up};

/// Most days that rows of the log are kept.
pub const LOG_RETENTION_DAYS_MAX: u32 = 3_650;
/// Default `LOG_RETENTION_DAYS`.
pub const LOG_RETENTION_DAYS_DEFAULT: u32 = 30;

/// How long a stored row stays at least, however old its request is: a limiter object that did not hear that it
/// was stored sends it again, and is told by the stored row that it is not new.
pub const RETRY_SPAN: Duration = Duration::from_hours(24);

/// When a run ends, however much is left: the next one begins a minute after it did.
const RUN_SPAN: Duration = Duration::from_secs(45);

const DAY: Duration = Duration::from_hours(24);

/// One run of the cron.
#[derive(Debug, Clone)]
pub struct Run {
    started: Instant,
    retention: Duration,
    stage: Stage,
    /// Rows added to the sums so far.
    pub rolled_up: u64,
    /// Rows removed so far.
    pub removed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    RollUp,
    Remove,
    Over,
}

/// How many rows a step took; the first result of its batch. Claiming answers with one such row, removing with
/// one for each removed.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct DoneRow {
    /// D1 hands numbers over as floats.
    pub done: f64,
}

impl Run {
    /// A run that begins now.
    #[must_use]
    pub fn new(now: Instant, retention_days: u32) -> Self {
        Self {
            started: now,
            retention: DAY.saturating_mul(retention_days),
            stage: Stage::RollUp,
            rolled_up: 0,
            removed: 0,
        }
    }

    /// The next step, one D1 batch; None when the run is over.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<Vec<Statement>> {
        if now.saturating_since(self.started) >= RUN_SPAN {
            return None;
        }
        match self.stage {
            Stage::RollUp => Some(roll_up(now).into()),
            Stage::Remove => Some(vec![remove_logs(
                before(self.started, self.retention),
                before(self.started, RETRY_SPAN),
            )]),
            Stage::Over => None,
        }
    }

    /// Takes the first result of the step. A step that took less than it may has left nothing.
    pub fn done(&mut self, rows: &[DoneRow]) {
        let taken = rows
            .iter()
            .fold(0, |sum: u64, row| sum.saturating_add(row.count()));
        match self.stage {
            Stage::RollUp => {
                self.rolled_up = self.rolled_up.saturating_add(taken);
                if taken < ROLLUP_LEN_MAX {
                    self.stage = Stage::Remove;
                }
            }
            Stage::Remove => {
                self.removed = self.removed.saturating_add(taken);
                if taken < LOGS_REMOVE_LEN_MAX {
                    self.stage = Stage::Over;
                }
            }
            Stage::Over => {}
        }
    }
}

impl DoneRow {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of rows of one step; a cast of anything else saturates"
    )]
    const fn count(self) -> u64 {
        self.done as u64
    }
}

fn before(now: Instant, span: Duration) -> Instant {
    let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Instant::from_millis(now.as_millis().saturating_sub(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(1_795_420_800_000);

    fn rows(count: u64) -> Vec<DoneRow> {
        vec![DoneRow { done: 1.0 }; usize::try_from(count).unwrap()]
    }

    #[test]
    fn everything_is_added_before_anything_is_removed() {
        let mut run = Run::new(NOW, 30);
        for _ in 0..3 {
            assert_eq!(run.next(NOW).unwrap().len(), 3, "claim, hours, days");
            run.done(&[DoneRow { done: 2_000.0 }]);
        }
        run.done(&[DoneRow { done: 12.0 }]);
        for _ in 0..2 {
            assert_eq!(run.next(NOW).unwrap().len(), 1);
            run.done(&rows(LOGS_REMOVE_LEN_MAX));
        }
        run.done(&rows(7));
        assert_eq!(run.next(NOW), None);
        assert_eq!((run.rolled_up, run.removed), (6_012, 507));
    }

    #[test]
    fn a_run_ends_before_the_next_one_begins() {
        let run = Run::new(NOW, 30);
        assert!(
            run.next(NOW.saturating_add(Duration::from_secs(44)))
                .is_some()
        );
        assert_eq!(run.next(NOW.saturating_add(RUN_SPAN)), None);
    }

    #[test]
    fn rows_are_removed_by_the_age_of_their_request_and_of_their_storage() {
        let mut run = Run::new(NOW, 2);
        run.done(&[]);
        let step = run.next(NOW).unwrap();
        assert_eq!(
            step,
            [remove_logs(before(NOW, 2 * DAY), before(NOW, RETRY_SPAN))]
        );
        let mut young = Run::new(Instant::from_millis(5), 3_650);
        young.done(&[]);
        assert_eq!(young.next(NOW), None, "a clock that jumps ends the run");
        assert_eq!(
            young.next(Instant::from_millis(5)).unwrap(),
            [remove_logs(Instant::default(), Instant::default())]
        );
    }
}
