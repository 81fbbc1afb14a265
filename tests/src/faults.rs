//! 上游故障目录：每种怎样犯，客户端、日志与限流器各应如何。
//!
//! Owns the faults of providers that need no more than a request: how each is provoked, and what comes of it for the
//! client, the row of the log and the charge. The black-box tests prove each; `docs/faults.md` shows the same
//! figures, which a test compares; the mix of `make availability` and `make soak` draws from it.
//!
//! Invariant: an expectation here is what the specification promises, not what the gateway happens to do.

mod catalogue;
mod scripts;

pub use catalogue::PROVIDER_FAULTS;

use crate::provider::Act;

/// How a provider is made to do it.
#[derive(Clone, Copy, Debug)]
pub enum Provoked {
    /// The demo provider's `sluice_demo`, as JSON.
    Demo(&'static str),
    /// A script of bytes.
    Script(fn() -> Vec<Act>),
    /// Nobody listens.
    Nobody,
}

/// What a client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saw {
    /// The upstream's answer to its end, with this status.
    Whole(u16),
    /// An error of the gateway.
    Error(u16, &'static str),
    /// A stream of status 200 that ends with the in-band error.
    InBand,
    /// An answer of status 200 whose connection breaks before its end.
    Broken,
}

/// How far the tokens of a row can be trusted, as the log says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// As the provider counted, or nothing was used.
    Exact,
    /// By what came.
    Estimated,
}

impl Source {
    /// As the log writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Estimated => "estimated",
        }
    }
}

/// What is left of the reservation in the token window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// What was reserved, because nobody knows what was used.
    Kept,
    /// Nothing.
    Given,
    /// What the provider counted.
    Moved(u64),
}

/// One fault and what comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The name of its test: a sentence.
    pub name: &'static str,
    /// How it is provoked.
    pub provoked: Provoked,
    /// Whether a stream is asked for.
    pub is_stream: bool,
    /// What the client sees.
    pub saw: Saw,
    /// Status of the row.
    pub status: u16,
    /// `error_code` of the row; empty = null.
    pub code: &'static str,
    /// `usage_source` of the row.
    pub source: Source,
    /// `attempts` of the row, and how many requests stay counted.
    pub attempts: u64,
    /// Tokens that stay counted.
    pub charge: Charge,
}

/// `upstream_timeout_ms` of the servers before faulty providers: short, and long for a provider in the same process.
pub const UPSTREAM_TIMEOUT_MS: u64 = 2_000;

/// Kinds of requests of the mix of `make availability` and `make soak`, and their shares in a hundred.
pub const SHARES: [(&str, usize); 5] = [
    ("healthy", 45),
    ("overflowing", 15),
    ("queueing", 10),
    ("faulty provider", 25),
    ("leaving client", 5),
];

impl Fault {
    /// The row as `docs/faults.md` writes it.
    pub fn row(&self) -> String {
        let code = if self.code.is_empty() {
            "null"
        } else {
            self.code
        };
        let (status, source, attempts) = (self.status, self.source.as_str(), self.attempts);
        format!("{status} `{code}` `{source}` {attempts}")
    }
}
