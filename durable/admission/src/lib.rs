//! 准入核心：一个后端服务器的限流器与先进先出队列（无 I/O、无时钟）。
//!
//! The sans-IO admission core of one backend server: a sliding window of requests and tokens, a
//! strict first-in-first-out queue, leases, and the typed protocol spoken with the object around it.
//!
//! Owns every decision about who may go upstream and when. Owns no clock, no timer, no randomness,
//! no storage and no network: time is an argument, effects are [`Event`]s.
//!
//! Invariant: measured at the upstream, no 60 s window holds more requests than the limit, and
//! nobody is granted before somebody who arrived earlier.

pub mod protocol;
pub mod time;

mod admission;
mod estimate;
mod lateness;
mod lease;
mod ledger;
mod limiter;
mod marks;
mod pace;
mod probe;
mod queue;
mod rank;
mod rows;
mod state;
mod window;

#[cfg(test)]
mod admission_test;
#[cfg(test)]
mod model_test;

pub use admission::{
    AHEAD_LEASE, Acquired, Admission, COMMIT_INTERVAL, Ended, Event, Progress, REENTRY_GRACE,
    SENT_BY,
};
pub use estimate::{EXPECTED_OUTPUT_TOKENS, MODELS_LEN_MAX, PROMPT_BYTES_PER_TOKEN, TOKENS_MAX};
pub use lease::PERMITS_MAX;
pub use ledger::{ALLOWANCE_PART, SEAL_AFTER};
pub use limiter::{PAUSE_MAX, RETRY_AFTER_UNKNOWN};
pub use pace::WritePace;
pub use probe::{FORGET, SILENCE};
pub use queue::QUEUE_LEN_MAX;
pub use state::{BucketRow, Changes, Commit, LeaseRow, ModelRow, State, StateRow, WaiterRow};
pub use time::Instant;
pub use window::{BUCKET, GUARD, SEND_DELAY_MAX, WINDOW};
