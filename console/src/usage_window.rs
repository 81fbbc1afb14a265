//! 用量页的时间窗：整点的范围、粒度，以及对比的上一段。
//!
//! Owns which whole hours or days of UTC the page of statistics asks for, and which earlier stretch it compares
//! them with. Knows no clock: now is an argument, in milliseconds since 1970.
//!
//! Invariant: a window consists of whole steps, and of no more than the API answers where it chose the step.

use crate::range::{Bounds, Preset, Range, Step};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Above this hours are too many to be told apart.
const BY_HOUR_MS_CHOSEN: u64 = 8 * DAY_MS;
/// What the API answers by hour at most.
const BY_HOUR_MS_MAX: u64 = 31 * DAY_MS;

/// Whole hours or days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From when to when.
    pub bounds: Bounds,
    /// How long a bucket is.
    pub step: Step,
}

impl Window {
    /// The window of a range, by the wanted step if that can be had, else by one that suits its length. A preset
    /// ends with the present hour or day and is exactly as long as it says.
    #[must_use]
    pub fn new(range: Range, wanted: Option<Step>, now_ms: u64) -> Self {
        let span = span(range, now_ms);
        let step = match wanted {
            Some(Step::Hour) if span > BY_HOUR_MS_MAX => Step::Day,
            Some(step) => step,
            None if span > BY_HOUR_MS_CHOSEN => Step::Day,
            None => Step::Hour,
        };
        let bounds = range.bounds(now_ms);
        let to_ms = ceiling(bounds.to_ms, step);
        let from_ms = match range {
            Range::Preset(_) => to_ms.saturating_sub(ceiling(span, step)),
            Range::Custom { from_ms, .. } => floor(from_ms, step),
        };
        let bounds = Bounds { from_ms, to_ms };
        Self { bounds, step }
    }

    /// Its length.
    #[must_use]
    pub const fn span_ms(self) -> u64 {
        self.bounds.to_ms.saturating_sub(self.bounds.from_ms)
    }

    /// The stretch of the same length before it, up to the same point as now is in this one; by hour where that
    /// is possible, so that a day that has only begun is not compared with a whole one.
    #[must_use]
    pub fn previous(self, now_ms: u64) -> Self {
        let span = self.span_ms();
        let step = if span <= BY_HOUR_MS_MAX {
            Step::Hour
        } else {
            Step::Day
        };
        let end = ceiling(now_ms.clamp(self.bounds.from_ms, self.bounds.to_ms), step);
        let to_ms = end.saturating_sub(span);
        let from_ms = self.bounds.from_ms.saturating_sub(span);
        let bounds = Bounds {
            from_ms,
            to_ms: to_ms.max(from_ms.saturating_add(step.milliseconds())),
        };
        Self { bounds, step }
    }
}

/// Whether a range can be had by hour.
#[must_use]
pub fn has_hours(range: Range, now_ms: u64) -> bool {
    span(range, now_ms) <= BY_HOUR_MS_MAX
}

fn span(range: Range, now_ms: u64) -> u64 {
    match range {
        Range::Preset(Preset::Hour) => HOUR_MS,
        Range::Preset(Preset::Day) => DAY_MS,
        Range::Preset(Preset::Week) => 7 * DAY_MS,
        Range::Preset(Preset::Month) => 30 * DAY_MS,
        Range::Custom { .. } => {
            let bounds = range.bounds(now_ms);
            bounds.to_ms.saturating_sub(bounds.from_ms)
        }
    }
}

fn floor(instant_ms: u64, step: Step) -> u64 {
    let past = instant_ms.checked_rem(step.milliseconds()).unwrap_or(0);
    instant_ms.saturating_sub(past)
}

fn ceiling(instant_ms: u64, step: Step) -> u64 {
    let floor = floor(instant_ms, step);
    if floor == instant_ms {
        instant_ms
    } else {
        floor.saturating_add(step.milliseconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14T22:13:20Z
    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn a_preset_has_as_many_buckets_as_it_says_and_ends_with_the_present_one() {
        for (preset, step, count) in [
            (Preset::Hour, Step::Hour, 1),
            (Preset::Day, Step::Hour, 24),
            (Preset::Week, Step::Hour, 168),
            (Preset::Month, Step::Day, 30),
        ] {
            let window = Window::new(Range::Preset(preset), None, NOW);
            assert_eq!(window.step, step);
            assert_eq!(window.span_ms() / step.milliseconds(), count);
            assert_eq!(window.bounds.to_ms % step.milliseconds(), 0);
            assert!(window.bounds.to_ms > NOW && window.bounds.to_ms - NOW < step.milliseconds());
        }
        let day = Window::new(Range::Preset(Preset::Hour), Some(Step::Day), NOW);
        assert_eq!(day.span_ms(), DAY_MS);
    }

    #[test]
    fn a_custom_range_grows_to_whole_steps_and_hours_end_where_the_api_does() {
        let range = Range::Custom {
            from_ms: NOW,
            to_ms: NOW + 1,
        };
        let window = Window::new(range, None, NOW);
        assert_eq!(window.span_ms(), HOUR_MS);
        assert!(window.bounds.from_ms <= NOW && window.bounds.to_ms > NOW);
        let long = |days: u64| Range::Custom {
            from_ms: NOW - days * DAY_MS,
            to_ms: NOW,
        };
        assert_eq!(
            Window::new(long(31), Some(Step::Hour), NOW).step,
            Step::Hour
        );
        assert_eq!(Window::new(long(32), Some(Step::Hour), NOW).step, Step::Day);
        assert!(has_hours(long(31), NOW) && !has_hours(long(32), NOW));
        assert_eq!(Window::new(long(9), None, NOW).step, Step::Day);
    }

    #[test]
    fn the_stretch_before_ends_at_the_same_point_as_now() {
        let month = Window::new(Range::Preset(Preset::Month), None, NOW);
        let before = month.previous(NOW);
        assert_eq!(before.step, Step::Hour);
        assert_eq!(before.bounds.from_ms, month.bounds.from_ms - 30 * DAY_MS);
        let end = ceiling(NOW, Step::Hour);
        assert_eq!(before.bounds.to_ms, end - 30 * DAY_MS);
        let past = Range::Custom {
            from_ms: NOW - 400 * DAY_MS,
            to_ms: NOW - 300 * DAY_MS,
        };
        let window = Window::new(past, None, NOW);
        let before = window.previous(NOW);
        assert_eq!(before.step, Step::Day);
        assert_eq!(before.bounds.to_ms, window.bounds.from_ms);
        assert_eq!(
            before.bounds.from_ms + window.span_ms(),
            before.bounds.to_ms
        );
    }
}
