//! 限流对象的消息：写出再读回不变，任意序列不破坏账目。
//!
//! Lines of the protocol between Worker and limiter object, each as every message, and whole sequences of them put to the
//! core in virtual time. The oracles: what is read writes and reads back alike; a sequence of any messages leaves
//! figures that add up, and everything ends by itself.

use admission::protocol::{
    Accepted, Acquire, AcquireAnswer, Cancel, LINE_LEN_MAX, Limits, Live, SentLate, Settle,
    TicketId,
};
use admission::{Admission, Event, Instant, PERMITS_MAX, Progress, QUEUE_LEN_MAX};
use std::time::Duration;

use crate::input::Input;

const START: Instant = Instant::from_millis(1_795_420_800_000);

macro_rules! reads_back {
    ($line:expr, $($message:ident),+) => {$(
        if let Ok(message) = $message::decode($line) {
            assert!($line.len() <= LINE_LEN_MAX);
            assert_eq!($message::decode(&message.encode()), Ok(message), stringify!($message));
        }
    )+};
}

pub(crate) fn run(bytes: &[u8]) {
    let lines = Input::new(bytes).lines();
    let mut core = Admission::new();
    let mut now = START;
    for line in &lines {
        reads_back!(
            line,
            Acquire,
            AcquireAnswer,
            Limits,
            Live,
            Settle,
            Accepted,
            SentLate,
            Cancel,
            Progress
        );
        if let Ok(ticket) = TicketId::try_from(line.clone()) {
            assert_eq!(ticket.as_str(), line);
        }
        now = act(&mut core, line, now);
        while core.poll_event().is_some() {}
        let live = core.live(now);
        assert!(live.queue_length <= QUEUE_LEN_MAX, "{live:?}");
        assert!(core.permits_out() <= PERMITS_MAX, "{live:?}");
    }
    ends_by_itself(&mut core);
}

/// The line as a message to the core; a line that is none lets time go by.
fn act(core: &mut Admission, line: &str, now: Instant) -> Instant {
    if let Ok(acquire) = Acquire::decode(line) {
        core.acquire(acquire, now);
    } else if let Ok(settle) = Settle::decode(line) {
        core.settle(&settle, now);
        if let Ok(accepted) = Accepted::decode(line) {
            core.accepted(&accepted, now);
        }
        if let Ok(cancel) = Cancel::decode(line) {
            core.cancel(&cancel.ticket, now);
        }
    } else if let Ok(limits) = Limits::decode(line) {
        core.set_limits(limits, now);
    } else {
        let millis = line.bytes().fold(0_u64, |sum, byte| {
            sum.wrapping_mul(3).wrapping_add(u64::from(byte))
        });
        // The clock also goes back now and then.
        let later = now.saturating_add(Duration::from_millis(millis % 100_000));
        let now = if line.starts_with('<') { START } else { later };
        core.handle_timeout(now);
        return now;
    }
    now
}

/// Nobody says anything any more: each waiter and each permit ends by its own timer.
fn ends_by_itself(core: &mut Admission) {
    let waiters = core.live(START).queue_length;
    let bound = 10_000 + 4 * (waiters + core.permits_out());
    for _ in 0..bound {
        let Some(due) = core.poll_timeout() else {
            break;
        };
        core.handle_timeout(due);
        while let Some(event) = core.poll_event() {
            if let Event::Granted { .. } = event {
                // It is never settled: its lease ends it.
            }
        }
    }
    let live = core.live(START);
    // What is paused or unlimited in time may wait for a configuration, but no timer may be left undone.
    assert!(
        core.poll_timeout().is_none() || live.in_flight == 0,
        "{live:?}"
    );
}
