//! 对象：真核心外面的一层壳，与线上的壳同样行事。
//!
//! Owns the real core and does around it what the object's shell does: one step is a change, its
//! events, the write that the core asks for, the timer. Calls that wait are parked by request; an
//! event whose call is gone gives its permit back. One timer, set anew only for an earlier instant.
//! An answer leaves when every write before it is durable, as the platform's output gate has it,
//! and a settlement is acknowledged only when it is written itself.
//!
//! Invariant: no rule of admission is here.

use core::iter;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use admission::protocol::{
    Accepted, Acquire, AcquireAnswer, AdmissionFacts, Ask, Batch, Block, Grant, Refusal, Settle,
    SettleOutcome, TicketId, Unused,
};
use admission::{Acquired, Admission, Commit, Event, Instant, State};

use super::order::Judge;
use super::storage::Storage;
use super::{WINDOW, instant, time};

/// What a Worker asks the object.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// For a permit, and for others ahead.
    Acquire(Box<Acquire>, Option<Asking>),
    /// To end one.
    Settle(Settle),
    /// To note that the provider took a probing request on.
    Accepted(Accepted),
    /// To forget a waiter.
    Cancel(TicketId),
    /// What became of permits granted ahead.
    Words(Batch),
}

/// A question for permits ahead.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    /// The question.
    pub ask: Ask,
    /// An earlier call may have been heard.
    pub was_repeated: bool,
}

/// What the object says.
#[derive(Debug)]
pub(super) enum Reply {
    /// To an acquire.
    Acquired(AcquireAnswer, Option<Box<Block>>),
    /// To anything else.
    Done,
}

/// An answer that leaves the object.
#[derive(Debug)]
pub(super) struct Answer {
    /// The call that it answers.
    pub call: u64,
    /// What it says.
    pub reply: Reply,
}

/// The object of one run.
#[derive(Debug, Default)]
pub(super) struct Object {
    core: Admission,
    storage: Storage,
    parked: BTreeMap<usize, u64>,
    armed: Option<Duration>,
    /// The requests whose permit was granted ahead, by its ticket, as far as they were heard of.
    named: BTreeMap<TicketId, usize>,
    /// Permits were granted ahead that are not durable yet.
    has_lent: bool,
    answers: Vec<Answer>,
    /// Settlements to be acknowledged when they are written.
    settled: Vec<u64>,
    gate: Duration,
    /// Watches the order of its grants.
    pub judge: Judge,
    /// How late waiters were granted by the timer, in milliseconds.
    pub lateness: Vec<u64>,
}

impl Object {
    /// A call of a request arrives.
    pub(super) fn receive(
        &mut self,
        call: u64,
        request: usize,
        operation: &Operation,
        now: Duration,
    ) {
        let at = instant(now);
        match operation {
            Operation::Acquire(acquire, asking) => {
                self.named.insert(acquire.ticket.clone(), request);
                let ask = asking.as_ref().map(|asking| &asking.ask);
                self.acquire(call, acquire, ask, at);
            }
            Operation::Settle(settle) => {
                self.core.settle(settle, at);
                self.settled.push(call);
            }
            Operation::Accepted(accepted) => {
                self.core.accepted(accepted, at);
                self.answer(call, Reply::Done);
            }
            Operation::Cancel(ticket) => {
                self.parked.remove(&request);
                self.core.cancel(ticket, at);
                self.answer(call, Reply::Done);
            }
            Operation::Words(batch) => {
                for ticket in &batch.uses {
                    self.core.used(ticket, at);
                }
                for ticket in batch.unused.iter().flat_map(Unused::tickets) {
                    self.core.take_back(&ticket, at);
                }
                self.settled.push(call);
            }
        }
        self.deliver(at, None);
    }

    /// The timer fires.
    pub(super) fn fire(&mut self, now: Duration) {
        self.armed = None;
        let due = self.core.poll_timeout();
        self.core.handle_timeout(instant(now));
        self.deliver(instant(now), due);
    }

    /// How soon the core wants its changes written.
    pub(super) fn needs_commit(&self) -> Commit {
        match self.core.needs_commit() {
            Commit::Soon if self.has_lent => Commit::Now,
            needed => needed,
        }
    }

    /// Writes what changed; durable after `span`, and no answer leaves before that.
    pub(super) fn commit(&mut self, now: Duration, span: Duration) {
        self.has_lent = false;
        let changes = self.core.take_changes();
        let sequence = changes.sequence;
        self.gate = self.storage.write(changes, now, span);
        self.core.committed(sequence);
        self.acknowledge();
    }

    /// Acknowledges the settlements, which are written by now.
    pub(super) fn acknowledge(&mut self) {
        for call in std::mem::take(&mut self.settled) {
            self.answer(call, Reply::Done);
        }
    }

    /// When an answer that is given at `now` leaves.
    pub(super) fn departure(&self, now: Duration) -> Duration {
        self.gate.max(now)
    }

    /// When the timer has to be set for, if it must be set anew.
    pub(super) fn arm(&mut self, now: Duration) -> Option<Duration> {
        let wanted = time(self.core.poll_timeout()?).max(now);
        if self.armed.is_some_and(|armed| armed <= wanted) {
            return None;
        }
        self.armed = Some(wanted);
        self.armed
    }

    /// Whether the timer that was set for `at` is still the one that is armed.
    pub(super) fn is_armed_for(&self, at: Duration) -> bool {
        self.armed == Some(at)
    }

    /// The answers to send, in their order.
    pub(super) fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// The object dies with all that is not durable. Returns what is left of it, and the calls
    /// that waited in it.
    pub(super) fn crash(&mut self, now: Duration) -> (State, Vec<u64>) {
        self.core = Admission::new();
        self.armed = None;
        self.has_lent = false;
        self.answers.clear();
        self.gate = Duration::ZERO;
        let parked = std::mem::take(&mut self.parked).into_values();
        let calls = parked.chain(std::mem::take(&mut self.settled)).collect();
        let state = self.storage.crash(now);
        let waiters = state.waiters.iter().map(|row| &row.ticket);
        let leases = state.leases.iter().map(|row| &row.ticket);
        let known: BTreeSet<&str> = waiters.chain(leases).map(String::as_str).collect();
        let known = self
            .named
            .iter()
            .filter(|(ticket, _)| known.contains(ticket.as_str()));
        let known: BTreeSet<usize> = known.map(|(_, request)| *request).collect();
        self.judge.restarted(|request| known.contains(&request));
        (state, calls)
    }

    /// Its successor begins.
    pub(super) fn restart(&mut self, state: State, now: Duration) {
        self.core = Admission::restore(state, instant(now));
        self.deliver(instant(now), None);
    }

    /// What the core still holds after everything has ended and left the window.
    pub(super) fn leftovers(&mut self, now: Duration) -> u64 {
        let later = instant(now + WINDOW * 2);
        self.core.handle_timeout(later);
        let live = self.core.live(later);
        let held = live.queue_length + live.in_flight + live.rpm_used + live.tpm_used;
        held + live.stalls + self.parked.len() as u64
    }

    /// Takes a request in. What the core did meanwhile for others comes before it or after it, as
    /// the core had it: the window's remainder, which every answer tells, shrinks with every grant.
    fn acquire(&mut self, call: u64, acquire: &Acquire, ask: Option<&Ask>, at: Instant) {
        let request = self.named[&acquire.ticket];
        let arrival = acquire.arrival.unwrap_or(at).min(at);
        self.parked.remove(&request);
        let acquired = self.core.acquire(acquire.clone(), at);
        let ask = ask.filter(|_| matches!(acquired, Acquired::Granted(_)));
        let block = ask.and_then(|ask| self.core.grant_ahead(ask, at));
        self.has_lent |= block.is_some();
        let mut events: VecDeque<Event> = iter::from_fn(|| self.core.poll_event()).collect();
        let is_earlier = |event: &Event| match (event, &acquired) {
            (Event::Granted { grant, .. }, Acquired::Granted(own)) => {
                remaining(&grant.admission) > remaining(&own.admission)
            }
            (Event::Granted { ticket, .. }, _) => *ticket != acquire.ticket,
            _ => true,
        };
        while let Some(event) = events.pop_front_if(|event| is_earlier(event)) {
            self.carry_out(event, at, None);
        }
        self.judge.enters(request, arrival);
        match acquired {
            Acquired::Granted(grant) => self.granted(call, request, grant, block),
            Acquired::Refused(refusal) => self.refused(call, request, refusal),
            Acquired::Queued { .. } => {
                self.parked.insert(request, call);
            }
        }
        for event in events {
            self.carry_out(event, at, None);
        }
    }

    /// Carries out the core's events; `due` is the instant that the timer was for.
    fn deliver(&mut self, at: Instant, due: Option<Instant>) {
        while let Some(event) = self.core.poll_event() {
            self.carry_out(event, at, due);
        }
    }

    fn carry_out(&mut self, event: Event, at: Instant, due: Option<Instant>) {
        match event {
            Event::Granted { ticket, grant } => {
                if let Some(due) = due {
                    let late = at.saturating_since(due);
                    self.lateness.push(late.as_millis() as u64);
                }
                let request = self.named[&ticket];
                match self.parked.remove(&request) {
                    Some(call) => self.granted(call, request, grant, None),
                    None => self.give_back(ticket, at),
                }
            }
            Event::Refused {
                ticket, refusal, ..
            } => {
                let request = self.named[&ticket];
                self.judge.leaves(request);
                if let Some(call) = self.parked.remove(&request) {
                    self.refused(call, request, refusal);
                }
            }
            Event::LeaseExpired { .. } => {}
        }
    }

    fn granted(&mut self, call: u64, request: usize, grant: Grant, block: Option<Block>) {
        self.judge.granted(request);
        let answer = AcquireAnswer::Granted(grant);
        self.answer(call, Reply::Acquired(answer, block.map(Box::new)));
    }

    fn refused(&mut self, call: u64, request: usize, refusal: Refusal) {
        self.judge.leaves(request);
        self.answer(call, Reply::Acquired(AcquireAnswer::Refused(refusal), None));
    }

    /// A permit that nobody waits for any more.
    fn give_back(&mut self, ticket: TicketId, at: Instant) {
        self.judge.leaves(self.named[&ticket]);
        let settle = Settle::new(ticket, SettleOutcome::NotSent);
        self.core.settle(&settle, at);
    }

    fn answer(&mut self, call: u64, reply: Reply) {
        self.answers.push(Answer { call, reply });
    }
}

/// What the window still admits, as an answer tells it.
fn remaining(facts: &AdmissionFacts) -> Option<u64> {
    let budget = facts.requests.or(facts.tokens)?;
    Some(budget.remaining)
}
