//! 一次带流的请求：打开、逐块读、随时放弃。
//!
//! Owns the request of the playground as the browser sends it: with the gateway key and without the session's
//! cookie, read chunk by chunk as it arrives. Unlike `api`, a 401 here is the key's fault and no session's end.
//!
//! Invariant: when an exchange is dropped, the browser gives it up, and the gateway takes it out of the queue.

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, Request as Fetch, RequestCache, RequestCredentials, RequestInit,
    Response,
};

use crate::browser::{call, member, window};
use crate::errors::Failure;
use crate::playground_request::Request;

/// Longest body that is read as a whole.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An answer that has begun.
pub struct Exchange {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    reader: Option<JsValue>,
    controller: AbortController,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

/// Gives the request up when its future is dropped before there is an answer.
struct Unanswered(Option<AbortController>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(controller) = self.0.take() {
            controller.abort();
        }
    }
}

/// Sends a chat and waits for the beginning of its answer.
pub async fn chat(secret: &str, request: &Request) -> Result<Exchange, Failure> {
    let mut headers = request.headers.clone();
    headers.push(("Accept", "text/event-stream, application/json".to_owned()));
    send(
        "POST",
        "/v1/chat/completions",
        secret,
        &headers,
        Some(&request.body),
    )
    .await
}

/// The models that a key may use.
pub async fn models(secret: &str, app: &str) -> Result<Vec<String>, Failure> {
    #[derive(serde::Deserialize)]
    struct Models {
        data: Vec<Model>,
    }
    #[derive(serde::Deserialize)]
    struct Model {
        id: String,
    }
    let mut headers = vec![("App-Name", app.to_owned())];
    headers.retain(|(_, value)| !value.is_empty());
    let mut answer = send("GET", "/v1/models", secret, &headers, None).await?;
    let text = answer.text().await?;
    if answer.status != 200 {
        return Err(Failure::read(answer.status, &text));
    }
    let models: Models =
        serde_json::from_str(&text).map_err(|_error| Failure::unreadable(answer.status))?;
    Ok(models.data.into_iter().map(|model| model.id).collect())
}

impl Exchange {
    /// A header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The next chunk; None at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(reader) = &self.reader else {
            return Ok(None);
        };
        let promise = call(reader, "read", &[]).and_then(|one| one.dyn_into::<Promise>().ok());
        let promise = promise.ok_or_else(Failure::offline)?;
        let read = JsFuture::from(promise)
            .await
            .map_err(|_error| Failure::offline())?;
        let done = member(&read, "done").is_some_and(|done| done.is_truthy());
        if done {
            return Ok(None);
        }
        let chunk = member(&read, "value").and_then(|value| value.dyn_into::<Uint8Array>().ok());
        Ok(chunk.map(|chunk| chunk.to_vec()))
    }

    /// All that is left, to a bound.
    pub async fn text(&mut self) -> Result<String, Failure> {
        let mut body = Vec::new();
        while body.len() < BODY_BYTES_MAX
            && let Some(chunk) = self.next().await?
        {
            body.extend(chunk);
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

async fn send(
    method: &str,
    path: &str,
    secret: &str,
    headers: &[(&str, String)],
    body: Option<&str>,
) -> Result<Exchange, Failure> {
    let lost = |_error: JsValue| Failure::offline();
    let controller = AbortController::new().map_err(lost)?;
    let request =
        prepare(method, path, secret, headers, body, &controller).map_err(|_error| unsendable())?;
    let mut unanswered = Unanswered(Some(controller.clone()));
    let response = JsFuture::from(window().fetch_with_request(&request))
        .await
        .map_err(lost)?;
    unanswered.0 = None;
    let response: Response = response.dyn_into().map_err(lost)?;
    let reader = member(&response, "body").and_then(|body| call(&body, "getReader", &[]));
    Ok(Exchange {
        status: response.status(),
        headers: pairs(&response.headers()),
        reader,
        controller,
    })
}

fn prepare(
    method: &str,
    path: &str,
    secret: &str,
    values: &[(&str, String)],
    body: Option<&str>,
    controller: &AbortController,
) -> Result<Fetch, JsValue> {
    let headers = Headers::new()?;
    headers.set("authorization", &format!("Bearer {}", secret.trim()))?;
    for (name, value) in values {
        headers.set(name, value)?;
    }
    let init = RequestInit::new();
    init.set_method(method);
    init.set_credentials(RequestCredentials::Omit);
    init.set_cache(RequestCache::NoStore);
    init.set_signal(Some(&controller.signal()));
    if let Some(body) = body {
        init.set_body(&body.into());
    }
    init.set_headers(&headers);
    Fetch::new_with_str_and_init(path, &init)
}

/// A header that no browser sends, because of what was typed.
fn unsendable() -> Failure {
    let mut failure = Failure::unreadable(0);
    "unsendable".clone_into(&mut failure.code);
    failure
}

fn pairs(headers: &Headers) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let Some(entries) = call(headers, "entries", &[]) else {
        return pairs;
    };
    for entry in Array::from(&entries).iter() {
        let entry = Array::from(&entry);
        if let (Some(name), Some(value)) = (entry.get(0).as_string(), entry.get(1).as_string()) {
            pairs.push((name, value));
        }
    }
    pairs
}
