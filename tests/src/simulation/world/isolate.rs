//! 隔离区：Worker 在每个请求上做的事。
//!
//! What a Worker isolate does with a request: it asks for a permit, sends what is granted, goes
//! back to the head of the queue on a 429, reports what a probe found, settles at the end, and
//! makes a call again when the object died under it.

use core::time::Duration;

use admission::Instant;
use admission::protocol::{Accepted, Acquire, AcquireAnswer, Grant, Settle, SettleOutcome};

use super::{Event, Outcome, World};
use crate::simulation::object::{Answer, Operation, Reply};
use crate::simulation::{instant, ticket};

/// Upstream attempts beyond the first (`RETRY_MAX` of the Worker).
const RETRY_MAX: u32 = 2;

/// After what time a Worker makes a broken call again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

impl World<'_> {
    pub(super) fn acquire(&self, request: usize, pause: Option<Duration>) -> Box<Acquire> {
        let entry = &self.requests[request];
        let app = &self.scenario.apps[entry.app];
        Box::new(Acquire {
            ticket: ticket(request),
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
        let Some((request, _)) = self.calls.remove(&answer.call) else {
            return;
        };
        match answer.reply {
            Reply::Done => {}
            Reply::Acquired(AcquireAnswer::Granted(grant)) => self.granted(request, &grant),
            Reply::Acquired(AcquireAnswer::Refused(refusal)) => {
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
            let ticket = ticket(request);
            self.call(request, Operation::Accepted(Accepted { ticket }));
        }
    }

    pub(super) fn too_many(&mut self, request: usize, retry_after: Duration, until: Duration) {
        let entry = &mut self.requests[request];
        if entry.gone {
            self.settle_refused(request, retry_after);
        } else if entry.attempt < RETRY_MAX {
            entry.attempt += 1;
            let acquire = self.acquire(request, Some(retry_after));
            self.call(request, Operation::Acquire(acquire));
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
        let mut settle = Settle::new(ticket(request), outcome);
        settle.tokens = tokens;
        if outcome == SettleOutcome::Completed && tokens.is_some_and(|tokens| tokens > 0) {
            let size = self.requests[request].size;
            settle.prompt_tokens = Some(size.prompt);
            settle.completion_tokens = Some(size.output);
        }
        self.call(request, Operation::Settle(settle));
    }

    /// The provider refused it, and it is not tried again.
    fn settle_refused(&mut self, request: usize, pause: Duration) {
        let mut settle = Settle::new(ticket(request), SettleOutcome::UpstreamRefused);
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
        if let Operation::Acquire(acquire) = operation {
            if entry.gone {
                self.calls.remove(&call);
                return;
            }
            acquire.arrival = Some(entry.arrival.unwrap_or(instant(entry.sent)));
        }
        let way = self.way_to_object(request);
        self.agenda.after(RETRY_PAUSE + way, Event::Call(call));
    }
}
