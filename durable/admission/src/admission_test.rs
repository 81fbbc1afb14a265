//! 准入规则的单元测试：每条规则一句话。
//!
//! One test per rule of the core, in virtual time, named by what it promises.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "in a test an overflow must panic"
)]

mod ahead;
mod bench;
mod changes;
mod clock;
mod durable;
mod garbage;
mod learning;
mod probing;
mod provider;

use crate::Event;
use crate::protocol::{Limits, OnFull, RefusalReason, SettleOutcome};
use crate::time::Instant;
use bench::{Bench, CYCLE, at, granted, id, queued, refused, request, rpm};
use core::time::Duration;

#[test]
fn the_request_over_the_limit_waits_until_the_window_slides() {
    let mut bench = Bench::new(Limits {
        queue_timeout: Duration::from_secs(70),
        ..rpm(10)
    });
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        assert_eq!(bench.granted(name, 0).admission.position, 0);
    }
    assert_eq!(bench.queued("k", 5), 1);
    assert_eq!(bench.timer(CYCLE), ["k granted"]);
}

#[test]
fn grants_follow_the_order_of_arrival_and_nobody_overtakes() {
    let mut bench = Bench::new(Limits {
        tpm: Some(1_000),
        ..Limits::default()
    });
    let mut big = request("big", bench.limits);
    big.prompt_bytes = 4_000;
    bench.granted("first", 0);
    queued(&bench.call(big, 1));
    // It would fit into what is left, but not before its elder.
    assert_eq!(bench.queued("small", 2), 2);
    bench.settle("first", Some(0), 3);
    assert_eq!(bench.events(), ["big granted"]);
}

#[test]
fn as_many_are_woken_as_there_are_permits() {
    let mut bench = Bench::new(Limits {
        queue_timeout: Duration::from_mins(5),
        ..rpm(2)
    });
    bench.granted("a", 0);
    bench.granted("b", 10_000);
    for name in ["c", "d", "e"] {
        bench.queued(name, 11_000);
    }
    assert_eq!(bench.timer(CYCLE), ["c granted"]);
    assert_eq!(bench.timer(10_000 + CYCLE), ["d granted"]);
    assert_eq!(
        bench.timer(CYCLE.next_multiple_of(100) + CYCLE - 100),
        ["e granted"]
    );
}

#[test]
fn a_re_entering_request_takes_the_place_of_its_original_arrival() {
    let mut bench = Bench::new(Limits {
        concurrency: Some(1),
        ..Limits::default()
    });
    bench.granted("out", 0);
    for (name, arrival, position) in [("b", 200, 1), ("d", 400, 2), ("a", 100, 1), ("c", 300, 3)] {
        let mut back = request(name, bench.limits);
        back.arrival = Some(at(arrival));
        assert_eq!(queued(&bench.call(back, 500)), position);
    }
    for (done, next) in [("out", "a"), ("a", "b"), ("b", "c"), ("c", "d")] {
        bench.settle(done, None, 600);
        assert_eq!(bench.events(), [format!("{next} granted")]);
    }
}

#[test]
fn an_arrival_in_the_future_counts_as_now() {
    let mut bench = Bench::new(Limits {
        concurrency: Some(1),
        ..Limits::default()
    });
    bench.granted("out", 0);
    let mut early = request("early", bench.limits);
    early.arrival = Some(at(99_999));
    queued(&bench.call(early, 1));
    bench.queued("late", 1);
    bench.settle("out", None, 11);
    let Some(Event::Granted { ticket, grant }) = bench.core.poll_event() else {
        panic!("nobody granted");
    };
    assert_eq!(ticket, id("early"));
    assert_eq!(grant.admission.wait, Duration::from_millis(10));
}

#[test]
fn a_waiter_is_refused_at_its_deadline_and_granted_if_both_coincide() {
    let mut bench = Bench::new(Limits {
        queue_timeout: Duration::from_mins(1),
        ..rpm(1)
    });
    bench.granted("a", 0);
    bench.queued("short", 349);
    bench.queued("exact", 350);
    assert_eq!(bench.timer(60_349), ["short queue_timeout"]);
    assert_eq!(bench.timer(60_350), ["exact granted"]);
}

#[test]
fn a_late_timer_changes_no_outcome() {
    let mut bench = Bench::new(Limits {
        queue_timeout: Duration::from_mins(1),
        ..rpm(1)
    });
    bench.granted("a", 0);
    bench.queued("short", 349);
    bench.queued("exact", 350);
    bench.core.handle_timeout(at(75_000));
    assert_eq!(bench.events(), ["short queue_timeout", "exact granted"]);
    // Its charge is made at the true instant.
    assert_eq!(bench.core.live(at(75_000 + 60_349)).rpm_used, 1);
    assert_eq!(bench.core.live(at(75_000 + 60_350)).rpm_used, 0);
}

#[test]
fn the_oldest_of_an_overfull_queue_is_evicted() {
    let mut bench = Bench::new(Limits {
        queue_max: 2,
        ..rpm(0)
    });
    bench.queued("a", 0);
    bench.queued("b", 1);
    assert_eq!(bench.queued("c", 2), 3);
    assert_eq!(bench.events(), ["a queue_evicted"]);
}

#[test]
fn a_request_that_comes_back_older_than_a_full_queue_is_the_one_evicted() {
    let mut bench = Bench::new(Limits {
        queue_max: 1,
        ..rpm(0)
    });
    bench.queued("b", 1);
    let mut back = request("a", bench.limits);
    back.arrival = Some(at(0));
    assert_eq!(
        refused(bench.call(back, 2)).reason,
        RefusalReason::QueueEvicted
    );
    assert_eq!(bench.core.live(at(2)).queue_length, 1);
}

#[test]
fn the_newest_is_rejected_where_so_configured() {
    let mut bench = Bench::new(Limits {
        queue_max: 1,
        on_full: OnFull::RejectNewest,
        ..rpm(0)
    });
    bench.queued("a", 0);
    assert_eq!(bench.refused("b", 1).reason, RefusalReason::QueueFull);
    let mut older = request("older", bench.limits);
    older.arrival = Some(at(0));
    older.arrival = older
        .arrival
        .map(|at| Instant::from_millis(at.as_millis() - 1));
    queued(&bench.call(older, 2));
    assert_eq!(bench.events(), ["a queue_full"]);
}

#[test]
fn a_queue_of_zero_refuses_who_does_not_fit() {
    let mut bench = Bench::new(Limits {
        queue_max: 0,
        ..rpm(1)
    });
    bench.granted("a", 0);
    let refusal = bench.refused("b", 50);
    assert_eq!(refusal.reason, RefusalReason::QueueFull);
    assert_eq!(refusal.retry_after, Duration::from_millis(CYCLE - 50));
}

#[test]
fn who_does_not_want_to_queue_is_refused_at_once_and_granted_if_there_is_room() {
    let mut bench = Bench::new(rpm(1));
    for (name, now) in [("a", 10), ("b", 20)] {
        let mut hasty = request(name, bench.limits);
        hasty.wait_max = Some(Duration::ZERO);
        // The Worker's way to the object takes time; that is not queueing.
        hasty.arrival = Some(at(0));
        let acquired = bench.call(hasty, now);
        if name == "a" {
            granted(acquired);
        } else {
            assert_eq!(refused(acquired).reason, RefusalReason::DeadlineUnreachable);
        }
    }
}

#[test]
fn an_unreachable_deadline_is_refused_at_once_with_the_estimate() {
    let mut bench = Bench::new(rpm(1));
    bench.granted("a", 0);
    let mut hasty = request("hasty", bench.limits);
    hasty.wait_max = Some(Duration::from_millis(CYCLE - 101));
    let refusal = refused(bench.call(hasty.clone(), 100));
    assert_eq!(refusal.reason, RefusalReason::DeadlineUnreachable);
    assert_eq!(refusal.retry_after, Duration::from_millis(CYCLE - 100));
    // More than the server's own timeout is not granted to anybody.
    hasty.wait_max = Some(Duration::from_mins(10));
    assert_eq!(
        refused(bench.call(hasty.clone(), 100)).reason,
        RefusalReason::DeadlineUnreachable
    );
    queued(&bench.call(hasty, 350));
}

#[test]
fn the_estimate_counts_full_cycles_for_those_ahead() {
    let mut bench = Bench::new(Limits {
        queue_max: 2,
        on_full: OnFull::RejectNewest,
        ..rpm(2)
    });
    bench.granted("a", 0);
    bench.granted("b", 1_000);
    bench.queued("c", 1_000);
    bench.queued("d", 1_000);
    // The fifth of two a minute: a cycle after the place of the first is free.
    let refusal = bench.refused("e", 1_000);
    assert_eq!(
        refusal.retry_after,
        Duration::from_millis(CYCLE - 1_000 + CYCLE)
    );
}

#[test]
fn tokens_are_reserved_and_corrected_in_the_bucket_of_the_grant() {
    let mut bench = Bench::new(Limits {
        tpm: Some(1_000),
        ..Limits::default()
    });
    assert_eq!(bench.granted("a", 0).permit.reserved_tokens(), 100);
    assert!(bench.settle("a", Some(930), 30_000));
    assert_eq!(bench.core.live(at(30_000)).tpm_used, 930);
    bench.queued("b", 30_000);
    assert_eq!(bench.timer(CYCLE), ["b granted"]);
}

#[test]
fn debt_keeps_the_head_waiting_until_it_fits() {
    let mut bench = Bench::new(Limits {
        tpm: Some(1_000),
        lease: Duration::from_hours(1),
        queue_timeout: Duration::from_hours(1),
        ..Limits::default()
    });
    bench.granted("a", 0);
    assert!(bench.settle("a", Some(5_100), 70_000));
    assert_eq!(bench.core.live(at(70_000)).tpm_used, 5_000);
    bench.queued("b", 70_000);
    assert_eq!(bench.timer(70_000 + CYCLE), ["b granted"]);
}

#[test]
fn a_reservation_never_exceeds_the_limit() {
    let mut bench = Bench::new(Limits {
        tpm: Some(50),
        ..Limits::default()
    });
    assert_eq!(bench.granted("a", 0).permit.reserved_tokens(), 50);
    // The limit at the grant counts, not the one at entry.
    bench.queued("b", 1);
    bench.core.set_limits(
        Limits {
            version: 1,
            tpm: Some(170),
            ..bench.limits
        },
        at(2),
    );
    let Some(Event::Granted { grant, .. }) = bench.core.poll_event() else {
        panic!("not granted");
    };
    assert_eq!(grant.permit.reserved_tokens(), 100);
}

#[test]
fn unknown_usage_keeps_the_reservation_and_nothing_sent_is_refunded() {
    let mut bench = Bench::new(Limits {
        tpm: Some(1_000),
        ..rpm(10)
    });
    bench.granted("a", 0);
    bench.granted("b", 0);
    bench.finish("a", None, SettleOutcome::ClientGone, 1);
    bench.finish("b", Some(77), SettleOutcome::NotSent, 1);
    let live = bench.core.live(at(1));
    assert_eq!((live.rpm_used, live.tpm_used, live.in_flight), (1, 100, 0));
}

#[test]
fn settle_is_idempotent_and_unknown_tickets_are_not_settled() {
    let mut bench = Bench::new(rpm(5));
    bench.granted("a", 0);
    assert!(bench.settle("a", Some(10), 1));
    assert!(!bench.settle("a", Some(999), 2));
    assert!(!bench.settle("nobody", None, 2));
    assert_eq!(bench.core.live(at(2)).tpm_used, 10);
}

#[test]
fn a_settle_frees_a_slot_for_the_head() {
    let mut bench = Bench::new(Limits {
        concurrency: Some(1),
        ..Limits::default()
    });
    bench.granted("a", 0);
    bench.queued("b", 1);
    assert_eq!(bench.core.live(at(1)).next_grant_in, None);
    bench.settle("a", None, 60_001);
    // Its deadline was the same instant: a settle comes first.
    assert_eq!(bench.events(), ["b granted"]);
}

#[test]
fn a_cancelled_waiter_leaves_at_once_and_is_not_granted_even_when_due() {
    let mut bench = Bench::new(Limits {
        queue_timeout: Duration::from_secs(90),
        ..rpm(1)
    });
    bench.granted("a", 0);
    bench.queued("b", 1);
    bench.queued("c", 2);
    assert!(bench.core.cancel(&id("b"), at(CYCLE)));
    assert_eq!(bench.events(), ["b cancelled", "c granted"]);
    assert!(!bench.core.cancel(&id("b"), at(CYCLE)));
    assert!(
        !bench.core.cancel(&id("c"), at(CYCLE)),
        "a permit is settled, not cancelled"
    );
}

#[test]
fn an_unsettled_permit_expires_and_its_reservation_stays() {
    let mut bench = Bench::new(Limits {
        lease: Duration::from_secs(20),
        concurrency: Some(1),
        ..Limits::default()
    });
    bench.granted("a", 0);
    bench.queued("b", 1);
    assert_eq!(bench.timer(20_000), ["a expired", "b granted"]);
    assert!(!bench.settle("a", Some(0), 20_001));
    assert_eq!(bench.core.live(at(20_001)).tpm_used, 200);
}

#[test]
fn a_lease_of_zero_ends_at_once_and_stops_nothing() {
    let mut bench = Bench::new(Limits {
        lease: Duration::ZERO,
        concurrency: Some(1),
        ..Limits::default()
    });
    bench.granted("a", 0);
    assert_eq!(bench.events(), ["a expired"]);
    assert_eq!(bench.core.poll_timeout(), None);
}
