//! 实时状态：一个服务器此刻的队列与用量。
//!
//! [`Live`]: what an operator sees of one server at this moment.
//!
//! Invariant: a picture only; nothing is decided from it.

use super::PROTOCOL_VERSION;
use super::line::{DecodeError, check_version, first_version, read, write};
use crate::time::{Instant, millis};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// One server's queue and window at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Requests waiting.
    pub queue_length: u64,
    /// How long the oldest of them has waited; zero when nobody waits.
    pub queue_oldest_wait: Duration,
    /// Permits granted and not settled.
    pub in_flight: u64,
    /// Requests the window holds.
    pub rpm_used: u64,
    /// `None` = unlimited.
    pub rpm_limit: Option<u64>,
    /// Tokens the window holds; above the limit while there is debt.
    pub tpm_used: u64,
    /// `None` = unlimited.
    pub tpm_limit: Option<u64>,
    /// `None` = unlimited.
    pub max_concurrency: Option<u64>,
    /// When the first waiter will fit; `None` = nobody waits, or only a settle or a change of
    /// limits can tell.
    pub next_grant_in: Option<Duration>,
    /// No grants before this instant, if it lies ahead.
    pub paused_until: Option<Instant>,
    /// Newest configuration version that the object has seen.
    pub config_version: u64,
    /// The server is found out after a refusal by the upstream: grants are few until it accepts.
    pub probing: bool,
    /// Models whose usage has been learnt.
    pub estimates: u64,
    /// How much later than the exact instant the waiters were granted, 99th percentile of the
    /// last 1,000 grants from the queue.
    pub wake_late_ms_p99: u64,
    /// The greatest of them.
    pub wake_late_ms_max: u64,
    /// Times that a step of the core changed nothing and was broken off; anything but 0 is a bug.
    pub stalls: u64,
    /// Log rows that are not in the database yet. Filled in by the shell, which keeps them.
    pub journal_rows: u64,
    /// Attempts in a row to move them there that have failed. Filled in by the shell as well.
    pub journal_failures: u64,
}

#[derive(Serialize, Deserialize)]
struct LiveLine {
    #[serde(default = "first_version")]
    v: u32,
    #[serde(default)]
    q: u64,
    #[serde(default)]
    qw: u64,
    #[serde(default)]
    f: u64,
    #[serde(default)]
    ru: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rl: Option<u64>,
    #[serde(default)]
    tu: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    g: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<u64>,
    #[serde(default)]
    c: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    b: bool,
    #[serde(default)]
    e: u64,
    #[serde(default)]
    l: u64,
    #[serde(default)]
    lm: u64,
    #[serde(default)]
    st: u64,
    #[serde(default)]
    jr: u64,
    #[serde(default)]
    jf: u64,
}

impl Live {
    /// The message as one line.
    #[must_use]
    pub fn encode(&self) -> String {
        write(&LiveLine {
            v: PROTOCOL_VERSION,
            q: self.queue_length,
            qw: millis(self.queue_oldest_wait),
            f: self.in_flight,
            ru: self.rpm_used,
            rl: self.rpm_limit,
            tu: self.tpm_used,
            tl: self.tpm_limit,
            cl: self.max_concurrency,
            g: self.next_grant_in.map(millis),
            p: self.paused_until.map(Instant::as_millis),
            c: self.config_version,
            b: self.probing,
            e: self.estimates,
            l: self.wake_late_ms_p99,
            lm: self.wake_late_ms_max,
            st: self.stalls,
            jr: self.journal_rows,
            jf: self.journal_failures,
        })
    }

    /// Reads a line; every field has a default.
    pub fn decode(line: &str) -> Result<Self, DecodeError> {
        let wire: LiveLine = read(line)?;
        check_version(wire.v)?;
        Ok(Self {
            queue_length: wire.q,
            queue_oldest_wait: Duration::from_millis(wire.qw),
            in_flight: wire.f,
            rpm_used: wire.ru,
            rpm_limit: wire.rl,
            tpm_used: wire.tu,
            tpm_limit: wire.tl,
            max_concurrency: wire.cl,
            next_grant_in: wire.g.map(Duration::from_millis),
            paused_until: wire.p.map(Instant::from_millis),
            config_version: wire.c,
            probing: wire.b,
            estimates: wire.e,
            wake_late_ms_p99: wire.l,
            wake_late_ms_max: wire.lm,
            stalls: wire.st,
            journal_rows: wire.jr,
            journal_failures: wire.jf,
        })
    }
}
