//! 指标表与 `/metrics` 的文本一致。
//!
//! The documents' table of metrics against what the rules really write: names, types and labels, in both
//! languages, none too many and none too few.

use std::collections::BTreeMap;
use std::time::Duration;

use admission::Instant;
use admission::protocol::{Live, OnFull};
use gateway::config::{Overflow, Server};
use gateway::metrics::{self, Counters, Location, Scraped};

use crate::tables::{read, rows};

/// A server of which every metric has a sample.
fn limited_server() -> Server {
    Server {
        id: "srv_1".to_owned(),
        name: "n".to_owned(),
        base_url: "https://llm.example/v1".to_owned(),
        models: Vec::new(),
        enabled: true,
        position: 1,
        rpm_limit: Some(1),
        tpm_limit: Some(1),
        max_concurrency: Some(1),
        queue_max: 1,
        queue_timeout_ms: 1,
        on_full: OnFull::EvictOldest,
        overflow: Overflow::Wait,
        upstream_timeout_ms: 1,
        api_key: None,
        version: 1,
    }
}

/// What `GET /metrics` says where every metric has a sample.
pub(crate) fn complete_text() -> String {
    let live = Live {
        next_grant_in: Some(Duration::ZERO),
        ..Live::default()
    };
    let server = limited_server();
    let servers = [Scraped {
        server: &server,
        said: Some((live, Counters::default())),
    }];
    let location = Location {
        config_version: 1,
        config_age_ms: 0,
        now: Instant::from_millis(0),
    };
    metrics::render(location, &servers)
}

#[test]
fn every_metric_stands_in_the_documents_with_its_type_and_labels() {
    let text = complete_text();
    let types: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    assert!(types.len() > 20, "{types:?}");
    for path in ["docs/operations.md", "docs/zh-CN/operations.md"] {
        let rows: BTreeMap<_, _> = rows(&read(path))
            .into_iter()
            .filter(|(name, _)| name.starts_with("sluice_"))
            .collect();
        assert_eq!(rows.len(), types.len(), "{path}: {:?}", rows.keys());
        for (name, kind) in &types {
            let cells = &rows
                .get(*name)
                .unwrap_or_else(|| panic!("{path} lacks {name}"));
            assert_eq!(&cells[0], kind, "{path}: {name}");
            let sample = text
                .lines()
                .find(|line| line.starts_with(name))
                .expect("a sample");
            let labels: Vec<&str> = sample
                .split_once('{')
                .map_or("", |(_, labels)| labels)
                .split(',')
                .filter_map(|label| Some(label.split_once('=')?.0))
                .filter(|label| *label != "le")
                .collect();
            let told: Vec<&str> = cells[1].split('`').skip(1).step_by(2).collect();
            assert_eq!(told, labels, "{path}: {name}");
        }
    }
}
