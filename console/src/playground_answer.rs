//! 应答的内容：排队位置、文字、用量、带内错误。
//!
//! Owns what the playground learns from an answer: from the comments and events of a stream, or from a plain
//! one. What a provider adds and nobody knows is passed over.

use serde_json::Value;

use crate::errors::Failure;
use crate::playground_events::Piece;

/// Tokens, as the answer tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the question.
    pub prompt: u64,
    /// Of the answer.
    pub completion: u64,
    /// Of both.
    pub total: u64,
}

/// One thing that an answer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It waits.
    Queued {
        /// Its place, from 1.
        position: u64,
        /// How long it will probably wait from now.
        estimate_ms: Option<u64>,
    },
    /// More of the answer's text.
    Text(String),
    /// What was used.
    Used(Tokens),
    /// Why the text ends, in the provider's word.
    Ended(String),
    /// The answer ends with an error.
    Failed(Failure),
    /// The stream is complete.
    Complete,
}

/// What a piece of a stream tells.
#[must_use]
pub fn read(piece: &Piece) -> Vec<Told> {
    match piece {
        Piece::Comment(text) => queued(text).into_iter().collect(),
        Piece::Event { data, .. } if data.trim() == "[DONE]" => vec![Told::Complete],
        Piece::Event { name, data } => match serde_json::from_str::<Value>(data) {
            Ok(value)
                if name == "error" || value.get("error").is_some_and(|error| !error.is_null()) =>
            {
                vec![Told::Failed(failure(&value, data))]
            }
            Ok(value) => completion(&value, "delta"),
            Err(_) if name == "error" => vec![Told::Failed(Failure::read(0, data))],
            Err(_) => Vec::new(),
        },
    }
}

/// What a plain answer tells.
#[must_use]
pub fn read_plain(body: &str) -> Option<Vec<Told>> {
    let value: Value = serde_json::from_str(body).ok()?;
    value.get("choices")?;
    let mut told = completion(&value, "message");
    told.push(Told::Complete);
    Some(told)
}

/// Tokens per second of an answer whose text took from one instant to another.
#[must_use]
pub fn speed(tokens: u64, first_ms: f64, end_ms: f64) -> Option<f64> {
    let seconds = (end_ms - first_ms) / 1_000.0;
    // One token, or one instant, has no speed.
    (tokens > 1 && seconds >= 0.05).then(|| crate::figures::lossy(tokens) / seconds)
}

fn queued(comment: &str) -> Option<Told> {
    let pairs = comment.strip_prefix("queued ")?;
    let number = |name: &str| {
        pairs
            .split(' ')
            .filter_map(|pair| pair.split_once('='))
            .find(|(one, _)| *one == name)
            .and_then(|(_, value)| value.parse().ok())
    };
    Some(Told::Queued {
        position: number("position")?,
        estimate_ms: number("estimate_ms"),
    })
}

fn completion(value: &Value, part: &str) -> Vec<Told> {
    let mut told = Vec::new();
    let choice = value.get("choices").and_then(|choices| choices.get(0));
    if let Some(choice) = choice {
        let content = choice.get(part).and_then(|part| part.get("content"));
        if let Some(text) = content
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
        {
            told.push(Told::Text(text.to_owned()));
        }
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
            told.push(Told::Ended(reason.to_owned()));
        }
    }
    if let Some(usage) = value.get("usage").filter(|usage| usage.is_object()) {
        let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
        told.push(Told::Used(Tokens {
            prompt: count("prompt_tokens"),
            completion: count("completion_tokens"),
            total: count("total_tokens"),
        }));
    }
    told
}

fn failure(value: &Value, data: &str) -> Failure {
    let status = value.get("status").and_then(Value::as_u64);
    let status = status.and_then(|status| u16::try_from(status).ok());
    let mut failure = Failure::read(status.unwrap_or_default(), data);
    if failure.message.is_empty() {
        // A provider's own shape: its message, else all of it.
        let error = value.get("error").unwrap_or(value);
        let message = error.get("message").and_then(Value::as_str);
        failure.message = message.map_or_else(|| error.to_string(), str::to_owned);
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Vec<Told> {
        read(&Piece::Event {
            name: name.to_owned(),
            data: data.to_owned(),
        })
    }

    fn comment(text: &str) -> Vec<Told> {
        read(&Piece::Comment(text.to_owned()))
    }

    #[test]
    fn a_comment_tells_place_and_estimate_or_nothing() {
        let queued = |position, estimate_ms| {
            vec![Told::Queued {
                position,
                estimate_ms,
            }]
        };
        assert_eq!(
            comment("queued position=3 estimate_ms=1200"),
            queued(3, Some(1_200))
        );
        assert_eq!(comment("queued position=12"), queued(12, None));
        assert_eq!(comment("keep-alive"), []);
        assert_eq!(comment("queued position=x"), []);
    }

    #[test]
    fn a_chunk_tells_text_end_and_usage() {
        assert_eq!(
            event(
                "",
                r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}"#
            ),
            [Told::Text("Hi".to_owned())]
        );
        assert_eq!(
            event("", r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#),
            [Told::Ended("length".to_owned())]
        );
        assert_eq!(
            event(
                "",
                r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":8,"total_tokens":13}}"#
            ),
            [Told::Used(Tokens {
                prompt: 5,
                completion: 8,
                total: 13
            })]
        );
        assert_eq!(event("", "[DONE]"), [Told::Complete]);
        assert_eq!(event("", "not json"), []);
        assert_eq!(event("ping", r#"{"type":"ping"}"#), []);
    }

    #[test]
    fn an_error_in_band_keeps_code_status_and_request() {
        let told = event(
            "error",
            r#"{"error":{"message":"Waited too long.","code":"queue_timeout","param":null,"request_id":"req_1"}}"#,
        );
        let [Told::Failed(failure)] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(failure.code, "queue_timeout");
        assert_eq!(failure.request_id.as_deref(), Some("req_1"));
        let told = event(
            "error",
            r#"{"error":{"message":"No.","type":"x"},"status":400}"#,
        );
        let [Told::Failed(failure)] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((failure.status, failure.message.as_str()), (400, "No."));
        // Without a name, in a shape of the provider's own.
        let told = event("", r#"{"error":"busy"}"#);
        let [Told::Failed(failure)] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(failure.message, "\"busy\"");
        assert!(matches!(event("error", "text")[..], [Told::Failed(_)]));
    }

    #[test]
    fn a_plain_answer_tells_the_same_as_its_stream() {
        let body = r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
        assert_eq!(
            read_plain(body),
            Some(vec![
                Told::Text("Hi".to_owned()),
                Told::Ended("stop".to_owned()),
                Told::Used(Tokens {
                    prompt: 1,
                    completion: 2,
                    total: 3
                }),
                Told::Complete,
            ])
        );
        assert_eq!(read_plain("<html>"), None);
        assert_eq!(read_plain("{}"), None);
    }

    #[test]
    fn a_speed_needs_more_than_one_token_and_some_time() {
        assert_eq!(speed(50, 1_000.0, 3_000.0), Some(25.0));
        assert_eq!(speed(1, 0.0, 1_000.0), None);
        assert_eq!(speed(50, 1_000.0, 1_010.0), None);
    }
}
