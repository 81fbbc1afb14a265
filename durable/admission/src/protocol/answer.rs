//! 答复：许可或拒绝，以及准入的事实。
//!
//! [`AcquireAnswer`]: a permit or a refusal, with the facts that become response headers.
//!
//! Invariant: a [`Permit`] comes only from the core's grant or from an answer that carries one.

use super::line::{DecodeError, check_version, first_version, read, write};
use super::{PROTOCOL_VERSION, TicketId};
use crate::time::{Instant, millis};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The answer to an [`Acquire`](super::Acquire).
#[derive(Debug, PartialEq, Eq)]
pub enum AcquireAnswer {
    /// It may go upstream.
    Granted(Grant),
    /// It may not.
    Refused(Refusal),
}

/// A permit and what is known about how it came about.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    /// The right to send one request upstream.
    pub permit: Permit,
    /// Queue and window as of the grant.
    pub admission: AdmissionFacts,
    /// The limiter waits to hear what the upstream says to it: report
    /// [`Accepted`](super::Accepted) as soon as its headers are no 429.
    pub probe: bool,
}

/// A refusal and when to come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// Estimated wait of the same request, were it made now.
    pub retry_after: Duration,
    /// Queue and window as of the refusal.
    pub admission: AdmissionFacts,
}

/// Why a request may not go upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// It waited its whole queue timeout.
    QueueTimeout,
    /// It was the oldest of an overfull queue.
    QueueEvicted,
    /// It was the newest of an overfull queue, or nobody may wait.
    QueueFull,
    /// It would wait longer than its client accepts.
    DeadlineUnreachable,
    /// The server is switched off.
    Disabled,
    /// Its client went away.
    Cancelled,
    /// The object itself is overloaded; said by the shell, never by the core.
    Overloaded,
}

impl RefusalReason {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueTimeout => "queue_timeout",
            Self::QueueEvicted => "queue_evicted",
            Self::QueueFull => "queue_full",
            Self::DeadlineUnreachable => "deadline_unreachable",
            Self::Disabled => "disabled",
            Self::Cancelled => "cancelled",
            Self::Overloaded => "overloaded",
        }
    }
}

/// Queue and window as one request saw them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmissionFacts {
    /// Place in the queue at entry, counted from 1; 0 = straight through.
    pub position: u64,
    /// Time from arrival to this answer.
    pub wait: Duration,
    /// The request limit; `None` = unlimited.
    pub requests: Option<Budget>,
    /// The token limit; `None` = unlimited.
    pub tokens: Option<Budget>,
    /// Newest configuration version that the object has seen.
    pub config_version: u64,
}

/// One limit and what is left of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// The limit per sliding minute.
    pub limit: u64,
    /// What the window still admits.
    pub remaining: u64,
    /// Time until the window is free of everything it holds now.
    pub reset: Duration,
}

/// The right to send one request upstream. Not `Clone`: one permit, one request.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    ticket: TicketId,
    reserved_tokens: u64,
    granted_at: Instant,
}

impl Permit {
    pub(crate) const fn new(ticket: TicketId, reserved_tokens: u64, granted_at: Instant) -> Self {
        Self {
            ticket,
            reserved_tokens,
            granted_at,
        }
    }

    /// The request that it belongs to; needed to settle.
    #[must_use]
    pub const fn ticket(&self) -> &TicketId {
        &self.ticket
    }

    /// Tokens set aside until it is settled.
    #[must_use]
    pub const fn reserved_tokens(&self) -> u64 {
        self.reserved_tokens
    }

    /// When it was granted, by the object's clock.
    #[must_use]
    pub const fn granted_at(&self) -> Instant {
        self.granted_at
    }
}

#[derive(Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "g")]
    Granted,
    #[serde(rename = "r")]
    Refused,
}

#[derive(Serialize, Deserialize)]
struct AnswerLine {
    #[serde(default = "first_version")]
    v: u32,
    s: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    t: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    g: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    b: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<RefusalReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<u64>,
    #[serde(default)]
    p: u64,
    #[serde(default)]
    w: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rr: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tr: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<u64>,
    #[serde(default)]
    c: u64,
    /// Permits granted ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<u64>,
}

impl AcquireAnswer {
    /// The message as one line.
    #[must_use]
    pub fn encode(&self) -> String {
        write(&match self {
            Self::Granted(grant) => AnswerLine {
                t: Some(grant.permit.ticket.as_str().to_owned()),
                k: Some(grant.permit.reserved_tokens),
                g: Some(grant.permit.granted_at.as_millis()),
                b: grant.probe,
                ..AnswerLine::new(Kind::Granted, &grant.admission)
            },
            Self::Refused(refusal) => AnswerLine {
                x: Some(refusal.reason),
                y: Some(millis(refusal.retry_after)),
                ..AnswerLine::new(Kind::Refused, &refusal.admission)
            },
        })
    }

    /// Reads a line. Required are the kind (`s`), and the ticket (`t`) and grant instant (`g`) of
    /// a grant, or the reason (`x`) of a refusal.
    pub fn decode(line: &str) -> Result<Self, DecodeError> {
        Self::of(read(line)?)
    }

    fn of(wire: AnswerLine) -> Result<Self, DecodeError> {
        check_version(wire.v)?;
        let missing = |field: &str| DecodeError::Malformed(format!("missing field `{field}`"));
        let admission = wire.facts();
        Ok(match wire.s {
            Kind::Granted => Self::Granted(Grant {
                permit: Permit {
                    ticket: wire.t.ok_or_else(|| missing("t"))?.try_into()?,
                    reserved_tokens: wire.k.unwrap_or(0),
                    granted_at: Instant::from_millis(wire.g.ok_or_else(|| missing("g"))?),
                },
                admission,
                probe: wire.b,
            }),
            Kind::Refused => Self::Refused(Refusal {
                reason: wire.x.ok_or_else(|| missing("x"))?,
                retry_after: Duration::from_millis(wire.y.unwrap_or(0)),
                admission,
            }),
        })
    }
}

/// So many permits granted ahead, as a grant that belongs to nobody.
pub(super) fn block_line(
    count: u64,
    reserved_tokens: u64,
    granted_at: Instant,
    facts: &AdmissionFacts,
) -> String {
    write(&AnswerLine {
        t: Some(String::from("-")),
        k: Some(reserved_tokens),
        g: Some(granted_at.as_millis()),
        a: Some(count),
        ..AnswerLine::new(Kind::Granted, facts)
    })
}

/// How many permits a line grants ahead, and the grant that they were granted with. `None` if it speaks of none.
pub(super) fn read_block(line: &str) -> Result<Option<(u64, AcquireAnswer)>, DecodeError> {
    #[derive(Deserialize)]
    struct CountLine {
        a: Option<u64>,
    }
    let Some(count) = read::<CountLine>(line)?.a else {
        return Ok(None);
    };
    Ok(Some((count, AcquireAnswer::of(read(line)?)?)))
}

impl AnswerLine {
    fn new(kind: Kind, facts: &AdmissionFacts) -> Self {
        Self {
            v: PROTOCOL_VERSION,
            s: kind,
            t: None,
            k: None,
            g: None,
            b: false,
            x: None,
            y: None,
            p: facts.position,
            w: millis(facts.wait),
            rl: facts.requests.map(|budget| budget.limit),
            rr: facts.requests.map(|budget| budget.remaining),
            rs: facts.requests.map(|budget| millis(budget.reset)),
            tl: facts.tokens.map(|budget| budget.limit),
            tr: facts.tokens.map(|budget| budget.remaining),
            ts: facts.tokens.map(|budget| millis(budget.reset)),
            c: facts.config_version,
            a: None,
        }
    }

    fn facts(&self) -> AdmissionFacts {
        AdmissionFacts {
            position: self.p,
            wait: Duration::from_millis(self.w),
            requests: budget(self.rl, self.rr, self.rs),
            tokens: budget(self.tl, self.tr, self.ts),
            config_version: self.c,
        }
    }
}

fn budget(limit: Option<u64>, remaining: Option<u64>, reset_ms: Option<u64>) -> Option<Budget> {
    limit.map(|limit| Budget {
        limit,
        remaining: remaining.unwrap_or(0),
        reset: Duration::from_millis(reset_ms.unwrap_or(0)),
    })
}
