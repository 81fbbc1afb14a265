//! 上游的故障：照目录逐一犯，三方逐一核对。
//!
//! Runs the catalogue of [`gateway_tests::faults`]: one server for each fault, all of them set up at once, and one request
//! each. A fault that is no longer so stops the test of its own name.

use std::time::Duration;

use gateway_tests::faults::{Charge, Fault, PROVIDER_FAULTS, Provoked, Saw, UPSTREAM_TIMEOUT_MS};
use gateway_tests::harness::{Chat, Gateway, Server, runtime};
use gateway_tests::provider::{Provider, Rough};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::sync::OnceCell;

use super::{End, at_rest, only_row, outcome};
use crate::stage::{gateway, key};

pub(super) fn trials() -> Vec<Trial> {
    let trial = |fault: &'static Fault| {
        Trial::test(format!("faults::provider::{}", fault.name), move || {
            runtime().block_on(prove(fault));
            Ok(())
        })
    };
    PROVIDER_FAULTS.iter().map(trial).collect()
}

/// Far beyond what any of them takes, the pauses of repetitions included.
const PATIENT: Duration = Duration::from_mins(1);

/// Less than a client's patience: in the mix many wait behind each other at a server that refuses for good.
const QUEUE_TIMEOUT_MS: u64 = 20_000;

/// A server for each fault.
#[derive(Debug)]
pub(crate) struct Ground {
    servers: Vec<Server>,
    /// They live as long as the test process.
    _providers: (Provider, Rough),
}

impl Ground {
    /// Sets up a server for each fault on a gateway; `change` may add to each.
    pub(crate) async fn on(gateway: &Gateway, prefix: &str) -> Self {
        let demo = Provider::start();
        let scripts = PROVIDER_FAULTS
            .iter()
            .filter_map(|fault| match fault.provoked {
                Provoked::Script(script) => Some((fault.name.to_owned(), script())),
                Provoked::Demo(_) | Provoked::Nobody => None,
            });
        let rough = Rough::start(scripts)
            .await
            .expect("a loopback port is free");
        // A port that was free a moment ago: nobody listens there any more.
        let nobody = Provider::start().base_url();
        let mut servers = Vec::new();
        for fault in PROVIDER_FAULTS {
            let base_url = match fault.provoked {
                Provoked::Script(_) => rough.base_url(fault.name),
                Provoked::Demo(_) => demo.base_url(),
                Provoked::Nobody => nobody.clone(),
            };
            let server = gateway
                .server(&server_name(prefix, fault))
                .base_url(&base_url)
                .model(&model(prefix, fault))
                .rpm(100_000)
                .tpm(10_000_000)
                .field("upstream_timeout_ms", json!(UPSTREAM_TIMEOUT_MS))
                .field("queue_timeout_ms", json!(QUEUE_TIMEOUT_MS));
            servers.push(server.create().await);
        }
        gateway.in_force().await;
        Self {
            servers,
            _providers: (demo, rough),
        }
    }

    /// All of them, in the order of the catalogue.
    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    fn server(&self, fault: &Fault) -> &Server {
        let at = PROVIDER_FAULTS
            .iter()
            .position(|known| known.name == fault.name);
        &self.servers[at.expect("a fault of the catalogue")]
    }
}

/// Names have at most 64 characters.
fn server_name(prefix: &str, fault: &Fault) -> String {
    let at = PROVIDER_FAULTS
        .iter()
        .position(|known| known.name == fault.name);
    format!("{prefix}-{}", at.expect("a fault of the catalogue"))
}

fn model(prefix: &str, fault: &Fault) -> String {
    server_name(prefix, fault)
}

/// The request that meets the fault.
pub(crate) fn chat_of(chat: Chat, prefix: &str, fault: &Fault) -> Chat {
    let chat = chat
        .model(&model(prefix, fault))
        .field("stream", json!(fault.is_stream))
        .bound(PATIENT);
    match fault.provoked {
        Provoked::Demo(behaviour) => {
            chat.demo(serde_json::from_str(behaviour).expect("a behaviour"))
        }
        Provoked::Script(_) | Provoked::Nobody => chat,
    }
}

pub(crate) async fn send(chat: Chat) -> End {
    match tokio::time::timeout(PATIENT, chat.end()).await {
        Ok(Some(answer)) => End::Whole(answer),
        Ok(None) => End::Broken,
        Err(_) => End::Hung,
    }
}

/// Whether the client saw what it should; else what it saw.
pub(crate) fn as_promised(fault: &Fault, end: &End) -> Result<(), String> {
    let is_so = match (fault.saw, end) {
        (Saw::Broken, End::Broken) => true,
        // Where the queue gave no further permit in time, what was held of the refusal before is passed on whole.
        (Saw::Broken, End::Whole(answer)) => {
            let attempts = answer.header("x-gateway-attempts");
            let attempts = attempts.and_then(|text| text.parse::<u64>().ok());
            let gave_up = attempts.is_some_and(|attempts| attempts < fault.attempts);
            fault.status == 429 && answer.status == 429 && gave_up
        }
        (Saw::Whole(status), End::Whole(answer)) => {
            let told = answer
                .events()
                .last()
                .is_some_and(|event| event.name == "error");
            answer.status == status && !told && !answer.text().contains("smuggle")
        }
        (Saw::Error(status, code), End::Whole(answer)) => {
            answer.status == status && answer.code_if_error() == code
        }
        (Saw::InBand, End::Whole(answer)) => {
            let events = answer.events();
            let last = events.last();
            let told = last.is_some_and(|event| {
                event.name == "error"
                    && event.json()["error"]["code"] == "upstream_stream_truncated"
            });
            answer.status == 200 && told
        }
        _ => false,
    };
    let saw = || format!("{}: expected {:?}, saw {end:?}", fault.name, fault.saw);
    is_so.then_some(()).ok_or_else(saw)
}

async fn prove(fault: &Fault) {
    static GROUND: OnceCell<Ground> = OnceCell::const_new();
    let (gateway, key) = (gateway().await, key().await);
    let ground = GROUND.get_or_init(|| Ground::on(gateway, "fault")).await;
    let server = ground.server(fault);
    let end = send(chat_of(gateway.chat(key), "fault", fault)).await;
    if let Err(difference) = as_promised(fault, &end) {
        panic!("{difference}");
    }
    let live = at_rest(gateway, server).await;
    let row = only_row(gateway, server).await;
    assert_eq!(
        outcome(&row),
        (u64::from(fault.status), fault.code, fault.source.as_str()),
        "{row}"
    );
    assert_eq!(row["attempts"], fault.attempts, "{row}");
    assert_eq!(live["rpm_used"], fault.attempts, "{live}");
    let used = live["tpm_used"].as_u64().expect("a number");
    match fault.charge {
        Charge::Kept => assert!(used > 0, "what nobody knows stays counted: {live}"),
        Charge::Given => assert_eq!(used, 0, "{live}"),
        Charge::Moved(tokens) => assert_eq!(used, tokens, "{live}"),
    }
    // The server is none the worse for it: another request gets its permit at once.
    assert_eq!(live["queue_length"], 0);
}
