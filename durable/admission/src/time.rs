//! 时间点：自 Unix 纪元起的毫秒数，由调用者传入。
//!
//! [`Instant`], a point in time that the caller hands in. Spans are [`core::time::Duration`].
//!
//! Owns the conversion between the two at millisecond resolution. Reads no clock.
//!
//! Invariant: all arithmetic saturates; a wrong clock yields a wrong answer, never a panic.

use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Instant(u64);

impl Instant {
    /// The instant `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This instant moved later by `span` (whole milliseconds, rounded down), at most the end of time.
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// The span from `earlier` to this instant; zero when `earlier` is not earlier.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Whole milliseconds of a span, rounded down, at most `u64::MAX`.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let late = Instant::from_millis(u64::MAX);
        assert_eq!(late.saturating_add(Duration::MAX), late);
        assert_eq!(
            Instant::from_millis(5).saturating_since(late),
            Duration::ZERO
        );
        assert_eq!(
            Instant::from_millis(5).saturating_add(Duration::from_micros(1_999)),
            Instant::from_millis(6)
        );
    }
}
