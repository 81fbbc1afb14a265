//! 浸泡：中等速率的混合负载跑很久，内存与账目都要平。
//!
//! `make soak`: the mix of `make availability` at a moderate rate for as long as asked (`SOAK_MINUTES`), beside it resets,
//! outages of the database, changes of the configuration and the cron of each minute. A line a minute; at the end the
//! live counters, the log and its sums against the truth. Fails on any unexplained error, any drift, or memory that
//! keeps growing.
//!
//! Invariant: not among the tests unless it was asked for, because no test lasts minutes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_tests::bench::resident;
use gateway_tests::harness::{Gateway, random::Random};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::mix::{self, Mix, Report, Scene, Size};

pub(crate) fn trials() -> Vec<Trial> {
    if std::env::var_os("SOAK_MINUTES").is_some() {
        crate::trials![mixed_load_leaves_memory_and_counters_flat]
    } else {
        Vec::new()
    }
}

/// A moderate rate: some twenty requests a second.
const CLIENTS: usize = 12;
const PAUSE_MS: usize = 800;

/// Requests between two troubles.
const EVERY: usize = 400;

/// Between two looks at the memory: garbage comes in waves of seconds.
const LOOK: Duration = Duration::from_secs(2);

/// Most that workerd may grow, after the warm-up: a leak of 1 KiB a request would be 1.2 MiB a minute here.
const SLOPE_MAX: f64 = 0.5;

/// Until the journals are in D1: pauses after an outage lie in between.
const DRAINED: Duration = Duration::from_mins(2);

const MIB: f64 = 1024.0 * 1024.0;

/// One minute of a run.
#[derive(Clone, Copy, Debug)]
struct Minute {
    requests: usize,
    unavailable: usize,
    /// The least of the minute: what the last collection of garbage left.
    least: f64,
    most: f64,
    in_flight: u64,
    queue: u64,
    journal: u64,
}

async fn mixed_load_leaves_memory_and_counters_flat() {
    let minutes: usize = std::env::var("SOAK_MINUTES")
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("SOAK_MINUTES is a whole number");
    let size = Size {
        clients: CLIENTS,
        requests_max: usize::MAX,
        pause_ms: PAUSE_MS,
    };
    let mut random = Random::announced("mixed_load_leaves_memory_and_counters_flat");
    let gateway = Gateway::serve()
        .with_faults()
        .variable("LOG_REQUESTS", "off")
        .start()
        .await;
    let scene = Scene::set(&gateway).await;
    let seed = random.bits();
    let mix = Mix::new(&gateway, &scene, size, random);
    let clients = mix.start(size.clients);
    println!("minute  requests  unavailable  least MiB  most MiB  in flight  queue  journal");
    let (samples, ()) = tokio::join!(
        watch(&gateway, &mix, minutes),
        mix::trouble(&gateway, &scene, &mix, EVERY, seed)
    );
    clients.join_all().await;
    let drift = drift(&gateway, &scene).await;
    let rows = mix::rows(&gateway).await;
    let report = Report::new(&mix.told(), &rows);
    report.print();
    let sums = sums_of_days(&gateway).await;
    let of_rows = sums_of_rows(&rows);
    println!("rollup {sums:?}, log {of_rows:?} (requests, prompt, completion, cached tokens)");
    let slope = slope(&samples);
    println!(
        "memory after the warm-up: {slope:+.3} MiB a minute, at most {SLOPE_MAX}; live counters left: {drift}"
    );
    assert_eq!(report.unavailable, 0, "errors that nothing explains");
    assert_eq!(drift, 0, "live counters are not back at zero");
    assert_eq!(sums, of_rows, "the sums are not those of the log");
    assert!(
        slope <= SLOPE_MAX,
        "memory keeps growing: {slope:.3} MiB a minute"
    );
    println!("verdict: flat");
}

/// Samples once a minute; ends the run when it is over.
async fn watch(gateway: &Gateway, mix: &Arc<Mix>, minutes: usize) -> Vec<Minute> {
    let workerd = gateway.workerd_id();
    let began = Instant::now();
    let mut samples = Vec::new();
    for minute in 1..=minutes {
        let (mut least, mut most) = (f64::MAX, 0_f64);
        while began.elapsed() < Duration::from_secs(60 * minute as u64) {
            let now = resident(workerd) as f64 / MIB;
            (least, most) = (least.min(now), most.max(now));
            tokio::time::sleep(LOOK).await;
        }
        let told = mix.told();
        let unavailable = told.iter().filter(|told| told.difference.is_some()).count();
        let live = gateway
            .admin("GET", "/api/live")
            .send()
            .await
            .expect(200)
            .json();
        let sample = Minute {
            requests: told.len(),
            unavailable,
            least,
            most,
            in_flight: sum(&live, "in_flight"),
            queue: sum(&live, "queue_length"),
            journal: sum(&live, "journal_rows"),
        };
        println!(
            "{minute:>6} {:>9} {:>12} {:>10.1} {:>9.1} {:>10} {:>6} {:>8}",
            sample.requests,
            sample.unavailable,
            sample.least,
            sample.most,
            sample.in_flight,
            sample.queue,
            sample.journal
        );
        samples.push(sample);
    }
    mix.end();
    samples
}

fn sum(live: &Value, name: &str) -> u64 {
    let items = live["items"].as_array().into_iter().flatten();
    items.filter_map(|item| item[name].as_u64()).sum()
}

/// What the live counters still say when everybody is served.
async fn drift(gateway: &Gateway, scene: &Scene) -> u64 {
    let mut left = 0;
    for server in scene.servers() {
        let live = gateway
            .live_within(DRAINED, &server.id, "the journal is in D1", |live| {
                live["journal_rows"] == 0
            })
            .await;
        for name in ["in_flight", "queue_length"] {
            left += live[name].as_u64().expect("a number");
        }
    }
    left
}

type Sums = (u64, u64, u64, u64);

async fn sums_of_days(gateway: &Gateway) -> Sums {
    gateway.cron().await;
    let report = gateway.admin("GET", "/api/stats/usage?granularity=day");
    let totals = report.send().await.expect(200).json()["totals"].clone();
    let number = |name: &str| totals[name].as_u64().expect("a number");
    (
        number("requests"),
        number("prompt_tokens"),
        number("completion_tokens"),
        number("cached_tokens"),
    )
}

fn sums_of_rows(rows: &[Value]) -> Sums {
    let sum = |name: &str| rows.iter().filter_map(|row| row[name].as_u64()).sum();
    (
        rows.len() as u64,
        sum("prompt_tokens"),
        sum("completion_tokens"),
        sum("cached_tokens"),
    )
}

/// MiB a minute by least squares over what garbage collection left in each minute, without the warm-up: the first
/// third.
fn slope(samples: &[Minute]) -> f64 {
    let after = &samples[samples.len() / 3..];
    let count = after.len() as f64;
    if after.len() < 2 {
        return 0.0;
    }
    let mean_at = (count - 1.0) / 2.0;
    let mean = after.iter().map(|sample| sample.least).sum::<f64>() / count;
    let (mut above, mut below) = (0.0, 0.0);
    for (at, sample) in after.iter().enumerate() {
        let off = at as f64 - mean_at;
        above += off * (sample.least - mean);
        below += off * off;
    }
    above / below
}
