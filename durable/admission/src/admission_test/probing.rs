//! 试探规则的单元测试。
//!
//! One test per rule of what follows a refusal by the upstream.

use super::bench::{Bench, CYCLE, at, granted, id, queued, request, rpm};
use crate::protocol::{Accepted, Acquire, Limits, Settle, SettleOutcome};
use crate::{FORGET, SILENCE};
use core::time::Duration;

fn patient(limit: u64) -> Limits {
    Limits {
        queue_timeout: Duration::from_hours(5),
        ..rpm(limit)
    }
}

/// The next attempt of a request that the upstream refused for so many milliseconds.
fn refused_for(bench: &Bench, name: &str, attempt: u32, pause: u64) -> Acquire {
    let mut again = request(name, bench.limits);
    again.attempt = attempt;
    again.pause = Some(Duration::from_millis(pause));
    again
}

fn accept(bench: &mut Bench, name: &str, millis: u64) {
    let ticket = id(name);
    assert!(bench.core.accepted(&Accepted { ticket }, at(millis)));
}

/// One request went up and was refused; it leads after a second. Nine others wait.
fn refused_once() -> Bench {
    let mut bench = Bench::new(patient(100));
    bench.granted("a", 0);
    let again = refused_for(&bench, "a", 1, 1_000);
    queued(&bench.call(again, 100));
    for name in ["b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        bench.queued(name, 200);
    }
    bench
}

#[test]
fn a_refused_request_goes_back_to_its_place_its_tokens_are_given_back_and_its_request_is_not() {
    let mut bench = Bench::new(Limits {
        concurrency: Some(2),
        ..patient(10)
    });
    bench.granted("a", 0);
    bench.granted("b", 1);
    bench.queued("c", 2);
    let again = refused_for(&bench, "a", 1, 5_000);
    // At the head again, whatever has arrived meanwhile.
    assert_eq!(queued(&bench.call(again, 300)), 1);
    let live = bench.core.live(at(300));
    assert_eq!((live.rpm_used, live.tpm_used, live.in_flight), (2, 100, 1));
    assert_eq!(live.paused_until, Some(at(5_300)));
    assert!(live.probing);
    assert_eq!(bench.timer(5_300), ["a granted"]);
    accept(&mut bench, "a", 5_400);
    bench.settle("b", None, 5_500);
    assert_eq!(bench.events(), ["c granted"]);
}

#[test]
fn a_repeated_call_of_a_refused_attempt_pauses_only_once() {
    let mut bench = Bench::new(patient(10));
    bench.granted("a", 0);
    for (millis, pause) in [(300, 5_000), (400, 60_000)] {
        let again = refused_for(&bench, "a", 1, pause);
        assert_eq!(queued(&bench.call(again, millis)), 1);
    }
    assert_eq!(bench.timer(5_300), ["a granted"]);
}

#[test]
fn a_refusal_that_is_not_tried_again_is_settled_and_pauses_as_well() {
    let mut bench = Bench::new(patient(10));
    bench.granted("a", 0);
    let settle = Settle {
        pause: Some(Duration::from_secs(2)),
        ..Settle::new(id("a"), SettleOutcome::UpstreamRefused)
    };
    assert!(bench.core.settle(&settle, at(500)).is_some());
    let live = bench.core.live(at(500));
    assert_eq!((live.rpm_used, live.tpm_used, live.in_flight), (1, 0, 0));
    bench.queued("b", 600);
    assert_eq!(bench.timer(2_500), ["b granted"]);
}

#[test]
fn a_failed_connection_goes_back_to_its_place_without_a_pause() {
    let mut bench = Bench::new(Limits {
        concurrency: Some(1),
        ..patient(10)
    });
    bench.granted("a", 0);
    bench.queued("b", 1);
    let mut again = request("a", bench.limits);
    again.attempt = 1;
    assert!(!granted(bench.call(again, 100)).probe);
    assert_eq!(bench.events(), Vec::<String>::new());
}

#[test]
fn after_the_pause_one_leads_and_then_rounds_double() {
    let mut bench = refused_once();
    assert_eq!(bench.timer(1_100), ["a granted"]);
    // Nobody follows the lead; the ceiling of one is taken by it.
    accept(&mut bench, "a", 1_200);
    assert_eq!(bench.events(), ["b granted"]);
    accept(&mut bench, "b", 1_300);
    assert_eq!(bench.events(), ["c granted", "d granted"]);
    accept(&mut bench, "c", 1_400);
    assert_eq!(bench.events(), Vec::<String>::new());
    accept(&mut bench, "d", 1_500);
    assert_eq!(
        bench.events(),
        ["e granted", "f granted", "g granted", "h granted"]
    );
}

#[test]
fn after_a_round_of_64_everything_is_open() {
    let mut bench = Bench::new(patient(1_000));
    bench.granted("x", 0);
    let again = refused_for(&bench, "x", 1, 1_000);
    queued(&bench.call(again, 100));
    assert_eq!(bench.timer(1_100), ["x granted"]);
    bench.settle("x", None, 1_200);
    // 1 + 2 + 4 + … + 64.
    for number in 0..127 {
        assert!(bench.core.live(at(2_000)).probing);
        let name = format!("t{number}");
        assert!(bench.granted(&name, 2_000 + number).probe);
        bench.settle(&name, None, 2_000 + number);
    }
    assert!(!bench.core.live(at(3_000)).probing);
    assert!(!bench.granted("y", 3_000).probe);
}

#[test]
fn a_lost_probe_counts_as_accepted_after_its_silence() {
    let mut bench = refused_once();
    assert_eq!(bench.timer(1_100), ["a granted"]);
    let silence = u64::try_from(SILENCE.as_millis()).unwrap();
    assert_eq!(bench.timer(1_100 + silence), ["b granted"]);
    assert_eq!(bench.timer(1_100 + 2 * silence), ["c granted", "d granted"]);
}

#[test]
fn a_probe_that_never_reached_the_upstream_is_replaced() {
    let mut bench = refused_once();
    assert_eq!(bench.timer(1_100), ["a granted"]);
    bench.finish("a", None, SettleOutcome::NotSent, 1_150);
    assert_eq!(bench.events(), ["b granted"]);
    bench.finish("b", None, SettleOutcome::UpstreamFailed, 1_200);
    assert_eq!(bench.events(), ["c granted"]);
    accept(&mut bench, "c", 1_300);
    assert_eq!(bench.events(), ["d granted"]);
}

#[test]
fn a_second_refusal_goes_back_to_one_and_proves_a_pace() {
    let mut bench = refused_once();
    bench.timer(1_100);
    accept(&mut bench, "a", 1_200);
    assert_eq!(bench.events(), ["b granted"]);
    let again = refused_for(&bench, "b", 1, 2_000);
    // It still tells the position of its first entry.
    assert_eq!(queued(&bench.call(again, 1_300)), 2);
    // One leads; beyond it, one each 2.1 s: from the refused grant to the end of its pause.
    assert_eq!(bench.timer(3_300), ["b granted"]);
    accept(&mut bench, "b", 3_350);
    assert_eq!(bench.timer(5_400), ["c granted"]);
    accept(&mut bench, "c", 5_450);
    // 1/32 shorter.
    assert_eq!(bench.timer(7_500), ["d granted"]);
    accept(&mut bench, "d", 7_550);
    assert_eq!(bench.timer(7_500 + 2_035), ["e granted"]);
}

#[test]
fn a_storm_of_refusals_is_one_and_what_was_taken_is_the_ceiling() {
    let mut bench = Bench::new(patient(10));
    for name in ["a", "b", "c", "d", "e", "f"] {
        bench.granted(name, 0);
    }
    for (name, millis) in [("d", 100), ("e", 110), ("f", 120)] {
        let again = refused_for(&bench, name, 1, 61_000);
        queued(&bench.call(again, millis));
    }
    bench.queued("g", 200);
    bench.queued("h", 200);
    assert_eq!(bench.timer(61_120), ["d granted"]);
    accept(&mut bench, "d", 61_200);
    // Three in a window are known to be safe; the next one is a round of one.
    assert_eq!(bench.events(), ["e granted", "f granted", "g granted"]);
    accept(&mut bench, "g", 61_300);
    assert_eq!(bench.events(), ["h granted"]);
}

#[test]
fn a_ceiling_is_free_again_when_the_window_slides() {
    let mut bench = refused_once();
    bench.timer(1_100);
    accept(&mut bench, "a", 1_200);
    bench.events();
    let again = refused_for(&bench, "b", 1, 50_000);
    queued(&bench.call(again, 1_300));
    assert_eq!(bench.timer(51_300), ["b granted"]);
    accept(&mut bench, "b", 51_400);
    // Beyond the ceiling of one, one each 50.1 s.
    assert_eq!(bench.timer(51_300 + 50_100), ["c granted"]);
    accept(&mut bench, "c", 101_500);
    // Both have left before the next pace.
    let slides = 101_400 + CYCLE;
    let pace = 101_400 + 50_100 - 50_100 / 32;
    assert!(pace < slides);
    assert_eq!(bench.timer(101_400 + 50_100), ["d granted"]);
}

#[test]
fn what_is_believed_is_forgotten_in_time() {
    let mut bench = refused_once();
    bench.timer(1_100);
    bench.finish("a", None, SettleOutcome::Completed, 1_200);
    bench.events();
    let again = refused_for(&bench, "b", 1, 300_000);
    queued(&bench.call(again, 1_300));
    bench.core.handle_timeout(at(301_300));
    assert_eq!(bench.events(), ["b granted"]);
    accept(&mut bench, "b", 301_400);
    let forgotten = 301_300 + u64::try_from(FORGET.as_millis()).unwrap();
    bench.core.handle_timeout(at(forgotten));
    assert!(!bench.core.live(at(forgotten)).probing);
    assert_eq!(bench.core.live(at(forgotten)).queue_length, 0);
}

#[test]
fn a_grant_says_whether_it_probes() {
    let mut bench = Bench::new(patient(10));
    assert!(!bench.granted("a", 0).probe);
    let again = refused_for(&bench, "a", 1, 1_000);
    queued(&bench.call(again, 100));
    bench.timer(1_100);
    // The same permit again, uncharged.
    let again = refused_for(&bench, "a", 1, 1_000);
    assert!(granted(bench.call(again, 1_150)).probe);
    accept(&mut bench, "a", 1_200);
    let again = refused_for(&bench, "a", 1, 1_000);
    assert!(!granted(bench.call(again, 1_250)).probe);
}
