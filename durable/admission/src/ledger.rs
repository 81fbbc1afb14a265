//! 账本：自上次落盘以来放行了多少，还容许多少。
//!
//! How much was granted since the last durable record, and how much that record allows for.
//!
//! Owns the write-ahead allowance. A record says: *since this was written, up to A more requests
//! and B more tokens may have been granted.* So a grant need not wait for its own write:
//!
//! - **Never under-counted.** As long as no more than A and B were granted since the record, a
//!   restore from it that charges A and B at its own instant `r` counts at least what was really
//!   granted: until `r` nothing is decided, and from `r` on the charge is held as long as any
//!   charge of `r`, while what it stands for was granted before `r` and leaves the provider's
//!   window earlier. A grant beyond the allowance makes [`Ledger::needs`] say
//!   [`Commit::Now`]: its answer does not leave before a newer record is durable.
//! - **What it costs.** A and B are 1/[`ALLOWANCE_PART`] of the limits, so a crash costs at most 2 %
//!   of one window, and nothing where the record was *sealed*: [`SEAL_AFTER`] after the last
//!   grant a record with no allowance is written, so an idle object restarts for free. The first
//!   grant after that waits for its write.
//! - **Slots.** A permit that nobody remembers may still be out. With a concurrency limit C the
//!   allowance is at most C/[`ALLOWANCE_PART`] requests, none below 50, and so many slots stay
//!   taken for one lease time after the crash.
//! - **New limits** are durable before anything is granted under them, because what an allowance
//!   stands for depends on the limits beside it.
//! - **Unlimited.** What has no limit now may have one right after the crash, so it has an
//!   allowance as well, [`REQUESTS_UNLIMITED`] and [`TOKENS_UNLIMITED`].
//!
//! A correction upwards counts like tokens granted; refunds and corrections downwards count
//! nothing.
//!
//! Invariant: what is granted since the durable record never exceeds its allowance without
//! `Commit::Now` being asked for.

use crate::protocol::Limits;
use crate::state::Commit;
use crate::time::Instant;
use core::time::Duration;

/// Which part of a limit may be granted without being durable: one in this many, 2 %.
pub const ALLOWANCE_PART: u64 = 50;

/// How long after the last grant the allowance is given up. Under any load of at least a request
/// a second no grant waits for its write.
pub const SEAL_AFTER: Duration = Duration::from_secs(1);

/// Allowance where requests are unlimited: 20 ms of 5,000 requests a second.
const REQUESTS_UNLIMITED: u64 = 100;
/// Allowance where tokens are unlimited: those requests with 1,000 tokens each.
const TOKENS_UNLIMITED: u64 = 100_000;

/// Requests and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

/// One record: what had been granted when it was written, and what it allows for.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    granted: Amount,
    allowance: Amount,
    adopted: u64,
}

/// The books of one core.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sequence: u64,
    granted: Amount,
    /// How often limits were adopted.
    adopted: u64,
    durable: Record,
    taken: Option<(u64, Record)>,
    last_grant: Instant,
    sealing: bool,
}

impl Ledger {
    /// A request of so many tokens was granted.
    pub(crate) fn grant(&mut self, tokens: u64, now: Instant) {
        self.granted.requests = self.granted.requests.saturating_add(1);
        self.granted.tokens = self.granted.tokens.saturating_add(tokens);
        self.last_grant = now;
        self.sealing = false;
    }

    /// So many more tokens were used than reserved.
    pub(crate) fn correct_upwards(&mut self, tokens: u64) {
        self.granted.tokens = self.granted.tokens.saturating_add(tokens);
    }

    /// Limits were adopted.
    pub(crate) const fn adopt(&mut self) {
        self.adopted = self.adopted.saturating_add(1);
    }

    /// When the allowance is to be given up.
    pub(crate) fn seal_at(&self) -> Option<Instant> {
        let open = self.latest().allowance != Amount::default() && !self.sealing;
        open.then(|| self.last_grant.saturating_add(SEAL_AFTER))
    }

    /// Gives the allowance up with the next record, if it is time. True if so.
    pub(crate) fn seal(&mut self, at: Instant) -> bool {
        let due = self.seal_at().is_some_and(|seal_at| seal_at <= at);
        self.sealing |= due;
        due
    }

    /// How soon a record must be written, where anything else has `changed` or not.
    pub(crate) fn needs(&self, changed: bool) -> Commit {
        let since = |granted: u64, before: u64| granted.saturating_sub(before);
        let Record {
            granted,
            allowance,
            adopted,
        } = self.durable;
        if adopted != self.adopted
            || since(self.granted.requests, granted.requests) > allowance.requests
            || since(self.granted.tokens, granted.tokens) > allowance.tokens
        {
            Commit::Now
        } else if changed || self.sealing {
            Commit::Soon
        } else {
            Commit::Nothing
        }
    }

    /// A record is taken under these limits; returns its sequence and allowance.
    pub(crate) fn take(&mut self, limits: &Limits) -> (u64, Amount) {
        self.sequence = self.sequence.saturating_add(1);
        // A sealed record stays sealed until the next grant.
        let latest = self.latest();
        let sealed = latest.allowance == Amount::default() && latest.granted == self.granted;
        let allowance = if self.sealing || sealed {
            Amount::default()
        } else {
            allowance(limits)
        };
        self.sealing = false;
        let record = Record {
            granted: self.granted,
            allowance,
            adopted: self.adopted,
        };
        self.taken = Some((self.sequence, record));
        (self.sequence, allowance)
    }

    /// The record of that sequence is durable.
    pub(crate) fn committed(&mut self, sequence: u64) {
        if let Some((taken, record)) = self.taken
            && taken == sequence
        {
            self.durable = record;
            self.taken = None;
        }
    }

    fn latest(&self) -> Record {
        self.taken.map_or(self.durable, |(_, record)| record)
    }
}

/// What may be granted under these limits without being durable.
fn allowance(limits: &Limits) -> Amount {
    let part = |limit: u64| limit.checked_div(ALLOWANCE_PART).unwrap_or(0);
    let slots = limits.concurrency.map_or(u64::MAX, part);
    Amount {
        requests: limits.rpm.map_or(REQUESTS_UNLIMITED, part).min(slots),
        tokens: limits.tpm.map_or(TOKENS_UNLIMITED, part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn limits(rpm: Option<u64>, tpm: Option<u64>, concurrency: Option<u64>) -> Limits {
        Limits {
            rpm,
            tpm,
            concurrency,
            ..Limits::default()
        }
    }

    #[test]
    fn the_allowance_is_one_part_in_fifty_and_none_where_slots_are_few() {
        let amount = |requests, tokens| Amount { requests, tokens };
        assert_eq!(allowance(&limits(Some(49), Some(99), None)), amount(0, 1));
        assert_eq!(
            allowance(&limits(Some(6_000), Some(50_000), None)),
            amount(120, 1_000)
        );
        assert_eq!(
            allowance(&limits(Some(6_000), None, Some(49))),
            amount(0, TOKENS_UNLIMITED)
        );
        assert_eq!(
            allowance(&limits(None, None, None)),
            amount(REQUESTS_UNLIMITED, TOKENS_UNLIMITED)
        );
    }

    #[test]
    fn a_grant_beyond_the_allowance_must_be_durable_now() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.needs(false), Commit::Nothing);
        ledger.grant(10, at(0));
        assert_eq!(ledger.needs(true), Commit::Now);
        let (sequence, _) = ledger.take(&limits(Some(100), Some(1_000), None));
        assert_eq!(ledger.needs(false), Commit::Now, "taken is not durable");
        ledger.committed(sequence);
        assert_eq!(ledger.needs(false), Commit::Nothing);
        ledger.grant(9, at(1));
        ledger.grant(9, at(1));
        assert_eq!(ledger.needs(true), Commit::Soon);
        ledger.correct_upwards(3);
        assert_eq!(ledger.needs(true), Commit::Now);
    }

    #[test]
    fn new_limits_must_be_durable_now() {
        let mut ledger = Ledger::default();
        ledger.adopt();
        assert_eq!(ledger.needs(true), Commit::Now);
        let (sequence, _) = ledger.take(&limits(None, None, None));
        ledger.committed(sequence);
        assert_eq!(ledger.needs(false), Commit::Nothing);
    }

    #[test]
    fn what_is_granted_between_taking_and_durability_counts_against_the_new_record() {
        let mut ledger = Ledger::default();
        ledger.grant(1, at(0));
        let (sequence, _) = ledger.take(&limits(Some(100), None, None));
        ledger.grant(1, at(0));
        ledger.grant(1, at(0));
        ledger.committed(sequence);
        assert_eq!(ledger.needs(true), Commit::Soon);
        ledger.grant(1, at(0));
        assert_eq!(ledger.needs(true), Commit::Now);
        ledger.committed(99);
        assert_eq!(
            ledger.needs(true),
            Commit::Now,
            "an unknown sequence is nothing"
        );
    }

    #[test]
    fn an_idle_core_seals_its_record_once_and_the_next_grant_waits_for_its_write() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.seal_at(), None);
        ledger.grant(1, at(500));
        let (sequence, _) = ledger.take(&limits(Some(100), None, None));
        ledger.committed(sequence);
        assert_eq!(ledger.seal_at(), Some(at(1_500)));
        assert!(!ledger.seal(at(1_499)));
        assert!(ledger.seal(at(1_500)));
        assert_eq!(
            (ledger.seal_at(), ledger.needs(false)),
            (None, Commit::Soon)
        );
        let (sequence, allowance) = ledger.take(&limits(Some(100), None, None));
        ledger.committed(sequence);
        assert_eq!(allowance, Amount::default());
        let (sequence, allowance) = ledger.take(&limits(Some(100), None, None));
        ledger.committed(sequence);
        assert_eq!(allowance, Amount::default(), "no grant opened it again");
        assert_eq!(
            (ledger.seal_at(), ledger.needs(false)),
            (None, Commit::Nothing)
        );
        ledger.grant(1, at(9_000));
        assert_eq!(ledger.needs(true), Commit::Now);
    }
}
