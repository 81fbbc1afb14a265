//! 限额：一个服务器的限制及其版本。
//!
//! [`Limits`]: what one server allows, with the version of its configuration row.
//!
//! Invariant: a missing limit means unlimited, `0` means paused; the two never mix on the wire.

use super::PROTOCOL_VERSION;
use super::line::{DecodeError, check_version, first_version, read, write};
use crate::time::millis;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Waiters a queue holds when nothing is configured (PRODUCT.md §2).
pub const QUEUE_MAX_DEFAULT: u64 = 100;

/// Longest wait in a queue when nothing is configured (PRODUCT.md §2).
pub const QUEUE_TIMEOUT_DEFAULT: Duration = Duration::from_mins(1);

/// How long a permit lives unsettled when nothing is configured: longer than any answer of a
/// provider that we know of takes, short enough that a dead Worker's slot returns the same hour.
pub const LEASE_DEFAULT: Duration = Duration::from_mins(15);

/// Who leaves when a request arrives at a full queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The oldest waiter is refused, the new request takes a place at the end.
    #[default]
    EvictOldest,
    /// The newest request is refused.
    RejectNewest,
}

impl OnFull {
    /// The name in JSON and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EvictOldest => "evict_oldest",
            Self::RejectNewest => "reject_newest",
        }
    }
}

/// What one server allows. `None` = unlimited, `Some(0)` = paused: requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Version of the server's configuration; a core adopts only a newer one.
    pub version: u64,
    /// False refuses every newcomer and every waiter.
    pub enabled: bool,
    /// Requests per sliding minute.
    pub rpm: Option<u64>,
    /// Tokens per sliding minute, prompt and output together.
    pub tpm: Option<u64>,
    /// Permits out at the same time.
    pub concurrency: Option<u64>,
    /// Waiters held; 0 = nobody waits. Bounded by [`QUEUE_LEN_MAX`](crate::QUEUE_LEN_MAX).
    pub queue_max: u64,
    /// Longest wait, counted from arrival.
    pub queue_timeout: Duration,
    /// Who leaves a full queue.
    pub on_full: OnFull,
    /// How long a permit lives unsettled.
    pub lease: Duration,
}

impl Default for Limits {
    /// Version 0, enabled, unlimited, with the product's queue defaults.
    fn default() -> Self {
        Self {
            version: 0,
            enabled: true,
            rpm: None,
            tpm: None,
            concurrency: None,
            queue_max: QUEUE_MAX_DEFAULT,
            queue_timeout: QUEUE_TIMEOUT_DEFAULT,
            on_full: OnFull::default(),
            lease: LEASE_DEFAULT,
        }
    }
}

/// The `limits` message.
#[derive(Serialize, Deserialize)]
struct LimitsLine {
    #[serde(default = "first_version")]
    v: u32,
    lv: u64,
    #[serde(default = "enabled")]
    le: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lr: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lc: Option<u64>,
    #[serde(default = "queue_max")]
    lq: u64,
    #[serde(default = "queue_timeout")]
    lw: u64,
    #[serde(default)]
    lf: OnFull,
    #[serde(default = "lease")]
    ll: u64,
}

impl Limits {
    /// The message as one line.
    #[must_use]
    pub fn encode(&self) -> String {
        write(&LimitsLine {
            v: PROTOCOL_VERSION,
            lv: self.version,
            le: self.enabled,
            lr: self.rpm,
            lt: self.tpm,
            lc: self.concurrency,
            lq: self.queue_max,
            lw: millis(self.queue_timeout),
            lf: self.on_full,
            ll: millis(self.lease),
        })
    }

    /// Reads a line. Only the version (`lv`) is required.
    pub fn decode(line: &str) -> Result<Self, DecodeError> {
        let wire: LimitsLine = read(line)?;
        check_version(wire.v)?;
        Ok(Self {
            version: wire.lv,
            enabled: wire.le,
            rpm: wire.lr,
            tpm: wire.lt,
            concurrency: wire.lc,
            queue_max: wire.lq,
            queue_timeout: Duration::from_millis(wire.lw),
            on_full: wire.lf,
            lease: Duration::from_millis(wire.ll),
        })
    }
}

fn enabled() -> bool {
    true
}

fn queue_max() -> u64 {
    QUEUE_MAX_DEFAULT
}

fn queue_timeout() -> u64 {
    millis(QUEUE_TIMEOUT_DEFAULT)
}

fn lease() -> u64 {
    millis(LEASE_DEFAULT)
}
