//! 日志行：一个请求用了什么、等了多久，恰好一行。
//!
//! Owns the one row that each granted request leaves behind, and each queue timeout, eviction and
//! cancellation as well (PRODUCT.md, section 4). The limiter object journals it, an alarm moves it to D1,
//! the console and finance read it. There is no field for a prompt, an answer or a header.
//!
//! Invariant: `total_tokens` is the sum of prompt and completion tokens; every text is bounded by those who
//! fill it in.

use serde::{Deserialize, Serialize};

/// How far the tokens of a row can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum UsageSource {
    /// As the server reported them, or none because nothing was sent or answered.
    #[default]
    Exact,
    /// The server reported none; they were estimated.
    Estimated,
    /// Nobody knows how the request ended: what was reserved for it.
    Reserved,
}

impl UsageSource {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Estimated, Self::Reserved];

    /// The word in storage and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Estimated => "estimated",
            Self::Reserved => "reserved",
        }
    }
}

/// One request. Times are milliseconds; `started_at` counts from the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// Unique for each request, unlike the id that the client may choose: what makes writing it twice
    /// harmless.
    pub ticket: String,
    /// The request's id in its headers.
    pub request_id: String,
    /// When it arrived at the gateway.
    pub started_at: u64,
    /// The calling application.
    pub app: String,
    /// The gateway key.
    pub key_id: String,
    /// The server that took it, or in whose queue it waited.
    pub server_id: String,
    /// The model asked for.
    pub model: String,
    /// Path of the endpoint, such as `/v1/chat/completions`.
    pub endpoint: String,
    /// What the client was answered; 499 where it had left.
    pub status: u16,
    /// The gateway's own error, if it was one.
    pub error_code: Option<String>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Cached ones included.
    pub prompt_tokens: u64,
    /// Reasoning included.
    pub completion_tokens: u64,
    /// Prompt tokens that the server had cached.
    pub cached_tokens: u64,
    /// Prompt and completion together.
    pub total_tokens: u64,
    /// How far these numbers can be trusted.
    pub usage_source: UsageSource,
    /// Wait in the queue.
    pub queue_wait_ms: u64,
    /// Place at entry; 0 = straight through.
    pub queue_position: u64,
    /// From the start to the first byte of the answer, if one came.
    pub ttft_ms: Option<u64>,
    /// From the start to the end.
    pub total_ms: u64,
    /// Of these, what the gateway itself took.
    pub overhead_ms: u64,
    /// How often it was sent upstream.
    pub attempts: u64,
    /// Cloudflare's code of the location that took it; empty elsewhere.
    pub colo: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_and_its_source_has_one_spelling() {
        let row = LogRow {
            ticket: "t".to_owned(),
            usage_source: UsageSource::Estimated,
            ttft_ms: Some(3),
            ..LogRow::default()
        };
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(serde_json::from_str::<LogRow>(&text).unwrap(), row);
        for source in UsageSource::ALL {
            assert_eq!(serde_json::json!(source), source.as_str());
        }
    }
}
