//! 推理端点：五个端点，一张规则表。
//!
//! Owns what tells the endpoints of the data plane apart: the path, the fields of the body that the gateway
//! reads, the shape of usage, how a stream tells its end and its cost, and in which header a server expects its
//! key. Everything else about an inference request is the same for all of them. The shapes are those of the
//! providers' own clients, which `docs/usage.md` names.
//!
//! Invariant: no other module asks which endpoint it has before it.

use memchr::memmem;

use crate::config::Secret;

/// An endpoint of the data plane that asks a model for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `OpenAI`'s chat.
    ChatCompletions,
    /// `OpenAI`'s older completions of a text.
    Completions,
    /// `OpenAI`'s embeddings: vectors, no text, never a stream.
    Embeddings,
    /// `OpenAI`'s responses.
    Responses,
    /// Anthropic's messages.
    Messages,
}

/// Whose names and sums a usage object follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsageShape {
    /// `prompt_tokens`, `completion_tokens`, `total_tokens`.
    Completion,
    /// `input_tokens`, `output_tokens`, `total_tokens`.
    Response,
    /// `input_tokens` without what a cache took part in, which is counted beside it.
    Message,
}

/// How the events of a stream tell their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamForm {
    /// All alike; `[DONE]` is the last one.
    Chunks,
    /// By their names, which are these among others.
    Named(&'static [(&'static str, EventMeaning)]),
}

/// What a named event says that the gateway wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventMeaning {
    /// What is known of the cost before the answer.
    Begin,
    /// What it has cost so far.
    Cost,
    /// Nothing comes after it. It may tell the cost.
    End,
}

const RESPONSE_EVENTS: &[(&str, EventMeaning)] = &[
    ("response.completed", EventMeaning::End),
    ("response.incomplete", EventMeaning::End),
    ("response.failed", EventMeaning::End),
    ("error", EventMeaning::End),
];

const MESSAGE_EVENTS: &[(&str, EventMeaning)] = &[
    ("message_start", EventMeaning::Begin),
    ("message_delta", EventMeaning::Cost),
    ("message_stop", EventMeaning::End),
    ("error", EventMeaning::End),
];

/// The header of a server's key, and what stands before the key in it.
pub(crate) type CredentialForm = (&'static str, &'static str);

const BEARER: CredentialForm = ("authorization", "Bearer ");
const API_KEY: CredentialForm = ("x-api-key", "");

/// How every key of Anthropic's own service begins.
const ANTHROPIC_KEY: &str = "sk-ant-";

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
    ];

    /// Its path at the gateway; at a server it stands below the base URL, without `/v1`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }

    /// The fields that are read from its body; none of them may come twice.
    pub(crate) const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::ChatCompletions => &[
                "model",
                "stream",
                "stream_options",
                "max_completion_tokens",
                "max_tokens",
                "n",
            ],
            Self::Completions => &[
                "model",
                "stream",
                "stream_options",
                "max_tokens",
                "n",
                "best_of",
                "prompt",
            ],
            Self::Embeddings => &["model"],
            Self::Responses => &["model", "stream", "max_output_tokens"],
            Self::Messages => &["model", "stream", "max_tokens"],
        }
    }

    /// Whether an answer has tokens at all.
    pub(crate) const fn has_output(self) -> bool {
        !matches!(self, Self::Embeddings)
    }

    pub(crate) const fn usage_shape(self) -> UsageShape {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Embeddings => UsageShape::Completion,
            Self::Responses => UsageShape::Response,
            Self::Messages => UsageShape::Message,
        }
    }

    /// `None` where there are no streams.
    pub(crate) const fn stream_form(self) -> Option<StreamForm> {
        match self {
            Self::ChatCompletions | Self::Completions => Some(StreamForm::Chunks),
            Self::Embeddings => None,
            Self::Responses => Some(StreamForm::Named(RESPONSE_EVENTS)),
            Self::Messages => Some(StreamForm::Named(MESSAGE_EVENTS)),
        }
    }

    /// The keys under which a plain answer has its text.
    pub(crate) const fn text_keys(self) -> &'static [&'static str] {
        match self {
            Self::ChatCompletions => &[
                "content",
                "reasoning_content",
                "reasoning",
                "refusal",
                "arguments",
            ],
            Self::Completions => &["text"],
            Self::Embeddings => &[],
            Self::Responses => &["text", "refusal", "arguments"],
            Self::Messages => &["text", "thinking"],
        }
    }

    /// The keys under which the events of a stream have the pieces of the text, each piece once.
    pub(crate) const fn stream_text_keys(self) -> &'static [&'static str] {
        match self {
            // Its last events repeat the text as a whole.
            Self::Responses => &["delta"],
            Self::Messages => &["text", "thinking", "partial_json"],
            Self::ChatCompletions | Self::Completions | Self::Embeddings => self.text_keys(),
        }
    }

    /// In which headers a server gets its key.
    ///
    /// Anthropic takes a key in `x-api-key` and refuses it as a bearer token; others that offer its messages
    /// look into the one header or the other (vLLM only into `authorization`).
    pub(crate) fn credential_forms(self, key: &Secret) -> &'static [CredentialForm] {
        match self {
            Self::Messages if key.expose().starts_with(ANTHROPIC_KEY) => &[API_KEY],
            Self::Messages => &[API_KEY, BEARER],
            Self::ChatCompletions | Self::Completions | Self::Embeddings | Self::Responses => {
                &[BEARER]
            }
        }
    }
}

/// What an event of this name means.
pub(crate) fn meaning(
    events: &[(&'static str, EventMeaning)],
    name: &[u8],
) -> Option<EventMeaning> {
    let known = events.iter().find(|(known, _)| known.as_bytes() == name);
    known.map(|(_, meaning)| *meaning)
}

/// Whether one of the names stands anywhere in these bytes.
pub(crate) fn mentions(events: &[(&'static str, EventMeaning)], bytes: &[u8]) -> bool {
    let mut names = events.iter();
    names.any(|(name, _)| memmem::find(bytes, name.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_differ_and_every_endpoint_reads_a_model() {
        for (index, endpoint) in Endpoint::ALL.iter().enumerate() {
            assert!(endpoint.path().starts_with("/v1/"));
            assert!(endpoint.fields().contains(&"model"));
            assert_eq!(
                endpoint.fields().contains(&"stream"),
                endpoint.stream_form().is_some()
            );
            let same = |other: &&Endpoint| other.path() == endpoint.path();
            assert_eq!(
                Endpoint::ALL.iter().position(|other| same(&other)),
                Some(index)
            );
        }
    }

    #[test]
    fn a_key_goes_in_the_headers_that_its_server_reads() {
        let names = |endpoint: Endpoint, key: &str| {
            let forms = endpoint.credential_forms(&Secret::new(key));
            forms.iter().map(|(name, _)| *name).collect::<Vec<_>>()
        };
        assert_eq!(names(Endpoint::ChatCompletions, "sk-1"), ["authorization"]);
        assert_eq!(names(Endpoint::Responses, "sk-ant-1"), ["authorization"]);
        assert_eq!(names(Endpoint::Messages, "sk-ant-1"), ["x-api-key"]);
        assert_eq!(
            names(Endpoint::Messages, "k"),
            ["x-api-key", "authorization"]
        );
    }
}
