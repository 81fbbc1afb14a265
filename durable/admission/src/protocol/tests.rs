//! 协议测试：固定字符串、往返、兼容与乱码。
//!
//! The protocol on the wire: golden lines, round trips, compatibility, garbage.

use super::*;
use crate::model_test::Random;
use crate::time::Instant;
use core::time::Duration;

fn ticket() -> TicketId {
    TicketId::try_from("req-1.a_B").unwrap()
}

fn limits() -> Limits {
    Limits {
        version: 7,
        enabled: true,
        rpm: Some(60),
        tpm: None,
        concurrency: Some(0),
        queue_max: 100,
        queue_timeout: Duration::from_mins(1),
        on_full: OnFull::RejectNewest,
        lease: Duration::from_millis(1_500),
    }
}

fn acquire() -> Acquire {
    Acquire {
        ticket: ticket(),
        app: "shop & co".to_owned(),
        key_id: "k1".to_owned(),
        model: "名/gpt+5".to_owned(),
        prompt_bytes: 1_234,
        output_tokens_max: Some(99),
        wait_max: Some(Duration::ZERO),
        arrival: Some(Instant::from_millis(1_700_000_000_123)),
        attempt: 2,
        pause: Some(Duration::from_millis(1_500)),
        note: r#"{"r":"req_1 & 名"}"#.to_owned(),
        config_version: 41,
        limits: limits(),
    }
}

fn facts() -> AdmissionFacts {
    AdmissionFacts {
        position: 3,
        wait: Duration::from_millis(250),
        requests: Some(Budget {
            limit: 60,
            remaining: 0,
            reset: Duration::from_millis(60_350),
        }),
        tokens: None,
        config_version: 42,
    }
}

fn granted() -> AcquireAnswer {
    AcquireAnswer::Granted(Grant {
        permit: Permit::new(ticket(), 564, Instant::from_millis(1_700_000_000_373)),
        admission: facts(),
        probe: true,
    })
}

fn refused(reason: RefusalReason) -> AcquireAnswer {
    AcquireAnswer::Refused(Refusal {
        reason,
        retry_after: Duration::from_millis(900),
        admission: facts(),
    })
}

const LIMITS: &str = "v=1&lv=7&le=true&lr=60&lc=0&lq=100&lw=60000&lf=reject_newest&ll=1500";
const ACQUIRE: &str = "t=req-1.a_B&a=shop+%26+co&k=k1&m=%E5%90%8D%2Fgpt%2B5&b=1234&o=99&w=0\
    &i=1700000000123&n=2&z=1500&j=%7B%22r%22%3A%22req_1+%26+%E5%90%8D%22%7D&c=41";
const GRANTED: &str =
    "v=1&s=g&t=req-1.a_B&k=564&g=1700000000373&b=true&p=3&w=250&rl=60&rr=0&rs=60350&c=42";
const REFUSED: &str = "v=1&s=r&x=queue_evicted&y=900&p=3&w=250&rl=60&rr=0&rs=60350&c=42";

#[test]
fn every_message_has_its_golden_line_and_reads_it_back() {
    assert_eq!(limits().encode(), LIMITS);
    assert_eq!(Limits::decode(LIMITS), Ok(limits()));

    let line = format!("{ACQUIRE}&{LIMITS}");
    assert_eq!(acquire().encode(), line);
    assert_eq!(Acquire::decode(&line), Ok(acquire()));

    assert_eq!(granted().encode(), GRANTED);
    assert_eq!(AcquireAnswer::decode(GRANTED), Ok(granted()));

    let evicted = refused(RefusalReason::QueueEvicted);
    assert_eq!(evicted.encode(), REFUSED);
    assert_eq!(AcquireAnswer::decode(REFUSED), Ok(evicted));

    let settle = Settle {
        tokens: Some(17),
        prompt_tokens: Some(11),
        completion_tokens: Some(6),
        pause: Some(Duration::from_millis(9)),
        note: "status 200".to_owned(),
        ..Settle::new(ticket(), SettleOutcome::NotSent)
    };
    let line = "v=1&t=req-1.a_B&k=17&p=11&c=6&z=9&o=not_sent&j=status+200";
    assert_eq!(settle.encode(), line);
    assert_eq!(Settle::decode(line), Ok(settle));

    let sent = SentLate { ticket: ticket() };
    assert_eq!(SentLate::decode(&sent.encode()), Ok(sent));
    let accepted = Accepted { ticket: ticket() };
    assert_eq!(accepted.encode(), "v=1&t=req-1.a_B");
    assert_eq!(Accepted::decode("v=1&t=req-1.a_B"), Ok(accepted));

    let cancel = Cancel { ticket: ticket() };
    assert_eq!(cancel.encode(), "v=1&t=req-1.a_B");
    assert_eq!(Cancel::decode("v=1&t=req-1.a_B"), Ok(cancel));

    let picture = Live {
        queue_length: 2,
        queue_oldest_wait: Duration::from_millis(1_200),
        in_flight: 3,
        rpm_used: 60,
        rpm_limit: Some(60),
        tpm_used: 70_000,
        tpm_limit: None,
        max_concurrency: Some(5),
        next_grant_in: Some(Duration::from_millis(20)),
        paused_until: Some(Instant::from_millis(9)),
        config_version: 42,
        probing: true,
        estimates: 4,
        wake_late_ms_p99: 12,
        wake_late_ms_max: 30,
        stalls: 1,
        journal_rows: 9,
        journal_failures: 2,
    };
    let line = "v=1&q=2&qw=1200&f=3&ru=60&rl=60&tu=70000&cl=5&g=20&p=9&c=42&b=true&e=4&l=12&lm=30&st=1&jr=9&jf=2";
    assert_eq!(picture.encode(), line);
    assert_eq!(Live::decode(line), Ok(picture));
}

#[test]
fn every_name_is_the_same_in_code_and_on_the_wire() {
    for reason in [
        RefusalReason::QueueTimeout,
        RefusalReason::QueueEvicted,
        RefusalReason::QueueFull,
        RefusalReason::DeadlineUnreachable,
        RefusalReason::Disabled,
        RefusalReason::Cancelled,
        RefusalReason::Overloaded,
    ] {
        let line = refused(reason).encode();
        assert!(line.contains(&format!("x={}&", reason.as_str())), "{line}");
        assert_eq!(AcquireAnswer::decode(&line), Ok(refused(reason)));
    }
    for on_full in [OnFull::EvictOldest, OnFull::RejectNewest] {
        let limits = Limits {
            on_full,
            ..limits()
        };
        let line = limits.encode();
        assert!(
            line.contains(&format!("lf={}&", on_full.as_str())),
            "{line}"
        );
        assert_eq!(Limits::decode(&line), Ok(limits));
    }
    for outcome in [
        SettleOutcome::Completed,
        SettleOutcome::UpstreamFailed,
        SettleOutcome::ClientGone,
        SettleOutcome::NotSent,
        SettleOutcome::UpstreamRefused,
    ] {
        let settle = Settle::new(ticket(), outcome);
        assert_eq!(Settle::decode(&settle.encode()), Ok(settle));
    }
}

#[test]
fn unknown_fields_are_ignored_and_missing_ones_have_defaults() {
    let acquired = Acquire::decode("t=x&lv=3&new=thing&zz=").unwrap();
    assert_eq!(
        acquired.limits,
        Limits {
            version: 3,
            ..Limits::default()
        }
    );
    assert_eq!((acquired.wait_max, acquired.arrival), (None, None));
    assert_eq!((acquired.prompt_bytes, acquired.attempt), (0, 0));
    assert_eq!(Live::decode(""), Ok(Live::default()));
    assert_eq!(
        Settle::decode("t=x").unwrap().outcome,
        SettleOutcome::Completed
    );
    let AcquireAnswer::Granted(grant) = AcquireAnswer::decode("s=g&t=x&g=5").unwrap() else {
        panic!("it is a grant");
    };
    assert_eq!(grant.permit.ticket().as_str(), "x");
    assert_eq!(grant.permit.granted_at(), Instant::from_millis(5));
    assert_eq!(grant.permit.reserved_tokens(), 0);
    assert_eq!(grant.admission, AdmissionFacts::default());
}

#[test]
fn what_is_required_is_missed_by_name() {
    let missing = |error: DecodeError, field: &str| {
        let text = error.to_string();
        assert!(
            text.contains("missing field") && text.contains(field),
            "{text}"
        );
    };
    missing(Acquire::decode("t=x").unwrap_err(), "lv");
    missing(Acquire::decode("lv=1").unwrap_err(), "t");
    missing(Settle::decode("").unwrap_err(), "t");
    missing(Cancel::decode("v=1").unwrap_err(), "t");
    missing(AcquireAnswer::decode("").unwrap_err(), "s");
    missing(AcquireAnswer::decode("s=g&g=1").unwrap_err(), "t");
    missing(AcquireAnswer::decode("s=g&t=x").unwrap_err(), "g");
    missing(AcquireAnswer::decode("s=r").unwrap_err(), "x");
}

#[test]
fn an_unknown_version_is_refused() {
    let expected = DecodeError::Version(2);
    assert_eq!(Acquire::decode("v=2&t=x&lv=1"), Err(expected.clone()));
    assert_eq!(
        AcquireAnswer::decode("v=2&s=r&x=disabled"),
        Err(expected.clone())
    );
    assert_eq!(Settle::decode("v=2&t=x"), Err(expected.clone()));
    assert_eq!(Cancel::decode("v=2&t=x"), Err(expected.clone()));
    assert_eq!(Limits::decode("v=2&lv=1"), Err(expected.clone()));
    assert_eq!(Live::decode("v=2"), Err(expected.clone()));
    assert!(expected.to_string().contains("version 2"));
}

#[test]
fn texts_are_bounded_on_both_sides() {
    let mut long = acquire();
    long.app = "a".repeat(APP_LEN_MAX + 1);
    long.key_id = "k".repeat(1_000);
    // Three bytes a character: the bound falls inside one, which goes as a whole.
    long.model = "模".repeat(1_000);
    let short = Acquire::decode(&long.encode()).unwrap();
    assert_eq!(short.app.len(), APP_LEN_MAX);
    assert_eq!(short.key_id.len(), KEY_ID_LEN_MAX);
    assert_eq!(short.model, "模".repeat(MODEL_LEN_MAX / 3));
    assert!(long.encode().len() < 2_048);

    // Half a note would mean nothing.
    long.note = "n".repeat(NOTE_LEN_MAX + 1);
    assert_eq!(Acquire::decode(&long.encode()).unwrap().note, "");
    long.note.pop();
    assert_eq!(Acquire::decode(&long.encode()).unwrap().note, long.note);

    for (field, text) in [("app", "a"), ("key_id", "k"), ("model", "m"), ("note", "j")] {
        let line = format!("t=x&lv=1&{text}={}", "y".repeat(NOTE_LEN_MAX + 1));
        let error = Acquire::decode(&line).unwrap_err();
        assert!(matches!(error, DecodeError::TooLong { field: of, .. } if of == field));
        assert!(error.to_string().contains(field));
    }
    let error = Live::decode(&"x".repeat(LINE_LEN_MAX + 1)).unwrap_err();
    assert_eq!(
        error,
        DecodeError::TooLong {
            field: "line",
            bytes_max: LINE_LEN_MAX
        }
    );
    let error = Settle::decode("t=not a ticket").unwrap_err();
    assert_eq!(error, DecodeError::Ticket(TicketError));
    assert_eq!(error.to_string(), TicketError.to_string());
}

#[test]
fn spans_beyond_the_wire_saturate() {
    let endless = Limits {
        lease: Duration::MAX,
        ..limits()
    };
    let lease = Limits::decode(&endless.encode()).unwrap().lease;
    assert_eq!(lease, Duration::from_millis(u64::MAX));
}

#[test]
fn garbage_never_panics() {
    let seed = 20_260_101;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let good = [
        acquire().encode(),
        limits().encode(),
        granted().encode(),
        refused(RefusalReason::Disabled).encode(),
        "v=1&t=req-1.a_B&k=17&o=not_sent".to_owned(),
        "v=1&q=2&qw=1200&f=3".to_owned(),
    ];
    let pieces = [
        "&",
        "=",
        "%",
        "%f",
        "%ff",
        "+",
        "é",
        "\0",
        "-1",
        "1e9",
        "99999999999999999999",
        "t=x",
        "v=1",
    ];
    for _ in 0..20_000 {
        let mut line: Vec<char> = good[usize::try_from(random.below(6)).unwrap()]
            .chars()
            .collect();
        for _ in 0..random.below(6) {
            let end = u64::try_from(line.len()).unwrap();
            let place = usize::try_from(random.below(end.max(1)))
                .unwrap()
                .min(line.len());
            if random.chance(40) && place < line.len() {
                line.remove(place);
            } else {
                line.splice(place..place, random.pick(&pieces).chars());
            }
        }
        let line: String = line.into_iter().collect();
        // What is accepted can be said again, and means the same.
        if let Ok(message) = Acquire::decode(&line) {
            assert_eq!(Acquire::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = AcquireAnswer::decode(&line) {
            assert_eq!(AcquireAnswer::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = Settle::decode(&line) {
            assert_eq!(Settle::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = Cancel::decode(&line) {
            assert_eq!(Cancel::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = Limits::decode(&line) {
            assert_eq!(Limits::decode(&message.encode()), Ok(message));
        }
        if let Ok(message) = Live::decode(&line) {
            assert_eq!(Live::decode(&message.encode()), Ok(message));
        }
    }
}
