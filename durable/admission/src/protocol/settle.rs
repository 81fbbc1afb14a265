//! 结算、接受与取消：许可用完、上游已接受，或不再等待。
//!
//! [`Settle`] ends a permit with what was really used; [`Accepted`] says that the upstream took the
//! request on; [`Cancel`] ends a wait.
//!
//! Invariant: all are safe to repeat.

use super::acquire::{NOTE_LEN_MAX, note_within_bound};
use super::line::{DecodeError, check_version, first_version, read, within, write};
use super::{PROTOCOL_VERSION, TicketId};
use crate::time::millis;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// What became of a permit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettleOutcome {
    /// The upstream answered to the end.
    #[default]
    Completed,
    /// The upstream failed after the request may have reached it.
    UpstreamFailed,
    /// The client went away during the answer.
    ClientGone,
    /// Nothing reached the upstream: request and tokens are refunded.
    NotSent,
    /// The upstream refused it (429) and it is not tried again: the request stays charged, its
    /// tokens are given back, the server pauses.
    UpstreamRefused,
}

/// Most settlements of one message: 20 ms of 3,200 requests a second.
pub const SETTLES_LEN_MAX: usize = 64;

/// Ends a permit: its slot is free, its reservation becomes the actual usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The permit's ticket.
    pub ticket: TicketId,
    /// Tokens really used, prompt and output together; `None` = unknown, the reservation stays.
    pub tokens: Option<u64>,
    /// Prompt tokens among them, cached ones included; teaches the estimate of later requests.
    pub prompt_tokens: Option<u64>,
    /// Output tokens among them; teaches the estimate of later requests.
    pub completion_tokens: Option<u64>,
    /// Bytes of the request body, where the permit was granted ahead and could not know them.
    pub prompt_bytes: Option<u64>,
    /// For how long the upstream that refused it does not want to be asked again.
    pub pause: Option<Duration>,
    /// What became of it.
    pub outcome: SettleOutcome,
    /// What the shell is to note of it, beside [`Acquire::note`](super::Acquire::note). Not read here.
    pub note: String,
}

/// The upstream has answered a probing request with anything but a 429; it is still in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The permit's ticket.
    pub ticket: TicketId,
}

/// The request of a permit goes upstream only now, longer after its grant than the window's guard
/// allows for (see [`SEND_DELAY_MAX`](crate::SEND_DELAY_MAX)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentLate {
    /// The permit's ticket.
    pub ticket: TicketId,
}

/// A waiter's client went away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The waiter's ticket.
    pub ticket: TicketId,
}

#[derive(Serialize, Deserialize)]
struct SettleLine {
    #[serde(default = "first_version")]
    v: u32,
    t: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    z: Option<u64>,
    #[serde(default)]
    o: SettleOutcome,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    j: String,
}

/// [`Accepted`], [`SentLate`] and [`Cancel`] name a ticket and say nothing else.
#[derive(Serialize, Deserialize)]
struct TicketLine {
    #[serde(default = "first_version")]
    v: u32,
    t: String,
}

impl TicketLine {
    fn encode(ticket: &TicketId) -> String {
        write(&Self {
            v: PROTOCOL_VERSION,
            t: ticket.as_str().to_owned(),
        })
    }

    fn decode(line: &str) -> Result<TicketId, DecodeError> {
        let wire: Self = read(line)?;
        check_version(wire.v)?;
        Ok(wire.t.try_into()?)
    }
}

impl Settle {
    /// A permit that ended with unknown usage.
    #[must_use]
    pub const fn new(ticket: TicketId, outcome: SettleOutcome) -> Self {
        Self {
            ticket,
            tokens: None,
            prompt_tokens: None,
            completion_tokens: None,
            prompt_bytes: None,
            pause: None,
            outcome,
            note: String::new(),
        }
    }

    /// The message as one line.
    #[must_use]
    pub fn encode(&self) -> String {
        write(&SettleLine {
            v: PROTOCOL_VERSION,
            t: self.ticket.as_str().to_owned(),
            k: self.tokens,
            p: self.prompt_tokens,
            c: self.completion_tokens,
            b: self.prompt_bytes,
            z: self.pause.map(millis),
            o: self.outcome,
            j: note_within_bound(&self.note),
        })
    }

    /// Reads a line. Only the ticket (`t`) is required; without an outcome it is `Completed`.
    pub fn decode(line: &str) -> Result<Self, DecodeError> {
        let wire: SettleLine = read(line)?;
        check_version(wire.v)?;
        within("note", &wire.j, NOTE_LEN_MAX)?;
        Ok(Self {
            ticket: wire.t.try_into()?,
            tokens: wire.k,
            prompt_tokens: wire.p,
            completion_tokens: wire.c,
            prompt_bytes: wire.b,
            pause: wire.z.map(Duration::from_millis),
            outcome: wire.o,
            note: wire.j,
        })
    }
}

/// Reading and writing of the messages that name a ticket and say nothing else.
macro_rules! name_a_ticket {
    ($($message:ident),+) => {$(
        impl $message {
            /// The message as one line.
            #[must_use]
            pub fn encode(&self) -> String {
                TicketLine::encode(&self.ticket)
            }

            /// Reads a line. The ticket (`t`) is required.
            pub fn decode(line: &str) -> Result<Self, DecodeError> {
                let ticket = TicketLine::decode(line)?;
                Ok(Self { ticket })
            }
        }
    )+};
}

name_a_ticket!(Accepted, SentLate, Cancel);
