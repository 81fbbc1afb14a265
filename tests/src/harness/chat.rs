//! 一次对话请求的写法。
//!
//! Owns the small language in which tests state a data-plane request. The body
//! is built from fields, or given as bytes that nothing changes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Stream};
use super::gateway::APP;
use super::raw::{self, Connection};
use super::{SOON, within};

/// A request being stated.
#[derive(Clone, Debug)]
pub struct Chat {
    http: reqwest::Client,
    base_url: String,
    path: &'static str,
    method: reqwest::Method,
    headers: Vec<(String, String)>,
    fields: Map<String, Value>,
    bytes: Option<Bytes>,
    bound: Duration,
}

impl Chat {
    pub(super) fn new(http: reqwest::Client, base_url: &str, secret: &str) -> Self {
        let mut fields = Map::new();
        fields.insert(
            "messages".to_owned(),
            json!([{"role": "user", "content": "How does a sluice work?"}]),
        );
        Self {
            http,
            base_url: base_url.to_owned(),
            path: "/v1/chat/completions",
            method: reqwest::Method::POST,
            headers: vec![
                ("authorization".to_owned(), format!("Bearer {secret}")),
                ("app-name".to_owned(), APP.to_owned()),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
            fields,
            bytes: None,
            bound: SOON,
        }
    }

    /// Sends it to another address of the gateway.
    #[must_use]
    pub fn at(mut self, base_url: &str) -> Self {
        base_url.clone_into(&mut self.base_url);
        self
    }

    /// Sends it to another endpoint.
    #[must_use]
    pub fn to(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// The model.
    #[must_use]
    pub fn model(self, model: &str) -> Self {
        self.field("model", json!(model))
    }

    /// Any field of the body.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// Asks for a stream.
    #[must_use]
    pub fn stream(self) -> Self {
        self.field("stream", json!(true))
    }

    /// Asks for usage at the end of the stream.
    #[must_use]
    pub fn with_usage(self) -> Self {
        self.field("stream_options", json!({"include_usage": true}))
    }

    /// What the provider shall do.
    #[must_use]
    pub fn demo(self, behaviour: Value) -> Self {
        self.field("sluice_demo", behaviour)
    }

    /// Exactly this body.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.bytes = Some(bytes.into());
        self
    }

    /// Sets a header in place of any of that name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a header out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self
    }

    /// The caller's app.
    #[must_use]
    pub fn app(self, app: &str) -> Self {
        self.header("app-name", app)
    }

    /// How long the answer may take before the test fails.
    #[must_use]
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// The body as it will be sent.
    pub fn bytes(&self) -> Bytes {
        self.bytes
            .clone()
            .unwrap_or_else(|| Value::Object(self.fields.clone()).to_string().into())
    }

    fn request(&self) -> reqwest::RequestBuilder {
        let request = self
            .http
            .request(
                self.method.clone(),
                format!("{}{}", self.base_url, self.path),
            )
            .body(self.bytes());
        self.headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }

    /// Sends it and waits for the headers only.
    pub async fn open(self) -> Stream {
        let response = within(
            self.bound,
            "the headers of an answer",
            self.request().send(),
        )
        .await;
        let response = response.unwrap_or_else(|error| panic!("no answer: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Stream {
            status,
            headers,
            response,
            received: BytesMut::new(),
        }
    }

    /// Sends it and waits for the whole answer.
    pub async fn send(self) -> Answer {
        let bound = self.bound;
        match self.open().await.rest(bound).await {
            Ok(answer) => answer,
            Err(error) => panic!("the answer broke off: {error:?}"),
        }
    }

    /// Sends it and waits for the whole answer; `None` if the gateway went away before its end.
    pub async fn send_if_it_lives(self) -> Option<Answer> {
        let response = within(self.bound, "an answer or the end", self.request().send()).await;
        let response = response.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let stream = Stream {
            status,
            headers,
            response,
            received: BytesMut::new(),
        };
        stream.rest(self.bound).await.ok()
    }

    /// Sends it and waits for the whole answer, without a bound; `None` if there is none to its end.
    pub async fn end(self) -> Option<Answer> {
        let response = self.request().send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.ok()?;
        Some(Answer {
            status,
            headers,
            body,
            ended: Instant::now(),
        })
    }

    /// Sends it over a connection of its own, which the test then reads, closes or resets.
    pub async fn connect(&self, address: SocketAddr) -> std::io::Result<Connection> {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let request = raw::post(self.path, address, &headers, &self.bytes());
        let mut connection = Connection::open(address).await?;
        connection.send(&request).await?;
        Ok(connection)
    }

    /// Sends it in a task of its own; the result is the answer.
    pub fn spawn(self) -> tokio::task::JoinHandle<Answer> {
        tokio::spawn(self.send())
    }

    /// When it was answered, with the answer.
    pub async fn timed(self) -> (Duration, Answer) {
        let started = Instant::now();
        let answer = self.send().await;
        (answer.ended.duration_since(started), answer)
    }
}
