//! 日志查询的测试：筛选、拼页、回到上一页。
//!
//! Judges what is asked of the API, how short answers become a page, and the way back. The rows are made here; no
//! browser and no API takes part.

use gateway::error::ErrorCode;
use gateway::log_row::UsageSource;

use super::*;
use crate::range::Preset;

const NOW: u64 = 1_700_000_000_000;

pub(crate) fn row(number: usize, status: u16) -> LogView {
    LogView {
        request_id: format!("req_{number}"),
        started_at: time(NOW),
        app: "chat".to_owned(),
        key_id: String::new(),
        server_id: "srv_1".to_owned(),
        model: "m".to_owned(),
        endpoint: "/v1/chat/completions".to_owned(),
        status,
        error_code: None,
        stream: false,
        prompt_tokens: 0,
        completion_tokens: 0,
        cached_tokens: 0,
        total_tokens: 0,
        usage_source: UsageSource::Exact,
        queue_wait_ms: 0,
        queue_position: 0,
        ttft_ms: None,
        total_ms: 0,
        overhead_ms: 0,
        attempts: 1,
        colo: String::new(),
    }
}

#[test]
fn filters_are_asked_of_the_api_and_a_class_of_statuses_is_not() {
    let asked = |text: &str| {
        let page = Query::parse(text);
        asked(&page, Range::of_query(&page, Preset::Day), NOW).to_text()
    };
    assert_eq!(
        asked("?app=a%20b&status=504&cursor=c&live=1&range=1h"),
        "?from=2023-11-14T21:13:20.000Z&app=a%20b&status=504"
    );
    assert_eq!(asked("?status=5xx"), "?from=2023-11-13T22:13:20.000Z");
    assert_eq!(asked("?status=hello"), "?from=2023-11-13T22:13:20.000Z");
    assert_eq!(
        asked("?from=2023-01-01T00:00:00.000Z&to=2023-01-02T00:00:00.000Z&request_id=r"),
        "?from=2023-01-01T00:00:00.000Z&to=2023-01-02T00:00:00.000Z&request_id=r"
    );
}

#[test]
fn statuses_are_any_a_hundred_or_one() {
    let has = |text: &str, status| Statuses::read(Some(text)).has(status);
    assert!(has("5xx", 500) && has("5xx", 599) && !has("5xx", 499));
    assert!(has("504", 504) && !has("504", 503));
    for nothing in ["", "9xx", "xx", "99", "600", "-1", "2e2"] {
        assert_eq!(Statuses::read(Some(nothing)), Statuses::Any, "{nothing}");
    }
    assert!(Statuses::read(None).has(200));
}

#[test]
fn a_page_is_put_together_of_short_answers_without_loss() {
    let query = Query::parse("?app=a");
    let mut page = Gathered::from(None, Statuses::Any);
    assert_eq!(
        page.call(&query).map(|call| call.to_text()).as_deref(),
        Some("?app=a&limit=50")
    );
    page.take(
        (0..20).map(|number| row(number, 200)).collect(),
        Some("c1".to_owned()),
    );
    assert!(page.is_short());
    assert_eq!(
        page.call(&query).map(|call| call.to_text()).as_deref(),
        Some("?app=a&limit=30&cursor=c1")
    );
    page.take(
        (20..50).map(|number| row(number, 200)).collect(),
        Some("c2".to_owned()),
    );
    assert_eq!((page.call(&query), page.is_short()), (None, false));
    assert_eq!(page.next.as_deref(), Some("c2"));
    assert_eq!(page.rows.len(), ROWS);
}

#[test]
fn a_page_ends_with_the_log_and_says_when_it_only_stopped_looking() {
    let query = Query::default();
    let mut ended = Gathered::from(Some("c".to_owned()), Statuses::Any);
    ended.take(vec![row(1, 200)], None);
    assert_eq!((ended.call(&query), ended.is_short()), (None, false));
    let mut stopped = Gathered::from(None, Statuses::Class(5));
    let mut calls = 0;
    while let Some(call) = stopped.call(&query) {
        assert_eq!(call.get("limit"), Some("500"));
        stopped.take(
            vec![row(calls, 200), row(calls, 500)],
            Some(format!("c{calls}")),
        );
        calls += 1;
    }
    assert_eq!((calls, stopped.rows.len()), (8, 8));
    assert!(stopped.is_short() && stopped.rows.iter().all(|row| row.status == 500));
}

#[test]
fn the_way_back_leads_through_the_pages_of_before() {
    let mut trail = Trail::default();
    trail.visit(Some("deep"));
    assert_eq!(trail.newer(), None);
    trail.visit(None);
    assert_eq!(trail.newer(), None);
    trail.visit(Some("a"));
    assert_eq!(trail.newer(), Some(None));
    trail.visit(Some("b"));
    assert_eq!(trail.newer(), Some(Some("a")));
    trail.visit(Some("a"));
    assert_eq!(trail.newer(), Some(None));
    trail.visit(Some("a"));
    assert_eq!(trail.newer(), Some(None));
    trail.visit(None);
    assert_eq!(trail.newer(), None);
}

#[test]
fn the_errors_to_choose_from_are_errors_of_the_gateway() {
    for code in ERROR_CODES {
        assert!(
            ErrorCode::ALL.iter().any(|one| one.as_str() == code),
            "{code}"
        );
    }
}
