//! 一次应答要做的怪事：请求字段 `sluice_demo`。
//!
//! Owns the steering vocabulary and how a request's wishes override the
//! server's defaults. An unknown field is refused (the provider answers 400), so
//! that a mistyped wish cannot pass for a kept one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Words of an answer unless asked otherwise.
const CHUNKS_DEFAULT: usize = 8;

/// What the provider shall do with one request; everything is optional.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Words of the answer, one token each.
    pub chunks: Option<usize>,
    /// Milliseconds to wait before the response headers.
    pub header_delay_ms: Option<u64>,
    /// Milliseconds to wait before each word of a stream.
    pub chunk_delay_ms: Option<u64>,
    /// The headers wait for one opening of this gate.
    pub header_gate: Option<String>,
    /// Each word of a stream waits for one opening of this gate.
    pub chunk_gate: Option<String>,
    /// Never answer; the connection stays open.
    pub hang: Option<bool>,
    /// Close the connection instead of answering.
    pub drop_connection: Option<bool>,
    /// Answer with this status; with a status other than 200 the body is `body`.
    pub status: Option<u16>,
    /// Body to answer with instead of a completion.
    pub body: Option<String>,
    /// Content type of `body`.
    pub content_type: Option<String>,
    /// More response headers.
    pub headers: Option<BTreeMap<String, String>>,
    /// Value of the `retry-after` header.
    pub retry_after: Option<String>,
    /// Close the connection after this many words, without any end marker; of a plain answer, after
    /// half of its bytes.
    pub cut_after: Option<usize>,
    /// End the HTTP body properly after this many words, without an end marker.
    pub end_after: Option<usize>,
    /// Send nothing more after this many words; the connection stays open.
    pub stall_after: Option<usize>,
    /// Leave the usage out, however it was asked for.
    pub no_usage: Option<bool>,
    /// Prompt tokens to report instead of the computed ones.
    pub prompt_tokens: Option<u64>,
    /// Prompt tokens to report as read from a cache.
    pub cached_tokens: Option<u64>,
    /// Prompt tokens to report as written to a cache (messages only).
    pub cache_written_tokens: Option<u64>,
    /// Tokens of reasoning, beside the words of the answer.
    pub reasoning_tokens: Option<u64>,
    /// Quote the request's `Authorization` header, or else its `x-api-key`, in the answer's text.
    pub quote_authorization: Option<bool>,
    /// Write a stream in pieces of this many bytes instead of whole events.
    pub split_bytes: Option<usize>,
    /// End lines of a stream with CR LF.
    pub crlf: Option<bool>,
    /// Compress a plain answer (labelled, and whether the request accepts it or not).
    pub gzip: Option<bool>,
    /// All of this holds only for the first so many requests of just this body.
    pub only_first: Option<u64>,
}

macro_rules! overridden {
    ($base:expr, $over:expr, $($field:ident),+ $(,)?) => {
        Behaviour { $($field: $over.$field.or($base.$field)),+ }
    };
}

impl Behaviour {
    /// These defaults with every given field of `wishes` in place of its own.
    #[must_use]
    pub fn overridden_by(self, wishes: Self) -> Self {
        overridden!(
            self,
            wishes,
            chunks,
            header_delay_ms,
            chunk_delay_ms,
            header_gate,
            chunk_gate,
            hang,
            drop_connection,
            status,
            body,
            content_type,
            headers,
            retry_after,
            cut_after,
            end_after,
            stall_after,
            no_usage,
            prompt_tokens,
            cached_tokens,
            cache_written_tokens,
            reasoning_tokens,
            quote_authorization,
            split_bytes,
            crlf,
            gzip,
            only_first,
        )
    }

    /// Words that the answer has before `max_tokens` bounds it.
    pub fn chunks(&self) -> usize {
        self.chunks.unwrap_or(CHUNKS_DEFAULT)
    }
}
