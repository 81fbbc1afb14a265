//! 上游的洪水：无尽的行、体与流，内存有界。
//!
//! Providers that send without measure, and clients that do not read. What is judged is the memory of workerd, whose garbage
//! comes in waves: the bound is a fraction of what was sent, so that holding all of it cannot pass.

use std::time::Duration;

use gateway_tests::bench::resident;
use gateway_tests::harness::raw::Connection;
use gateway_tests::harness::{SOON, within};
use gateway_tests::provider::{Act, Rough};
use libtest_mimic::Trial;
use serde_json::json;

use super::{at_rest, only_row, outcome};
use crate::stage::{Stage, calm};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        line_of_three_hundred_megabytes_is_passed_on_in_bounded_memory,
        body_of_three_hundred_megabytes_is_passed_on_in_bounded_memory,
        stream_without_end_stops_when_its_client_leaves,
        client_that_does_not_read_holds_its_upstream_back,
    ]
}

/// What a flood sends at once, and how often: 300 MB.
const PIECE: usize = 64 * 1024;
const PIECES: u64 = 4_800;

/// Most that workerd may grow by while 300 MB pass.
const GROWTH_MAX: u64 = 200 * 1024 * 1024;

const PATIENT: Duration = Duration::from_mins(2);

const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const PLAIN: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";

/// A server before a provider with this script.
async fn before(name: &str, script: Vec<Act>) -> (Stage<'static>, Rough) {
    let rough = Rough::start([(name.to_owned(), script)]).await;
    let rough = rough.expect("a loopback port is free");
    let base_url = rough.base_url(name);
    let stage = Stage::faulty(name, |server| server.base_url(&base_url).rpm(1_000)).await;
    (stage, rough)
}

/// Reads an answer to its end, whatever its size; its bytes, its last bytes, and how much workerd grew meanwhile.
async fn drained(stage: &Stage<'_>, connection: &mut Connection) -> (u64, Vec<u8>, u64) {
    let workerd = stage.gateway.workerd_id();
    let (before, mut most) = (resident(workerd), 0);
    let (mut bytes, mut last, mut chunks) = (0, Vec::new(), 0_u64);
    let head = connection.head().await.expect("open").expect("headers");
    assert_eq!(head.status, 200);
    while let Some((chunk, _)) = connection
        .chunk()
        .await
        .expect("the gateway's body ends properly")
    {
        bytes += chunk.len() as u64;
        last = chunk;
        chunks += 1;
        if chunks.is_multiple_of(64) {
            most = most.max(resident(workerd));
        }
    }
    (bytes, last, most.saturating_sub(before))
}

async fn line_of_three_hundred_megabytes_is_passed_on_in_bounded_memory() {
    let script = vec![
        Act::Send(format!("{STREAM}data: ").into_bytes()),
        Act::Flood(vec![b'x'; PIECE], PIECES),
        Act::Send(b"\n\ndata: [DONE]\n\n".to_vec()),
    ];
    let (stage, _rough) = before("fault-long-line", script).await;
    let alone = calm().await;
    let mut connection = stage.connect(&stage.chat().stream()).await;
    let flood = drained(&stage, &mut connection);
    let (bytes, last, grown) = within(PATIENT, "the end of the flood", flood).await;
    drop(alone);
    println!(
        "{bytes} bytes of one line: workerd grew by {} MiB",
        grown / 1024 / 1024
    );
    assert!(bytes > PIECE as u64 * PIECES && last.ends_with(b"data: [DONE]\n\n"));
    assert!(grown < GROWTH_MAX, "{grown} bytes");
    at_rest(stage.gateway, &stage.server).await;
    assert_eq!(
        outcome(&only_row(stage.gateway, &stage.server).await),
        (200, "", "estimated")
    );
}

async fn body_of_three_hundred_megabytes_is_passed_on_in_bounded_memory() {
    let script = vec![
        Act::Send(format!("{PLAIN}{{\"choices\":[{{\"message\":{{\"content\":\"").into_bytes()),
        Act::Flood(vec![b'x'; PIECE], PIECES),
        Act::Send(
            b"\"}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}"
                .to_vec(),
        ),
    ];
    let (stage, _rough) = before("fault-long-body", script).await;
    let alone = calm().await;
    let mut connection = stage.connect(&stage.chat()).await;
    let flood = drained(&stage, &mut connection);
    let (bytes, _, grown) = within(PATIENT, "the end of the flood", flood).await;
    drop(alone);
    println!(
        "{bytes} bytes of one body: workerd grew by {} MiB",
        grown / 1024 / 1024
    );
    assert!(bytes > PIECE as u64 * PIECES);
    assert!(grown < GROWTH_MAX, "{grown} bytes");
    at_rest(stage.gateway, &stage.server).await;
    let row = only_row(stage.gateway, &stage.server).await;
    assert_eq!(outcome(&row), (200, "", "exact"));
    assert_eq!(
        row["total_tokens"], 7,
        "the usage at its end is found: {row}"
    );
}

fn endless() -> Vec<Act> {
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n";
    vec![
        Act::Send(STREAM.as_bytes().to_vec()),
        Act::Flood(event.repeat(1_000).into_bytes(), u64::MAX),
    ]
}

async fn stream_without_end_stops_when_its_client_leaves() {
    let (stage, rough) = before("fault-endless", endless()).await;
    let alone = calm().await;
    let mut connection = stage.connect(&stage.chat().stream()).await;
    let some = within(SOON, "a megabyte", async {
        connection.head().await.expect("open").expect("headers");
        let mut bytes = 0;
        while bytes < 1024 * 1024 {
            let chunk = connection.chunk().await.expect("open").expect("no end");
            bytes += chunk.0.len();
        }
        bytes
    });
    assert!(some.await > 0);
    connection.reset();
    within(
        SOON,
        "the provider feels it",
        rough.tally("fault-endless").ended(1),
    )
    .await;
    drop(alone);
    at_rest(stage.gateway, &stage.server).await;
    assert_eq!(
        outcome(&only_row(stage.gateway, &stage.server).await),
        (499, "", "estimated")
    );
}

/// Most that lies in buffers between a provider and a client that does not read.
const BUFFERED_MAX: u64 = 64 * 1024 * 1024;

async fn client_that_does_not_read_holds_its_upstream_back() {
    let (stage, rough) = before("fault-unread", endless()).await;
    let alone = calm().await;
    let mut connection = stage.connect(&stage.chat().stream()).await;
    within(SOON, "headers", connection.head())
        .await
        .expect("open")
        .expect("headers");
    let tally = rough.tally("fault-unread");
    let still = within(PATIENT, "the provider is held back", async {
        let mut before = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let sent = tally.sent_bytes();
            assert!(sent < BUFFERED_MAX, "nobody holds it back: {sent} bytes");
            if sent == before && sent > 0 {
                return sent;
            }
            before = sent;
        }
    });
    println!("held back after {} KiB", still.await / 1024);
    let live = stage.live().await;
    assert_eq!(live["in_flight"], json!(1), "it is still there: {live}");
    connection.reset();
    within(SOON, "the provider feels it", tally.ended(1)).await;
    drop(alone);
    at_rest(stage.gateway, &stage.server).await;
    assert_eq!(
        outcome(&only_row(stage.gateway, &stage.server).await),
        (499, "", "estimated")
    );
}
