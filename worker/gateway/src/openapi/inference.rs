//! 推理端点的说明：读哪些字段，回答是什么样子。
//!
//! Owns what the OpenAPI document says about the endpoints that ask a model. They differ in little: the fields
//! that the gateway reads, an example, and whether there are streams. Which fields are read is told by
//! [`crate::endpoint`]; what is described here and not there, is only passed on.
//!
//! Invariant: every field that the gateway reads is described.

use serde_json::{Map, Value, json};

use super::operation::Operation;
use super::operations::DATA;
use super::parameters;
use crate::endpoint::Endpoint;
use crate::error::ErrorCode as Code;

/// The description of an endpoint.
pub(super) fn of(endpoint: Endpoint) -> Operation {
    let (id, summary, answer) = words(endpoint);
    let mut operation = Operation::new(DATA, id, summary)
        .says("Waits its turn where the server's limits do not admit it now. Status, body and content type of the server's answer come back as they are.")
        .takes(&["App-Name", "X-Queue-Timeout"])
        .reads_content(body(endpoint))
        .fails(&[
            Code::BodyTooLarge,
            Code::InvalidJson,
            Code::MissingModel,
            Code::ModelNotFound,
            Code::QueueTimeout,
            Code::QueueEvicted,
            Code::QueueFull,
            Code::DeadlineUnreachable,
            Code::UpstreamUnreachable,
            Code::UpstreamTimeout,
            Code::ServerOverloaded,
            Code::LoopDetected,
        ])
        .passes_upstream_errors()
        .answers_schema(200, "The server's answer.", "application/json", json!({
            "type": "object", "description": format!("{answer}, as the server sent it."),
        }));
    if endpoint.stream_form().is_some() {
        operation = operation.takes(&["X-Queue-Progress"]).answers_schema(200, "", "text/event-stream", json!({
            "description": "Events of the server as they come. Comments (`: queued position=3 estimate_ms=1200`) tell the wait where `X-Queue-Progress` asked for it. A failure after the beginning is an event `error` with the shape of `Error`.",
        }));
    }
    if endpoint == Endpoint::Messages {
        operation = operation.takes(&["anthropic-version"]);
    }
    operation.with(&parameters::OF_EXCHANGE)
}

/// Operation id, summary, and what a plain answer is.
const fn words(endpoint: Endpoint) -> (&'static str, &'static str, &'static str) {
    match endpoint {
        Endpoint::ChatCompletions => (
            "createChatCompletion",
            "A chat, streaming or not",
            "A chat completion",
        ),
        Endpoint::Completions => (
            "createCompletion",
            "A completion of a text, streaming or not",
            "A completion",
        ),
        Endpoint::Embeddings => ("createEmbedding", "Embeddings of texts", "Embeddings"),
        Endpoint::Responses => (
            "createResponse",
            "A response, streaming or not",
            "A response",
        ),
        Endpoint::Messages => (
            "createMessage",
            "A message in Anthropic's form, streaming or not",
            "A message",
        ),
    }
}

fn body(endpoint: Endpoint) -> Value {
    let form = match endpoint {
        Endpoint::Messages => "Anthropic's",
        _ => "OpenAI's",
    };
    let mut properties: Map<String, Value> = endpoint
        .fields()
        .iter()
        .map(|field| ((*field).to_owned(), field_schema(endpoint, field)))
        .collect();
    let (content, schema, example) = content(endpoint);
    properties.insert(content.to_owned(), schema);
    let shown = match endpoint {
        Endpoint::Messages => json!({"model": "demo-small", "max_tokens": 256, content: example}),
        _ => json!({"model": "demo-small", content: example}),
    };
    json!({"application/json": {
        "schema": {
            "type": "object", "required": ["model"], "properties": properties,
            "description": format!("A request in {form} form. The gateway itself validates no more than `model` and looks at no other fields than these; everything is forwarded byte for byte, and the server judges it."),
        },
        "example": shown,
    }})
}

/// The field with what the model is asked, its schema and an example.
fn content(endpoint: Endpoint) -> (&'static str, Value, Value) {
    let good_morning = json!([{"role": "user", "content": "Good morning"}]);
    match endpoint {
        Endpoint::ChatCompletions => (
            "messages",
            json!({"type": ["array", "null"], "items": {"type": "object"}, "description": "The conversation, in OpenAI's form."}),
            good_morning,
        ),
        Endpoint::Completions => (
            "prompt",
            json!({
                "description": "A text, tokens, or several of either; each has answers of its own, which multiplies the bound.",
            }),
            json!("Good morning"),
        ),
        Endpoint::Embeddings => (
            "input",
            json!({
                "description": "A text, tokens, or several of either.",
            }),
            json!(["Good morning", "Good night"]),
        ),
        Endpoint::Responses => (
            "input",
            json!({
                "description": "A text or a list of items, in OpenAI's form.",
            }),
            json!("Good morning"),
        ),
        Endpoint::Messages => (
            "messages",
            json!({"type": ["array", "null"], "items": {"type": "object"}, "description": "The conversation, in Anthropic's form."}),
            good_morning,
        ),
    }
}

fn field_schema(endpoint: Endpoint, field: &str) -> Value {
    let count = |description: &str| json!({"type": ["integer", "null"], "minimum": 0, "description": description});
    match field {
        "model" => {
            json!({"type": "string", "minLength": 1, "description": "Routes the request: the first enabled server that lists it takes it."})
        }
        "stream" => {
            json!({"type": ["boolean", "null"], "description": "`true`: the answer is an event stream."})
        }
        "stream_options" => {
            json!({"type": ["object", "null"], "description": "`include_usage` is set to `true` on the way to the server; a client that did not ask for usage does not see it."})
        }
        "max_completion_tokens" => count("The same as `max_tokens`, and stronger."),
        "max_tokens" if endpoint == Endpoint::Messages => {
            count("Bounds the tokens that are reserved for the answer. Anthropic requires it.")
        }
        "n" | "best_of" => {
            json!({"type": ["integer", "null"], "minimum": 1, "maximum": 128, "description": "Answers asked for; multiplies the bound."})
        }
        _ => count("Bounds the tokens that are reserved for the answer."),
    }
}
