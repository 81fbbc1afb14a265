//! 结算：一次交换的结局对许可意味着什么。
//!
//! Owns the rule that turns the end of an exchange into the settlement of its permit. Does not
//! observe anything and sends nothing.
//!
//! Invariant: tokens are only given back where it is known that they were not used. What an answer
//! did not say keeps the reservation.

use std::time::Duration;

use admission::protocol::{Settle, SettleOutcome, TicketId};

use crate::usage::Usage;

/// How the exchange with the upstream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeEnd {
    /// Nothing was sent: the client left while the permit was on its way.
    NotSent,
    /// No response headers came: no connection, or none in time.
    NoAnswer,
    /// The upstream refused with a 429 that is passed on, and wants to be left alone for so long.
    Refused(Duration),
    /// The whole answer was passed on.
    Complete,
    /// The upstream broke off in the middle of its answer.
    Truncated,
    /// The client left in the middle of the answer, or while the upstream was still thinking.
    ClientGone,
}

/// The settlement of a permit. `status` is the upstream's, if it answered at all.
///
/// An error answer (4xx, 5xx) that names no usage produced no tokens: keeping its reservation would
/// let a failing server starve its own queue.
#[must_use]
pub fn settle(
    ticket: TicketId,
    end: ExchangeEnd,
    status: Option<u16>,
    usage: Option<&Usage>,
) -> Settle {
    let outcome = match end {
        ExchangeEnd::NotSent => SettleOutcome::NotSent,
        ExchangeEnd::NoAnswer | ExchangeEnd::Truncated => SettleOutcome::UpstreamFailed,
        ExchangeEnd::Refused(_) => SettleOutcome::UpstreamRefused,
        ExchangeEnd::Complete => SettleOutcome::Completed,
        ExchangeEnd::ClientGone => SettleOutcome::ClientGone,
    };
    let pause = match end {
        ExchangeEnd::Refused(pause) => Some(pause),
        _ => None,
    };
    let failed = status.is_some_and(|status| status >= 400);
    let tokens = usage
        .map(|usage| usage.total_tokens)
        .or(failed.then_some(0));
    Settle {
        tokens,
        prompt_tokens: usage.map(|usage| usage.prompt_tokens),
        completion_tokens: usage.map(|usage| usage.completion_tokens),
        pause,
        ..Settle::new(ticket, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(end: ExchangeEnd, status: Option<u16>, usage: Option<&Usage>) -> Settle {
        settle(TicketId::try_from("t").unwrap(), end, status, usage)
    }

    #[test]
    fn known_usage_replaces_the_reservation_however_the_exchange_ended() {
        let usage = Usage {
            total_tokens: 42,
            ..Usage::default()
        };
        for end in [
            ExchangeEnd::Complete,
            ExchangeEnd::Truncated,
            ExchangeEnd::ClientGone,
        ] {
            assert_eq!(settled(end, Some(200), Some(&usage)).tokens, Some(42));
        }
    }

    #[test]
    fn unknown_usage_of_a_success_keeps_the_reservation() {
        assert_eq!(settled(ExchangeEnd::Complete, Some(200), None).tokens, None);
        assert_eq!(settled(ExchangeEnd::NoAnswer, None, None).tokens, None);
        assert_eq!(settled(ExchangeEnd::ClientGone, None, None).tokens, None);
    }

    #[test]
    fn an_error_answer_without_usage_gives_its_tokens_back() {
        for status in [400, 429, 500, 503] {
            assert_eq!(
                settled(ExchangeEnd::Complete, Some(status), None).tokens,
                Some(0)
            );
        }
    }

    #[test]
    fn a_refusal_that_is_passed_on_still_pauses_the_server() {
        let pause = Duration::from_secs(7);
        let settle = settled(ExchangeEnd::Refused(pause), Some(429), None);
        assert_eq!((settle.pause, settle.tokens), (Some(pause), Some(0)));
        assert_eq!(settled(ExchangeEnd::Complete, Some(200), None).pause, None);
    }

    #[test]
    fn each_end_has_its_outcome() {
        for (end, outcome) in [
            (ExchangeEnd::NotSent, SettleOutcome::NotSent),
            (ExchangeEnd::NoAnswer, SettleOutcome::UpstreamFailed),
            (ExchangeEnd::Truncated, SettleOutcome::UpstreamFailed),
            (ExchangeEnd::Complete, SettleOutcome::Completed),
            (ExchangeEnd::ClientGone, SettleOutcome::ClientGone),
            (
                ExchangeEnd::Refused(Duration::ZERO),
                SettleOutcome::UpstreamRefused,
            ),
        ] {
            assert_eq!(settled(end, None, None).outcome, outcome);
        }
    }
}
