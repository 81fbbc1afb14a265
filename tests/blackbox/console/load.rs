//! 控制台的体积、启动与内存。
//!
//! What the console costs: bytes of the first load as they come over the wire, the time until somebody can
//! type, and that a minute of live updates leaves memory flat. The figures are printed.

use std::time::Duration;

use gateway_tests::harness::{Browser, Gateway};
use libtest_mimic::Trial;

use super::desk::Desk;
use crate::stage::gateway;

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        the_first_load_is_small_and_soon_ready_and_the_second_comes_from_the_cache,
        a_minute_of_live_updates_leaves_memory_flat,
    ]
}

const FIRST_LOAD_KIB_MAX: f64 = 350.0;
const READY_MS_MAX: f64 = 1_500.0;

/// Bytes over the wire, headers included, and how many files.
const TRANSFERRED: &str = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource').filter((one) => !one.name.includes('/api/'))].reduce(({ bytes, files }, one) => ({ bytes: bytes + one.transferSize, files: files + 1 }), { bytes: 0, files: 0 })";

async fn the_first_load_is_small_and_soon_ready_and_the_second_comes_from_the_cache() {
    let browser = Browser::start().await;
    let mut ready = f64::MAX;
    let mut desk = Desk::new(&browser, gateway().await).await;
    // Each page has a cache of its own, so each load is a cold one; the best of three is not the machine's mood.
    for _ in 0..3 {
        desk = Desk::new(&browser, gateway().await).await;
        desk.visit("/").await;
        let typing = "document.activeElement?.id === 'token' && performance.now()";
        let after = desk.until("one can type", typing).await;
        ready = ready.min(after.as_f64().expect("a time"));
    }
    let first = desk.evaluate(TRANSFERRED).await;
    let kib = |value: &serde_json::Value| value["bytes"].as_f64().unwrap_or(f64::MAX) / 1024.0;
    desk.visit("/").await;
    desk.see("#token").await;
    let second = desk.evaluate(TRANSFERRED).await;
    println!(
        "first load {:.1} KiB in {} files, ready after {ready:.0} ms; second load {:.1} KiB",
        kib(&first),
        first["files"],
        kib(&second)
    );
    assert!(kib(&first) <= FIRST_LOAD_KIB_MAX, "{first}");
    assert!(
        kib(&second) < 16.0,
        "files with a hash in their name are kept: {second}"
    );
    assert!(ready <= READY_MS_MAX, "{ready} ms");
    desk.is_clean();
}

async fn a_minute_of_live_updates_leaves_memory_flat() {
    let gateway = Gateway::serve().start().await;
    for number in 1..=4 {
        gateway
            .server(&format!("s{number}"))
            .base_url("http://127.0.0.1:9")
            .model("m")
            .create()
            .await;
    }
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/").await;
    desk.see(".u-legend").await;
    let memory = async || {
        let wasm = desk.evaluate("sluice.memory.buffer.byteLength").await;
        let heap = desk.figure("JSHeapUsedSize").await;
        (
            wasm.as_f64().expect("bytes"),
            heap,
            desk.figure("Nodes").await,
        )
    };
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = memory().await;
    let asked = desk.asked().len();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let after = memory().await;
    let updates = desk
        .asked()
        .iter()
        .skip(asked)
        .filter(|asked| asked.url.ends_with("/api/live"))
        .count();
    println!("{updates} updates: wasm, heap, nodes {before:?} before, {after:?} after");
    assert!(
        updates >= 40,
        "at least two updates in three seconds: {updates}"
    );
    assert!(
        after.0 <= before.0 + 131_072.0,
        "WebAssembly: {before:?} {after:?}"
    );
    assert!(
        after.1 <= before.1 * 1.25 + 524_288.0,
        "heap: {before:?} {after:?}"
    );
    assert!(after.2 <= before.2 + 50.0, "nodes: {before:?} {after:?}");
    desk.is_clean();
}
