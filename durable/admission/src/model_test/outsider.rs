//! 旁观者：只看调用、答复、事件与崩溃，独立检查不变量。
//!
//! The outsider: sees calls, answers, events and crashes, keeps its own books, and checks from them
//! alone that no window and no concurrency is over the limit, that nobody overtakes, and that no
//! permit is doubled or lost.

use crate::protocol::{Acquire, Grant, Limits, Settle, SettleOutcome, TicketId};
use crate::time::Instant;
use crate::{Acquired, Event, State};
use std::collections::{BTreeMap, BTreeSet};

/// What was called and what came back at once.
pub(crate) enum Call {
    Acquire(Box<Acquire>, Acquired),
    Settle(Settle, bool),
    Cancel(TicketId, bool),
    SentLate(TicketId, bool),
    /// Permits ahead, and whether there were any.
    Ahead(Vec<Grant>, bool),
    TakenBack(TicketId, bool),
    Other,
}

/// One request as the provider sees it.
#[derive(Clone, Copy)]
struct Sent {
    granted_at: u64,
    /// When it really went; later than its grant where its Worker was slow.
    at: u64,
    tokens: u64,
    refunded: bool,
    ends: u64,
    attempt: u32,
    /// There was a concurrency limit when it was granted.
    slotted: bool,
}

/// Arrival and order of entry; unknown where a repeated call may or may not have kept its place.
type Order = Option<(u64, u64)>;

#[derive(Default)]
pub(crate) struct Outsider {
    /// Their order and the attempt that they wait for.
    waiting: BTreeMap<TicketId, (Order, u32)>,
    /// Permits out: their place in `sent`.
    out: BTreeMap<TicketId, usize>,
    /// Permits out that the core forgot in a crash.
    lost: BTreeMap<TicketId, usize>,
    /// Waiters in the core that do not wait in reality: what made them leave was forgotten.
    ghosts: BTreeSet<TicketId>,
    /// All permits of every ticket.
    all: BTreeMap<TicketId, Vec<usize>>,
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

    /// The least attempt that a call of this ticket can be for: who has had its permit, whatever
    /// the core remembers of it, calls again only with a further attempt.
    pub(crate) fn attempt_min(&self, ticket: &TicketId) -> u32 {
        if let Some((_, attempt)) = self.waiting.get(ticket) {
            return *attempt;
        }
        if self.out.contains_key(ticket) && !self.lost.contains_key(ticket) {
            return 0;
        }
        self.attempts(ticket)
    }

    /// Attempts that the ticket has had a permit for.
    pub(crate) fn attempts(&self, ticket: &TicketId) -> u32 {
        let all = self.all.get(ticket).into_iter().flatten();
        let attempts = all.map(|sent| self.sent[*sent].attempt + 1);
        attempts.max().unwrap_or(0)
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
        if let Call::Acquire(request, _) = call
            && let Some(sent) = self.out.get(&request.ticket)
            && request.attempt > self.sent[*sent].attempt
            && request.pause.is_some()
        {
            // The provider refused it and did no work for it.
            self.sent[*sent].tokens = 0;
        }
        for event in events {
            if let Event::LeaseExpired { ticket, .. } = event {
                self.end(ticket);
            }
        }
        let slotted = limits.iter().all(|limits| limits.concurrency.is_some());
        let ends = |at: u64| {
            let leases = limits.iter().map(|limits| limits.lease.as_millis());
            at + u64::try_from(leases.max().unwrap()).unwrap()
        };
        let sent = |at: Instant, tokens: u64, attempt: u32| Sent {
            granted_at: at.as_millis(),
            at: at.as_millis(),
            tokens,
            refunded: false,
            ends: ends(at.as_millis()),
            attempt,
            slotted,
        };
        let straight = self.book_call(call, now, &sent);
        let mut granted: Vec<Order> = straight.into_iter().collect();
        for event in events {
            match event {
                Event::Granted { ticket, grant } => {
                    let (order, attempt) = self.waiting.remove(ticket).expect("it was waiting");
                    // One that entered just now was not in line when the others were granted.
                    granted.extend(before.contains_key(ticket).then_some(order));
                    let reserved = grant.permit.reserved_tokens();
                    self.send(ticket, sent(grant.permit.granted_at(), reserved, attempt));
                }
                Event::Refused { ticket, .. } => {
                    let cancelled = matches!(call, Call::Cancel(gone, true) if gone == ticket);
                    let ghost = self.ghosts.remove(ticket);
                    assert!(self.waiting.remove(ticket).is_some() || cancelled || ghost);
                    self.refusals += 1;
                }
                Event::LeaseExpired { .. } => {}
            }
        }
        if let Call::Settle(settle, known) = call {
            self.settle(settle, *known);
        }
        if let Call::TakenBack(ticket, true) = call {
            self.sent[self.out[ticket]].refunded = true;
            self.end(ticket);
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
        if self.sent.len() > sent_before {
            self.check_slots(now.as_millis(), limits);
        }
        // Booked last: until now nobody could know, and others were granted meanwhile.
        if let Call::SentLate(ticket, true) = call
            && let Some(sent) = self.out.get(ticket)
        {
            self.sent[*sent].at = now.as_millis();
        }
    }

    /// The core is restored from this state. What it forgot, it forgot.
    pub(crate) fn crash(&mut self, state: &State) {
        let id = |ticket: &String| TicketId::try_from(ticket.as_str()).unwrap();
        let waiters: BTreeSet<TicketId> = state.waiters.iter().map(|row| id(&row.ticket)).collect();
        let real = |ticket: &TicketId| self.waiting.contains_key(ticket);
        self.ghosts = waiters.iter().filter(|t| !real(t)).cloned().collect();
        self.waiting.retain(|ticket, _| waiters.contains(ticket));
        self.lost.extend(std::mem::take(&mut self.out));
        for row in &state.leases {
            let ticket = id(&row.ticket);
            let all = self.all[&ticket].iter().copied();
            let same = |sent: &usize| self.sent[*sent].granted_at == row.granted_at_ms;
            let sent = all.rev().find(same).expect("it was granted");
            self.lost.retain(|_, lost| *lost != sent);
            self.waiting.remove(&ticket);
            self.out.insert(ticket, sent);
        }
    }

    /// Books the answer itself; returns the order of a request that went straight through.
    fn book_call(
        &mut self,
        call: &Call,
        now: Instant,
        sent: &dyn Fn(Instant, u64, u32) -> Sent,
    ) -> Option<Order> {
        if let Call::Ahead(grants, _) = call {
            for grant in grants {
                let (ticket, at) = (grant.permit.ticket(), grant.permit.granted_at());
                // The same question again has the same answer.
                if !self.out.contains_key(ticket) {
                    self.lost.remove(ticket);
                    self.send(ticket, sent(at, grant.permit.reserved_tokens(), 0));
                }
            }
        }
        let Call::Acquire(request, acquired) = call else {
            if let Call::Cancel(ticket, known) = call {
                let ghost = self.ghosts.contains(ticket);
                assert_eq!(*known, self.waiting.remove(ticket).is_some() || ghost);
            }
            return None;
        };
        let ticket = &request.ticket;
        let ghost = self.ghosts.remove(ticket);
        self.lost.remove(ticket);
        let arrival = request.arrival.map_or(now, |at| at.min(now)).as_millis();
        match acquired {
            Acquired::Granted(grant) => {
                let waited = self.waiting.remove(ticket);
                let granted_at = grant.permit.granted_at();
                if let Some(sent) = self.out.get(ticket)
                    && self.sent[*sent].attempt >= request.attempt
                {
                    assert_eq!(
                        self.sent[*sent].granted_at,
                        granted_at.as_millis(),
                        "same permit"
                    );
                    return None;
                }
                let back = self.out.remove(ticket);
                let reserved = grant.permit.reserved_tokens();
                self.send(ticket, sent(granted_at, reserved, request.attempt));
                let order = (arrival, u64::MAX);
                Some(Some(order).filter(|_| waited.is_none() && back.is_none() && !ghost))
            }
            Acquired::Queued { ticket, .. } => {
                // A permit of an earlier attempt is used up, and its request is at its old place.
                let back = self.out.contains_key(ticket);
                self.end(ticket);
                self.entries += 1;
                let order = Some((arrival, self.entries));
                let order = order.filter(|_| !back && !ghost && !self.waiting.contains_key(ticket));
                self.waiting
                    .insert(ticket.clone(), (order, request.attempt));
                None
            }
            Acquired::Refused(_) => {
                self.end(ticket);
                self.waiting.remove(ticket);
                self.refusals += 1;
                None
            }
        }
    }

    /// Booked after the events: a late timer may grant the very permit that is settled.
    fn settle(&mut self, settle: &Settle, known: bool) {
        let ticket = &settle.ticket;
        self.lost.remove(ticket);
        if !known {
            return;
        }
        let sent = &mut self.sent[self.out[ticket]];
        sent.refunded = settle.outcome == SettleOutcome::NotSent;
        sent.tokens = match settle.outcome {
            SettleOutcome::UpstreamRefused => 0,
            SettleOutcome::NotSent => sent.tokens,
            _ => settle.tokens.unwrap_or(sent.tokens),
        };
        self.end(ticket);
    }

    fn send(&mut self, ticket: &TicketId, sent: Sent) {
        let doubled = self.out.insert(ticket.clone(), self.sent.len());
        assert!(doubled.is_none(), "{ticket} has two permits");
        let all = self.all.entry(ticket.clone()).or_default();
        all.push(self.sent.len());
        self.grants += 1;
        self.sent.push(sent);
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
        assert!(
            requests <= highest(limits, |limits| limits.rpm),
            "requests over the limit"
        );
        // A settle corrects amid its own grants, so what they saw is not known from outside.
        assert!(
            corrected || tokens <= highest(limits, |limits| limits.tpm),
            "tokens over the limit"
        );
    }

    /// After a grant no more are in flight than the limit allows, those that the core has
    /// forgotten included.
    fn check_slots(&self, now: u64, limits: &[Limits]) {
        let lost = self.lost.values().map(|sent| &self.sent[*sent]);
        let lost = lost.filter(|sent| sent.slotted && sent.ends > now).count();
        let in_flight = u64::try_from(self.out.len() + lost).unwrap();
        assert!(
            in_flight <= highest(limits, |limits| limits.concurrency),
            "more in flight than the limit"
        );
    }
}

fn highest(limits: &[Limits], limit: fn(&Limits) -> Option<u64>) -> u64 {
    let limits = limits.iter();
    limits
        .map(|limits| limit(limits).unwrap_or(u64::MAX))
        .max()
        .unwrap()
}
