//! 队列：等在闸门前的一排请求。
//!
//! Draws a queue: a gate at the left and, behind it, a dot per waiting request, the head of the queue first.
//! What does not fit is a number. Dots come and go by the width of one shape, so nothing is made anew.

use crate::reactive::create_selector;
use console_macros::view;
use sycamore::prelude::*;

use crate::figures::lossy;
use crate::i18n::overview;
use crate::intl;

/// Dots that are drawn; a longer queue tells the rest as a number.
const DOTS_MAX: u64 = 24;
/// From the left edge of one dot to that of the next.
const PITCH: u64 = 9;

/// The lane of one server, and in words beside it how long it takes.
#[component(inline_props)]
pub fn Lane(
    waiting: ReadSignal<u64>,
    oldest_ms: ReadSignal<u64>,
    next_ms: ReadSignal<Option<u64>>,
    paused: ReadSignal<bool>,
) -> View {
    let width =
        create_selector(move || format!("{}", waiting.get().min(DOTS_MAX).saturating_mul(PITCH)));
    let more = create_selector(move || waiting.get().saturating_sub(DOTS_MAX));
    let any = create_selector(move || waiting.get() > 0);
    let view_box = format!(
        "0 0 {} 16",
        DOTS_MAX.saturating_mul(PITCH).saturating_add(8)
    );
    view! {
        div(class=if any.get() { "lane" } else { "lane is-empty" }) {
            div(class="lane-words") {
                span(class="lane-label") { (overview::queue()) }
                span(class="lane-count") {
                    (if any.get() { overview::live_waiting(&intl::integer(waiting.get())) } else { overview::queue_empty().to_owned() })
                }
            }
            div(class="lane-track", aria-hidden="true") {
                svg(class="lane-dots", viewBox=view_box, preserveAspectRatio="xMinYMid meet") {
                    defs {
                        pattern(id="lane-dot", "width"=PITCH.to_string(), "height"="16", "patternUnits"="userSpaceOnUse", "x"="6", "y"="0") {
                            circle(cx="3.5", cy="8", r="3")
                        }
                    }
                    rect(class="lane-gate", "x"="0", "y"="0", width="2.5", height="16", "rx"="1.25")
                    rect(class="lane-fill", "x"="6", "y"="0", width=move || width.get_clone(), height="16", "fill"="url(#lane-dot)")
                    (if any.get() { view! { circle(class="lane-head", cx="9.5", cy="8", r="3") } } else { View::new() })
                }
                span(class="lane-more") { (if more.get() > 0 { overview::queue_more(&intl::integer(more.get())) } else { String::new() }) }
            }
            div(class="lane-times") {
                (if any.get() {
                    view! {
                        span { (overview::queue_oldest(&intl::span(coarse(oldest_ms.get())))) }
                        span { (if paused.get() { overview::queue_next_paused().to_owned() } else { next(next_ms.get()) }) }
                    }
                } else {
                    View::new()
                })
            }
        }
    }
}

fn next(milliseconds: Option<u64>) -> String {
    match milliseconds {
        None => overview::queue_next_open().to_owned(),
        Some(0..100) => overview::queue_next_now().to_owned(),
        Some(milliseconds) => overview::queue_next(&intl::span(coarse(milliseconds))),
    }
}

/// Without the digits that only flicker.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "spans are positive and small"
)]
fn coarse(milliseconds: u64) -> u64 {
    ((lossy(milliseconds) / 100.0).round() * 100.0) as u64
}
