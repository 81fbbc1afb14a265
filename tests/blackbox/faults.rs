//! 故障：上游、数据库、限流器、进程与客户端，各坏一遍。
//!
//! The fault suite on plain workerd. Each test does one thing wrong and looks at all three who are concerned: the client, the
//! row of the log, and the limiter afterwards. `docs/faults.md` has one row for each, which a native test compares.

mod clients;
mod database;
mod floods;
mod limiter;
mod provider;

use gateway_tests::harness::{Answer, Gateway, SOON, Server};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::journal;

pub(crate) use provider::{Ground, as_promised, chat_of, send};

pub(crate) fn trials() -> Vec<Trial> {
    [
        provider::trials(),
        floods::trials(),
        limiter::trials(),
        database::trials(),
        clients::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a client saw of an answer.
#[derive(Debug)]
pub(crate) enum End {
    Whole(Answer),
    Broken,
    /// Not within any bound.
    Hung,
}

/// Waits until nobody waits and nothing is in flight, and the journal is in D1; the live figures.
pub(crate) async fn at_rest(gateway: &Gateway, server: &Server) -> Value {
    gateway
        .live_within(SOON, &server.id, "nothing is left of the fault", |live| {
            live["in_flight"] == 0 && live["queue_length"] == 0 && live["journal_rows"] == 0
        })
        .await
}

/// The only row of a server, when it is there.
pub(crate) async fn only_row(gateway: &Gateway, server: &Server) -> Value {
    let mut rows = journal::rows(gateway, &server.id, 1).await;
    assert_eq!(rows.len(), 1, "one request, one row: {rows:#?}");
    rows.remove(0)
}

/// Status, code (empty = null) and source of a row.
pub(crate) fn outcome(row: &Value) -> (u64, &str, &str) {
    (
        row["status"].as_u64().expect("a status"),
        row["error_code"].as_str().unwrap_or_default(),
        row["usage_source"].as_str().expect("a source"),
    )
}
