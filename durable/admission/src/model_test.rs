//! 参照模型测试：随机操作下，核心与最笨的写法逐步一致。
//!
//! The core against the reference model, in virtual time: after every one of many random
//! operations the answer, the events, the timer and the live picture are equal. Now and then
//! changes are committed, and now and then the core crashes and is restored from what was
//! committed last, and only from that. Beside it, from the grants alone: no window and no
//! concurrency over the limit, no order broken, no permit doubled or lost.
//!
//! `ADMISSION_SEED` and `ADMISSION_OPERATIONS` override the seed and the number of operations; a
//! failure prints the seed of its episode.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "in a test an overflow or a bad index must panic"
)]

mod ahead;
mod naive;
mod outsider;
mod random;
mod store;

use crate::protocol::{
    Accepted, Acquire, Limits, Live, OnFull, SentLate, Settle, SettleOutcome, TicketId,
};
use crate::time::Instant;
use crate::{Admission, Commit, Event, State};
use core::time::Duration;
use naive::Model;
use outsider::{Call, Outsider};
pub(crate) use random::Random;
pub(crate) use store::Store;

/// A minute of a slow machine without optimisation, seconds of any with it.
const OPERATIONS_DEFAULT: u64 = if cfg!(debug_assertions) {
    200_000
} else {
    2_000_000
};
const EPISODE_LEN: u64 = 600;

/// One core and one model under the same operations.
struct Episode {
    random: Random,
    core: Admission,
    model: Model,
    outsider: Outsider,
    store: Store,
    now: Instant,
    /// The latest instant that the core was told.
    told: Instant,
    /// The newest limits that anybody has seen.
    limits: Limits,
    adopted: bool,
    tickets: u64,
    blocks: u64,
    crashes: u64,
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn core_and_reference_model_agree_on_every_random_operation() {
    let seed = variable("ADMISSION_SEED", 20_260_101);
    let operations = variable("ADMISSION_OPERATIONS", OPERATIONS_DEFAULT);
    println!("ADMISSION_SEED={seed} ADMISSION_OPERATIONS={operations}");
    let (mut grants, mut refusals, mut crashes) = (0, 0, 0);
    for episode in 0..operations.div_ceil(EPISODE_LEN) {
        println!("episode seed {}", seed + episode);
        let mut episode = Episode::new(seed + episode);
        for _ in 0..EPISODE_LEN {
            episode.operate();
        }
        episode.finish();
        grants += episode.outsider.grants;
        refusals += episode.outsider.refusals;
        crashes += episode.crashes;
    }
    println!("{grants} grants, {refusals} refusals, {crashes} crashes");
    assert!(grants > operations / 20 && refusals > operations / 50 && crashes > operations / 100);
}

impl Episode {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            core: Admission::new(),
            model: Model::default(),
            outsider: Outsider::default(),
            store: Store::default(),
            now: Instant::from_millis(1_700_000_000_000 + seed % 1_000),
            told: Instant::default(),
            limits: Limits::default(),
            adopted: false,
            tickets: 0,
            blocks: 0,
            crashes: 0,
        }
    }

    fn operate(&mut self) {
        self.pass_time();
        let (before, told) = (self.limits, self.told);
        self.told = self.now;
        let call = match self.random.below(1_000) {
            0..420 => self.acquire(),
            420..450 => self.grant_ahead(),
            450..460 => self.used(),
            460..475 => self.take_back(),
            475..650 => self.settle(),
            650..690 => self.accepted(),
            690..700 => self.sent_late(),
            700..750 => self.cancel(),
            750..930 => self.handle_timeout(self.now),
            930..955 => self.change_limits(),
            955..965 => self.pause(),
            965..985 => self.crash(),
            // A call that knows the time wrongly.
            _ => {
                let now = self.now.as_millis();
                let wrong = self.random.pick(&[0, 1, now - 90_000, now - 1]);
                self.told = told.max(Instant::from_millis(wrong));
                self.handle_timeout(Instant::from_millis(wrong))
            }
        };
        self.compare(&call, before);
    }

    fn pass_time(&mut self) {
        let step = match self.random.below(100) {
            0..35 => 0,
            35..60 => self.random.below(300),
            60..80 => self.random.below(6_000),
            // Exactly at the timer, just before it, just after it.
            80..98 => {
                let due = self.core.poll_timeout().unwrap_or(self.now);
                let wait = due.as_millis().saturating_sub(self.now.as_millis());
                (wait + self.random.pick(&[0, 0, 0, 1, 40]))
                    .saturating_sub(self.random.pick(&[0, 0, 1]))
            }
            98..99 => self.random.below(200_000),
            _ => 60_350,
        };
        self.now = self
            .now
            .saturating_add(Duration::from_millis(step.min(10_000_000)));
    }

    fn random_limits(&mut self) -> Limits {
        let random = &mut self.random;
        let version = self.limits.version + random.pick(&[0, 1, 1, 1, 3]);
        if self.adopted && version == self.limits.version {
            // One version is one text, or a crash could make another of it.
            return self.limits;
        }
        let seconds = Duration::from_secs;
        // A lease of zero would end in the call that grants it; it has a test of its own.
        // Some are great enough for an allowance of a few.
        let rpm = [1, 3, 7, 7, 12, 20, 60, 200].map(Some);
        let tpm = [1, 500, 1_500, 4_000, 9_000, 40_000, 90_000].map(Some);
        let slots = [1, 2, 5, 5, 50, 120].map(Some);
        Limits {
            version,
            enabled: !random.chance(4),
            rpm: match random.below(20) {
                0 => Some(0),
                1..4 => None,
                _ => random.pick(&rpm),
            },
            tpm: match random.below(20) {
                0 => Some(0),
                1..8 => None,
                _ => random.pick(&tpm),
            },
            concurrency: match random.below(20) {
                0 => Some(0),
                1..13 => None,
                _ => random.pick(&slots),
            },
            queue_max: random.pick(&[0, 1, 2, 5, 10, 10, 10, 20, 40, u64::MAX]),
            queue_timeout: seconds(random.pick(&[0, 3, 60, 60, 60, 200])),
            on_full: random.pick(&[OnFull::EvictOldest, OnFull::RejectNewest]),
            lease: seconds(random.pick(&[2, 30, 100, 300])),
        }
    }

    fn ticket(&mut self) -> TicketId {
        let old = (self.tickets > 0 && self.random.chance(12))
            .then(|| self.tickets - self.random.below(self.tickets.min(20)));
        let number = old.unwrap_or_else(|| {
            self.tickets += 1;
            self.tickets
        });
        TicketId::try_from(format!("t{number}")).unwrap()
    }

    fn acquire(&mut self) -> Call {
        let limits = if self.random.chance(2) || !self.adopted {
            self.random_limits()
        } else {
            self.limits
        };
        let (ticket, attempt) = self.ticket_and_attempt();
        let random = &mut self.random;
        let now = self.now.as_millis();
        let arrival = match random.below(10) {
            0..6 => None,
            6..7 => Some(now + 7_000),
            _ => Some(now - random.pick(&[0, 1, 500, 500, 30_000, 100_000])),
        };
        let waits = [
            None,
            None,
            None,
            Some(0),
            Some(1_500),
            Some(45_000),
            Some(90_000),
        ];
        let pauses = [None, None, Some(0), Some(700), Some(2_000), Some(59_000)];
        let request = Acquire {
            ticket,
            app: "app".to_owned(),
            key_id: "key".to_owned(),
            model: random.pick(&["a", "a", "a", "b"]).to_owned(),
            prompt_bytes: random.pick(&[0, 1, 400, 401, 2_000, 20_000]),
            output_tokens_max: random.pick(&[None, Some(0), Some(1), Some(100), Some(9_999)]),
            wait_max: random.pick(&waits).map(Duration::from_millis),
            arrival: arrival.map(Instant::from_millis),
            attempt,
            pause: random.pick(&pauses).map(Duration::from_millis),
            note: random.pick(&["", "one", "another"]).to_owned(),
            config_version: random.below(50),
            limits,
        };
        self.see(limits);
        let model = self.model.acquire(&request, self.now);
        let core = self.core.acquire(request.clone(), self.now);
        assert_eq!(core, model, "answer to {request:?}");
        Call::Acquire(Box::new(request), core)
    }

    /// A new request, one that comes again, or the next attempt of one that is out.
    fn ticket_and_attempt(&mut self) -> (TicketId, u32) {
        let out = self.outsider.out();
        if self.random.chance(12) && !out.is_empty() {
            let ticket = self.some_ticket(&out);
            let attempt = self.outsider.attempts(&ticket);
            return (ticket, attempt);
        }
        let waiting = self.outsider.waiting();
        let ticket = if self.random.chance(8) && !waiting.is_empty() {
            self.some_ticket(&waiting)
        } else {
            self.ticket()
        };
        let attempt = u32::from(self.random.chance(5));
        let attempt = attempt.max(self.outsider.attempt_min(&ticket));
        (ticket, attempt)
    }

    /// A ticket that is out most of the time, else one settled before, waiting, or unheard of.
    fn some_ticket(&mut self, likely: &[TicketId]) -> TicketId {
        let tickets = if self.random.chance(80) {
            likely
        } else {
            &self.outsider.past
        };
        if tickets.is_empty() {
            return self.ticket();
        }
        let end = u64::try_from(tickets.len()).unwrap();
        tickets[usize::try_from(self.random.below(end)).unwrap()].clone()
    }

    fn settle(&mut self) -> Call {
        let out = self.outsider.out();
        let outcomes = [
            SettleOutcome::Completed,
            SettleOutcome::Completed,
            SettleOutcome::UpstreamFailed,
            SettleOutcome::ClientGone,
            SettleOutcome::NotSent,
            SettleOutcome::UpstreamRefused,
        ];
        let figures = [None, Some(0), Some(100), Some(357), Some(900), Some(9_000)];
        let pauses = [None, Some(1), Some(1_000), Some(30_000)];
        let settle = Settle {
            tokens: self.random.pick(&figures),
            prompt_tokens: self.random.pick(&[None, Some(0), Some(90), Some(4_000)]),
            prompt_bytes: self.random.pick(&[None, None, Some(1), Some(800)]),
            completion_tokens: self
                .random
                .pick(&[Some(0), Some(10), Some(80), Some(2_000)]),
            pause: self.random.pick(&pauses).map(Duration::from_millis),
            ..Settle::new(self.some_ticket(&out), self.random.pick(&outcomes))
        };
        let ended = self.core.settle(&settle, self.now);
        assert_eq!(ended, self.model.settle(&settle, self.now), "{settle:?}");
        Call::Settle(settle, ended.is_some())
    }

    fn accepted(&mut self) -> Call {
        let out = self.outsider.out();
        let ticket = self.some_ticket(&out);
        let accepted = Accepted { ticket };
        let known = self.core.accepted(&accepted, self.now);
        assert_eq!(known, self.model.accepted(&accepted, self.now));
        Call::Other
    }

    fn sent_late(&mut self) -> Call {
        let out = self.outsider.out();
        let ticket = self.some_ticket(&out);
        let sent = SentLate { ticket };
        let known = self.core.sent_late(&sent, self.now);
        assert_eq!(known, self.model.sent_late(&sent, self.now));
        Call::SentLate(sent.ticket, known)
    }

    /// The object dies and comes back with what was committed last.
    fn crash(&mut self) -> Call {
        self.crashes += 1;
        let state = self.store.read();
        self.outsider.crash(&state);
        self.core = Admission::restore(state, self.now);
        self.model.crash(self.now);
        Call::Other
    }

    /// Writes what changed; sometimes everything, which must be the same.
    fn commit(&mut self) {
        let changes = self.core.take_changes();
        let mut sequence = changes.sequence;
        self.store.write(changes);
        if self.random.chance(10) {
            let whole = self.core.checkpoint();
            sequence = whole.sequence;
            let whole = State {
                sequence: 0,
                ..whole
            };
            assert_eq!(self.store.read(), whole, "the changes missed something");
        }
        self.core.committed(sequence);
        self.model.commit();
        assert_eq!(self.core.needs_commit(), Commit::Nothing);
    }

    fn cancel(&mut self) -> Call {
        let waiting = self.outsider.waiting();
        let ticket = self.some_ticket(&waiting);
        let known = self.core.cancel(&ticket, self.now);
        assert_eq!(known, self.model.cancel(&ticket, self.now), "{ticket}");
        Call::Cancel(ticket, known)
    }

    fn handle_timeout(&mut self, now: Instant) -> Call {
        self.core.handle_timeout(now);
        self.model.handle_timeout(now);
        Call::Other
    }

    fn change_limits(&mut self) -> Call {
        let limits = self.random_limits();
        self.see(limits);
        self.core.set_limits(limits, self.now);
        self.model.set_limits(limits, self.now);
        Call::Other
    }

    fn pause(&mut self) -> Call {
        let ahead = self.random.pick(&[0, 1_000, 20_000, 100_000]);
        let until = self.now.saturating_add(Duration::from_millis(ahead));
        self.core.pause_until(until, self.now);
        self.model.pause_until(until, self.now);
        Call::Other
    }

    fn see(&mut self, limits: Limits) {
        if !self.adopted || limits.version > self.limits.version {
            self.limits = limits;
            self.adopted = true;
        }
    }

    fn compare(&mut self, call: &Call, before: Limits) {
        let mut events = Vec::new();
        while let Some(event) = self.core.poll_event() {
            events.push(event);
        }
        assert_eq!(events, std::mem::take(&mut self.model.events.0));
        let timeout = self.core.poll_timeout();
        assert_eq!(timeout, self.model.poll_timeout());
        assert!(
            timeout.is_none_or(|at| at > self.told),
            "the timer would spin"
        );
        assert_eq!(self.core.live(self.now), self.model.live(self.now));
        let later = self.now.saturating_add(Duration::from_secs(31));
        assert_eq!(self.core.live(later), self.model.live(later));
        self.compare_progress();
        if self.may_leave(call) {
            self.observe(call, &events, before);
        }
    }

    fn compare_progress(&mut self) {
        let waiting = self.outsider.waiting();
        if self.random.chance(20) && !waiting.is_empty() {
            let ticket = self.some_ticket(&waiting);
            let core = self.core.progress(&ticket, self.now);
            assert_eq!(core, self.model.progress(&ticket, self.now), "{ticket}");
        }
    }

    /// Commits what must be committed before an answer leaves, or dies before it is: then nobody
    /// ever hears of this operation.
    fn may_leave(&mut self, call: &Call) -> bool {
        let must = self.core.needs_commit() == Commit::Now;
        assert_eq!(must, self.model.must_commit());
        let must = must || matches!(call, Call::Ahead(_, true));
        if must && self.random.chance(3) {
            let call = self.crash();
            self.compare(&call, self.limits);
            return false;
        }
        let soon = self.core.needs_commit() == Commit::Soon;
        if must || (soon && self.random.chance(15)) {
            self.commit();
        }
        true
    }

    fn observe(&mut self, call: &Call, events: &[Event], before: Limits) {
        let limits = [before, self.limits];
        self.outsider.observe(call, events, self.now, &limits);
    }

    /// Everything ends by itself: nobody waits, nothing is out, the window is empty.
    fn finish(&mut self) {
        while let Some(due) = self.core.poll_timeout() {
            self.now = self.now.max(due);
            self.told = self.told.max(due);
            let call = self.handle_timeout(due);
            self.compare(&call, self.limits);
        }
        self.now = self.now.saturating_add(Duration::from_hours(2));
        self.told = self.now;
        let call = self.handle_timeout(self.now);
        self.compare(&call, self.limits);
        let live = self.core.live(self.now);
        let counters = Live {
            rpm_limit: None,
            tpm_limit: None,
            max_concurrency: None,
            paused_until: None,
            config_version: 0,
            estimates: 0,
            wake_late_ms_p99: 0,
            wake_late_ms_max: 0,
            ..live
        };
        assert_eq!(counters, Live::default());
        assert!(self.outsider.out().is_empty() && self.outsider.waiting().is_empty());
    }
}
