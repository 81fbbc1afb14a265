//! 预授的单元测试：何时给、给几张、怎样了结。
//!
//! One test per rule of permits granted ahead: when there are any, how many, and how each of them ends.

use super::bench::{Bench, at, id, queued, request, rpm};
use crate::model_test::Store;
use crate::protocol::{Ask, Block, BlockId, Limits, SettleOutcome, TicketId, Unused};
use crate::{AHEAD_LEASE, Admission};
use core::time::Duration;

fn block(name: &str) -> BlockId {
    BlockId::try_from(name.to_owned()).unwrap()
}

/// For requests of the bench's size: 100 tokens each.
fn ask(name: &str, count: u64, limits: Limits) -> Ask {
    Ask {
        block: block(name),
        count,
        note: "ahead".to_owned(),
        model: "model".to_owned(),
        prompt_bytes: 200,
        output_tokens_max: Some(50),
        limits,
    }
}

fn grant(bench: &mut Bench, name: &str, count: u64, millis: u64) -> Option<Block> {
    let ask = ask(name, count, bench.limits);
    bench.core.grant_ahead(&ask, at(millis))
}

fn count(block: Option<Block>) -> u64 {
    block.map_or(0, |block| block.count())
}

/// Takes all permits of the block out and returns their tickets.
fn tickets(mut block: Block) -> Vec<TicketId> {
    let taken = std::iter::from_fn(|| block.take());
    taken.map(|grant| grant.permit.ticket().clone()).collect()
}

#[test]
fn at_most_an_eighth_of_what_is_left_goes_ahead_and_it_counts_at_once() {
    let mut bench = Bench::new(Limits {
        tpm: Some(80_000),
        ..rpm(400)
    });
    let block = grant(&mut bench, "b", 64, 0).unwrap();
    assert_eq!((block.count(), block.left()), (50, 50));
    let live = bench.core.live(at(0));
    assert_eq!(
        (live.rpm_used, live.tpm_used, live.in_flight),
        (50, 5_000, 50)
    );
    assert_eq!(tickets(block).len(), 50);
    assert_eq!(count(grant(&mut bench, "c", 64, 1)), 43, "of 350");
}

#[test]
fn tokens_and_slots_bound_it_as_requests_do() {
    let mut bench = Bench::new(Limits {
        tpm: Some(8_000),
        ..rpm(4_000)
    });
    assert_eq!(count(grant(&mut bench, "b", 64, 0)), 10);
    let mut bench = Bench::new(Limits {
        concurrency: Some(72),
        ..rpm(4_000)
    });
    assert_eq!(count(grant(&mut bench, "b", 64, 0)), 9);
    let mut bench = Bench::new(Limits::default());
    assert_eq!(count(grant(&mut bench, "b", 64, 0)), 64, "unlimited");
}

#[test]
fn nothing_goes_ahead_where_half_of_a_limit_is_used() {
    let mut bench = Bench::new(rpm(140));
    for number in 0..69 {
        bench.granted(&format!("r{number}"), 0);
    }
    assert_eq!(count(grant(&mut bench, "b", 1, 0)), 1);
    assert_eq!(count(grant(&mut bench, "c", 1, 0)), 0);
}

#[test]
fn nothing_goes_ahead_where_there_is_room_for_fewer_than_eight() {
    assert_eq!(count(grant(&mut Bench::new(rpm(63)), "b", 1, 0)), 0);
    assert_eq!(count(grant(&mut Bench::new(rpm(64)), "b", 1, 0)), 1);
}

#[test]
fn nothing_goes_ahead_where_somebody_waits_or_nobody_may_go() {
    let mut bench = Bench::new(Limits {
        tpm: Some(80_000),
        ..Limits::default()
    });
    let mut large = request("large", bench.limits);
    large.prompt_bytes = 4_000_000;
    bench.granted("small", 0);
    queued(&bench.call(large, 1));
    assert_eq!(count(grant(&mut bench, "b", 9, 2)), 0, "somebody waits");

    let mut bench = Bench::new(rpm(400));
    bench.core.pause_until(at(500), at(0));
    assert_eq!(count(grant(&mut bench, "b", 9, 499)), 0, "paused");
    assert_eq!(count(grant(&mut bench, "b", 9, 500)), 9);

    let mut bench = Bench::new(rpm(400));
    bench.granted("a", 0);
    bench.finish("a", None, SettleOutcome::UpstreamRefused, 1);
    assert_eq!(count(grant(&mut bench, "b", 9, 9_000)), 0, "probing");

    let off = Limits {
        enabled: false,
        ..rpm(400)
    };
    assert_eq!(count(grant(&mut Bench::new(off), "b", 9, 0)), 0, "disabled");
    let short = Limits {
        lease: AHEAD_LEASE.saturating_sub(Duration::from_millis(1)),
        ..rpm(400)
    };
    assert_eq!(count(grant(&mut Bench::new(short), "b", 9, 0)), 0);
    assert_eq!(count(grant(&mut Bench::new(rpm(0)), "b", 9, 0)), 0);
}

#[test]
fn the_same_question_again_has_the_same_answer() {
    let mut bench = Bench::new(rpm(400));
    let first = tickets(grant(&mut bench, "b", 9, 0).unwrap());
    let again = grant(&mut bench, "b", 9, 700).unwrap();
    assert_eq!(tickets(again), first);
    assert_eq!(bench.core.live(at(700)).rpm_used, 9);
}

#[test]
fn what_goes_back_unused_was_never_granted() {
    let mut bench = Bench::new(rpm(400));
    grant(&mut bench, "b", 9, 0).unwrap();
    let unused = Unused {
        block: block("b"),
        first: 2,
        count: 7,
    };
    for ticket in unused.tickets() {
        assert!(bench.core.take_back(&ticket, at(90)));
        assert!(!bench.core.take_back(&ticket, at(90)), "once");
    }
    let live = bench.core.live(at(90));
    assert_eq!((live.rpm_used, live.in_flight, live.tpm_used), (2, 2, 200));
    assert_eq!(bench.events(), [""; 0]);
}

#[test]
fn one_that_is_in_use_never_goes_back_and_lives_as_long_as_any_other() {
    let mut bench = Bench::new(rpm(400));
    let tickets = tickets(grant(&mut bench, "b", 2, 0).unwrap());
    assert!(bench.core.used(&tickets[0], at(1_000)));
    assert!(!bench.core.used(&tickets[0], at(1_001)), "it is known");
    assert!(!bench.core.take_back(&tickets[0], at(1_002)));
    // Nothing is known of the other one.
    let end = format!("{} expired", tickets[1]);
    assert_eq!(bench.timer(5_000), [end]);
    assert_eq!(bench.core.next_lease_end(), Some(at(900_000)));
    assert!(bench.settle(tickets[0].as_str(), Some(7), 60_000));
    assert!(!bench.settle(tickets[1].as_str(), Some(7), 60_000), "late");
}

#[test]
fn one_that_ended_is_unknown_whatever_is_said_of_it() {
    let mut bench = Bench::new(rpm(400));
    let ticket = tickets(grant(&mut bench, "b", 1, 0).unwrap()).remove(0);
    assert!(bench.settle(ticket.as_str(), Some(7), 10));
    assert!(!bench.core.used(&ticket, at(11)) && !bench.core.take_back(&ticket, at(12)));
    assert_eq!(bench.core.live(at(12)).tpm_used, 7);
    assert!(!bench.core.used(&id("nobody"), at(13)));
}

#[test]
fn one_that_the_upstream_refused_waits_again_as_any_other() {
    let mut bench = Bench::new(rpm(400));
    let ticket = tickets(grant(&mut bench, "b", 3, 0).unwrap()).remove(0);
    let mut again = request(ticket.as_str(), bench.limits);
    again.attempt = 1;
    again.pause = Some(Duration::from_secs(2));
    assert_eq!(queued(&bench.call(again, 100)), 1);
    assert!(!bench.core.used(&ticket, at(1_000)));
    assert_eq!(bench.timer(2_100), [format!("{ticket} granted")]);
    assert!(bench.core.next_lease_end().unwrap() > at(2_100));
}

#[test]
fn a_crash_forgets_no_permit_that_is_out_and_each_has_its_end() {
    let mut bench = Bench::new(rpm(400));
    let tickets = tickets(grant(&mut bench, "b", 3, 0).unwrap());
    assert!(bench.core.used(&tickets[0], at(1_000)));
    let mut store = Store::default();
    let changes = bench.core.take_changes();
    bench.core.committed(changes.sequence);
    store.write(changes);
    bench.core = Admission::restore(store.read(), at(2_000));
    assert!(bench.core.take_back(&tickets[1], at(2_001)));
    assert_eq!(bench.timer(5_000), [format!("{} expired", tickets[2])]);
    assert!(bench.settle(tickets[0].as_str(), Some(7), 60_000));
}
