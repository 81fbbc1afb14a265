//! 场景：负载、限额、网络、上游与故障的组合。
//!
//! Owns the list of runs, and the reason for each number in them. Decides nothing about what a
//! run must show: that is the test's.

use core::time::Duration;

use admission::protocol::Limits;

use super::WINDOW;
use super::network::Network;
use super::provider::Rule;
use super::workload::{App, Arrivals, Pace, Sizes};

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Share of requests whose client leaves if it has no answer yet.
    pub leave: f64,
    /// Mean of the exponential patience of those.
    pub leave_after: Duration,
    /// Share of answers that are never settled: their isolate died.
    pub unsettled: f64,
    /// When the object dies.
    pub crashes: Crashes,
}

/// When the object dies.
#[derive(Clone, Copy, Debug, Default)]
pub enum Crashes {
    /// Never.
    #[default]
    Never,
    /// At random, after an exponential time with this mean.
    Random(Duration),
    /// Somewhere within the first `within` of every such period.
    Periodic {
        /// From one to the next.
        every: Duration,
        /// The part of the period in which it happens.
        within: Duration,
    },
}

/// One run, up to its seed and length.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its row in the table.
    pub name: &'static str,
    /// The server's limits as they are configured.
    pub limits: Limits,
    /// Who sends what.
    pub apps: Vec<App>,
    /// How long messages are under way.
    pub network: Network,
    /// What the provider does on its own account.
    pub provider: Rule,
    /// What goes wrong.
    pub faults: Faults,
}

/// Requests per minute in most runs: ten a second, one for each bucket of the core's window.
const RPM: u64 = 600;

/// Requests per minute where traffic is dense: 200 a second, from one isolate.
const DENSE_RPM: u64 = 12_000;

/// Tokens of the requests whose size is always the same.
const TOKENS: u64 = 500;

impl Scenario {
    /// The requests per minute that can be served at all: the configured limit or the provider's.
    pub fn rpm(&self) -> Option<u64> {
        let own = match self.provider {
            Rule::None => None,
            Rule::Sliding { requests } => Some(requests),
            Rule::Bucket { per_minute, .. } => Some(per_minute),
        };
        own.into_iter().chain(self.limits.rpm).min()
    }

    /// All runs, in the order of the table.
    pub fn all() -> Vec<Self> {
        vec![
            exact(),
            exact_mixed(),
            dense(),
            chat(),
            long_answers(),
            bursts(),
            poisson("Poisson, 50 % load", 0.5),
            poisson("Poisson, 90 % load", 0.9),
            poisson("Poisson, 110 % load", 1.1),
            diurnal(),
            greedy(),
            slow(),
            stricter(
                "provider at half, window",
                Rule::Sliding { requests: RPM / 2 },
            ),
            stricter(
                "provider at half, bucket",
                Rule::Bucket {
                    per_minute: RPM / 2,
                    capacity: 10,
                },
            ),
            two_hundred("200 at once, half, window", Rule::Sliding { requests: 30 }),
            two_hundred(
                "200 at once, half, bucket",
                Rule::Bucket {
                    per_minute: 30,
                    capacity: 5,
                },
            ),
            restarts("restarts, bursts", 7, bursts()),
            restarts_in_mid_burst(),
            restarts("restarts, chat", 45, chat()),
            restarts("restarts, 20 slots", 45, slow()),
            restarts("dense, restarts", 7, dense()),
            vanishing(),
            beyond_the_guard(),
            beyond_what_is_learnt(),
        ]
    }

    fn new(name: &'static str, limits: Limits, apps: Vec<App>) -> Self {
        Self {
            name,
            limits,
            apps,
            network: Network::near(),
            provider: Rule::None,
            faults: Faults::default(),
        }
    }
}

/// Limits with a queue that holds everybody for a quarter of an hour, so that runs show the
/// limiter and not the length of the queue.
fn limits(rpm: Option<u64>, tpm: Option<u64>) -> Limits {
    Limits {
        version: 1,
        rpm,
        tpm,
        queue_max: 5_000,
        queue_timeout: Duration::from_mins(15),
        ..Limits::default()
    }
}

fn app(name: &'static str, arrivals: Arrivals) -> App {
    App {
        name,
        model: "small",
        arrivals,
        sizes: Sizes::Exact {
            prompt_min: TOKENS - 100,
            prompt_max: TOKENS - 100,
            output: 100,
        },
        pace: Pace {
            first: Duration::from_millis(200),
            first_jitter: Duration::from_millis(150),
            token: Duration::from_millis(10),
        },
    }
}

/// As many clients as the limit lets through in a minute: from then on most of them wait.
fn saturating(clients: usize) -> Arrivals {
    Arrivals::Closed {
        clients,
        think: Duration::from_millis(500),
        ramp: WINDOW,
    }
}

fn exact() -> Scenario {
    let limits = limits(Some(RPM), Some(RPM * TOKENS));
    Scenario::new(
        "saturation, exact",
        limits,
        vec![app("app", saturating(RPM as usize))],
    )
}

fn exact_mixed() -> Scenario {
    let sizes = Sizes::Exact {
        prompt_min: 50,
        prompt_max: 750,
        output: 100,
    };
    let apps = vec![App {
        sizes,
        ..app("app", saturating(RPM as usize))
    }];
    let limits = limits(None, Some(RPM * TOKENS));
    Scenario::new("saturation, exact, mixed sizes", limits, apps)
}

/// Traffic so dense that permits are granted ahead for as long as less than half of a limit is used, from
/// nothing to beyond the limits and back once a minute and a half.
fn dense() -> Scenario {
    let dense = |name, high| {
        let arrivals = Arrivals::Diurnal {
            low: 0.0,
            high,
            day: Duration::from_secs(90),
        };
        let sizes = Sizes::Exact {
            prompt_min: 50,
            prompt_max: 750,
            output: 100,
        };
        let pace = Pace {
            first: Duration::from_millis(20),
            first_jitter: Duration::from_millis(15),
            token: Duration::from_millis(1),
        };
        App {
            sizes,
            pace,
            ..app(name, arrivals)
        }
    };
    let limits = limits(Some(DENSE_RPM), Some(DENSE_RPM * TOKENS));
    let apps = vec![
        dense("app", DENSE_RPM as f64 * 1.5),
        dense("app", DENSE_RPM as f64 * 0.7),
    ];
    Scenario {
        network: Network::one(),
        ..Scenario::new("dense, 0 to 220 %", limits, apps)
    }
}

/// A chat as providers publish them: prompts several times as long as answers, both long-tailed.
/// Two models whose tokens have different lengths in bytes.
fn chat() -> Scenario {
    let model = |model, output, token_bytes| App {
        model,
        sizes: Sizes::LogNormal {
            prompt: 900.0,
            prompt_sigma: 0.8,
            output,
            output_sigma: 0.6,
            output_max: Some(2_048),
            token_bytes,
            token_bytes_sigma: 0.1,
        },
        ..app("app", saturating(600))
    };
    let apps = vec![model("small", 150.0, 4.2), model("large", 250.0, 3.1)];
    Scenario::new("saturation, chat", limits(None, Some(1_500_000)), apps)
}

/// The hard case: answers as long as the prompts, with a heavy tail, unbounded by the client, and
/// slow, so that much is reserved for long.
fn long_answers() -> Scenario {
    let apps = vec![App {
        sizes: Sizes::LogNormal {
            prompt: 600.0,
            prompt_sigma: 0.8,
            output: 500.0,
            output_sigma: 0.8,
            output_max: None,
            token_bytes: 3.8,
            token_bytes_sigma: 0.15,
        },
        ..app("app", saturating(800))
    }];
    Scenario::new(
        "saturation, long answers",
        limits(None, Some(1_000_000)),
        apps,
    )
}

fn bursts() -> Scenario {
    let arrivals = Arrivals::Bursts {
        size: 500,
        every: Duration::from_secs(55),
    };
    let limits = limits(Some(RPM), Some(RPM * TOKENS));
    Scenario::new("bursts of 500", limits, vec![app("app", arrivals)])
}

fn poisson(name: &'static str, load: f64) -> Scenario {
    let arrivals = Arrivals::Poisson {
        per_minute: RPM as f64 * load,
    };
    // The product's own queue: what does not fit in it is evicted.
    let limits = Limits {
        queue_max: 100,
        queue_timeout: Duration::from_mins(1),
        ..limits(Some(RPM), None)
    };
    Scenario::new(name, limits, vec![app("app", arrivals)])
}

fn diurnal() -> Scenario {
    let arrivals = Arrivals::Diurnal {
        low: RPM as f64 * 0.1,
        high: RPM as f64 * 1.5,
        day: Duration::from_mins(5),
    };
    Scenario::new(
        "diurnal, 10 to 150 %",
        limits(Some(RPM), None),
        vec![app("app", arrivals)],
    )
}

fn greedy() -> Scenario {
    let small = |name| app(name, Arrivals::Poisson { per_minute: 60.0 });
    let greedy = Arrivals::Bursts {
        size: 900,
        every: Duration::from_mins(3),
    };
    let apps = vec![
        app("greedy", greedy),
        small("small 1"),
        small("small 2"),
        small("small 3"),
    ];
    Scenario::new("one greedy app", limits(Some(RPM), None), apps)
}

fn slow() -> Scenario {
    let apps = vec![App {
        sizes: Sizes::LogNormal {
            prompt: 600.0,
            prompt_sigma: 0.5,
            output: 400.0,
            output_sigma: 0.5,
            output_max: Some(2_048),
            token_bytes: 4.0,
            token_bytes_sigma: 0.1,
        },
        pace: Pace {
            token: Duration::from_millis(30),
            ..app("app", saturating(1)).pace
        },
        ..app("app", saturating(60))
    }];
    let limits = Limits {
        concurrency: Some(20),
        ..limits(Some(RPM), None)
    };
    Scenario::new("slow provider, 20 slots", limits, apps)
}

fn stricter(name: &'static str, provider: Rule) -> Scenario {
    Scenario {
        provider,
        ..Scenario::new(
            name,
            limits(Some(RPM), None),
            vec![app("app", saturating(300))],
        )
    }
}

/// The goal that the issue states: 200 requests, half the limit, nobody sees a 429, and all of it
/// takes at most 10 % longer than the provider's own limit does.
fn two_hundred(name: &'static str, provider: Rule) -> Scenario {
    let once = Arrivals::Bursts {
        size: 200,
        every: Duration::from_hours(24),
    };
    Scenario {
        provider,
        ..Scenario::new(name, limits(Some(60), None), vec![app("app", once)])
    }
}

fn restarts(name: &'static str, seconds: u64, scenario: Scenario) -> Scenario {
    Scenario {
        name,
        faults: Faults {
            crashes: Crashes::Random(Duration::from_secs(seconds)),
            ..Faults::default()
        },
        ..scenario
    }
}

/// The object dies while it grants a burst that takes the whole window: what it forgets then is
/// exactly what would be granted twice.
fn restarts_in_mid_burst() -> Scenario {
    let burst = Arrivals::Bursts {
        size: 700,
        every: WINDOW,
    };
    let limits = limits(Some(RPM), Some(RPM * TOKENS));
    Scenario {
        faults: Faults {
            crashes: Crashes::Periodic {
                every: WINDOW,
                within: Duration::from_millis(60),
            },
            ..Faults::default()
        },
        ..Scenario::new("restarts, in mid-burst", limits, vec![app("app", burst)])
    }
}

fn vanishing() -> Scenario {
    let mut scenario = exact();
    scenario.limits.lease = Duration::from_mins(2);
    scenario.limits.concurrency = Some(100);
    Scenario {
        name: "vanishing clients",
        faults: Faults {
            leave: 0.3,
            leave_after: Duration::from_secs(15),
            unsettled: 0.02,
            crashes: Crashes::Never,
        },
        ..scenario
    }
}

/// Not a promise: what happens where the network breaks the assumption behind the guard.
fn beyond_the_guard() -> Scenario {
    Scenario {
        name: "beyond: delays over the guard",
        network: Network::far(),
        ..exact()
    }
}

/// Not a promise: a burst for a model of which nothing is learnt, whose answers nobody bounds and
/// which are longer than assumed.
fn beyond_what_is_learnt() -> Scenario {
    let burst = Arrivals::Bursts {
        size: 1_500,
        every: Duration::from_hours(24),
    };
    let mut scenario = long_answers();
    scenario.apps[0].arrivals = burst;
    Scenario {
        name: "beyond: burst, model unknown",
        ..scenario
    }
}
