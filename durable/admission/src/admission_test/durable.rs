//! 持久与重启的单元测试。
//!
//! One test per rule of durability: when to write, and what a restart remembers.

use super::bench::{Bench, CYCLE, at, id, queued, refused, request, rpm};
use crate::model_test::Store;
use crate::protocol::{Limits, OnFull, RefusalReason, SettleOutcome};
use crate::{Admission, Commit, REENTRY_GRACE, SEAL_AFTER, SENT_BY, State};
use core::time::Duration;

/// A bench with a store behind it.
struct Shell {
    bench: Bench,
    store: Store,
}

impl Shell {
    fn new(limits: Limits) -> Self {
        Self {
            bench: Bench::new(limits),
            store: Store::default(),
        }
    }

    fn commit(&mut self) {
        let changes = self.bench.core.take_changes();
        let sequence = changes.sequence;
        self.store.write(changes);
        self.bench.core.committed(sequence);
        assert_eq!(self.bench.core.needs_commit(), Commit::Nothing);
    }

    fn crash(&mut self, millis: u64) {
        self.bench.core = Admission::restore(self.store.read(), at(millis));
    }
}

fn patient(limit: u64) -> Limits {
    Limits {
        queue_timeout: Duration::from_mins(5),
        ..rpm(limit)
    }
}

#[test]
fn a_grant_beyond_the_allowance_must_be_written_at_once_and_the_rest_soon() {
    let mut shell = Shell::new(patient(100));
    assert_eq!(shell.bench.core.needs_commit(), Commit::Nothing);
    shell.bench.granted("a", 0);
    assert_eq!(shell.bench.core.needs_commit(), Commit::Now);
    shell.commit();
    // Two in a hundred may be granted beyond what is written.
    for (name, needed) in [("b", Commit::Soon), ("c", Commit::Soon), ("d", Commit::Now)] {
        shell.bench.granted(name, 1);
        assert_eq!(shell.bench.core.needs_commit(), needed, "{name}");
    }
    shell.commit();
    shell.bench.settle("a", Some(1), 2);
    assert_eq!(shell.bench.core.needs_commit(), Commit::Soon);
}

#[test]
fn a_request_that_may_have_been_sent_late_counts_from_then_after_a_crash() {
    let sent_by = crate::time::millis(SENT_BY);
    // The crash comes before anything could be heard of it: it may have been sent up to the restart.
    let mut shell = Shell::new(patient(10));
    shell.bench.granted("a", 0);
    shell.commit();
    shell.crash(700);
    assert_eq!(shell.bench.core.live(at(700 + CYCLE - 1)).rpm_used, 1);
    assert_eq!(shell.bench.core.live(at(700 + CYCLE)).rpm_used, 0);
    // What is moved is stored where it is now.
    shell.commit();
    shell.crash(20_000);
    assert_eq!(shell.bench.core.live(at(sent_by + CYCLE - 1)).rpm_used, 1);
    assert_eq!(shell.bench.core.live(at(sent_by + CYCLE)).rpm_used, 0);
}

#[test]
fn a_request_that_ended_or_was_not_said_to_be_late_in_time_counts_from_its_grant_after_a_crash() {
    let sent_by = crate::time::millis(SENT_BY);
    let mut shell = Shell::new(patient(10));
    shell.bench.granted("ended", 0);
    shell.bench.granted("long-ago", 0);
    shell.bench.settle("ended", None, 100);
    shell.commit();
    shell.crash(500);
    let ended = shell.bench.core.live(at(CYCLE)).rpm_used;
    assert_eq!(ended, 1, "only the other one may have been late");
    let mut shell = Shell::new(patient(10));
    shell.bench.granted("long-ago", 0);
    shell.bench.granted("other", sent_by);
    shell.commit();
    shell.crash(sent_by);
    assert_eq!(shell.bench.core.live(at(CYCLE)).rpm_used, 1);
    assert_eq!(shell.bench.core.live(at(sent_by + CYCLE)).rpm_used, 0);
}

#[test]
fn few_slots_and_few_requests_have_no_allowance() {
    for limits in [
        patient(49),
        Limits {
            concurrency: Some(49),
            ..patient(1_000)
        },
    ] {
        let mut shell = Shell::new(limits);
        for name in ["a", "b", "c"] {
            shell.bench.granted(name, 0);
            assert_eq!(shell.bench.core.needs_commit(), Commit::Now);
            shell.commit();
        }
    }
}

#[test]
fn what_may_have_been_granted_since_the_record_counts_from_the_restart() {
    let mut shell = Shell::new(patient(100));
    shell.bench.granted("a", 0);
    shell.bench.settle("a", None, 0);
    shell.commit();
    shell.bench.granted("b", 1);
    shell.crash(500);
    // One that is known, and two that may have been.
    assert_eq!(shell.bench.core.live(at(500)).rpm_used, 3);
    assert_eq!(shell.bench.core.live(at(CYCLE)).rpm_used, 2);
    assert_eq!(shell.bench.core.live(at(500 + CYCLE)).rpm_used, 0);
}

#[test]
fn an_idle_object_restarts_for_free() {
    let mut shell = Shell::new(patient(100));
    shell.bench.granted("a", 0);
    shell.commit();
    shell.bench.settle("a", Some(10), 300);
    shell.commit();
    let sealed = u64::try_from(SEAL_AFTER.as_millis()).unwrap();
    assert_eq!(shell.bench.timer(sealed), Vec::<String>::new());
    assert_eq!(shell.bench.core.needs_commit(), Commit::Soon);
    shell.commit();
    shell.crash(5_000);
    let live = shell.bench.core.live(at(5_000));
    assert_eq!((live.rpm_used, live.tpm_used), (1, 10));
    // The next grant waits for its write.
    shell.bench.granted("b", 5_001);
    assert_eq!(shell.bench.core.needs_commit(), Commit::Now);
}

#[test]
fn forgotten_permits_keep_their_slots_for_one_lease_time() {
    let limits = Limits {
        concurrency: Some(100),
        lease: Duration::from_secs(20),
        ..patient(10_000)
    };
    let mut shell = Shell::new(limits);
    shell.bench.granted("first", 0);
    shell.commit();
    for number in 0..97 {
        shell.bench.granted(&format!("t{number}"), 1);
    }
    shell.commit();
    shell.bench.granted("x", 2);
    shell.bench.granted("y", 2);
    assert_eq!(shell.bench.core.needs_commit(), Commit::Soon);
    shell.crash(100);
    assert_eq!(shell.bench.core.live(at(100)).in_flight, 98);
    shell.bench.queued("z", 200);
    // The known ones end first, at their own time.
    let events = shell.bench.timer(20_000);
    assert_eq!(events, ["first expired", "z granted"]);
    shell.bench.core.handle_timeout(at(20_001));
    assert_eq!(shell.bench.events().len(), 97);
    assert_eq!(shell.bench.core.poll_timeout(), Some(at(20_100)));
}

#[test]
fn waiters_come_back_at_their_old_places_and_nobody_passes_them_meanwhile() {
    let mut shell = Shell::new(patient(3));
    for name in ["x", "y", "z"] {
        shell.bench.granted(name, 0);
    }
    for name in ["x", "y", "z"] {
        shell.bench.settle(name, None, 500);
    }
    for name in ["a", "b", "c"] {
        shell.bench.queued(name, 1_000);
    }
    shell.commit();
    shell.crash(CYCLE);
    // There is room, but not for somebody new.
    assert_eq!(shell.bench.queued("new", CYCLE + 10), 4);
    let c = shell.bench.queued("c", CYCLE + 20);
    assert_eq!(c, 3, "its position at its first entry");
    assert_eq!(shell.bench.events(), Vec::<String>::new());
    let a = shell.bench.granted("a", CYCLE + 30);
    assert_eq!(a.admission.wait, Duration::from_millis(CYCLE + 30 - 1_000));
    shell.bench.granted("b", CYCLE + 40);
    assert_eq!(shell.bench.events(), ["c granted"]);
}

#[test]
fn who_does_not_come_back_makes_way_after_the_grace() {
    let mut shell = Shell::new(patient(1));
    shell.bench.granted("x", 0);
    shell.bench.settle("x", None, 500);
    shell.bench.queued("a", 1_000);
    shell.bench.queued("b", 1_000);
    shell.commit();
    shell.crash(CYCLE);
    queued(&shell.bench.ask("b", CYCLE + 20));
    let grace = u64::try_from(REENTRY_GRACE.as_millis()).unwrap();
    assert_eq!(
        shell.bench.timer(CYCLE + grace),
        ["a cancelled", "b granted"]
    );
}

#[test]
fn a_waiter_that_was_not_written_comes_back_by_its_arrival() {
    let mut shell = Shell::new(patient(0));
    shell.bench.queued("a", 100);
    shell.commit();
    shell.bench.queued("b", 200);
    shell.crash(1_000);
    shell.bench.queued("new", 1_010);
    for (name, arrival, position) in [("b", 200, 2), ("a", 100, 1)] {
        let mut back = request(name, shell.bench.limits);
        back.arrival = Some(at(arrival));
        assert_eq!(queued(&shell.bench.call(back, 1_020)), position);
    }
    shell.bench.core.set_limits(
        Limits {
            version: 2,
            ..patient(9)
        },
        at(1_030),
    );
    assert_eq!(
        shell.bench.events(),
        ["a granted", "b granted", "new granted"]
    );
}

#[test]
fn who_was_let_in_before_is_not_evicted_and_fills_no_place() {
    for on_full in [OnFull::EvictOldest, OnFull::RejectNewest] {
        let mut shell = Shell::new(Limits {
            queue_max: 1,
            on_full,
            ..patient(0)
        });
        shell.bench.queued("a", 0);
        shell.commit();
        shell.crash(100);
        // The absent one is no obstacle, and comes back whoever has come meanwhile.
        shell.bench.queued("b", 110);
        queued(&shell.bench.ask("a", 120));
        let mut retried = request("c", shell.bench.limits);
        retried.attempt = 1;
        queued(&shell.bench.call(retried, 130));
        assert_eq!(shell.bench.events(), Vec::<String>::new());
        let full = shell.bench.ask("d", 140);
        match on_full {
            OnFull::EvictOldest => {
                queued(&full);
                assert_eq!(shell.bench.events(), ["b queue_evicted"]);
            }
            OnFull::RejectNewest => assert_eq!(refused(full).reason, RefusalReason::QueueFull),
        }
    }
}

#[test]
fn a_permit_survives_a_restart_and_is_settled_once() {
    let mut shell = Shell::new(patient(100));
    let permit = shell.bench.granted("a", 0).permit;
    shell.commit();
    shell.crash(100);
    assert_eq!(shell.bench.granted("a", 200).permit, permit);
    assert!(shell.bench.settle("a", Some(5), 300));
    assert!(!shell.bench.settle("a", Some(5), 300));
    assert_eq!(shell.bench.core.live(at(300)).in_flight, 0);
}

#[test]
fn pause_probing_limits_and_versions_survive_a_restart() {
    let mut shell = Shell::new(patient(100));
    shell.bench.granted("a", 0);
    let mut again = request("a", shell.bench.limits);
    (again.attempt, again.pause) = (1, Some(Duration::from_secs(3)));
    again.config_version = 17;
    queued(&shell.bench.call(again.clone(), 100));
    shell.commit();
    shell.crash(200);
    let live = shell.bench.core.live(at(200));
    assert_eq!(live.paused_until, Some(at(3_100)));
    assert_eq!((live.rpm_limit, live.config_version), (Some(100), 17));
    assert!(live.probing);
    again.limits = Limits::default();
    queued(&shell.bench.call(again, 300));
    shell.bench.queued("b", 400);
    assert_eq!(shell.bench.timer(3_100), ["a granted"]);
    shell.commit();
    shell.crash(3_200);
    shell.bench.core.handle_timeout(at(5_000));
    assert_eq!(shell.bench.events(), ["b cancelled"]);
    // The lead was out and silent.
    assert!(!shell.bench.granted("a", 5_000).probe);
    assert!(shell.bench.granted("c", 5_000).probe);
}

#[test]
fn what_is_due_at_the_restart_is_done_then() {
    let mut shell = Shell::new(Limits {
        lease: Duration::from_secs(5),
        queue_timeout: Duration::from_secs(7),
        ..rpm(1)
    });
    shell.bench.granted("a", 0);
    shell.bench.queued("b", 1);
    shell.commit();
    shell.crash(9_000);
    assert_eq!(shell.bench.events(), ["a expired", "b queue_timeout"]);
}

#[test]
fn a_clock_that_went_back_over_a_restart_is_held() {
    let mut shell = Shell::new(patient(1));
    shell.bench.granted("a", 50_000);
    shell.commit();
    shell.crash(0);
    assert_eq!(shell.bench.core.live(at(0)).rpm_used, 1);
    shell.bench.queued("b", 0);
    assert_eq!(shell.bench.timer(50_000 + CYCLE), ["b granted"]);
}

#[test]
fn a_whole_checkpoint_is_the_sum_of_all_changes() {
    let mut shell = Shell::new(patient(3));
    for (number, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        shell.bench.ask(name, u64::try_from(number).unwrap() * 900);
        if number % 2 == 0 {
            shell.commit();
        }
    }
    shell.bench.finish("a", None, SettleOutcome::NotSent, 5_000);
    shell.commit();
    let whole = shell.bench.core.checkpoint();
    let stored = shell.store.read();
    assert_eq!(whole.buckets, stored.buckets);
    assert_eq!(whole.leases, stored.leases);
    assert_eq!(whole.waiters, stored.waiters);
    assert!(whole.sequence > 0 && whole.state.is_some());
}

#[test]
fn nothing_stored_is_a_fresh_core() {
    let mut bench = Bench::new(rpm(2));
    bench.core = Admission::restore(State::default(), at(5));
    assert_eq!(bench.core.poll_timeout(), None);
    bench.granted("a", 6);
    assert!(bench.core.take_changes().state.is_some());
    assert!(!bench.core.take_changes().is_empty());
    assert!(crate::Changes::default().is_empty());
}

/// One short life: permits, waiters, a refusal, settlements, in eleven steps.
fn step(bench: &mut Bench, number: u64) {
    let now = number * 400;
    match number {
        0..6 => {
            bench.ask(&format!("t{number}"), now);
        }
        6 => {
            let mut again = request("t1", bench.limits);
            (again.attempt, again.pause) = (1, Some(Duration::from_millis(700)));
            bench.call(again, now);
        }
        7 => {
            bench.settle("t0", Some(400), now);
        }
        8 => {
            bench.core.cancel(&id("t4"), at(now));
        }
        _ => bench.core.handle_timeout(at(now)),
    }
}

#[test]
fn a_restart_after_any_step_and_any_commit_loses_no_request_and_never_overgrants() {
    let limits = Limits {
        tpm: Some(1_000),
        ..patient(4)
    };
    for committed in 0..=10 {
        for died in committed..=10 {
            let mut shell = Shell::new(limits);
            for number in 0..=died {
                step(&mut shell.bench, number);
                let must = shell.bench.core.needs_commit() == Commit::Now;
                if must || number <= committed {
                    shell.commit();
                }
            }
            let before = shell.bench.core.live(at(died * 400));
            shell.crash(died * 400);
            let after = shell.bench.core.live(at(died * 400));
            assert!(after.rpm_used >= before.rpm_used, "{committed} {died}");
            // Everybody calls again, and everything comes to its end.
            for number in 0..6 {
                let mut back = request(&format!("t{number}"), limits);
                back.arrival = Some(at(number * 400));
                back.attempt = 2;
                shell.bench.call(back, died * 400 + 100);
            }
            while let Some(due) = shell.bench.core.poll_timeout() {
                shell.bench.core.handle_timeout(due);
                let used = shell.bench.core.live(due).rpm_used;
                assert!(
                    used <= 4 + u64::from(after.rpm_used > 4),
                    "{committed} {died}"
                );
            }
            let live = shell.bench.core.live(at(0));
            assert_eq!((live.queue_length, live.in_flight, live.stalls), (0, 0, 0));
        }
    }
}
