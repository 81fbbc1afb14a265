//! 数据面每个请求一行。
//!
//! Owns the fields of the line that each request of the data plane leaves, and what the end of an exchange
//! means for its status and its tokens. They are those of the usage row ([`crate::log_row`]), but a refusal
//! leaves a line as well, and nothing is estimated here.
//!
//! Invariant: what is not known is null; nothing is made up.

use std::time::Duration;

use admission::protocol::AdmissionFacts;
use serde::Serialize;

use super::Text;
use crate::{error::ErrorCode, log_row::UsageSource, settlement::ExchangeEnd, usage::Usage};

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

/// The tokens of a request, as far as its answer told them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "see Request")]
pub struct Cost {
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub cached_tokens: Option<u64>,
    pub total_tokens: Option<u64>,
    pub usage_source: Option<UsageSource>,
}

impl Cost {
    /// Of a request that was sent. `status` is the upstream's: an error answer without usage costs nothing.
    #[must_use]
    pub fn new(end: ExchangeEnd, status: Option<u16>, usage: Option<&Usage>) -> Self {
        let Some(usage) = usage else {
            let is_free = end == ExchangeEnd::NotSent || status.is_some_and(|status| status >= 400);
            return Self {
                usage_source: (!is_free).then_some(UsageSource::Reserved),
                ..Self::default()
            };
        };
        Self {
            prompt_tokens: Some(usage.prompt_tokens),
            completion_tokens: Some(usage.completion_tokens),
            cached_tokens: Some(usage.cached_tokens),
            total_tokens: Some(usage.total_tokens),
            usage_source: Some(UsageSource::Exact),
        }
    }
}

impl Cost {
    /// As the usage row has it: the request is over, so what is not known is estimated.
    #[must_use]
    pub const fn source_of_row(&self) -> UsageSource {
        match self.usage_source {
            Some(UsageSource::Exact) | None => UsageSource::Exact,
            Some(UsageSource::Estimated | UsageSource::Reserved) => UsageSource::Estimated,
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
    fn cost_is_exact_where_the_answer_told_it_and_reserved_where_it_did_not() {
        let usage = Usage {
            prompt_tokens: 3,
            completion_tokens: 4,
            cached_tokens: 1,
            total_tokens: 7,
        };
        let exact = Cost::new(ExchangeEnd::ClientGone, Some(200), Some(&usage));
        assert_eq!(
            (exact.total_tokens, exact.usage_source),
            (Some(7), Some(UsageSource::Exact))
        );
        let source = |end, status| Cost::new(end, status, None).usage_source;
        let reserved = Some(UsageSource::Reserved);
        assert_eq!(source(ExchangeEnd::Complete, Some(200)), reserved);
        assert_eq!(source(ExchangeEnd::NoAnswer, None), reserved);
        assert_eq!(source(ExchangeEnd::Complete, Some(500)), None);
        assert_eq!(source(ExchangeEnd::NotSent, None), None);
    }
}
