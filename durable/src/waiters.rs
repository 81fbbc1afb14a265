//! 等待者：票号到应答通道。
//!
//! Owns the answer channels of the calls that are parked in this object. It knows nothing of
//! order or limits: that is the core's queue. A channel that is dropped unanswered tells its call
//! that the place in the queue is gone.

use std::collections::HashMap;

use admission::protocol::{AcquireAnswer, TicketId};
use futures::channel::oneshot;

/// Channels of the parked calls by ticket.
#[derive(Default)]
pub(crate) struct Waiters {
    by_ticket: HashMap<TicketId, oneshot::Sender<AcquireAnswer>>,
}

impl Waiters {
    /// Parks a call until its ticket is answered.
    pub(crate) fn park(&mut self, ticket: TicketId) -> oneshot::Receiver<AcquireAnswer> {
        let (sender, receiver) = oneshot::channel();
        self.by_ticket.insert(ticket, sender);
        receiver
    }

    /// Whether a call is parked under `ticket`.
    pub(crate) fn is_parked(&self, ticket: &TicketId) -> bool {
        self.by_ticket.contains_key(ticket)
    }

    /// Answers the call parked under `ticket`. Gives the answer back when nobody takes it, so that
    /// the caller can return an unclaimed permit to the core.
    pub(crate) fn answer(
        &mut self,
        ticket: &TicketId,
        answer: AcquireAnswer,
    ) -> Option<AcquireAnswer> {
        match self.by_ticket.remove(ticket) {
            Some(sender) => sender.send(answer).err(),
            None => Some(answer),
        }
    }

    /// Closes the channel of an earlier call with this ticket: a later one takes its place.
    pub(crate) fn supersede(&mut self, ticket: &TicketId) {
        self.by_ticket.remove(ticket);
    }
}
