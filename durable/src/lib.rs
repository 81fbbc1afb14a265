//! 限流对象：一台后端服务器的唯一记账人。
//!
//! The Durable Object shell around [`admission::Admission`]. One object per server is the only
//! writer of that server's limits. The shell decodes a call, hands it to the core, delivers the
//! core's events to the parked calls and arms one timer; every decision is the core's.
//!
//! The object never fetches an upstream, never sees a body and keeps nothing of its own in statics:
//! an isolate may hold several objects, and a static outlives the reset of one.

mod abort;
mod clock;
mod d1;
mod journal;
mod log;
mod object;
mod pipe;
mod reentry;
mod shell;
mod storage;
mod timer;
mod wait;
mod waiters;

pub use abort::AbortListener;
pub use d1::prepare;
pub use log::{print, print_line};
pub use object::Limiter;
pub use pipe::Pipe;
pub use wait::{Wait, wait};

/// Response header of the object that carries the answer of a call.
pub const ANSWER_HEADER: &str = "x-answer";

/// What a call that was ended by an injected reset says.
pub const RESET: &str = "reset by fault injection";
