//! 一次请求的经历：发送、排队、应答、结束。
//!
//! Owns what is known about the request that runs or ran last, and drives it: what each comment and event of
//! its stream changes. The instants are the browser's own, measured here.

use sycamore::prelude::*;

use super::exchange;
use crate::browser::now_ms;
use crate::errors::Failure;
use crate::playground_answer::{Tokens, Told, read, read_plain};
use crate::playground_events::Parser;
use crate::playground_request::Request;
use crate::task;

/// Longest answer that is shown.
const ANSWER_BYTES_MAX: usize = 512 * 1024;

/// Where the request stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// None was sent.
    Idle,
    /// It is on its way.
    Sending,
    /// It waits its turn.
    Queued {
        /// From 1.
        position: u64,
        /// When its turn will probably come, by the browser's clock.
        turn_ms: Option<f64>,
    },
    /// The server has it; no text yet.
    Granted,
    /// Text comes.
    Answering,
    /// It came to its end.
    Complete,
    /// Somebody stopped it; whether it still waited then.
    Stopped {
        /// It had no answer yet.
        waiting: bool,
    },
    /// It failed.
    Failed(Failure),
}

impl Phase {
    /// It is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Sending | Self::Queued { .. } | Self::Granted | Self::Answering
        )
    }
}

/// Instants by the browser's clock, and what the answer told about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// It was sent.
    pub sent_ms: f64,
    /// The first comment of the queue came.
    pub queued_ms: Option<f64>,
    /// Something else than such a comment came.
    pub granted_ms: Option<f64>,
    /// The first text came.
    pub first_ms: Option<f64>,
    /// It ended.
    pub end_ms: Option<f64>,
    /// What it used.
    pub tokens: Option<Tokens>,
    /// Why the text ends.
    pub reason: Option<String>,
    /// The text was longer than what is shown.
    pub cut: bool,
}

/// The request that runs, or ran last.
#[derive(Clone, Copy)]
pub struct Run {
    /// Where it stands.
    pub phase: Signal<Phase>,
    /// The message that was sent.
    pub question: Signal<String>,
    /// The text so far.
    pub answer: Signal<String>,
    /// What is known besides.
    pub facts: Signal<Facts>,
    /// Of the answer.
    pub headers: Signal<Vec<(String, String)>>,
}

impl Run {
    /// None yet; its signals live in the present scope.
    #[must_use]
    pub fn idle() -> Self {
        Self {
            phase: create_signal(Phase::Idle),
            question: create_signal(String::new()),
            answer: create_signal(String::new()),
            facts: create_signal(Facts::default()),
            headers: create_signal(Vec::new()),
        }
    }

    /// Begins with a message.
    pub fn begin(self, question: String) {
        task::batch(move || {
            self.question.set(question);
            self.answer.set(String::new());
            self.headers.set(Vec::new());
            self.facts.set(Facts {
                sent_ms: now_ms(),
                ..Facts::default()
            });
            self.phase.set(Phase::Sending);
        });
    }

    /// Ends it by hand; its future must be dropped as well.
    pub fn stop(self) {
        if self.phase.with_untracked(Phase::is_busy) {
            let waiting = self
                .phase
                .with_untracked(|phase| matches!(phase, Phase::Queued { .. }));
            self.end(Phase::Stopped { waiting });
        }
    }

    /// A header of the answer; a view that asks follows.
    #[must_use]
    pub fn header(self, name: &str) -> Option<String> {
        self.headers.with(|headers| {
            let found = headers.iter().find(|(one, _)| one == name);
            found.map(|(_, value)| value.clone())
        })
    }

    /// Sends it and follows it to its end.
    pub async fn drive(self, secret: String, request: Request) {
        match self.follow(&secret, &request).await {
            Ok(()) => self.end(Phase::Complete),
            Err(failure) => self.end(Phase::Failed(failure)),
        }
    }

    async fn follow(self, secret: &str, request: &Request) -> Result<(), Failure> {
        let mut exchange = exchange::chat(secret, request).await?;
        self.headers.set(exchange.headers.clone());
        let streams = exchange
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !(200..300).contains(&exchange.status) {
            let text = exchange.text().await?;
            return Err(refusal(exchange.status, &text));
        }
        if !streams {
            let text = exchange.text().await?;
            let told = read_plain(&text).ok_or_else(|| Failure::unreadable(exchange.status))?;
            self.take(told)?;
            // Its text came at once, at the end: it has no first token.
            self.facts.update(|facts| facts.first_ms = None);
            return Ok(());
        }
        self.phase.set(Phase::Granted);
        let mut parser = Parser::default();
        let mut complete = false;
        while let Some(chunk) = exchange.next().await? {
            let told = parser.push(&chunk).iter().flat_map(read).collect();
            complete |= self.take(told)?;
            if self.facts.with_untracked(|facts| facts.cut) {
                return Ok(());
            }
        }
        if complete { Ok(()) } else { Err(truncated()) }
    }

    /// Notes what a chunk told; true at the end.
    fn take(self, told: Vec<Told>) -> Result<bool, Failure> {
        let now = now_ms();
        let mut text = String::new();
        let mut complete = false;
        let mut failed = None;
        let mut phase = None;
        let mut facts = self.facts.get_clone_untracked();
        for one in told {
            if !matches!(one, Told::Queued { .. }) && facts.queued_ms.is_some() {
                facts.granted_ms.get_or_insert(now);
            }
            match one {
                Told::Queued {
                    position,
                    estimate_ms,
                } => {
                    facts.queued_ms.get_or_insert(now);
                    let turn_ms = estimate_ms.map(|span| now + crate::figures::lossy(span));
                    phase = Some(Phase::Queued { position, turn_ms });
                }
                Told::Text(more) => {
                    facts.first_ms.get_or_insert(now);
                    text.push_str(&more);
                    phase = Some(Phase::Answering);
                }
                Told::Used(tokens) => facts.tokens = Some(tokens),
                Told::Ended(reason) => facts.reason = Some(reason),
                Told::Failed(failure) => failed = Some(failure),
                Told::Complete => complete = true,
            }
        }
        let room = ANSWER_BYTES_MAX.saturating_sub(self.answer.with_untracked(String::len));
        if text.len() > room {
            let mut end = room;
            while !text.is_char_boundary(end) {
                end = end.saturating_sub(1);
            }
            text.truncate(end);
            facts.cut = true;
        }
        task::batch(move || {
            if !text.is_empty() {
                self.answer.update(|answer| answer.push_str(&text));
            }
            if self.facts.with_untracked(|before| *before != facts) {
                self.facts.set(facts);
            }
            if let Some(phase) = phase
                && self.phase.with_untracked(|before| *before != phase)
            {
                self.phase.set(phase);
            }
        });
        failed.map_or(Ok(complete), Err)
    }

    fn end(self, phase: Phase) {
        if !self.phase.is_alive() {
            return;
        }
        task::batch(move || {
            self.facts.update(|facts| facts.end_ms = Some(now_ms()));
            self.phase.set(phase);
        });
    }
}

/// An answer with a status of failure: the gateway's shape, or what the server said in its own.
fn refusal(status: u16, text: &str) -> Failure {
    let mut failure = Failure::read(status, text);
    if failure.message.is_empty() {
        failure.message = text.chars().take(2_000).collect();
    }
    failure
}

fn truncated() -> Failure {
    let mut failure = Failure::unreadable(0);
    "upstream_stream_truncated".clone_into(&mut failure.code);
    failure
}
