//! 度量：从账本到一行数字。
//!
//! Owns what is read off a finished run: use of the limits, the fullest window, waits, refusals.
//! Limits are judged by the provider's record alone.

use core::time::Duration;

use admission::protocol::RefusalReason;

use super::WINDOW;
use super::provider::Record;
use super::scenario::Scenario;
use super::world::{Outcome, World};

/// One row: a run, or one app of it.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The run.
    pub scenario: &'static str,
    /// One app of the run; none for the whole.
    pub app: Option<&'static str>,
    /// Requests that clients made.
    pub requests: u64,
    /// Share of the request limit that reached the provider while it was measured.
    pub requests_used: Option<f64>,
    /// Share of the token limit.
    pub tokens_used: Option<f64>,
    /// Requests in the fullest 60 s, and the limit.
    pub requests_window: (u64, Option<u64>),
    /// Tokens in the fullest 60 s, and the limit.
    pub tokens_window: (u64, Option<u64>),
    /// Most answers open at the provider at once, and the limit.
    pub open_max: (u64, Option<u64>),
    /// Arrivals at the provider that complete a window with more than a limit.
    pub windows_over: u64,
    /// Grants that passed somebody who had arrived earlier.
    pub out_of_order: u64,
    /// Waits for the permit: median, 95th percentile, longest.
    pub waits: [Duration; 3],
    /// Requests that waited for their whole timeout.
    pub timeouts: u64,
    /// Requests that left an overfull queue.
    pub evictions: u64,
    /// 429s that the provider answered.
    pub refused_upstream: u64,
    /// Those of them that a client saw.
    pub refused_clients: u64,
    /// How late the timer woke waiters: 99th percentile and greatest.
    pub late_ms: [u64; 2],
    /// Deaths of the object.
    pub deaths: u64,
    /// Requests that used a permit granted ahead; of the whole run.
    pub went_ahead: u64,
    /// Requests that went upstream twice for one permit.
    pub doubled: u64,
    /// Requests of which a client never heard again.
    pub unanswered: u64,
    /// What the core held at the end beyond the last window.
    pub leftovers: u64,
}

/// Reads a finished run: the whole first, then its apps if there are several names.
pub(super) fn figures(
    scenario: &Scenario,
    world: &mut World<'_>,
    from: Duration,
    to: Duration,
) -> Vec<Figures> {
    let records = world.provider.records();
    let limits = &scenario.limits;
    let measured = records
        .iter()
        .filter(|record| (from..to).contains(&record.at));
    let (mut requests, mut tokens) = (0_u64, 0_u64);
    for record in measured.filter(|record| record.accepted) {
        requests += 1;
        tokens += record.tokens;
    }
    let minutes = to.saturating_sub(from).as_secs_f64() / WINDOW.as_secs_f64();
    let share =
        |used: u64, limit: Option<u64>| limit.map(|limit| used as f64 / (limit as f64 * minutes));
    let fullest = fullest_window(records, limits.rpm, limits.tpm);
    let whole = Figures {
        requests_used: share(requests, scenario.rpm()),
        tokens_used: share(tokens, limits.tpm),
        requests_window: (fullest.requests, limits.rpm),
        tokens_window: (fullest.tokens, limits.tpm),
        open_max: (world.provider.open_max(), limits.concurrency),
        windows_over: fullest.over,
        out_of_order: world.object.judge.violations(),
        refused_upstream: records.iter().filter(|record| !record.accepted).count() as u64,
        late_ms: {
            let mut late = world.object.lateness.clone();
            late.sort_unstable();
            [quantile(&late, 0.99), quantile(&late, 1.0)]
        },
        deaths: world.deaths.len() as u64,
        went_ahead: world.went_ahead,
        doubled: world.doubled,
        ..of_app(scenario, world, None)
    };
    let now = world.now();
    let whole = Figures {
        leftovers: world.object.leftovers(now),
        ..whole
    };
    let mut names: Vec<&'static str> = scenario.apps.iter().map(|app| app.name).collect();
    names.dedup();
    let mut rows = vec![whole];
    if names.len() > 1 {
        rows.extend(
            names
                .into_iter()
                .map(|name| of_app(scenario, world, Some(name))),
        );
    }
    rows
}

/// The figures that an app has of its own.
fn of_app(scenario: &Scenario, world: &World<'_>, app: Option<&'static str>) -> Figures {
    let own = || {
        world
            .requests
            .iter()
            .filter(move |request| app.is_none_or(|app| scenario.apps[request.app].name == app))
    };
    let count = |outcomes: &[Outcome]| {
        own()
            .filter(|request| {
                request
                    .outcome
                    .is_some_and(|outcome| outcomes.contains(&outcome))
            })
            .count() as u64
    };
    let mut waits: Vec<Duration> = own()
        .filter(|request| request.outcome == Some(Outcome::Served))
        .map(|request| request.wait)
        .collect();
    waits.sort_unstable();
    Figures {
        scenario: scenario.name,
        app,
        requests: own().count() as u64,
        requests_used: None,
        tokens_used: None,
        requests_window: (0, None),
        tokens_window: (0, None),
        open_max: (0, None),
        windows_over: 0,
        out_of_order: 0,
        waits: [0.5, 0.95, 1.0].map(|share| quantile(&waits, share)),
        timeouts: count(&[Outcome::Refused(RefusalReason::QueueTimeout)]),
        evictions: count(&[
            Outcome::Refused(RefusalReason::QueueEvicted),
            Outcome::Refused(RefusalReason::QueueFull),
        ]),
        refused_upstream: 0,
        refused_clients: count(&[Outcome::TooManyRequests]),
        late_ms: [0, 0],
        deaths: 0,
        went_ahead: 0,
        doubled: 0,
        unanswered: own().filter(|request| request.outcome.is_none()).count() as u64,
        leftovers: 0,
    }
}

/// The smallest value that this share of the sorted values does not exceed.
pub(super) fn quantile<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// The fullest window of a record.
#[derive(Default)]
pub(super) struct Fullest {
    /// Requests in it.
    pub requests: u64,
    /// Tokens in it.
    pub tokens: u64,
    /// Windows with more than a limit.
    pub over: u64,
}

/// Slides a window of 60 s, open at its beginning, over all arrivals. A window is at its fullest
/// when a request has just arrived, so the windows that end with an arrival are all that matter.
/// A refused request counts as a request: it reached the provider.
pub(super) fn fullest_window(records: &[Record], rpm: Option<u64>, tpm: Option<u64>) -> Fullest {
    let mut fullest = Fullest::default();
    let (mut first, mut tokens) = (0, 0);
    for (last, record) in records.iter().enumerate() {
        tokens += record.tokens;
        while records[first].at + WINDOW <= record.at {
            tokens -= records[first].tokens;
            first += 1;
        }
        let requests = (last - first + 1) as u64;
        fullest.requests = fullest.requests.max(requests);
        fullest.tokens = fullest.tokens.max(tokens);
        let is_over = rpm.is_some_and(|rpm| requests > rpm) || tpm.is_some_and(|tpm| tokens > tpm);
        fullest.over += u64::from(is_over);
    }
    fullest
}
