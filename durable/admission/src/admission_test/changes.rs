//! 准入规则的单元测试：重复调用、限额变更、暂停与界限。
//!
//! One test per rule of the core: repeated calls, changes of limits, pauses, bounds.

use super::bench::{Bench, CYCLE, at, granted, id, queued, refused, request, rpm};
use crate::protocol::{Budget, Limits, OnFull, RefusalReason, SentLate};
use crate::time::Instant;
use crate::{Acquired, Event, PAUSE_MAX, PERMITS_MAX, QUEUE_LEN_MAX, RETRY_AFTER_UNKNOWN};
use core::time::Duration;
use std::iter;

#[test]
fn a_repeated_call_for_a_live_permit_gets_the_same_grant_uncharged() {
    let mut bench = Bench::new(rpm(5));
    let first = bench.granted("a", 0).permit;
    assert_eq!(bench.granted("a", 500).permit, first);
    assert_eq!(bench.core.live(at(500)).rpm_used, 1);
}

#[test]
fn a_request_that_is_sent_late_leaves_the_window_that_much_later() {
    let mut bench = Bench::new(Limits {
        queue_timeout: Duration::from_secs(70),
        ..rpm(1)
    });
    bench.granted("a", 0);
    bench.queued("b", 1);
    let sent = SentLate { ticket: id("a") };
    assert!(bench.core.sent_late(&sent, at(700)));
    assert_eq!(bench.core.live(at(700)).rpm_used, 1, "moved, not added");
    assert_eq!(bench.timer(700 + CYCLE), ["b granted"]);
    let unknown = SentLate { ticket: id("x") };
    assert!(!bench.core.sent_late(&unknown, at(800 + CYCLE)));
}

#[test]
fn tokens_of_a_request_that_was_sent_late_are_corrected_where_they_stand() {
    let mut bench = Bench::new(Limits {
        tpm: Some(10_000),
        ..Limits::default()
    });
    bench.granted("a", 0);
    let sent = SentLate { ticket: id("a") };
    bench.core.sent_late(&sent, at(700));
    bench.settle("a", Some(42), 900);
    let live = bench.core.live(at(900));
    assert_eq!((live.tpm_used, live.rpm_used, live.in_flight), (42, 1, 0));
}

#[test]
fn a_further_attempt_uses_up_the_permit_of_the_earlier_one() {
    let mut bench = Bench::new(Limits {
        concurrency: Some(1),
        ..rpm(5)
    });
    bench.granted("a", 0);
    let mut again = request("a", bench.limits);
    again.attempt = 1;
    assert_eq!(granted(bench.call(again, 500)).permit.granted_at(), at(500));
    let live = bench.core.live(at(500));
    assert_eq!((live.rpm_used, live.in_flight), (2, 1));
}

#[test]
fn a_repeated_call_takes_over_the_place_of_the_waiting_one() {
    let mut bench = Bench::new(rpm(0));
    bench.queued("a", 0);
    bench.queued("b", 1);
    assert_eq!(bench.queued("a", 2), 1);
    assert_eq!(
        bench.events(),
        Vec::<String>::new(),
        "nothing is said to the old call"
    );
    assert_eq!(bench.core.live(at(2)).queue_length, 2);
    bench.core.set_limits(
        Limits {
            version: 2,
            ..rpm(1)
        },
        at(3),
    );
    assert_eq!(bench.events(), ["a granted"]);
}

#[test]
fn a_repeated_call_gets_the_answer_that_was_due_to_the_old_one() {
    let mut bench = Bench::new(Limits {
        queue_timeout: Duration::from_secs(90),
        ..rpm(1)
    });
    bench.granted("a", 0);
    bench.queued("b", 1);
    assert_eq!(bench.granted("b", CYCLE).admission.position, 1);
    assert_eq!(bench.events(), Vec::<String>::new());
    assert_eq!(bench.core.live(at(CYCLE)).rpm_used, 1);
}

#[test]
fn a_repeated_call_that_no_longer_waits_makes_way() {
    let mut bench = Bench::new(Limits {
        tpm: Some(1_000),
        ..Limits::default()
    });
    let mut big = request("big", bench.limits);
    big.prompt_bytes = 4_000;
    bench.granted("a", 0);
    queued(&bench.call(big.clone(), 1));
    bench.queued("small", 2);
    big.wait_max = Some(Duration::ZERO);
    assert_eq!(
        refused(bench.call(big, 3)).reason,
        RefusalReason::DeadlineUnreachable
    );
    assert_eq!(bench.events(), ["small granted"]);
}

#[test]
fn zero_pauses_and_absence_is_unlimited() {
    for limits in [
        rpm(0),
        Limits {
            tpm: Some(0),
            ..Limits::default()
        },
        Limits {
            concurrency: Some(0),
            ..Limits::default()
        },
    ] {
        let mut bench = Bench::new(limits);
        bench.queued("a", 0);
        assert_eq!(bench.core.live(at(1)).next_grant_in, None);
        assert_eq!(bench.timer(60_000), ["a queue_timeout"]);
    }
    let mut bench = Bench::new(Limits::default());
    for number in 0..1_000 {
        let facts = bench.granted(&format!("t{number}"), 0).admission;
        assert_eq!((facts.requests, facts.tokens), (None, None));
    }
}

#[test]
fn what_entered_during_a_pause_reserves_its_full_estimate() {
    let mut bench = Bench::new(Limits {
        tpm: Some(0),
        ..Limits::default()
    });
    bench.queued("a", 0);
    bench.core.set_limits(
        Limits {
            version: 2,
            tpm: Some(500),
            ..Limits::default()
        },
        at(1),
    );
    assert_eq!(bench.events(), ["a granted"]);
    assert_eq!(bench.core.live(at(1)).tpm_used, 100);
}

#[test]
fn raising_a_limit_drains_the_queue_at_once() {
    let mut bench = Bench::new(rpm(1));
    bench.granted("a", 0);
    for name in ["b", "c", "d"] {
        bench.queued(name, 1);
    }
    bench.core.set_limits(
        Limits {
            version: 2,
            ..rpm(3)
        },
        at(2),
    );
    assert_eq!(bench.events(), ["b granted", "c granted"]);
    // A request brings newer limits as well.
    bench.limits = Limits {
        version: 3,
        ..rpm(10)
    };
    bench.granted("e", 3);
    assert_eq!(bench.events(), ["d granted"]);
}

#[test]
fn only_newer_limits_are_adopted() {
    let mut bench = Bench::new(Limits {
        version: 7,
        ..rpm(1)
    });
    bench.granted("a", 0);
    for version in [6, 7] {
        bench.core.set_limits(
            Limits {
                version,
                ..rpm(100)
            },
            at(1),
        );
    }
    assert_eq!(bench.queued("b", 2), 1);
    let mut fresh = Bench::new(Limits {
        version: 0,
        ..rpm(1)
    });
    fresh.granted("a", 0);
    assert_eq!(
        fresh.queued("b", 1),
        1,
        "the first limits are adopted whatever their version"
    );
}

#[test]
fn disabling_refuses_newcomers_and_waiters_at_once() {
    let mut bench = Bench::new(rpm(1));
    bench.granted("a", 0);
    bench.queued("b", 1);
    bench.queued("c", 1);
    bench.core.set_limits(
        Limits {
            version: 2,
            enabled: false,
            ..rpm(1)
        },
        at(2),
    );
    assert_eq!(bench.events(), ["b disabled", "c disabled"]);
    let refusal = bench.refused("d", 3);
    assert_eq!(refusal.reason, RefusalReason::Disabled);
    assert_eq!(refusal.retry_after, RETRY_AFTER_UNKNOWN);
    assert!(bench.settle("a", None, 4), "what is out may end");
}

#[test]
fn a_shorter_queue_lets_those_go_whom_on_full_names() {
    for (on_full, gone) in [
        (OnFull::EvictOldest, ["a queue_evicted", "b queue_evicted"]),
        (OnFull::RejectNewest, ["d queue_full", "c queue_full"]),
    ] {
        let mut bench = Bench::new(rpm(0));
        for name in ["a", "b", "c", "d"] {
            bench.queued(name, 0);
        }
        bench.core.set_limits(
            Limits {
                version: 2,
                queue_max: 2,
                on_full,
                ..rpm(0)
            },
            at(1),
        );
        assert_eq!(bench.events(), gone);
    }
}

#[test]
fn a_pause_holds_grants_back_until_its_end_and_the_longest_counts() {
    let mut bench = Bench::new(rpm(10));
    bench.granted("a", 0);
    bench.core.pause_until(at(5_000), at(1));
    bench.core.pause_until(at(3_000), at(1));
    bench.queued("b", 2);
    let live = bench.core.live(at(2));
    assert_eq!(live.paused_until, Some(at(5_000)));
    assert_eq!(live.next_grant_in, Some(Duration::from_millis(4_998)));
    assert_eq!(bench.timer(5_000), ["b granted"]);
    assert_eq!(bench.core.live(at(5_000)).paused_until, None);
}

#[test]
fn a_pause_is_bounded() {
    let mut bench = Bench::new(rpm(10));
    bench
        .core
        .pause_until(Instant::from_millis(u64::MAX), at(0));
    assert_eq!(
        bench.core.live(at(0)).paused_until,
        Some(at(0).saturating_add(PAUSE_MAX))
    );
}

#[test]
fn answers_carry_budgets_and_the_newest_configuration_version() {
    let mut bench = Bench::new(Limits {
        tpm: Some(150),
        ..rpm(3)
    });
    bench.core.see_config_version(41);
    bench.granted("a", 0);
    let mut next = request("b", bench.limits);
    next.output_tokens_max = Some(0);
    next.config_version = 42;
    let facts = granted(bench.call(next, 1_000)).admission;
    let reset = Duration::from_millis(CYCLE);
    assert_eq!(
        facts.requests,
        Some(Budget {
            limit: 3,
            remaining: 1,
            reset
        })
    );
    assert_eq!(
        facts.tokens,
        Some(Budget {
            limit: 150,
            remaining: 0,
            reset
        })
    );
    assert_eq!(facts.config_version, 42);
    assert_eq!(facts.wait, Duration::ZERO);
}

#[test]
fn the_picture_shows_queue_window_and_the_next_grant() {
    let mut bench = Bench::new(Limits {
        tpm: Some(9_000),
        concurrency: Some(7),
        ..rpm(1)
    });
    bench.granted("a", 0);
    bench.queued("b", 1_000);
    let live = bench.core.live(at(3_000));
    assert_eq!((live.queue_length, live.in_flight), (1, 1));
    assert_eq!(live.queue_oldest_wait, Duration::from_secs(2));
    assert_eq!((live.rpm_used, live.rpm_limit), (1, Some(1)));
    assert_eq!((live.tpm_used, live.tpm_limit), (100, Some(9_000)));
    assert_eq!(live.max_concurrency, Some(7));
    assert_eq!(
        live.next_grant_in,
        Some(Duration::from_millis(CYCLE - 3_000))
    );
}

#[test]
fn a_clock_that_goes_back_is_held() {
    let mut bench = Bench::new(rpm(1));
    bench.granted("a", 50_000);
    assert_eq!(bench.queued("b", 0), 1);
    bench.core.handle_timeout(Instant::from_millis(0));
    assert_eq!(bench.core.live(at(0)).rpm_used, 1);
    assert_eq!(bench.timer(110_000), ["b queue_timeout"]);
}

#[test]
fn permits_out_are_bounded_whatever_the_limits() {
    let mut bench = Bench::new(Limits::default());
    for number in 0..PERMITS_MAX {
        bench.granted(&format!("t{number}"), 0);
    }
    assert_eq!(bench.queued("one-more", 0), 1);
    bench.settle("t0", None, 1);
    assert_eq!(bench.events(), ["one-more granted"]);
}

#[test]
fn waiters_are_bounded_whatever_the_limits() {
    let mut bench = Bench::new(Limits {
        queue_max: u64::MAX,
        ..rpm(0)
    });
    for number in 0..=QUEUE_LEN_MAX {
        bench.queued(&format!("t{number}"), 0);
    }
    assert_eq!(bench.events(), ["t0 queue_evicted"]);
}

#[test]
fn ten_thousand_come_back_in_any_order_and_leave_in_theirs() {
    let mut bench = Bench::new(Limits {
        queue_max: 10_000,
        queue_timeout: Duration::from_mins(5),
        ..rpm(0)
    });
    for number in 0..10_000_u64 {
        // A permutation, since 7,919 and 10,000 have no common divisor.
        let place = number * 7_919 % 10_000;
        let mut back = request(&format!("t{place}"), bench.limits);
        back.arrival = Some(at(place));
        queued(&bench.call(back, 20_000));
    }
    bench.core.set_limits(
        Limits {
            version: 2,
            queue_max: 10_000,
            ..rpm(6_000)
        },
        at(20_000),
    );
    for number in 0..6_000 {
        let Some(Event::Granted { ticket, .. }) = bench.core.poll_event() else {
            panic!("not granted");
        };
        assert_eq!(ticket, id(&format!("t{number}")));
    }
    assert_eq!(bench.events().len(), 0);
    bench.core.handle_timeout(at(400_000));
    // The rest was granted when the window slid: before any deadline.
    assert_eq!(bench.events().len(), 4_000);
}

#[test]
fn a_saturated_window_uses_99_percent_and_a_60_second_window_never_more_than_all() {
    let limit = 120;
    let limits = Limits {
        queue_max: 10_000,
        queue_timeout: Duration::from_hours(1),
        ..rpm(limit)
    };
    let mut bench = Bench::new(limits);
    // The first window fills unevenly, then two ask for every one that is granted.
    let mut grants: Vec<u64> = Vec::new();
    for number in 0..24 * limit {
        if let Acquired::Granted(grant) = bench.ask(&format!("t{number}"), number * 250) {
            grants.push(grant.permit.granted_at().as_millis());
        }
        let granted = bench.events().len();
        grants.extend(iter::repeat_n(at(number * 250).as_millis(), granted));
        while let Some(due) = bench.core.poll_timeout()
            && due < at((number + 1) * 250)
        {
            bench.core.handle_timeout(due);
            let granted = bench.events().len();
            grants.extend(iter::repeat_n(due.as_millis(), granted));
        }
    }
    let per_window = usize::try_from(limit).unwrap();
    for window in grants.windows(per_window + 1) {
        assert!(window[per_window] - window[0] > 60_250);
    }
    // 24 · 120 requests every 250 ms make twelve minutes.
    let possible = 12 * per_window;
    assert!(
        grants.len() * 100 >= possible * 99,
        "{} of {possible}",
        grants.len()
    );
}
