//! 加载、就绪、失败三态的外壳。
//!
//! Owns how data of the API is put on screen: a skeleton, then the content, which stays while newer data
//! comes; a failure with its reason and a way to try again, as a page if there never was data and as a strip
//! above the content if there was.

use std::rc::Rc;

use crate::reactive::{create_effect, create_selector};
use console_macros::view;
use sycamore::prelude::*;

use super::{Button, icon};
use crate::errors::{Failure, Kind};
use crate::i18n::common;
use crate::icons::Icon;
use crate::remote::{Phase, Remote};

/// Shows a [`Remote`]: `remote_view(servers, || view! { Skeleton(rows=6) }, |list| view! { … })`. `content` is
/// made once, when there is data, and gets it as a signal.
pub fn remote_view<T: Clone + 'static>(
    remote: Remote<T>,
    waiting: impl Fn() -> View + 'static,
    content: impl Fn(ReadSignal<T>) -> View + 'static,
) -> View {
    let phase = create_selector(move || remote.phase());
    let ready = move || {
        let Some(first) = remote.data.get_clone_untracked() else {
            return View::new();
        };
        let current = create_signal(first);
        create_effect(move || {
            if let Some(data) = remote.data.get_clone() {
                current.set(data);
            }
        });
        content(*current)
    };
    let retry: Rc<dyn Fn()> = Rc::new(move || remote.reload());
    phases(
        phase,
        remote.failure,
        retry,
        Box::new(waiting),
        Box::new(ready),
    )
}

/// The part that is the same whatever the data.
fn phases(
    phase: ReadSignal<Phase>,
    failure: Signal<Option<Failure>>,
    retry: Rc<dyn Fn()>,
    waiting: Box<dyn Fn() -> View>,
    ready: Box<dyn Fn() -> View>,
) -> View {
    view! {
        (match phase.get() {
            Phase::Loading => waiting(),
            Phase::Ready => ready(),
            Phase::Failed => {
                let retry = retry.clone();
                view! { (failure.get_clone().map(|failure| {
                    let retry = retry.clone();
                    view! { FailureState(failure=failure, retry=move || retry()) }
                })) }
            }
        })
    }
}

/// Why something is not there, and what to do: `FailureState(failure=failure, retry=move || remote.reload())`.
#[component(inline_props)]
pub fn FailureState(failure: Failure, retry: impl Fn() + 'static) -> View {
    let symbol = if failure.kind == Kind::Offline {
        Icon::Offline
    } else {
        Icon::Failure
    };
    let symbol = icon(symbol);
    let kind = failure.kind;
    let said = failure.message.clone();
    let id = failure.request_id.clone();
    view! {
        div(class="empty is-failure", role="alert") {
            span(class="empty-icon") { (symbol) }
            p(class="empty-title") { (title(kind)) }
            p(class="empty-hint") { (hint(kind, &said)) }
            (id.clone().map(|id| view! { p(class="empty-code") { (common::request_id(&id)) } }))
            div(class="empty-actions") {
                Button(icon=Icon::Refresh, on:click=move |_| retry()) { (common::retry()) }
            }
        }
    }
}

/// A failure in one line.
#[must_use]
pub fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Offline => common::failed_offline(),
        Kind::Expired => common::failed_expired(),
        Kind::Forbidden => common::failed_forbidden(),
        Kind::NotFound => common::failed_not_found(),
        Kind::Conflict => common::failed_conflict(),
        Kind::Invalid => common::failed_invalid(),
        Kind::Busy => common::failed_busy(),
        Kind::Server => common::failed_server(),
        Kind::Unreadable => common::failed_unreadable(),
    }
}

/// What to do about it: our own words where we have some, else the gateway's.
#[must_use]
pub fn hint(kind: Kind, said: &str) -> String {
    match kind {
        Kind::Offline => common::failed_offline_hint().to_owned(),
        Kind::Forbidden => common::failed_forbidden_hint().to_owned(),
        Kind::NotFound => common::failed_not_found_hint().to_owned(),
        Kind::Conflict => common::failed_conflict_hint().to_owned(),
        _ => said.to_owned(),
    }
}
