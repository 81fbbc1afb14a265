//! 查询串与游标：界内才收，游标写出再读回不变。
//!
//! Query strings of the lists, the log, the statistics, their exports and the audit trail. The oracles: a refusal is 422
//! and names its parameter; what is accepted is within its bounds, and a cursor of it reads back as it was.

use admission::Instant;
use gateway::admin_api::{
    AuditQuery, Cursor, LogQuery, Page, UsageQuery, bounds, parse_rfc3339, rfc3339,
};
use gateway::error::GatewayError;
use gateway::export::Export;

use crate::input::Input;

/// 2026-11-23T08:00:00Z.
const NOW: Instant = Instant::from_millis(1_795_420_800_000);

/// No filter is longer, in characters.
const FILTER_CHARS_MAX: usize = 256;

pub(crate) fn run(bytes: &[u8]) {
    let query = &Input::new(bytes).text();
    if let Some(page) = taken(Page::parse(query)) {
        assert!((1..=bounds::PAGE_LEN_MAX).contains(&page.limit));
        assert_eq!(page.rows(), page.limit + 1);
        if let Some(cursor) = page.cursor {
            reads_back(&cursor);
        }
    }
    if let Some(log) = taken(LogQuery::parse(query)) {
        assert!(log.from <= log.to && (1..=bounds::PAGE_LEN_MAX).contains(&log.limit));
        assert!(
            log.filter
                .status
                .is_none_or(|status| (100..=599).contains(&status))
        );
        for text in [&log.filter.app, &log.filter.model, &log.filter.request_id] {
            let within = |text: &String| text.chars().count() <= FILTER_CHARS_MAX;
            assert!(text.as_ref().is_none_or(within));
        }
    }
    if let Some(usage) = taken(UsageQuery::parse(query, NOW)) {
        let span = usage.granularity.millis();
        assert!(usage.from <= usage.to, "{usage:?}");
        assert_eq!(
            usage.from.as_millis() % span + usage.to.as_millis() % span,
            0
        );
        if let Some(place) = &usage.after {
            let text = format!(
                "from={}&to={}&granularity={}&group_by={}&cursor={}",
                rfc3339(usage.from),
                rfc3339(usage.to),
                usage.granularity.as_str(),
                groups(&usage),
                place.encode()
            );
            let text = text.replace("&group_by=&", "&");
            let again = UsageQuery::parse(&text, NOW).expect("its own cursor");
            assert_eq!(again.after.as_ref(), Some(place));
        }
    }
    taken(AuditQuery::parse(query));
    if let Some(mut export) = taken(Export::logs(query)) {
        assert!(export.next().is_some(), "it reads before it ends");
        let _ = export.push(&[]);
    }
    taken(Export::usage(query, NOW));
    if let Some(instant) = parse_rfc3339(query) {
        let text = rfc3339(instant);
        assert_eq!(parse_rfc3339(&text), Some(instant), "{query} became {text}");
    }
}

fn groups(usage: &UsageQuery) -> String {
    let grouping = usage.grouping;
    let names = [
        (grouping.server_id, "server_id"),
        (grouping.app, "app"),
        (grouping.model, "model"),
    ];
    let names = names.into_iter().filter(|(is_so, _)| *is_so);
    names.map(|(_, name)| name).collect::<Vec<_>>().join(",")
}

fn reads_back(cursor: &Cursor) {
    let again = Page::parse(&format!("cursor={}", cursor.encode())).expect("its own cursor");
    assert_eq!(again.cursor.as_ref(), Some(cursor));
}

fn taken<T>(parsed: Result<T, GatewayError>) -> Option<T> {
    match parsed {
        Ok(value) => Some(value),
        Err(refusal) => {
            assert!(
                refusal.status() == 422 && refusal.param.is_some(),
                "{refusal:?}"
            );
            None
        }
    }
}
