//! 一次运行：客户端、隔离区、对象与上游，逐个事件推进。
//!
//! Owns one run in virtual time: the order of events, the ways between isolates, object and
//! provider, the life and death of the object. What each of the others does on an event stands in
//! the modules below.
//!
//! Invariant: everything random comes from the run's seed; nothing reads a clock.

use core::time::Duration;
use std::collections::BTreeMap;

use admission::Instant;
use admission::protocol::{BlockId, RefusalReason, TicketId};
use admission::{COMMIT_INTERVAL, Commit, State};
use gateway::pool::Pool;

use super::agenda::Agenda;
use super::chance::Chance;
use super::object::{Answer, Object, Operation};
use super::provider::Provider;
use super::scenario::{Crashes, Scenario};
use super::workload::Size;

mod clients;
mod isolate;
mod upstream;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The provider answered it.
    Served,
    /// The gateway refused it.
    Refused(RefusalReason),
    /// The provider's 429 was passed on to the client.
    TooManyRequests,
    /// The client left.
    Gone,
}

/// One request of a client.
#[derive(Debug)]
pub(super) struct Request {
    /// Whose, by place in the scenario.
    pub app: usize,
    client: usize,
    isolate: usize,
    size: Size,
    sent: Duration,
    arrival: Option<Instant>,
    attempt: u32,
    attempts_sent: u32,
    record: Option<usize>,
    gone: bool,
    ticket: TicketId,
    /// Its permit was granted ahead.
    is_ahead: bool,
    is_probe: bool,
    /// From the client's request to its permit, or to its refusal.
    pub wait: Duration,
    /// What became of it.
    pub outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Event {
    Arrive {
        app: usize,
        client: usize,
    },
    Call(u64),
    Timer {
        due: Duration,
        life: usize,
    },
    Answer {
        answer: Answer,
        departs: Duration,
        life: usize,
    },
    Broken(u64),
    Upstream {
        request: usize,
    },
    Headers {
        request: usize,
    },
    TooMany {
        request: usize,
        retry_after: Duration,
    },
    Body {
        request: usize,
    },
    End {
        request: usize,
    },
    Leave {
        request: usize,
    },
    /// Something may be due to be told of a block that a request brought.
    Attend {
        request: usize,
        id: BlockId,
    },
    Commit {
        life: usize,
    },
    Crash,
    Restart(Box<State>),
}

/// One run.
#[derive(Debug)]
pub(super) struct World<'a> {
    scenario: &'a Scenario,
    agenda: Agenda<Event>,
    chance: Chance,
    /// The object with the core.
    pub object: Object,
    /// The provider with its record.
    pub provider: Provider,
    /// All requests, in the order in which clients made them.
    pub requests: Vec<Request>,
    calls: BTreeMap<u64, (usize, Operation)>,
    calls_made: u64,
    /// What each isolate holds of permits granted ahead.
    pools: Vec<Pool>,
    /// Requests that used such a one.
    pub went_ahead: u64,
    /// Requests that went upstream twice for one permit.
    pub doubled: u64,
    /// Deaths of the object, in their order; the next life has the number of them.
    pub deaths: Vec<Duration>,
    up_at: Duration,
    is_committing: bool,
}

impl<'a> World<'a> {
    /// A run that has not begun.
    pub(super) fn new(scenario: &'a Scenario, seed: u64) -> Self {
        Self {
            scenario,
            agenda: Agenda::default(),
            chance: Chance::new(seed),
            object: Object::default(),
            provider: Provider::new(scenario.provider),
            requests: Vec::new(),
            calls: BTreeMap::new(),
            calls_made: 0,
            pools: (0..scenario.network.isolates)
                .map(|_| Pool::default())
                .collect(),
            went_ahead: 0,
            doubled: 0,
            deaths: Vec::new(),
            up_at: Duration::ZERO,
            is_committing: false,
        }
    }

    /// Runs until nothing is left to happen; clients begin nothing new after `until`.
    pub(super) fn run(&mut self, until: Duration) {
        for (app, source) in self.scenario.apps.iter().enumerate() {
            for (at, client) in source.arrivals.start(&mut self.chance) {
                self.agenda.at(at, Event::Arrive { app, client });
            }
        }
        self.plan_crash(until);
        while let Some(event) = self.agenda.advance() {
            self.happen(event, until);
        }
    }

    /// The present.
    pub(super) const fn now(&self) -> Duration {
        self.agenda.now()
    }

    fn happen(&mut self, event: Event, until: Duration) {
        match event {
            Event::Arrive { app, client } => self.arrive(app, client, until),
            Event::Call(call) => self.receive(call),
            Event::Timer { due, life } => {
                if life == self.life() && self.object.is_armed_for(due) {
                    self.object.fire(self.now());
                    self.after_step();
                }
            }
            Event::Answer {
                answer,
                departs,
                life,
            } => {
                let is_lost = self.deaths.get(life).is_some_and(|died| *died < departs);
                if is_lost {
                    self.call_again(answer.call);
                } else {
                    self.answered(answer, until);
                }
            }
            Event::Broken(call) => self.call_again(call),
            Event::Upstream { request } => self.upstream(request),
            Event::Headers { request } => self.headers(request),
            Event::TooMany {
                request,
                retry_after,
            } => self.too_many(request, retry_after, until),
            Event::Body { request } => self.body_ends(request),
            Event::End { request } => self.end(request, until),
            Event::Leave { request } => self.leave(request, until),
            Event::Attend { request, id } => self.attend(request, id),
            Event::Commit { life } => {
                if life == self.life() {
                    self.commit_group();
                }
            }
            Event::Crash => {
                self.crash();
                self.plan_crash(until);
            }
            Event::Restart(state) => {
                self.object.restart(*state, self.now());
                self.after_step();
            }
        }
    }

    fn receive(&mut self, call: u64) {
        let now = self.now();
        if now < self.up_at {
            self.agenda.at(self.up_at, Event::Call(call));
            return;
        }
        let Some((request, operation)) = self.calls.get(&call) else {
            return;
        };
        self.object.receive(call, *request, operation, now);
        self.after_step();
    }

    /// Writes if the core says so, sends the object's answers, sets its timer.
    fn after_step(&mut self) {
        let now = self.now();
        let life = self.life();
        match self.object.needs_commit() {
            Commit::Now => self.commit(),
            Commit::Soon if !self.is_committing => {
                self.is_committing = true;
                self.agenda.after(COMMIT_INTERVAL, Event::Commit { life });
            }
            Commit::Soon => {}
            Commit::Nothing => self.object.acknowledge(),
        }
        let departs = self.object.departure(now);
        for answer in self.object.take_answers() {
            let Some((request, _)) = self.calls.get(&answer.call) else {
                continue;
            };
            let way = self.way_to_object(*request);
            self.agenda.at(
                departs + way,
                Event::Answer {
                    answer,
                    departs,
                    life,
                },
            );
        }
        if let Some(due) = self.object.arm(now) {
            let late = self.scenario.network.timer.draw(0, &mut self.chance);
            self.agenda.at(due + late, Event::Timer { due, life });
        }
    }

    fn plan_crash(&mut self, until: Duration) {
        let now = self.now();
        let at = match self.scenario.faults.crashes {
            Crashes::Never => return,
            Crashes::Random(mean) => now + self.chance.exponential(mean),
            Crashes::Periodic { every, within } => {
                let periods = self.life() as u32;
                every * periods + within.mul_f64(self.chance.unit())
            }
        };
        if at < until {
            self.agenda.at(at, Event::Crash);
        }
    }

    /// The object dies; the calls parked in it hear of it, and it is back within 5 to 150 ms.
    fn crash(&mut self) {
        let now = self.now();
        if now < self.up_at {
            return;
        }
        let (state, calls) = self.object.crash(now);
        self.deaths.push(now);
        self.is_committing = false;
        for call in calls {
            if let Some((request, _)) = self.calls.get(&call) {
                let way = self.way_to_object(*request);
                self.agenda.after(way, Event::Broken(call));
            }
        }
        self.up_at = now + Duration::from_millis(self.chance.among(5, 150));
        self.agenda.at(self.up_at, Event::Restart(Box::new(state)));
    }

    fn commit(&mut self) {
        let span = self.scenario.network.write.draw(0, &mut self.chance);
        self.object.commit(self.now(), span);
    }

    /// The group of changes has gathered for long enough.
    fn commit_group(&mut self) {
        self.is_committing = false;
        if self.object.needs_commit() > Commit::Nothing {
            self.commit();
        }
        self.after_step();
    }

    /// Which life the object is in.
    const fn life(&self) -> usize {
        self.deaths.len()
    }

    fn way_to_object(&mut self, request: usize) -> Duration {
        let isolate = self.requests[request].isolate;
        self.scenario.network.object.draw(isolate, &mut self.chance)
    }

    fn way_to_provider(&mut self, request: usize) -> Duration {
        let isolate = self.requests[request].isolate;
        self.scenario
            .network
            .provider
            .draw(isolate, &mut self.chance)
    }
}
