//! 估算：一个请求在结算之前按多少令牌预留。
//!
//! What a request is expected to cost in tokens before it is settled.
//!
//! Owns the formula: prompt bytes at [`PROMPT_BYTES_PER_TOKEN`], plus the expected output, which
//! is [`EXPECTED_OUTPUT_TOKENS`] unless the client allows less. It does not learn yet; per-model
//! ratios will live here. The bound by the token limit is the limiter's.
//!
//! Invariant: an estimate never exceeds [`TOKENS_MAX`].

use crate::protocol::Acquire;

/// Bytes of a request body per prompt token: about 4 characters of English make a token in the
/// tokenisers of the big providers; JSON around it errs to the safe side.
pub const PROMPT_BYTES_PER_TOKEN: u64 = 4;

/// Output expected of a request that does not bound it: a few paragraphs of chat.
pub const EXPECTED_OUTPUT_TOKENS: u64 = 256;

/// Most tokens that one request can count for, estimated or actual: far beyond any model, and
/// small enough that the sums over a full window and a full queue stay exact in 64 bits.
pub const TOKENS_MAX: u64 = 1 << 40;

/// Knows what requests cost.
#[derive(Debug, Default)]
pub(crate) struct Estimator {}

impl Estimator {
    /// Tokens that the request is expected to use, prompt and output together.
    #[expect(
        clippy::unused_self,
        reason = "what is learnt per model will be kept in the estimator"
    )]
    pub(crate) fn expected_tokens(&self, request: &Acquire) -> u64 {
        let prompt = request.prompt_bytes.div_ceil(PROMPT_BYTES_PER_TOKEN);
        let output = request
            .output_tokens_max
            .unwrap_or(EXPECTED_OUTPUT_TOKENS)
            .min(EXPECTED_OUTPUT_TOKENS);
        prompt.saturating_add(output).min(TOKENS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Limits, TicketId};

    fn expected(prompt_bytes: u64, output_tokens_max: Option<u64>) -> u64 {
        Estimator::default().expected_tokens(&Acquire {
            ticket: TicketId::try_from("t").unwrap(),
            app: String::new(),
            key_id: String::new(),
            model: String::new(),
            prompt_bytes,
            output_tokens_max,
            wait_max: None,
            arrival: None,
            attempt: 0,
            config_version: 0,
            limits: Limits::default(),
        })
    }

    #[test]
    fn prompt_bytes_round_up_and_output_has_a_default() {
        assert_eq!(expected(0, None), 256);
        assert_eq!(expected(9, None), 3 + 256);
    }

    #[test]
    fn the_client_can_lower_the_expected_output_but_not_raise_it() {
        assert_eq!(expected(8, Some(10)), 12);
        assert_eq!(expected(8, Some(100_000)), 2 + 256);
    }

    #[test]
    fn an_estimate_is_bounded() {
        assert_eq!(expected(u64::MAX, None), TOKENS_MAX);
    }
}
