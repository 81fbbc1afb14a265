//! 各部分：吞吐、半载延迟、流、队列、人群、唤醒。
//!
//! The parts of a run, each of which measures one thing of [`Stand`] and prints its lines. Owns how long
//! each lasts: all of them together take less than six minutes.
//!
//! Invariant: a request that fails where none may ends the run; a figure without its errors is a lie.

use std::time::{Duration, Instant};

use serde_json::json;

use super::figures::{heading, line, median, ms, percentile_ms};
use super::footprint::resident;
use super::load::{self, Outcome};
use super::{Stand, Who, plain, streamed};
use crate::harness::raw::Connection;

/// Rounds of each target.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);

/// Compilers of JavaScript and WebAssembly are at work until then.
const WARM_UP: Duration = Duration::from_secs(6);

/// Connections that keep the gateway busy.
const CONNECTIONS: usize = 32;

/// Connections that each read a stream, and how often a piece comes on each.
const STREAMS: usize = 40;
const CHUNK_DELAY_MS: u64 = 5;
const WORDS: usize = 200;

/// The first token comes this long after the request, so that it is nobody's start-up that is measured.
const FIRST_DELAY_MS: u64 = 20;
const FIRST_STREAMS: usize = 4;

const WAITERS: usize = 5_000;
const WAITERS_STEP: usize = 1_000;

const CROWDS: [usize; 2] = [1_000, 5_000];
const CROWD_SPAN: Duration = Duration::from_secs(5);

/// Waiters are woken at computed instants. This many requests a minute pass; twice as many come, evenly and
/// so fast that the second half waits for the places of the first, a few at each of many instants.
const WAKE_RPM: u64 = 600;
const WAKE_PER_SECOND: f64 = 40.0;
const WAKE_LATE_MS_MAX: f64 = 25.0;

/// Bound of what should take seconds.
const PATIENCE: Duration = Duration::from_mins(2);

/// Each target's figures of one kind, one a round.
type Rounds = [Vec<f64>; 3];

fn of(rounds: &Rounds, who: Who) -> f64 {
    median(&rounds[who as usize])
}

fn faultless(who: Who, outcome: &Outcome) {
    let errors = &outcome.errors;
    assert!(errors.is_empty(), "{}: {errors:?}", who.name());
}

/// Lets both workerds compile what they will run.
pub async fn warm_up(stand: &Stand) {
    for who in [Who::PassThrough, Who::Gateway] {
        for body in [plain(), streamed(WORDS, 0)] {
            let shot = stand.shot(who, &body);
            let outcome = load::closed_loop(&shot, CONNECTIONS, WARM_UP / 2).await;
            faultless(who, &outcome);
        }
    }
}

/// Requests a second and processor time of each, one connection and many. Returns the gateway's rate.
pub async fn throughput(stand: &Stand) -> f64 {
    let mut rate = 0.0;
    for connections in [1, CONNECTIONS] {
        let rounds = if connections == 1 { 3 } else { ROUNDS };
        rate = throughput_of(stand, connections, rounds).await;
    }
    rate
}

async fn throughput_of(stand: &Stand, connections: usize, rounds: usize) -> f64 {
    let (mut rates, mut costs) = (Rounds::default(), Rounds::default());
    let (mut halves, mut tails) = (Rounds::default(), Rounds::default());
    for _ in 0..rounds {
        for who in Who::ALL {
            let shot = stand.shot(who, &plain());
            let (cpu, began) = (stand.cpu(who), Instant::now());
            let outcome = load::closed_loop(&shot, connections, ROUND).await;
            let (cpu, span) = (stand.cpu(who) - cpu, began.elapsed());
            faultless(who, &outcome);
            let requests = outcome.times.len() as f64;
            rates[who as usize].push(requests / span.as_secs_f64());
            costs[who as usize].push(cpu * 1e6 / requests);
            halves[who as usize].push(percentile_ms(&outcome.times, 0.5));
            tails[who as usize].push(percentile_ms(&outcome.times, 0.99));
        }
    }
    heading(&format!(
        "{connections} connection(s), medians of {rounds} rounds of {ROUND:?} each"
    ));
    for who in Who::ALL {
        let figures = format!("{:.0} requests/s", of(&rates, who));
        let more = format!(
            "p50 {:.2} ms, p99 {:.2} ms, {:.0} µs of processor each",
            of(&halves, who),
            of(&tails, who),
            of(&costs, who)
        );
        line(who.name(), &figures, &more);
    }
    let of_pass_through: Vec<f64> = rates[Who::Gateway as usize]
        .iter()
        .zip(&rates[Who::PassThrough as usize])
        .map(|(gateway, pass_through)| gateway / pass_through)
        .collect();
    let ratio = format!("{:.2}", median(&of_pass_through));
    line(
        "of the pass-through's requests/s",
        &ratio,
        "target: 0.60 at 32",
    );
    let added = of(&costs, Who::Gateway) - of(&costs, Who::PassThrough);
    line("processor added per request", &format!("{added:.0} µs"), "");
    of(&rates, Who::Gateway)
}

/// What the gateway adds to the time of an answer at half of the load that it can carry.
pub async fn latency_at_half_load(stand: &Stand, rate: f64) {
    let half = rate / 2.0;
    let (mut halves, mut tails) = (Rounds::default(), Rounds::default());
    for _ in 0..ROUNDS {
        for who in Who::ALL {
            let shot = stand.shot(who, &plain());
            let outcome = load::open_loop(&shot, half, ROUND).await;
            faultless(who, &outcome);
            halves[who as usize].push(percentile_ms(&outcome.times, 0.5));
            tails[who as usize].push(percentile_ms(&outcome.times, 0.99));
        }
    }
    heading(&format!("{half:.0} requests/s, half of the load"));
    for who in Who::ALL {
        let figures = format!("p50 {:.2} ms", of(&halves, who));
        line(
            who.name(),
            &figures,
            &format!("p99 {:.2} ms", of(&tails, who)),
        );
    }
    for (what, rounds, target) in [("p50", &halves, "1.5 ms"), ("p99", &tails, "10 ms")] {
        let added = of(rounds, Who::Gateway) - of(rounds, Who::Provider);
        let what = format!("added to the provider's {what}");
        line(
            &what,
            &format!("{added:.2} ms"),
            &format!("target: under {target}"),
        );
    }
}

/// Processor time of each piece of a stream, and how much later the first one comes.
pub async fn streams(stand: &Stand) {
    let targets = [Who::PassThrough, Who::Gateway];
    let mut costs = Rounds::default();
    for _ in 0..ROUNDS {
        for who in targets {
            let shot = stand.shot(who, &streamed(WORDS, CHUNK_DELAY_MS));
            let cpu = stand.cpu(who);
            let read = load::streams(&shot, STREAMS, ROUND).await;
            costs[who as usize].push((stand.cpu(who) - cpu) * 1e6 / read.chunks as f64);
        }
    }
    let mut firsts = Rounds::default();
    for _ in 0..ROUNDS {
        for who in Who::ALL {
            let shot = stand.shot(who, &streamed(2, FIRST_DELAY_MS));
            let read = load::streams(&shot, FIRST_STREAMS, ROUND / 2).await;
            firsts[who as usize].push(percentile_ms(&read.first, 0.5));
        }
    }
    heading(&format!(
        "streams: {STREAMS} at once, {WORDS} pieces each, one every {CHUNK_DELAY_MS} ms"
    ));
    for who in targets {
        let cost = format!("{:.0} µs of processor", of(&costs, who));
        line(&format!("each piece, {}", who.name()), &cost, "");
    }
    let ratio = of(&costs, Who::Gateway) / of(&costs, Who::PassThrough);
    line(
        "of the pass-through's",
        &format!("{ratio:.1} times"),
        "target: at most 3",
    );
    for who in Who::ALL {
        let first = format!("{:.2} ms", of(&firsts, who));
        line(&format!("first piece, {}, p50", who.name()), &first, "");
    }
    let later = of(&firsts, Who::Gateway) - of(&firsts, Who::Provider);
    line(
        "the first piece comes later by",
        &format!("{later:.2} ms"),
        "target: at most 2 ms",
    );
}

/// What it costs to enter a queue, as it gets longer, and to be in it.
pub async fn queue(stand: &Stand) {
    let gateway = &stand.gateway;
    let draft = gateway.server("bench-queue").provider(&stand.provider);
    let server = draft.model("bench-queue").rpm(0);
    let server = server
        .field("queue_max", json!(WAITERS))
        .field("queue_timeout_ms", json!(600_000))
        .create()
        .await;
    gateway.in_force().await;
    let mut body = plain();
    body["model"] = json!("bench-queue");
    let shot = stand.shot(Who::Gateway, &body);
    heading(&format!("a queue of {WAITERS}"));
    let before = resident(gateway.workerd_id());
    let mut waiting: Vec<Connection> = Vec::new();
    while waiting.len() < WAITERS {
        let mut more = load::connect(&shot, WAITERS_STEP).await;
        let (cpu, began) = (stand.cpu(Who::Gateway), Instant::now());
        for connection in &mut more {
            connection.send(&shot.bytes).await.expect("it is open");
        }
        waiting.append(&mut more);
        let all = waiting.len();
        let what = format!("{all} wait");
        let wait = |live: &serde_json::Value| live["queue_length"] == all;
        gateway.live_within(PATIENCE, &server.id, &what, wait).await;
        let each = (stand.cpu(Who::Gateway) - cpu) * 1e6 / WAITERS_STEP as f64;
        let rate = WAITERS_STEP as f64 / began.elapsed().as_secs_f64();
        let what = format!("to enter behind {} waiters", all - WAITERS_STEP);
        line(
            &what,
            &format!("{each:.0} µs of processor"),
            &format!("{rate:.0} enter a second"),
        );
    }
    let each = resident(gateway.workerd_id()).saturating_sub(before) / WAITERS as u64;
    line("memory of a waiter", &format!("{} KiB", each / 1024), "");
    let cpu = stand.cpu(Who::Gateway);
    for connection in waiting {
        connection.reset();
    }
    let nobody = |live: &serde_json::Value| live["queue_length"] == 0;
    gateway
        .live_within(PATIENCE, &server.id, "nobody waits", nobody)
        .await;
    let each = (stand.cpu(Who::Gateway) - cpu) * 1e6 / WAITERS as f64;
    line("to leave it", &format!("{each:.0} µs of processor"), "");
}

/// Many clients at once, none of whom may see an error.
pub async fn crowds(stand: &Stand) {
    heading("crowds without errors");
    for clients in CROWDS {
        for who in [Who::PassThrough, Who::Gateway] {
            let shot = stand.shot(who, &plain());
            let began = Instant::now();
            let outcome = load::closed_loop(&shot, clients, CROWD_SPAN).await;
            let rate = outcome.times.len() as f64 / began.elapsed().as_secs_f64();
            let times = format!(
                "p50 {:.0} ms, p99 {:.0} ms, errors: {:?}",
                percentile_ms(&outcome.times, 0.5),
                percentile_ms(&outcome.times, 0.99),
                outcome.errors
            );
            let what = format!("{clients} clients, {}", who.name());
            line(&what, &format!("{rate:.0} requests/s"), &times);
            // The pass-through is no promise of ours; where it fails the figures say so.
            if who == Who::Gateway {
                faultless(who, &outcome);
            }
        }
    }
}

/// How much later than the computed instant waiters are let go, as the limiter itself records it.
pub async fn wake_ups(stand: &Stand) {
    let gateway = &stand.gateway;
    let draft = gateway.server("bench-wake").provider(&stand.provider);
    let server = draft.model("bench-wake").rpm(WAKE_RPM);
    let server = server
        .field("queue_max", json!(WAKE_RPM))
        .field("queue_timeout_ms", json!(120_000))
        .create()
        .await;
    gateway.in_force().await;
    let mut body = plain();
    body["model"] = json!("bench-wake");
    let shot = stand.shot(Who::Gateway, &body);
    let span = Duration::from_secs_f64(2.0 * WAKE_RPM as f64 / WAKE_PER_SECOND);
    let began = Instant::now();
    let outcome = load::open_loop(&shot, WAKE_PER_SECOND, span).await;
    faultless(Who::Gateway, &outcome);
    let live = gateway.live(&server.id).await;
    let late = |name: &str| live[name].as_f64().unwrap_or(f64::NAN);
    let (p99, max) = (late("wake_late_ms_p99"), late("wake_late_ms_max"));
    heading(&format!(
        "wake-up of {WAKE_RPM} waiters ({:.0} s)",
        ms(began.elapsed()) / 1_000.0
    ));
    let figures = format!("p99 {p99} ms, max {max} ms");
    line("later than computed", &figures, "bound: p99 25 ms");
    assert!(p99 <= WAKE_LATE_MS_MAX, "waiters are woken {p99} ms late");
}
