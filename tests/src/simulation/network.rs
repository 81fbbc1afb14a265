//! 网络：每段路的时延分布。
//!
//! Owns how long a message is under way. A delay is a fixed distance, which differs between Worker
//! isolates, plus an exponential part that is cut off; so the spread of a way is bounded, and a
//! scenario can say on which side of the core's guard it lies.

use core::time::Duration;

use super::chance::Chance;

/// The delays of one way.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Shortest delay.
    pub base: Duration,
    /// How much farther each further isolate is.
    pub step: Duration,
    /// Mean of the random part.
    pub jitter: Duration,
    /// Greatest random part.
    pub jitter_max: Duration,
}

/// The ways of a run.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Isolates that clients are spread over.
    pub isolates: usize,
    /// Between isolate and object, each direction.
    pub object: Way,
    /// Between isolate and provider, each direction.
    pub provider: Way,
    /// How late the object's timer fires.
    pub timer: Way,
    /// How long a durable write takes; answers of the object wait for it.
    pub write: Way,
}

impl Way {
    /// One delay of this isolate.
    pub fn draw(&self, isolate: usize, chance: &mut Chance) -> Duration {
        let random = chance.exponential(self.jitter).min(self.jitter_max);
        self.base + self.step * isolate as u32 + random
    }

    /// Difference between the longest and the shortest delay.
    pub fn spread(&self, isolates: usize) -> Duration {
        self.step * isolates.saturating_sub(1) as u32 + self.jitter_max
    }
}

impl Network {
    /// Six isolates between 1 and 41 ms from the object: one location and its neighbours.
    pub fn near() -> Self {
        Self {
            isolates: 6,
            object: way(1_000, 8_000, 3_000, 50_000),
            provider: way(8_000, 4_000, 6_000, 80_000),
            timer: way(0, 0, 1_500, 15_000),
            write: way(500, 0, 2_000, 20_000),
        }
    }

    /// One isolate close by: what is under way for the longest has, with the 100 ms for which a permit granted
    /// ahead may be used, still less spread than the guard.
    pub fn one() -> Self {
        Self {
            isolates: 1,
            object: way(1_000, 0, 1_000, 20_000),
            provider: way(5_000, 0, 3_000, 30_000),
            ..Self::near()
        }
    }

    /// Six isolates on two continents whose delays differ by far more than the core's guard.
    pub fn far() -> Self {
        Self {
            object: way(1_000, 30_000, 100_000, 1_000_000),
            provider: way(8_000, 30_000, 300_000, 2_000_000),
            ..Self::near()
        }
    }

    /// Greatest difference between two delays from a grant to the arrival at the provider: the
    /// answer may wait for a write, then travels to the isolate, then on.
    pub fn spread(&self) -> Duration {
        self.write.base
            + self.write.jitter_max
            + self.object.spread(self.isolates)
            + self.provider.spread(self.isolates)
    }
}

const fn way(base: u64, step: u64, jitter: u64, jitter_max: u64) -> Way {
    Way {
        base: Duration::from_micros(base),
        step: Duration::from_micros(step),
        jitter: Duration::from_micros(jitter),
        jitter_max: Duration::from_micros(jitter_max),
    }
}
