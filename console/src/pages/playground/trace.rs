//! 请求的数据：用时分段、用量、响应头、curl。
//!
//! Owns what is told about a request besides its text: how its time was spent, what it used, the headers of the
//! gateway, and the same request as a command.

use crate::reactive::{create_memo, create_selector};
use console_macros::view;
use sycamore::prelude::*;

use super::Desk;
use super::conversation::{between, dash};
use super::run::{Facts, Phase};
use crate::browser::{style_of, window};
use crate::components::{Card, CopyButton};
use crate::i18n::playground;
use crate::intl;
use crate::playground_answer::speed;
use crate::route::Route;

/// Headers that matter here, in the order in which they are read.
const HEADERS: [&str; 16] = [
    "x-gateway-server",
    "x-queue-position",
    "x-queue-wait-ms",
    "x-gateway-overhead-ms",
    "x-gateway-attempts",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "retry-after",
    "x-config-version",
    "content-type",
    "x-should-retry",
    "x-request-id",
];

/// How the time of a request was spent, in milliseconds.
struct Spent {
    queue: Option<u64>,
    first: Option<u64>,
    answer: Option<u64>,
    total: u64,
}

/// The figures of the request that ended.
#[component]
pub fn Figures() -> View {
    let desk = use_context::<Desk>();
    let run = desk.run;
    let facts = run.facts.get_clone_untracked();
    let spent = spent(desk, &facts);
    let queue = match spent.queue {
        Some(0) => view! { (playground::straight()) },
        Some(span) => view! { (intl::span(span)) },
        None => dash(),
    };
    let first = match facts.first_ms {
        Some(first) => {
            let span = between(facts.sent_ms, first);
            view! { (intl::span(span)) }
        }
        None => dash(),
    };
    let pace = facts
        .tokens
        .and_then(|tokens| speed(tokens.completion, facts.first_ms?, facts.end_ms?));
    let pace = match pace {
        Some(pace) => view! { (playground::per_second(&intl::compact(pace))) },
        None => dash(),
    };
    let tokens = match facts.tokens {
        Some(tokens) => view! {
            (intl::integer(tokens.total))
            " "
            span(class="playground-figure-more") {
                (playground::tokens_detail(&intl::integer(tokens.prompt), &intl::integer(tokens.completion)))
            }
        },
        None => dash(),
    };
    let total = spent.total;
    let log = log_path(desk);
    view! {
        div(class="playground-trace") {
            (timeline(&spent))
            dl(class="playground-figures", aria-label=playground::figures()) {
                div { dt { (playground::queue_wait()) } dd { (queue) } }
                div { dt { (playground::first_token()) } dd { (first) } }
                div { dt { (playground::total()) } dd { (intl::span(total)) } }
                div { dt { (playground::speed()) } dd { (pace) } }
                div { dt { (playground::tokens()) } dd { (tokens) } }
            }
            (log.clone().map(|path| view! {
                p(class="playground-log") {
                    a(href=path) { (playground::open_log()) }
                    span(class="is-faint") { (playground::log_soon()) }
                }
            }))
        }
    }
}

fn timeline(spent: &Spent) -> View {
    let parts = [
        (
            "is-queue",
            playground::phase_queue as fn() -> &'static str,
            spent.queue,
        ),
        ("is-first", playground::phase_first, spent.first),
        ("is-answer", playground::phase_answer, spent.answer),
    ];
    let parts: Vec<View> = parts
        .into_iter()
        .filter_map(|(class, words, span)| {
            let span = span.filter(|span| *span > 0)?;
            let node = create_node_ref();
            on_mount(move || style_of(node, "--span", move || span.to_string()));
            let class = format!("playground-part {class}");
            Some(view! {
                li(class=class, r#ref=node) {
                    span(class="playground-part-words") { (words()) " " (intl::span(span)) }
                }
            })
        })
        .collect();
    if parts.is_empty() {
        return View::new();
    }
    view! { ol(class="playground-timeline") { (parts) } }
}

fn spent(desk: Desk, facts: &Facts) -> Spent {
    let end = facts.end_ms.unwrap_or(facts.sent_ms);
    let told = desk
        .run
        .header("x-queue-wait-ms")
        .and_then(|text| text.parse::<u64>().ok());
    let seen = facts
        .queued_ms
        .map(|from| between(from, facts.granted_ms.unwrap_or(end)));
    let queue_ms = told.or(seen);
    let first_ms = facts
        .first_ms
        .map(|first| between(facts.sent_ms, first).saturating_sub(queue_ms.unwrap_or_default()));
    let total_ms = between(facts.sent_ms, end);
    // A plain answer comes as a whole: all of its time is the server's.
    let whole = facts
        .tokens
        .map(|_| total_ms.saturating_sub(queue_ms.unwrap_or_default()));
    Spent {
        queue: queue_ms,
        first: first_ms,
        answer: facts.first_ms.map(|first| between(first, end)).or(whole),
        total: total_ms,
    }
}

/// Only what came as far as a server has a row.
fn log_path(desk: Desk) -> Option<String> {
    desk.run.header("x-gateway-server")?;
    let id = desk.run.header("x-request-id")?;
    Some(Route::Log(id).path())
}

/// The card with the gateway's headers.
#[component]
pub fn HeadersCard() -> View {
    let desk = use_context::<Desk>();
    let run = desk.run;
    let none = create_selector(move || run.headers.with(Vec::is_empty));
    let early = create_selector(move || {
        run.facts.with(|facts| facts.queued_ms.is_some()) && run.header("x-queue-wait-ms").is_none()
    });
    let hint = move || {
        if early.get() {
            playground::headers_early()
        } else {
            playground::headers_hint()
        }
    };
    view! {
        Card(title=playground::headers, hint=hint) {
            (if none.get() {
                view! { p(class="is-faint") { (playground::headers_none()) } }
            } else {
                let rows: Vec<View> = HEADERS
                    .into_iter()
                    .filter_map(|name| {
                        let value = run.header(name)?;
                        let shown = if name == "x-request-id" && log_path(desk).is_some() {
                            let path = Route::Log(value.clone()).path();
                            view! { a(href=path) { (value) } }
                        } else {
                            view! { (value) }
                        };
                        Some(view! { div { dt { (name) } dd { (shown) } } })
                    })
                    .collect();
                view! { dl(class="playground-headers") { (rows) } }
            })
        }
    }
}

/// The card with the request as a command.
#[component]
pub fn CurlCard() -> View {
    let desk = use_context::<Desk>();
    let text = create_memo(move || {
        let form = desk.form.form();
        let written = desk.message.with(|text| text.trim().to_owned());
        let sent = desk.run.question.get_clone();
        // The message that is being written, else the last one that was sent.
        let idle = desk.run.phase.with(|phase| *phase == Phase::Idle);
        let messages = if written.is_empty() && !idle {
            let mut messages = desk.messages(sent);
            // Its own answer is no part of it.
            let keep = messages.len().saturating_sub(1);
            if desk.run.answer.with(|answer| !answer.is_empty()) {
                messages.drain(keep.saturating_sub(2)..keep);
            }
            messages
        } else {
            desk.messages(written)
        };
        let origin = window().location().origin().unwrap_or_default();
        form.request(&messages)
            .map(|request| request.to_curl(&origin))
            .unwrap_or_default()
    });
    view! {
        Card(class="playground-curl-card") {
            details(class="playground-more") {
                summary { (playground::as_curl()) }
                p(class="card-hint") { (playground::as_curl_hint()) }
                pre(class="playground-curl", tabindex="0", aria-label=playground::as_curl()) { (text.get_clone()) }
                CopyButton(text=text)
            }
        }
    }
}
