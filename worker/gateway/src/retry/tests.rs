//! 重试规则的测试：表格与随机输入。
//!
//! Every source of a pause, in its order, and that nothing a provider sends breaks the bounds.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;

/// 2026-11-23T08:00:00Z, a Monday.
const NOW: Instant = Instant::from_millis(1_795_420_800_000);

type Headers<'a> = &'a [(&'a str, &'a str)];

fn lookup(headers: Headers<'_>) -> impl Fn(&str) -> Option<String> {
    |name| {
        let found = headers.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    }
}

fn pause_ms(headers: Headers<'_>) -> u128 {
    pause(lookup(headers), 0, NOW).as_millis()
}

#[test]
fn only_a_429_is_ever_retried() {
    let headers = [("retry-after", "7")];
    for status in 100..=599 {
        let decision = after_answer(status, lookup(&headers), 0, 2, NOW);
        let retry = AfterAnswer::Retry {
            pause: Duration::from_secs(7),
        };
        let expected = if status == 429 {
            retry
        } else {
            AfterAnswer::Pass
        };
        assert_eq!(decision, expected, "{status}");
    }
}

#[test]
fn a_429_is_passed_on_when_the_attempts_are_used_up() {
    let retried = |attempt, retry_max| {
        after_answer(429, lookup(&[]), attempt, retry_max, NOW) != AfterAnswer::Pass
    };
    assert_eq!(
        [retried(0, 2), retried(1, 2), retried(2, 2)],
        [true, true, false]
    );
    assert!(!retried(0, 0), "no budget, no retry");
    assert!(!retried(u32::MAX, u32::MAX));
}

#[test]
fn headers_of_a_passed_answer_are_not_even_looked_at() {
    let asked = Cell::new(0);
    let header = |_: &str| {
        asked.set(asked.get() + 1);
        None
    };
    assert_eq!(after_answer(200, header, 0, 2, NOW), AfterAnswer::Pass);
    assert_eq!(asked.get(), 0);
}

#[test]
fn retry_after_is_decimal_seconds_or_any_date_of_rfc_9110() {
    for (text, expected) in [
        ("1", 1_000),
        (" 20 ", 20_000),
        ("1.5", 1_500),
        (".25", 250),
        ("2.", 2_000),
        ("0.3001", 301),
        ("Mon, 23 Nov 2026 08:00:05 GMT", 5_000),
        ("Monday, 23-Nov-26 08:01:00 GMT", 60_000),
        ("Mon Nov 23 08:00:30 2026", 30_000),
        ("Tue Dec  1 08:00:00 2026", 3_600_000),
    ] {
        assert_eq!(pause_ms(&[("retry-after", text)]), expected, "{text}");
    }
}

#[test]
fn the_past_and_zero_mean_the_shortest_pause() {
    for headers in [
        [("retry-after", "0")],
        [("retry-after", "0.000")],
        [("retry-after-ms", "0")],
        [("retry-after-ms", "49")],
        [("retry-after", "Mon, 23 Nov 2026 08:00:00 GMT")],
        [("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")],
        [("retry-after", "Sunday, 06-Nov-94 08:49:37 GMT")],
        [("x-ratelimit-reset-requests", "0s")],
        [("anthropic-ratelimit-tokens-reset", "2026-11-23T07:59:59Z")],
    ] {
        assert_eq!(pause_ms(&headers), 50, "{headers:?}");
    }
}

#[test]
fn a_pause_is_never_longer_than_the_limiter_takes_on() {
    let longest = PAUSE_MAX.as_millis();
    let many_nines = "9".repeat(VALUE_LEN_MAX);
    for headers in [
        [("retry-after", "3601")],
        [("retry-after", many_nines.as_str())],
        [("retry-after-ms", many_nines.as_str())],
        [("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")],
        [("x-ratelimit-reset-tokens", "7d")],
        [("anthropic-ratelimit-requests-reset", "9999-12-31T00:00:00Z")],
    ] {
        assert_eq!(pause_ms(&headers), longest, "{headers:?}");
    }
}

#[test]
fn the_more_exact_header_wins_and_garbage_falls_to_the_next() {
    let ms = ("retry-after-ms", "700");
    let seconds = ("retry-after", "3");
    let reset = ("x-ratelimit-reset-requests", "9s");
    assert_eq!(pause_ms(&[reset, seconds, ms]), 700);
    assert_eq!(pause_ms(&[reset, seconds]), 3_000);
    assert_eq!(pause_ms(&[reset]), 9_000);
    for garbage in [
        "", "soon", "-1", "+1", "1e3", "NaN", "inf", "0x10", "1, 1", "1.2.3",
    ] {
        let spoiled = [("retry-after-ms", garbage), seconds, reset];
        assert_eq!(pause_ms(&spoiled), 3_000, "{garbage}");
        let spoiled = [("retry-after", garbage), reset];
        assert_eq!(pause_ms(&spoiled), 9_000, "{garbage}");
        let spoiled = [("x-ratelimit-reset-requests", garbage)];
        assert_eq!(pause_ms(&spoiled), 1_000, "{garbage}");
    }
    for no_date in [
        "Mon, 31 Feb 2026 08:00:05 GMT",
        "Mon, 23 Nov 2026 25:00:00 GMT",
        "Mon, 23 Nov 2026 08:00:05 CET",
        "Monday",
        "\u{661}",
    ] {
        assert_eq!(pause_ms(&[("retry-after", no_date)]), 1_000, "{no_date}");
    }
    let long = "1".repeat(VALUE_LEN_MAX + 1);
    assert_eq!(pause_ms(&[("retry-after", &long)]), 1_000);
}

#[test]
fn resets_are_written_as_spans_seconds_or_instants() {
    for (text, expected) in [
        ("1s", 1_000),
        ("6m0s", 360_000),
        ("20ms", 50),
        ("120ms", 120),
        ("7.66s", 7_660),
        ("1m2.345s", 62_345),
        ("0h2m3s", 123_000),
        ("1h2m3s", 3_600_000),
        ("2m", 120_000),
        ("300000us", 300),
        ("300000\u{b5}s", 300),
        ("70000000ns", 70),
        ("12", 12_000),
        ("12.5", 12_500),
        ("2026-11-23T08:00:09.5Z", 9_500),
        ("2026-11-23T09:00:09+01:00", 9_000),
    ] {
        for name in [
            "x-ratelimit-reset-requests",
            "anthropic-ratelimit-tokens-reset",
        ] {
            assert_eq!(pause_ms(&[(name, text)]), expected, "{name}: {text}");
        }
    }
    for garbage in ["s", "1x", "1s2", "1 s", "1ss", ".s", "-1s", "1h-2m"] {
        assert_eq!(
            pause_ms(&[("x-ratelimit-reset-tokens", garbage)]),
            1_000,
            "{garbage}"
        );
    }
}

#[test]
fn the_latest_reset_of_the_budgets_that_are_used_up_counts() {
    let requests = ("x-ratelimit-reset-requests", "2s");
    let tokens = ("x-ratelimit-reset-tokens", "5s");
    assert_eq!(
        pause_ms(&[requests, tokens]),
        5_000,
        "both may be the reason"
    );
    let left = |text| ("x-ratelimit-remaining-tokens", text);
    assert_eq!(pause_ms(&[requests, tokens, left("0")]), 5_000);
    assert_eq!(pause_ms(&[requests, tokens, left("-3")]), 5_000);
    assert_eq!(pause_ms(&[requests, tokens, left("many")]), 5_000);
    assert_eq!(pause_ms(&[requests, tokens, left("17")]), 2_000);
    let none_used_up = [
        requests,
        tokens,
        left("17"),
        ("x-ratelimit-remaining-requests", "1"),
    ];
    assert_eq!(pause_ms(&none_used_up), 1_000, "then neither says anything");
    let anthropic = [
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-11-23T08:01:00Z"),
        ("anthropic-ratelimit-output-tokens-remaining", "0"),
        (
            "anthropic-ratelimit-output-tokens-reset",
            "2026-11-23T08:00:04Z",
        ),
    ];
    assert_eq!(pause_ms(&anthropic), 4_000);
}

#[test]
fn a_silent_server_is_left_alone_twice_as_long_each_time() {
    let seconds = |attempt| pause(lookup(&[]), attempt, NOW).as_secs();
    assert_eq!([0, 1, 2, 3, 10].map(seconds), [1, 2, 4, 8, 1_024]);
    assert_eq!([12, 31, 32, u32::MAX].map(seconds), [3_600; 4]);
}

#[test]
fn a_missing_connection_is_tried_again_after_a_short_pause() {
    let pauses: Vec<_> = (0..4)
        .map(|attempt| after_no_connection(attempt, 3).map(|pause| pause.as_millis()))
        .collect();
    assert_eq!(pauses, [Some(250), Some(500), Some(1_000), None]);
    assert_eq!(after_no_connection(0, 0), None);
    assert_eq!(after_no_connection(9, 10), Some(RECONNECT_MAX));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_headers_give_a_pause_within_bounds(
        values in proptest::collection::vec("[ -~]{0,20}|\\PC{0,4}|[0-9.]{0,70}|([0-9.]{1,5}(h|m|s|ms|d)){1,3}", 14),
        attempt in any::<u32>(),
        now in any::<u64>(),
    ) {
        let names: Vec<_> = ["retry-after-ms", "retry-after"]
            .into_iter()
            .chain(RESETS.iter().flat_map(|(remaining, reset)| [*remaining, *reset]))
            .collect();
        let header = |name: &str| {
            let at = names.iter().position(|known| *known == name)?;
            values.get(at).cloned()
        };
        let asked = pause(header, attempt, Instant::from_millis(now));
        prop_assert!((PAUSE_MIN..=PAUSE_MAX).contains(&asked));
        prop_assert_eq!(asked.subsec_nanos() % 1_000_000, 0);
        prop_assert!(after_no_connection(attempt, u32::MAX).is_none_or(|pause| pause <= RECONNECT_MAX));
    }

    #[test]
    fn almost_dates_never_panic(
        day in "Mon|Monday|Sun|x{0,3}", sep in ",? ?", date in "[0-9A-Za-z :-]{0,28}", zone in "| GMT",
        at in 0_usize..33, patch in "[ -~]",
    ) {
        let mut text = format!("{day}{sep}{date}{zone}");
        let _ = retry_after(&text, NOW);
        for whole in [
            "Mon, 23 Nov 2026 08:00:05 GMT",
            "Wednesday, 25-Nov-26 08:01:00 GMT",
            "Mon Nov 23 08:00:30 2026",
        ] {
            text = whole.to_owned();
            if at < text.len() {
                text.replace_range(at..=at, &patch);
            }
            let _ = retry_after(&text, NOW);
        }
    }

    #[test]
    fn whole_milliseconds_come_through_unchanged(ms in 50_u64..3_600_000) {
        let text = ms.to_string();
        prop_assert_eq!(pause_ms(&[("retry-after-ms", &text)]), u128::from(ms));
        let text = format!("{}.{:03}", ms / 1_000, ms % 1_000);
        prop_assert_eq!(pause_ms(&[("retry-after", &text)]), u128::from(ms));
    }
}
