//! 隔离区：Worker 在每个请求上做的事。
//!
//! What a Worker isolate does with a request: it uses a permit that was granted ahead or asks for
//! one, sends what is granted, goes back to the head of the queue on a 429, reports what a probe
//! found, settles at the end, and makes a call again when the object died under it. What became of
//! permits that were granted ahead it tells as the real one does, by the real pool.

use core::time::Duration;

use admission::Instant;
use admission::protocol::{
    Accepted, Acquire, AcquireAnswer, Batch, Block, BlockId, Grant, Settle, SettleOutcome,
};
use gateway::pool::{Kind, Size};

use super::{Event, Outcome, World};
use crate::simulation::instant;
use crate::simulation::object::{Answer, Asking, Operation, Reply};

/// Upstream attempts beyond the first (`RETRY_MAX` of the Worker).
const RETRY_MAX: u32 = 2;

/// After what time a Worker makes a broken call again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The one server's object.
const SERVER: &str = "server";

/// How often a Worker looks again whether something is due, where it was not.
const TICK: Duration = Duration::from_millis(20);

impl World<'_> {
    /// A new request: with a permit that is here already, or by way of the object.
    pub(super) fn enter(&mut self, request: usize) {
        let (kind, size) = (self.kind(request), self.size(request));
        let (now, isolate) = (instant(self.now()), self.requests[request].isolate);
        let pool = &mut self.pools[isolate];
        if let Some(grant) = pool.take(&kind, size, &self.scenario.limits, now) {
            let entry = &mut self.requests[request];
            entry.ticket = grant.permit.ticket().clone();
            entry.is_ahead = true;
            entry.arrival = Some(now);
            self.went_ahead += 1;
            let way = self.way_to_provider(request);
            self.agenda.after(way, Event::Upstream { request });
            return;
        }
        let mut random = [0; 16];
        random[..8].copy_from_slice(&(request as u64).to_be_bytes());
        let asking = pool.ask_with(&kind, size, random, now).map(|ask| Asking {
            ask,
            was_repeated: false,
        });
        let acquire = self.acquire(request, None);
        self.call(request, Operation::Acquire(acquire, asking));
    }

    fn kind(&self, request: usize) -> Kind {
        let app = &self.scenario.apps[self.requests[request].app];
        Kind {
            server_id: SERVER.to_owned(),
            app: app.name.to_owned(),
            key_id: String::from("key"),
            model: app.model.to_owned(),
            endpoint: "/v1/chat/completions",
            stream: false,
            colo: String::new(),
        }
    }

    fn size(&self, request: usize) -> Size {
        let size = self.requests[request].size;
        Size {
            prompt_bytes: size.prompt_bytes,
            output_tokens_max: size.output_max,
        }
    }

    /// The answer to a question for permits ahead.
    fn asked(&mut self, request: usize, asking: &Asking, block: Option<Block>) {
        let (kind, now) = (self.kind(request), instant(self.now()));
        let pool = &mut self.pools[self.requests[request].isolate];
        let id = asking.ask.block.clone();
        if pool.answered(&kind, &id, block, asking.was_repeated, now) {
            self.attend(request, id);
        }
    }

    /// Tells the object what is due, and comes again when more will be.
    pub(super) fn attend(&mut self, request: usize, id: BlockId) {
        let (kind, now) = (self.kind(request), instant(self.now()));
        let pool = &mut self.pools[self.requests[request].isolate];
        let words = pool.words(SERVER, now);
        let due = pool.due(&kind, &id);
        let batch = Batch {
            late: words.late,
            uses: words.uses,
            unused: words.unused,
            settles: Vec::new(),
        };
        if !batch.is_empty() {
            self.call(request, Operation::Words(batch));
        }
        if let Some(due) = due {
            let span = due.saturating_since(now).max(TICK);
            self.agenda.after(span, Event::Attend { request, id });
        }
    }

    fn close_pool(&mut self, request: usize) {
        let now = instant(self.now());
        self.pools[self.requests[request].isolate].close(SERVER, now);
    }

    fn has_used(&mut self, request: usize) -> bool {
        let kind = self.kind(request);
        let entry = &mut self.requests[request];
        let was_ahead = std::mem::take(&mut entry.is_ahead);
        if was_ahead {
            self.pools[entry.isolate].ended(&kind, &entry.ticket);
        }
        was_ahead
    }

    pub(super) fn acquire(&self, request: usize, pause: Option<Duration>) -> Box<Acquire> {
        let entry = &self.requests[request];
        let app = &self.scenario.apps[entry.app];
        Box::new(Acquire {
            ticket: entry.ticket.clone(),
            app: app.name.to_owned(),
            key_id: String::from("key"),
            model: app.model.to_owned(),
            prompt_bytes: entry.size.prompt_bytes,
            output_tokens_max: entry.size.output_max,
            wait_max: None,
            arrival: entry.arrival,
            attempt: entry.attempt,
            pause,
            note: String::new(),
            config_version: 1,
            limits: self.scenario.limits,
        })
    }

    pub(super) fn answered(&mut self, answer: Answer, until: Duration) {
        let Some((request, operation)) = self.calls.remove(&answer.call) else {
            return;
        };
        let Reply::Acquired(acquired, block) = answer.reply else {
            return;
        };
        if let Operation::Acquire(_, Some(asking)) = operation {
            self.asked(request, &asking, block.map(|block| *block));
        }
        match acquired {
            AcquireAnswer::Granted(grant) => {
                if grant.admission.position > 0 || grant.probe {
                    self.close_pool(request);
                }
                self.has_used(request);
                self.granted(request, &grant);
            }
            AcquireAnswer::Refused(refusal) => {
                self.close_pool(request);
                if self.requests[request].outcome.is_none() {
                    self.finish(request, Outcome::Refused(refusal.reason), until);
                }
            }
        }
    }

    pub(super) fn granted(&mut self, request: usize, grant: &Grant) {
        let now = self.now();
        let entry = &mut self.requests[request];
        if entry.gone {
            self.settle(request, None, SettleOutcome::NotSent);
            return;
        }
        let arrival =
            grant.permit.granted_at().as_millis() - grant.admission.wait.as_millis() as u64;
        entry.is_probe = grant.probe;
        entry.arrival = Some(Instant::from_millis(arrival));
        entry.wait = now.saturating_sub(entry.sent);
        let way = self.way_to_provider(request);
        self.agenda.after(way, Event::Upstream { request });
    }

    /// The provider's headers are no 429; the object wants to know while it probes.
    pub(super) fn headers(&mut self, request: usize) {
        if self.requests[request].is_probe && !self.requests[request].gone {
            let ticket = self.requests[request].ticket.clone();
            self.call(request, Operation::Accepted(Accepted { ticket }));
        }
    }

    pub(super) fn too_many(&mut self, request: usize, retry_after: Duration, until: Duration) {
        self.close_pool(request);
        let entry = &mut self.requests[request];
        if entry.gone {
            self.settle_refused(request, retry_after);
        } else if entry.attempt < RETRY_MAX {
            entry.attempt += 1;
            let acquire = self.acquire(request, Some(retry_after));
            self.call(request, Operation::Acquire(acquire, None));
        } else {
            self.settle_refused(request, retry_after);
            self.finish(request, Outcome::TooManyRequests, until);
        }
    }

    pub(super) fn end(&mut self, request: usize, until: Duration) {
        if self.requests[request].gone {
            return;
        }
        let tokens = self.requests[request].size.tokens();
        if !self.chance.happens(self.scenario.faults.unsettled) {
            self.settle(request, Some(tokens), SettleOutcome::Completed);
        }
        self.finish(request, Outcome::Served, until);
    }

    pub(super) fn settle(&mut self, request: usize, tokens: Option<u64>, outcome: SettleOutcome) {
        let mut settle = Settle::new(self.requests[request].ticket.clone(), outcome);
        settle.tokens = tokens;
        if self.has_used(request) {
            settle.prompt_bytes = Some(self.requests[request].size.prompt_bytes);
        }
        if outcome == SettleOutcome::Completed && tokens.is_some_and(|tokens| tokens > 0) {
            let size = self.requests[request].size;
            settle.prompt_tokens = Some(size.prompt);
            settle.completion_tokens = Some(size.output);
        }
        self.call(request, Operation::Settle(settle));
    }

    /// The provider refused it, and it is not tried again.
    fn settle_refused(&mut self, request: usize, pause: Duration) {
        self.has_used(request);
        let ticket = self.requests[request].ticket.clone();
        let mut settle = Settle::new(ticket, SettleOutcome::UpstreamRefused);
        settle.pause = Some(pause);
        self.call(request, Operation::Settle(settle));
    }

    pub(super) fn call(&mut self, request: usize, operation: Operation) {
        self.calls_made += 1;
        self.calls.insert(self.calls_made, (request, operation));
        let way = self.way_to_object(request);
        self.agenda.after(way, Event::Call(self.calls_made));
    }

    /// The object died under a call: the same ticket again, with the arrival that is known.
    pub(super) fn call_again(&mut self, call: u64) {
        let Some((request, operation)) = self.calls.get_mut(&call) else {
            return;
        };
        let request = *request;
        let entry = &self.requests[request];
        if let Operation::Acquire(acquire, asking) = operation {
            if entry.gone {
                let asking = asking.take();
                self.calls.remove(&call);
                if let Some(mut asking) = asking {
                    asking.was_repeated = true;
                    self.asked(request, &asking, None);
                }
                return;
            }
            if let Some(asking) = asking {
                asking.was_repeated = true;
            }
            acquire.arrival = Some(entry.arrival.unwrap_or(instant(entry.sent)));
        }
        let way = self.way_to_object(request);
        self.agenda.after(RETRY_PAUSE + way, Event::Call(call));
    }
}
