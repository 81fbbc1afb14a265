//! 一个请求的时间线：排队、等服务器、收回答。
//!
//! Owns which stretches the life of a request had, as far as its row in the log tells. Knows no colours and no
//! words. Invariant: the stretches follow each other without gap or overlap, from arrival to end.

use gateway::admin_api::LogView;

use crate::figures::ratio;

/// What a request did for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waited for a permit; pauses between attempts count as well.
    Queue,
    /// It was sent, and nothing had come back yet.
    Server,
    /// The answer came in.
    Answer,
}

/// A stretch, in milliseconds from the arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// What it did.
    pub phase: Phase,
    /// Since when.
    pub from_ms: u64,
    /// Until when.
    pub to_ms: u64,
}

impl Stretch {
    /// How long.
    #[must_use]
    pub const fn span_ms(self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms)
    }

    /// Where it begins and how long it is, as parts of the whole.
    #[must_use]
    pub fn part_of(self, total_ms: u64) -> (f64, f64) {
        (
            ratio(self.from_ms, total_ms),
            ratio(self.span_ms(), total_ms),
        )
    }
}

/// The stretches of a request, in order; those it never came to are left out.
#[must_use]
pub fn stretches(row: &LogView) -> Vec<Stretch> {
    let end = row.total_ms;
    let stretch = |phase, from_ms, to_ms| Stretch {
        phase,
        from_ms,
        to_ms,
    };
    // Never sent: all of it was waiting.
    if row.attempts == 0 {
        return vec![stretch(Phase::Queue, 0, end)];
    }
    let sent = row.queue_wait_ms.min(end);
    let mut all = vec![stretch(Phase::Queue, 0, sent)];
    match row.ttft_ms {
        Some(first) => {
            let first = first.clamp(sent, end);
            all.push(stretch(Phase::Server, sent, first));
            all.push(stretch(Phase::Answer, first, end));
        }
        None => all.push(stretch(Phase::Server, sent, end)),
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs_query::tests::row;

    fn told(change: impl FnOnce(&mut LogView)) -> Vec<(Phase, u64, u64)> {
        let mut row = row(1, 200);
        change(&mut row);
        let all = stretches(&row);
        let mut at = 0;
        for one in &all {
            assert_eq!(one.from_ms, at, "no gap, no overlap");
            assert!(one.to_ms >= one.from_ms);
            at = one.to_ms;
        }
        assert_eq!(at, row.total_ms);
        all.iter()
            .map(|one| (one.phase, one.from_ms, one.to_ms))
            .collect()
    }

    #[test]
    fn a_request_queues_is_sent_and_answers() {
        let all = told(|row| {
            row.queue_wait_ms = 300;
            row.ttft_ms = Some(500);
            row.total_ms = 2_000;
        });
        assert_eq!(
            all,
            [
                (Phase::Queue, 0, 300),
                (Phase::Server, 300, 500),
                (Phase::Answer, 500, 2_000)
            ]
        );
    }

    #[test]
    fn a_request_that_was_never_sent_only_queued() {
        let all = told(|row| {
            row.attempts = 0;
            row.queue_wait_ms = 990;
            row.total_ms = 1_000;
        });
        assert_eq!(all, [(Phase::Queue, 0, 1_000)]);
    }

    #[test]
    fn a_request_without_an_answer_waited_for_its_server_to_the_end() {
        let all = told(|row| {
            row.queue_wait_ms = 100;
            row.total_ms = 400;
        });
        assert_eq!(all, [(Phase::Queue, 0, 100), (Phase::Server, 100, 400)]);
    }

    #[test]
    fn times_that_contradict_each_other_stay_in_order() {
        let all = told(|row| {
            row.queue_wait_ms = 900;
            row.ttft_ms = Some(20);
            row.total_ms = 500;
        });
        assert_eq!(
            all,
            [
                (Phase::Queue, 0, 500),
                (Phase::Server, 500, 500),
                (Phase::Answer, 500, 500)
            ]
        );
    }

    #[test]
    fn parts_are_between_nothing_and_all_also_of_nothing() {
        let all = Stretch {
            phase: Phase::Server,
            from_ms: 250,
            to_ms: 1_000,
        };
        assert_eq!(all.part_of(1_000), (0.25, 0.75));
        assert_eq!(all.part_of(0), (0.0, 0.0));
    }
}
