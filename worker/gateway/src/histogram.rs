//! 直方图：固定的桶，可相加，由此估计分位数。
//!
//! Owns the bounds of the buckets in which the rollup counts waits and latencies, and what a percentile of
//! such counts is. The counts are summed by SQL (`sql::usage`), which repeats the bounds; a test compares.
//!
//! A percentile is interpolated within its bucket, so it lies between the same bounds as the true one: it is
//! wrong by less than the width of the bucket, which is at most two fifths of its upper bound from 100 ms to
//! 150 s.
//!
//! Invariant: counts of any number of hours, servers or apps can be added, and nothing is lost by it.

/// How many counts a histogram has.
pub const BUCKETS_LEN: usize = 24;

/// Greatest value of each bucket but the last, in milliseconds. The first is for exactly 0: what did not wait.
/// Five to a decade from 100 ms to 100 s, where nearly all requests of language models lie; the last bound is
/// the longest wait that a queue allows.
pub const BOUNDS_MS: [u64; BUCKETS_LEN - 1] = [
    0, 10, 25, 50, 100, 150, 250, 400, 600, 1_000, 1_500, 2_500, 4_000, 6_000, 10_000, 15_000,
    25_000, 40_000, 60_000, 100_000, 150_000, 300_000, 600_000,
];

/// The value that `percent` of all values do not exceed, estimated; None if nothing was counted.
/// `greatest` is the greatest value, which is known exactly.
#[must_use]
pub fn percentile_ms(counts: &[u64], greatest: u64, percent: u64) -> Option<u64> {
    let total: u64 = counts
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count));
    if total == 0 {
        return None;
    }
    // The place of the value among all of them in order, from 1: rounded up.
    let place = u128::from(total)
        .saturating_mul(u128::from(percent.min(100)))
        .div_ceil(100)
        .max(1);
    let mut before: u128 = 0;
    for (index, count) in counts.iter().enumerate() {
        let count = u128::from(*count);
        if before.saturating_add(count) >= place {
            let upper = BOUNDS_MS
                .get(index)
                .map_or(greatest, |bound| (*bound).min(greatest));
            let lower = index
                .checked_sub(1)
                .and_then(|below| BOUNDS_MS.get(below))
                .map_or(0, |bound| (*bound).min(upper));
            let width = u128::from(upper.saturating_sub(lower));
            let within = width
                .saturating_mul(place.saturating_sub(before))
                .checked_div(count)
                .unwrap_or(0);
            return Some(lower.saturating_add(u64::try_from(within).unwrap_or(0)));
        }
        before = before.saturating_add(count);
    }
    Some(greatest)
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "test code: an overflow is a panic, and figures are small"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket(value: u64) -> usize {
        BOUNDS_MS
            .iter()
            .position(|bound| value <= *bound)
            .unwrap_or(BUCKETS_LEN - 1)
    }

    fn counts(values: &[u64]) -> [u64; BUCKETS_LEN] {
        let mut counts = [0; BUCKETS_LEN];
        for value in values {
            counts[bucket(*value)] += 1;
        }
        counts
    }

    #[test]
    fn nothing_counted_has_no_percentile() {
        assert_eq!(percentile_ms(&[0; BUCKETS_LEN], 0, 50), None);
        assert_eq!(percentile_ms(&[], 7, 50), None);
    }

    #[test]
    fn who_did_not_wait_waited_exactly_nothing() {
        let waits = counts(&[0, 0, 0, 40_000]);
        assert_eq!(percentile_ms(&waits, 40_000, 50), Some(0));
        assert_eq!(percentile_ms(&waits, 40_000, 75), Some(0));
        assert_eq!(percentile_ms(&waits, 40_000, 95), Some(40_000));
    }

    #[test]
    fn the_last_bucket_ends_at_the_greatest_value() {
        let long = counts(&[700_000, 2_000_000]);
        assert_eq!(percentile_ms(&long, 2_000_000, 50), Some(1_300_000));
        assert_eq!(percentile_ms(&long, 2_000_000, 99), Some(2_000_000));
    }

    #[test]
    fn buckets_of_usual_latencies_are_at_most_two_fifths_as_wide_as_their_upper_bound() {
        for pair in BOUNDS_MS.windows(2) {
            let (lower, upper) = (pair[0], pair[1]);
            let usual = (101..=150_000).contains(&upper);
            assert!(!usual || (upper - lower) * 5 <= upper * 2, "{upper}");
            assert!(upper < 50 || (upper - lower) * 2 <= upper, "{upper}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_percentile_lies_in_the_bucket_of_the_true_one(
            mut values in proptest::collection::vec(prop_oneof![Just(0_u64), 0_u64..2_000, 0_u64..2_000_000], 1..200),
            percent in 1_u64..=100,
        ) {
            values.sort_unstable();
            let greatest = values[values.len() - 1];
            let place = (values.len() as u64 * percent).div_ceil(100) as usize;
            let truth = values[place - 1];
            let estimate = percentile_ms(&counts(&values), greatest, percent).unwrap();
            let index = bucket(truth);
            let lower = if index == 0 { 0 } else { BOUNDS_MS[index - 1] };
            let upper = BOUNDS_MS.get(index).copied().unwrap_or(greatest).min(greatest);
            prop_assert!((lower..=upper).contains(&estimate), "{estimate} is not in {lower}..={upper}");
        }

        #[test]
        fn any_counts_give_an_answer(counts in proptest::collection::vec(any::<u64>(), 0..30), greatest in any::<u64>(), percent in any::<u64>()) {
            let _ = percentile_ms(&counts, greatest, percent);
        }
    }
}
