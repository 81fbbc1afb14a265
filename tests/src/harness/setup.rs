//! 管理接口的写法：服务器、密钥、任意请求。
//!
//! Owns the small language in which tests set up a gateway through its own admin
//! API; there is no other way in.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::gateway::Gateway;
use super::{SOON, within};
use crate::provider::Provider;

/// A request to the control plane (or any path) being stated.
#[derive(Clone, Debug)]
pub struct Admin {
    http: reqwest::Client,
    url: String,
    path: String,
    method: String,
    headers: Vec<(String, String)>,
    body: Option<Bytes>,
}

impl Admin {
    pub(super) fn new(http: reqwest::Client, base_url: &str, method: &str, path: &str) -> Self {
        let url = format!("{base_url}{path}");
        Self {
            http,
            url,
            path: path.to_owned(),
            method: method.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Sends it to another address of the gateway.
    #[must_use]
    pub fn at(mut self, base_url: &str) -> Self {
        self.url = format!("{base_url}{}", self.path);
        self
    }

    /// Bearer token.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.headers.retain(|(name, _)| name != "authorization");
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Leaves the credentials out.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.headers.retain(|(name, _)| name != "authorization");
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A JSON body with its content type.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Exactly this body, no content type of its own.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends it.
    pub async fn send(self) -> Answer {
        let method = self
            .method
            .parse()
            .unwrap_or_else(|_| panic!("{} is no method", self.method));
        let mut request = self.http.request(method, &self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let what = format!("an answer to {} {}", self.method, self.url);
        let (status, headers, body) = within(SOON, &what, async {
            let response = request
                .send()
                .await
                .unwrap_or_else(|error| panic!("no answer: {error:?}"));
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            (
                status,
                headers,
                response
                    .bytes()
                    .await
                    .unwrap_or_else(|error| panic!("broken answer: {error:?}")),
            )
        })
        .await;
        Answer {
            status,
            headers,
            body,
            ended: std::time::Instant::now(),
        }
    }
}

/// A server as the gateway answered it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The provider's key that the gateway holds.
    pub api_key: String,
    /// The whole object.
    pub object: Value,
}

impl Server {
    /// `/api/servers/{id}`.
    pub fn path(&self) -> String {
        format!("/api/servers/{}", self.id)
    }
}

/// A server being stated.
#[derive(Clone, Debug)]
pub struct ServerDraft<'a> {
    gateway: &'a Gateway,
    fields: Map<String, Value>,
}

impl<'a> ServerDraft<'a> {
    pub(super) fn new(gateway: &'a Gateway, name: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(name));
        // One that no other server and no client has, so that a leak of it is found for certain.
        fields.insert(
            "api_key".to_owned(),
            json!(format!("sk-upstream-{name}-4f9c2a71e0d85b36")),
        );
        Self { gateway, fields }
    }

    /// The provider behind it.
    #[must_use]
    pub fn provider(self, provider: &Provider) -> Self {
        self.base_url(&provider.base_url())
    }

    /// Any base URL.
    #[must_use]
    pub fn base_url(self, base_url: &str) -> Self {
        self.field("base_url", json!(base_url))
    }

    /// One more model.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        let models = self.fields.entry("models").or_insert_with(|| json!([]));
        if let Some(models) = models.as_array_mut() {
            models.push(json!(model));
        }
        self
    }

    /// Requests a minute.
    #[must_use]
    pub fn rpm(self, limit: u64) -> Self {
        self.field("rpm_limit", json!(limit))
    }

    /// Tokens a minute.
    #[must_use]
    pub fn tpm(self, limit: u64) -> Self {
        self.field("tpm_limit", json!(limit))
    }

    /// Any field.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// The body as stated.
    pub fn body(&self) -> Value {
        Value::Object(self.fields.clone())
    }

    /// Creates it.
    pub async fn create(self) -> Server {
        let answer = self
            .gateway
            .admin("POST", "/api/servers")
            .json(&self.body())
            .send()
            .await
            .expect(201);
        let object = answer.json();
        let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
        let api_key = self.fields["api_key"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        Server {
            id: text("id"),
            name: text("name"),
            api_key,
            object,
        }
    }
}

/// A gateway key as the gateway answered it, once.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// What a client sends.
    pub secret: String,
    /// The whole object.
    pub object: Value,
}

/// A gateway key being stated.
#[derive(Clone, Debug)]
pub struct KeyDraft<'a> {
    gateway: &'a Gateway,
    fields: Map<String, Value>,
}

impl<'a> KeyDraft<'a> {
    pub(super) fn new(gateway: &'a Gateway, name: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(name));
        Self { gateway, fields }
    }

    /// Binds it to an app.
    #[must_use]
    pub fn app(self, app: &str) -> Self {
        self.field("app", json!(app))
    }

    /// Restricts it to models.
    #[must_use]
    pub fn models(self, models: &[&str]) -> Self {
        self.field("models", json!(models))
    }

    /// Any field.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// Creates it.
    pub async fn create(self) -> Key {
        let body = Value::Object(self.fields);
        let object = self
            .gateway
            .admin("POST", "/api/keys")
            .json(&body)
            .send()
            .await
            .expect(201)
            .json();
        let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
        Key {
            id: text("id"),
            secret: text("key"),
            object,
        }
    }
}
