//! 一次运行：客户端、各地隔离区、若干对象与一个上游。
//!
//! Owns one run in virtual time: who sends when, which way a call takes, when an object has served it.
//! What an isolate does with permits stands in its own module. Everything random comes from the seed.

use core::time::Duration;
use std::collections::BTreeSet;

use admission::protocol::RefusalReason;

use super::isolate::Isolate;
use super::plan::{JITTER, OVERLOADED_AFTER, Plan, REGIONS, Spread, TIMER, WRITE};
use super::shard::{Answer, Call, Shard};
use crate::simulation::WINDOW;
use crate::simulation::agenda::Agenda;
use crate::simulation::chance::Chance;
use crate::simulation::provider::{Provider, Rule};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Served,
    Refused(RefusalReason),
    /// Its object did not take its call.
    Overloaded,
}

/// One request of a client.
#[derive(Debug)]
pub(super) struct Request {
    pub isolate: usize,
    pub shard: usize,
    pub prompt: u64,
    pub sent: Duration,
    pub wait: Duration,
    pub outcome: Option<Outcome>,
}

/// One ticket: asked for by a request, or granted ahead and used by one later.
#[derive(Debug)]
pub(super) struct Ticket {
    pub request: Option<usize>,
    pub isolate: usize,
    pub shard: usize,
    pub prompt: u64,
    /// When its call reached the object.
    asked: Duration,
    /// Whether an isolate got it before anybody wanted it.
    pub is_ahead: bool,
}

#[derive(Debug)]
pub(super) enum Event {
    Arrive,
    Call {
        shard: usize,
        call: Box<Call>,
    },
    Serve {
        shard: usize,
        call: Box<Call>,
    },
    Timer {
        shard: usize,
        due: Duration,
    },
    Written {
        shard: usize,
    },
    Answer {
        ticket: usize,
        granted: Result<(), Outcome>,
    },
    Upstream {
        ticket: usize,
    },
    End {
        ticket: usize,
    },
    Flush {
        isolate: usize,
        shard: usize,
    },
    Expire {
        ticket: usize,
    },
}

/// One run.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub plan: &'a Plan,
    pub agenda: Agenda<Event>,
    pub chance: Chance,
    pub shards: Vec<Shard>,
    pub isolates: Vec<Isolate>,
    pub provider: Provider,
    pub requests: Vec<Request>,
    pub tickets: Vec<Ticket>,
    waiting: BTreeSet<(Duration, usize)>,
    /// Grants, and those of them that passed somebody who had come more than a tenth of a second before.
    pub grants: u64,
    pub passed: u64,
    /// The longest time by which somebody was passed.
    pub passed_by: Duration,
    /// Permits that were granted ahead and given back unused.
    pub returned: u64,
}

/// By how much a later request may come first without being noticed.
const NOTICED: Duration = Duration::from_millis(100);

impl<'a> World<'a> {
    pub(super) fn new(plan: &'a Plan, seed: u64) -> Self {
        let mut isolates = Vec::new();
        for (region, place) in REGIONS.iter().enumerate() {
            let count = (plan.isolates * place.share / 100).max(1);
            let shards = plan.shards as usize;
            isolates.extend((0..count).map(|_| Isolate::new(region, shards)));
        }
        Self {
            plan,
            agenda: Agenda::default(),
            chance: Chance::new(seed),
            shards: (0..plan.shards).map(|_| Shard::default()).collect(),
            isolates,
            provider: Provider::new(Rule::None),
            requests: Vec::new(),
            tickets: Vec::new(),
            waiting: BTreeSet::new(),
            grants: 0,
            passed: 0,
            passed_by: Duration::ZERO,
            returned: 0,
        }
    }

    /// Runs until nothing is left to happen; clients begin nothing new after `until`.
    pub(super) fn run(&mut self, until: Duration) {
        self.agenda.at(Duration::ZERO, Event::Arrive);
        while let Some(event) = self.agenda.advance() {
            match event {
                Event::Arrive => self.arrive(until),
                Event::Call { shard, call } => self.receive(shard, call),
                Event::Serve { shard, call } => self.serve(shard, &call),
                Event::Timer { shard, due } => self.fire(shard, due),
                Event::Written { shard } => {
                    let answers = self.shards[shard].written();
                    self.send(answers);
                    self.after_step(shard);
                }
                Event::Answer { ticket, granted } => self.answered(ticket, granted),
                Event::Upstream { ticket } => self.upstream(ticket),
                Event::End { ticket } => self.ended(ticket),
                Event::Flush { isolate, shard } => self.flush(isolate, shard),
                Event::Expire { ticket } => self.expire(ticket),
            }
        }
    }

    pub(super) const fn now(&self) -> Duration {
        self.agenda.now()
    }

    /// A new ticket, which is its place in the list.
    pub(super) fn ticket(
        &mut self,
        request: Option<usize>,
        isolate: usize,
        shard: usize,
        prompt: u64,
    ) -> usize {
        self.tickets.push(Ticket {
            request,
            isolate,
            shard,
            prompt,
            asked: self.now(),
            is_ahead: request.is_none(),
        });
        self.tickets.len() - 1
    }

    /// One delay of this isolate's way to the objects, or to the provider beside them.
    pub(super) fn way(&mut self, isolate: usize) -> Duration {
        let base = Duration::from_millis(REGIONS[self.isolates[isolate].region].way_ms);
        base + JITTER.draw(0, &mut self.chance)
    }

    fn arrive(&mut self, until: Duration) {
        let now = self.now();
        if now >= until {
            return;
        }
        // While the window fills no faster than the limit lets it leave, so that it leaves evenly.
        let limit = self
            .plan
            .limits
            .rpm
            .map_or(f64::INFINITY, |rpm| rpm as f64 / 60.0);
        let tokens = self.plan.limits.tpm.map_or(f64::INFINITY, |tpm| {
            tpm as f64 / 60.0 / (self.plan.mean_tokens() as f64)
        });
        let rate = if now < WINDOW {
            self.plan.rate.min(limit).min(tokens)
        } else {
            self.plan.rate
        };
        let next = self.chance.exponential(Duration::from_secs_f64(1.0 / rate));
        self.agenda.after(next, Event::Arrive);
        let isolate = self.somewhere();
        let shard = match self.plan.spread {
            Spread::Random => self.chance.among(0, self.plan.shards - 1) as usize,
            Spread::Region => self.isolates[isolate].region % self.shards.len(),
        };
        let (least, most) = self.plan.prompt;
        let prompt = self.chance.among(least, most);
        self.requests.push(Request {
            isolate,
            shard,
            prompt,
            sent: now,
            wait: Duration::ZERO,
            outcome: None,
        });
        self.ask(self.requests.len() - 1);
    }

    /// An isolate of a region drawn by its share.
    fn somewhere(&mut self) -> usize {
        let total: u64 = REGIONS.iter().map(|region| region.share).sum();
        let mut drawn = self.chance.among(0, total - 1);
        let mut region = 0;
        while drawn >= REGIONS[region].share {
            drawn -= REGIONS[region].share;
            region += 1;
        }
        let own: Vec<usize> = (0..self.isolates.len())
            .filter(|isolate| self.isolates[*isolate].region == region)
            .collect();
        own[self.chance.among(0, own.len() as u64 - 1) as usize]
    }

    fn receive(&mut self, shard: usize, call: Box<Call>) {
        let now = self.now();
        let cost = self.plan.call_cost + self.plan.item_cost * call.items() as u32;
        match self.shards[shard].take(cost, OVERLOADED_AFTER, now) {
            Some(done) => {
                if let Some((ticket, _)) = call.acquire {
                    self.tickets[ticket].asked = now;
                    self.waiting.insert((now, ticket));
                }
                self.agenda.at(done, Event::Serve { shard, call });
            }
            None => {
                if let Some((ticket, _)) = call.acquire {
                    let way = self.way(call.isolate);
                    let granted = Err(Outcome::Overloaded);
                    self.agenda.after(way, Event::Answer { ticket, granted });
                }
            }
        }
    }

    fn serve(&mut self, shard: usize, call: &Call) {
        let now = self.now();
        self.shards[shard].serve(call, now);
        let ahead = self.shards[shard].ahead(self.plan, call.ahead, now);
        for _ in 0..ahead {
            let prompt = self.plan.prompt.1;
            let ticket = self.ticket(None, call.isolate, shard, prompt);
            let acquire = self.acquire(ticket, true);
            self.shards[shard].acquire(ticket, &acquire, now);
        }
        self.shards[shard].work(self.plan.item_cost * ahead as u32, now);
        self.after_step(shard);
    }

    fn fire(&mut self, shard: usize, due: Duration) {
        if self.shards[shard].is_armed_for(due) {
            let now = self.now();
            self.shards[shard].fire(now);
            self.after_step(shard);
        }
    }

    /// Notes who was granted or refused, sends what may leave, writes, sets the timer.
    fn after_step(&mut self, shard: usize) {
        let now = self.now();
        let step = self.shards[shard].step();
        for answer in step.fresh {
            self.judge(answer);
        }
        self.send(step.answers);
        if step.writes {
            let span = WRITE.draw(0, &mut self.chance);
            self.agenda.after(span, Event::Written { shard });
        }
        if let Some(due) = self.shards[shard].arm(now) {
            let late = TIMER.draw(0, &mut self.chance);
            self.agenda.at(due + late, Event::Timer { shard, due });
        }
    }

    /// First come, first served, over all objects.
    fn judge(&mut self, answer: Answer) {
        let ticket = answer.ticket;
        if self.tickets[ticket].is_ahead {
            return;
        }
        let asked = self.tickets[ticket].asked;
        self.waiting.remove(&(asked, ticket));
        if answer.granted.is_ok() {
            self.grants += 1;
            let earliest = self.waiting.first().map_or(asked, |(at, _)| *at);
            let by = asked.saturating_sub(earliest);
            self.passed += u64::from(by > NOTICED);
            self.passed_by = self.passed_by.max(by);
        }
    }

    fn send(&mut self, answers: Vec<Answer>) {
        for Answer { ticket, granted } in answers {
            let granted = granted.map_err(Outcome::Refused);
            let way = self.way(self.tickets[ticket].isolate);
            self.agenda.after(way, Event::Answer { ticket, granted });
        }
    }
}
