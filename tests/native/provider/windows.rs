//! 演示上游的窗口：六十秒内最多几个，逐个到达地算。
//!
//! How the ledger counts arrivals in windows, by which tests judge whether a limit was kept.

use std::time::{Duration, Instant};

use gateway_tests::provider::{largest_window, windows};

#[test]
fn largest_window_counts_half_open_windows() {
    let start = Instant::now();
    let at = |seconds: u64, weight: u64| (start + Duration::from_secs(seconds), weight);
    let minute = Duration::from_mins(1);
    assert_eq!(largest_window([], minute), 0);
    assert_eq!(
        largest_window([at(0, 1), at(59, 1), at(60, 1)], minute),
        2,
        "60 s later is a new window"
    );
    assert_eq!(
        largest_window([at(60, 5), at(0, 7), at(30, 1)], minute),
        8,
        "order does not matter"
    );
}

#[test]
fn windows_are_told_for_each_arrival() {
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let arrivals = [(at(61), 1), (at(0), 2), (at(60), 1), (at(59), 4)];
    let told: Vec<_> = windows(arrivals, Duration::from_mins(1)).collect();
    assert_eq!(told, [(at(0), 2), (at(59), 6), (at(60), 5), (at(61), 6)]);
}
