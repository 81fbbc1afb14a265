//! 客户端是否还在。
//!
//! Turns the abort of a request's signal (compatibility flag `enable_request_signal`) into a future
//! that every step of the exchange can wait on beside its own work.

use std::cell::RefCell;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{Either, Shared, select};
use gateway_durable::AbortListener;
use worker::web_sys::Request;

/// Resolves when the client has gone away; never while it stays.
pub(crate) struct ClientGone {
    _listener: AbortListener,
    gone: Shared<oneshot::Receiver<()>>,
}

impl ClientGone {
    pub(crate) fn new(req: &Request) -> Self {
        let (sender, receiver) = oneshot::channel();
        let sender = RefCell::new(Some(sender));
        let listener = AbortListener::new(req.signal(), move || {
            if let Some(sender) = sender.take() {
                // Nobody listens any more only when the exchange is over.
                let _over = sender.send(());
            }
        });
        Self {
            _listener: listener,
            gone: receiver.shared(),
        }
    }

    /// Runs `work` unless the client goes away first; then `None`, and `work` is dropped.
    pub(crate) async fn unless<F: Future>(&self, work: F) -> Option<F::Output> {
        let work = std::pin::pin!(work);
        match select(work, self.gone.clone()).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    }
}
