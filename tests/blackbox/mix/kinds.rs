//! 混合负载的请求种类与份额。
//!
//! The kinds of requests, their shares, the servers that they go to, and what each is promised. The faults of providers
//! are those of the catalogue, each as likely as any other.

use std::net::SocketAddr;

use gateway_tests::faults::{Fault, PROVIDER_FAULTS, SHARES};
use gateway_tests::harness::{Answer, Chat};
use serde_json::{Value, json};

use crate::faults::{End, as_promised, chat_of, send};

/// What names of servers before faulty providers begin with.
pub(super) const FAULTY: &str = "mix";

/// Servers that are not faulty: name, model, fields.
pub(super) const SERVERS: [(&str, &str, &str); 4] = [
    (
        "mix-wide",
        "wide",
        r#"{"rpm_limit":100000,"tpm_limit":100000000}"#,
    ),
    (
        "mix-first",
        "pair",
        r#"{"rpm_limit":100000,"max_concurrency":2,"overflow":"next_server"}"#,
    ),
    (
        "mix-second",
        "pair",
        r#"{"rpm_limit":100000,"max_concurrency":4,"queue_timeout_ms":60000}"#,
    ),
    (
        "mix-narrow",
        "narrow",
        r#"{"rpm_limit":100000,"max_concurrency":1,"queue_max":8,"queue_timeout_ms":5000}"#,
    ),
];

/// A kind of request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One of seven forms of five endpoints.
    Healthy(usize),
    /// Overflows to the next server, or waits there.
    Overflowing,
    /// Waits, is pushed out or runs out of time.
    Queueing,
    /// Its provider does something wrong.
    Faulty(&'static Fault),
    /// Its client leaves in mid-stream.
    Leaving,
}

impl Kind {
    /// The kind that these bits choose.
    pub(super) fn of(bits: u64) -> Self {
        let mut at = (bits % 100) as usize;
        let detail = (bits >> 32) as usize;
        for (index, (_, share)) in SHARES.iter().enumerate() {
            if at < *share {
                return match index {
                    0 => Self::Healthy(detail % 7),
                    1 => Self::Overflowing,
                    2 => Self::Queueing,
                    3 => Self::Faulty(&PROVIDER_FAULTS[detail % PROVIDER_FAULTS.len()]),
                    _ => Self::Leaving,
                };
            }
            at -= share;
        }
        unreachable!("the shares add up to 100")
    }

    /// The name of its share.
    pub(crate) fn name(self) -> &'static str {
        let at = match self {
            Self::Healthy(_) => 0,
            Self::Overflowing => 1,
            Self::Queueing => 2,
            Self::Faulty(_) => 3,
            Self::Leaving => 4,
        };
        SHARES[at].0
    }

    /// Whether a row with this status and code is what it is to leave.
    pub(super) fn allows_row(self, status: u64, code: &str) -> bool {
        match self {
            Self::Healthy(_) | Self::Overflowing => (status, code) == (200, ""),
            Self::Queueing => matches!(
                (status, code),
                (200, "") | (503, "queue_evicted") | (504, "queue_timeout")
            ),
            // Who waits behind others at a server that refuses for good may run out of time.
            Self::Faulty(fault) => {
                (status, code) == (u64::from(fault.status), fault.code)
                    || (fault.status == 429 && (status, code) == (504, "queue_timeout"))
            }
            Self::Leaving => (status, code) == (499, ""),
        }
    }

    /// Makes the request; an error says what was not as promised.
    pub(super) async fn request(
        self,
        chat: &Chat,
        number: usize,
        address: SocketAddr,
    ) -> Result<(), String> {
        let chat = chat.clone().header("x-request-id", &id(number));
        match self {
            Self::Healthy(form) => whole(healthy(chat.model("wide"), form)).await.map(|_| ()),
            Self::Overflowing => {
                let chat = chat.model("pair").demo(json!({"header_delay_ms": 50}));
                whole(chat).await.map(|_| ())
            }
            Self::Queueing => {
                let chat = chat.model("narrow").demo(json!({"header_delay_ms": 100}));
                match send(chat).await {
                    End::Whole(answer) => {
                        let code = answer.code_if_error();
                        let seen = (u64::from(answer.status), code.as_str());
                        let is_so = self.allows_row(seen.0, seen.1);
                        is_so
                            .then_some(())
                            .ok_or_else(|| format!("queueing: {seen:?}"))
                    }
                    other => Err(format!("queueing: {other:?}")),
                }
            }
            Self::Faulty(fault) => {
                let end = send(chat_of(chat, FAULTY, fault)).await;
                let code = match &end {
                    End::Whole(answer) if answer.status == 504 => answer.code_if_error(),
                    _ => String::new(),
                };
                if code == "queue_timeout" && self.allows_row(504, &code) {
                    return Ok(());
                }
                as_promised(fault, &end)
            }
            Self::Leaving => leave(chat, address).await,
        }
    }
}

/// The id of a request.
pub(super) fn id(number: usize) -> String {
    format!("mix-{number}")
}

/// The request of an id.
pub(super) fn number_of(row: &Value) -> Option<usize> {
    row["request_id"]
        .as_str()?
        .strip_prefix("mix-")?
        .parse()
        .ok()
}

fn healthy(chat: Chat, form: usize) -> Chat {
    match form {
        0 => chat,
        1 => chat.stream(),
        2 => chat.stream().with_usage(),
        3 => chat.to("/v1/completions").field("prompt", json!("How?")),
        4 => chat.to("/v1/embeddings").field("input", json!(["a", "b"])),
        5 => chat
            .to("/v1/responses")
            .field("input", json!("How?"))
            .stream(),
        _ => chat
            .to("/v1/messages")
            .field("max_tokens", json!(5))
            .stream(),
    }
}

/// The answer to its end, which must be a success without an in-band error.
async fn whole(chat: Chat) -> Result<Answer, String> {
    match send(chat).await {
        End::Whole(answer)
            if answer.status == 200
                && !answer.body.is_empty()
                && answer.events().iter().all(|event| event.name != "error") =>
        {
            Ok(answer)
        }
        other => Err(format!("expected a whole answer, saw {other:?}")),
    }
}

async fn leave(chat: Chat, address: SocketAddr) -> Result<(), String> {
    let chat = chat.model("wide").stream().demo(json!({"stall_after": 1}));
    let connected = chat.connect(address).await;
    let mut connection = connected.map_err(|error| format!("leaving: {error}"))?;
    let head = connection
        .head()
        .await
        .map_err(|error| format!("leaving: {error}"))?;
    match head.map(|head| head.status) {
        Some(200) => {}
        other => return Err(format!("leaving: {other:?}")),
    }
    let chunk = connection
        .chunk()
        .await
        .map_err(|error| format!("leaving: {error}"))?;
    connection.reset();
    chunk
        .map(|_| ())
        .ok_or_else(|| "leaving: an end".to_owned())
}
