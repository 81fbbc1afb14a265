//! 溢出规则的测试。
//!
//! Which server a request is sent to next, for every answer that a limiter can give.

use admission::protocol::AdmissionFacts;
use proptest::prelude::*;

use super::*;
use crate::config::tests::server;

fn servers(first: Overflow, count: usize) -> Vec<Server> {
    let mut servers: Vec<_> = (0..count)
        .map(|position| server(&format!("s{position}"), position as u64, &["m"]))
        .collect();
    if let Some(server) = servers.first_mut() {
        server.overflow = first;
    }
    servers
}

fn plan(first: Overflow, count: usize) -> Plan {
    Plan::new(servers(first, count).iter())
}

fn next_server(count: usize) -> Plan {
    plan(Overflow::NextServer, count)
}

const fn queue(index: usize) -> Step {
    let mode = Mode::Queue;
    Step { index, mode }
}

const fn if_free(index: usize) -> Step {
    let mode = Mode::OnlyIfFree;
    Step { index, mode }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn refusal(reason: RefusalReason, retry_after: Duration) -> Refusal {
    Refusal {
        reason,
        retry_after,
        admission: AdmissionFacts::default(),
    }
}

fn busy(retry_after: u64) -> Refusal {
    let retry_after = Duration::from_secs(retry_after);
    refusal(RefusalReason::DeadlineUnreachable, retry_after)
}

/// The step after each candidate has been refused with its estimate.
fn after_estimates(estimates: &[Option<Duration>]) -> Option<Step> {
    let mut plan = next_server(estimates.len());
    for (index, estimate) in estimates.iter().enumerate() {
        assert_eq!(plan.next(), Some(if_free(index)));
        plan.refused(index, *estimate);
    }
    plan.next()
}

#[test]
fn request_waits_at_the_first_server_by_default() {
    let mut plan = plan(Overflow::Wait, 3);
    assert_eq!(plan.next(), Some(queue(0)));
    let full = refusal(RefusalReason::QueueFull, Duration::ZERO);
    assert_eq!(plan.after_refusal(queue(0), &full), None);
}

#[test]
fn request_without_a_choice_waits_at_once() {
    assert_eq!(next_server(1).next(), Some(queue(0)));
    assert_eq!(next_server(0).next(), None);
}

#[test]
fn request_that_would_have_to_wait_takes_the_next_server_that_is_free() {
    let mut plan = next_server(3);
    assert_eq!(plan.next(), Some(if_free(0)));
    plan.refused(0, Some(seconds(1)));
    assert_eq!(plan.next(), Some(if_free(1)));
    plan.granted(1);
    assert_eq!(plan.next(), Some(queue(1)));
}

#[test]
fn overflow_of_the_first_server_decides_for_the_request() {
    let mut servers = servers(Overflow::Wait, 2);
    servers[1].overflow = Overflow::NextServer;
    assert_eq!(Plan::new(servers.iter()).next(), Some(queue(0)));
    let mut plan = Plan::new(servers.iter().rev());
    plan.refused(0, Some(seconds(9)));
    assert_eq!(
        plan.next(),
        Some(if_free(1)),
        "the second one is asked, though it says wait"
    );
    plan.refused(1, Some(seconds(10)));
    assert_eq!(plan.next(), Some(queue(0)));
}

#[test]
fn request_that_finds_no_free_server_waits_where_the_estimate_is_shortest() {
    assert_eq!(
        after_estimates(&[Some(seconds(3)), Some(seconds(1)), Some(seconds(2))]),
        Some(queue(1))
    );
    assert_eq!(
        after_estimates(&[Some(seconds(2)), Some(seconds(1)), Some(seconds(1))]),
        Some(queue(1)),
        "configured order"
    );
    assert_eq!(
        after_estimates(&[None, Some(seconds(90)), None]),
        Some(queue(1)),
        "unknown comes last"
    );
    assert_eq!(after_estimates(&[None, None]), Some(queue(0)));
}

#[test]
fn asking_again_without_an_answer_gives_the_same_step() {
    let mut plan = next_server(2);
    assert_eq!(
        (plan.next(), plan.next()),
        (Some(if_free(0)), Some(if_free(0)))
    );
    plan.refused(0, None);
    plan.refused(0, None);
    assert_eq!(plan.next(), Some(if_free(1)));
    plan.refused(99, None);
    assert_eq!(
        plan.next(),
        Some(if_free(1)),
        "an index that is no candidate changes nothing"
    );
}

#[test]
fn request_stays_with_the_server_that_has_granted_it() {
    let mut plan = next_server(3);
    plan.refused(0, Some(seconds(1)));
    plan.granted(1);
    assert_eq!(plan.next(), Some(queue(1)));
    for reason in [RefusalReason::QueueTimeout, RefusalReason::Disabled] {
        let refusal = refusal(reason, Duration::ZERO);
        assert_eq!(plan.after_refusal(queue(1), &refusal), None);
    }
}

#[test]
fn refusal_for_want_of_room_leads_on_and_the_one_in_the_queue_is_the_answer() {
    let mut plan = next_server(2);
    let step = plan.next().unwrap();
    assert_eq!(plan.after_refusal(step, &busy(5)), Some(if_free(1)));
    assert_eq!(plan.after_refusal(if_free(1), &busy(2)), Some(queue(1)));
    for reason in [
        RefusalReason::QueueTimeout,
        RefusalReason::QueueEvicted,
        RefusalReason::DeadlineUnreachable,
        RefusalReason::Cancelled,
    ] {
        let refusal = refusal(reason, Duration::from_secs(1));
        assert_eq!(
            plan.clone().after_refusal(queue(1), &refusal),
            None,
            "{reason:?}"
        );
    }
}

#[test]
fn retry_after_of_a_server_without_estimate_is_not_taken_for_one() {
    let mut plan = next_server(2);
    let unknown = refusal(RefusalReason::DeadlineUnreachable, RETRY_AFTER_UNKNOWN);
    plan.after_refusal(if_free(0), &unknown);
    assert_eq!(plan.after_refusal(if_free(1), &busy(500)), Some(queue(1)));
}

#[test]
fn server_that_takes_no_one_is_passed_over() {
    for reason in [
        RefusalReason::QueueFull,
        RefusalReason::Disabled,
        RefusalReason::Overloaded,
    ] {
        let closed = refusal(reason, Duration::from_secs(1));
        let mut plan = next_server(2);
        assert_eq!(plan.after_refusal(if_free(0), &closed), Some(if_free(1)));
        assert_eq!(plan.after_refusal(if_free(1), &busy(9)), Some(queue(1)));
        assert_eq!(
            plan.after_refusal(queue(1), &closed),
            None,
            "nobody is left"
        );
    }
}

#[test]
fn queue_that_closes_at_the_last_moment_gives_way_to_the_next_shortest() {
    let mut plan = next_server(3);
    for (index, estimate) in [4, 1, 2].into_iter().enumerate() {
        plan.refused(index, Some(seconds(estimate)));
    }
    let full = refusal(RefusalReason::QueueFull, Duration::from_secs(1));
    assert_eq!(plan.after_refusal(queue(1), &full), Some(queue(2)));
    assert_eq!(plan.after_refusal(queue(2), &full), Some(queue(0)));
}

#[test]
fn unanswering_limiters_leave_nobody_to_ask() {
    let mut plan = next_server(2);
    plan.unavailable(0);
    assert_eq!(plan.next(), Some(if_free(1)));
    plan.unavailable(1);
    assert_eq!(plan.next(), None);
}

#[test]
fn number_of_servers_asked_is_bounded() {
    let mut plan = next_server(CANDIDATES_MAX + 5);
    let mut asked = Vec::new();
    while let Some(step) = plan.next().filter(|step| step.mode == Mode::OnlyIfFree) {
        plan.refused(step.index, None);
        asked.push(step.index);
    }
    assert_eq!(asked.len(), CANDIDATES_MAX);
    assert_eq!(plan.next(), Some(queue(0)));
}

#[test]
fn only_a_request_that_waits_keeps_the_waiting_time_of_its_client() {
    assert_eq!(Mode::Queue.wait_max(Some(seconds(5))), Some(seconds(5)));
    assert_eq!(Mode::Queue.wait_max(None), None);
    assert_eq!(
        Mode::OnlyIfFree.wait_max(Some(seconds(5))),
        Some(Duration::ZERO)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_plan_ends_and_waits_only_once_all_were_asked(
        count in 0_usize..20,
        refusals in proptest::collection::vec((0_usize..8, 0_u64..4), 64),
    ) {
        const REASONS: [RefusalReason; 7] = [
            RefusalReason::DeadlineUnreachable, RefusalReason::QueueTimeout, RefusalReason::QueueEvicted,
            RefusalReason::QueueFull, RefusalReason::Disabled, RefusalReason::Cancelled, RefusalReason::Overloaded,
        ];
        let mut plan = next_server(count);
        let mut step = plan.next();
        let mut unasked = 0..count.min(CANDIDATES_MAX);
        let mut refusals = refusals.into_iter();
        while let Some(now) = step {
            if now.mode == Mode::OnlyIfFree {
                prop_assert_eq!(Some(now.index), unasked.next());
            } else if count > 1 {
                prop_assert!(unasked.is_empty());
            }
            let (reason, after) = refusals.next().expect("two refusals a candidate are enough");
            let reason = REASONS.get(reason).copied().unwrap_or(RefusalReason::DeadlineUnreachable);
            step = plan.after_refusal(now, &refusal(reason, Duration::from_secs(after)));
        }
    }
}
