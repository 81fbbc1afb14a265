//! 数据库的故障：出错、不答，热时与冷启动时。
//!
//! D1 that fails or hangs, for a Worker that knows its configuration and for one that has just started. What becomes of
//! rows in a long outage is the business of `outage`.

use gateway_tests::harness::{Database, Gateway, Key, SOON};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::{at_rest, only_row, outcome};
use crate::stage::{PATIENT, Stage};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        database_that_fails_stops_no_request,
        database_that_hangs_stops_no_request,
        database_that_fails_at_a_cold_start_is_told,
        database_that_hangs_at_a_cold_start_is_told,
    ]
}

/// A request that was let in while the database is broken is served, and its row comes when it is whole again.
async fn served_without(how: Database, name: &str) {
    let gateway = Gateway::serve().with_faults().start().await;
    let key = gateway.key(name).create().await;
    let stage = Stage::on(&gateway, &key, name, |server| {
        server.rpm(1_000).tpm(1_000_000)
    })
    .await;
    // This isolate knows the key only when it has seen it.
    let warm = stage.chat().model("no-such-model").send().await;
    warm.expect_error(404, "model_not_found");
    gateway.database(how).await;
    stage.chat().send().await.expect(200);
    if how == Database::Fails {
        let refused = gateway.admin("GET", "/api/servers").send().await;
        refused.expect_error(503, "storage_unavailable");
    }
    let live = stage
        .live_until("its row waits in the journal", |live| {
            live["journal_rows"] == 1
        })
        .await;
    assert_eq!(
        (&live["rpm_used"], &live["in_flight"]),
        (&json!(1), &json!(0))
    );
    gateway.database(Database::Answers).await;
    let moved = |live: &serde_json::Value| live["journal_rows"] == 0;
    gateway
        .live_within(
            PATIENT,
            &stage.server.id,
            "its row is in the database",
            moved,
        )
        .await;
    let row = only_row(&gateway, &stage.server).await;
    assert_eq!(outcome(&row), (200, "", "exact"));
}

async fn database_that_fails_stops_no_request() {
    served_without(Database::Fails, "fault-database-fails").await;
}

async fn database_that_hangs_stops_no_request() {
    served_without(Database::Hangs, "fault-database-hangs").await;
}

/// Nobody can say who may what: a clear refusal, no permit, no row; and no restart is needed afterwards.
async fn told_at_a_cold_start(how: Database, name: &str) {
    let folder = TempDir::with_prefix("sluice-fault-").expect("a temporary directory");
    let start = || Gateway::serve().state(folder.path()).with_faults();
    let gateway = start().start().await;
    let provider = Provider::start();
    let server = gateway
        .server(name)
        .provider(&provider)
        .model(name)
        .rpm(1_000);
    let server = server.create().await;
    let key: Key = gateway.key(name).create().await;
    gateway.stop(Signal::SIGTERM, SOON).await;
    let gateway = start().start().await;
    gateway.database(how).await;
    let chat = || gateway.chat(&key).model(name).bound(PATIENT);
    chat().send().await.expect_error(503, "storage_unavailable");
    assert!(provider.ledger().entries().is_empty());
    gateway.database(Database::Answers).await;
    chat().send().await.expect(200);
    let live = at_rest(&gateway, &server).await;
    assert_eq!(live["rpm_used"], 1, "only the second was let in: {live}");
    let row = only_row(&gateway, &server).await;
    assert_eq!(outcome(&row), (200, "", "exact"));
}

async fn database_that_fails_at_a_cold_start_is_told() {
    told_at_a_cold_start(Database::Fails, "fault-cold-fails").await;
}

async fn database_that_hangs_at_a_cold_start_is_told() {
    told_at_a_cold_start(Database::Hangs, "fault-cold-hangs").await;
}
