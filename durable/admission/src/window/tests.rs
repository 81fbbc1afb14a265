//! 滑动窗口的测试。
//!
//! The window: what leaves when, what a correction touches, what comes back from storage.

use super::*;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

#[test]
fn constants_agree() {
    assert_eq!(HELD, WINDOW + GUARD);
    assert_eq!(u128::from(BUCKET_MS), BUCKET.as_millis());
    assert_eq!(
        u128::from(cycle_ms()),
        (WINDOW + BUCKET + GUARD).as_millis()
    );
}

#[test]
fn a_charge_counts_until_its_whole_bucket_has_left_plus_the_guard() {
    let mut window = Window::default();
    window.charge(7, at(1_000));
    window.charge(5, at(1_099));
    window.expire(at(61_349));
    assert_eq!(
        window.total(),
        Usage {
            requests: 2,
            tokens: 12,
            refused: 0,
        }
    );
    assert_eq!(window.total_at(at(61_350)), Usage::default());
    window.expire(at(61_350));
    assert_eq!(window.total(), Usage::default());
    assert_eq!(window.edge(), at(61_350));
}

#[test]
fn a_correction_stays_in_its_own_bucket() {
    let mut window = Window::default();
    let first = window.charge(10, at(0));
    window.charge(10, at(5_000));
    window.correct(first, 10, 25, at(6_000));
    assert_eq!(window.total().tokens, 35);
    window.expire(at(60_350));
    assert_eq!(window.total().tokens, 10);
}

#[test]
fn an_excess_beyond_a_departed_bucket_is_debt_and_a_surplus_is_nothing() {
    let mut window = Window::default();
    let first = window.charge(10, at(0));
    window.expire(at(70_000));
    window.correct(first, 10, 4, at(70_000));
    assert_eq!(window.total(), Usage::default());
    window.correct(first, 10, 14, at(70_000));
    assert_eq!(
        window.total(),
        Usage {
            requests: 0,
            tokens: 4,
            refused: 0,
        }
    );
    assert_eq!(window.free_at(Count::Requests), at(70_000));
    assert_eq!(window.free_at(Count::Tokens), at(130_350));
}

#[test]
fn a_refund_leaves_no_trace() {
    let mut window = Window::default();
    let first = window.charge(10, at(0));
    window.refund(first, 10);
    window.refund(first, 10);
    assert_eq!(window.total(), Usage::default());
    assert!(window.buckets.is_empty());
}

#[test]
fn the_instant_is_that_of_the_bucket_with_the_last_one_needed() {
    let mut window = Window::default();
    for second in [1, 2, 3] {
        window.charge(10, at(second * 1_000));
    }
    assert_eq!(window.left_by(Count::Requests, 0), Some(at(0)));
    assert_eq!(window.left_by(Count::Requests, 2), Some(at(62_350)));
    assert_eq!(window.left_by(Count::Tokens, 21), Some(at(63_350)));
    assert_eq!(window.left_by(Count::Tokens, 31), None);
}

#[test]
fn an_idle_window_is_empty_and_a_busy_one_is_bounded() {
    let mut window = Window::default();
    for step in 0..10_000 {
        window.expire(at(step * 37));
        window.charge(1, at(step * 37));
        assert!(window.buckets.len() <= 604);
    }
    window.expire(at(u64::MAX));
    assert!(window.buckets.is_empty());
}

#[test]
fn the_end_of_time_does_not_panic() {
    let mut window = Window::default();
    let index = window.charge(u64::MAX, at(u64::MAX));
    window.correct(index, 0, u64::MAX, at(u64::MAX));
    assert_eq!(window.free_at(Count::Tokens), at(u64::MAX));
}

/// A row that lacks what its lease took: the other buckets keep what they hold.
#[test]
fn a_charge_that_its_bucket_does_not_hold_is_not_taken_from_others() {
    let row = |bucket, requests| BucketRow {
        bucket,
        requests,
        tokens: 70,
        refused: 0,
    };
    let rows = vec![row(10, 1), row(11, 0)];
    let mut window = Window::restore(rows, Instant::from_millis(1_200));
    window.refund(BucketIndex(11), 70);
    assert_eq!(window.total().get(Count::Requests), 1);
    assert_eq!(window.total().get(Count::Tokens), 70);
}
