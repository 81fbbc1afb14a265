//! 旁观者：只看调用、答复与事件，独立检查不变量。
//!
//! The outsider: sees calls, answers and events, keeps its own books, and checks from them alone
//! that no window is over the limit, that nobody overtakes, and that no permit is doubled or lost.

use crate::protocol::{Acquire, Limits, Settle, SettleOutcome, TicketId};
use crate::time::Instant;
use crate::{Acquired, Event};
use std::collections::BTreeMap;

/// What was called and what came back at once.
pub(crate) enum Call {
    Acquire(Box<Acquire>, Acquired),
    Settle(Settle, bool),
    Cancel(TicketId, bool),
    Other,
}

/// One request as the provider sees it.
#[derive(Clone, Copy)]
struct Sent {
    at: u64,
    tokens: u64,
    refunded: bool,
}

/// Arrival and order of entry; unknown where a repeated call may or may not have kept its place.
type Order = Option<(u64, u64)>;

#[derive(Default)]
pub(crate) struct Outsider {
    waiting: BTreeMap<TicketId, (Order, u32)>,
    /// Permits out: their place in `sent`, and the attempt they were for.
    out: BTreeMap<TicketId, (usize, u32)>,
    pub(crate) past: Vec<TicketId>,
    sent: Vec<Sent>,
    entries: u64,
    pub(crate) grants: u64,
    pub(crate) refusals: u64,
}

impl Outsider {
    pub(crate) fn out(&self) -> Vec<TicketId> {
        self.out.keys().cloned().collect()
    }

    pub(crate) fn waiting(&self) -> Vec<TicketId> {
        self.waiting.keys().cloned().collect()
    }

    /// Books one call with everything that followed from it. `limits` were in force during it.
    pub(crate) fn observe(
        &mut self,
        call: &Call,
        events: &[Event],
        now: Instant,
        limits: &[Limits],
    ) {
        let before = self.waiting.clone();
        let sent_before = self.sent.len();
        for event in events {
            if let Event::LeaseExpired { ticket } = event {
                self.end(ticket);
            }
        }
        let straight = self.book_call(call, now);
        let mut granted: Vec<Order> = straight.into_iter().collect();
        for event in events {
            match event {
                Event::Granted { ticket, grant } => {
                    let (order, attempt) = self.waiting.remove(ticket).expect("it was waiting");
                    // One that entered just now was not in line when the others were granted.
                    granted.extend(before.contains_key(ticket).then_some(order));
                    let reserved = grant.permit.reserved_tokens();
                    self.send(ticket, grant.permit.granted_at(), reserved, attempt);
                }
                Event::Refused { ticket, .. } => {
                    let cancelled = matches!(call, Call::Cancel(gone, true) if gone == ticket);
                    assert!(self.waiting.remove(ticket).is_some() || cancelled);
                    self.refusals += 1;
                }
                Event::LeaseExpired { .. } => {}
            }
        }
        if let Call::Settle(settle, true) = call {
            self.settle(settle);
        }
        for (ticket, (order, _)) in &self.waiting {
            let Some(order) = order.filter(|_| before.contains_key(ticket)) else {
                continue;
            };
            for granted in granted.iter().flatten() {
                assert!(*granted < order, "{ticket} was overtaken");
            }
        }
        let corrected = matches!(call, Call::Settle(..));
        for index in sent_before..self.sent.len() {
            self.check_window(index, limits, corrected);
        }
    }

    /// Books the answer itself; returns the order of a request that went straight through.
    fn book_call(&mut self, call: &Call, now: Instant) -> Option<Order> {
        match call {
            Call::Acquire(request, Acquired::Granted(grant)) => {
                let ticket = &request.ticket;
                let waited = self.waiting.remove(ticket);
                let granted_at = grant.permit.granted_at();
                if let Some((sent, attempt)) = self.out.get(ticket)
                    && *attempt >= request.attempt
                {
                    assert_eq!(self.sent[*sent].at, granted_at.as_millis(), "same permit");
                    return None;
                }
                self.out.remove(ticket);
                let reserved = grant.permit.reserved_tokens();
                self.send(ticket, granted_at, reserved, request.attempt);
                let arrival = request.arrival.map_or(now, |at| at.min(now));
                let order = (arrival.as_millis(), u64::MAX);
                Some(Some(order).filter(|_| waited.is_none()))
            }
            Call::Acquire(request, Acquired::Queued { ticket, .. }) => {
                // A permit of an earlier attempt is used up.
                self.end(ticket);
                let arrival = request.arrival.map_or(now, |at| at.min(now));
                self.entries += 1;
                let order = (arrival.as_millis(), self.entries);
                let order = Some(order).filter(|_| !self.waiting.contains_key(ticket));
                self.waiting
                    .insert(ticket.clone(), (order, request.attempt));
                None
            }
            Call::Acquire(request, Acquired::Refused(_)) => {
                self.end(&request.ticket);
                self.waiting.remove(&request.ticket);
                self.refusals += 1;
                None
            }
            Call::Cancel(ticket, known) => {
                assert_eq!(*known, self.waiting.remove(ticket).is_some());
                None
            }
            Call::Settle(..) | Call::Other => None,
        }
    }

    /// Booked after the events: a late timer may grant the very permit that is settled.
    fn settle(&mut self, settle: &Settle) {
        let (sent, _) = self.out[&settle.ticket];
        let sent = &mut self.sent[sent];
        sent.refunded = settle.outcome == SettleOutcome::NotSent;
        sent.tokens = settle.tokens.unwrap_or(sent.tokens);
        self.end(&settle.ticket);
    }

    fn send(&mut self, ticket: &TicketId, at: Instant, tokens: u64, attempt: u32) {
        let doubled = self.out.insert(ticket.clone(), (self.sent.len(), attempt));
        assert!(doubled.is_none(), "{ticket} has two permits");
        self.grants += 1;
        self.sent.push(Sent {
            at: at.as_millis(),
            tokens,
            refunded: false,
        });
    }

    fn end(&mut self, ticket: &TicketId) {
        if self.out.remove(ticket).is_some() {
            self.past.push(ticket.clone());
        }
    }

    /// What the provider got in the minute (and the guard) up to a grant is within the limit.
    fn check_window(&self, index: usize, limits: &[Limits], corrected: bool) {
        let last = self.sent[index].at;
        let recent = self.sent[..=index].iter().rev();
        let recent = recent.take_while(|sent| last - sent.at <= 60_250);
        let (mut requests, mut tokens) = (0_u64, 0_u64);
        for sent in recent.filter(|sent| !sent.refunded) {
            requests += 1;
            tokens = tokens.saturating_add(sent.tokens);
        }
        let highest = |limit: fn(&Limits) -> Option<u64>| {
            let limits = limits
                .iter()
                .map(|limits| limit(limits).unwrap_or(u64::MAX));
            limits.max().unwrap()
        };
        assert!(
            requests <= highest(|limits| limits.rpm),
            "requests over the limit"
        );
        // A settle corrects amid its own grants, so what they saw is not known from outside.
        assert!(
            corrected || tokens <= highest(|limits| limits.tpm),
            "tokens over the limit"
        );
    }
}
