//! 成功标准：SC-001 到 SC-006 各自的一行数字。
//!
//! Owns how a run tells the figure of a success criterion (section 6 of the product's specification) and whether it
//! is met. Three of them are measured here, on the stand of the benchmarks; the others by the tests that prove them
//! (changes of the configuration, the ledger, the mix of faults), which say their figures through [`said`].
//! `make criteria` runs all and fails where one is missing or missed.

use std::time::Duration;

/// Says what came out, on one line that `make criteria` looks for.
pub fn said(number: u8, is_met: bool, figure: &str) {
    let verdict = if is_met { "met" } else { "MISSED" };
    println!("SC-{number:03} {verdict}: {figure}");
}

/// What the gateway may add to the 99th percentile of the answers' times while nobody queues (SC-001).
pub const ADDED_MS_MAX: f64 = 50.0;

/// Clients at once, none of whom may see an error (SC-002).
pub const CLIENTS: usize = 1_000;

/// So many of a hundred requests that queued are served within [`SERVED_WITHIN`] of the instant at which the window
/// has room again (SC-003).
pub const SERVED_PERCENT_MIN: f64 = 95.0;
/// See [`SERVED_PERCENT_MIN`].
pub const SERVED_WITHIN: Duration = Duration::from_secs(30);

/// Percent of the requests whose usage is as the provider reported it (SC-005).
pub const ACCURATE_PERCENT_MIN: f64 = 99.9;

/// A part of a whole in percent; of nothing it is not a number, which meets no bound.
pub fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::{SERVED_PERCENT_MIN, percent};

    #[test]
    fn a_share_of_nothing_meets_no_bound() {
        assert!(percent(1, 2) < SERVED_PERCENT_MIN);
        assert!(percent(19, 20) >= SERVED_PERCENT_MIN);
        assert!(percent(0, 0).is_nan() && !matches!(percent(0, 0), share if share >= 0.0));
    }
}
