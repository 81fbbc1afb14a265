//! 在测速台上量成功标准：附加延迟、千名客户端、排队者何时被服务。
//!
//! SC-001, SC-002 and SC-003 on the stand of the benchmarks: the provider alone and the gateway take turns, and each
//! criterion is said on a line of its own. Returns whether it is met; judges no ratio to the pass-through, which is
//! what `make bench` is for.

use std::time::Duration;

use serde_json::json;

use super::figures::{median, percentile_ms};
use super::load;
use super::{Stand, Who, plain};
use crate::criteria::{ADDED_MS_MAX, CLIENTS, SERVED_PERCENT_MIN, SERVED_WITHIN, percent, said};

/// An even load far below what the machine can carry: what is measured is the gateway, not a queue before it.
const CALM_PER_SECOND: f64 = 50.0;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(5);

const CROWD_SPAN: Duration = Duration::from_secs(10);

/// Requests a minute of the server at which others queue, and how fast twice as many come.
const RPM: u64 = 300;
const PER_SECOND: f64 = 60.0;
const WINDOW: Duration = Duration::from_mins(1);
/// Whoever waits less than this did not queue for the window.
const QUEUED_AFTER: Duration = Duration::from_secs(10);

/// SC-001: the 99th percentile of the gateway less that of the provider alone, median of the rounds.
pub async fn added_latency(stand: &Stand) -> bool {
    let targets = [Who::Provider, Who::Gateway];
    let mut added = Vec::new();
    let mut count = 0;
    for _ in 0..ROUNDS {
        let mut tails = Vec::new();
        for who in targets {
            let outcome = load::open_loop(&stand.shot(who, &plain()), CALM_PER_SECOND, ROUND).await;
            assert!(
                outcome.errors.is_empty(),
                "{}: {:?}",
                who.name(),
                outcome.errors
            );
            tails.push(percentile_ms(&outcome.times, 0.99));
            count += outcome.times.len();
        }
        added.push(tails[1] - tails[0]);
    }
    let added = median(&added);
    let is_met = added < ADDED_MS_MAX;
    let figure = format!(
        "the gateway adds {added:.1} ms to the 99th percentile (under {ADDED_MS_MAX} ms; {count} requests, {CALM_PER_SECOND}/s)"
    );
    said(1, is_met, &figure);
    is_met
}

/// SC-002: so many clients, each asking again as soon as it is answered.
pub async fn crowd(stand: &Stand) -> bool {
    let shot = stand.shot(Who::Gateway, &plain());
    let outcome = load::closed_loop(&shot, CLIENTS, CROWD_SPAN).await;
    let served = outcome.times.len();
    let errors: u64 = outcome.errors.values().sum();
    let is_met = errors == 0 && served >= CLIENTS;
    let figure = format!(
        "{CLIENTS} clients at once, {served} answers, {errors} errors {:?}",
        outcome.errors
    );
    said(2, is_met, &figure);
    is_met
}

/// SC-003: twice what a minute holds comes within seconds; the second half queues until the window has room.
pub async fn queued(stand: &Stand) -> bool {
    let draft = stand
        .gateway
        .server("criteria-queue")
        .provider(&stand.provider);
    let server = draft.model("criteria-queue").rpm(RPM);
    let server = server.field("queue_max", json!(RPM));
    server
        .field("queue_timeout_ms", json!(180_000))
        .create()
        .await;
    stand.gateway.in_force().await;
    let mut body = plain();
    body["model"] = json!("criteria-queue");
    let shot = stand.shot(Who::Gateway, &body);
    let all = 2 * RPM;
    let span = Duration::from_secs_f64(all as f64 / PER_SECOND);
    let outcome = load::open_loop(&shot, PER_SECOND, span).await;
    // The request that is `RPM` places ahead left half of the span earlier; its place is free a window after that.
    let free_after = WINDOW.saturating_sub(span / 2);
    let queued: Vec<Duration> = outcome
        .times
        .iter()
        .filter(|time| **time > QUEUED_AFTER)
        .map(|time| time.saturating_sub(free_after))
        .collect();
    let expected = usize::try_from(all - RPM).unwrap_or(usize::MAX);
    let in_time = queued.iter().filter(|late| **late <= SERVED_WITHIN).count();
    // Whoever was refused or lost queued as well.
    let share = percent(in_time, expected.max(queued.len()));
    let is_met = share >= SERVED_PERCENT_MIN;
    let figure = format!(
        "{in_time} of {expected} queued requests ({share:.1} %, at least {SERVED_PERCENT_MIN} %) served within {SERVED_WITHIN:?} of the window freeing; p95 {:.0} ms, errors {:?}",
        percentile_ms(&queued, 0.95),
        outcome.errors
    );
    said(3, is_met, &figure);
    is_met
}
