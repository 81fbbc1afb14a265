//! 度量：限额由上游的账本裁定，其余由请求本身。
//!
//! Owns what is read off a finished run: use of the limits, the fullest window, how busy the objects
//! were, who passed whom, how long requests waited in each region.

use core::time::Duration;

use admission::protocol::RefusalReason;

use super::plan::{Plan, REGIONS};
use super::world::{Outcome, Request, World};
use crate::simulation::WINDOW;
use crate::simulation::measure::{fullest_window, quantile};

/// One row.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The plan that was run.
    pub plan: Plan,
    /// Requests that clients made while it was measured.
    pub asked: u64,
    /// Requests that reached the provider meanwhile, per second.
    pub served_rate: f64,
    /// Share of the limit that binds.
    pub used: f64,
    /// Requests in the fullest 60 s.
    pub requests_window: u64,
    /// Tokens in the fullest 60 s.
    pub tokens_window: u64,
    /// Windows of 60 s at the provider with more than a limit.
    pub windows_over: u64,
    /// Calls per second to the object that had most.
    pub calls_rate: f64,
    /// Share of its time for which that object had work.
    pub busy: f64,
    /// Calls to all objects, for each request that was served.
    pub calls_per_request: f64,
    /// Share of grants that passed somebody who had come more than a tenth of a second earlier.
    pub passed: f64,
    /// The longest time by which somebody was passed.
    pub passed_by: Duration,
    /// Grants that passed somebody who waited at the same object.
    pub out_of_order: u64,
    /// Share of requests that left a full queue, or waited for their whole timeout.
    pub refused: f64,
    /// Share of requests whose object was overloaded.
    pub overloaded: f64,
    /// Requests of which nobody ever heard again.
    pub unanswered: u64,
    /// Waits for a permit of the requests of each region that were served: median and 95th percentile.
    pub waits: Vec<[Duration; 2]>,
}

/// Reads a finished run.
pub(super) fn figures(plan: &Plan, world: &World<'_>, from: Duration, to: Duration) -> Figures {
    let span = to.saturating_sub(from).as_secs_f64();
    let records = world.provider.records();
    let measured = records
        .iter()
        .filter(|record| (from..to).contains(&record.at));
    let (requests, tokens) = measured.fold((0_u64, 0_u64), |(requests, tokens), record| {
        (requests + 1, tokens + record.tokens)
    });
    let share = |used: u64, limit: Option<u64>| {
        limit.map(|limit| used as f64 / (limit as f64 * span / WINDOW.as_secs_f64()))
    };
    let binding = [
        share(requests, plan.limits.rpm),
        share(tokens, plan.limits.tpm),
    ];
    let fullest = fullest_window(records, plan.limits.rpm, plan.limits.tpm);
    let asked: Vec<&Request> = world
        .requests
        .iter()
        .filter(|request| (from..to).contains(&request.sent))
        .collect();
    let part = |which: fn(Outcome) -> bool| {
        let those = asked
            .iter()
            .filter(|request| request.outcome.is_some_and(which))
            .count();
        those as f64 / asked.len().max(1) as f64
    };
    let whole = to.as_secs_f64();
    let busiest = world
        .shards
        .iter()
        .map(|shard| shard.worked)
        .max()
        .unwrap_or_default();
    let calls = world.shards.iter().map(|shard| shard.calls);
    Figures {
        asked: asked.len() as u64,
        served_rate: requests as f64 / span,
        used: binding.into_iter().flatten().fold(0.0, f64::max),
        requests_window: fullest.requests,
        tokens_window: fullest.tokens,
        windows_over: fullest.over,
        calls_rate: calls.clone().max().unwrap_or_default() as f64 / whole,
        // What is left at the end is worked off after it.
        busy: (busiest.as_secs_f64() / whole).min(1.0),
        calls_per_request: calls.sum::<u64>() as f64 / records.len().max(1) as f64,
        passed: world.passed as f64 / world.grants.max(1) as f64,
        passed_by: world.passed_by,
        out_of_order: world
            .shards
            .iter()
            .map(|shard| shard.judge.violations())
            .sum(),
        refused: part(|outcome| {
            matches!(
                outcome,
                Outcome::Refused(
                    RefusalReason::QueueEvicted
                        | RefusalReason::QueueFull
                        | RefusalReason::QueueTimeout
                )
            )
        }),
        overloaded: part(|outcome| outcome == Outcome::Overloaded),
        unanswered: world
            .requests
            .iter()
            .filter(|request| request.outcome.is_none())
            .count() as u64,
        waits: (0..REGIONS.len())
            .map(|region| waits(world, &asked, region))
            .collect(),
        plan: plan.clone(),
    }
}

fn waits(world: &World<'_>, asked: &[&Request], region: usize) -> [Duration; 2] {
    let mut waits: Vec<Duration> = asked
        .iter()
        .filter(|request| request.outcome == Some(Outcome::Served))
        .filter(|request| world.isolates[request.isolate].region == region)
        .map(|request| request.wait)
        .collect();
    waits.sort_unstable();
    [0.5, 0.95].map(|share| quantile(&waits, share))
}
