//! 负载：谁何时发请求，请求多大，要答多久。
//!
//! Owns the clients of a scenario: the arrivals of each app, the sizes of its requests, what the
//! client says about them beforehand and what they really cost.

use core::f64::consts::TAU;
use core::time::Duration;

use super::chance::Chance;

/// When requests of an app arrive.
#[derive(Clone, Copy, Debug)]
pub enum Arrivals {
    /// So many clients; each sends its next request when it has its answer, and some think time
    /// later. Their first requests are spread over `ramp`, and their second ones come after it: so
    /// as many clients as the limit lets through in `ramp` leave an even pattern, and no wave that
    /// a measurement could catch one time more or less.
    Closed {
        /// Clients.
        clients: usize,
        /// Mean of the exponential think time.
        think: Duration,
        /// Time over which they start.
        ramp: Duration,
    },
    /// A Poisson process.
    Poisson {
        /// Mean requests per minute.
        per_minute: f64,
    },
    /// A Poisson process whose rate swings between two values, from the low one on.
    Diurnal {
        /// Requests per minute at night.
        low: f64,
        /// Requests per minute at noon.
        high: f64,
        /// Length of a day.
        day: Duration,
    },
    /// Many at the same moment, again and again.
    Bursts {
        /// Requests of one burst.
        size: usize,
        /// Time from one to the next.
        every: Duration,
    },
}

/// How big requests are.
#[derive(Clone, Copy, Debug)]
pub enum Sizes {
    /// What the client says beforehand is what it costs: four bytes make a token, and the output
    /// is exactly as long as the client bounds it.
    Exact {
        /// Fewest prompt tokens.
        prompt_min: u64,
        /// Most prompt tokens.
        prompt_max: u64,
        /// Output tokens of every request.
        output: u64,
    },
    /// Log-normal lengths, and a share of bytes per token that differs from text to text.
    LogNormal {
        /// Median of the prompt tokens.
        prompt: f64,
        /// Deviation of their logarithm.
        prompt_sigma: f64,
        /// Median of the output tokens.
        output: f64,
        /// Deviation of their logarithm.
        output_sigma: f64,
        /// Output tokens that the client allows.
        output_max: Option<u64>,
        /// Median of the bytes of one prompt token.
        token_bytes: f64,
        /// Deviation of its logarithm.
        token_bytes_sigma: f64,
    },
}

/// How long an answer takes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Shortest time to the response headers.
    pub first: Duration,
    /// Mean of the random time beyond it.
    pub first_jitter: Duration,
    /// Time for each output token.
    pub token: Duration,
}

/// One app: a name, a model, and what it sends.
#[derive(Clone, Debug)]
pub struct App {
    /// Its name in the table; apps of one name are one row.
    pub name: &'static str,
    /// The model that it asks for.
    pub model: &'static str,
    /// When.
    pub arrivals: Arrivals,
    /// How big.
    pub sizes: Sizes,
    /// How long an answer takes.
    pub pace: Pace,
}

/// What one request is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Bytes of its body.
    pub prompt_bytes: u64,
    /// Tokens of its prompt.
    pub prompt: u64,
    /// Tokens of its answer.
    pub output: u64,
    /// Output tokens that the client allows.
    pub output_max: Option<u64>,
}

impl Size {
    /// What it really costs.
    pub const fn tokens(&self) -> u64 {
        self.prompt + self.output
    }
}

impl Sizes {
    /// One request.
    pub fn draw(&self, chance: &mut Chance) -> Size {
        match *self {
            Self::Exact {
                prompt_min,
                prompt_max,
                output,
            } => {
                let prompt = chance.among(prompt_min, prompt_max);
                Size {
                    prompt_bytes: prompt * 4,
                    prompt,
                    output,
                    output_max: Some(output),
                }
            }
            Self::LogNormal {
                prompt,
                prompt_sigma,
                output,
                output_sigma,
                output_max,
                token_bytes,
                token_bytes_sigma,
            } => {
                let prompt = chance.log_normal(prompt, prompt_sigma).max(8.0);
                let bytes = prompt * chance.log_normal(token_bytes, token_bytes_sigma);
                let output = chance.log_normal(output, output_sigma).max(1.0) as u64;
                Size {
                    prompt_bytes: bytes as u64,
                    prompt: prompt as u64,
                    output: output.min(output_max.unwrap_or(u64::MAX)),
                    output_max,
                }
            }
        }
    }
}

impl Pace {
    /// Time to the headers of one answer.
    pub fn headers(&self, chance: &mut Chance) -> Duration {
        self.first + chance.exponential(self.first_jitter)
    }

    /// Time from the headers to the end.
    pub fn body(&self, output: u64) -> Duration {
        self.token * output as u32
    }
}

impl Arrivals {
    /// The first arrivals: when, and of which client.
    pub fn start(&self, chance: &mut Chance) -> Vec<(Duration, usize)> {
        match *self {
            Self::Closed { clients, ramp, .. } => (0..clients)
                .map(|client| (ramp.mul_f64(chance.unit()), client))
                .collect(),
            Self::Bursts { size, .. } => (0..size).map(|client| (Duration::ZERO, client)).collect(),
            Self::Poisson { .. } | Self::Diurnal { .. } => {
                vec![(self.next_random(Duration::ZERO, chance), 0)]
            }
        }
    }

    /// When the client of an arrival at `now` arrives again regardless of its answer.
    pub fn next(&self, now: Duration, chance: &mut Chance) -> Option<Duration> {
        match *self {
            Self::Closed { .. } => None,
            Self::Bursts { every, .. } => Some(now + every),
            Self::Poisson { .. } | Self::Diurnal { .. } => Some(self.next_random(now, chance)),
        }
    }

    /// When a client that was answered at `now` sends again.
    pub fn after_answer(&self, now: Duration, chance: &mut Chance) -> Option<Duration> {
        match *self {
            Self::Closed { think, ramp, .. } => Some(now.max(ramp) + chance.exponential(think)),
            _ => None,
        }
    }

    /// The next event of a Poisson process, thinned where the rate swings.
    fn next_random(&self, now: Duration, chance: &mut Chance) -> Duration {
        let (peak, rate): (f64, Box<dyn Fn(Duration) -> f64>) = match *self {
            Self::Diurnal { low, high, day } => (
                high,
                Box::new(move |at: Duration| {
                    let phase = at.as_secs_f64() / day.as_secs_f64() * TAU;
                    low + (high - low) * (1.0 - phase.cos()) / 2.0
                }),
            ),
            Self::Poisson { per_minute } => (per_minute, Box::new(move |_| per_minute)),
            Self::Closed { .. } | Self::Bursts { .. } => return now,
        };
        let mean = super::WINDOW.div_f64(peak);
        let mut at = now;
        loop {
            at += chance.exponential(mean);
            if chance.happens(rate(at) / peak) {
                return at;
            }
        }
    }
}
