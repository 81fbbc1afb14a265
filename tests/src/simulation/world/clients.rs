//! 客户端：来、等、走。
//!
//! What clients do: they send, they lose patience, and those of a closed loop send again when they
//! have their answer.

use core::time::Duration;

use admission::protocol::SettleOutcome;

use super::{Event, Outcome, Request, World};
use crate::simulation::object::Operation;
use crate::simulation::ticket;

impl World<'_> {
    pub(super) fn arrive(&mut self, app: usize, client: usize, until: Duration) {
        let now = self.now();
        if now >= until {
            return;
        }
        let source = &self.scenario.apps[app];
        if let Some(at) = source.arrivals.next(now, &mut self.chance) {
            self.agenda.at(at, Event::Arrive { app, client });
        }
        let isolate = self.chance.among(1, self.scenario.network.isolates as u64) as usize - 1;
        let request = self.requests.len();
        self.requests.push(Request {
            app,
            client,
            isolate,
            size: source.sizes.draw(&mut self.chance),
            sent: now,
            arrival: None,
            attempt: 0,
            attempts_sent: 0,
            record: None,
            gone: false,
            ticket: ticket(request),
            is_ahead: false,
            is_probe: false,
            wait: Duration::ZERO,
            outcome: None,
        });
        if self.chance.happens(self.scenario.faults.leave) {
            let patience = self.chance.exponential(self.scenario.faults.leave_after);
            self.agenda.after(patience, Event::Leave { request });
        }
        self.enter(request);
    }

    pub(super) fn leave(&mut self, request: usize, until: Duration) {
        if self.requests[request].outcome.is_some() {
            return;
        }
        let was_sent = self.requests[request].record;
        self.requests[request].gone = true;
        self.finish(request, Outcome::Gone, until);
        let ticket = self.requests[request].ticket.clone();
        if let Some(record) = was_sent {
            // The connection closes: what was generated so far is what the provider counts.
            let size = self.requests[request].size;
            self.provider
                .close(record, Some(size.prompt + size.output / 2));
            self.requests[request].record = None;
            self.settle(request, None, SettleOutcome::ClientGone);
        } else {
            self.call(request, Operation::Cancel(ticket));
        }
    }

    pub(super) fn finish(&mut self, request: usize, outcome: Outcome, until: Duration) {
        let now = self.now();
        let entry = &mut self.requests[request];
        entry.outcome = Some(outcome);
        if !matches!(outcome, Outcome::Served | Outcome::TooManyRequests) {
            entry.wait = now.saturating_sub(entry.sent);
        }
        let (app, client) = (entry.app, entry.client);
        let arrivals = &self.scenario.apps[app].arrivals;
        if let Some(at) = arrivals.after_answer(now, &mut self.chance)
            && at < until
        {
            self.agenda.at(at, Event::Arrive { app, client });
        }
    }
}
