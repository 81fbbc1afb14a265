//! 重试：一次上游尝试之后，是放行还是再来，停多久。
//!
//! Owns what one attempt at a server means for the next: which answers are absorbed, for how long the server
//! asks to be left alone (every header that providers say it with), and the budget of attempts. Pauses nobody
//! and repeats nothing: the limiter object pauses the server and puts the request back at the head of its queue.
//!
//! Invariant: only a 429 and a missing connection are ever repeated, at most `retry_max` times; and a pause is
//! never so short that it spins nor longer than the limiter takes on.

use std::time::{Duration, SystemTime};

use admission::{PAUSE_MAX, time::Instant};

use crate::admin_api::parse_rfc3339;

/// Shortest pause. `Retry-After: 0` and dates in the past must not turn a refusing provider into a tight loop.
pub const PAUSE_MIN: Duration = Duration::from_millis(50);
/// First pause where the provider names none; it doubles with every attempt.
const BACKOFF: Duration = Duration::from_secs(1);
/// First pause of a request that found no connection; it doubles with every attempt.
const RECONNECT: Duration = Duration::from_millis(250);
/// Longest of those: a backend that restarts is back within seconds, and the client waits all the while.
pub const RECONNECT_MAX: Duration = Duration::from_secs(8);
/// Longest header value that is read; a date of RFC 850 with its full weekday has 33 characters.
const VALUE_LEN_MAX: usize = 64;

/// The only status that is absorbed.
const TOO_MANY_REQUESTS: u16 = 429;

/// Pairs of `remaining` and `reset`: OpenAI's, which most others have taken over, and Anthropic's.
const RESETS: &[(&str, &str)] = &[
    (
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    (
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    (
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    (
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ),
    (
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ),
];

/// Units of a written span, in seconds. OpenAI writes spans the way Go does.
const UNITS: &[(&str, f64)] = &[
    ("d", 86_400.0),
    ("h", 3_600.0),
    ("m", 60.0),
    ("s", 1.0),
    ("ms", 1e-3),
    ("us", 1e-6),
    ("\u{b5}s", 1e-6),
    ("ns", 1e-9),
];

/// What to do with an answer whose headers have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterAnswer {
    /// It goes to the client as it is.
    Pass,
    /// It is put aside: the server pauses and the request goes back to the head of its queue.
    Retry {
        /// How long the server wants to be left alone.
        pause: Duration,
    },
}

/// Decides on an answer. `header` looks a response header up by its lower-case name; `attempt` counts from 0.
pub fn after_answer(
    status: u16,
    header: impl Fn(&str) -> Option<String>,
    attempt: u32,
    retry_max: u32,
    now: Instant,
) -> AfterAnswer {
    if status != TOO_MANY_REQUESTS || attempt >= retry_max {
        return AfterAnswer::Pass;
    }
    AfterAnswer::Retry {
        pause: pause(header, attempt, now),
    }
}

/// How long the server of a 429 is to be left alone. That holds for the others in its queue too, also when
/// this request has used up its own attempts and its 429 is passed on.
///
/// The first of these that can be read counts: `retry-after-ms`; `retry-after`, in seconds or as a date; the
/// latest reset among the budgets that are used up; else an exponential backoff.
pub fn pause(header: impl Fn(&str) -> Option<String>, attempt: u32, now: Instant) -> Duration {
    let value = |name: &str| header(name).filter(|text| text.len() <= VALUE_LEN_MAX);
    let asked = value("retry-after-ms")
        .and_then(|text| decimal(text.trim(), 1e-3))
        .or_else(|| value("retry-after").and_then(|text| retry_after(text.trim(), now)))
        .or_else(|| latest_reset(value, now))
        .unwrap_or_else(|| doubled(BACKOFF, attempt));
    bounded(asked)
}

/// How long a request waits that found no connection, or lost it before response headers; `None` = its
/// attempts are used up. The server is not paused: others may get through, and a broken connection is no sign
/// of a limit. A server that is connected but silent until its timeout is not asked again, because it may be
/// at work on the request.
#[must_use]
pub fn after_no_connection(attempt: u32, retry_max: u32) -> Option<Duration> {
    (attempt < retry_max).then(|| doubled(RECONNECT, attempt).min(RECONNECT_MAX))
}

/// Seconds, or a date in any of the three formats of RFC 9110, section 5.6.7.
fn retry_after(text: &str, now: Instant) -> Option<Duration> {
    decimal(text, 1.0).or_else(|| {
        let date = httpdate::parse_http_date(text).ok()?;
        let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let at = Instant::from_millis(0).saturating_add(since_epoch);
        Some(at.saturating_since(now))
    })
}

/// The latest reset of those budgets that are used up. A budget that still has something was not the reason
/// for the refusal; one that does not say what it has may have been.
fn latest_reset(value: impl Fn(&str) -> Option<String>, now: Instant) -> Option<Duration> {
    RESETS
        .iter()
        .filter(|(remaining, _)| !value(remaining).is_some_and(|text| is_positive(&text)))
        .filter_map(|(_, reset)| until_reset(value(reset)?.trim(), now))
        .max()
}

fn is_positive(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok_and(|left| left > 0.0)
}

/// `1s`, `6m0s`, `20ms`, bare seconds, or an instant of RFC 3339.
fn until_reset(text: &str, now: Instant) -> Option<Duration> {
    decimal(text, 1.0)
        .or_else(|| span(text))
        .or_else(|| Some(parse_rfc3339(text)?.saturating_since(now)))
}

/// Numbers each followed by its unit, such as `1h2m3.5s`.
fn span(text: &str) -> Option<Duration> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut total = None;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = rest.split_at_checked(rest.find(|c| !is_number(c))?)?;
        let unit_len = after.find(is_number).unwrap_or(after.len());
        let (name, next) = after.split_at_checked(unit_len)?;
        let (_, seconds) = UNITS.iter().find(|(unit, _)| *unit == name)?;
        let part = decimal(number, *seconds)?;
        total = Some(total.unwrap_or(Duration::ZERO).saturating_add(part));
        rest = next;
    }
    total
}

/// A number without sign and exponent, in units of `seconds`. One too large for a span is a very long span.
fn decimal(text: &str, seconds: f64) -> Option<Duration> {
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    Some(Duration::try_from_secs_f64(number * seconds).unwrap_or(Duration::MAX))
}

fn doubled(first: Duration, attempt: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(attempt))
}

/// Within both bounds, in whole milliseconds: a remainder counts as one, since to come back too early is to
/// be refused again.
fn bounded(asked: Duration) -> Duration {
    let whole = u64::try_from(asked.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
    Duration::from_millis(whole).clamp(PAUSE_MIN, PAUSE_MAX)
}

#[cfg(test)]
mod tests;
