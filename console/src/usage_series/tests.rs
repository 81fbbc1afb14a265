//! 用量数列的测试：分组、前几名、其余、缺口。
//!
//! Judges grouping, the largest groups with the rest put together, gaps of percentiles, and that parts add up to
//! their whole. The rows are made here; no browser and no API takes part.

use super::*;
use crate::i18n::Locale;
use crate::range::time;

const HOUR: u64 = 3_600_000;
const BUCKETS: [u64; 3] = [0, HOUR, 2 * HOUR];

fn row(bucket: u64, app: &str, requests: u64) -> UsageView {
    UsageView {
        bucket: time(bucket),
        server_id: Some(format!("srv_{app}")),
        server_name: (app != "gone").then(|| format!("server {app}")),
        app: Some(app.to_owned()),
        model: None,
        figures: UsageFigures {
            requests,
            errors: requests / 2,
            queue_timeouts: requests / 4,
            cancelled: requests / 8,
            prompt_tokens: requests.saturating_mul(10),
            cached_tokens: requests.saturating_mul(4),
            completion_tokens: requests.saturating_mul(3),
            total_tokens: requests.saturating_mul(13),
            queue_wait_ms_max: requests,
            queue_wait_p95_ms: Some(requests.saturating_mul(7)),
            ..zero()
        },
    }
}

fn shown(by: By, subject: Subject) -> Shown {
    Shown {
        by,
        subject,
        kind: subject.kinds()[0],
        step: None,
    }
}

#[test]
fn rows_of_a_group_add_up_and_the_largest_comes_first() {
    let rows = [row(0, "a", 8), row(0, "b", 20), row(HOUR, "a", 16)];
    let groups = groups(&rows, By::App);
    let told: Vec<(&str, u64, u64, u64)> = groups
        .iter()
        .map(|group| {
            let of = &group.figures;
            (
                group.id.as_str(),
                of.requests,
                of.total_tokens,
                of.queue_wait_ms_max,
            )
        })
        .collect();
    assert_eq!(told, [("a", 24, 312, 16), ("b", 20, 260, 20)]);
    assert!(
        groups
            .iter()
            .all(|group| group.figures.queue_wait_p95_ms.is_none())
    );
}

#[test]
fn a_server_is_told_by_its_name_and_one_that_is_no_more_by_its_id() {
    let groups = groups(&[row(0, "a", 2), row(0, "gone", 1)], By::Server);
    assert_eq!(groups[0].label, "server a");
    assert!(groups[1].label.contains("srv_gone") && groups[1].label != "srv_gone");
}

#[test]
fn a_series_has_a_value_for_every_bucket_and_the_small_groups_are_one() {
    let rows: Vec<UsageView> = (0..10)
        .map(|number| row(HOUR, &format!("app-{number}"), 100 - number))
        .collect();
    let groups = groups(&rows, By::App);
    let lines = lines(&rows, &groups, &BUCKETS, shown(By::App, Subject::Requests));
    assert_eq!(lines.len(), GROUPS_MAX + 1);
    assert_eq!(lines[0].values, [Some(0.0), Some(100.0), Some(0.0)]);
    let others = &lines[GROUPS_MAX];
    assert_eq!((others.name.as_str(), others.tone), (OTHERS, "neutral"));
    assert_eq!(others.sum, Some(93.0 + 92.0 + 91.0));
    let sum: f64 = lines.iter().filter_map(|line| line.sum).sum();
    assert!((sum - 955.0).abs() < 1e-9);
    for (place, line) in lines.iter().take(GROUPS_MAX).enumerate() {
        assert_eq!(line.tone, tone(place));
    }
}

#[test]
fn percentiles_have_gaps_and_are_never_put_together() {
    let rows: Vec<UsageView> = (0..10)
        .map(|number| row(HOUR, &format!("app-{number}"), 100 - number))
        .collect();
    let groups = groups(&rows, By::App);
    let lines = lines(&rows, &groups, &BUCKETS, shown(By::App, Subject::Wait));
    assert_eq!(lines.len(), GROUPS_MAX);
    assert_eq!(lines[0].values, [None, Some(700.0), None]);
    assert!(lines.iter().all(|line| line.sum.is_none()));
}

#[test]
fn the_parts_of_a_count_add_up_to_it() {
    let rows = [row(0, "a", 16), row(2 * HOUR, "a", 80)];
    for (subject, whole) in [
        (Subject::Requests, 96.0),
        (Subject::Tokens, 96.0 * 13.0),
        (Subject::Errors, 48.0),
    ] {
        let lines = lines(&rows, &[], &BUCKETS, shown(By::Nothing, subject));
        let named: Vec<&str> = lines.iter().map(|line| line.tone).collect();
        assert_eq!(named, tones(shown(By::Nothing, subject)));
        let sum: f64 = lines.iter().filter_map(|line| line.sum).sum();
        assert!((sum - whole).abs() < 1e-9, "{subject:?}: {sum}");
    }
    let waits = lines(&rows, &[], &BUCKETS, shown(By::Nothing, Subject::Wait));
    assert_eq!(waits[1].values, [Some(112.0), None, Some(560.0)]);
}

#[test]
fn a_name_is_never_taken_for_a_list_or_for_the_others() {
    crate::i18n::set_locale(Locale::En);
    assert_eq!(written("a,b"), "a%2Cb");
    assert_eq!(written(OTHERS), "%2A");
    assert_ne!(written("a%2Cb"), written("a,b"));
}

#[test]
fn a_change_is_a_part_of_what_was_there_before() {
    assert_eq!(change(15.0, 10.0), Some(0.5));
    assert_eq!(change(0.0, 10.0), Some(-1.0));
    assert_eq!(change(5.0, 0.0), None);
}
