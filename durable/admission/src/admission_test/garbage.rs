//! 重启时读到胡言乱语：不崩溃、不卡死、不永久占用。
//!
//! Garbage in the store: whatever the rows say, a restart is bounded and ends by itself.

use super::bench::{Bench, at, rpm};
use crate::model_test::Random;
use crate::state::ProbeRow;
use crate::{Admission, BucketRow, LeaseRow, ModelRow, State, StateRow, WaiterRow};
use core::time::Duration;

#[test]
fn garbage_in_the_store_neither_panics_nor_hangs_nor_frees_anything_for_ever() {
    let seed = 4_711;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    for _ in 0..3_000 {
        let state = garbage(&mut random);
        let mut bench = Bench::new(rpm(1_000));
        bench.core = Admission::restore(state, at(0));
        for number in 0..5 {
            bench.ask(&format!("t{number}"), number);
        }
        for _ in 0..40 {
            let Some(due) = bench.core.poll_timeout() else {
                break;
            };
            bench.core.handle_timeout(due);
            bench.events();
        }
        let whole = bench.core.checkpoint();
        let far = Duration::from_hours(24 * 40);
        let mut again = Admission::restore(whole, at(0).saturating_add(far));
        again.handle_timeout(at(0).saturating_add(2 * far));
        let live = again.live(at(0));
        assert_eq!((live.in_flight, live.queue_length, live.stalls), (0, 0, 0));
    }
}

/// Rows of numbers at the edges, some of them plausible.
fn garbage(random: &mut Random) -> State {
    let now = at(0).as_millis();
    let numbers = [
        0,
        1,
        2,
        60_000,
        now - 1_000,
        now,
        now + 1_000,
        now / 100,
        (1 << 53) - 1,
        u64::MAX,
    ];
    let names = ["a", "b", "t1", "", "no ticket", "t2"];
    let mut number = || random.pick(&numbers);
    let mut state = StateRow {
        instant_ms: number(),
        entered: number(),
        config_version: number(),
        paused_until_ms: number(),
        allowance_requests: number(),
        allowance_tokens: number(),
        ..StateRow::default()
    };
    state.lost.resize_with(3, Default::default);
    for lost in &mut state.lost {
        (lost.until_ms, lost.slots) = (number(), number());
    }
    let mut probe = ProbeRow::default();
    for field in [
        &mut probe.ceiling,
        &mut probe.lead,
        &mut probe.round,
        &mut probe.left,
        &mut probe.pace_ms,
        &mut probe.pace_at_ms,
        &mut probe.refused_at_ms,
        &mut probe.forget_at_ms,
    ] {
        *field = number();
    }
    state.probe = Some(probe);
    let mut rows = State {
        state: Some(state),
        ..State::default()
    };
    for _ in 0..6 {
        let mut number = || random.pick(&numbers);
        rows.buckets.push(BucketRow {
            bucket: number(),
            requests: number(),
            tokens: number(),
            refused: number(),
        });
        let mut lease = LeaseRow::default();
        let mut waiter = WaiterRow::default();
        for field in [
            &mut lease.granted_at_ms,
            &mut lease.expires_at_ms,
            &mut lease.bucket,
            &mut lease.reserved_tokens,
            &mut lease.attempt,
            &mut lease.position,
            &mut lease.wait_ms,
            &mut lease.arrival_ms,
            &mut lease.sequence,
            &mut lease.prompt_bytes,
            &mut lease.probe,
            &mut waiter.arrival_ms,
            &mut waiter.sequence,
            &mut waiter.deadline_ms,
            &mut waiter.tokens,
            &mut waiter.position,
            &mut waiter.attempt,
            &mut waiter.prompt_bytes,
        ] {
            *field = number();
        }
        rows.models.push(ModelRow {
            model: "m".repeat(usize::try_from(number() % 5).unwrap()),
            used: number(),
            epochs: number(),
            prompt_mean: number(),
            prompt_deviation: number(),
            output_mean: number(),
            output_deviation: number(),
        });
        random.pick(&names).clone_into(&mut lease.ticket);
        random.pick(&names).clone_into(&mut waiter.ticket);
        rows.leases.push(lease);
        rows.waiters.push(waiter);
    }
    rows
}
