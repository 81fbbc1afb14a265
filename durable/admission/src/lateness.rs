//! 迟到：等待者被放行的时刻比它恰好可行的时刻晚了多少。
//!
//! How late waiters were granted, against the exact instant at which they fitted.
//!
//! Owns the last [`GRANTS_MAX`] figures, for the operator's eyes only.
//!
//! Invariant: no more figures than that, and nothing is decided from them.

use crate::time::millis;
use core::time::Duration;
use std::collections::VecDeque;

/// Grants remembered: ten of them lie beyond the 99th percentile, enough to be no accident.
const GRANTS_MAX: usize = 1_000;

/// The lateness of the last grants from the queue.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    millis: VecDeque<u64>,
}

impl Lateness {
    /// Notes one grant.
    pub(crate) fn note(&mut self, late: Duration) {
        if self.millis.len() == GRANTS_MAX {
            self.millis.pop_front();
        }
        self.millis.push_back(millis(late));
    }

    /// The 99th percentile (the value that at most one in a hundred exceeds) and the maximum, in
    /// milliseconds; zeros where nothing was noted.
    pub(crate) fn p99_and_max(&self) -> (u64, u64) {
        let mut sorted: Vec<u64> = self.millis.iter().copied().collect();
        sorted.sort_unstable();
        let beyond = sorted.len().checked_div(100).unwrap_or(0);
        let mut from_the_top = sorted.into_iter().rev();
        let max = from_the_top.clone().next().unwrap_or(0);
        (from_the_top.nth(beyond).unwrap_or(0), max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_exceeds_the_percentile_and_old_figures_leave() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.p99_and_max(), (0, 0));
        lateness.note(Duration::from_millis(7));
        assert_eq!(lateness.p99_and_max(), (7, 7));
        for late in 1..=1_000 {
            lateness.note(Duration::from_millis(late));
        }
        assert_eq!(lateness.p99_and_max(), (990, 1_000));
    }
}
