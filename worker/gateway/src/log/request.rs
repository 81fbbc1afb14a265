//! 数据面每个请求一行。
//!
//! Owns the fields of the line that each request of the data plane leaves, and what the end of an exchange
//! means for its status and its tokens. They are those of the usage row ([`crate::log_row`]), but a refusal
//! leaves a line as well.
//!
//! Invariant: what is not known is null; what is estimated says so.

use std::time::Duration;

use admission::PROMPT_BYTES_PER_TOKEN;
use admission::protocol::AdmissionFacts;
use serde::Serialize;

use super::Text;
use crate::{error::ErrorCode, log_row::UsageSource, settlement::ExchangeEnd, usage::Observed};

/// The status of a request whose client left before its answer was complete.
const CLIENT_GONE: u16 = 499;

/// Names of the fields of [`Request`], in order.
pub(super) const FIELDS: &[&str] = &[
    "request_id",
    "app",
    "key_id",
    "server_id",
    "model",
    "endpoint",
    "status",
    "error_code",
    "stream",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "total_tokens",
    "usage_source",
    "queue_wait_ms",
    "queue_position",
    "ttft_ms",
    "total_ms",
    "overhead_ms",
    "attempts",
    "colo",
];

/// A request of the data plane that is over.
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are those of the usage row, described in docs/operations.md"
)]
pub struct Request<'a> {
    pub request_id: Text<'a>,
    pub app: Option<Text<'a>>,
    pub key_id: Option<Text<'a>>,
    pub server_id: Option<Text<'a>>,
    pub model: Option<Text<'a>>,
    pub endpoint: &'static str,
    pub status: u16,
    pub error_code: Option<&'static str>,
    pub stream: bool,
    #[serde(flatten)]
    pub cost: Cost,
    #[serde(flatten)]
    pub waited: Waited,
    pub ttft_ms: Option<u64>,
    pub total_ms: u64,
    pub overhead_ms: Option<u64>,
    pub attempts: u32,
    pub colo: Option<Text<'a>>,
}

/// The tokens of a request, as far as they are known or can be estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "see Request")]
pub struct Cost {
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub cached_tokens: Option<u64>,
    pub total_tokens: Option<u64>,
    pub usage_source: Option<UsageSource>,
}

/// What is known of a prompt before it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Size of the request's body.
    pub bytes: u64,
    /// Tokens that were reserved for the request, its answer included.
    pub reserved_tokens: u64,
}

impl Prompt {
    /// Tokens of a prompt that nobody counted: by its size, but no more than the limiter, which learns what
    /// bytes of this model cost, has reserved for prompt and answer.
    const fn estimate(self) -> u64 {
        let by_size = self.bytes.div_ceil(PROMPT_BYTES_PER_TOKEN);
        if by_size < self.reserved_tokens {
            by_size
        } else {
            self.reserved_tokens
        }
    }
}

impl Cost {
    /// Of a request that was sent. `status` is the upstream's: an error answer without usage costs nothing.
    #[must_use]
    pub fn new(end: ExchangeEnd, status: Option<u16>, prompt: Prompt, seen: &Observed) -> Self {
        if let Some(usage) = seen.usage {
            return Self {
                prompt_tokens: Some(usage.prompt_tokens),
                completion_tokens: Some(usage.completion_tokens),
                cached_tokens: Some(usage.cached_tokens),
                total_tokens: Some(usage.total_tokens),
                usage_source: Some(UsageSource::Exact),
            };
        }
        let is_free = end == ExchangeEnd::NotSent || status.is_some_and(|status| status >= 400);
        if is_free {
            return Self::default();
        }
        let prompt_tokens = seen.prompt_tokens.unwrap_or_else(|| prompt.estimate());
        Self {
            prompt_tokens: Some(prompt_tokens),
            completion_tokens: Some(seen.output_tokens),
            cached_tokens: Some(seen.cached_tokens),
            total_tokens: Some(prompt_tokens.saturating_add(seen.output_tokens)),
            usage_source: Some(UsageSource::Estimated),
        }
    }
}

/// How a request waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "see Request")]
pub struct Waited {
    pub queue_wait_ms: Option<u64>,
    pub queue_position: Option<u64>,
}

impl Waited {
    /// As the limiter said.
    #[must_use]
    pub fn new(facts: Option<&AdmissionFacts>) -> Self {
        Self {
            queue_wait_ms: facts.map(|facts| millis(facts.wait)),
            queue_position: facts.map(|facts| facts.position),
        }
    }
}

/// Status and code of a request, from what its client was told and from how it ended. One that was told
/// nothing had left.
#[must_use]
pub fn outcome(
    told: Option<(u16, Option<ErrorCode>)>,
    end: Option<ExchangeEnd>,
) -> (u16, Option<ErrorCode>) {
    match (told, end) {
        (None, _) | (_, Some(ExchangeEnd::ClientGone | ExchangeEnd::NotSent)) => {
            (CLIENT_GONE, None)
        }
        (Some(_), Some(ExchangeEnd::Truncated)) => {
            let code = ErrorCode::UpstreamStreamTruncated;
            (code.status(), Some(code))
        }
        (Some(told), _) => told,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Usage;

    #[test]
    fn outcome_is_what_the_client_was_told_unless_it_left_or_the_answer_broke_off() {
        let ok = Some((200, None));
        let timeout = Some((504, Some(ErrorCode::QueueTimeout)));
        for (told, end, expected) in [
            (ok, Some(ExchangeEnd::Complete), (200, None)),
            (timeout, None, (504, Some(ErrorCode::QueueTimeout))),
            (
                Some((429, None)),
                Some(ExchangeEnd::Refused(Duration::ZERO)),
                (429, None),
            ),
            (None, None, (499, None)),
            (None, Some(ExchangeEnd::ClientGone), (499, None)),
            (ok, Some(ExchangeEnd::ClientGone), (499, None)),
            (
                ok,
                Some(ExchangeEnd::Truncated),
                (502, Some(ErrorCode::UpstreamStreamTruncated)),
            ),
        ] {
            assert_eq!(outcome(told, end), expected, "{told:?} {end:?}");
        }
    }

    #[test]
    fn cost_is_exact_where_the_answer_told_it_and_free_where_there_was_none() {
        let seen = Observed {
            usage: Some(Usage {
                prompt_tokens: 3,
                completion_tokens: 4,
                cached_tokens: 1,
                total_tokens: 7,
            }),
            ..Observed::default()
        };
        let cost = |end, status, seen| Cost::new(end, status, Prompt::default(), seen);
        let exact = cost(ExchangeEnd::ClientGone, Some(200), &seen);
        assert_eq!(
            (exact.total_tokens, exact.usage_source),
            (Some(7), Some(UsageSource::Exact))
        );
        let nothing = Observed::default();
        let refused = cost(ExchangeEnd::Complete, Some(500), &nothing);
        assert_eq!(refused, Cost::default());
        assert_eq!(cost(ExchangeEnd::NotSent, None, &nothing), Cost::default());
    }

    #[test]
    fn what_nobody_counted_is_estimated_by_what_was_sent_and_seen() {
        let prompt = Prompt {
            bytes: 401,
            reserved_tokens: 5_000,
        };
        let seen = Observed {
            output_tokens: 9,
            ..Observed::default()
        };
        let cost = |prompt, seen: &Observed| {
            let cost = Cost::new(ExchangeEnd::Complete, Some(200), prompt, seen);
            assert_eq!(cost.usage_source, Some(UsageSource::Estimated));
            (
                cost.prompt_tokens,
                cost.completion_tokens,
                cost.total_tokens,
            )
        };
        assert_eq!(cost(prompt, &seen), (Some(101), Some(9), Some(110)));
        let told = Observed {
            prompt_tokens: Some(20),
            ..seen
        };
        assert_eq!(
            cost(prompt, &told),
            (Some(20), Some(9), Some(29)),
            "half told"
        );
        let image = Prompt {
            bytes: 1 << 20,
            reserved_tokens: 3_000,
        };
        assert_eq!(
            cost(image, &seen).0,
            Some(3_000),
            "as the limiter has learnt"
        );
        let unanswered = Cost::new(ExchangeEnd::NoAnswer, None, prompt, &Observed::default());
        assert_eq!(unanswered.total_tokens, Some(101));
    }
}
