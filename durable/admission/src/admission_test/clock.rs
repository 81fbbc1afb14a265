//! 会跳的时钟：向前、向后，都不多放一个。
//!
//! A clock that jumps while permits are out and requests wait. Forward: whatever is over by then ends, and its late
//! settlement changes nothing. Back again: the latest time is held, so charges count for longer, never for less.

use super::bench::{Bench, CYCLE, at, rpm};
use crate::protocol::{LEASE_DEFAULT, Limits};
use crate::time::Instant;
use core::time::Duration;

const HOUR: u64 = 3_600_000;

#[test]
fn a_clock_that_jumps_forward_ends_what_is_over_by_then_and_grants_no_more_than_the_limit() {
    let mut bench = Bench::new(rpm(1));
    bench.granted("out", 0);
    bench.queued("waits", 1);
    bench.core.handle_timeout(at(HOUR));
    let mut events = bench.events();
    events.sort();
    assert_eq!(events, ["out expired", "waits queue_timeout"]);
    assert!(!bench.settle("out", Some(7), HOUR), "its lease is over");
    assert_eq!(bench.core.live(at(HOUR)).in_flight, 0);
    bench.granted("next", HOUR);
    bench.queued("second", HOUR);
    assert_eq!(bench.core.live(at(HOUR)).rpm_used, 1);
}

#[test]
fn a_clock_that_jumps_forward_and_back_grants_nothing_twice() {
    let mut bench = Bench::new(Limits {
        queue_timeout: Duration::from_mins(10),
        ..rpm(1)
    });
    bench.granted("first", HOUR);
    // The clock is set right: an hour back.
    bench.queued("second", 1_000);
    for millis in [2_000, 30_000, HOUR - 1] {
        bench.core.handle_timeout(at(millis));
        assert_eq!(bench.events(), Vec::<String>::new(), "{millis}");
        assert_eq!(bench.core.live(at(millis)).rpm_used, 1);
    }
    // A whole window after the latest time that was ever seen it is its turn.
    assert_eq!(bench.timer(HOUR + CYCLE), ["second granted"]);
}

#[test]
fn a_clock_that_jumps_forward_leaves_a_permit_its_slot_until_its_lease_ends() {
    let mut bench = Bench::new(Limits {
        concurrency: Some(1),
        queue_timeout: Duration::from_hours(2),
        ..Limits::default()
    });
    bench.granted("out", 0);
    bench.queued("waits", 1);
    let lease = u64::try_from(LEASE_DEFAULT.as_millis()).unwrap();
    bench.core.handle_timeout(at(lease - 1));
    assert_eq!(bench.events(), Vec::<String>::new());
    bench
        .core
        .handle_timeout(Instant::from_millis(u64::MAX / 2));
    let mut events = bench.events();
    events.sort();
    assert_eq!(events[0], "out expired");
    assert_eq!(
        events.len(),
        2,
        "the waiter has its end as well: {events:?}"
    );
}
