//! 试探：上游拒绝之后，摸清它真正允许多少。
//!
//! After a refusal by the upstream (429): finding out what it really allows, without asking twice.
//!
//! The limits may be wrong, be shared with others, or be enforced in another way than we count.
//! Whatever the upstream's rule is, a sliding window, a token bucket or a fixed window, these rules
//! find its rate and keep to it. All of them stand beside the window, which still binds.
//!
//! 1. **Pause.** No grants until the instant that the upstream named. What was refused goes back
//!    to its place.
//! 2. **Ceiling.** What the window holds of requests that were not refused is what the upstream
//!    took within one window: so many are safe again in every window. Each refusal can only lower
//!    it.
//! 3. **Lead.** After a pause one request goes alone, whatever the ceiling: the upstream said
//!    that there is room. Nobody follows until it is accepted.
//! 4. **Rounds.** After the first refusal it may all have been an accident. Beyond the ceiling go
//!    1, then 2, 4, 8 …, each round when the one before is accepted; after a round of
//!    [`ROUND_MAX`] everything is open again.
//! 5. **Pace.** A second refusal proves a rule. From then on, beyond the ceiling one request goes
//!    every `pace`: at first the time from the refused grant (at most [`SILENCE`] ago) to the end
//!    of its pause, a quarter longer at each further refusal, 1/32 shorter at each acceptance. So a token bucket, whose
//!    `Retry-After` is the time of one token, is followed token by token; a sliding window, whose
//!    `Retry-After` is near a window, is tested about once in a window; and an upstream that has
//!    recovered is open again after 32 paces, for 1/32 of each is a sum that converges.
//! 6. **Forgetting.** [`FORGET`] after the last refusal everything is open.
//!
//! A refusal of a request that was granted before the last refusal was heard of belongs to the
//! same storm: it lowers the ceiling and lengthens the pause, and proves nothing new.
//!
//! A probing request is accepted when the Worker says so, when it is settled with an answer, or
//! when nothing was heard for [`SILENCE`], because limiters refuse at once. One that never reached
//! the upstream is replaced.
//!
//! Invariant: at most one pending lead; what may go beyond the ceiling is bounded by the round or
//! the pace; and everything ends by itself, so nothing that is lost can block for ever.

use crate::protocol::TicketId;
use crate::time::{Instant, millis};
use core::time::Duration;
use std::collections::BTreeSet;

/// Silence that counts as acceptance. A limiter refuses before any work is done, within a round
/// trip; headers of an accepted request may take as long as the whole answer.
pub const SILENCE: Duration = Duration::from_secs(1);

/// How long a ceiling is believed after the last refusal.
pub const FORGET: Duration = Duration::from_mins(10);

/// A round of this many that is accepted ends the probing.
const ROUND_MAX: u64 = 64;

/// A pace below this is none: 6,000 requests a minute beyond the ceiling.
const PACE_MIN_MS: u64 = 10;

/// Slowest pace: tested twice before the ceiling is forgotten.
const PACE_MAX_MS: u64 = 300_000;

/// What a grant is to the probing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first one after a pause.
    Lead,
    /// One beyond the ceiling.
    Beyond,
}

/// Whether and how a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing is to be learnt from it.
    Open,
    /// As a probe.
    Probe(Kind),
    /// Not now.
    Shut,
}

/// The probing of one server.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    learnt: Option<Learnt>,
    /// Probes of which nothing was heard, by the instant of their grant.
    unheard: BTreeSet<(Instant, TicketId)>,
}

/// What is believed since the first refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Learnt {
    pub(crate) ceiling: u64,
    pub(crate) lead: Lead,
    /// Size of the current round; 0 = the second refusal is past, the pace counts.
    pub(crate) round: u64,
    /// How many of the round may still go.
    pub(crate) left: u64,
    pub(crate) pace_ms: u64,
    /// When the next one may go beyond the ceiling at that pace.
    pub(crate) pace_at: Instant,
    pub(crate) refused_at: Instant,
    pub(crate) forget_at: Instant,
}

/// Where the first request after a pause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead {
    /// It is the next to be granted.
    Due,
    /// It is out and unheard of.
    Out,
    /// It was accepted.
    Accepted,
}

/// A refusal, as the limiter knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    /// When the refused request was granted; `None` = nobody knows any more.
    pub(crate) granted_at: Option<Instant>,
    /// Requests in the window that were not refused.
    pub(crate) accepted: u64,
    /// The end of the pause.
    pub(crate) until: Instant,
    pub(crate) now: Instant,
}

impl Probe {
    /// Whether anything is believed that is stricter than the limits.
    pub(crate) const fn is_probing(&self) -> bool {
        self.learnt.is_some()
    }

    /// How a request may go at `at`, with `accepted` requests in the window not refused.
    pub(crate) fn way(&self, accepted: u64, at: Instant) -> Way {
        let Some(learnt) = self.learnt else {
            return Way::Open;
        };
        match learnt.lead {
            _ if learnt.forget_at <= at => Way::Open,
            Lead::Due => Way::Probe(Kind::Lead),
            Lead::Accepted if accepted < learnt.ceiling => Way::Open,
            Lead::Accepted if learnt.beyond_at(at).is_some_and(|beyond| beyond <= at) => {
                Way::Probe(Kind::Beyond)
            }
            Lead::Out | Lead::Accepted => Way::Shut,
        }
    }

    /// From when a request may go if nothing is heard; not before `start`. `room_at` is when the
    /// window holds fewer than the given number of requests not refused.
    pub(crate) fn opens_at(
        &self,
        start: Instant,
        room_at: impl FnOnce(u64) -> Option<Instant>,
    ) -> Instant {
        let Some(learnt) = self.learnt else {
            return start;
        };
        let opens = match learnt.lead {
            Lead::Due => start,
            Lead::Out => learnt.forget_at,
            Lead::Accepted => [room_at(learnt.ceiling), learnt.beyond_at(start)]
                .into_iter()
                .flatten()
                .fold(learnt.forget_at, Instant::min),
        };
        opens.min(learnt.forget_at).max(start)
    }

    /// About how many requests a window of `window_ms` takes; `None` = as many as the limits say.
    pub(crate) fn rate(&self, window_ms: u64) -> Option<u64> {
        let learnt = self.learnt.filter(|learnt| learnt.round == 0)?;
        let paced = window_ms.checked_div(learnt.pace_ms)?;
        Some(learnt.ceiling.saturating_add(paced))
    }

    /// A request was granted that way.
    pub(crate) fn granted(&mut self, kind: Kind, ticket: &TicketId, now: Instant) {
        let Some(learnt) = &mut self.learnt else {
            return;
        };
        match kind {
            Kind::Lead => learnt.lead = Lead::Out,
            Kind::Beyond => learnt.left = learnt.left.saturating_sub(1),
        }
        learnt.pace_at = now.saturating_add(Duration::from_millis(learnt.pace_ms));
        self.unheard.insert((now, ticket.clone()));
    }

    /// The upstream took a probe on. False if nothing was waited for.
    pub(crate) fn accepted(&mut self, kind: Kind, granted_at: Instant, ticket: &TicketId) -> bool {
        let heard = self.unheard.remove(&(granted_at, ticket.clone()));
        let unheard = self.unheard.len();
        let Some(learnt) = self.learnt.as_mut().filter(|_| heard) else {
            return heard;
        };
        match kind {
            Kind::Lead => {
                learnt.lead = Lead::Accepted;
                learnt.left = learnt.round;
            }
            Kind::Beyond if learnt.round == 0 => {
                let less = learnt.pace_ms.checked_div(32).unwrap_or(0).max(1);
                learnt.pace_ms = learnt.pace_ms.saturating_sub(less);
            }
            Kind::Beyond if learnt.left == 0 && unheard == 0 => {
                learnt.round = learnt.round.saturating_mul(2);
                learnt.left = learnt.round;
            }
            Kind::Beyond => {}
        }
        let paced = learnt.round == 0;
        if learnt.round > ROUND_MAX || (paced && learnt.pace_ms < PACE_MIN_MS) {
            self.open();
        }
        true
    }

    /// A probe never reached the upstream: another takes its place.
    pub(crate) fn lost(&mut self, kind: Kind, granted_at: Instant, ticket: &TicketId) {
        let waited = self.unheard.remove(&(granted_at, ticket.clone()));
        let Some(learnt) = self.learnt.as_mut().filter(|_| waited) else {
            return;
        };
        match kind {
            Kind::Lead => learnt.lead = Lead::Due,
            Kind::Beyond if learnt.round > 0 => learnt.left = learnt.left.saturating_add(1),
            Kind::Beyond => {}
        }
    }

    /// The upstream refused a request.
    pub(crate) fn refused(&mut self, refused: &Refused) {
        let Refused {
            granted_at,
            accepted,
            until,
            now,
        } = *refused;
        self.unheard.clear();
        let accepted = accepted.max(1);
        let learnt = self.learnt.get_or_insert(Learnt {
            ceiling: accepted,
            lead: Lead::Due,
            round: 1,
            left: 0,
            pace_ms: 0,
            pace_at: now,
            // Whatever was granted by now belongs to this storm.
            refused_at: now,
            forget_at: now,
        });
        learnt.ceiling = learnt.ceiling.min(accepted);
        learnt.lead = Lead::Due;
        learnt.left = 0;
        learnt.forget_at = learnt.forget_at.max(until.max(now).saturating_add(FORGET));
        let heard_before = std::mem::replace(&mut learnt.refused_at, now);
        if let Some(granted_at) = granted_at
            && granted_at > heard_before
        {
            learnt.pace_ms = if learnt.round > 0 {
                let asked = now.saturating_since(granted_at).min(SILENCE);
                millis(until.saturating_since(now).saturating_add(asked))
            } else {
                let more = learnt.pace_ms.checked_div(4).unwrap_or(0);
                learnt.pace_ms.saturating_add(more)
            }
            .clamp(PACE_MIN_MS, PACE_MAX_MS);
            learnt.round = 0;
        }
    }

    /// Opens everything when it is old enough. True if that changed anything.
    pub(crate) fn forget(&mut self, at: Instant) -> bool {
        let old = self.learnt.is_some_and(|learnt| learnt.forget_at <= at);
        if old {
            self.open();
        }
        old
    }

    /// The probe that has been silent for long enough at `at`.
    pub(crate) fn silent(&self, at: Instant) -> Option<&TicketId> {
        let (granted_at, ticket) = self.unheard.first()?;
        (granted_at.saturating_add(SILENCE) <= at).then_some(ticket)
    }

    /// When the next probe has been silent for long enough.
    pub(crate) fn next_silence(&self) -> Option<Instant> {
        let (granted_at, _) = self.unheard.first()?;
        Some(granted_at.saturating_add(SILENCE))
    }

    /// Forgets a probe that nobody can answer for any more.
    pub(crate) fn drop_first_unheard(&mut self) {
        self.unheard.pop_first();
    }

    /// What is believed, to be stored.
    pub(crate) const fn learnt(&self) -> Option<Learnt> {
        self.learnt
    }

    /// Takes back what was believed.
    pub(crate) fn restore(&mut self, learnt: Learnt) {
        self.learnt = Some(Learnt {
            ceiling: learnt.ceiling.max(1),
            round: learnt.round.min(ROUND_MAX),
            left: learnt.left.min(learnt.round).min(ROUND_MAX),
            pace_ms: learnt.pace_ms.min(PACE_MAX_MS),
            ..learnt
        });
    }

    /// Takes back a probe that was out.
    pub(crate) fn restore_unheard(&mut self, granted_at: Instant, ticket: &TicketId) {
        let since = self.learnt.map(|learnt| learnt.refused_at);
        if since.is_some_and(|since| granted_at > since) {
            self.unheard.insert((granted_at, ticket.clone()));
        }
    }

    /// After a restart: a lead that nobody remembers is out for ever, so another takes its place.
    pub(crate) fn lead_again(&mut self) {
        if let Some(learnt) = &mut self.learnt
            && learnt.lead == Lead::Out
            && self.unheard.is_empty()
        {
            learnt.lead = Lead::Due;
        }
    }

    fn open(&mut self) {
        self.learnt = None;
        self.unheard.clear();
    }
}

impl Learnt {
    /// From when one may go beyond the ceiling; `None` = when the round is accepted.
    fn beyond_at(&self, start: Instant) -> Option<Instant> {
        match self.round {
            0 => Some(self.pace_at),
            _ => (self.left > 0).then_some(start),
        }
    }
}
