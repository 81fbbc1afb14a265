//! 试探的模拟：上游比配置更严格时，一场风暴的每个请求最多被拒两次。
//!
//! Probing against small providers of several rules, in virtual time: a storm of requests meets an
//! upstream that allows half of what is configured.

use super::bench::{at, request, rpm};
use crate::model_test::Random;
use crate::protocol::{Accepted, Grant, Limits, Settle, SettleOutcome, TicketId};
use crate::time::Instant;
use crate::{Acquired, Admission, Event};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

/// How a provider counts.
enum Rule {
    /// So many in any 60 s; refused ones do not count. Tells the exact time until there is room.
    Sliding { limit: usize, taken: VecDeque<u64> },
    /// So many at once, and one more every so many milliseconds. Tells whole seconds, rounded up.
    Bucket {
        capacity: u64,
        every: u64,
        level: u64,
        filled_at: u64,
    },
    /// So many in each minute of the clock.
    Fixed { limit: u64, minute: u64, taken: u64 },
}

impl Rule {
    fn sliding(limit: usize) -> Self {
        let taken = VecDeque::new();
        Self::Sliding { limit, taken }
    }

    fn bucket(capacity: u64, every: u64) -> Self {
        Self::Bucket {
            capacity,
            every,
            level: capacity,
            filled_at: 0,
        }
    }

    /// Takes a request on at `now`, or says how long to stay away.
    fn ask(&mut self, now: u64) -> Result<(), u64> {
        match self {
            Self::Sliding { limit, taken } => {
                taken.retain(|taken| taken + 60_000 > now);
                if taken.len() < *limit {
                    taken.push_back(now);
                    return Ok(());
                }
                Err(taken[0] + 60_000 - now)
            }
            Self::Bucket {
                capacity,
                every,
                level,
                filled_at,
            } => {
                let more = (now - *filled_at) / *every;
                *filled_at += more * *every;
                *level = (*level + more).min(*capacity);
                if *level > 0 {
                    *level -= 1;
                    return Ok(());
                }
                Err((*filled_at + *every - now).next_multiple_of(1_000))
            }
            Self::Fixed {
                limit,
                minute,
                taken,
            } => {
                if now / 60_000 != *minute {
                    (*minute, *taken) = (now / 60_000, 0);
                }
                if *taken < *limit {
                    *taken += 1;
                    return Ok(());
                }
                Err((now / 60_000 + 1) * 60_000 - now)
            }
        }
    }
}

/// What is under way.
enum Step {
    /// A request reaches the provider.
    Arrive(TicketId, bool),
    /// The provider has refused it, and the Worker asks for another permit.
    Refused(TicketId, u64),
    /// The headers of an accepted one are back.
    Headers(TicketId),
    /// Its answer is complete.
    Done(TicketId),
}

/// What came of it.
#[derive(Debug)]
struct Outcome {
    /// When the last request was taken on, after the first.
    span_ms: u64,
    refusals: u64,
    refusals_max: u32,
    in_order: bool,
}

struct Simulation {
    core: Admission,
    rule: Rule,
    limits: Limits,
    random: Random,
    steps: BTreeMap<(u64, u64), Step>,
    made: u64,
    refusals: BTreeMap<TicketId, u32>,
    taken_on: Vec<(u64, TicketId)>,
    reports: bool,
}

impl Simulation {
    fn new(rule: Rule, limits: Limits, reports: bool) -> Self {
        Self {
            core: Admission::new(),
            rule,
            limits,
            random: Random::new(7),
            steps: BTreeMap::new(),
            made: 0,
            refusals: BTreeMap::new(),
            taken_on: Vec::new(),
            reports,
        }
    }

    /// A storm of so many requests at once.
    fn storm(mut self, requests: u64) -> Outcome {
        for number in 0..requests {
            let name = format!("t{number:04}");
            self.ask(&name, 0, None, number);
        }
        let start = at(0).as_millis();
        loop {
            let timer = self.core.poll_timeout().map(Instant::as_millis);
            let timer = timer.map(|timer| timer - start);
            let step = self.steps.keys().next().copied();
            match (timer, step) {
                (Some(timer), step) if step.is_none_or(|(due, _)| timer <= due) => {
                    self.core.handle_timeout(at(timer));
                    self.drain(timer);
                }
                (_, Some(key)) => {
                    let step = self.steps.remove(&key).unwrap();
                    self.take(step, key.0);
                }
                _ => break,
            }
        }
        self.outcome()
    }

    fn outcome(self) -> Outcome {
        assert_eq!(self.core.live(at(0)).stalls, 0);
        let order = self.taken_on.iter().map(|(_, ticket)| ticket);
        let mut sorted: Vec<_> = order.clone().collect();
        sorted.sort();
        let first = self.taken_on.first().unwrap().0;
        Outcome {
            span_ms: self.taken_on.last().unwrap().0 - first,
            refusals: self.refusals.values().map(|n| u64::from(*n)).sum(),
            refusals_max: self.refusals.values().copied().max().unwrap_or(0),
            // Neighbours may pass each other on the way to the provider.
            in_order: order
                .zip(sorted)
                .all(|(real, due)| number(real).abs_diff(number(due)) <= 60),
        }
    }

    fn ask(&mut self, name: &str, attempt: u32, pause: Option<u64>, now: u64) {
        let mut call = request(name, self.limits);
        call.attempt = attempt;
        call.pause = pause.map(Duration::from_millis);
        call.arrival = Some(at(0));
        match self.core.acquire(call, at(now)) {
            Acquired::Granted(grant) => self.go(&grant, now),
            Acquired::Queued { .. } => {}
            Acquired::Refused(refusal) => panic!("{name} {refusal:?}"),
        }
        self.drain(now);
    }

    fn drain(&mut self, now: u64) {
        while let Some(event) = self.core.poll_event() {
            match event {
                Event::Granted { grant, .. } => self.go(&grant, now),
                other => panic!("{other:?}"),
            }
        }
    }

    fn go(&mut self, grant: &Grant, now: u64) {
        let ticket = grant.permit.ticket().clone();
        self.later(now, 60, Step::Arrive(ticket, grant.probe));
    }

    /// About so many milliseconds later, half as much again at most.
    fn later(&mut self, now: u64, span: u64, step: Step) {
        self.made += 1;
        let due = now + span + self.random.below(span / 2);
        self.steps.insert((due, self.made), step);
    }

    fn take(&mut self, step: Step, now: u64) {
        match step {
            Step::Arrive(ticket, probe) => match self.rule.ask(now) {
                Ok(()) => {
                    self.taken_on.push((now, ticket.clone()));
                    if probe && self.reports {
                        self.later(now, 100, Step::Headers(ticket.clone()));
                    }
                    self.later(now, 3_000, Step::Done(ticket));
                }
                Err(away) => self.later(now, 60, Step::Refused(ticket, away)),
            },
            Step::Refused(ticket, away) => {
                let refusals = self.refusals.entry(ticket.clone()).or_default();
                *refusals += 1;
                let attempt = *refusals;
                self.ask(ticket.as_str(), attempt, Some(away), now);
            }
            Step::Headers(ticket) => {
                self.core.accepted(&Accepted { ticket }, at(now));
                self.drain(now);
            }
            Step::Done(ticket) => {
                let settle = Settle {
                    tokens: Some(50),
                    ..Settle::new(ticket, SettleOutcome::Completed)
                };
                assert!(self.core.settle(&settle, at(now)).is_some());
                self.drain(now);
            }
        }
    }
}

fn number(ticket: &TicketId) -> u64 {
    let digits = ticket.as_str().strip_prefix('t');
    digits.unwrap().parse().unwrap()
}

fn limits() -> Limits {
    Limits {
        queue_max: 10_000,
        queue_timeout: Duration::from_hours(10),
        ..rpm(60)
    }
}

/// A storm of 200 requests, 60 a minute being configured. Nobody may run out of the two retries
/// that are usual.
fn storm(rule: Rule, reports: bool) -> Outcome {
    let outcome = Simulation::new(rule, limits(), reports).storm(200);
    println!("{outcome:?}");
    assert!(outcome.refusals_max <= 2, "somebody ran out of retries");
    assert!(outcome.in_order);
    outcome
}

/// The span is at most so many percent beyond the provider's own.
fn assert_within(outcome: &Outcome, own_ms: u64, percent: u64) {
    assert!(outcome.span_ms * 100 <= own_ms * (100 + percent));
}

#[test]
fn a_sliding_window_of_half_the_limit_is_found_with_few_refusals() {
    for reports in [true, false] {
        let outcome = storm(Rule::sliding(30), reports);
        // Six more windows after the first.
        assert_within(&outcome, 360_000, 2);
        // 30 of the first 60, then about one a window.
        assert!(outcome.refusals <= 36);
    }
}

#[test]
fn a_token_bucket_of_half_the_limit_is_found_with_few_refusals() {
    for reports in [true, false] {
        let outcome = storm(Rule::bucket(30, 2_000), reports);
        assert_within(&outcome, 340_000, 2);
        assert!(outcome.refusals <= 60);
    }
}

#[test]
fn a_bucket_that_holds_next_to_nothing_is_followed_token_by_token() {
    for capacity in [1, 5] {
        let outcome = storm(Rule::bucket(capacity, 2_000), true);
        // The first minute goes to the storm, which our own window counts as sent.
        assert_within(&outcome, 60_000 + (200 - capacity) * 2_000, 4);
        assert!(outcome.refusals <= 100);
    }
}

#[test]
fn a_fixed_minute_of_half_the_limit_is_found_with_few_refusals() {
    let (minute, taken) = (0, 0);
    let limit = 30;
    let rule = Rule::Fixed {
        limit,
        minute,
        taken,
    };
    let outcome = storm(rule, true);
    assert_within(&outcome, 360_000, 2);
    assert!(outcome.refusals <= 36);
}

#[test]
fn a_quarter_of_the_limit_is_found_as_well() {
    let outcome = storm(Rule::sliding(15), true);
    assert_within(&outcome, 780_000, 2);
    assert!(outcome.refusals <= 60);
}

#[test]
fn a_provider_that_allows_what_is_configured_refuses_nobody() {
    let outcome = storm(Rule::sliding(60), true);
    assert_eq!(outcome.refusals, 0);
    assert_within(&outcome, 180_000, 1);
}
