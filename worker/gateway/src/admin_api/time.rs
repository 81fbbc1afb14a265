//! 时间的出入：RFC 3339，输出一律 UTC 毫秒。
//!
//! Owns how a time is written in the admin API. There is no clock here: a time is always an
//! argument. The invariant: what is written can be read back to the same millisecond.

use admission::time::Instant;
use chrono::{DateTime, SecondsFormat, Utc};

/// 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write.
const INSTANT_MAX_MS: i64 = 253_402_300_799_999;

/// The time as `2026-11-23T08:00:00.000Z`. Later ones than RFC 3339 knows are written as its last.
#[must_use]
pub fn rfc3339(instant: Instant) -> String {
    let millis = i64::try_from(instant.as_millis())
        .unwrap_or(INSTANT_MAX_MS)
        .min(INSTANT_MAX_MS);
    let time: DateTime<Utc> =
        DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::UNIX_EPOCH);
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time with any offset from UTC, to the millisecond. None for anything else, and before 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Instant> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    let millis = time.timestamp_millis();
    if millis > INSTANT_MAX_MS {
        return None;
    }
    u64::try_from(millis).ok().map(Instant::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        assert_eq!(rfc3339(Instant::from_millis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            rfc3339(Instant::from_millis(1_795_420_800_000)),
            "2026-11-23T08:00:00.000Z"
        );
        assert_eq!(
            rfc3339(Instant::from_millis(u64::MAX)),
            "9999-12-31T23:59:59.999Z"
        );
    }

    #[test]
    fn a_written_time_reads_back_to_the_same_millisecond() {
        for millis in [
            0,
            1,
            951_782_399_999,
            1_795_420_800_123,
            INSTANT_MAX_MS.unsigned_abs(),
        ] {
            let instant = Instant::from_millis(millis);
            assert_eq!(parse_rfc3339(&rfc3339(instant)), Some(instant));
        }
    }

    #[test]
    fn any_offset_is_read() {
        let utc = parse_rfc3339("2026-11-23T08:00:00Z");
        assert!(utc.is_some());
        for same in [
            "2026-11-23T16:00:00+08:00",
            "2026-11-23T02:30:00.000-05:30",
            "2026-11-23t08:00:00z",
        ] {
            assert_eq!(parse_rfc3339(same), utc, "{same}");
        }
    }

    #[test]
    fn what_is_no_time_with_an_offset_is_refused() {
        for bad in [
            "",
            "2026-11-23",
            "2026-11-23T08:00:00",
            "2026-02-30T08:00:00Z",
            "2026-11-23T25:00:00Z",
            "1969-12-31T23:59:59Z",
            "+12026-11-23T08:00:00Z",
            "1795420800",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
