//! 结算与取消：许可用完，或不再等待。
//!
//! [`Settle`] ends a permit with what was really used; [`Cancel`] ends a wait.
//!
//! Invariant: both are safe to repeat.

use super::line::{DecodeError, check_version, first_version, read, write};
use super::{PROTOCOL_VERSION, TicketId};
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
}

/// Ends a permit: its slot is free, its reservation becomes the actual usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The permit's ticket.
    pub ticket: TicketId,
    /// Tokens really used, prompt and output together; `None` = unknown, the reservation stays.
    pub tokens: Option<u64>,
    /// What became of it.
    pub outcome: SettleOutcome,
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
    #[serde(default)]
    o: SettleOutcome,
}

#[derive(Serialize, Deserialize)]
struct CancelLine {
    #[serde(default = "first_version")]
    v: u32,
    t: String,
}

impl Settle {
    /// The message as one line.
    #[must_use]
    pub fn encode(&self) -> String {
        write(&SettleLine {
            v: PROTOCOL_VERSION,
            t: self.ticket.as_str().to_owned(),
            k: self.tokens,
            o: self.outcome,
        })
    }

    /// Reads a line. Only the ticket (`t`) is required; without an outcome it is `Completed`.
    pub fn decode(line: &str) -> Result<Self, DecodeError> {
        let wire: SettleLine = read(line)?;
        check_version(wire.v)?;
        Ok(Self {
            ticket: wire.t.try_into()?,
            tokens: wire.k,
            outcome: wire.o,
        })
    }
}

impl Cancel {
    /// The message as one line.
    #[must_use]
    pub fn encode(&self) -> String {
        write(&CancelLine {
            v: PROTOCOL_VERSION,
            t: self.ticket.as_str().to_owned(),
        })
    }

    /// Reads a line. The ticket (`t`) is required.
    pub fn decode(line: &str) -> Result<Self, DecodeError> {
        let wire: CancelLine = read(line)?;
        check_version(wire.v)?;
        Ok(Self {
            ticket: wire.t.try_into()?,
        })
    }
}
