//! 重启之后：先收拢回来的人，再按到达顺序放入。
//!
//! For a moment after a restart requests are gathered and let in together, in the order of their
//! arrival. The record knows all waiters but those of the last milliseconds; one of these that is
//! quick to call again must not overtake another that came before it.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use admission::Instant;
use admission::protocol::Acquire;
use futures::channel::oneshot;

use crate::shell::Entered;

/// How long requests are gathered: a Worker calls again 25 ms after it has heard of the reset, and a
/// round trip around the world takes about 200 ms. Only an object that restarts under load pays it.
pub(crate) const GATHERING: Duration = Duration::from_millis(250);

/// The requests of the moment after a restart.
#[derive(Default)]
pub(crate) struct Reentry {
    gathers: Cell<bool>,
    gathered: RefCell<Vec<(Instant, Acquire, oneshot::Sender<Entered>)>>,
}

impl Reentry {
    /// Starts to gather.
    pub(crate) fn begin(&self) {
        self.gathers.set(true);
    }

    /// Whether requests are gathered now.
    pub(crate) fn gathers(&self) -> bool {
        self.gathers.get()
    }

    /// Takes a request; it is let in with all others.
    pub(crate) fn gather(&self, request: Acquire, now: Instant) -> oneshot::Receiver<Entered> {
        let (sender, entered) = oneshot::channel();
        let arrival = request.arrival.unwrap_or(now).min(now);
        self.gathered.borrow_mut().push((arrival, request, sender));
        entered
    }

    /// Ends the gathering: all requests, the earliest first.
    pub(crate) fn end(&self) -> Vec<(Acquire, oneshot::Sender<Entered>)> {
        self.gathers.set(false);
        let mut gathered = self.gathered.take();
        // Stable: those of one millisecond stay in the order in which they came back.
        gathered.sort_by_key(|(arrival, ..)| *arrival);
        gathered
            .into_iter()
            .map(|(_, request, sender)| (request, sender))
            .collect()
    }
}
