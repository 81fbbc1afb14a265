//! 指标的测试：文本、计数、基数。
//!
//! Tests of the text and of the counts, against figures written by hand and against a reader of the format.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::config::tests::server;
use crate::log_row::LogRow;

const LOCATION: Location = Location {
    config_version: 7,
    config_age_ms: 1_250,
    now: Instant::from_millis(10_000),
};

fn row(status: u16, code: Option<&str>) -> LogRow {
    LogRow {
        status,
        error_code: code.map(str::to_owned),
        attempts: 1,
        ..LogRow::default()
    }
}

fn scraped<'a>(server: &'a Server, rows: &[LogRow]) -> Scraped<'a> {
    let mut counters = Counters::default();
    for row in rows {
        counters.add(row);
    }
    Scraped {
        server,
        said: Some((Live::default(), counters)),
    }
}

fn lines<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name))
        .collect()
}

#[test]
fn every_ending_has_its_own_outcome() {
    let endings = [
        (200, None, "ok"),
        (302, None, "ok"),
        (404, None, "client_error"),
        (429, None, "client_error"),
        (500, None, "server_error"),
        (502, Some("upstream_unreachable"), "upstream_failed"),
        (504, Some("upstream_timeout"), "upstream_failed"),
        (200, Some("upstream_stream_truncated"), "upstream_failed"),
        (504, Some("queue_timeout"), "queue_timeout"),
        (503, Some("queue_evicted"), "queue_evicted"),
        (499, None, "cancelled"),
        (503, Some("server_overloaded"), "gateway_error"),
        (500, Some("internal_error"), "gateway_error"),
    ];
    for (status, code, outcome) in endings {
        assert_eq!(
            Outcome::of(&row(status, code)).as_str(),
            outcome,
            "{status} {code:?}"
        );
    }
    let seen: BTreeSet<_> = endings.iter().map(|(_, _, outcome)| *outcome).collect();
    assert_eq!(seen.len(), Outcome::ALL.len(), "each outcome occurs");
}

#[test]
fn a_histogram_is_cumulative_and_ends_at_infinity() {
    let server = server("a", 1, &["m"]);
    let waits = [0, 0, 10, 11, 700_000].map(|queue_wait_ms| LogRow {
        queue_wait_ms,
        ..row(200, None)
    });
    let text = render(LOCATION, &[scraped(&server, &waits)]);
    let buckets = lines(&text, "sluice_queue_wait_seconds_bucket");
    assert_eq!(buckets.len(), BOUNDS_MS.len() + 1);
    assert_eq!(
        buckets[0],
        r#"sluice_queue_wait_seconds_bucket{server="a",le="0.000"} 2"#
    );
    assert_eq!(
        buckets[1],
        r#"sluice_queue_wait_seconds_bucket{server="a",le="0.010"} 3"#
    );
    assert_eq!(
        buckets[2],
        r#"sluice_queue_wait_seconds_bucket{server="a",le="0.025"} 4"#
    );
    assert_eq!(
        buckets[22],
        r#"sluice_queue_wait_seconds_bucket{server="a",le="600.000"} 4"#
    );
    assert_eq!(
        buckets[23],
        r#"sluice_queue_wait_seconds_bucket{server="a",le="+Inf"} 5"#
    );
    assert_eq!(
        lines(&text, "sluice_queue_wait_seconds_sum"),
        [r#"sluice_queue_wait_seconds_sum{server="a"} 700.021"#]
    );
    assert_eq!(
        lines(&text, "sluice_queue_wait_seconds_count"),
        [r#"sluice_queue_wait_seconds_count{server="a"} 5"#]
    );
}

#[test]
fn what_does_not_exist_has_no_sample_and_a_silent_object_shows_nothing_stale() {
    let mut unlimited = server("a", 1, &["m"]);
    unlimited.rpm_limit = None;
    let silent = server("b", 2, &["m"]);
    let servers = [
        scraped(&unlimited, &[]),
        Scraped {
            server: &silent,
            said: None,
        },
    ];
    let text = render(LOCATION, &servers);
    assert_eq!(
        lines(&text, "sluice_limit_requests_per_minute").len(),
        1,
        "only b's"
    );
    assert_eq!(
        lines(&text, "sluice_next_grant_seconds"),
        [""; 0],
        "nobody waits"
    );
    assert!(
        !text.contains("# TYPE sluice_next_grant_seconds"),
        "no head without a sample"
    );
    assert_eq!(
        lines(&text, "sluice_limiter_up"),
        [
            r#"sluice_limiter_up{server="a"} 1"#,
            r#"sluice_limiter_up{server="b"} 0"#
        ]
    );
    assert_eq!(
        lines(&text, "sluice_queue_length"),
        [r#"sluice_queue_length{server="a"} 0"#]
    );
    assert_eq!(
        lines(&text, "sluice_config_age_seconds"),
        ["sluice_config_age_seconds 1.250"]
    );
}

#[test]
fn a_pause_counts_down_and_a_name_is_escaped() {
    let mut server = server("a", 1, &["m"]);
    server.name = "a \"b\" \\ c\n".to_owned();
    let live = Live {
        paused_until: Some(Instant::from_millis(12_500)),
        ..Live::default()
    };
    let said = Some((live, Counters::default()));
    let text = render(
        LOCATION,
        &[Scraped {
            server: &server,
            said,
        }],
    );
    assert_eq!(
        lines(&text, "sluice_paused_seconds"),
        [r#"sluice_paused_seconds{server="a"} 2.500"#]
    );
    assert_eq!(
        lines(&text, "sluice_server_info"),
        [r#"sluice_server_info{server="a",name="a \"b\" \\ c\n"} 1"#]
    );
}

#[test]
fn counts_of_an_older_gateway_are_read_and_go_on() {
    let mut counters = Counters::decode(r#"{"r":[5],"w":{"b":[5],"s":0}}"#).unwrap();
    counters.add(&row(499, None));
    assert_eq!(
        (
            counters.requests(Outcome::Ok),
            counters.requests(Outcome::Cancelled)
        ),
        (5, 1)
    );
    assert!(Counters::decode("7").is_err());
}

#[test]
fn the_number_of_series_is_bounded_by_the_number_of_servers() {
    let server = server("a", 1, &["m"]);
    let rows = [200, 404, 499, 500].map(|status| LogRow {
        app: format!("app-{status}"),
        model: format!("model-{status}"),
        ttft_ms: Some(u64::from(status)),
        ..row(status, None)
    });
    let text = render(LOCATION, &[scraped(&server, &rows)]);
    assert!(!text.contains("app-") && !text.contains("model-"));
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series <= 150, "{series} series for one server");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn counts_survive_storage_and_add_up(
        rows in proptest::collection::vec((100_u16..600, 0_u64..1_000_000, proptest::option::of(0_u64..1_000_000), 0_u64..10_000), 0..40),
    ) {
        let mut counters = Counters::default();
        for (status, wait, ttft_ms, tokens) in &rows {
            counters.add(&LogRow {
                queue_wait_ms: *wait,
                total_ms: *wait,
                ttft_ms: *ttft_ms,
                prompt_tokens: *tokens,
                ..row(*status, None)
            });
            counters = Counters::decode(&counters.encode()).unwrap();
        }
        let total = rows.len() as u64;
        prop_assert_eq!(Outcome::ALL.iter().map(|outcome| counters.requests(*outcome)).sum::<u64>(), total);
        prop_assert_eq!(counters.queue_wait().counts().iter().sum::<u64>(), total);
        prop_assert_eq!(counters.queue_wait().sum_ms(), rows.iter().map(|row| row.1).sum::<u64>());
        prop_assert_eq!(counters.time_to_first_token().counts().iter().sum::<u64>(), rows.iter().filter(|row| row.2.is_some()).count() as u64);
        prop_assert_eq!(counters.tokens()[0], ("prompt", rows.iter().map(|row| row.3).sum::<u64>()));
        // It travels in a header.
        prop_assert!(counters.encode().bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }
}
