//! 预授消息的测试：写出来的读得回来，超界的拒绝。
//!
//! The messages about permits ahead: what is written is read, what is out of bounds is refused, and a permit is
//! taken out of its block once.

use super::*;
use crate::protocol::{Acquire, SettleOutcome};

fn block_id() -> BlockId {
    BlockId::try_from(String::from("req_0123")).unwrap()
}

fn ask() -> Ask {
    Ask {
        block: block_id(),
        count: 12,
        note: String::from("a note & more"),
        model: String::from("m/1"),
        prompt_bytes: 70,
        output_tokens_max: Some(5),
        limits: Limits {
            version: 3,
            rpm: Some(1_000),
            ..Limits::default()
        },
    }
}

fn facts(remaining: u64) -> AdmissionFacts {
    let budget = |remaining| Budget {
        limit: 1_000,
        remaining,
        ..Budget::default()
    };
    AdmissionFacts {
        requests: Some(budget(remaining)),
        tokens: Some(budget(remaining)),
        config_version: 7,
        ..AdmissionFacts::default()
    }
}

#[test]
fn an_ask_stands_alone_or_beside_a_request_of_its_kind() {
    assert_eq!(Ask::decode(&ask().encode()), Ok(Some(ask())));
    let acquire = Acquire {
        ticket: TicketId::try_from("t").unwrap(),
        app: String::new(),
        key_id: String::new(),
        model: ask().model,
        prompt_bytes: 70,
        output_tokens_max: Some(5),
        wait_max: None,
        arrival: None,
        attempt: 0,
        pause: None,
        note: String::from("own"),
        config_version: 1,
        limits: ask().limits,
    };
    assert_eq!(Ask::decode(&acquire.encode()), Ok(None));
    let line = acquire.encode() + &ask().encode_beside();
    assert_eq!(Ask::decode(&line), Ok(Some(ask())));
    assert_eq!(Acquire::decode(&line), Ok(acquire));
    let greedy = Ask {
        count: 9_999,
        ..ask()
    };
    let read = Ask::decode(&greedy.encode()).unwrap().unwrap();
    assert_eq!(read.count, AHEAD_LEN_MAX);
    assert!(Ask::decode("x=%20&y=3&lv=1").is_err());
}

#[test]
fn each_permit_is_taken_once_and_told_what_is_left_after_it() {
    let at = Instant::from_millis(9);
    let mut block = Block::new(block_id(), 3, 10, at, facts(100));
    for (number, requests, tokens) in [(0, 99, 90), (1, 98, 80)] {
        let grant = block.take().unwrap();
        assert_eq!(
            block_id().ticket(number).as_ref(),
            Some(grant.permit.ticket())
        );
        assert_eq!(block_id().number(grant.permit.ticket()), Some(number));
        let remaining = |budget: Option<Budget>| budget.unwrap().remaining;
        let told = (
            remaining(grant.admission.requests),
            remaining(grant.admission.tokens),
        );
        assert_eq!(told, (requests, tokens));
        assert_eq!((grant.admission.position, grant.probe), (0, false));
    }
    assert_eq!((block.left(), block.count()), (1, 3));
    let unused = block.into_unused().unwrap();
    let tickets: Vec<TicketId> = unused.tickets().collect();
    assert_eq!(tickets, [block_id().ticket(2).unwrap()]);
}

#[test]
fn a_used_up_block_leaves_nothing() {
    let mut block = Block::new(block_id(), 1, 0, Instant::default(), facts(1));
    assert!(block.take().is_some() && block.take().is_none());
    assert_eq!(block.into_unused(), None);
}

#[test]
fn a_block_is_read_as_it_was_written_alone_or_beside_a_grant() {
    let at = Instant::from_millis(77);
    let block = || Block::new(block_id(), 5, 30, at, facts(8));
    let read = Block::decode(&block().encode(), block_id());
    assert_eq!(read, Ok(Some(block())));
    let grant = AcquireAnswer::Granted(Grant {
        permit: Permit::new(TicketId::try_from("t").unwrap(), 30, at),
        admission: facts(8),
        probe: false,
    });
    let line = grant.encode() + &block().encode_beside();
    assert_eq!(Block::decode(&line, block_id()), Ok(Some(block())));
    assert_eq!(AcquireAnswer::decode(&line), Ok(grant));
    // An object of an earlier version, and one that grants none.
    for none in ["1", "v=1", ""] {
        assert_eq!(Block::decode(none, block_id()), Ok(None), "{none:?}");
    }
    assert!(Block::decode("v=9&s=g&a=1", block_id()).is_err());
}

#[test]
fn a_batch_is_read_as_it_was_written_and_no_longer_one() {
    let settle = |number: usize| {
        let ticket = TicketId::try_from(format!("t{number}")).unwrap();
        Settle::new(ticket, SettleOutcome::Completed)
    };
    let unused = Unused {
        block: block_id(),
        first: 3,
        count: 4,
    };
    let batch = Batch {
        late: block_id().ticket(2).into_iter().collect(),
        settles: (0..SETTLES_LEN_MAX).map(settle).collect(),
        uses: block_id().ticket(1).into_iter().collect(),
        unused: vec![unused.clone()],
    };
    assert_eq!(Batch::decode(&batch.encode()), Ok(batch.clone()));
    assert_eq!(Batch::decode(""), Ok(Batch::default()));
    let mut long = batch.clone();
    long.settles.push(settle(0));
    assert!(Batch::decode(&long.encode()).is_err());
    let mut long = batch;
    long.unused = vec![unused; WORDS_LEN_MAX];
    assert!(Batch::decode(&long.encode()).is_err());
    assert!(Batch::decode("u=a%20b").is_err());
    assert!(Batch::decode("l=a%20b").is_err());
    assert!(Batch::decode("b=x").is_err());
}

#[test]
fn a_generated_block_has_tickets_like_generated_request_ids() {
    let ticket = BlockId::generated([0xab; 16]).ticket(0x1f).unwrap();
    assert_eq!(ticket.as_str(), format!("req_{}001f", "ab".repeat(14)));
}

#[test]
fn numbers_beyond_a_block_are_nobodys() {
    assert_eq!(block_id().ticket(AHEAD_LEN_MAX), None);
    let other = TicketId::try_from("req_0123ffff").unwrap();
    assert_eq!(block_id().number(&other), None);
    let odd = TicketId::try_from("req_012300001").unwrap();
    assert_eq!(block_id().number(&odd), None);
    let long = "x".repeat(61);
    assert!(BlockId::try_from(long).is_err());
    let unused = Unused {
        block: block_id(),
        first: AHEAD_LEN_MAX - 4,
        count: u64::MAX,
    };
    assert_eq!(unused.tickets().count(), 4);
}
