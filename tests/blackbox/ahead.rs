//! 预授的许可：密集流量用得上，账上一张不差。
//!
//! Permits granted ahead, seen from outside: dense traffic uses them, each request has its one row under the id
//! that it was told, and what nobody used is gone. After a kill each permit that was out is accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::{join, join_all};
use gateway_tests::harness::{Answer, Chat, Gateway, Key, Start};
use gateway_tests::provider::{Options, Provider};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::Stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        dense_traffic_goes_ahead_and_leaves_one_row_for_each_request,
        a_reset_amid_dense_traffic_invents_no_row,
        an_orderly_stop_amid_dense_traffic_invents_no_row,
        after_a_kill_each_permit_that_was_out_has_its_row,
    ]
}

/// Clients of one wave, and how many requests each makes, one after the other.
const CLIENTS: usize = 24;
const EACH: usize = 8;

/// Waves after which permits must have been used, however slow the machine is.
const WAVES_MAX: usize = 30;

/// Bound of everything that has to come to its end: leases of 6 s, rows that are moved a second later.
const SETTLED: Duration = Duration::from_mins(1);

/// What the permits of one block have in common, of 36 characters.
const BLOCK_LEN: usize = 32;

fn serve() -> Start {
    Gateway::serve()
        .with_faults()
        .variable("FAULT_LEASE_MS", "6000")
        .variable("LOG_REQUESTS", "off")
}

/// A server whose limits are far off.
async fn stage<'a>(gateway: &'a Gateway, key: &'a Key) -> Stage<'a> {
    Stage::on(gateway, key, "ahead", |server| {
        server.rpm(1_000_000).tpm(1_000_000_000)
    })
    .await
}

/// The answers to one wave of this request.
async fn wave(chat: impl Fn() -> Chat) -> Vec<Answer> {
    let client = async || {
        let mut answers = Vec::new();
        for _ in 0..EACH {
            answers.push(chat().send().await.expect(200));
        }
        answers
    };
    let clients = join_all((0..CLIENTS).map(|_| client())).await;
    clients.into_iter().flatten().collect()
}

/// The id of a request that was answered.
fn id(answer: &Answer) -> String {
    answer.header("x-request-id").expect("an id").to_owned()
}

/// How many of these ids are of blocks: generated ones have nothing in common.
fn ahead(ids: &[String]) -> usize {
    let mut blocks: BTreeMap<&str, usize> = BTreeMap::new();
    for id in ids {
        *blocks.entry(&id[..BLOCK_LEN]).or_default() += 1;
    }
    blocks.values().filter(|count| **count > 1).sum()
}

/// Waves until permits were used that were granted ahead, and one more.
async fn dense(chat: impl Fn() -> Chat) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..WAVES_MAX {
        let went_ahead = ahead(&ids) > 0;
        ids.extend(wave(&chat).await.iter().map(id));
        if went_ahead {
            return ids;
        }
    }
    panic!("{WAVES_MAX} waves, and nobody went ahead");
}

/// All rows of a server, when nothing is out and none is on its way.
async fn rows(gateway: &Gateway, server_id: &str) -> Vec<Value> {
    let is_over = |live: &Value| live["in_flight"] == 0 && live["journal_rows"] == 0;
    gateway
        .live_within(SETTLED, server_id, "all is over", is_over)
        .await;
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/logs?server_id={server_id}&limit=500{cursor}");
        let page = gateway.admin("GET", &path).send().await.expect(200).json();
        rows.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// Each request has one row, exact, under its id; and nothing else has one.
fn assert_one_row_each(ids: &[String], rows: &[Value]) {
    let told: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(told.len(), ids.len(), "an id was given twice");
    let noted: BTreeSet<&str> = rows
        .iter()
        .map(|row| row["request_id"].as_str().expect("an id"))
        .collect();
    assert_eq!(noted, told);
    assert_eq!(rows.len(), ids.len());
    for row in rows {
        assert_eq!(
            (&row["usage_source"], &row["status"]),
            (&json!("exact"), &json!(200)),
            "{row}"
        );
        assert_eq!(
            (&row["queue_position"], &row["attempts"]),
            (&json!(0), &json!(1)),
            "{row}"
        );
    }
}

async fn dense_traffic_goes_ahead_and_leaves_one_row_for_each_request() {
    let gateway = serve().start().await;
    let key = gateway.key("ahead").create().await;
    let stage = stage(&gateway, &key).await;
    let ids = dense(|| stage.chat()).await;
    let answers = wave(|| stage.chat()).await;
    for answer in &answers {
        assert_eq!(answer.number("x-queue-position"), 0);
        assert_eq!(answer.number("x-queue-wait-ms"), 0);
        assert_eq!(answer.number("x-ratelimit-limit-requests"), 1_000_000);
        assert!(answer.number("x-ratelimit-remaining-requests") < 1_000_000);
        assert!(answer.number("x-config-version") > 0);
    }
    let ids: Vec<String> = ids.into_iter().chain(answers.iter().map(id)).collect();
    assert_one_row_each(&ids, &rows(&gateway, &stage.server.id).await);
    // What was not used does not count.
    let live = stage.live().await;
    assert!(
        live["rpm_used"].as_u64() <= Some(ids.len() as u64),
        "{live}"
    );
    // A name of the client's stays its own.
    let named = stage.chat().header("x-request-id", "mine").send().await;
    assert_eq!(named.header("x-request-id"), Some("mine"));
}

async fn a_reset_amid_dense_traffic_invents_no_row() {
    let gateway = serve().start().await;
    let key = gateway.key("ahead").create().await;
    let stage = stage(&gateway, &key).await;
    let mut ids = dense(|| stage.chat()).await;
    for _ in 0..5 {
        let (answers, ()) = join(wave(|| stage.chat()), stage.reset_limiter()).await;
        ids.extend(answers.iter().map(id));
    }
    assert_one_row_each(&ids, &rows(&gateway, &stage.server.id).await);
}

async fn an_orderly_stop_amid_dense_traffic_invents_no_row() {
    let state = TempDir::with_prefix("sluice-ahead-").expect("a temporary directory");
    let gateway = serve().state(state.path()).start().await;
    let key = gateway.key("ahead").create().await;
    let (ids, server_id) = {
        let before = stage(&gateway, &key).await;
        let ids = dense(|| before.chat()).await;
        (ids, before.server.id.clone())
    };
    // Permits are here that nobody uses.
    gateway.stop(Signal::SIGTERM, SETTLED).await;
    let gateway = serve().state(state.path()).start().await;
    assert_one_row_each(&ids, &rows(&gateway, &server_id).await);
}

async fn after_a_kill_each_permit_that_was_out_has_its_row() {
    let state = TempDir::with_prefix("sluice-ahead-").expect("a temporary directory");
    let provider = Provider::start_with(Options::default()).expect("a loopback port is free");
    let gateway = serve().state(state.path()).start().await;
    let key = gateway.key("ahead").create().await;
    let draft = gateway.server("ahead").provider(&provider).model("ahead");
    let server = draft.rpm(1_000_000).create().await;
    gateway.in_force().await;
    let chat = || gateway.chat(&key).model("ahead");
    let mut ids = dense(chat).await;
    // More of it, which is cut off, with permits ahead that nobody will use.
    let cut_off: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(chat().send_if_it_lives()))
        .collect();
    let arrived = provider.ledger().chats().len();
    provider.ledger().wait_for_chats(arrived + 1, SETTLED).await;
    gateway.kill().await;
    for answer in join_all(cut_off).await {
        ids.extend(answer.expect("no panic").as_ref().map(id));
    }
    let gateway = serve().state(state.path()).start().await;
    let rows = rows(&gateway, &server.id).await;
    let noted: BTreeSet<&str> = rows
        .iter()
        .map(|row| row["request_id"].as_str().expect("an id"))
        .collect();
    assert_eq!(noted.len(), rows.len(), "an id has two rows");
    for told in &ids {
        assert!(
            noted.contains(told.as_str()),
            "{told} was answered and has no row"
        );
    }
    let arrived = provider.ledger().chats().len();
    assert!(
        rows.len() >= arrived,
        "{arrived} requests, {} rows",
        rows.len()
    );
    for row in &rows {
        assert_eq!(row["model"], "ahead", "{row}");
        let source = row["usage_source"].as_str().expect("a source");
        assert!(["exact", "reserved"].contains(&source), "{row}");
    }
}
