//! 预授：一次要来的几张许可，给同类的后续请求用。
//!
//! [`Ask`]: a Worker with dense traffic asks for a few permits ahead of the requests that will use them.
//! [`Block`]: what it got. [`Batch`]: what else an isolate has to say of such permits, with its settlements.
//!
//! Owns how the permits of a block are named: [`Ask::ticket`]. Decides neither how many there are nor for how
//! long they may be used.
//!
//! Invariant: each permit of a block is taken out of it once.

use super::acquire::note_within_bound;
use super::answer::{AcquireAnswer, AdmissionFacts, Budget, Grant, Permit, block_line, read_block};
use super::line::{DecodeError, LINE_LEN_MAX, bounded, read, within, write as write_line};
use super::settle::{SETTLES_LEN_MAX, Settle};
use super::{Limits, MODEL_LEN_MAX, NOTE_LEN_MAX, TicketError, TicketId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Most permits of one block.
pub const AHEAD_LEN_MAX: u64 = 256;

/// Most words of one batch about permits ahead: those that left late, those in use that are as old as to be
/// reported, and runs of unused ones.
pub const WORDS_LEN_MAX: usize = 256;

/// Digits of a permit's number at the end of its ticket.
const NUMBER_LEN: usize = 4;

/// What the permits of one block have in common at the beginning of their tickets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockId(String);

/// Asks for permits ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Names them; the same when the call is repeated.
    pub block: BlockId,
    /// How many at most.
    pub count: u64,
    /// [`Acquire::note`](super::Acquire::note) of each.
    pub note: String,
    /// The model that they are for.
    pub model: String,
    /// Bytes of the largest request body that one is for.
    pub prompt_bytes: u64,
    /// Most output tokens that one is for; `None` = any number.
    pub output_tokens_max: Option<u64>,
    /// The server's limits as the Worker has them.
    pub limits: Limits,
}

/// Permits granted ahead. Not `Clone`: one permit, one request.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    id: BlockId,
    count: u64,
    taken: u64,
    reserved_tokens: u64,
    granted_at: Instant,
    facts: AdmissionFacts,
}

/// Unused permits of a block, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// Whose.
    pub block: BlockId,
    /// Number of the first.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// What an isolate tells a server's object at once, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Permits with which requests have left late.
    pub late: Vec<TicketId>,
    /// Permits that are over.
    pub settles: Vec<Settle>,
    /// Permits ahead that requests are using.
    pub uses: Vec<TicketId>,
    /// Permits ahead that no request will use.
    pub unused: Vec<Unused>,
}

/// The fields that stand beside those of an [`Acquire`](super::Acquire), so that one line can say both.
#[derive(Serialize, Deserialize)]
struct AheadLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default)]
    y: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    q: String,
}

/// What an ask says that an [`Acquire`](super::Acquire) says as well.
#[derive(Serialize, Deserialize)]
struct DemandLine {
    #[serde(default)]
    m: String,
    #[serde(default)]
    b: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    o: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct UnusedLine {
    b: String,
    #[serde(default)]
    f: u64,
    n: u64,
}

impl TryFrom<String> for BlockId {
    type Error = TicketError;

    fn try_from(text: String) -> Result<Self, TicketError> {
        // Its tickets must be tickets.
        TicketId::try_from(format!("{text}{:04x}", 0))?;
        Ok(Self(text))
    }
}

impl BlockId {
    /// A new one, of which two bytes are not needed. Its tickets look like generated request ids: that is what
    /// they are.
    #[must_use]
    pub fn generated(random: [u8; 16]) -> Self {
        let mut text = String::from("req_");
        for byte in random.iter().take(14) {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The ticket of the permit of this number, less than [`AHEAD_LEN_MAX`]. `None` beyond that.
    #[must_use]
    pub fn ticket(&self, number: u64) -> Option<TicketId> {
        let text = (number < AHEAD_LEN_MAX).then(|| format!("{}{number:04x}", self.0));
        TicketId::try_from(text?).ok()
    }

    /// Whether a permit of this ticket is of this block, and which.
    #[must_use]
    pub fn number(&self, ticket: &TicketId) -> Option<u64> {
        let digits = ticket.as_str().strip_prefix(self.0.as_str())?;
        let is_number = digits.len() == NUMBER_LEN;
        let number = is_number.then(|| u64::from_str_radix(digits, 16).ok());
        number.flatten().filter(|number| *number < AHEAD_LEN_MAX)
    }
}

impl Ask {
    /// As a message of its own.
    #[must_use]
    pub fn encode(&self) -> String {
        let demand = write_line(&DemandLine {
            m: bounded(&self.model, MODEL_LEN_MAX).to_owned(),
            b: self.prompt_bytes,
            o: self.output_tokens_max,
        });
        format!("{demand}{}&{}", self.encode_beside(), self.limits.encode())
    }

    /// To be appended to an [`Acquire`](super::Acquire) of a request of the same kind and size.
    #[must_use]
    pub fn encode_beside(&self) -> String {
        let line = write_line(&AheadLine {
            x: Some(self.block.0.clone()),
            y: self.count,
            q: note_within_bound(&self.note),
        });
        format!("&{line}")
    }

    /// Reads a line, or what was appended to one. `None` if it asks for nothing.
    pub fn decode(line: &str) -> Result<Option<Self>, DecodeError> {
        let ahead: AheadLine = read(line)?;
        let Some(block) = ahead.x else {
            return Ok(None);
        };
        let limits = Limits::decode(line)?;
        let demand: DemandLine = read(line)?;
        within("model", &demand.m, MODEL_LEN_MAX)?;
        within("note", &ahead.q, NOTE_LEN_MAX)?;
        Ok(Some(Self {
            block: block.try_into()?,
            count: ahead.y.min(AHEAD_LEN_MAX),
            note: ahead.q,
            model: demand.m,
            prompt_bytes: demand.b,
            output_tokens_max: demand.o,
            limits,
        }))
    }
}

impl Block {
    pub(crate) const fn new(
        id: BlockId,
        count: u64,
        reserved_tokens: u64,
        granted_at: Instant,
        facts: AdmissionFacts,
    ) -> Self {
        Self {
            id,
            count,
            taken: 0,
            reserved_tokens,
            granted_at,
            facts,
        }
    }

    /// Which block it is.
    #[must_use]
    pub const fn id(&self) -> &BlockId {
        &self.id
    }

    /// How many permits were granted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many are left.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.count.saturating_sub(self.taken)
    }

    /// Takes the next permit out. What it is told of the limits is what the object said of them, less
    /// what was taken out so far.
    pub fn take(&mut self) -> Option<Grant> {
        let number = Some(self.taken).filter(|number| *number < self.count)?;
        let ticket = self.id.ticket(number)?;
        self.taken = number.saturating_add(1);
        let less = |budget: Budget, each: u64| Budget {
            remaining: budget
                .remaining
                .saturating_sub(each.saturating_mul(self.taken)),
            ..budget
        };
        let facts = &self.facts;
        Some(Grant {
            permit: Permit::new(ticket, self.reserved_tokens, self.granted_at),
            admission: AdmissionFacts {
                requests: facts.requests.map(|budget| less(budget, 1)),
                tokens: facts
                    .tokens
                    .map(|budget| less(budget, self.reserved_tokens)),
                ..facts.clone()
            },
            probe: false,
        })
    }

    /// What was not taken out, which ends the block.
    #[must_use]
    pub fn into_unused(self) -> Option<Unused> {
        let count = self.left();
        (count > 0).then_some(Unused {
            block: self.id,
            first: self.taken,
            count,
        })
    }

    /// As a message of its own.
    #[must_use]
    pub fn encode(&self) -> String {
        block_line(
            self.count,
            self.reserved_tokens,
            self.granted_at,
            &self.facts,
        )
    }

    /// To be appended to the answer to an [`Acquire`](super::Acquire) that was granted at the same time with
    /// the same reservation.
    #[must_use]
    pub fn encode_beside(&self) -> String {
        format!("&a={}", self.count)
    }

    /// Reads the answer to a question for the block `id`. `None` if there is none.
    pub fn decode(line: &str, id: BlockId) -> Result<Option<Self>, DecodeError> {
        let Some((count, AcquireAnswer::Granted(grant))) = read_block(line)? else {
            return Ok(None);
        };
        Ok((count > 0).then(|| {
            Self::new(
                id,
                count.min(AHEAD_LEN_MAX),
                grant.permit.reserved_tokens(),
                grant.permit.granted_at(),
                grant.admission,
            )
        }))
    }
}

impl Unused {
    /// Their tickets.
    pub fn tickets(&self) -> impl Iterator<Item = TicketId> + '_ {
        let end = self.first.saturating_add(self.count).min(AHEAD_LEN_MAX);
        (self.first..end).filter_map(|number| self.block.ticket(number))
    }
}

impl Batch {
    /// Whether there is nothing to tell.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.settles.is_empty() && self.words() == 0
    }

    const fn words(&self) -> usize {
        let told = self.late.len().saturating_add(self.uses.len());
        told.saturating_add(self.unused.len())
    }

    /// The message: a line for each.
    #[must_use]
    pub fn encode(&self) -> String {
        let late = self.late.iter().map(|ticket| format!("l={ticket}"));
        let settles = self.settles.iter().map(Settle::encode);
        let uses = self.uses.iter().map(|ticket| format!("u={ticket}"));
        let unused = self.unused.iter().map(|unused| {
            write_line(&UnusedLine {
                b: unused.block.0.clone(),
                f: unused.first,
                n: unused.count,
            })
        });
        let lines: Vec<String> = late.chain(settles).chain(uses).chain(unused).collect();
        lines.join("\n")
    }

    /// Reads a message of at most [`SETTLES_LEN_MAX`] settlements and [`WORDS_LEN_MAX`] others. A line that
    /// cannot be read refuses all of them.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        let bytes_max = SETTLES_LEN_MAX
            .saturating_add(WORDS_LEN_MAX)
            .saturating_mul(LINE_LEN_MAX);
        within("batch", text, bytes_max)?;
        let mut batch = Self::default();
        for line in text.split('\n').filter(|line| !line.is_empty()) {
            if let Some(ticket) = line.strip_prefix("l=") {
                batch.late.push(ticket.try_into()?);
            } else if let Some(ticket) = line.strip_prefix("u=") {
                batch.uses.push(ticket.try_into()?);
            } else if line.starts_with("b=") {
                let unused: UnusedLine = read(line)?;
                batch.unused.push(Unused {
                    block: unused.b.try_into()?,
                    first: unused.f,
                    count: unused.n,
                });
            } else {
                batch.settles.push(Settle::decode(line)?);
            }
            if batch.settles.len() > SETTLES_LEN_MAX || batch.words() > WORDS_LEN_MAX {
                let reason = String::from("more lines than a batch may have");
                return Err(DecodeError::Malformed(reason));
            }
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests;
