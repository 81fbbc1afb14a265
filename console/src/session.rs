//! 会话：谁登录了，过期后就地重新登录，网关是否可达。
//!
//! Owns who is signed in, the calls that wait for somebody to sign in again, and whether the gateway
//! answers. The session itself is a cookie that no script can read.
//!
//! Invariant: a call that waits is answered, whichever way the sign-in ends.

use std::cell::{Cell, RefCell};

use futures::channel::oneshot;
use gateway::auth::Role;
use sycamore::prelude::*;

use crate::api::{self, SessionView};
use crate::browser::{listen, window};
use crate::errors::Failure;

/// What is known about who sits there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The gateway was not asked yet.
    Unknown,
    /// It does not answer.
    Unreachable(Failure),
    /// Nobody is signed in.
    SignedOut,
    /// Somebody is.
    SignedIn(SessionView),
}

#[derive(Clone, Copy)]
struct Signals {
    state: Signal<State>,
    expired: Signal<bool>,
    reachable: Signal<bool>,
}

thread_local! {
    static SIGNALS: Cell<Option<Signals>> = const { Cell::new(None) };
    static WAITING: RefCell<Vec<oneshot::Sender<bool>>> = const { RefCell::new(Vec::new()) };
}

/// Makes the signals, in the application's own scope.
pub fn begin() {
    let signals = Signals {
        state: create_signal(State::Unknown),
        expired: create_signal(false),
        reachable: create_signal(true),
    };
    SIGNALS.set(Some(signals));
    listen(&window(), "offline", move |_: web_sys::Event| {
        set_reachable(false);
    });
    listen(&window(), "online", move |_: web_sys::Event| {
        set_reachable(true);
    });
}

/// What is known; a view that asks follows.
#[must_use]
pub fn state() -> State {
    SIGNALS
        .get()
        .map_or(State::Unknown, |signals| signals.state.get_clone())
}

/// Whether the present user may change things; a view that asks follows.
#[must_use]
pub fn is_admin() -> bool {
    matches!(
        state(),
        State::SignedIn(SessionView {
            role: Role::Admin,
            ..
        })
    )
}

/// Whether the session ended while somebody worked; a view that asks follows.
#[must_use]
pub fn has_expired() -> bool {
    SIGNALS.get().is_some_and(|signals| signals.expired.get())
}

/// Whether the gateway answers; a view that asks follows.
#[must_use]
pub fn is_reachable() -> bool {
    SIGNALS.get().is_none_or(|signals| signals.reachable.get())
}

/// Notes whether the gateway answered.
pub fn set_reachable(reachable: bool) {
    if let Some(signals) = SIGNALS.get()
        && signals.reachable.get_untracked() != reachable
    {
        signals.reachable.set(reachable);
    }
}

/// Asks the gateway who is signed in.
pub async fn look() {
    let state = match api::whoami().await {
        Ok(Some(session)) => State::SignedIn(session),
        Ok(None) => State::SignedOut,
        Err(failure) => State::Unreachable(failure),
    };
    set_state(state);
}

/// Signs in; calls that waited for it go on.
pub async fn sign_in(token: &str) -> Result<(), Failure> {
    let session = api::sign_in(token).await?;
    set_state(State::SignedIn(session));
    resume(true);
    Ok(())
}

/// Signs out.
pub async fn sign_out() -> Result<(), Failure> {
    api::sign_out().await?;
    resume(false);
    set_state(State::SignedOut);
    Ok(())
}

/// Gives up to sign in again: back to the page of signing in.
pub fn give_up() {
    resume(false);
    set_state(State::SignedOut);
}

/// Waits until somebody has signed in again; false if that is not to be.
pub async fn wait_for_sign_in() -> bool {
    let Some(signals) = SIGNALS.get() else {
        return false;
    };
    if !matches!(signals.state.get_clone_untracked(), State::SignedIn(_)) {
        return false;
    }
    let (send, receive) = oneshot::channel();
    WAITING.with_borrow_mut(|waiting| waiting.push(send));
    signals.expired.set(true);
    receive.await.unwrap_or(false)
}

fn resume(signed_in: bool) {
    if let Some(signals) = SIGNALS.get() {
        signals.expired.set(false);
    }
    let waiting = WAITING.take();
    for one in waiting {
        // Whoever left in the meantime waits no longer.
        let _ = one.send(signed_in);
    }
}

fn set_state(state: State) {
    if let Some(signals) = SIGNALS.get()
        && signals.state.get_clone_untracked() != state
    {
        signals.state.set(state);
    }
}
