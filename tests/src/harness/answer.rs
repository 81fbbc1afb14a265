//! 收到的应答：整体或逐块，外加 SSE 的拆分。
//!
//! Owns what a test reads from an answer. Keeps bytes as they came; views as
//! text, JSON or events are made from them.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::within;

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
    /// When the last byte had come.
    pub ended: Instant,
}

impl Answer {
    /// A header's value, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header that is a whole number.
    pub fn number(&self, name: &str) -> u64 {
        let value = self
            .header(name)
            .unwrap_or_else(|| panic!("no header {name} in {self:?}"));
        value
            .parse()
            .unwrap_or_else(|_| panic!("header {name} is {value}, no whole number"))
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `error.code` of the gateway's shape.
    pub fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The code of a failure, empty for a success or another's failure.
    pub fn code_if_error(&self) -> String {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|body| body["error"]["code"].as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Requires this status; the failure shows the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Requires a failure of the gateway itself, in its one shape, with this status and code.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let text = self.text();
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{text}"
        );
        let body = self.json();
        let error = &body["error"];
        assert_eq!(
            body.as_object().map(serde_json::Map::len),
            Some(1),
            "only `error` at the top: {text}"
        );
        for member in ["message", "type", "code", "request_id"] {
            assert!(
                error[member]
                    .as_str()
                    .is_some_and(|value| !value.is_empty()),
                "error.{member}: {text}"
            );
        }
        let param = error
            .get("param")
            .unwrap_or_else(|| panic!("error.param is missing: {text}"));
        assert!(param.is_null() || param.is_string(), "error.param: {text}");
        assert!(
            self.header("content-type")
                .is_some_and(|kind| kind.starts_with("application/json")),
            "content type of an error: {:?}",
            self.headers
        );
        assert_eq!(
            self.header("x-request-id"),
            error["request_id"].as_str(),
            "request id in header and body"
        );
        self
    }

    /// Events of a streamed answer.
    pub fn events(&self) -> Vec<Event> {
        sse_events(&self.body)
    }
}

/// An answer whose body is still coming.
#[derive(Debug)]
pub struct Stream {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    pub(super) response: reqwest::Response,
    pub(super) received: BytesMut,
}

impl Stream {
    /// Waits until the body so far satisfies `is_so`; fails at the bound or the end.
    pub async fn read_until(
        &mut self,
        bound: Duration,
        what: &str,
        is_so: impl Fn(&[u8]) -> bool,
    ) -> &[u8] {
        within(bound, what, async {
            while !is_so(&self.received) {
                match self.response.chunk().await {
                    Ok(Some(chunk)) => self.received.extend_from_slice(&chunk),
                    end => panic!(
                        "the stream ended ({end:?}) before: {what}; so far: {:?}",
                        self.received
                    ),
                }
            }
        })
        .await;
        &self.received
    }

    /// Reads to the end; a connection broken in the middle is an error.
    pub async fn rest(mut self, bound: Duration) -> Result<Answer, reqwest::Error> {
        let whole = within(bound, "the end of the stream", async {
            while let Some(chunk) = self.response.chunk().await? {
                self.received.extend_from_slice(&chunk);
            }
            Ok::<(), reqwest::Error>(())
        });
        whole.await?;
        Ok(Answer {
            status: self.status,
            headers: self.headers,
            body: self.received.freeze(),
            ended: Instant::now(),
        })
    }
}

/// One event of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The `event` field, empty if absent.
    pub name: String,
    /// The `data` lines joined by line feeds.
    pub data: String,
}

impl Event {
    /// The data as JSON, null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or(Value::Null)
    }
}

/// The complete events of a body (comments and incomplete events are left out).
pub fn sse_events(body: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(body)
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let Some((complete, _)) = text.rsplit_once("\n\n") else {
        return Vec::new();
    };
    let field = |block: &str, name: &str| -> Vec<String> {
        let values = block
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values
            .map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned())
            .collect()
    };
    complete
        .split("\n\n")
        .map(|block| Event {
            name: field(block, "event").concat(),
            data: field(block, "data").join("\n"),
        })
        .filter(|event| !event.data.is_empty())
        .collect()
}
