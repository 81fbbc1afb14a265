//! 溢出：排队之前先看看别的服务器。
//!
//! Owns in which order a request asks the servers that may take it, and where it waits if none is free. A
//! server with `overflow = next_server` sends a request on that would have to wait: every candidate is asked
//! whether it can take it at once, and if none can, the request waits where the estimate is shortest. The
//! setting of the first candidate decides; those of the others are for requests that are theirs by right.
//! Does not talk to any limiter.
//!
//! Invariant: a request stands in at most one queue, and every plan comes to an end: each refusal either
//! rules a candidate out or is the answer.

use std::{cmp::Reverse, time::Duration};

use admission::{
    RETRY_AFTER_UNKNOWN,
    protocol::{Refusal, RefusalReason},
};

use crate::config::{Overflow, Server};

/// Most servers that one request asks. They are asked one after the other, so each costs one call to a
/// limiter object, tens of milliseconds when it lives on another continent; further ones would make the
/// search longer than the wait it is to save.
pub const CANDIDATES_MAX: usize = 16;

/// How to ask for a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Wait for it.
    Queue,
    /// Take it if it is there, and learn the estimate if it is not.
    OnlyIfFree,
}

impl Mode {
    /// What `Acquire::wait_max` says, given what the client is willing to wait.
    #[must_use]
    pub const fn wait_max(self, client: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Queue => client,
            Self::OnlyIfFree => Some(Duration::ZERO),
        }
    }
}

/// Whom to ask next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Rank among the candidates that the plan was made from, from 0.
    pub index: usize,
    /// How.
    pub mode: Mode,
}

/// What is known of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Candidate {
    Unasked,
    /// It has no room now; how long until it has, if that is known.
    Busy(Option<Duration>),
    /// It takes no one at all.
    Unavailable,
}

/// The way of one request through its candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    candidates: Vec<Candidate>,
    /// The server that has granted the request.
    settled: Option<usize>,
}

impl Plan {
    /// For the servers that may take the request, in configured order.
    pub fn new<'a>(candidates: impl Iterator<Item = &'a Server>) -> Self {
        let mut candidates = candidates.peekable();
        let len_max = match candidates.peek().map(|first| first.overflow) {
            Some(Overflow::NextServer) => CANDIDATES_MAX,
            Some(Overflow::Wait) | None => 1,
        };
        Self {
            candidates: candidates
                .take(len_max)
                .map(|_| Candidate::Unasked)
                .collect(),
            settled: None,
        }
    }

    /// Whom to ask now; the same until an answer is reported. `None` = there is nobody left to ask.
    #[must_use]
    pub fn next(&self) -> Option<Step> {
        let queue = |index| Step {
            index,
            mode: Mode::Queue,
        };
        if let Some(index) = self.settled {
            return Some(queue(index));
        }
        let unasked = |candidate: &Candidate| *candidate == Candidate::Unasked;
        match self.candidates.iter().position(unasked) {
            // There is no choice to make, so nothing is learned by asking first.
            Some(index) if self.candidates.len() == 1 => Some(queue(index)),
            Some(index) => Some(Step {
                index,
                mode: Mode::OnlyIfFree,
            }),
            None => self.shortest_wait().map(queue),
        }
    }

    /// The candidate has no room now. `estimate` is how long the request would wait there.
    pub fn refused(&mut self, index: usize, estimate: Option<Duration>) {
        self.learn(index, Candidate::Busy(estimate));
    }

    /// The candidate takes no one: it is disabled, its queue is closed, or its limiter does not answer.
    pub fn unavailable(&mut self, index: usize) {
        self.learn(index, Candidate::Unavailable);
    }

    /// The candidate granted the request. Whatever becomes of the attempt, the request stays there: it has
    /// its place at the head, and a 429 elsewhere is no reason to try its luck at another provider.
    pub fn granted(&mut self, index: usize) {
        self.settled = Some(index);
    }

    /// What a refusal at `step` means: the next step, or `None` when it is the request's answer.
    pub fn after_refusal(&mut self, step: Step, refusal: &Refusal) -> Option<Step> {
        if self.settled.is_some() {
            return None;
        }
        match (refusal.reason, step.mode) {
            (
                RefusalReason::DeadlineUnreachable | RefusalReason::QueueTimeout,
                Mode::OnlyIfFree,
            ) => {
                // The limiter says exactly this where it has no estimate.
                let estimate =
                    Some(refusal.retry_after).filter(|span| *span != RETRY_AFTER_UNKNOWN);
                self.refused(step.index, estimate);
            }
            (RefusalReason::QueueFull | RefusalReason::Disabled | RefusalReason::Overloaded, _) => {
                self.unavailable(step.index);
            }
            _ => return None,
        }
        self.next()
    }

    fn learn(&mut self, index: usize, known: Candidate) {
        if let Some(candidate) = self.candidates.get_mut(index) {
            *candidate = known;
        }
    }

    /// Unknown estimates come last, and the configured order decides between equals.
    fn shortest_wait(&self) -> Option<usize> {
        let busy = |(index, candidate): (usize, &Candidate)| match candidate {
            Candidate::Busy(estimate) => Some((index, *estimate)),
            Candidate::Unasked | Candidate::Unavailable => None,
        };
        self.candidates
            .iter()
            .enumerate()
            .filter_map(busy)
            .max_by_key(|(index, estimate)| (estimate.map(Reverse), Reverse(*index)))
            .map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests;
