//! 参照模型的估算：按公式直写。
//!
//! The estimates of the reference model: the formula as it stands in the documentation.

use super::{Demand, Model, count};
use crate::protocol::Settle;

/// Mean and mean deviation of one figure.
#[derive(Clone, Copy, Default)]
struct Average {
    mean: u64,
    deviation: u64,
}

/// Figures of one epoch, each with its deviation.
type Figures = Vec<(u64, u64)>;

#[derive(Clone, Default)]
struct Learnt {
    model: String,
    epochs: u64,
    prompt: Average,
    output: Average,
    since: u64,
    prompts: Figures,
    outputs: Figures,
}

#[derive(Clone, Default)]
pub(super) struct Usage {
    learnt: Vec<Learnt>,
}

fn average(figures: &Figures) -> Average {
    let many = count(figures).max(1);
    Average {
        mean: figures.iter().map(|figure| figure.0).sum::<u64>() / many,
        deviation: figures.iter().map(|figure| figure.1).sum::<u64>() / many,
    }
}

/// Notes a value with its deviation from what was believed before it.
fn add(figures: &mut Figures, value: u64, epochs: u64, whole: Average) {
    let mean = if epochs == 0 {
        average(figures).mean
    } else {
        whole.mean
    };
    figures.push((value, value.abs_diff(mean)));
}

/// What is believed after an epoch.
fn fold(figures: &mut Figures, epochs: u64, whole: Average) -> Average {
    let epoch = average(figures);
    figures.clear();
    if epochs == 0 {
        return epoch;
    }
    Average {
        mean: u64::midpoint(whole.mean, epoch.mean),
        deviation: u64::midpoint(whole.deviation, epoch.deviation),
    }
}

impl Average {
    fn conservative(self) -> u64 {
        self.mean + self.deviation * 4
    }
}

impl Learnt {
    fn believed(&self, figures: &Figures, whole: Average) -> Average {
        let running = average(figures);
        let enough = figures.len() >= 16 || self.epochs == 0;
        if enough && running.mean > whole.mean {
            running
        } else {
            whole
        }
    }
}

impl Usage {
    pub(super) fn models(&self) -> u64 {
        count(&self.learnt)
    }

    pub(super) fn learn(&mut self, demand: &Demand, settle: &Settle, now: u64) {
        let (Some(prompt), Some(output)) = (settle.prompt_tokens, settle.completion_tokens) else {
            return;
        };
        if !self.learnt.iter().any(|l| l.model == demand.model) {
            self.learnt.push(Learnt {
                model: demand.model.clone(),
                ..Learnt::default()
            });
        }
        let mut learnt = self.learnt.iter_mut();
        let learnt = learnt.find(|l| l.model == demand.model).unwrap();
        if learnt.prompts.is_empty() {
            learnt.since = now;
        }
        let ratio = (prompt * 65_536).checked_div(demand.bytes).unwrap_or(0);
        let ratio = ratio.min(256 * 65_536);
        let epochs = learnt.epochs;
        add(&mut learnt.prompts, ratio, epochs, learnt.prompt);
        add(&mut learnt.outputs, output * 256, epochs, learnt.output);
        if learnt.prompts.len() >= 16 && now - learnt.since >= 60_000 {
            learnt.prompt = fold(&mut learnt.prompts, epochs, learnt.prompt);
            learnt.output = fold(&mut learnt.outputs, epochs, learnt.output);
            learnt.epochs += 1;
        }
    }

    /// Only whole epochs are written.
    pub(super) fn crash(&mut self) {
        self.learnt.retain(|learnt| learnt.epochs > 0);
        for learnt in &mut self.learnt {
            learnt.prompts.clear();
            learnt.outputs.clear();
        }
    }
}

impl Model {
    pub(super) fn tokens(&self, demand: &Demand) -> u64 {
        let mut prompt = demand.bytes.div_ceil(4);
        let mut output = 1_024;
        let mut learnt = self.usage.learnt.iter();
        if let Some(learnt) = learnt.find(|l| l.model == demand.model) {
            let ratio = learnt.believed(&learnt.prompts, learnt.prompt);
            let ratio = ratio.conservative().min(256 * 65_536);
            let own_prompt = demand.bytes * ratio / 65_536;
            let own_output = learnt.believed(&learnt.outputs, learnt.output);
            let own_output = own_output.conservative() / 256;
            if learnt.epochs > 0 {
                (prompt, output) = (own_prompt, own_output);
            } else {
                (prompt, output) = (prompt.max(own_prompt), output.max(own_output));
            }
        }
        prompt + output.min(demand.output_max.unwrap_or(u64::MAX))
    }
}
