//! 时间范围：预设与自定义，以及统计接口要的整点。
//!
//! Owns which stretch of time a page shows: a preset that ends now, or two instants. Written to and read from
//! the query of the URL. Knows no clock: now is an argument, in milliseconds since 1970.
//!
//! Invariant: a range begins before it ends.

use admission::time::Instant;
use gateway::admin_api::{parse_rfc3339, rfc3339};

use crate::query::Query;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Above this hours are too many to be told apart, and by hour the API answers 31 days at most.
const BY_HOUR_MS_MAX: u64 = 8 * DAY_MS;

/// A stretch of time up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// One hour.
    Hour,
    /// 24 hours.
    Day,
    /// Seven days.
    Week,
    /// Thirty days.
    Month,
}

impl Preset {
    /// All, shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Its name in the query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    const fn milliseconds(self) -> u64 {
        match self {
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
            Self::Week => 7 * DAY_MS,
            Self::Month => 30 * DAY_MS,
        }
    }
}

/// What somebody chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Up to now.
    Preset(Preset),
    /// From one instant to another, in milliseconds.
    Custom {
        /// Included.
        from_ms: u64,
        /// Not included.
        to_ms: u64,
    },
}

/// Two instants, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Included.
    pub from_ms: u64,
    /// Not included.
    pub to_ms: u64,
}

/// How long a bucket of statistics is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One hour.
    Hour,
    /// One day, in UTC.
    Day,
}

impl Step {
    /// Its name for the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Its length.
    #[must_use]
    pub const fn milliseconds(self) -> u64 {
        match self {
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
        }
    }
}

impl Range {
    /// What a query says: `range=7d`, or `from` and `to`; else `fallback`.
    #[must_use]
    pub fn of_query(query: &Query, fallback: Preset) -> Self {
        let instant = |name| {
            query
                .get(name)
                .and_then(parse_rfc3339)
                .map(Instant::as_millis)
        };
        if let (Some(from_ms), Some(to_ms)) = (instant("from"), instant("to"))
            && from_ms < to_ms
        {
            return Self::Custom { from_ms, to_ms };
        }
        let named = Preset::ALL
            .into_iter()
            .find(|preset| Some(preset.name()) == query.get("range"));
        Self::Preset(named.unwrap_or(fallback))
    }

    /// What the query has to say for it: `range`, `from` and `to`.
    #[must_use]
    pub fn params(self) -> [(&'static str, Option<String>); 3] {
        let (range, from, to) = match self {
            Self::Preset(preset) => (Some(preset.name().to_owned()), None, None),
            Self::Custom { from_ms, to_ms } => (None, Some(time(from_ms)), Some(time(to_ms))),
        };
        [("range", range), ("from", from), ("to", to)]
    }

    /// The instants that it means now.
    #[must_use]
    pub fn bounds(self, now_ms: u64) -> Bounds {
        match self {
            Self::Preset(preset) => Bounds {
                from_ms: now_ms.saturating_sub(preset.milliseconds()),
                to_ms: now_ms.max(1),
            },
            Self::Custom { from_ms, to_ms } => Bounds { from_ms, to_ms },
        }
    }
}

impl Bounds {
    /// By hour or by day: as fine as a chart can show.
    #[must_use]
    pub const fn step(self) -> Step {
        if self.to_ms.saturating_sub(self.from_ms) > BY_HOUR_MS_MAX {
            Step::Day
        } else {
            Step::Hour
        }
    }

    /// The smallest range of whole steps around it, as statistics want it.
    #[must_use]
    pub fn aligned(self) -> Self {
        let step = self.step().milliseconds();
        let past = self.from_ms.checked_rem(step).unwrap_or(0);
        let over = self.to_ms.checked_rem(step).unwrap_or(0);
        let missing = if over == 0 {
            0
        } else {
            step.saturating_sub(over)
        };
        Self {
            from_ms: self.from_ms.saturating_sub(past),
            to_ms: self.to_ms.saturating_add(missing),
        }
    }

    /// `from=…&to=…`, for a URL of the API.
    #[must_use]
    pub fn url_text(self) -> String {
        format!("from={}&to={}", time(self.from_ms), time(self.to_ms))
    }
}

/// An instant as the API writes it.
#[must_use]
pub fn time(milliseconds: u64) -> String {
    rfc3339(Instant::from_millis(milliseconds))
}

/// The milliseconds of an instant of the API.
#[must_use]
pub fn milliseconds(time: &str) -> Option<u64> {
    parse_rfc3339(time).map(Instant::as_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_446_123_456;

    #[test]
    fn a_range_survives_the_query() {
        let ranges = [
            Range::Preset(Preset::Week),
            Range::Custom {
                from_ms: NOW - 5_000,
                to_ms: NOW,
            },
        ];
        for range in ranges {
            let query = range
                .params()
                .iter()
                .fold(Query::default(), |query, (name, value)| {
                    query.with(name, value.as_deref())
                });
            assert_eq!(
                Range::of_query(&Query::parse(&query.to_text()), Preset::Hour),
                range
            );
        }
    }

    #[test]
    fn what_cannot_be_understood_is_the_fallback() {
        for text in [
            "",
            "?range=2y",
            "?from=x&to=y",
            "?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            "?from=2026-01-02T00:00:00Z",
        ] {
            assert_eq!(
                Range::of_query(&Query::parse(text), Preset::Day),
                Range::Preset(Preset::Day),
                "{text}"
            );
        }
    }

    #[test]
    fn statistics_get_whole_hours_for_a_week_and_whole_days_for_a_month() {
        let week = Range::Preset(Preset::Week).bounds(NOW);
        assert_eq!(week.step(), Step::Hour);
        assert_eq!(
            (
                week.aligned().from_ms % HOUR_MS,
                week.aligned().to_ms % HOUR_MS
            ),
            (0, 0)
        );
        assert!(week.aligned().from_ms <= week.from_ms && week.aligned().to_ms >= NOW);
        assert!(week.aligned().to_ms - NOW < HOUR_MS);
        let month = Range::Preset(Preset::Month).bounds(NOW);
        assert_eq!(month.step(), Step::Day);
        assert_eq!(month.aligned().to_ms % DAY_MS, 0);
        assert_eq!(month.aligned().aligned(), month.aligned());
    }
}
