//! 试验台：用几个词调用核心。
//!
//! The bench: calls the core in a few words, at milliseconds from a fixed start.

use crate::protocol::{Acquire, Grant, Limits, Refusal, Settle, SettleOutcome, TicketId};
use crate::time::Instant;
use crate::{Acquired, Admission, Event};

const START: u64 = 1_700_000_000_000;
/// From a grant at the start of a bucket until its place is free again.
pub(super) const CYCLE: u64 = 60_350;

pub(super) fn at(millis: u64) -> Instant {
    Instant::from_millis(START + millis)
}

pub(super) fn id(name: &str) -> TicketId {
    TicketId::try_from(name).unwrap()
}

pub(super) fn rpm(limit: u64) -> Limits {
    Limits {
        version: 1,
        rpm: Some(limit),
        ..Limits::default()
    }
}

/// Every request of this bench is expected to use 100 tokens unless told otherwise.
pub(super) fn request(name: &str, limits: Limits) -> Acquire {
    Acquire {
        ticket: id(name),
        app: "app".to_owned(),
        key_id: "key".to_owned(),
        model: "model".to_owned(),
        prompt_bytes: 200,
        output_tokens_max: Some(50),
        wait_max: None,
        arrival: None,
        attempt: 0,
        pause: None,
        note: format!("note of {name}"),
        config_version: 0,
        limits,
    }
}

pub(super) struct Bench {
    pub(super) core: Admission,
    pub(super) limits: Limits,
}

impl Bench {
    pub(super) fn new(limits: Limits) -> Self {
        let core = Admission::new();
        Self { core, limits }
    }

    pub(super) fn call(&mut self, request: Acquire, millis: u64) -> Acquired {
        self.core.acquire(request, at(millis))
    }

    pub(super) fn ask(&mut self, name: &str, millis: u64) -> Acquired {
        self.call(request(name, self.limits), millis)
    }

    pub(super) fn granted(&mut self, name: &str, millis: u64) -> Grant {
        granted(self.ask(name, millis))
    }

    pub(super) fn queued(&mut self, name: &str, millis: u64) -> u64 {
        queued(&self.ask(name, millis))
    }

    pub(super) fn refused(&mut self, name: &str, millis: u64) -> Refusal {
        refused(self.ask(name, millis))
    }

    pub(super) fn settle(&mut self, name: &str, tokens: Option<u64>, millis: u64) -> bool {
        self.finish(name, tokens, SettleOutcome::Completed, millis)
    }

    pub(super) fn finish(
        &mut self,
        name: &str,
        tokens: Option<u64>,
        outcome: SettleOutcome,
        millis: u64,
    ) -> bool {
        let ticket = id(name);
        let settle = Settle {
            tokens,
            ..Settle::new(ticket, outcome)
        };
        self.core.settle(&settle, at(millis)).is_some()
    }

    /// What happened, as `name granted`, `name queue_timeout` and so on.
    pub(super) fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.core.poll_event())
            .map(|event| match event {
                Event::Granted { ticket, .. } => format!("{ticket} granted"),
                Event::Refused {
                    ticket, refusal, ..
                } => {
                    format!("{ticket} {}", refusal.reason.as_str())
                }
                Event::LeaseExpired { ticket, .. } => format!("{ticket} expired"),
            })
            .collect()
    }

    /// Lets the timer fire at its instant, which must be this one.
    pub(super) fn timer(&mut self, millis: u64) -> Vec<String> {
        assert_eq!(self.core.poll_timeout(), Some(at(millis)));
        self.core.handle_timeout(at(millis - 1));
        assert_eq!(self.events(), Vec::<String>::new(), "too early");
        self.core.handle_timeout(at(millis));
        self.events()
    }
}

pub(super) fn granted(acquired: Acquired) -> Grant {
    match acquired {
        Acquired::Granted(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

pub(super) fn queued(acquired: &Acquired) -> u64 {
    match acquired {
        Acquired::Queued { position, .. } => *position,
        other => panic!("not queued: {other:?}"),
    }
}

pub(super) fn refused(acquired: Acquired) -> Refusal {
    match acquired {
        Acquired::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}
