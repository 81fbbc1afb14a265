//! 异步任务：随页面结束而停止。
//!
//! Owns the start of futures that belong to what is on screen. Invariant: when the scope that started a
//! task ends, the task does as well, so it never touches a signal that is gone.

use std::cell::Cell;
use std::future::Future;

use futures::future::{AbortHandle, LocalBoxFuture, abortable};
use sycamore::prelude::*;
use wasm_bindgen_futures::spawn_local;

/// Runs a future until it or the present scope (a page, a dialog, one run of an effect) ends.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    let handle = start(future);
    on_cleanup(move || handle.abort());
}

/// Runs a future until it ends, whatever becomes of the page: for what must not be broken off, such as a
/// change that was sent. It must touch global signals only.
pub fn detach(future: impl Future<Output = ()> + 'static) {
    start(future);
}

thread_local! {
    static SCOPE: Cell<Option<NodeHandle>> = const { Cell::new(None) };
}

/// Remembers the application's own scope.
pub fn begin() {
    SCOPE.set(Some(use_current_scope()));
}

/// Sets several signals as one change. Unlike Sycamore's own, which needs a scope, it can be called from
/// futures and event handlers.
pub fn batch<T>(change: impl FnOnce() -> T) -> T {
    match SCOPE.get() {
        Some(scope) => scope.run_in(|| sycamore::reactive::batch(change)),
        None => change(),
    }
}

/// Runs futures of event handlers, which have no scope of their own: made once where the handler is made.
#[derive(Clone, Copy, Debug)]
pub struct Tasks {
    running: Signal<Vec<AbortHandle>>,
}

/// The tasks of the present scope; they end with it.
#[must_use]
pub fn use_tasks() -> Tasks {
    let running: Signal<Vec<AbortHandle>> = create_signal(Vec::new());
    on_cleanup(move || {
        running.with_untracked(|running| running.iter().for_each(AbortHandle::abort));
    });
    Tasks { running }
}

impl Tasks {
    /// Runs a future until it or the scope ends.
    pub fn run(self, future: impl Future<Output = ()> + 'static) {
        if !self.running.is_alive() {
            return;
        }
        let handle = start(future);
        self.running.update_silent(|running| {
            running.retain(|one| !one.is_aborted());
            running.push(handle);
        });
    }

    /// Ends what runs.
    pub fn stop(self) {
        if self.running.is_alive() {
            self.running
                .take_silent()
                .iter()
                .for_each(AbortHandle::abort);
        }
    }
}

fn start(future: impl Future<Output = ()> + 'static) -> AbortHandle {
    start_boxed(Box::pin(future))
}

/// Of one type, so that the code around a future is there once and not per future.
fn start_boxed(future: LocalBoxFuture<'static, ()>) -> AbortHandle {
    let (future, handle) = abortable(future);
    spawn_local(async move {
        let _ = future.await;
    });
    handle
}
