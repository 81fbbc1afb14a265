//! 各端点的形状：同一个答案，各家的写法。
//!
//! Owns how each endpoint writes an answer down, plain and as the events of a stream, as the providers' own
//! clients expect it. What an answer says and costs is decided in `answer`.

use serde_json::{Map, Value, json};

use super::answer::{Answer, CREATED, Cost};

/// What it answers as, its own list: the gateway's rules are not to be judged by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    ChatCompletions,
    Completions,
    Embeddings,
    Responses,
    Messages,
}

impl Endpoint {
    /// By a path, whatever stands before it.
    pub(super) fn at(path: &str) -> Option<Self> {
        let last = path.trim_end_matches('/').rsplit('/').next()?;
        match last {
            "completions" if path.ends_with("/chat/completions") => Some(Self::ChatCompletions),
            "completions" => Some(Self::Completions),
            "embeddings" => Some(Self::Embeddings),
            "responses" => Some(Self::Responses),
            "messages" => Some(Self::Messages),
            _ => None,
        }
    }
}

/// One event of a stream.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) name: Option<&'static str>,
    pub(super) data: String,
}

/// The events of a stream: what begins it, one for each word, and what ends it.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    pub(super) begin: Vec<Event>,
    pub(super) words: Vec<Event>,
    pub(super) end: Vec<Event>,
}

/// An event with its type in it, as it is named.
fn named(name: &'static str, mut data: Value) -> Event {
    data["type"] = json!(name);
    Event {
        name: Some(name),
        data: data.to_string(),
    }
}

const fn bare(data: String) -> Event {
    Event { name: None, data }
}

impl Cost {
    fn usage(self, endpoint: Endpoint) -> Value {
        match endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions => {
                let mut usage = json!({
                    "prompt_tokens": self.prompt,
                    "completion_tokens": self.output,
                    "total_tokens": self.prompt + self.output,
                    "prompt_tokens_details": {"cached_tokens": self.cached},
                });
                if self.reasoning > 0 {
                    usage["completion_tokens_details"] =
                        json!({"reasoning_tokens": self.reasoning});
                }
                usage
            }
            Endpoint::Embeddings => {
                json!({"prompt_tokens": self.prompt, "total_tokens": self.prompt})
            }
            Endpoint::Responses => json!({
                "input_tokens": self.prompt,
                "input_tokens_details": {"cached_tokens": self.cached},
                "output_tokens": self.output,
                "output_tokens_details": {"reasoning_tokens": self.reasoning},
                "total_tokens": self.prompt + self.output,
            }),
            Endpoint::Messages => self.message_usage(self.output),
        }
    }

    fn message_usage(self, output: u64) -> Value {
        json!({
            "input_tokens": self.prompt - self.cached - self.cache_written,
            "cache_creation_input_tokens": self.cache_written,
            "cache_read_input_tokens": self.cached,
            "output_tokens": output,
        })
    }
}

impl Answer {
    /// The plain answer.
    pub(super) fn plain(&self) -> Value {
        let text = self.text();
        let mut body = match self.endpoint {
            Endpoint::ChatCompletions => {
                let message = json!({"role": "assistant", "content": text});
                self.envelope(
                    "chat.completion",
                    self.choices_of("message", &message, true),
                )
            }
            Endpoint::Completions => self.envelope(
                "text_completion",
                self.choices_of("text", &json!(text), true),
            ),
            Endpoint::Embeddings => self.vectors(),
            Endpoint::Responses => return self.response(true),
            Endpoint::Messages => self.message(&json!([{"type": "text", "text": text}]), true),
        };
        if let Some(cost) = self.told {
            body["usage"] = cost.usage(self.endpoint);
        }
        body
    }

    /// The stream. `include_usage` is what a stream of chunks was asked for.
    pub(super) fn events(&self, include_usage: bool) -> Events {
        match self.endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Embeddings => {
                self.chunks(include_usage)
            }
            Endpoint::Responses => self.response_events(),
            Endpoint::Messages => self.message_events(),
        }
    }

    fn chunks(&self, include_usage: bool) -> Events {
        let is_chat = self.endpoint == Endpoint::ChatCompletions;
        let object = if is_chat {
            "chat.completion.chunk"
        } else {
            "text_completion"
        };
        let event = |choices: Vec<Value>, usage: Value| {
            let mut chunk = self.envelope(object, choices);
            if include_usage && self.told.is_some() {
                chunk["usage"] = usage;
            }
            bare(chunk.to_string())
        };
        let piece = |index: usize, word: &String| match (is_chat, index) {
            (true, 0) => self.choices_of(
                "delta",
                &json!({"role": "assistant", "content": word}),
                false,
            ),
            (true, _) => self.choices_of("delta", &json!({"content": word}), false),
            (false, _) => self.choices_of("text", &json!(word), false),
        };
        let words = self.words.iter().enumerate();
        let words = words.map(|(index, word)| event(piece(index, word), Value::Null));
        let last = if is_chat {
            self.choices_of("delta", &json!({}), true)
        } else {
            self.choices_of("text", &json!(""), true)
        };
        let mut end = vec![event(last, Value::Null)];
        if let (true, Some(cost)) = (include_usage, self.told) {
            end.push(event(Vec::new(), cost.usage(self.endpoint)));
        }
        end.push(bare("[DONE]".to_owned()));
        Events {
            begin: Vec::new(),
            words: words.collect(),
            end,
        }
    }

    fn choices_of(&self, key: &str, value: &Value, is_last: bool) -> Vec<Value> {
        let reason = if self.is_cut { "length" } else { "stop" };
        let reason = is_last.then_some(reason);
        (0..self.choices)
            .map(|index| json!({"index": index, key: value, "finish_reason": reason}))
            .collect()
    }

    fn envelope(&self, object: &str, choices: Vec<Value>) -> Value {
        let id = match self.endpoint {
            Endpoint::ChatCompletions => format!("chatcmpl-demo-{}", self.number),
            _ => format!("cmpl-demo-{}", self.number),
        };
        let mut envelope = Map::new();
        envelope.insert("id".to_owned(), json!(id));
        envelope.insert("object".to_owned(), json!(object));
        envelope.insert("created".to_owned(), json!(CREATED));
        envelope.insert("model".to_owned(), json!(self.model));
        envelope.insert("choices".to_owned(), Value::Array(choices));
        Value::Object(envelope)
    }

    fn vectors(&self) -> Value {
        let vector =
            |index| json!({"object": "embedding", "index": index, "embedding": [0.25, -0.5, 1e-7]});
        let data: Vec<Value> = (0..self.inputs).map(vector).collect();
        json!({"object": "list", "model": self.model, "data": data})
    }

    /// A response, over or as it begins.
    fn response(&self, is_over: bool) -> Value {
        let status = match (is_over, self.is_cut) {
            (false, _) => "in_progress",
            (true, false) => "completed",
            (true, true) => "incomplete",
        };
        let output = if is_over {
            vec![self.output_item()]
        } else {
            Vec::new()
        };
        let usage = self.told.filter(|_| is_over);
        json!({
            "id": format!("resp_demo_{}", self.number), "object": "response", "created_at": CREATED,
            "model": self.model, "status": status, "error": null, "incomplete_details": null,
            "instructions": null, "output": output, "parallel_tool_calls": true, "tools": [],
            "usage": usage.map(|cost| cost.usage(Endpoint::Responses)),
        })
    }

    fn output_item(&self) -> Value {
        json!({
            "id": format!("msg_demo_{}", self.number), "type": "message", "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": self.text(), "annotations": []}],
        })
    }

    fn response_events(&self) -> Events {
        let item = format!("msg_demo_{}", self.number);
        let text = self.text();
        let mut sequence = 0;
        let mut event = |name, mut data: Value| {
            data["sequence_number"] = json!(sequence);
            sequence += 1;
            named(name, data)
        };
        let place = json!({"item_id": item, "output_index": 0, "content_index": 0});
        let placed = |key: &str, value: Value| {
            let mut data = place.clone();
            data[key] = value;
            data
        };
        let empty = json!({"type": "output_text", "text": "", "annotations": []});
        let begin = vec![
            event(
                "response.created",
                json!({"response": self.response(false)}),
            ),
            event(
                "response.in_progress",
                json!({"response": self.response(false)}),
            ),
            event(
                "response.output_item.added",
                json!({"output_index": 0, "item": {
                    "id": item, "type": "message", "role": "assistant", "status": "in_progress", "content": [],
                }}),
            ),
            event("response.content_part.added", placed("part", empty)),
        ];
        let words = self
            .words
            .iter()
            .map(|word| event("response.output_text.delta", placed("delta", json!(word))))
            .collect();
        let last = if self.is_cut {
            "response.incomplete"
        } else {
            "response.completed"
        };
        let part = json!({"type": "output_text", "text": text, "annotations": []});
        let end = vec![
            event("response.output_text.done", placed("text", json!(text))),
            event("response.content_part.done", placed("part", part)),
            event(
                "response.output_item.done",
                json!({"output_index": 0, "item": self.output_item()}),
            ),
            event(last, json!({"response": self.response(true)})),
        ];
        Events { begin, words, end }
    }

    fn message(&self, content: &Value, is_over: bool) -> Value {
        let reason = if self.is_cut {
            "max_tokens"
        } else {
            "end_turn"
        };
        json!({
            "id": format!("msg_demo_{}", self.number), "type": "message", "role": "assistant",
            "model": self.model, "content": content, "stop_sequence": null,
            "stop_reason": is_over.then_some(reason),
        })
    }

    fn message_events(&self) -> Events {
        let mut message = self.message(&json!([]), false);
        if let Some(cost) = self.told {
            message["usage"] = cost.message_usage(1);
        }
        let mut last = json!({"delta": {
            "stop_reason": if self.is_cut { "max_tokens" } else { "end_turn" }, "stop_sequence": null,
        }});
        if let Some(cost) = self.told {
            last["usage"] = json!({"output_tokens": cost.output});
        }
        let delta = |word: &String| {
            let delta = json!({"type": "text_delta", "text": word});
            named("content_block_delta", json!({"index": 0, "delta": delta}))
        };
        let block = json!({"type": "text", "text": ""});
        Events {
            begin: vec![
                named("message_start", json!({"message": message})),
                named(
                    "content_block_start",
                    json!({"index": 0, "content_block": block}),
                ),
                named("ping", json!({})),
            ],
            words: self.words.iter().map(delta).collect(),
            end: vec![
                named("content_block_stop", json!({"index": 0})),
                named("message_delta", last),
                named("message_stop", json!({})),
            ],
        }
    }
}
