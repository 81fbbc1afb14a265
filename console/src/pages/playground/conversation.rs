//! 对话：问题、应答、排队的样子、输入框。
//!
//! Owns what somebody watches: the questions and answers, the place in the queue while one waits, and the
//! field in which the next message is written. Screen readers hear what changes of state, and the answer once
//! it is complete, not each piece of it.

use crate::reactive::{Keyed, create_memo, create_selector};
use console_macros::view;
use sycamore::prelude::*;
use web_sys::{Element, KeyboardEvent, SubmitEvent};

use super::run::Phase;
use super::{Desk, Problem, Turn, failure, trace};
use crate::browser::{call, element_of, member, now_ms, sleep, window};
use crate::components::{Button, Card, CopyButton, EmptyState, Kind, icon, render};
use crate::errors::Failure;
use crate::i18n::{common, playground};
use crate::icons::Icon;
use crate::intl;
use crate::task::spawn;

/// So many places of a queue are drawn; the rest is the number's to tell.
const PLACES_MAX: u64 = 24;
/// So much of an answer is read out by itself.
const SAID_CHARS_MAX: usize = 600;
const TICK_MS: u32 = 200;
/// How far below the window the end of an answer is still followed.
const NEAR_PX: f64 = 160.0;

/// The card with the conversation.
#[component]
pub fn Conversation() -> View {
    let desk = use_context::<Desk>();
    let run = desk.run;
    let is_idle = create_selector(move || run.phase.with(|phase| *phase == Phase::Idle));
    let clear = render(move || {
        view! {
            (if is_idle.get() {
                View::new()
            } else {
                view! { Button(kind=Kind::Quiet, icon=Icon::Add, on:click=move |_| desk.clear()) { (playground::clear()) } }
            })
        }
    });
    view! {
        Card(title=playground::conversation, actions=clear, class="playground-talk") {
            div(class="playground-turns") {
                (if is_idle.get() {
                    view! { EmptyState(icon=Icon::Playground, title=playground::empty_title, hint=playground::empty_hint) }
                } else {
                    view! {
                        Keyed(list=desk.turns, key=|turn| turn.number, view=past)
                        Present()
                    }
                })
            }
            p(class="visually-hidden", role="status", aria-live="polite") { (said(desk)) }
            Composer()
        }
    }
}

fn past(turn: Turn) -> View {
    let answer = turn.answer.clone();
    let answered =
        (!answer.is_empty()).then(|| view! { pre(class="playground-text") { (answer) } });
    view! {
        div(class="playground-turn") {
            h3(class="playground-who") { (playground::you()) }
            pre(class="playground-text is-question") { (turn.question) }
            h3(class="playground-who") { (playground::answer()) }
            (answered)
        }
    }
}

#[component]
fn Present() -> View {
    let desk = use_context::<Desk>();
    let run = desk.run;
    let kind = create_selector(move || run.phase.with(std::mem::discriminant));
    let has_text = create_selector(move || run.answer.with(|answer| !answer.is_empty()));
    let is_busy = create_selector(move || run.phase.with(Phase::is_busy));
    // The end of the answer stays in sight, unless somebody has scrolled away from it.
    let end = create_node_ref();
    create_effect(move || {
        run.answer.track();
        run.phase.track();
        if let Some(end) = element_of(end)
            && is_near(&end)
        {
            bring_into_view(&end);
        }
    });
    view! {
        div(class="playground-turn", aria-busy=if is_busy.get() { "true" } else { "false" }) {
            h3(class="playground-who") { (playground::you()) }
            pre(class="playground-text is-question") { (run.question.get_clone()) }
            div(class="playground-answer-head") {
                h3(class="playground-who") { (playground::answer()) }
                (if has_text.get() && !is_busy.get() {
                    view! { CopyButton(text=run.answer, label=playground::copy_answer) }
                } else {
                    View::new()
                })
            }
            (if has_text.get() {
                view! {
                    pre(class=if is_busy.get() { "playground-text is-growing" } else { "playground-text" }, tabindex="0", aria-label=playground::answer()) {
                        (run.answer.get_clone())
                    }
                }
            } else {
                View::new()
            })
            (state(desk, kind))
            (if is_busy.get() { View::new() } else { view! { trace::Figures() } })
            span(class="playground-end", r#ref=end, aria-hidden="true")
        }
    }
}

/// What stands below the text: how the request fares, or what became of it.
fn state(desk: Desk, kind: ReadSignal<std::mem::Discriminant<Phase>>) -> View {
    let run = desk.run;
    view! {
        ({
            kind.track();
            match run.phase.get_clone_untracked() {
                Phase::Idle => View::new(),
                Phase::Sending => waiting(playground::sending),
                Phase::Queued { .. } => view! { Queue() },
                Phase::Granted => waiting(playground::granted),
                Phase::Answering => waiting(playground::answering),
                Phase::Complete => complete(desk),
                Phase::Stopped { waiting } => stopped(waiting),
                Phase::Failed(failure) => failed(desk, failure),
            }
        })
    }
}

fn waiting(words: fn() -> &'static str) -> View {
    view! {
        p(class="playground-state") {
            span(class="playground-pulse", aria-hidden="true")
            (words())
        }
    }
}

fn complete(desk: Desk) -> View {
    let note = move || {
        let facts = desk.run.facts.get_clone();
        let reason = facts.reason.as_deref();
        if facts.cut {
            playground::cut()
        } else if reason == Some("length") {
            playground::ended_length()
        } else if reason == Some("content_filter") {
            playground::ended_filter()
        } else if desk.run.answer.with(String::is_empty) {
            playground::no_text()
        } else {
            ""
        }
    };
    view! {
        (Some(note()).filter(|note| !note.is_empty()).map(|note| view! {
            p(class="playground-note") { (icon(Icon::Information)) (note) }
        }))
    }
}

fn stopped(waiting: bool) -> View {
    view! {
        p(class="playground-note") {
            (icon(Icon::Stop))
            (if waiting { playground::stopped_waiting() } else { playground::stopped() })
        }
    }
}

fn failed(desk: Desk, failure: Failure) -> View {
    let (message, code) = (failure.message.clone(), failure.code.clone());
    let status = failure.status;
    let told = failure.clone();
    let later = move || {
        let seconds = desk
            .run
            .header("retry-after")
            .and_then(|text| text.parse::<u64>().ok());
        seconds.map(|seconds| playground::try_later(&intl::span(seconds.saturating_mul(1_000))))
    };
    let code = match (code.is_empty(), status) {
        (true, 0) => String::new(),
        (true, status) => status.to_string(),
        (false, 0) => code,
        (false, status) => format!("{status} {code}"),
    };
    view! {
        div(class="playground-failure", role="alert") {
            (icon(Icon::Failure))
            div(class="playground-failure-words") {
                p(class="playground-failure-title") { (failure::why(&told)) }
                p { (message) }
                p(class="playground-failure-code") { (code) }
                p { (later().unwrap_or_default()) }
            }
            Button(icon=Icon::Refresh, on:click=move |_| desk.send_again()) { (playground::again()) }
        }
    }
}

/// The place in the queue: a number, the requests ahead as a row, and the estimate that runs down.
#[component]
fn Queue() -> View {
    let desk = use_context::<Desk>();
    let run = desk.run;
    let now = create_signal(now_ms());
    spawn(async move {
        loop {
            sleep(TICK_MS).await;
            now.set(now_ms());
        }
    });
    let place = create_selector(move || match run.phase.get_clone() {
        Phase::Queued { position, .. } => position,
        _ => 0,
    });
    let turn = create_selector(move || match run.phase.get_clone() {
        Phase::Queued { turn_ms, .. } => turn_ms,
        _ => None,
    });
    let estimate = move || match turn.get() {
        Some(turn) => playground::estimate(&intl::span(between(now.get(), turn))),
        None => playground::estimate_none().to_owned(),
    };
    let waited = move || {
        let since = run.facts.with(|facts| facts.queued_ms);
        playground::waited(&intl::span(
            since.map_or(0, |since| between(since, now.get())),
        ))
    };
    let places = create_memo(move || {
        (1..=place.get().min(PLACES_MAX))
            .rev()
            .collect::<Vec<u64>>()
    });
    view! {
        div(class="playground-queue") {
            div(class="playground-place") {
                span(class="playground-number", aria-hidden="true") { (intl::integer(place.get())) }
                div {
                    p(class="playground-place-words") {
                        (if place.get() == 1 { playground::next() } else { playground::place_label() })
                    }
                    p(class="is-soft") { (estimate()) " · " (waited()) }
                }
            }
            div(class="playground-lane", role="img", aria-label=playground::ahead()) {
                Keyed(list=places, key=|one| *one, view=move |one| view! {
                    span(class=if one == place.get() || (one == PLACES_MAX && place.get() > PLACES_MAX) { "playground-dot is-own" } else { "playground-dot" })
                })
            }
        }
    }
}

/// What a screen reader is told: changes of state, and the answer at its end.
fn said(desk: Desk) -> View {
    let run = desk.run;
    let words = create_selector(move || match run.phase.get_clone() {
        // Text is not read while it grows, and a failure is an alert of its own.
        Phase::Idle | Phase::Answering | Phase::Failed(_) => String::new(),
        Phase::Sending => playground::sending().to_owned(),
        Phase::Queued { position: 1, .. } => playground::next().to_owned(),
        Phase::Queued { position, .. } => playground::place(&position.to_string()),
        Phase::Granted => playground::granted().to_owned(),
        Phase::Complete => {
            let text: String = run
                .answer
                .with_untracked(|answer| answer.chars().take(SAID_CHARS_MAX).collect());
            playground::answer_said(&text)
        }
        Phase::Stopped { waiting: true } => playground::stopped_waiting().to_owned(),
        Phase::Stopped { waiting: false } => playground::stopped().to_owned(),
    });
    view! { (words.get_clone()) }
}

#[component]
fn Composer() -> View {
    let desk = use_context::<Desk>();
    let is_busy = create_selector(move || desk.run.phase.with(Phase::is_busy));
    let missing = create_selector(move || {
        desk.problem.get() == Some(Problem::Message)
            && desk.message.with(|text| text.trim().is_empty())
    });
    let keys = move |event: KeyboardEvent| {
        if event.key() == "Enter" && !event.shift_key() && !event.is_composing() {
            event.prevent_default();
            if !is_busy.get_untracked() {
                desk.send();
            }
        }
    };
    view! {
        form(class="playground-composer", novalidate=true, on:submit=move |event: SubmitEvent| {
            event.prevent_default();
            desk.send();
        }) {
            div(class="playground-box") {
                textarea(
                    class="playground-message",
                    id="message",
                    rows="1",
                    placeholder=playground::placeholder(),
                    aria-label=playground::message(),
                    aria-describedby="message-error message-hint",
                    aria-invalid=missing.get().then_some("true"),
                    bind:value=desk.message,
                    on:keydown=keys,
                )
                (if is_busy.get() {
                    view! { Button(icon=Icon::Stop, on:click=move |_| desk.stop()) { (playground::stop()) } }
                } else {
                    view! { Button(kind=Kind::Primary, icon=Icon::Send, submit=true) { (playground::send()) } }
                })
            }
            p(class="field-error", id="message-error") { (if missing.get() { playground::message_missing() } else { "" }) }
            p(class="field-hint", id="message-hint") { (playground::message_hint()) }
        }
    }
}

/// Whether something is in sight, or just below.
fn is_near(element: &Element) -> bool {
    let window_height = window()
        .inner_height()
        .ok()
        .and_then(|height| height.as_f64());
    let top = call(element, "getBoundingClientRect", &[])
        .and_then(|place| member(&place, "top"))
        .and_then(|top| top.as_f64());
    matches!((top, window_height), (Some(top), Some(height)) if top < height + NEAR_PX)
}

/// Scrolls no further than is needed to see an element.
pub fn bring_into_view(element: &Element) {
    let options = js_sys::Object::new();
    let _ = js_sys::Reflect::set(&options, &"block".into(), &"nearest".into());
    call(element, "scrollIntoView", &[options.into()]);
}

/// Whole milliseconds from one instant to another; 0 if that lies behind.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "spans of a request are positive and far below 2^53 ms"
)]
pub fn between(from_ms: f64, to_ms: f64) -> u64 {
    (to_ms - from_ms).max(0.0) as u64
}

/// The label of nothing: a dash that readers skip.
#[must_use]
pub fn dash() -> View {
    view! { span(class="is-faint", aria-label=common::none()) { "–" } }
}
