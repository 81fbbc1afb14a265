//! 答案：确定的文字、可预算的用量、OpenAI 的形状。
//!
//! Owns the bodies of completions, plain and as stream events, and the model
//! list. Pure: the same request with the same wishes has the same answer but for
//! its id, which counts requests.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::behaviour::Behaviour;

/// Bytes of prompt text that count as one token.
pub const PROMPT_BYTES_PER_TOKEN: u64 = 4;

/// Creation time in every answer: fixed, so that answers are repeatable.
const CREATED: u64 = 1_700_000_000;

const WORDS: [&str; 12] = [
    "water", "waits", "behind", "the", "gate", "until", "its", "turn", "comes", "and", "then",
    "flows",
];

/// Most choices of one answer, as many as the real service allows.
pub(super) const CHOICES_MAX: u64 = 128;

/// What the provider reads of a request; it looks at nothing else, so odd extensions do not disturb it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ChatRequest {
    model: Option<String>,
    messages: Option<Vec<Message>>,
    pub(super) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
    pub(super) sluice_demo: Option<Behaviour>,
}

#[derive(Clone, Debug, Deserialize)]
struct Message {
    content: Option<Content>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Clone, Debug, Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

#[derive(Clone, Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl ChatRequest {
    pub(super) fn choices(&self) -> u64 {
        self.n.unwrap_or(1)
    }

    pub(super) fn includes_usage(&self) -> bool {
        self.stream_options
            .as_ref()
            .is_some_and(|options| options.include_usage == Some(true))
    }

    fn prompt_tokens(&self) -> u64 {
        let contents = self
            .messages
            .iter()
            .flatten()
            .filter_map(|message| message.content.as_ref());
        let bytes: usize = contents
            .map(|content| match content {
                Content::Text(text) => text.len(),
                Content::Parts(parts) => parts.iter().map(|part| part.text.len()).sum(),
            })
            .sum();
        (bytes as u64).div_ceil(PROMPT_BYTES_PER_TOKEN)
    }
}

/// Prompt tokens of a request body, see the module [`super`]; 0 if it is no such request.
pub fn prompt_tokens(body: &[u8]) -> u64 {
    serde_json::from_slice::<ChatRequest>(body).map_or(0, |request| request.prompt_tokens())
}

/// Text of an answer of that many words.
pub fn completion_text(words: usize) -> String {
    (0..words).map(word).collect()
}

fn word(index: usize) -> String {
    let word = WORDS[index % WORDS.len()];
    if index == 0 {
        word.to_owned()
    } else {
        format!(" {word}")
    }
}

/// A completion decided upon, ready to be written either way.
#[derive(Clone, Debug)]
pub(super) struct Completion {
    id: String,
    model: String,
    words: Vec<String>,
    choices: u64,
    finish_reason: &'static str,
    usage: Option<Value>,
    pub(super) tokens: u64,
}

impl Completion {
    pub(super) fn new(
        request: &ChatRequest,
        behaviour: &Behaviour,
        authorization: Option<&str>,
        number: u64,
    ) -> Self {
        let bound = request.max_completion_tokens.or(request.max_tokens);
        let wanted = behaviour.chunks();
        let count = bound.map_or(wanted, |bound| wanted.min(bound as usize));
        let mut words: Vec<String> = (0..count).map(word).collect();
        if let (Some(true), Some(authorization), Some(first)) = (
            behaviour.quote_authorization,
            authorization,
            words.first_mut(),
        ) {
            *first = format!("you sent {authorization}");
        }
        let choices = request.choices();
        let prompt = behaviour
            .prompt_tokens
            .unwrap_or_else(|| request.prompt_tokens());
        let output = count as u64 * choices;
        let usage = json!({
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
            "prompt_tokens_details": {"cached_tokens": behaviour.cached_tokens.unwrap_or(0)},
        });
        Self {
            id: format!("chatcmpl-demo-{number}"),
            model: request.model.clone().unwrap_or_default(),
            words,
            choices,
            finish_reason: if count < wanted { "length" } else { "stop" },
            usage: (behaviour.no_usage != Some(true)).then_some(usage),
            tokens: prompt + output,
        }
    }

    /// The plain answer.
    pub(super) fn plain(&self) -> Value {
        let choices: Vec<Value> = (0..self.choices)
            .map(|index| {
                json!({
                    "index": index,
                    "message": {"role": "assistant", "content": self.words.concat()},
                    "finish_reason": self.finish_reason,
                })
            })
            .collect();
        let mut answer = self.envelope("chat.completion", choices);
        if let Some(usage) = &self.usage {
            answer.insert("usage".to_owned(), usage.clone());
        }
        Value::Object(answer)
    }

    /// The stream: events of one word each, then the events after the words.
    pub(super) fn events(&self, include_usage: bool) -> (Vec<String>, Vec<String>) {
        let event = |choices: Vec<Value>, usage: Option<&Value>| {
            let mut chunk = self.envelope("chat.completion.chunk", choices);
            if include_usage && self.usage.is_some() {
                chunk.insert("usage".to_owned(), usage.cloned().unwrap_or(Value::Null));
            }
            Value::Object(chunk).to_string()
        };
        let per_choice = |delta: &Value, finish: Option<&str>| {
            (0..self.choices)
                .map(|index| json!({"index": index, "delta": delta, "finish_reason": finish}))
                .collect::<Vec<Value>>()
        };
        let words = self.words.iter().enumerate().map(|(index, word)| {
            let delta = if index == 0 {
                json!({"role": "assistant", "content": word})
            } else {
                json!({"content": word})
            };
            event(per_choice(&delta, None), None)
        });
        let mut end = vec![event(
            per_choice(&json!({}), Some(self.finish_reason)),
            None,
        )];
        if let (true, Some(usage)) = (include_usage, &self.usage) {
            end.push(event(Vec::new(), Some(usage)));
        }
        end.push("[DONE]".to_owned());
        (words.collect(), end)
    }

    fn envelope(&self, object: &str, choices: Vec<Value>) -> Map<String, Value> {
        let mut envelope = Map::new();
        envelope.insert("id".to_owned(), json!(self.id));
        envelope.insert("object".to_owned(), json!(object));
        envelope.insert("created".to_owned(), json!(CREATED));
        envelope.insert("model".to_owned(), json!(self.model));
        envelope.insert("choices".to_owned(), Value::Array(choices));
        envelope
    }
}

/// OpenAI's error shape.
pub(super) fn error(message: &str, kind: &str) -> String {
    json!({"error": {"message": message, "type": kind, "param": null, "code": null}}).to_string()
}

/// OpenAI's model list.
pub(super) fn models(models: &[String]) -> Value {
    let data: Vec<Value> = models
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "demo"}))
        .collect();
    json!({"object": "list", "data": data})
}
