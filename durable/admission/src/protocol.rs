//! 协议：Worker 与限流对象之间的消息，每条是一行 urlencoded 文本。
//!
//! The messages between a Worker and the limiter object. Each is one flat urlencoded line, so that
//! a call fits in a URL and an answer in one header, and each knows how to `encode` and `decode`.
//!
//! Owns the types, their bounds and their form on the wire. Decides nothing.
//!
//! Compatibility: a Worker and the object are deployed at slightly different moments. Unknown
//! fields are ignored and missing ones take a default where one is sensible, so adding a field
//! keeps [`PROTOCOL_VERSION`]. A change that an older reader would misunderstand raises it, and
//! a reader refuses a version that it does not know.
//!
//! Invariant: `decode` never panics, never accepts what is longer than its bound, and
//! `decode(encode(message))` is the message.

mod acquire;
mod ahead;
mod answer;
mod limits;
mod line;
mod live;
mod progress;
mod settle;
mod ticket;

pub use acquire::{APP_LEN_MAX, Acquire, KEY_ID_LEN_MAX, MODEL_LEN_MAX, NOTE_LEN_MAX};
pub use ahead::{AHEAD_LEN_MAX, Ask, Batch, Block, BlockId, Unused, WORDS_LEN_MAX};
pub use answer::{AcquireAnswer, AdmissionFacts, Budget, Grant, Permit, Refusal, RefusalReason};
pub use limits::{LEASE_DEFAULT, Limits, OnFull, QUEUE_MAX_DEFAULT, QUEUE_TIMEOUT_DEFAULT};
pub use line::{DecodeError, LINE_LEN_MAX, PROTOCOL_VERSION, bounded};
pub use live::Live;
pub use settle::{Accepted, Cancel, SETTLES_LEN_MAX, SentLate, Settle, SettleOutcome};
pub use ticket::{TICKET_LEN_MAX, TicketError, TicketId};

#[cfg(test)]
mod tests;
