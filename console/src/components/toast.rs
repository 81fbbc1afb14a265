//! 轻提示：短暂出现的结果，读屏也会念。
//!
//! Owns the messages that come and go in the corner: what was done, and what failed. Nobody has to act on
//! one; what needs an answer is a dialog or stands beside its field.

use std::cell::Cell;

use crate::reactive::Keyed;
use console_macros::view;
use sycamore::prelude::*;

use super::{IconButton, icon, remote_view};
use crate::browser::sleep;
use crate::errors::Failure;
use crate::i18n::common;
use crate::icons::Icon;
use crate::task::detach;

const SHOWN_MS: u32 = 5_000;
const SHOWN_FAILURE_MS: u32 = 9_000;
const SHOWN_LEN_MAX: usize = 4;

#[derive(Clone, PartialEq)]
struct Message {
    id: u32,
    text: String,
    hint: String,
    failed: bool,
}

thread_local! {
    static MESSAGES: Cell<Option<Signal<Vec<Message>>>> = const { Cell::new(None) };
    static NEXT: Cell<u32> = const { Cell::new(0) };
}

/// Says that something was done: `toast(servers::saved())`.
pub fn toast(text: impl Into<String>) {
    show(text.into(), String::new(), false);
}

/// Says that something failed, and why.
pub fn toast_failure(failure: &Failure) {
    let hint = remote_view::hint(failure.kind, &failure.message);
    show(remote_view::title(failure.kind).to_owned(), hint, true);
}

fn show(text: String, hint: String, failed: bool) {
    let Some(messages) = MESSAGES.get() else {
        return;
    };
    let id = NEXT.get();
    NEXT.set(id.wrapping_add(1));
    messages.update(|messages| {
        messages.push(Message {
            id,
            text,
            hint,
            failed,
        });
        let over = messages.len().saturating_sub(SHOWN_LEN_MAX);
        messages.drain(..over);
    });
    detach(async move {
        sleep(if failed { SHOWN_FAILURE_MS } else { SHOWN_MS }).await;
        dismiss(messages, id);
    });
}

fn dismiss(messages: Signal<Vec<Message>>, id: u32) {
    messages.update(|messages| messages.retain(|message| message.id != id));
}

/// The corner where they appear; once, in the shell. It is a popover, so that it lies over open dialogs.
#[component]
pub fn ToastRegion() -> View {
    let messages = create_signal(Vec::new());
    MESSAGES.set(Some(messages));
    view! {
        div(class="toasts", role="status", aria-live="polite") {
            Keyed(
                list=messages,
                key=|message| message.id,
                view=move |message| {
                    let id = message.id;
                    let symbol = icon(if message.failed { Icon::Failure } else { Icon::Check });
                    let class = if message.failed { "toast is-bad" } else { "toast is-good" };
                    view! {
                        div(class=class) {
                            (symbol)
                            div(class="toast-words") {
                                p(class="toast-text") { (message.text) }
                                p(class="toast-hint") { (message.hint) }
                            }
                            IconButton(icon=Icon::Close, label=common::close, on:click=move |_| dismiss(messages, id))
                        }
                    }
                },
            )
        }
    }
}
