//! 隔离区：要许可，用手里的许可，成批结算。
//!
//! What an isolate does: it uses a permit that it has, else it asks for one and for some ahead; it says
//! when a permit was used late, gives back what it did not use, and sends endings together.

use core::time::Duration;
use std::collections::VecDeque;

use admission::SEND_DELAY_MAX;
use admission::protocol::{Acquire, SentLate, Settle, SettleOutcome};

use super::plan::{Ahead, OUTPUT};
use super::shard::{Call, Note, settled};
use super::world::{Event, Outcome, World};
use crate::simulation::ticket as ticket_id;

/// One isolate.
#[derive(Debug)]
pub(super) struct Isolate {
    /// Where it runs.
    pub region: usize,
    /// What it has with each object.
    with: Vec<Relation>,
}

#[derive(Debug, Default)]
struct Relation {
    /// Permits that nobody uses yet, and since when.
    spare: VecDeque<(usize, Duration)>,
    /// Requests that it has seen lately.
    recent: VecDeque<Duration>,
    /// A call that asked for permits ahead is on its way.
    is_asking: Option<usize>,
    notes: Vec<Note>,
    will_flush: bool,
}

impl Isolate {
    pub(super) fn new(region: usize, shards: usize) -> Self {
        Self {
            region,
            with: (0..shards).map(|_| Relation::default()).collect(),
        }
    }
}

impl Relation {
    /// How many permits it wants ahead: as the plan says by the requests that it has seen lately.
    fn wanted(&mut self, ahead: &Ahead, now: Duration) -> u64 {
        while self
            .recent
            .front()
            .is_some_and(|at| *at + ahead.seen <= now)
        {
            self.recent.pop_front();
        }
        let seen = self.recent.len() as u64;
        if seen >= ahead.least { seen } else { 0 }
    }
}

impl World<'_> {
    /// A request wants a permit.
    pub(super) fn ask(&mut self, request: usize) {
        let now = self.now();
        let (isolate, shard, prompt) = {
            let entry = &self.requests[request];
            (entry.isolate, entry.shard, entry.prompt)
        };
        let relation = &mut self.isolates[isolate].with[shard];
        relation.recent.push_back(now);
        if let Some((ticket, since)) = relation.spare.pop_front() {
            if now.saturating_sub(since) > SEND_DELAY_MAX {
                let ticket = ticket_id(ticket);
                self.note(isolate, shard, Note::SentLate(SentLate { ticket }));
            }
            self.tickets[ticket].request = Some(request);
            let way = self.way(isolate);
            self.agenda.after(way, Event::Upstream { ticket });
            return;
        }
        let ticket = self.ticket(Some(request), isolate, shard, prompt);
        let acquire = self.acquire(ticket, false);
        let relation = &mut self.isolates[isolate].with[shard];
        let wanted = self
            .plan
            .ahead
            .map_or(0, |ahead| relation.wanted(&ahead, now));
        let ahead = if relation.is_asking.is_none() && wanted > 0 {
            relation.is_asking = Some(ticket);
            wanted
        } else {
            0
        };
        let call = Call {
            isolate,
            acquire: Some((ticket, acquire)),
            ahead,
            notes: core::mem::take(&mut relation.notes),
        };
        self.call(shard, call);
    }

    pub(super) fn acquire(&self, ticket: usize, is_ahead: bool) -> Box<Acquire> {
        Box::new(Acquire {
            ticket: ticket_id(ticket),
            app: String::from("app"),
            key_id: String::from("key"),
            model: String::from("small"),
            prompt_bytes: self.tickets[ticket].prompt * 4,
            output_tokens_max: Some(OUTPUT),
            // Nobody waits for a permit that nobody wants yet.
            wait_max: is_ahead.then_some(Duration::ZERO),
            arrival: None,
            attempt: 0,
            pause: None,
            note: String::new(),
            config_version: 1,
            limits: self.plan.share(),
        })
    }

    pub(super) fn answered(&mut self, ticket: usize, granted: Result<(), Outcome>) {
        let now = self.now();
        let entry = &self.tickets[ticket];
        let (isolate, shard, request) = (entry.isolate, entry.shard, entry.request);
        let relation = &mut self.isolates[isolate].with[shard];
        if relation.is_asking == Some(ticket) {
            relation.is_asking = None;
        }
        match (request, granted) {
            (Some(request), Ok(())) => {
                let sent = self.requests[request].sent;
                self.requests[request].wait = now.saturating_sub(sent);
                let way = self.way(isolate);
                self.agenda.after(way, Event::Upstream { ticket });
            }
            (Some(request), Err(outcome)) => self.requests[request].outcome = Some(outcome),
            (None, Ok(())) => {
                relation.spare.push_back((ticket, now));
                let kept = self.plan.ahead.map_or(Duration::ZERO, |ahead| ahead.kept);
                self.agenda.after(kept, Event::Expire { ticket });
            }
            (None, Err(_)) => {}
        }
    }

    /// A permit was kept for as long as it may be.
    pub(super) fn expire(&mut self, ticket: usize) {
        let (isolate, shard) = (self.tickets[ticket].isolate, self.tickets[ticket].shard);
        let spare = &mut self.isolates[isolate].with[shard].spare;
        let before = spare.len();
        spare.retain(|(one, _)| *one != ticket);
        if spare.len() < before {
            self.returned += 1;
            let settle = Settle::new(ticket_id(ticket), SettleOutcome::NotSent);
            self.note(isolate, shard, Note::Settle(settle));
        }
    }

    /// The request reaches the provider, which answers some seconds later.
    pub(super) fn upstream(&mut self, ticket: usize) {
        let now = self.now();
        let Some(request) = self.tickets[ticket].request else {
            return;
        };
        let tokens = self.requests[request].prompt + OUTPUT;
        if let Ok(record) = self.provider.receive(tokens, now) {
            self.provider.close(record, None);
        }
        let answer = Duration::from_millis(self.chance.among(1_000, 3_000));
        self.agenda.after(answer, Event::End { ticket });
    }

    pub(super) fn ended(&mut self, ticket: usize) {
        let (isolate, shard) = (self.tickets[ticket].isolate, self.tickets[ticket].shard);
        let Some(request) = self.tickets[ticket].request else {
            return;
        };
        self.requests[request].outcome = Some(Outcome::Served);
        let settle = Settle::new(ticket_id(ticket), SettleOutcome::Completed);
        let settle = settled(settle, self.requests[request].prompt, OUTPUT);
        self.note(isolate, shard, settle);
    }

    /// Something that the object has to hear, but need not hear at once.
    fn note(&mut self, isolate: usize, shard: usize, note: Note) {
        let after = self.plan.settle_after;
        let relation = &mut self.isolates[isolate].with[shard];
        relation.notes.push(note);
        if !core::mem::replace(&mut relation.will_flush, true) {
            self.agenda.after(after, Event::Flush { isolate, shard });
        }
    }

    pub(super) fn flush(&mut self, isolate: usize, shard: usize) {
        let relation = &mut self.isolates[isolate].with[shard];
        relation.will_flush = false;
        let notes = core::mem::take(&mut relation.notes);
        if !notes.is_empty() {
            self.call(
                shard,
                Call {
                    isolate,
                    notes,
                    ..Call::default()
                },
            );
        }
    }

    fn call(&mut self, shard: usize, call: Call) {
        let way = self.way(call.isolate);
        let call = Box::new(call);
        self.agenda.after(way, Event::Call { shard, call });
    }
}
