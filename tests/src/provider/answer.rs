//! 答案：确定的文字、可预算的用量。
//!
//! Owns what an answer says and what it costs; how each endpoint writes that down, is in `shape`. Pure: the same
//! request with the same wishes has the same answer but for its id, which counts requests.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::behaviour::Behaviour;
use super::shape::Endpoint;

/// Bytes of prompt text that count as one token.
pub const PROMPT_BYTES_PER_TOKEN: u64 = 4;

/// Creation time in every answer: fixed, so that answers are repeatable.
pub(super) const CREATED: u64 = 1_700_000_000;

const WORDS: [&str; 12] = [
    "water", "waits", "behind", "the", "gate", "until", "its", "turn", "comes", "and", "then",
    "flows",
];

/// Most choices of one answer, as many as the real service allows.
const CHOICES_MAX: u64 = 128;

/// What the provider reads of a request; it looks at nothing else, so odd extensions do not disturb it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Request {
    model: Option<String>,
    messages: Option<Vec<Map<String, Value>>>,
    prompt: Option<Value>,
    input: Option<Value>,
    pub(super) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    n: Option<u64>,
    best_of: Option<u64>,
    pub(super) sluice_demo: Option<Behaviour>,
}

/// Bytes of text of a prompt in any of its forms; a token stands for as many as make one.
fn text_bytes(prompt: &Value) -> u64 {
    match prompt {
        Value::String(text) => text.len() as u64,
        Value::Number(_) => PROMPT_BYTES_PER_TOKEN,
        Value::Array(parts) => parts.iter().map(text_bytes).sum(),
        Value::Object(part) => ["text", "content"]
            .iter()
            .filter_map(|key| part.get(*key))
            .map(text_bytes)
            .sum(),
        Value::Null | Value::Bool(_) => 0,
    }
}

#[derive(Clone, Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl Request {
    pub(super) fn choices(&self) -> u64 {
        self.n.unwrap_or(1)
    }

    /// How many answers are written, whether they are all sent or not.
    pub(super) fn written(&self) -> u64 {
        self.best_of.unwrap_or(1).max(self.choices())
    }

    /// Whether it asks for as many answers as there may be.
    pub(super) fn is_within_bounds(&self) -> bool {
        let bounds = 1..=CHOICES_MAX;
        bounds.contains(&self.choices()) && bounds.contains(&self.best_of.unwrap_or(1))
    }

    /// How many inputs are to be embedded: each of an array, unless it is one of tokens.
    pub(super) fn inputs(&self) -> usize {
        match &self.input {
            Some(Value::Array(inputs)) if !inputs.iter().any(Value::is_number) => inputs.len(),
            input => usize::from(input.is_some()),
        }
    }

    pub(super) fn includes_usage(&self) -> bool {
        self.stream_options
            .as_ref()
            .is_some_and(|options| options.include_usage == Some(true))
    }

    fn output_max(&self) -> Option<u64> {
        self.max_completion_tokens
            .or(self.max_tokens)
            .or(self.max_output_tokens)
    }

    fn prompt_tokens(&self) -> u64 {
        let messages = self.messages.iter().flatten();
        let asked = messages.filter_map(|message| message.get("content"));
        let asked = asked.chain(&self.prompt).chain(&self.input);
        let bytes: u64 = asked.map(text_bytes).sum();
        bytes.div_ceil(PROMPT_BYTES_PER_TOKEN)
    }
}

/// Prompt tokens of a request body, see the module [`super`]; 0 if it is no such request.
pub fn prompt_tokens(body: &[u8]) -> u64 {
    serde_json::from_slice::<Request>(body).map_or(0, |request| request.prompt_tokens())
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

/// What an answer costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Everything of the prompt.
    pub(super) prompt: u64,
    /// Of it, what came from a cache.
    pub(super) cached: u64,
    /// Of it, what was written to a cache.
    pub(super) cache_written: u64,
    /// Everything of the output.
    pub(super) output: u64,
    /// Of it, what is no text.
    pub(super) reasoning: u64,
}

/// An answer decided upon, ready to be written either way.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) endpoint: Endpoint,
    pub(super) number: u64,
    pub(super) model: String,
    pub(super) words: Vec<String>,
    pub(super) choices: u64,
    /// Vectors that an embedding has.
    pub(super) inputs: usize,
    /// Whether its bound has cut the answer.
    pub(super) is_cut: bool,
    /// `None`: it tells no usage.
    pub(super) told: Option<Cost>,
    pub(super) tokens: u64,
}

impl Answer {
    pub(super) fn new(
        endpoint: Endpoint,
        request: &Request,
        behaviour: &Behaviour,
        credential: Option<&str>,
        number: u64,
    ) -> Self {
        let wanted = match endpoint {
            Endpoint::Embeddings => 0,
            _ => behaviour.chunks(),
        };
        let count = request
            .output_max()
            .map_or(wanted, |bound| wanted.min(bound as usize));
        let mut words: Vec<String> = (0..count).map(word).collect();
        if let (Some(true), Some(credential), Some(first)) =
            (behaviour.quote_authorization, credential, words.first_mut())
        {
            *first = format!("you sent {credential}");
        }
        let choices = request.choices();
        let reasoning = behaviour.reasoning_tokens.unwrap_or(0);
        let cost = Cost {
            prompt: behaviour
                .prompt_tokens
                .unwrap_or_else(|| request.prompt_tokens()),
            cached: behaviour.cached_tokens.unwrap_or(0),
            cache_written: behaviour.cache_written_tokens.unwrap_or(0),
            output: count as u64 * request.written() + reasoning,
            reasoning,
        };
        Self {
            endpoint,
            number,
            model: request.model.clone().unwrap_or_default(),
            words,
            choices,
            inputs: request.inputs(),
            is_cut: count < wanted,
            told: (behaviour.no_usage != Some(true)).then_some(cost),
            tokens: cost.prompt + cost.output,
        }
    }

    /// The whole text.
    pub(super) fn text(&self) -> String {
        self.words.concat()
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
