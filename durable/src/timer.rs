//! 唯一的定时器。
//!
//! One timer per object. It is set again only when the core needs an earlier wake-up than the one
//! armed: waking too early costs one idle step, setting a timer at every call would cost more.

use std::cell::RefCell;
use std::time::Duration;

use admission::Instant;
use futures::future::{AbortHandle, Abortable};
use wasm_bindgen_futures::spawn_local;
use worker::Delay;

/// setTimeout takes a signed 32-bit number of milliseconds; an hour is far below it, and waking
/// once an hour for nothing costs nothing.
const SLEEP_MAX: Duration = Duration::from_hours(1);

/// The armed wake-up, if any.
#[derive(Default)]
pub(crate) struct Timer {
    armed: RefCell<Option<(Instant, AbortHandle)>>,
}

impl Timer {
    /// Makes sure that `wake` runs at `at` or before; an armed timer that is early enough stays.
    pub(crate) fn arm(&self, at: Instant, now: Instant, wake: impl FnOnce() + 'static) {
        if let Some((armed_at, handle)) = self.armed.borrow().as_ref() {
            if *armed_at <= at {
                return;
            }
            handle.abort();
        }
        let sleep = at.saturating_since(now).min(SLEEP_MAX);
        let (handle, registration) = AbortHandle::new_pair();
        self.armed
            .replace(Some((now.saturating_add(sleep), handle)));
        let sleeper = Abortable::new(Delay::from(sleep), registration);
        spawn_local(async move {
            if sleeper.await.is_ok() {
                wake();
            }
        });
    }

    /// Forgets the armed timer; called when it has fired.
    pub(crate) fn fired(&self) {
        self.armed.replace(None);
    }
}
