//! 估算的模拟：真实输出服从对数正态分布，令牌限额从不被超过，也几乎用满。
//!
//! Estimates against a provider that counts what is really used, in virtual time: outputs are
//! log-normal, and the provider charges each request in full when it arrives.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "lengths drawn from a distribution are small and positive"
)]

use super::bench::{at, id, request, rpm};
use crate::model_test::Random;
use crate::protocol::{Grant, Limits, Settle, SettleOutcome};
use crate::time::Instant;
use crate::{Acquired, Admission, Event};
use core::time::Duration;
use std::collections::BTreeMap;

/// What requests are like, and what they are sent to.
struct Traffic {
    tpm: u64,
    /// Median output and the standard deviation of its logarithm.
    output_median: f64,
    sigma: f64,
    /// Prompt bytes from, to; and bytes a token.
    prompt_bytes: (u64, u64),
    bytes_per_token: f64,
    /// Time to the first token and tokens a second.
    first_ms: u64,
    speed: u64,
}

#[derive(Debug)]
struct Outcome {
    /// Greatest sum of real tokens in any 60 s once the model was known.
    highest: u64,
    /// The same before.
    highest_unknown: u64,
    /// Tokens used in ten windows, in thousandths of what was allowed.
    used: u64,
}

struct Simulation {
    core: Admission,
    traffic: Traffic,
    random: Random,
    next: u64,
    /// Under way: when it ends, and what it used.
    ends: BTreeMap<(u64, String), (u64, u64)>,
    /// Bytes, prompt and output of every request.
    sizes: BTreeMap<String, (u64, u64, u64)>,
    arrived: Vec<(u64, u64)>,
}

const WAITERS: u64 = 30;
/// From here on the model is known: two windows.
const KNOWN: u64 = 120_000;
const END: u64 = KNOWN + 620_000;

impl Simulation {
    fn run(traffic: Traffic, seed: u64) -> Outcome {
        let mut simulation = Self {
            core: Admission::new(),
            traffic,
            random: Random::new(seed),
            next: 0,
            ends: BTreeMap::new(),
            sizes: BTreeMap::new(),
            arrived: Vec::new(),
        };
        let start = at(0).as_millis();
        let mut now = 0;
        while now < END {
            // There is always somebody waiting.
            while simulation.core.live(at(now)).queue_length < WAITERS {
                simulation.enter(now);
            }
            let timer = simulation.core.poll_timeout().map(Instant::as_millis);
            let timer = timer.map_or(u64::MAX, |timer| timer - start);
            let end = simulation.ends.keys().next().map_or(u64::MAX, |key| key.0);
            now = timer.min(end);
            if end <= timer {
                simulation.settle(now);
            } else {
                simulation.core.handle_timeout(at(now));
            }
            simulation.drain(now);
        }
        simulation.outcome()
    }

    fn enter(&mut self, now: u64) {
        self.next += 1;
        let name = format!("t{}", self.next);
        let (from, to) = self.traffic.prompt_bytes;
        let bytes = from + self.random.below(to - from);
        let prompt = bytes as f64 / self.traffic.bytes_per_token * (0.9 + 0.2 * self.uniform());
        let normal = (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0;
        let output = self.traffic.output_median * (self.traffic.sigma * normal).exp();
        self.sizes
            .insert(name.clone(), (bytes, prompt as u64, output as u64));
        let mut call = request(&name, self.limits());
        call.prompt_bytes = bytes;
        call.output_tokens_max = None;
        if let Acquired::Granted(grant) = self.core.acquire(call, at(now)) {
            self.go(&grant, now);
        }
        self.drain(now);
    }

    fn limits(&self) -> Limits {
        Limits {
            tpm: Some(self.traffic.tpm),
            rpm: None,
            queue_max: 1_000,
            queue_timeout: Duration::from_hours(1),
            ..rpm(0)
        }
    }

    fn uniform(&mut self) -> f64 {
        self.random.below(1 << 20) as f64 / f64::from(1 << 20)
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
        let name = grant.permit.ticket().to_string();
        let (_, prompt, output) = self.sizes.remove(&name).unwrap();
        let arrives = now + 20 + self.random.below(100);
        self.arrived.push((arrives, prompt + output));
        let span = self.traffic.first_ms + output * 1_000 / self.traffic.speed;
        self.ends.insert((arrives + span, name), (prompt, output));
    }

    fn settle(&mut self, now: u64) {
        let ((_, name), (prompt, output)) = self.ends.pop_first().unwrap();
        let settle = Settle {
            tokens: Some(prompt + output),
            prompt_tokens: Some(prompt),
            completion_tokens: Some(output),
            ..Settle::new(id(&name), SettleOutcome::Completed)
        };
        assert!(self.core.settle(&settle, at(now)).is_some());
    }

    fn outcome(mut self) -> Outcome {
        self.arrived.sort_unstable();
        let (mut first, mut sum) = (0, 0);
        let (mut highest, mut highest_unknown) = (0, 0);
        for (at, tokens) in &self.arrived {
            sum += tokens;
            while self.arrived[first].0 + 60_000 <= *at {
                sum -= self.arrived[first].1;
                first += 1;
            }
            let highest = if *at < KNOWN {
                &mut highest_unknown
            } else {
                &mut highest
            };
            *highest = sum.max(*highest);
        }
        let known = self.arrived.iter();
        let known = known.filter(|(at, _)| (KNOWN..KNOWN + 600_000).contains(at));
        let used: u64 = known.map(|(_, tokens)| tokens).sum();
        Outcome {
            highest,
            highest_unknown,
            used: used / (self.traffic.tpm / 100),
        }
    }
}

fn chat(tpm: u64, sigma: f64) -> Traffic {
    Traffic {
        tpm,
        output_median: 300.0,
        sigma,
        prompt_bytes: (400, 4_000),
        bytes_per_token: 4.5,
        first_ms: 500,
        speed: 100,
    }
}

#[test]
fn no_window_of_a_chat_is_over_the_token_limit_and_more_than_96_percent_are_used() {
    for tpm in [300_000, 1_500_000] {
        for seed in 1..=5 {
            let outcome = Simulation::run(chat(tpm, 0.6), seed);
            println!("{tpm} seed {seed}: {outcome:?}");
            assert!(outcome.highest <= tpm);
            // Not even the first burst, of which nothing is known but the default.
            assert!(outcome.highest_unknown <= tpm);
            assert!(outcome.used > 960);
        }
    }
}

#[test]
fn answers_of_greater_variance_stay_within_two_percent() {
    for seed in 1..=5 {
        let outcome = Simulation::run(chat(1_000_000, 0.8), seed);
        println!("seed {seed}: {outcome:?}");
        assert!(outcome.highest <= 1_020_000);
        assert!(outcome.used > 950);
    }
}
