//! 新鲜度：一份副本多旧时怎么用。
//!
//! Owns the ages at which a copy of the configuration is used as it is, used while it is read again, or read
//! again first. Does not know what it is a copy of.
//!
//! Invariant: while storage answers nothing older than the promise is used, and while it does not answer
//! nobody waits for it in vain more than now and then.

use std::time::Duration;

use admission::time::Instant;

/// Below this age nobody asks storage again. With the refresh beside serving, a change is seen within 2 s plus
/// one read; the promise is 5 s (SC-004).
pub const FRESH_AGE_MAX: Duration = Duration::from_secs(2);
/// From this age on, a request waits for the refresh rather than use the old configuration.
pub const STALE_AGE_MAX: Duration = Duration::from_secs(5);
/// How long a failure of storage is taken for an outage: as long as one call to it may take, so that of many
/// requests in an outage one at a time waits for it, beside.
pub const FAILURE_AGE_MAX: Duration = Duration::from_secs(5);

/// A refresh that was started longer ago than this belongs to a request that died with it.
pub const REFRESH_AGE_MAX: Duration = Duration::from_secs(6);

/// How a piece of configuration may be used, by its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Use it.
    Fresh,
    /// Use it and refresh it beside.
    Stale,
    /// Refresh it first; use it only if storage does not answer.
    Expired,
}

impl Freshness {
    /// By when it was read. A clock that went backwards counts as no age at all.
    #[must_use]
    pub fn at(loaded_at: Instant, now: Instant) -> Self {
        let age = now.saturating_since(loaded_at);
        if age < FRESH_AGE_MAX {
            Self::Fresh
        } else if age < STALE_AGE_MAX {
            Self::Stale
        } else {
            Self::Expired
        }
    }

    /// The same, knowing when storage last failed to answer, if it has not answered since. While that is
    /// recent nobody waits for it: the last known good copy is used, and storage is asked beside.
    #[must_use]
    pub fn after_failure(self, failed_at: Option<Instant>, now: Instant) -> Self {
        let failing = failed_at.is_some_and(|at| now.saturating_since(at) < FAILURE_AGE_MAX);
        match self {
            Self::Expired if failing => Self::Stale,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_changes_at_two_and_five_seconds() {
        let loaded = Instant::from_millis(10_000);
        for (now, expected) in [
            (9_000, Freshness::Fresh),
            (11_999, Freshness::Fresh),
            (12_000, Freshness::Stale),
            (14_999, Freshness::Stale),
            (15_000, Freshness::Expired),
        ] {
            assert_eq!(
                Freshness::at(loaded, Instant::from_millis(now)),
                expected,
                "{now}"
            );
        }
    }

    #[test]
    fn while_storage_fails_nobody_waits_for_it() {
        let failed = Some(Instant::from_millis(10_000));
        let at =
            |freshness: Freshness, now| freshness.after_failure(failed, Instant::from_millis(now));
        assert_eq!(at(Freshness::Expired, 14_999), Freshness::Stale);
        assert_eq!(
            at(Freshness::Expired, 15_000),
            Freshness::Expired,
            "it is asked again"
        );
        assert_eq!(at(Freshness::Fresh, 10_000), Freshness::Fresh);
        let now = Instant::from_millis(10_000);
        assert_eq!(
            Freshness::Expired.after_failure(None, now),
            Freshness::Expired
        );
    }
}
