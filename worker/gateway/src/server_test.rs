//! 试连服务器：用已存的密钥询问它有哪些模型。
//!
//! Owns what `POST /api/servers/{id}/test` asks of a backend, how much of the answer is looked at, and
//! what it means. Sends nothing.
//!
//! This is the one request to a backend without a permit. A permit stands for an inference: it takes a
//! place in the server's window, and it may have to wait for one. Listing models is no inference and
//! consumes no quota of requests or tokens; and an administrator tests a server just when its queue is
//! full or its limit is 0. Invariant: the request carries no body and nothing of any client, so that no
//! inference can get around the limiter this way; and no text of the answer shows the server's key.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{ModelPattern, Secret};
use crate::envelope::OpenError;
use crate::redact;
use crate::upstream;

/// Longest wait for the whole answer: an administrator looks on.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
/// How much of an answer is read; the longest public list has about 300 KB.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Most models that are shown; the longest public list has about 400.
pub const MODELS_LEN_MAX: usize = 500;
/// Longest name of a model that is shown; twice what can be configured.
pub const MODEL_CHARS_MAX: usize = 256;
/// How much of a backend's own words is shown.
const QUOTED_CHARS_MAX: usize = 300;

/// What to send: a `GET` without body that follows no redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelsRequest {
    /// Where to.
    pub url: String,
    /// Value of `authorization`.
    pub authorization: Secret,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its body; None if that is longer than [`ANSWER_BYTES_MAX`].
        body: Option<Vec<u8>>,
    },
    /// No connection, or it broke before the end of the answer; the text is the platform's.
    Unreachable(String),
    /// No complete answer in time.
    Timeout,
}

/// Answer of `POST /api/servers/{id}/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "ServerTest"))]
pub struct ServerTestView {
    /// Whether the server was reached, took the key and listed its models.
    pub ok: bool,
    /// HTTP status of its answer, if there was one.
    pub status: Option<u16>,
    /// Milliseconds from the request to the end of the answer, or to its failure.
    pub latency_ms: u64,
    /// The models that it lists, at most [`MODELS_LEN_MAX`].
    pub models: Option<Vec<String>>,
    /// Configured names, without those that end in `*`, that it does not list.
    pub missing_models: Vec<String>,
    /// What is wrong and what to do.
    pub error: Option<String>,
}

/// The request to the server at `base_url`.
#[must_use]
pub fn request(base_url: &str, key: &Secret) -> ModelsRequest {
    ModelsRequest {
        url: upstream::url(base_url, "/v1/models"),
        authorization: Secret::new(format!("Bearer {}", key.expose())),
    }
}

impl ServerTestView {
    /// What the reply of a server means that has these models and this key.
    #[must_use]
    pub fn new(configured: &[ModelPattern], key: &Secret, reply: &Reply, took: Duration) -> Self {
        let status = match reply {
            Reply::Answer { status, .. } => Some(*status),
            Reply::Unreachable(_) | Reply::Timeout => None,
        };
        let view = Self {
            ok: false,
            status,
            latency_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            models: None,
            missing_models: Vec::new(),
            error: None,
        };
        match listed(reply, key) {
            Ok(names) => Self {
                ok: true,
                missing_models: missing(configured, &names),
                models: Some(shown(&names, key)),
                ..view
            },
            Err(error) => Self {
                error: Some(error),
                ..view
            },
        }
    }

    /// The answer for a server whose stored key stays shut: nothing was sent.
    #[must_use]
    pub fn key_unreadable(reason: OpenError) -> Self {
        Self {
            ok: false,
            status: None,
            latency_ms: 0,
            models: None,
            missing_models: Vec::new(),
            error: Some(format!(
                "The API key of this server must be entered again: {reason}."
            )),
        }
    }
}

/// The names of the server's models, or why there are none.
fn listed(reply: &Reply, key: &Secret) -> Result<Vec<String>, String> {
    let (status, body) = match reply {
        Reply::Answer { status, body } => (*status, body.as_deref()),
        Reply::Unreachable(reason) => {
            let reason = quoted(reason, key);
            return Err(format!(
                "The server cannot be reached. Check `base_url`. ({reason})"
            ));
        }
        Reply::Timeout => {
            let seconds = ANSWER_WAIT_MAX.as_secs();
            return Err(format!(
                "The server did not answer completely within {seconds} s."
            ));
        }
    };
    let advice = match (status, body) {
        (200..=299, None) => {
            return Err(format!(
                "The list of models is longer than {ANSWER_BYTES_MAX} bytes."
            ));
        }
        (200..=299, Some(body)) => {
            return names(body).ok_or_else(|| {
                "The answer is no list of models. Check that `base_url` leads to an OpenAI-compatible API."
                    .to_owned()
            });
        }
        (300..=399, _) => {
            "The server redirects, which is not followed. Enter the address that it leads to as `base_url`."
        }
        (401 | 403, _) => "The server does not accept the API key.",
        (404, _) => {
            "The server has no list of models at this address. Check `base_url`; it usually ends in `/v1`."
        }
        (429, _) => "The server asks for fewer requests. Test it again later.",
        _ => "The server failed to list its models.",
    };
    let message = body.and_then(message).map(|text| quoted(&text, key));
    let said = message.map_or_else(String::new, |text| format!(" It says: {text}"));
    Err(format!("{advice}{said}"))
}

/// The ids of OpenAI's list shape, or of the bare array that some backends answer with.
fn names(body: &[u8]) -> Option<Vec<String>> {
    let list: Value = serde_json::from_slice(body).ok()?;
    let items = list.get("data").unwrap_or(&list).as_array()?;
    let ids = items
        .iter()
        .map(|item| item.get("id")?.as_str().map(str::to_owned));
    ids.collect()
}

/// The message of an error in OpenAI's shape.
fn message(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let message = body.get("error")?.get("message")?.as_str()?;
    Some(message.to_owned())
}

/// Exact names that the list lacks; a pattern stands for models that nobody can name.
fn missing(configured: &[ModelPattern], names: &[String]) -> Vec<String> {
    configured
        .iter()
        .filter(|pattern| !pattern.is_wildcard())
        .filter(|pattern| !names.iter().any(|name| name == pattern.as_str()))
        .map(|pattern| pattern.as_str().to_owned())
        .collect()
}

/// What is shown of the list. A name beyond the bound is left out: part of a name is another name.
fn shown(names: &[String], key: &Secret) -> Vec<String> {
    names
        .iter()
        .map(|name| redact::redacted_text(name, Some(key)).into_owned())
        .filter(|name| name.chars().count() <= MODEL_CHARS_MAX)
        .take(MODELS_LEN_MAX)
        .collect()
}

/// Another's words on one line, without the key and cut to a length. Redacted first: half of a key would
/// not be recognised.
fn quoted(text: &str, key: &Secret) -> String {
    redact::redacted_text(text, Some(key))
        .into_owned()
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(QUOTED_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const KEY: &str = "sk-upstream-canary-1234";
    const TOOK: Duration = Duration::from_millis(12);

    fn test(configured: &[&str], reply: &Reply) -> ServerTestView {
        let configured: Vec<_> = configured.iter().copied().map(ModelPattern::new).collect();
        ServerTestView::new(&configured, &Secret::new(KEY), reply, TOOK)
    }

    fn answer(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply::Answer {
            status,
            body: Some(body.into()),
        }
    }

    fn list(ids: &[&str]) -> String {
        let data: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        json!({ "object": "list", "data": data }).to_string()
    }

    fn error(reply: &Reply) -> String {
        let view = test(&["a"], reply);
        assert!(!view.ok && view.models.is_none() && view.missing_models.is_empty());
        view.error.unwrap()
    }

    #[test]
    fn request_goes_to_the_models_of_the_base_url_with_the_servers_key() {
        let request = request("https://api.example.com/v1/", &Secret::new(KEY));
        assert_eq!(request.url, "https://api.example.com/v1/models");
        assert_eq!(request.authorization.expose(), format!("Bearer {KEY}"));
    }

    #[test]
    fn a_list_is_shown_and_exact_names_that_it_lacks_are_missing() {
        let view = test(&["a", "b", "gpt-*"], &answer(200, list(&["a", "c"])));
        assert_eq!(
            view,
            ServerTestView {
                ok: true,
                status: Some(200),
                latency_ms: 12,
                models: Some(vec!["a".to_owned(), "c".to_owned()]),
                missing_models: vec!["b".to_owned()],
                error: None,
            }
        );
        let bare = test(&[], &answer(200, r#"[{"id":"a"}]"#));
        assert_eq!(bare.models, Some(vec!["a".to_owned()]));
    }

    #[test]
    fn long_lists_are_cut_after_the_missing_names_were_looked_for() {
        let ids: Vec<String> = (0..MODELS_LEN_MAX).map(|n| format!("m{n}")).collect();
        let long = "x".repeat(MODEL_CHARS_MAX + 1);
        let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        ids.insert(0, &long);
        ids.push("last");
        let view = test(&["last"], &answer(200, list(&ids)));
        assert!(view.missing_models.is_empty());
        let models = view.models.unwrap();
        assert_eq!((models.len(), models[0].as_str()), (MODELS_LEN_MAX, "m0"));
    }

    #[test]
    fn what_is_no_list_is_an_error_that_says_so() {
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"data":{}}"#,
            r#"{"data":[{}]}"#,
            r#"{"data":["a"]}"#,
        ] {
            assert!(
                error(&answer(200, body)).contains("no list of models"),
                "{body}"
            );
        }
        let long = Reply::Answer {
            status: 200,
            body: None,
        };
        assert!(error(&long).contains("longer than 1048576 bytes"));
    }

    #[test]
    fn every_failure_says_what_to_do() {
        for (reply, words) in [
            (answer(302, ""), "redirects"),
            (answer(401, ""), "does not accept the API key"),
            (answer(403, ""), "does not accept the API key"),
            (answer(404, ""), "base_url"),
            (answer(429, ""), "later"),
            (answer(500, ""), "failed"),
            (Reply::Timeout, "within 10 s"),
            (
                Reply::Unreachable("refused".to_owned()),
                "cannot be reached",
            ),
        ] {
            assert!(error(&reply).contains(words), "{reply:?}");
        }
        let shut = ServerTestView::key_unreadable(OpenError::UnknownKey);
        assert!(!shut.ok && shut.error.unwrap().contains("entered again"));
    }

    #[test]
    fn the_servers_key_is_in_no_text_that_the_backend_may_quote_it_in() {
        let escaped = KEY.replace('-', "\\u002d");
        for reply in [
            answer(401, format!(r#"{{"error":{{"message":"bad key {KEY}"}}}}"#)),
            answer(
                401,
                format!(r#"{{"error":{{"message":"bad key {escaped}"}}}}"#),
            ),
            answer(200, list(&[KEY, &format!("x{KEY}y")])),
            Reply::Unreachable(format!("cannot send {KEY}")),
        ] {
            let text = serde_json::to_string(&test(&["a"], &reply)).unwrap();
            assert!(
                !text.contains("canary") && text.contains("[redacted]"),
                "{text}"
            );
        }
        let far = format!("{}{KEY}", "x".repeat(QUOTED_CHARS_MAX - 5));
        let text = error(&answer(500, json!({"error": {"message": far}}).to_string()));
        assert!(!text.contains("sk-up"), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_answer_gives_a_verdict_within_its_bounds(status in 100_u16..600, body in "(\\{\"data\":\\[)?\\PC{0,80}") {
            let view = test(&["a"], &answer(status, body));
            prop_assert_eq!(view.ok, view.error.is_none());
            prop_assert_eq!(view.ok, view.models.is_some());
            prop_assert!(view.error.is_none_or(|text| text.chars().count() < 500));
        }
    }
}
