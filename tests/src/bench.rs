//! 测速：网关、裸直通与上游本身，同一次运行里轮流来。
//!
//! What the gateway costs, against a bare JavaScript pass-through on the same workerd and against the
//! provider alone. The three take turns in short rounds, so that other work on the machine weighs on all;
//! a figure is the median of its rounds, and ratios of one run are what can be compared.
//!
//! Owns the targets and what is measured of them ([`parts`]); judges nothing but errors.

pub mod criteria;
pub mod figures;
mod footprint;
mod load;
pub mod parts;
mod passthrough;

pub use footprint::{Busy, busy, resident};

use std::net::SocketAddr;

use crate::harness::{APP, Gateway, Key, raw};
use crate::provider::{Options, Provider};
use footprint::cpu;
use passthrough::PassThrough;
use serde_json::{Value, json};

/// The model of the server that all parts but those of the queue use.
const MODEL: &str = "bench";

/// Its limits: ten times what one thread of workerd could do.
const RPM: u64 = 1_000_000;
const TPM: u64 = 1_000_000_000;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The provider, asked directly.
    Provider,
    /// `fetch` and nothing else.
    PassThrough,
    /// Keys, routing, admission, journal and log.
    Gateway,
}

impl Who {
    /// In the order of their turns.
    pub const ALL: [Self; 3] = [Self::Provider, Self::PassThrough, Self::Gateway];

    /// As a row is headed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider alone",
            Self::PassThrough => "pass-through",
            Self::Gateway => "gateway",
        }
    }
}

/// All three, running.
#[derive(Debug)]
pub struct Stand {
    provider: Provider,
    pass_through: PassThrough,
    gateway: Gateway,
    key: Key,
}

/// A request as bytes, and where it goes.
#[derive(Clone, Debug)]
struct Shot {
    address: SocketAddr,
    bytes: Vec<u8>,
}

impl Stand {
    /// Starts them and waits until a request passes.
    pub async fn start() -> Self {
        let provider = Provider::start_with(Options::default()).expect("a loopback port is free");
        let pass_through = PassThrough::start(&provider.base_url()).await;
        let gateway = Gateway::serve().start().await;
        let key = gateway.key("bench").create().await;
        let server = gateway.server("bench").provider(&provider);
        // Far off, but counted: a limiter without limits would have less to do.
        let limited = server.rpm(RPM).tpm(TPM).model(MODEL);
        limited.create().await;
        gateway.in_force().await;
        let stand = Self {
            provider,
            pass_through,
            gateway,
            key,
        };
        for who in Who::ALL {
            let shot = stand.shot(who, &plain());
            let answered = load::once(&shot).await;
            assert_eq!(answered.ok(), Some(200), "{}", who.name());
        }
        stand
    }

    /// A request of this body.
    fn shot(&self, who: Who, body: &Value) -> Shot {
        let (address, path) = match who {
            Who::Provider => (self.provider.address(), "/chat/completions"),
            Who::PassThrough => (self.pass_through.address(), "/chat/completions"),
            Who::Gateway => (self.gateway.address(), "/v1/chat/completions"),
        };
        let authorization = format!("Bearer {}", self.key.secret);
        let headers = [
            ("authorization", authorization.as_str()),
            ("app-name", APP),
            ("content-type", "application/json"),
        ];
        Shot {
            address,
            bytes: raw::post(path, address, &headers, body.to_string().as_bytes()),
        }
    }

    /// The process whose work counts, if it is not our own.
    fn process(&self, who: Who) -> Option<i32> {
        match who {
            Who::Provider => None,
            Who::PassThrough => Some(self.pass_through.process_id()),
            Who::Gateway => Some(self.gateway.workerd_id()),
        }
    }

    /// Seconds of processor that it has used.
    fn cpu(&self, who: Who) -> f64 {
        self.process(who).map_or(0.0, cpu)
    }

    /// Seconds of processor that everything started here has used.
    pub fn own_cpu(&self) -> f64 {
        let launcher = self.gateway.process_id().cast_signed();
        let processes = [
            std::process::id().cast_signed(),
            self.pass_through.process_id(),
            self.gateway.workerd_id(),
            launcher,
        ];
        processes.into_iter().map(cpu).sum()
    }
}

/// A small chat that is answered as a whole.
fn plain() -> Value {
    json!({
        "model": MODEL,
        "messages": [{"role": "user", "content": "How does a sluice work?"}],
    })
}

/// One that is answered as a stream of so many words, one at a time.
fn streamed(words: usize, delay_ms: u64) -> Value {
    let mut body = plain();
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    body["sluice_demo"] = json!({"chunks": words, "chunk_delay_ms": delay_ms});
    body
}
