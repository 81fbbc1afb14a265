//! 方案：负载、限额、地区，以及怎样把工作分到调用与对象上。
//!
//! Owns the list of runs and the reason for each number in them. Decides nothing about what a run must
//! show: that is the judge's.
//!
//! Invariant: the tenth of a run has the same load and the same ratios as the whole.

use core::time::Duration;

use admission::protocol::Limits;

use crate::simulation::network::Way;

/// One place where isolates run.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Its column in the table: the way there and back without waiting, to the object.
    pub name: &'static str,
    /// One way to the object and to the provider, which stand near each other.
    pub way_ms: u64,
    /// Its share of the requests, in percent.
    pub share: u64,
}

/// From the object's own location to the other side of the world.
pub const REGIONS: [Region; 5] = [
    region("2 ms", 1, 35),
    region("30 ms", 15, 25),
    region("70 ms", 35, 20),
    region("110 ms", 55, 12),
    region("150 ms", 75, 8),
];

const fn region(name: &'static str, way_ms: u64, share: u64) -> Region {
    Region {
        name,
        way_ms,
        share,
    }
}

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As the platform is said to be.
    Whole,
    /// A tenth of the rates and limits before objects that are ten times slower.
    Tenth,
}

impl Size {
    const fn divisor(self) -> u64 {
        match self {
            Self::Whole => 1,
            Self::Tenth => 10,
        }
    }
}

/// Which object a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Any of them, drawn for each request.
    Random,
    /// Always that of its region, as somebody would have it who wants short ways.
    Region,
}

/// How permits are granted ahead.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// For how long one may be kept; then it goes back.
    pub kept: Duration,
    /// So many are wanted as requests were seen in this time,
    pub seen: Duration,
    /// if they were at least so many.
    pub least: u64,
    /// Most of them with one answer.
    pub most: u64,
    /// This part of every limit must be free.
    pub free: f64,
}

impl Ahead {
    /// For any traffic: a request in half a second is enough.
    const WIDE: Self = Self {
        kept: Duration::from_secs(1),
        seen: Duration::from_millis(500),
        least: 1,
        most: 64,
        free: 0.3,
    };

    /// For dense traffic of one isolate only, and for a moment.
    const DENSE: Self = Self {
        kept: Duration::from_millis(100),
        seen: Duration::from_millis(40),
        least: 8,
        most: 64,
        free: 0.5,
    };
}

/// What a run is there to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The objects carry it.
    Carried,
    /// It is more than an object carries.
    Overloaded,
}

/// One run, up to its seed and length.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its row in the table.
    pub name: &'static str,
    /// Requests per second that clients make, a Poisson process.
    pub rate: f64,
    /// The server's limits.
    pub limits: Limits,
    /// Prompt tokens, fewest and most; what a client says beforehand is what it costs.
    pub prompt: (u64, u64),
    /// Objects that share the limits.
    pub shards: u64,
    /// Which of them a request goes to.
    pub spread: Spread,
    /// How permits are granted ahead, if they are.
    pub ahead: Option<Ahead>,
    /// For how long settlements wait in their isolate for more of them.
    pub settle_after: Duration,
    /// Isolates of all regions together.
    pub isolates: u64,
    /// By how many percent the shares add up to more than the limit: a mistake, for the judge's test.
    pub overshare: u64,
    /// What it is there to show.
    pub expect: Expect,
    /// What one call costs the object.
    pub call_cost: Duration,
    /// What each permit, settlement or report in a call costs it besides.
    pub item_cost: Duration,
}

/// Output tokens of each request.
pub(super) const OUTPUT: u64 = 100;

/// One object takes about 1,000 calls a second: Cloudflare's soft limit. All that a call costs by
/// itself is taken to be the call.
const CALL: Duration = Duration::from_micros(950);

/// The core's step and the journal's row: assumed, a twentieth of a call.
const ITEM: Duration = Duration::from_micros(50);

/// Until then a call waits for a busy object; then the platform is taken to call it overloaded.
pub(super) const OVERLOADED_AFTER: Duration = Duration::from_secs(5);

/// Random part of a way. With the writes and what a Worker need not report, the ways from grant to
/// arrival differ by at most 244 ms: within the core's guard.
pub(super) const JITTER: Way = Way {
    base: Duration::ZERO,
    step: Duration::ZERO,
    jitter: Duration::from_millis(2),
    jitter_max: Duration::from_millis(10),
};

/// How long a write of the object takes.
pub(super) const WRITE: Way = Way {
    base: Duration::from_millis(2),
    step: Duration::ZERO,
    jitter: Duration::from_millis(2),
    jitter_max: Duration::from_millis(12),
};

/// How late the object's timer fires.
pub(super) const TIMER: Way = Way {
    base: Duration::ZERO,
    step: Duration::ZERO,
    jitter: Duration::from_micros(1_500),
    jitter_max: Duration::from_millis(15),
};

impl Plan {
    /// All runs, in the order of the table.
    pub fn all(size: Size) -> Vec<Self> {
        let plans = [
            Self::new("one object, 400/s", 400.0, 48_000),
            Self::new("one object, 800/s", 800.0, 96_000).too_much(),
            Self::new("endings gathered, 800/s", 800.0, 96_000).gathered(),
            Self::new("endings gathered, 1,500/s", 1_500.0, 180_000)
                .gathered()
                .too_much(),
            Self::new("ahead, 1,500/s of 3,000", 1_500.0, 180_000).ahead(),
            Self::new("ahead, 3,000/s of 6,000", 3_000.0, 360_000)
                .ahead()
                .too_much(),
            Self::new("ahead, 1,500/s of 1,200", 1_500.0, 72_000)
                .ahead()
                .too_much(),
            Self::new("ahead if dense, 60 isolates, 800/s", 800.0, 120_000)
                .dense(60)
                .too_much(),
            Self::new("ahead if dense, 5 isolates, 900/s", 900.0, 144_000).dense(5),
            Self::new("4 objects, 1,500/s of 1,200", 1_500.0, 72_000).split(4),
            Self::new("4 objects by region, the same", 1_500.0, 72_000)
                .split(4)
                .by_region(),
            Self::new("4 objects, TPM, mixed sizes", 1_500.0, 180_000)
                .split(4)
                .tokens(),
            Self::new("16 objects, 5,000/s of 4,000", 5_000.0, 240_000).split(16),
            Self::new("16 and ahead, 5,000/s of 10,000", 5_000.0, 600_000)
                .split(16)
                .ahead(),
        ];
        plans.into_iter().map(|plan| plan.scaled(size)).collect()
    }

    /// Its share of the limits that one object keeps.
    pub fn share(&self) -> Limits {
        let part = |limit: Option<u64>| {
            limit.map(|limit| limit / self.shards * (100 + self.overshare) / 100)
        };
        Limits {
            rpm: part(self.limits.rpm),
            tpm: part(self.limits.tpm),
            queue_max: self.limits.queue_max / self.shards,
            ..self.limits
        }
    }

    /// Tokens of a request on average.
    pub fn mean_tokens(&self) -> u64 {
        u64::midpoint(self.prompt.0, self.prompt.1) + OUTPUT
    }

    fn new(name: &'static str, rate: f64, rpm: u64) -> Self {
        Self {
            name,
            rate,
            limits: Limits {
                version: 1,
                rpm: Some(rpm),
                // A second or two of requests: a queue that says how far demand is beyond the limit.
                queue_max: 1_600,
                ..Limits::default()
            },
            prompt: (400, 400),
            shards: 1,
            spread: Spread::Random,
            ahead: None,
            settle_after: Duration::from_millis(20),
            isolates: 60,
            overshare: 0,
            expect: Expect::Carried,
            call_cost: CALL,
            item_cost: ITEM,
        }
    }

    fn too_much(self) -> Self {
        Self {
            expect: Expect::Overloaded,
            ..self
        }
    }

    /// Nobody waits for an ending, so it may wait for others.
    fn gathered(self) -> Self {
        Self {
            settle_after: Duration::from_millis(500),
            ..self
        }
    }

    fn ahead(self) -> Self {
        Self {
            ahead: Some(Ahead::WIDE),
            ..self.gathered()
        }
    }

    /// One isolate in each region, with permits ahead for dense traffic.
    fn dense(self, isolates: u64) -> Self {
        Self {
            ahead: Some(Ahead::DENSE),
            isolates,
            ..self
        }
    }

    fn split(self, shards: u64) -> Self {
        Self { shards, ..self }
    }

    fn by_region(self) -> Self {
        Self {
            spread: Spread::Region,
            ..self
        }
    }

    /// Tokens bind instead of requests: 450 on average, 80 % of what is asked for.
    fn tokens(mut self) -> Self {
        self.limits.tpm = Some(72_000 * 450);
        self.limits.rpm = None;
        self.prompt = (50, 650);
        self
    }

    fn scaled(mut self, size: Size) -> Self {
        let divisor = size.divisor();
        self.rate /= divisor as f64;
        self.limits.rpm = self.limits.rpm.map(|limit| limit / divisor);
        self.limits.tpm = self.limits.tpm.map(|limit| limit / divisor);
        self.limits.queue_max /= divisor;
        if self.isolates > 10 {
            self.isolates /= divisor;
        } else if let Some(ahead) = &mut self.ahead {
            // As many isolates with a tenth of the traffic each: as dense in ten times the time.
            ahead.seen *= divisor as u32;
            ahead.kept *= divisor as u32;
            self.settle_after *= divisor as u32;
        }
        self.call_cost *= divisor as u32;
        self.item_cost *= divisor as u32;
        self
    }
}
