//! 估算：一个请求在结算之前按多少令牌预留，并从结算中学习。
//!
//! What a request is expected to cost in tokens before it is settled, learnt per model.
//!
//! Owns the formula. A request of `b` bytes for a model of which enough is known is expected to use
//!
//! ```text
//! b·(p + K·dp) + o + K·do        K = MARGIN
//! ```
//!
//! where `p` and `o` are the mean prompt tokens per byte and the mean output, `dp` and `do` their
//! mean absolute deviations. For log-normal outputs whose logarithm has σ = 0.6 to 0.8 that is the
//! 97th to 98th percentile. What is reserved in excess returns at the settlement, seconds later.
//!
//! *Why so much for each, where only the sum over all in flight can exceed a limit*: those that end
//! early are the short ones, and what they give back is lent again at once. What stays in flight
//! is biased by length: its mean output is not `o` but `E[X²]/E[X]`. So long answers do not average
//! out against short ones, and the shortfall of many grows as their number, not as its root.
//! Simulated under saturation, K = 3 exceeds the limit now and then; K = 4 does not for σ = 0.6 and
//! uses more than 97 % of it.
//!
//! *Why whole epochs*: of a burst the short answers are settled first, so a mean that follows every
//! settlement is far too low just when the next grants rely on it. An epoch is at least one window
//! and [`SAMPLES_MIN`] settlements, the long ones among them; its means replace the ones before, half
//! and half. While an epoch runs, it counts only where it is higher: longer answers are believed
//! at once, shorter ones when they have lasted. Until the first epoch is over the defaults are the
//! floor. Only whole epochs are stored.
//!
//! The output is bounded by what the client allows; the bound by the token limit is the limiter's.
//! Cached prompt tokens count in full: providers count them. Only answers that came to their end
//! teach; a cancelled one would teach short outputs.
//!
//! Invariant: an estimate never exceeds [`TOKENS_MAX`], and no more than [`MODELS_LEN_MAX`] models
//! are remembered: the one learnt about least recently leaves.

use crate::marks::Marks;
use crate::protocol::Settle;
use crate::state::{COUNT_MAX, ModelRow};
use crate::time::Instant;
use crate::window::WINDOW;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a request body per prompt token while nothing is learnt: about 4 characters of English
/// make a token in the tokenisers of the big providers; JSON around it errs to the safe side.
pub const PROMPT_BYTES_PER_TOKEN: u64 = 4;

/// Output expected of a request that does not bound it while nothing is learnt: two pages, more than
/// most answers of a chat. The first burst to a new model is reserved by it alone.
pub const EXPECTED_OUTPUT_TOKENS: u64 = 1_024;

/// Most tokens that one request can count for, estimated or actual: far beyond any model, and
/// small enough that the sums over a full window and a full queue stay exact in 64 bits.
pub const TOKENS_MAX: u64 = 1 << 40;

/// Models remembered: more than any one server offers.
pub const MODELS_LEN_MAX: usize = 256;

/// The margin in mean absolute deviations.
const MARGIN: u64 = 4;

/// Settlements that make an epoch: fewer say nothing about what varies as much as outputs do.
const SAMPLES_MIN: u64 = 16;

/// Fixed point of the ratio: 1/65,536 token a byte.
const RATIO_BITS: u32 = 16;
/// Fixed point of the output: 1/256 token.
const OUTPUT_BITS: u32 = 8;
/// Most prompt tokens a byte that are believed (an image given as a link costs many).
const RATIO_MAX: u64 = 256 << RATIO_BITS;

/// What is known of a request before it is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) model: String,
    pub(crate) prompt_bytes: u64,
    pub(crate) output_tokens_max: Option<u64>,
}

/// Knows what requests cost.
#[derive(Debug, Default)]
pub(crate) struct Estimator {
    models: BTreeMap<String, Learnt>,
    by_use: BTreeSet<(u64, String)>,
    uses: u64,
    marks: Marks<String>,
}

/// What is learnt of one model.
#[derive(Debug, Default)]
struct Learnt {
    used: u64,
    /// Whole epochs.
    epochs: u64,
    prompt: Average,
    output: Average,
    /// The epoch that runs.
    since: Instant,
    samples: u64,
    prompts: Sum,
    outputs: Sum,
    stored: bool,
}

/// A mean and the mean absolute deviation from it, in fixed point.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    mean: u64,
    deviation: u64,
}

/// Values and deviations added up.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    values: u64,
    deviations: u64,
}

impl Estimator {
    /// Tokens that the request is expected to use, prompt and output together.
    pub(crate) fn expected_tokens(&self, demand: &Demand) -> u64 {
        let bytes = demand.prompt_bytes;
        let (mut prompt, mut output) = (0, 0);
        let learnt = self.models.get(&demand.model);
        if let Some(learnt) = learnt {
            let (ratio, length) = learnt.averages();
            let ratio = ratio.with_margin().min(RATIO_MAX);
            prompt = bytes.saturating_mul(ratio) >> RATIO_BITS;
            output = length.with_margin() >> OUTPUT_BITS;
        }
        if learnt.is_none_or(|learnt| learnt.epochs == 0) {
            prompt = prompt.max(bytes.div_ceil(PROMPT_BYTES_PER_TOKEN));
            output = output.max(EXPECTED_OUTPUT_TOKENS);
        }
        let output = output.min(demand.output_tokens_max.unwrap_or(u64::MAX));
        prompt.saturating_add(output).min(TOKENS_MAX)
    }

    /// Learns from an answer that came to its end with known usage.
    pub(crate) fn learn(&mut self, demand: &Demand, settle: &Settle, now: Instant) {
        let (Some(prompt), Some(output)) = (settle.prompt_tokens, settle.completion_tokens) else {
            return;
        };
        self.uses = self.uses.saturating_add(1);
        let learnt = self.models.entry(demand.model.clone()).or_default();
        self.by_use.remove(&(learnt.used, demand.model.clone()));
        self.by_use.insert((self.uses, demand.model.clone()));
        learnt.used = self.uses;
        let ratio = (prompt.min(TOKENS_MAX) << RATIO_BITS)
            .checked_div(demand.prompt_bytes)
            .unwrap_or(0);
        let output = output.min(TOKENS_MAX) << OUTPUT_BITS;
        if learnt.add(ratio.min(RATIO_MAX), output, now) {
            self.marks.change(&demand.model);
        }
        self.forget();
    }

    /// Models of which something is known.
    pub(crate) fn len(&self) -> u64 {
        u64::try_from(self.models.len()).unwrap_or(u64::MAX)
    }

    /// Whether there is nothing to store.
    pub(crate) fn is_stored(&self) -> bool {
        self.marks.is_empty()
    }

    /// The rows that changed and the models that were forgotten.
    pub(crate) fn take_rows(&mut self) -> (Vec<ModelRow>, Vec<String>) {
        let (changed, gone) = self.marks.take();
        let rows = changed.into_iter().filter_map(|model| {
            let learnt = self.models.get_mut(&model)?;
            learnt.stored = true;
            Some(learnt.row(model))
        });
        (rows.collect(), gone.into_iter().collect())
    }

    /// All rows.
    pub(crate) fn rows(&self) -> Vec<ModelRow> {
        let rows = self.models.iter();
        rows.filter(|(_, learnt)| learnt.stored)
            .map(|(model, learnt)| learnt.row(model.clone()))
            .collect()
    }

    /// Takes back a stored row, within bounds.
    pub(crate) fn restore(&mut self, row: ModelRow) {
        if self.models.contains_key(&row.model) {
            return;
        }
        let used = row.used.min(COUNT_MAX);
        self.uses = self.uses.max(used);
        self.by_use.insert((used, row.model.clone()));
        let output_max = TOKENS_MAX << OUTPUT_BITS;
        let learnt = Learnt {
            used,
            epochs: row.epochs.min(COUNT_MAX),
            prompt: Average::bounded(row.prompt_mean, row.prompt_deviation, RATIO_MAX),
            output: Average::bounded(row.output_mean, row.output_deviation, output_max),
            stored: true,
            ..Learnt::default()
        };
        self.models.insert(row.model, learnt);
        self.forget();
    }

    fn forget(&mut self) {
        while self.models.len() > MODELS_LEN_MAX
            && let Some((_, model)) = self.by_use.pop_first()
        {
            let stored = self
                .models
                .remove(&model)
                .is_some_and(|learnt| learnt.stored);
            self.marks.remove(&model, stored);
        }
    }
}

impl Learnt {
    /// What is believed of prompts and outputs.
    fn averages(&self) -> (Average, Average) {
        let enough = self.samples >= SAMPLES_MIN || self.epochs == 0;
        let believed = |whole: Average, running: &Sum| {
            let running = running.average(self.samples);
            if enough && running.mean > whole.mean {
                running
            } else {
                whole
            }
        };
        (
            believed(self.prompt, &self.prompts),
            believed(self.output, &self.outputs),
        )
    }

    /// Adds one settlement. True if it ended an epoch.
    fn add(&mut self, ratio: u64, output: u64, now: Instant) -> bool {
        if self.samples == 0 {
            self.since = now;
        }
        let (prompt_mean, output_mean) = if self.epochs == 0 {
            (
                self.prompts.average(self.samples).mean,
                self.outputs.average(self.samples).mean,
            )
        } else {
            (self.prompt.mean, self.output.mean)
        };
        self.samples = self.samples.saturating_add(1);
        self.prompts.add(ratio, prompt_mean);
        self.outputs.add(output, output_mean);
        if self.samples < SAMPLES_MIN || now.saturating_since(self.since) < WINDOW {
            return false;
        }
        let first = self.epochs == 0;
        self.epochs = self.epochs.saturating_add(1).min(COUNT_MAX);
        let prompts = std::mem::take(&mut self.prompts).average(self.samples);
        let outputs = std::mem::take(&mut self.outputs).average(self.samples);
        self.samples = 0;
        self.prompt = if first {
            prompts
        } else {
            self.prompt.middle(prompts)
        };
        self.output = if first {
            outputs
        } else {
            self.output.middle(outputs)
        };
        true
    }

    const fn row(&self, model: String) -> ModelRow {
        ModelRow {
            model,
            used: self.used,
            epochs: self.epochs,
            prompt_mean: self.prompt.mean,
            prompt_deviation: self.prompt.deviation,
            output_mean: self.output.mean,
            output_deviation: self.output.deviation,
        }
    }
}

impl Sum {
    /// Adds a value, against the mean that was believed before it.
    fn add(&mut self, value: u64, mean: u64) {
        self.values = self.values.saturating_add(value);
        self.deviations = self.deviations.saturating_add(value.abs_diff(mean));
    }

    fn average(&self, samples: u64) -> Average {
        let mean = |sum: u64| sum.checked_div(samples).unwrap_or(0);
        Average {
            mean: mean(self.values),
            deviation: mean(self.deviations),
        }
    }
}

impl Average {
    fn bounded(mean: u64, deviation: u64, max: u64) -> Self {
        Self {
            mean: mean.min(max),
            deviation: deviation.min(max),
        }
    }

    const fn middle(self, other: Self) -> Self {
        Self {
            mean: self.mean.midpoint(other.mean),
            deviation: self.deviation.midpoint(other.deviation),
        }
    }

    const fn with_margin(self) -> u64 {
        self.mean
            .saturating_add(self.deviation.saturating_mul(MARGIN))
    }
}

#[cfg(test)]
mod tests;
