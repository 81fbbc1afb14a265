//! 上游自己的限额：滑动窗口，或令牌桶。
//!
//! Owns the two rules that providers enforce and the time after which they would
//! take a refused request, which is told honestly. Pure: the clock is an argument.
//! Refused requests do not count, so that coming back too early costs nothing but
//! the refusal.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How a provider limits its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// At most so many requests in any window of this length.
    Sliding {
        /// Requests in a window.
        requests: u32,
        /// The window.
        window: Duration,
    },
    /// A bucket of so many tokens, full at the start, that fills up evenly in this time.
    TokenBucket {
        /// Tokens in the full bucket, one for each request.
        requests: u32,
        /// From empty to full.
        window: Duration,
    },
}

/// The count under a [`Limit`].
#[derive(Debug)]
pub(super) enum Count {
    Sliding {
        requests: u32,
        window: Duration,
        admitted: VecDeque<Instant>,
    },
    TokenBucket {
        requests: u32,
        /// Time in which one token drops in.
        interval: Duration,
        /// When the bucket would have been empty: it holds what has dropped in since.
        empty_at: Option<Instant>,
    },
}

impl Count {
    pub(super) fn new(limit: Limit) -> Self {
        match limit {
            Limit::Sliding { requests, window } => Self::Sliding {
                requests,
                window,
                admitted: VecDeque::new(),
            },
            Limit::TokenBucket { requests, window } => Self::TokenBucket {
                requests,
                interval: window / requests.max(1),
                empty_at: None,
            },
        }
    }

    /// Counts a request, or says after what time one would be taken.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self {
            Self::Sliding {
                requests,
                window,
                admitted,
            } => {
                while admitted
                    .front()
                    .is_some_and(|first| *first + *window <= now)
                {
                    admitted.pop_front();
                }
                if admitted.len() < *requests as usize {
                    admitted.push_back(now);
                    return Ok(());
                }
                Err(admitted.front().map_or(*window, |first| {
                    (*first + *window).saturating_duration_since(now)
                }))
            }
            Self::TokenBucket {
                requests,
                interval,
                empty_at,
            } => {
                let full = *interval * *requests;
                let earliest = now.checked_sub(full).unwrap_or(now);
                let empty = empty_at.map_or(earliest, |empty| empty.max(earliest));
                let next = empty + *interval;
                if next > now {
                    return Err(next.saturating_duration_since(now));
                }
                *empty_at = Some(next);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(count: &mut Count, now: Instant, asked: u32) -> u32 {
        (0..asked).filter(|_| count.admit(now).is_ok()).count() as u32
    }

    #[test]
    fn sliding_window_is_free_again_a_window_after_each_request() {
        let (start, window) = (Instant::now(), Duration::from_secs(10));
        let mut count = Count::new(Limit::Sliding {
            requests: 3,
            window,
        });
        assert_eq!(taken(&mut count, start, 2), 2);
        let later = start + Duration::from_secs(4);
        assert_eq!(taken(&mut count, later, 5), 1);
        assert_eq!(count.admit(later), Err(Duration::from_secs(6)));
        assert_eq!(taken(&mut count, start + window, 5), 2);
        assert_eq!(count.admit(start + window), Err(Duration::from_secs(4)));
    }

    #[test]
    fn token_bucket_is_full_at_the_start_and_fills_evenly() {
        let (start, window) = (
            Instant::now() + Duration::from_hours(1),
            Duration::from_secs(10),
        );
        let mut count = Count::new(Limit::TokenBucket {
            requests: 5,
            window,
        });
        assert_eq!(taken(&mut count, start, 9), 5);
        assert_eq!(count.admit(start), Err(Duration::from_secs(2)));
        let later = start + Duration::from_secs(5);
        assert_eq!(taken(&mut count, later, 9), 2);
        assert_eq!(count.admit(later), Err(Duration::from_secs(1)));
        assert_eq!(
            taken(&mut count, later + window * 3, 9),
            5,
            "never fuller than full"
        );
    }
}
