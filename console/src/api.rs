//! 管理接口的客户端：fetch、会话 cookie、带类型的失败。
//!
//! Owns calls to `/api`: JSON out, JSON in, and what a failure means for the whole console. A call that finds
//! the session ended opens the sign-in dialog over the page and waits; when somebody has signed in again it is
//! sent once more, so a half-filled form only sees a slow answer. Dropping the future breaks the request off.
//!
//! Invariant: a call goes to this origin only.

mod fetch;

use gateway::admin_api::{KeyView, ServerView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::errors::{Failure, Kind};
use crate::session;

pub use gateway::admin_api::{LiveView, ReadyView, UsageFigures, UsageView};
pub use gateway::identity::SessionView;

/// A server, as the API shows it.
pub type Server = ServerView;
/// A gateway key, as the API shows it.
pub type Key = KeyView;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct List<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Asks for the next page; None on the last one.
    pub next_cursor: Option<String>,
}

/// The answer of `GET /api/stats/usage`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct UsageReport {
    /// Start of the range.
    pub from: String,
    /// Its end, not included.
    pub to: String,
    /// The rows of this page.
    pub items: Vec<UsageView>,
    /// Asks for the next page; None on the last one.
    pub next_cursor: Option<String>,
    /// The figures of the whole range.
    pub totals: UsageFigures,
}

/// The text of an object or a list.
pub async fn get_text(path: &str) -> Result<String, Failure> {
    call("GET", path, None, None).await
}

/// Reads an object or a list.
pub async fn get<T: DeserializeOwned>(path: &str) -> Result<T, Failure> {
    parse(call("GET", path, None, None).await?)
}

/// Sends an object and reads the answer.
pub async fn post<T: DeserializeOwned>(path: &str, body: &impl Serialize) -> Result<T, Failure> {
    parse(call("POST", path, Some(json(body)?), None).await?)
}

/// Replaces an object; `version` refuses to overwrite somebody else's change.
pub async fn put<T: DeserializeOwned>(
    path: &str,
    body: &impl Serialize,
    version: Option<u64>,
) -> Result<T, Failure> {
    parse(call("PUT", path, Some(json(body)?), version).await?)
}

/// Changes fields of an object; `version` as for [`put`].
pub async fn patch<T: DeserializeOwned>(
    path: &str,
    body: &impl Serialize,
    version: Option<u64>,
) -> Result<T, Failure> {
    parse(call("PATCH", path, Some(json(body)?), version).await?)
}

/// Deletes an object; `version` as for [`put`].
pub async fn delete(path: &str, version: Option<u64>) -> Result<(), Failure> {
    call("DELETE", path, None, version).await.map(|_answer| ())
}

/// Who is signed in. Nobody is no failure.
pub async fn whoami() -> Result<Option<SessionView>, Failure> {
    match fetch::send("GET", "/api/session", None, None).await {
        Ok(answer) => parse(answer).map(Some),
        Err(failure) if failure.kind == Kind::Expired => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Exchanges a token for the session cookie.
pub async fn sign_in(token: &str) -> Result<SessionView, Failure> {
    let body = serde_json::json!({ "token": token }).to_string();
    parse(fetch::send("POST", "/api/session", Some(body), None).await?)
}

/// Ends the session.
pub async fn sign_out() -> Result<(), Failure> {
    fetch::send("DELETE", "/api/session", None, None)
        .await
        .map(|_answer| ())
}

/// What `GET /health/ready` says; it answers 503 with the same object.
pub async fn readiness() -> Result<ReadyView, Failure> {
    parse(fetch::text("/health/ready").await?)
}

async fn call(
    method: &str,
    path: &str,
    body: Option<String>,
    version: Option<u64>,
) -> Result<String, Failure> {
    loop {
        match fetch::send(method, path, body.clone(), version).await {
            Err(failure) if failure.kind == Kind::Expired && session::wait_for_sign_in().await => {}
            answer => return answer,
        }
    }
}

fn json(body: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(body).map_err(|_error| Failure::unreadable(0))
}

/// The object that an answer's text stands for.
pub fn parse<T: DeserializeOwned>(answer: String) -> Result<T, Failure> {
    let answer = if answer.is_empty() {
        Value::Null.to_string()
    } else {
        answer
    };
    serde_json::from_str(&answer).map_err(|_error| Failure::unreadable(200))
}
