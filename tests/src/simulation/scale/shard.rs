//! 分片：一个对象，先到先服务，逐个处理调用，写盘后才作答。
//!
//! Owns one object as a server with a service time, the real core inside: when it comes to a call, when
//! its answers leave, when it writes. It does not die here, and grants permits ahead as a shell would.
//!
//! Invariant: one thing at a time; an answer leaves with a write that began after it was given.

use core::time::Duration;

use admission::protocol::{Acquire, RefusalReason, SentLate, Settle, TicketId};
use admission::{Acquired, Admission, Commit, Event};

use super::plan::Plan;
use crate::simulation::order::Judge;
use crate::simulation::{instant, time};

/// What need not be heard at once.
#[derive(Debug)]
pub(super) enum Note {
    Settle(Settle),
    SentLate(SentLate),
}

/// What an isolate asks for in one call.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// Where from.
    pub isolate: usize,
    /// Asks for a permit, by ticket.
    pub acquire: Option<(usize, Box<Acquire>)>,
    /// Permits wanted ahead.
    pub ahead: u64,
    /// Endings and late sendings that ride along.
    pub notes: Vec<Note>,
}

impl Call {
    /// Things in it that cost time of their own.
    pub(super) fn items(&self) -> u64 {
        u64::from(self.acquire.is_some()) + self.notes.len() as u64
    }
}

/// What the core said to a ticket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub ticket: usize,
    pub granted: Result<(), RefusalReason>,
}

/// One object of a run.
#[derive(Debug, Default)]
pub(super) struct Shard {
    core: Admission,
    /// Watches the order of its grants.
    pub judge: Judge,
    /// Until when it has work.
    busy_until: Duration,
    /// All that it worked.
    pub worked: Duration,
    /// Calls that it took.
    pub calls: u64,
    armed: Option<Duration>,
    fresh: Vec<Answer>,
    waiting: Vec<Answer>,
    leaving: Vec<Answer>,
    is_writing: bool,
}

/// What a step of the object leads to.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// What was decided just now.
    pub fresh: Vec<Answer>,
    /// Answers that leave now.
    pub answers: Vec<Answer>,
    /// A write has begun.
    pub writes: bool,
}

impl Shard {
    /// When a call that arrives at `now` will have been served; none = overloaded.
    pub(super) fn take(
        &mut self,
        cost: Duration,
        patience: Duration,
        now: Duration,
    ) -> Option<Duration> {
        let begins = self.busy_until.max(now);
        if begins > now + patience {
            return None;
        }
        self.calls += 1;
        self.work(cost, now);
        Some(self.busy_until)
    }

    /// It has so much to do besides.
    pub(super) fn work(&mut self, cost: Duration, now: Duration) {
        self.busy_until = self.busy_until.max(now) + cost;
        self.worked += cost;
    }

    /// Serves a call.
    pub(super) fn serve(&mut self, call: &Call, now: Duration) {
        let at = instant(now);
        for note in &call.notes {
            match note {
                Note::Settle(settle) => {
                    self.core.settle(settle, at);
                }
                Note::SentLate(sent) => {
                    self.core.sent_late(sent, at);
                }
            }
            self.drain();
        }
        if let Some((ticket, acquire)) = &call.acquire {
            self.acquire(*ticket, acquire, now);
        }
    }

    /// A ticket enters. Everybody else whom the core let through meanwhile had come before.
    pub(super) fn acquire(&mut self, ticket: usize, acquire: &Acquire, now: Duration) {
        let at = instant(now);
        let acquired = self.core.acquire(acquire.clone(), at);
        let mut own = match acquired {
            Acquired::Granted(_) => Some(Ok(())),
            Acquired::Refused(refusal) => Some(Err(refusal.reason)),
            Acquired::Queued { .. } => None,
        };
        while let Some(event) = self.core.poll_event() {
            match decided(&event) {
                Some(answer) if answer.ticket == ticket => own = Some(answer.granted),
                Some(answer) => self.say(answer),
                None => {}
            }
        }
        self.judge.enters(ticket, at);
        if let Some(granted) = own {
            self.say(Answer { ticket, granted });
        }
    }

    /// The timer fires.
    pub(super) fn fire(&mut self, now: Duration) {
        self.armed = None;
        self.core.handle_timeout(instant(now));
        self.drain();
    }

    /// When the timer has to be set for, if it must be set anew.
    pub(super) fn arm(&mut self, now: Duration) -> Option<Duration> {
        let wanted = time(self.core.poll_timeout()?).max(now);
        if self.armed.is_some_and(|armed| armed <= wanted) {
            return None;
        }
        self.armed = Some(wanted);
        self.armed
    }

    /// Whether the timer that was set for `at` is still the one that is armed.
    pub(super) fn is_armed_for(&self, at: Duration) -> bool {
        self.armed == Some(at)
    }

    /// How many permits it will grant ahead: of those wanted, as long as nobody waits and enough of
    /// the limits is free.
    pub(super) fn ahead(&self, plan: &Plan, wanted: u64, now: Duration) -> u64 {
        let Some(ahead) = plan.ahead else { return 0 };
        let live = self.core.live(instant(now));
        let is_far = |used: u64, limit: Option<u64>| {
            limit.is_none_or(|limit| used as f64 <= limit as f64 * (1.0 - ahead.free))
        };
        let free = live.queue_length == 0
            && is_far(live.rpm_used, live.rpm_limit)
            && is_far(live.tpm_used, live.tpm_limit);
        if free { wanted.min(ahead.most) } else { 0 }
    }

    /// After anything that changed the core: answers that need no write leave, a write begins.
    pub(super) fn step(&mut self) -> Step {
        let mut step = Step {
            fresh: core::mem::take(&mut self.fresh),
            ..Step::default()
        };
        self.waiting.extend(&step.fresh);
        if self.is_writing {
            return step;
        }
        if self.core.needs_commit() == Commit::Nothing {
            step.answers = core::mem::take(&mut self.waiting);
            return step;
        }
        let changes = self.core.take_changes();
        self.core.committed(changes.sequence);
        self.leaving = core::mem::take(&mut self.waiting);
        self.is_writing = true;
        step.writes = true;
        step
    }

    /// The write is durable; what waited for it leaves.
    pub(super) fn written(&mut self) -> Vec<Answer> {
        self.is_writing = false;
        core::mem::take(&mut self.leaving)
    }

    fn drain(&mut self) {
        while let Some(event) = self.core.poll_event() {
            if let Some(answer) = decided(&event) {
                self.say(answer);
            }
        }
    }

    fn say(&mut self, answer: Answer) {
        match answer.granted {
            Ok(()) => self.judge.granted(answer.ticket),
            Err(_) => self.judge.leaves(answer.ticket),
        }
        self.fresh.push(answer);
    }
}

/// The ticket of an event that decides one.
fn decided(event: &Event) -> Option<Answer> {
    match event {
        Event::Granted { ticket, .. } => Some(Answer {
            ticket: number(ticket),
            granted: Ok(()),
        }),
        Event::Refused {
            ticket, refusal, ..
        } => Some(Answer {
            ticket: number(ticket),
            granted: Err(refusal.reason),
        }),
        Event::LeaseExpired { .. } => None,
    }
}

fn number(ticket: &TicketId) -> usize {
    ticket.as_str()[1..]
        .parse()
        .expect("all tickets here are made by `ticket`")
}

/// A settlement of exact usage.
pub(super) fn settled(mut settle: Settle, prompt: u64, output: u64) -> Note {
    settle.tokens = Some(prompt + output);
    settle.prompt_tokens = Some(prompt);
    settle.completion_tokens = Some(output);
    Note::Settle(settle)
}
