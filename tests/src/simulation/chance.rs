//! 随机分布：由一个种子决定。
//!
//! Owns the distributions that a run draws from: uniform, exponential, normal, log-normal. All of
//! them come from one generator, so a seed is a run.

use core::f64::consts::TAU;
use core::time::Duration;

use crate::harness::random::Random;

/// Draws from distributions.
#[derive(Debug)]
pub struct Chance {
    random: Random,
}

impl Chance {
    /// The draws of this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
        }
    }

    /// Uniform in [0, 1): the upper 53 bits, which is what a double can hold.
    pub fn unit(&mut self) -> f64 {
        (self.random.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform among the whole numbers from `low` to `high`, both included.
    pub fn among(&mut self, low: u64, high: u64) -> u64 {
        low + self.random.bits() % (high - low + 1)
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Exponential: the time to the next event of a process without memory.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }

    /// Log-normal with this median; `sigma` is the deviation of its logarithm.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    /// Normal with mean 0 and deviation 1 (Box–Muller, one of the pair).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}
