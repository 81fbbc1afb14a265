//! 分片：一个对象，先到先服务，逐个处理调用，写盘后才作答。
//!
//! Owns one object as a server with a service time: when it comes to a call, when its answers leave,
//! when it writes. The real core decides inside; permits are granted ahead here as the shell would.
//!
//! Invariant: one thing at a time; an answer leaves with a write that began after it was given.

use core::time::Duration;

use admission::Commit;
use admission::protocol::{AcquireAnswer, Settle};

use super::plan::{AHEAD_FREE, Plan};
use crate::simulation::object::{Answer, Object, Operation, Reply};

/// What an isolate asks for in one call.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// Where from.
    pub isolate: usize,
    /// Asks for a permit, by ticket, with its operation.
    pub acquire: Option<(usize, Operation)>,
    /// Permits wanted ahead.
    pub ahead: u64,
    /// Endings and late sendings that ride along.
    pub notes: Vec<Operation>,
}

impl Call {
    /// Things in it that cost time of their own.
    pub(super) fn items(&self) -> u64 {
        u64::from(self.acquire.is_some()) + self.notes.len() as u64
    }
}

/// One object of a run.
#[derive(Debug)]
pub(super) struct Shard {
    pub object: Object,
    /// Until when it has work.
    pub busy_until: Duration,
    /// All that it worked.
    pub worked: Duration,
    /// Calls that it took.
    pub calls: u64,
    waiting: Vec<Answer>,
    leaving: Vec<Answer>,
    pub is_writing: bool,
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            object: Object::default(),
            busy_until: Duration::ZERO,
            worked: Duration::ZERO,
            calls: 0,
            waiting: Vec::new(),
            leaving: Vec::new(),
            is_writing: false,
        }
    }
}

/// What a step of the object leads to.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Tickets that were answered just now, and whether they were granted.
    pub fresh: Vec<(usize, bool)>,
    /// Answers that leave now.
    pub answers: Vec<Answer>,
    /// A write begins and ends after this.
    pub write: Option<Duration>,
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
        for note in &call.notes {
            self.object.receive(u64::MAX, note, now);
        }
        if let Some((ticket, acquire)) = &call.acquire {
            self.object.receive(*ticket as u64, acquire, now);
        }
    }

    /// How many permits it will grant ahead: of those wanted, as long as nobody waits and the limits
    /// are far.
    pub(super) fn ahead(&self, plan: &Plan, wanted: u64, now: Duration) -> u64 {
        let live = self.object.live(now);
        let is_far = |used: u64, limit: Option<u64>| {
            limit.is_none_or(|limit| used as f64 <= limit as f64 * (1.0 - AHEAD_FREE))
        };
        let free = live.queue_length == 0
            && is_far(live.rpm_used, live.rpm_limit)
            && is_far(live.tpm_used, live.tpm_limit);
        if free { wanted.min(plan.ahead_max) } else { 0 }
    }

    /// After anything that changed the core: answers that need no write leave, a write begins.
    pub(super) fn step(&mut self, now: Duration, write: Duration) -> Step {
        let answers = self.object.take_answers();
        let mut step = Step {
            fresh: answers.iter().filter_map(decided).collect(),
            ..Step::default()
        };
        self.waiting.extend(answers);
        if self.is_writing {
            return step;
        }
        if self.object.needs_commit() == Commit::Nothing {
            self.object.acknowledge();
            self.object.take_answers();
            step.answers = core::mem::take(&mut self.waiting);
            return step;
        }
        self.object.commit(now, write);
        // Acknowledgements, which nobody waits for here.
        self.object.take_answers();
        self.leaving = core::mem::take(&mut self.waiting);
        self.is_writing = true;
        step.write = Some(write);
        step
    }

    /// The write is durable; what waited for it leaves.
    pub(super) fn written(&mut self) -> Vec<Answer> {
        self.is_writing = false;
        core::mem::take(&mut self.leaving)
    }
}

/// The ticket of an answer that decides one.
fn decided(answer: &Answer) -> Option<(usize, bool)> {
    match &answer.reply {
        Reply::Acquired(reply) => Some((
            answer.call as usize,
            matches!(reply, AcquireAnswer::Granted(_)),
        )),
        Reply::Done => None,
    }
}

/// A settlement of exact usage.
pub(super) fn settled(mut settle: Settle, prompt: u64, output: u64) -> Operation {
    settle.tokens = Some(prompt + output);
    settle.prompt_tokens = Some(prompt);
    settle.completion_tokens = Some(output);
    Operation::Settle(settle)
}
