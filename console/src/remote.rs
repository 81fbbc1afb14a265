//! 远端数据：加载、刷新、轮询，旧数据留到新数据来。
//!
//! Owns the life of what a page shows from the API: loading, there, failed; loaded again when its path
//! changes; polled while somebody looks. Invariant: what is on screen stays until something newer is there,
//! and nothing is asked for after the page is gone or while its tab is hidden.

use crate::reactive::create_effect;
use serde::de::DeserializeOwned;
use std::rc::Rc;
use sycamore::prelude::*;

use crate::api;
use crate::browser::{document, next_event, sleep};
use crate::errors::{Failure, Kind};
use crate::task::{self, spawn};

/// The longest pause between two attempts of a poll that fails.
const PAUSE_MS_MAX: u32 = 15_000;
/// How soon what could not be reached is tried again.
const RETRY_MS: u32 = 3_000;

/// Something that the API answers, as it is known now.
#[derive(Debug)]
pub struct Remote<T: 'static> {
    /// The last answer.
    pub data: Signal<Option<T>>,
    /// Why the last call failed, if it did.
    pub failure: Signal<Option<Failure>>,
    /// A call is under way.
    pub busy: Signal<bool>,
    round: Signal<u32>,
}

impl<T> Clone for Remote<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Remote<T> {}

/// Where a [`Remote`] stands: what a page decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is known yet.
    Loading,
    /// There is data, maybe old.
    Ready,
    /// There never was any.
    Failed,
}

impl<T: 'static> Remote<T> {
    /// Where it stands; a view that asks follows.
    #[must_use]
    pub fn phase(self) -> Phase {
        if self.data.with(Option::is_some) {
            Phase::Ready
        } else if self.failure.with(Option::is_some) {
            Phase::Failed
        } else {
            Phase::Loading
        }
    }

    /// Asks again.
    pub fn reload(self) {
        if self.round.is_alive() {
            self.round.set(self.round.get_untracked().wrapping_add(1));
        }
    }

    /// Puts in what is known without asking: the answer to a change.
    pub fn set(self, data: T) {
        self.data.set(Some(data));
    }

    fn new() -> Self {
        Self {
            data: create_signal(None),
            failure: create_signal(None),
            busy: create_signal(false),
            round: create_signal(0),
        }
    }

    fn take(self, answer: Result<T, Failure>) -> bool {
        let fine = answer.is_ok();
        task::batch(move || {
            self.busy.set(false);
            match answer {
                Ok(data) => {
                    self.data.set(Some(data));
                    if self.failure.with_untracked(Option::is_some) {
                        self.failure.set(None);
                    }
                }
                Err(failure) => self.failure.set(Some(failure)),
            }
        });
        fine
    }
}

/// What becomes of an answer's text; whether it was fine. The code around is there once, not per type.
type Take = Rc<dyn Fn(Result<String, Failure>) -> bool>;

fn taker<T: DeserializeOwned + 'static>(remote: Remote<T>) -> Take {
    Rc::new(move |answer| remote.take(answer.and_then(api::parse)))
}

/// Loads what a path answers; again when a signal that the path was made of changes. What could not be
/// reached is tried again by itself.
pub fn load<T: DeserializeOwned + 'static>(path: impl Fn() -> String + 'static) -> Remote<T> {
    let remote = Remote::new();
    drive_load(Box::new(path), remote.round, remote.busy, taker(remote));
    remote
}

fn drive_load(path: Box<dyn Fn() -> String>, round: Signal<u32>, busy: Signal<bool>, take: Take) {
    create_effect(move || {
        let path = path();
        round.track();
        let take = take.clone();
        spawn(async move {
            busy.set(true);
            loop {
                let answer = api::get_text(&path).await;
                let lost = matches!(&answer, Err(failure) if failure.kind == Kind::Offline);
                take(answer);
                if !lost {
                    return;
                }
                sleep(RETRY_MS).await;
            }
        });
    });
}

/// Loads what a future brings, such as several answers put together; else as [`load`].
pub fn load_by<T: 'static, F: Future<Output = Result<T, Failure>> + 'static>(
    ask: impl Fn() -> F + Clone + 'static,
) -> Remote<T> {
    let remote = Remote::new();
    create_effect(move || {
        remote.round.track();
        let first = ask();
        let again = ask.clone();
        spawn(async move {
            remote.busy.set(true);
            let mut answer = first.await;
            while matches!(&answer, Err(failure) if failure.kind == Kind::Offline) {
                remote.take(answer);
                sleep(RETRY_MS).await;
                answer = again().await;
            }
            remote.take(answer);
        });
    });
    remote
}

/// Loads what a path answers again and again, `pause_ms` after each answer, while the page is visible; the
/// pause doubles with each failure.
pub fn poll<T: DeserializeOwned + 'static>(
    pause_ms: u32,
    path: impl Fn() -> String + 'static,
) -> Remote<T> {
    let remote = Remote::new();
    drive_poll(pause_ms, Box::new(path), remote.round, taker(remote));
    remote
}

fn drive_poll(pause_ms: u32, path: Box<dyn Fn() -> String>, round: Signal<u32>, take: Take) {
    create_effect(move || {
        let path = path();
        round.track();
        let take = take.clone();
        spawn(async move {
            let mut pause = pause_ms;
            loop {
                while document().hidden() {
                    next_event(&document(), "visibilitychange").await;
                }
                let fine = take(api::get_text(&path).await);
                pause = if fine {
                    pause_ms
                } else {
                    pause.saturating_mul(2).min(PAUSE_MS_MAX.max(pause_ms))
                };
                sleep(pause).await;
            }
        });
    });
}
