//! 存货的测试：逐条规则，再加随机操作下的账目。
//!
//! The rules of the pool one by one, and its books under random operations in virtual time: whatever happens,
//! each permit of a block is used by one request or told to be unused, once, and never both.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "in a test an overflow or a bad index must panic, and numbers are small"
)]

use super::*;
use admission::Admission;
use admission::protocol::{SentLate, Settle};

const BEGIN: u64 = 1_700_000_000_000;

fn at(millis: u64) -> Instant {
    Instant::from_millis(BEGIN + millis)
}

fn kind(app: &str) -> Kind {
    Kind {
        server_id: "srv".to_owned(),
        app: app.to_owned(),
        key_id: "key".to_owned(),
        model: "m".to_owned(),
        endpoint: "/v1/chat/completions",
        stream: false,
        colo: String::new(),
    }
}

const SIZE: Size = Size {
    prompt_bytes: 100,
    output_tokens_max: Some(50),
};

fn limits(rpm: u64) -> Limits {
    Limits {
        version: 1,
        rpm: Some(rpm),
        ..Limits::default()
    }
}

fn random(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Dense traffic of so many requests that get none, one a millisecond.
fn crowd(pool: &mut Pool, kind: &Kind, from: u64, requests: u64) {
    for number in 0..requests {
        assert!(
            pool.take(kind, SIZE, &limits(9_000), at(from + number))
                .is_none()
        );
    }
}

/// A pool that has just got a block of so many permits, and the object that granted it.
fn stocked(count_max: u64) -> (Pool, Admission, BlockId) {
    let (mut pool, mut object) = (Pool::default(), Admission::new());
    crowd(&mut pool, &kind("a"), 0, 20);
    let ask = pool.ask_with(&kind("a"), SIZE, random(1), at(20)).unwrap();
    let ask = Ask {
        count: ask.count.min(count_max),
        ..ask
    };
    let block = object.grant_ahead(&ask, at(20));
    assert!(pool.answered(&kind("a"), &ask.block, block, false, at(25)));
    (pool, object, ask.block)
}

fn take(pool: &mut Pool, now: u64) -> Option<TicketId> {
    let grant = pool.take(&kind("a"), SIZE, &limits(9_000), at(now))?;
    Some(grant.permit.ticket().clone())
}

fn unused(block: &BlockId, first: u64, count: u64) -> Unused {
    Unused {
        block: block.clone(),
        first,
        count,
    }
}

#[test]
fn only_dense_traffic_asks_and_for_what_it_needs() {
    let mut pool = Pool::default();
    crowd(&mut pool, &kind("a"), 0, 8);
    assert_eq!(pool.ask_with(&kind("a"), SIZE, random(1), at(8)), None);
    crowd(&mut pool, &kind("a"), 8, 12);
    let ask = pool.ask_with(&kind("a"), SIZE, random(1), at(20)).unwrap();
    // 20 in 50 ms are 16 in 40 ms, one of which goes with this very message.
    assert_eq!((ask.count, ask.prompt_bytes), (15, 100));
    assert!(ask.note.contains("\"a\":\"a\"") && !ask.note.contains("\"r\""));
    assert_eq!(
        pool.ask_with(&kind("a"), SIZE, random(2), at(21)),
        None,
        "one question at a time"
    );
    let mut pool = Pool::default();
    crowd(&mut pool, &kind("a"), 0, 20);
    assert_eq!(
        pool.ask_with(&kind("a"), SIZE, random(1), at(120)),
        None,
        "that was long ago"
    );
}

#[test]
fn a_question_is_bounded_however_dense_the_traffic() {
    let mut pool = Pool::default();
    for _ in 0..1_000 {
        pool.take(&kind("a"), SIZE, &limits(9_000), at(0));
    }
    let (asking, ask) = pool.ask_of("srv", random(1), at(1)).unwrap();
    assert_eq!((asking, ask.count), (kind("a"), AHEAD_LEN_MAX));
}

#[test]
fn with_the_settlements_goes_the_question_of_the_kind_that_needs_most() {
    let mut pool = Pool::default();
    crowd(&mut pool, &kind("a"), 0, 10);
    crowd(&mut pool, &kind("b"), 0, 20);
    let large = Size {
        prompt_bytes: 900,
        output_tokens_max: None,
    };
    pool.take(&kind("b"), large, &limits(9_000), at(20));
    assert_eq!(pool.ask_of("other", random(1), at(20)), None);
    let (asking, ask) = pool.ask_of("srv", random(1), at(20)).unwrap();
    assert_eq!(asking, kind("b"));
    let asked = (ask.prompt_bytes, ask.output_tokens_max);
    assert_eq!(asked, (900, None), "all of them fit into it");
    let (asking, _) = pool.ask_of("srv", random(2), at(20)).unwrap();
    assert_eq!(asking, kind("a"));
    assert_eq!(pool.ask_of("srv", random(3), at(20)), None);
}

#[test]
fn a_permit_is_for_requests_of_its_kind_that_are_no_larger_and_know_the_same_limits() {
    let (mut pool, ..) = stocked(9);
    let take = |pool: &mut Pool, kind: &Kind, size: Size, version: u64| {
        let limits = Limits {
            version,
            ..limits(9_000)
        };
        pool.take(kind, size, &limits, at(30)).is_some()
    };
    assert!(take(&mut pool, &kind("a"), SIZE, 1));
    assert!(!take(&mut pool, &kind("b"), SIZE, 1), "another app");
    assert!(!take(&mut pool, &kind("a"), SIZE, 2), "other limits");
    let larger = [
        Size {
            prompt_bytes: 101,
            ..SIZE
        },
        Size {
            output_tokens_max: Some(51),
            ..SIZE
        },
        Size {
            output_tokens_max: None,
            ..SIZE
        },
    ];
    for larger in larger {
        assert!(!take(&mut pool, &kind("a"), larger, 1), "{larger:?}");
    }
    let smaller = Size {
        prompt_bytes: 1,
        output_tokens_max: Some(0),
    };
    assert!(take(&mut pool, &kind("a"), smaller, 1));
}

#[test]
fn what_nobody_used_in_time_is_given_back_once_and_nobody_gets_it_any_more() {
    let (mut pool, _, block) = stocked(9);
    let first = take(&mut pool, 124).unwrap();
    assert_eq!(pool.due(&kind("a"), &block), Some(at(125)));
    assert!(pool.servers_due(at(124)).is_empty());
    assert_eq!(pool.words("srv", at(124)), Words::default());
    assert_eq!(take(&mut pool, 125), None, "100 ms are over");
    assert!(pool.servers_due(at(125)).contains("srv"));
    let words = pool.words("srv", at(125));
    assert_eq!(words.unused, [unused(&block, 1, 8)]);
    assert_eq!(words.uses, []);
    assert_eq!(pool.words("srv", at(126)), Words::default());
    // The one in use is reported a second after it came, unless it is over.
    assert_eq!(pool.due(&kind("a"), &block), Some(at(1_025)));
    assert_eq!(pool.words("srv", at(1_025)).uses, [first]);
    assert_eq!(pool.due(&kind("a"), &block), None);
    assert_eq!(pool.words("srv", at(9_000)), Words::default());
}

#[test]
fn a_use_that_is_over_is_not_reported() {
    let (mut pool, _, block) = stocked(2);
    let tickets = [take(&mut pool, 30).unwrap(), take(&mut pool, 30).unwrap()];
    assert_eq!(take(&mut pool, 30), None);
    pool.ended(&kind("a"), &tickets[0]);
    assert_eq!(pool.due(&kind("a"), &block), Some(at(1_025)));
    pool.ended(&kind("a"), &tickets[1]);
    assert_eq!(pool.due(&kind("a"), &block), None);
    assert_eq!(pool.words("srv", at(2_000)), Words::default());
}

#[test]
fn where_somebody_waits_nobody_goes_ahead() {
    let (mut pool, _, block) = stocked(9);
    pool.close("other", at(30));
    assert!(take(&mut pool, 30).is_some());
    pool.close("srv", at(31));
    assert_eq!(take(&mut pool, 31), None);
    assert_eq!(pool.words("srv", at(31)).unused, [unused(&block, 1, 8)]);
    crowd(&mut pool, &kind("a"), 32, 20);
    assert_eq!(pool.ask_with(&kind("a"), SIZE, random(2), at(52)), None);
    crowd(&mut pool, &kind("a"), 270, 20);
    assert!(
        pool.ask_with(&kind("a"), SIZE, random(2), at(290))
            .is_some()
    );
}

#[test]
fn a_refusal_is_heeded_for_a_moment() {
    let mut pool = Pool::default();
    crowd(&mut pool, &kind("a"), 0, 20);
    let ask = pool.ask_with(&kind("a"), SIZE, random(1), at(20)).unwrap();
    assert!(!pool.answered(&kind("a"), &ask.block, None, false, at(25)));
    crowd(&mut pool, &kind("a"), 30, 20);
    assert_eq!(pool.ask_with(&kind("a"), SIZE, random(2), at(50)), None);
    assert_eq!(pool.words("srv", at(60)), Words::default());
}

#[test]
fn what_a_repeated_question_may_have_been_granted_besides_is_given_back() {
    for granted in [0, 4] {
        let (mut pool, mut object) = (Pool::default(), Admission::new());
        crowd(&mut pool, &kind("a"), 0, 20);
        let ask = pool.ask_with(&kind("a"), SIZE, random(1), at(20)).unwrap();
        let asked = ask.count;
        let fewer = Ask {
            count: granted,
            ..ask.clone()
        };
        let block = object.grant_ahead(&fewer, at(20));
        pool.answered(&kind("a"), &ask.block, block, true, at(25));
        let words = pool.words("srv", at(26));
        assert_eq!(words.unused, [unused(&ask.block, granted, asked - granted)]);
    }
}

#[test]
fn an_answer_that_comes_when_it_was_given_up_is_given_back_whole() {
    let (mut pool, mut object) = (Pool::default(), Admission::new());
    crowd(&mut pool, &kind("a"), 0, 20);
    let late = pool.ask_with(&kind("a"), SIZE, random(1), at(20)).unwrap();
    crowd(&mut pool, &kind("a"), 5_100, 20);
    assert!(
        pool.ask_with(&kind("a"), SIZE, random(2), at(5_120))
            .is_some()
    );
    let block = object.grant_ahead(&late, at(5_121));
    assert!(!pool.answered(&kind("a"), &late.block, block, false, at(5_121)));
    let words = pool.words("srv", at(5_121));
    assert_eq!(words.unused, [unused(&late.block, 0, AHEAD_LEN_MAX)]);
}

#[test]
fn what_could_not_be_told_is_told_later_and_no_message_is_too_long() {
    const PART: usize = WORDS_LEN_MAX / 3;
    let mut pool = Pool::default();
    let block = BlockId::generated(random(7));
    let words = Words {
        unused: vec![unused(&block, 0, 1); 2 * PART],
        ..Words::default()
    };
    pool.put_back("srv", words);
    for _ in 0..2 {
        assert!(pool.servers_due(at(0)).contains("srv"));
        assert_eq!(pool.words("srv", at(0)).unused.len(), PART);
    }
    assert_eq!(pool.words("srv", at(0)), Words::default());
    assert!(pool.servers_due(at(0)).is_empty());
}

#[test]
fn a_request_that_left_late_is_told_with_the_next_message_and_once() {
    let (mut pool, mut object, _) = stocked(8);
    let ticket = take(&mut pool, 60).unwrap();
    pool.left_late("srv", ticket.clone());
    assert!(pool.servers_due(at(120)).contains("srv"));
    let words = pool.words("srv", at(120));
    assert_eq!(words.late, std::slice::from_ref(&ticket));
    assert!(object.sent_late(&SentLate { ticket }, at(120)));
    assert_eq!(pool.words("srv", at(120)), Words::default());
}

#[test]
fn where_little_is_left_the_question_does_not_wait_and_is_asked_once() {
    let mut pool = Pool::default();
    assert!(!pool.is_low(at(0)));
    crowd(&mut pool, &kind("a"), 0, 20);
    assert!(pool.is_low(at(20)));
    let (_, ask) = pool.ask_of("srv", random(1), at(20)).unwrap();
    assert!(!pool.is_low(at(20)), "the answer is on its way");
    let block = Admission::new().grant_ahead(&ask, at(20));
    assert!(block.is_some());
    pool.answered(&kind("a"), &ask.block, block, false, at(21));
    assert!(!pool.is_low(at(21)), "there are enough");
    assert!(!pool.is_low(at(500)), "nobody comes any more");
}

#[test]
fn kinds_are_bounded_and_idle_ones_make_room() {
    let mut pool = Pool::default();
    for number in 0..KINDS_LEN_MAX {
        crowd(&mut pool, &kind(&format!("app{number}")), 0, 20);
    }
    crowd(&mut pool, &kind("one more"), 0, 20);
    let asks = |pool: &mut Pool, app: &str, now: u64| {
        pool.ask_with(&kind(app), SIZE, random(1), at(now))
            .is_some()
    };
    assert!(!asks(&mut pool, "one more", 20));
    crowd(&mut pool, &kind("one more"), 500, 20);
    assert!(asks(&mut pool, "one more", 520));
}

/// A small generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// One isolate's pool beside the real object, with requests that end, questions that are lost and limits that
/// change.
#[derive(Default)]
struct Books {
    pool: Pool,
    object: Admission,
    in_use: BTreeSet<TicketId>,
    used: BTreeSet<TicketId>,
    returned: BTreeSet<TicketId>,
    open: Vec<(Ask, u64)>,
    granted: u64,
}

impl Books {
    fn arrive(&mut self, dice: &mut Dice, limits: &Limits, now: Instant) {
        let size = Size {
            prompt_bytes: [90, 100, 4_000][dice.below(3) as usize],
            output_tokens_max: Some(50),
        };
        if let Some(grant) = self.pool.take(&kind("a"), size, limits, now) {
            let age = now.saturating_since(grant.permit.granted_at());
            assert!(
                age <= Duration::from_millis(130),
                "used {age:?} after its grant"
            );
            let ticket = grant.permit.ticket().clone();
            assert!(self.used.insert(ticket.clone()), "{ticket} is used twice");
            self.in_use.insert(ticket);
        } else {
            let random = random(dice.0);
            let ask = self.pool.ask_with(&kind("a"), size, random, now);
            self.open
                .extend(ask.map(|ask| (ask, now.as_millis() + dice.below(30))));
        }
    }

    fn answer(&mut self, dice: &mut Dice, now: Instant) {
        let Some(index) = self
            .open
            .iter()
            .position(|(_, due)| *due <= now.as_millis())
        else {
            return;
        };
        let (ask, _) = self.open.remove(index);
        // A call that is lost was heard or not, and then made again.
        let repeated = dice.below(10) == 0;
        if repeated && dice.below(2) == 0 {
            self.object.grant_ahead(&ask, now);
        }
        let block = self.object.grant_ahead(&ask, now);
        self.granted += block.as_ref().map_or(0, Block::count);
        self.pool
            .answered(&kind("a"), &ask.block, block, repeated, now);
    }

    fn tell(&mut self, now: Instant) {
        let words = self.pool.words("srv", now);
        for ticket in words.uses {
            assert!(self.in_use.contains(&ticket), "{ticket} is not in use");
            assert!(self.object.used(&ticket, now), "{ticket} had expired");
        }
        for ticket in words.unused.iter().flat_map(Unused::tickets) {
            assert!(!self.used.contains(&ticket), "{ticket} was used");
            if self.object.take_back(&ticket, now) {
                assert!(self.returned.insert(ticket));
            }
        }
    }

    fn end(&mut self, ticket: &TicketId, now: Instant) {
        self.in_use.remove(ticket);
        self.pool.ended(&kind("a"), ticket);
        let settle = Settle::new(
            ticket.clone(),
            admission::protocol::SettleOutcome::Completed,
        );
        assert!(
            self.object.settle(&settle, now).is_some(),
            "{ticket} is unknown"
        );
    }
}

#[test]
fn each_permit_is_used_once_or_given_back_once_whatever_happens() {
    let seed = std::env::var("POOL_SEED").map_or(20_261_123, |seed| seed.parse().unwrap());
    let mut granted = 0;
    for episode in 0..40 {
        println!("POOL_SEED={}", seed + episode);
        let mut dice = Dice(seed + episode);
        let mut books = Books::default();
        let mut now = BEGIN;
        let rpm = [2_000, 60_000][dice.below(2) as usize];
        for _ in 0..2_000 {
            now += dice.below(4) * dice.below(3);
            let at = Instant::from_millis(now);
            let limits = Limits {
                version: 1 + (now - BEGIN) / 3_000,
                ..limits(rpm)
            };
            books.arrive(&mut dice, &limits, at);
            books.answer(&mut dice, at);
            let over: Vec<TicketId> = books.in_use.iter().cloned().collect();
            for ticket in over {
                // Most are short, some take many seconds.
                if dice.below(40) == 0 && dice.below(4) > 0 {
                    books.end(&ticket, at);
                }
            }
            if dice.below(8) == 0 || !books.pool.servers_due(at).is_empty() {
                books.tell(at);
            }
            if dice.below(400) == 0 {
                books.pool.close("srv", at);
            }
            books.object.handle_timeout(at);
            assert_eq!(books.object.poll_event(), None, "nothing expires");
        }
        for (ask, _) in std::mem::take(&mut books.open) {
            books.pool.answered(
                &kind("a"),
                &ask.block,
                None,
                true,
                Instant::from_millis(now),
            );
        }
        for later in [100, 1_000, 1_100] {
            books.tell(Instant::from_millis(now + later));
        }
        let end = Instant::from_millis(now + 1_200);
        for ticket in books.in_use.clone() {
            books.end(&ticket, end);
        }
        assert_eq!(books.object.permits_out(), 0, "a permit was lost");
        let accounted = (books.used.len() + books.returned.len()) as u64;
        assert_eq!(accounted, books.granted);
        granted += books.granted;
    }
    assert!(granted > 2_000, "only {granted}");
}
