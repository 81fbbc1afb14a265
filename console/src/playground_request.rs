//! 试验场的请求：从表单到请求体与 curl。
//!
//! Owns what the playground sends: the body from what was typed, its headers, and the same as a command for
//! the shell. The provider judges the fields; only what is no number is told before it is sent.
//!
//! Invariant: a key is in no text that is shown.

use serde::Serialize;

use crate::keys_snippets::curl;

/// Stands for the key in what is shown.
const KEY_VARIABLE: &str = "$SLUICE_KEY";

/// What stands in the form. Numbers are kept as they were typed; an empty one is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Sent as `App-Name`.
    pub app: String,
    /// The model.
    pub model: String,
    /// Before all messages.
    pub system: String,
    /// `temperature`
    pub temperature: String,
    /// `max_tokens`
    pub max_tokens: String,
    /// Sent as `X-Queue-Timeout`, in seconds.
    pub wait: String,
    /// Whether the answer comes piece by piece.
    pub stream: bool,
}

/// A field whose text is no number that could be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// `temperature`: 0 or more.
    Temperature,
    /// `max_tokens`: a whole number from 1.
    MaxTokens,
    /// `X-Queue-Timeout`: 0 or more.
    Wait,
}

/// A message of the conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// Its text.
    pub content: String,
}

#[derive(Serialize)]
struct Body<'b> {
    model: &'b str,
    messages: Vec<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// A request that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Without the key.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

impl Form {
    /// The request that continues a conversation: `messages` are questions and answers in their order.
    pub fn request(&self, messages: &[Message]) -> Result<Request, Wrong> {
        let temperature = number(&self.temperature).map_err(|()| Wrong::Temperature)?;
        let max_tokens = match self.max_tokens.trim() {
            "" => None,
            text => Some(
                text.parse()
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or(Wrong::MaxTokens)?,
            ),
        };
        let wait = number(&self.wait).map_err(|()| Wrong::Wait)?;
        let system = Some(self.system.trim()).filter(|text| !text.is_empty());
        let system = system.map(|text| Message {
            role: "system",
            content: text.to_owned(),
        });
        let body = Body {
            model: self.model.trim(),
            messages: system.into_iter().chain(messages.iter().cloned()).collect(),
            temperature,
            max_tokens,
            stream: self.stream,
            stream_options: self.stream.then_some(StreamOptions {
                include_usage: true,
            }),
        };
        let mut headers = vec![
            ("App-Name", self.app.trim().to_owned()),
            ("Content-Type", "application/json".to_owned()),
        ];
        if self.stream {
            headers.push(("X-Queue-Progress", "sse".to_owned()));
        }
        if wait.is_some() {
            headers.push(("X-Queue-Timeout", self.wait.trim().to_owned()));
        }
        headers.retain(|(_, value)| !value.is_empty());
        Ok(Request {
            headers,
            // Texts and numbers always serialize.
            body: serde_json::to_string(&body).unwrap_or_default(),
        })
    }
}

impl Request {
    /// As a command, which takes the key from a variable of the shell.
    #[must_use]
    pub fn to_curl(&self, origin: &str) -> String {
        let headers: Vec<(&str, String)> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.clone()))
            .collect();
        let url = format!("{origin}/v1/chat/completions");
        let text = curl(&url, &headers, &self.body);
        // Double quotes, in which the shell puts the variable's value.
        let key = format!(" \\\n  -H \"Authorization: Bearer {KEY_VARIABLE}\"");
        let (start, rest) = text.split_once(" \\\n").unwrap_or((&text, ""));
        format!("{start} -N{key} \\\n{rest}")
    }
}

fn number(text: &str) -> Result<Option<f64>, ()> {
    match text.trim() {
        "" => Ok(None),
        text => {
            let number: f64 = text.parse().map_err(|_error| ())?;
            if number.is_finite() && number >= 0.0 {
                Ok(Some(number))
            } else {
                Err(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        Form {
            app: "playground".to_owned(),
            model: "gpt-5".to_owned(),
            stream: true,
            ..Form::default()
        }
    }

    fn user(text: &str) -> Message {
        Message {
            role: "user",
            content: text.to_owned(),
        }
    }

    #[test]
    fn a_stream_asks_for_usage_and_for_its_place_in_the_queue() {
        let request = form().request(&[user("Hi")]).unwrap();
        assert_eq!(
            request.body,
            r#"{"model":"gpt-5","messages":[{"role":"user","content":"Hi"}],"stream":true,"stream_options":{"include_usage":true}}"#
        );
        assert!(
            request
                .headers
                .contains(&("X-Queue-Progress", "sse".to_owned()))
        );
    }

    #[test]
    fn what_is_left_empty_is_not_sent() {
        let plain = Form {
            stream: false,
            app: String::new(),
            ..form()
        };
        let request = plain.request(&[user("Hi")]).unwrap();
        assert_eq!(
            request.body,
            r#"{"model":"gpt-5","messages":[{"role":"user","content":"Hi"}],"stream":false}"#
        );
        assert_eq!(
            request.headers,
            [("Content-Type", "application/json".to_owned())]
        );
    }

    #[test]
    fn all_that_was_typed_is_sent() {
        let full = Form {
            system: " Be brief. ".to_owned(),
            temperature: "0.2".to_owned(),
            max_tokens: "64".to_owned(),
            wait: "2.5".to_owned(),
            ..form()
        };
        let request = full.request(&[user("Hi")]).unwrap();
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["messages"][0]["content"], "Be brief.");
        assert_eq!(body["temperature"], 0.2);
        assert_eq!(body["max_tokens"], 64);
        assert!(
            request
                .headers
                .contains(&("X-Queue-Timeout", "2.5".to_owned()))
        );
    }

    #[test]
    fn what_is_no_number_is_told_with_its_field() {
        let with = |change: fn(&mut Form)| {
            let mut form = form();
            change(&mut form);
            form.request(&[]).unwrap_err()
        };
        assert_eq!(
            with(|form| form.temperature = "warm".to_owned()),
            Wrong::Temperature
        );
        assert_eq!(
            with(|form| form.temperature = "NaN".to_owned()),
            Wrong::Temperature
        );
        assert_eq!(
            with(|form| form.max_tokens = "0".to_owned()),
            Wrong::MaxTokens
        );
        assert_eq!(
            with(|form| form.max_tokens = "1.5".to_owned()),
            Wrong::MaxTokens
        );
        assert_eq!(with(|form| form.wait = "-1".to_owned()), Wrong::Wait);
    }

    #[test]
    fn the_command_takes_the_key_from_the_shell() {
        let text = form()
            .request(&[user("it's")])
            .unwrap()
            .to_curl("https://g.example");
        assert_eq!(
            text,
            "curl https://g.example/v1/chat/completions -N \\\n  \
             -H \"Authorization: Bearer $SLUICE_KEY\" \\\n  \
             -H 'App-Name: playground' \\\n  \
             -H 'Content-Type: application/json' \\\n  \
             -H 'X-Queue-Progress: sse' \\\n  \
             -d '{\"model\":\"gpt-5\",\"messages\":[{\"role\":\"user\",\"content\":\"it'\\''s\"}],\"stream\":true,\"stream_options\":{\"include_usage\":true}}'"
        );
    }
}
