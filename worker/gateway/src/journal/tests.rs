//! 日志行的测试：每种结局恰好一行，说的是真话。
//!
//! Every way in which a request can end, and the row that it leaves.

use super::*;
use admission::protocol::{AdmissionFacts, NOTE_LEN_MAX};

const NOW: Instant = Instant::from_millis(1_700_000_005_000);

fn ticket() -> TicketId {
    TicketId::try_from("ticket-1").unwrap()
}

fn asked() -> Asked {
    Asked {
        request_id: "req_1".to_owned(),
        started_at: 1_700_000_000_000,
        app: "shop".to_owned(),
        key_id: "key_1".to_owned(),
        server_id: "srv_1".to_owned(),
        model: "gpt".to_owned(),
        endpoint: "/v1/chat/completions".to_owned(),
        stream: true,
        colo: "FRA".to_owned(),
        held: None,
    }
}

fn ended() -> Ended {
    Ended {
        note: asked().note(),
        attempt: 1,
        position: 3,
        wait: Duration::from_millis(250),
        reserved_tokens: 700,
    }
}

fn refusal(reason: RefusalReason) -> Refusal {
    Refusal {
        reason,
        retry_after: Duration::ZERO,
        admission: AdmissionFacts {
            position: 7,
            wait: Duration::from_secs(4),
            ..AdmissionFacts::default()
        },
    }
}

fn refused_row(note: &Asked, attempt: u32, reason: RefusalReason) -> Option<LogRow> {
    refused(&ticket(), &note.note(), attempt, &refusal(reason), NOW)
}

#[test]
fn a_settled_permit_says_what_the_worker_saw_and_what_the_object_knows() {
    let answered = Answered {
        status: 200,
        prompt_tokens: 90,
        completion_tokens: 10,
        cached_tokens: 5,
        ttft_ms: Some(300),
        total_ms: 1_200,
        overhead_ms: 4,
        attempts: 2,
        ..Answered::default()
    };
    let outcome = SettleOutcome::Completed;
    let row = settled(&ticket(), &ended(), outcome, &answered.note(), NOW).unwrap();
    let expected = LogRow {
        ticket: "ticket-1".to_owned(),
        request_id: "req_1".to_owned(),
        started_at: 1_700_000_000_000,
        app: "shop".to_owned(),
        key_id: "key_1".to_owned(),
        server_id: "srv_1".to_owned(),
        model: "gpt".to_owned(),
        endpoint: "/v1/chat/completions".to_owned(),
        status: 200,
        error_code: None,
        stream: true,
        prompt_tokens: 90,
        completion_tokens: 10,
        cached_tokens: 5,
        total_tokens: 100,
        usage_source: UsageSource::Exact,
        queue_wait_ms: 250,
        queue_position: 3,
        ttft_ms: Some(300),
        total_ms: 1_200,
        overhead_ms: 4,
        attempts: 2,
        colo: "FRA".to_owned(),
    };
    assert_eq!(row, expected);
}

#[test]
fn an_estimate_is_the_worker_s_and_of_an_earlier_worker_what_was_reserved() {
    let row = |prompt_tokens, completion_tokens| {
        let answered = Answered {
            status: 200,
            prompt_tokens,
            completion_tokens,
            usage_source: UsageSource::Estimated,
            ..Answered::default()
        };
        let outcome = SettleOutcome::Completed;
        settled(&ticket(), &ended(), outcome, &answered.note(), NOW).unwrap()
    };
    let estimated = row(40, 9);
    assert_eq!(estimated.usage_source, UsageSource::Estimated);
    let tokens = |row: &LogRow| (row.prompt_tokens, row.completion_tokens, row.total_tokens);
    assert_eq!(tokens(&estimated), (40, 9, 49));
    assert_eq!(tokens(&row(0, 0)), (700, 0, 700));
}

#[test]
fn a_permit_that_nobody_used_is_a_client_that_left_and_cost_nothing() {
    let row = settled(&ticket(), &ended(), SettleOutcome::NotSent, "", NOW).unwrap();
    assert_eq!((row.status, row.total_tokens), (CLIENT_GONE, 0));
    assert_eq!(row.usage_source, UsageSource::Exact);
    assert_eq!(row.total_ms, 5_000);
}

#[test]
fn a_permit_of_which_nobody_speaks_again_counts_what_was_reserved() {
    let silent = settled(&ticket(), &ended(), SettleOutcome::Completed, "", NOW);
    for row in [expired(&ticket(), &ended(), NOW), silent] {
        let row = row.unwrap();
        assert_eq!((row.prompt_tokens, row.total_tokens), (700, 700));
        assert_eq!(row.usage_source, UsageSource::Reserved);
        assert_eq!((row.attempts, row.total_ms), (2, 5_000));
    }
}

#[test]
fn who_waited_in_vain_has_a_row_and_who_was_refused_at_once_has_none() {
    for (reason, status, code) in [
        (RefusalReason::QueueTimeout, 504, Some("queue_timeout")),
        (RefusalReason::QueueEvicted, 503, Some("queue_evicted")),
        (RefusalReason::Cancelled, CLIENT_GONE, None),
    ] {
        let row = refused_row(&asked(), 0, reason).unwrap();
        assert_eq!((row.status, row.error_code.as_deref()), (status, code));
        assert_eq!((row.queue_wait_ms, row.queue_position), (4_000, 7));
        assert_eq!((row.total_tokens, row.attempts), (0, 0));
    }
    for reason in [
        RefusalReason::QueueFull,
        RefusalReason::DeadlineUnreachable,
        RefusalReason::Disabled,
    ] {
        assert_eq!(refused_row(&asked(), 0, reason), None);
        let row = refused_row(&asked(), 1, reason).unwrap();
        assert_eq!(row.attempts, 1, "it was granted once, so it has a row");
    }
}

#[test]
fn a_request_that_gets_no_further_permit_was_answered_what_was_held() {
    let held = HeldAnswer {
        status: 429,
        code: None,
    };
    let note = Asked {
        held: Some(held),
        ..asked()
    };
    let row = refused_row(&note, 1, RefusalReason::QueueTimeout).unwrap();
    assert_eq!((row.status, row.error_code), (429, None));
    let gone = refused_row(&note, 1, RefusalReason::Cancelled).unwrap();
    assert_eq!(gone.status, CLIENT_GONE);
}

#[test]
fn a_note_that_cannot_be_read_gives_no_row() {
    let ended = Ended {
        note: "{".to_owned(),
        ..ended()
    };
    assert_eq!(expired(&ticket(), &ended, NOW), None);
    let refusal = refusal(RefusalReason::QueueTimeout);
    assert_eq!(refused(&ticket(), "", 0, &refusal, NOW), None);
}

#[test]
fn the_longest_note_fits() {
    let note = Asked {
        request_id: "r".repeat(64),
        started_at: u64::MAX,
        app: "\"".repeat(64),
        key_id: "k".repeat(64),
        server_id: "s".repeat(64),
        model: "m".repeat(256),
        endpoint: "/v1/chat/completions".to_owned(),
        stream: true,
        colo: "FRA".to_owned(),
        held: Some(HeldAnswer {
            status: 502,
            code: Some("upstream_unreachable".to_owned()),
        }),
    }
    .note();
    assert!(note.len() <= NOTE_LEN_MAX, "{}", note.len());
}

#[test]
fn the_row_of_a_cancelled_waiter_is_held_only_while_its_call_may_come_back() {
    let held =
        |reason, is_parked| Entry::of_refusal(LogRow::default(), reason, is_parked, NOW).is_held();
    assert!(held(RefusalReason::Cancelled, false));
    assert!(!held(RefusalReason::Cancelled, true), "the client has left");
    assert!(!held(RefusalReason::QueueTimeout, false));
    assert!(!Entry::from(LogRow::default()).is_held());
}

/// What is noted of a permit before anybody knows which request will use it.
fn ahead() -> Ended {
    let note = Asked {
        request_id: String::new(),
        ..asked()
    };
    assert!(!note.note().contains("\"r\""));
    Ended {
        note: note.note(),
        attempt: 0,
        position: 0,
        wait: Duration::ZERO,
        reserved_tokens: 700,
    }
}

#[test]
fn the_ticket_of_a_permit_granted_ahead_is_the_id_of_the_request_that_used_it() {
    let answered = Answered {
        status: 200,
        total_ms: 9,
        started_at: Some(1_700_000_000_070),
        ..Answered::default()
    };
    let outcome = SettleOutcome::Completed;
    let row = settled(&ticket(), &ahead(), outcome, &answered.note(), NOW).unwrap();
    assert_eq!((&*row.request_id, &*row.ticket), ("ticket-1", "ticket-1"));
    assert_eq!((row.started_at, row.total_ms), (1_700_000_000_070, 9));
    assert_eq!((row.queue_position, row.queue_wait_ms), (0, 0));
}

#[test]
fn a_permit_granted_ahead_of_which_nobody_says_anything_leaves_an_honest_row() {
    let row = expired(&ticket(), &ahead(), NOW).unwrap();
    assert_eq!(row.request_id, "ticket-1");
    assert_eq!(row.usage_source, UsageSource::Reserved);
    assert_eq!((&*row.app, &*row.model), ("shop", "gpt"));
    assert_eq!((row.total_tokens, row.status), (700, CLIENT_GONE));
}
