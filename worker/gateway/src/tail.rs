//! 收尾：结算与日志行，攒一小会儿一起发出。
//!
//! What an isolate still has to send when its requests are over: settlements of permits and lines of the log.
//! One call carries those of [`GATHERING`]; the first request that finds nobody gathering waits for the others
//! and sends, the others are done. Owns what has gathered and who sends; sends nothing.
//!
//! A settlement waits only where nobody waits for it: see [`may_wait`].
//!
//! Invariant: whoever is told to send takes everything, so nothing is sent twice and nothing stays behind a
//! request that has died ([`LEAD_MAX`]).

use std::collections::BTreeMap;
use std::time::Duration;

use admission::Instant;
use admission::protocol::{AdmissionFacts, SETTLES_LEN_MAX, Settle, SettleOutcome};

use crate::config::Server;

/// How long others are waited for: as long as the limiter object gathers for one write.
pub const GATHERING: Duration = Duration::from_millis(20);

/// Whoever gathers longer than this has died with its request.
const LEAD_MAX: Duration = Duration::from_secs(1);

/// Where a server has fewer slots than this, a slot that comes back late is missed.
const SLOTS_PLENTY: u64 = 1_000;

/// Lines at which nobody waits any longer.
const LINES_LEN_MAX: usize = 256;

/// A settlement, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Of the request.
    pub request_id: String,
    /// What to tell the limiter.
    pub settle: Settle,
}

/// What has gathered.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Settlements by the id of their server, each in the order in which they came.
    pub settlements: BTreeMap<String, Vec<Settlement>>,
    /// Lines of the log.
    pub lines: Vec<String>,
}

/// What the request has to do whose end has just been added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing: another one sends.
    Done,
    /// Wait for [`GATHERING`], then take everything and send it, unless somebody else has sent this round.
    Gather(Round),
    /// Take everything and send it.
    Send,
}

/// What is sent together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round(u64);

/// See the module.
#[derive(Debug, Default)]
pub struct Tail {
    gathered: Gathered,
    round: Round,
    is_full: bool,
    gathering_since: Option<Instant>,
}

/// Whether a settlement may wait for others: nobody queued when its permit was granted, slots are plenty, and
/// it tells nothing that the limiter should know at once.
#[must_use]
pub fn may_wait(server: &Server, admission: Option<&AdmissionFacts>, settle: &Settle) -> bool {
    let went_straight = admission.is_some_and(|facts| facts.position == 0);
    let plenty = server
        .max_concurrency
        .is_none_or(|slots| slots >= SLOTS_PLENTY);
    let ordinary = settle.pause.is_none() && settle.outcome != SettleOutcome::NotSent;
    went_straight && plenty && ordinary
}

impl Tail {
    /// Adds a settlement.
    pub fn settle(&mut self, server_id: &str, settlement: Settlement) {
        let of_server = self.gathered.settlements.entry(server_id.to_owned());
        let settlements = of_server.or_default();
        settlements.push(settlement);
        self.is_full |= settlements.len() >= SETTLES_LEN_MAX;
    }

    /// Adds a line of the log.
    pub fn line(&mut self, line: String) {
        self.gathered.lines.push(line);
        self.is_full |= self.gathered.lines.len() >= LINES_LEN_MAX;
    }

    /// Whether the request that has just added has to send. Where few permits ahead are left (`is_low`) the
    /// question for more does not wait: requests that find none cost a call each.
    pub fn then(&mut self, is_low: bool, now: Instant) -> Then {
        if is_low || self.is_full {
            return Then::Send;
        }
        if self.gathered == Gathered::default() {
            return Then::Done;
        }
        let gathers = |since: Instant| now.saturating_since(since) < LEAD_MAX;
        if self.gathering_since.is_some_and(gathers) {
            return Then::Done;
        }
        self.gathering_since = Some(now);
        Then::Gather(self.round)
    }

    /// Whether nobody has sent what this round gathers.
    #[must_use]
    pub fn is_gathering(&self, round: Round) -> bool {
        self.round == round
    }

    /// Everything; whoever adds next gathers anew.
    pub fn take(&mut self) -> Gathered {
        self.round.0 = self.round.0.wrapping_add(1);
        self.is_full = false;
        self.gathering_since = None;
        std::mem::take(&mut self.gathered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use admission::protocol::TicketId;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn settlement(number: usize) -> Settlement {
        let ticket = TicketId::try_from(format!("t{number}")).unwrap();
        Settlement {
            request_id: format!("r{number}"),
            settle: Settle::new(ticket, SettleOutcome::Completed),
        }
    }

    #[test]
    fn the_first_gathers_and_the_others_are_done() {
        let mut tail = Tail::default();
        assert_eq!(tail.then(false, at(0)), Then::Done, "nothing was added");
        tail.settle("a", settlement(1));
        tail.line("one".into());
        let Then::Gather(round) = tail.then(false, at(0)) else {
            panic!("nobody else gathers");
        };
        tail.settle("b", settlement(2));
        tail.settle("a", settlement(3));
        assert_eq!(tail.then(false, at(5)), Then::Done);
        assert!(tail.is_gathering(round));
        let gathered = tail.take();
        assert_eq!(gathered.settlements["a"], [settlement(1), settlement(3)]);
        assert_eq!(gathered.settlements["b"], [settlement(2)]);
        assert_eq!(gathered.lines, ["one"]);
        assert!(!tail.is_gathering(round), "somebody has sent it");
        assert_eq!(tail.take(), Gathered::default(), "nothing is sent twice");
        tail.line("two".into());
        assert!(matches!(tail.then(false, at(21)), Then::Gather(_)));
    }

    #[test]
    fn a_full_message_is_sent_by_whoever_fills_it() {
        let mut tail = Tail::default();
        for number in 1..SETTLES_LEN_MAX {
            tail.settle("a", settlement(number));
            assert_ne!(tail.then(false, at(0)), Then::Send);
        }
        tail.settle("a", settlement(SETTLES_LEN_MAX));
        assert_eq!(tail.then(false, at(0)), Then::Send);
        assert_eq!(tail.take().settlements["a"].len(), SETTLES_LEN_MAX);
        tail.line("after".into());
        assert!(matches!(tail.then(false, at(0)), Then::Gather(_)));
        for _ in 1..LINES_LEN_MAX {
            tail.line(String::new());
        }
        assert_eq!(tail.then(false, at(0)), Then::Send);
    }

    #[test]
    fn where_permits_run_out_nobody_waits() {
        let mut tail = Tail::default();
        assert_eq!(tail.then(true, at(0)), Then::Send, "for the question alone");
        tail.settle("a", settlement(1));
        let Then::Gather(round) = tail.then(false, at(0)) else {
            panic!("nobody else gathers");
        };
        assert_eq!(tail.then(true, at(5)), Then::Send);
        assert_eq!(tail.take().settlements["a"], [settlement(1)]);
        assert!(!tail.is_gathering(round), "whoever gathered need not send");
    }

    #[test]
    fn what_a_dead_request_gathered_is_sent_by_the_next_one() {
        let mut tail = Tail::default();
        tail.settle("a", settlement(1));
        assert!(matches!(tail.then(false, at(0)), Then::Gather(_)));
        tail.settle("a", settlement(2));
        assert_eq!(tail.then(false, at(999)), Then::Done);
        assert!(matches!(tail.then(false, at(1_000)), Then::Gather(_)));
        assert_eq!(tail.take().settlements["a"].len(), 2);
    }

    #[test]
    fn a_settlement_waits_only_where_nobody_waits_for_it() {
        let settle = settlement(1).settle;
        let straight = AdmissionFacts::default();
        let waits = |slots: Option<u64>, facts: Option<&AdmissionFacts>, settle: &Settle| {
            let server = Server {
                max_concurrency: slots,
                ..crate::config::tests::server("s", 0, &["m"])
            };
            may_wait(&server, facts, settle)
        };
        assert!(waits(None, Some(&straight), &settle));
        assert!(waits(Some(1_000), Some(&straight), &settle));
        assert!(!waits(Some(999), Some(&straight), &settle), "slots are few");
        assert!(!waits(None, None, &settle), "nothing is known of its grant");
        let queued = AdmissionFacts {
            position: 1,
            ..straight.clone()
        };
        assert!(
            !waits(None, Some(&queued), &settle),
            "others may wait still"
        );
        let refused = Settle {
            pause: Some(Duration::from_secs(1)),
            ..settle.clone()
        };
        assert!(!waits(None, Some(&straight), &refused));
        let unused = Settle {
            outcome: SettleOutcome::NotSent,
            ..settle
        };
        assert!(!waits(None, Some(&straight), &unused));
    }
}
