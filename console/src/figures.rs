//! 数字的取舍：时长用哪两个单位，占比是多少。
//!
//! Owns the choices before a figure is written: which units tell a span of time, how full something is, and
//! how serious that is. The writing itself, by the rules of a language, is `intl`'s business.

/// A unit of time, as Intl names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 1/1000 s
    Millisecond,
    /// 1 s
    Second,
    /// 60 s
    Minute,
    /// 3,600 s
    Hour,
    /// 86,400 s
    Day,
}

impl Unit {
    /// Its name for Intl.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Millisecond => "millisecond",
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    const fn milliseconds(self) -> u64 {
        match self {
            Self::Millisecond => 1,
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }
}

/// One part of a span: how many of a unit, with tenths where `tenths` says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// How many.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
    /// One digit after the point.
    pub tenths: bool,
}

/// A span in the one or two units that matter: `840 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn span_parts(milliseconds: u64) -> Vec<Part> {
    if milliseconds < 1_000 {
        return vec![whole(milliseconds, Unit::Millisecond)];
    }
    // 59.95 s and more would be written as 60.0 s.
    if milliseconds < 59_950 {
        let value = lossy(milliseconds) / 1_000.0;
        // From ten seconds on tenths are noise.
        let tenths = milliseconds < 9_950;
        return vec![Part {
            value,
            unit: Unit::Second,
            tenths,
        }];
    }
    let (large, small) = match milliseconds {
        0..3_600_000 => (Unit::Minute, Unit::Second),
        3_600_000..86_400_000 => (Unit::Hour, Unit::Minute),
        _ => (Unit::Day, Unit::Hour),
    };
    // Rounded in the smaller unit first, so that no part comes to a full larger one.
    let half = small.milliseconds() / 2;
    let rounded = quotient(milliseconds.saturating_add(half), small.milliseconds());
    let per_large = quotient(large.milliseconds(), small.milliseconds());
    let many = quotient(rounded, per_large);
    let rest = rounded.saturating_sub(many.saturating_mul(per_large));
    let mut parts = vec![whole(many, large)];
    if rest > 0 {
        parts.push(whole(rest, small));
    }
    parts
}

const fn quotient(whole: u64, part: u64) -> u64 {
    match whole.checked_div(part) {
        Some(quotient) => quotient,
        None => 0,
    }
}

fn whole(value: u64, unit: Unit) -> Part {
    Part {
        value: lossy(value),
        unit,
        tenths: false,
    }
}

/// As a floating-point number; exact to 2^53, which no figure here reaches.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "figures are far below 2^53")]
pub const fn lossy(value: u64) -> f64 {
    value as f64
}

/// How full something is, 0 to 1; None where there is no limit. What is paused (limit 0) is full.
#[must_use]
pub fn share(used: u64, limit: Option<u64>) -> Option<f64> {
    match limit? {
        0 => Some(1.0),
        limit => Some((lossy(used) / lossy(limit)).clamp(0.0, 1.0)),
    }
}

/// How serious a share is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plenty left.
    Fine,
    /// Nearly full.
    High,
    /// Full: requests wait.
    Full,
}

/// The level of a share.
#[must_use]
pub fn level(share: f64) -> Level {
    if share >= 0.995 {
        Level::Full
    } else if share >= 0.8 {
        Level::High
    } else {
        Level::Fine
    }
}

/// A part of a whole, 0 to 1; 0 of nothing.
#[must_use]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        lossy(part) / lossy(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(milliseconds: u64) -> Vec<(String, Unit)> {
        let parts = span_parts(milliseconds);
        let write = |part: &Part| {
            if part.tenths {
                format!("{:.1}", part.value)
            } else {
                format!("{:.0}", part.value)
            }
        };
        parts.iter().map(|part| (write(part), part.unit)).collect()
    }

    #[test]
    fn a_span_is_told_in_the_units_that_matter() {
        use Unit::{Day, Hour, Millisecond, Minute, Second};
        let one = |text: &str, unit| vec![(text.to_owned(), unit)];
        let two =
            |a: &str, first, b: &str, second| vec![(a.to_owned(), first), (b.to_owned(), second)];
        assert_eq!(told(0), one("0", Millisecond));
        assert_eq!(told(999), one("999", Millisecond));
        assert_eq!(told(4_240), one("4.2", Second));
        assert_eq!(told(9_950), one("10", Second));
        assert_eq!(told(59_949), one("60", Second));
        assert_eq!(told(59_950), one("1", Minute));
        assert_eq!(told(200_000), two("3", Minute, "20", Second));
        assert_eq!(told(3_599_999), one("60", Minute));
        assert_eq!(told(7_500_000), two("2", Hour, "5", Minute));
        assert_eq!(told(273_600_000), two("3", Day, "4", Hour));
    }

    #[test]
    fn a_share_is_between_nothing_and_all_and_a_pause_is_full() {
        assert_eq!(share(5, Some(10)), Some(0.5));
        assert_eq!(share(15, Some(10)), Some(1.0));
        assert_eq!(share(0, Some(0)), Some(1.0));
        assert_eq!(share(7, None), None);
        assert_eq!(level(0.5), Level::Fine);
        assert_eq!(level(0.8), Level::High);
        assert_eq!(level(1.0), Level::Full);
        assert!(ratio(1, 0).abs() < f64::EPSILON);
    }
}
