//! 试验场页面：发一个请求，看它排队、作答。
//!
//! The page of the playground. Owns what is typed, the conversation, and the request that runs. All of it is
//! kept in the tab's memory while somebody looks at another page, and forgotten at sign-out: the gateway key
//! is in no storage and in no URL.
//!
//! Invariant: leaving the page gives the request up, so that nobody's place in the queue is wasted.

#![allow(
    clippy::large_types_passed_by_value,
    reason = "what the parts share is a set of handles, copied like one"
)]

pub mod conversation;
pub mod exchange;
pub mod failure;
pub mod run;
pub mod setup;
pub mod trace;

use std::cell::RefCell;

use crate::reactive::create_effect;
use console_macros::view;
use sycamore::prelude::*;

use crate::api::{Key, List};
use crate::browser::{document, focus_first};
use crate::components::PageHeader;
use crate::i18n::playground;
use crate::navigation::{param, set_params};
use crate::playground_request::{Form, Message, Wrong};
use crate::remote::{Remote, load};
use crate::session::{self, State};
use crate::task::{self, Tasks, use_tasks};
use run::{Facts, Phase, Run};

/// A question with its answer.
#[derive(Clone, PartialEq)]
pub struct Turn {
    /// What was asked.
    pub question: String,
    /// What came back.
    pub answer: String,
    number: usize,
}

/// Why nothing was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// No key.
    Key,
    /// No model.
    Model,
    /// No message.
    Message,
    /// A number that is none.
    Number(Wrong),
}

/// What the parts of the page share.
#[derive(Clone, Copy)]
pub struct Desk {
    /// The gateway key.
    pub secret: Signal<String>,
    /// What is typed besides.
    pub form: Typed,
    /// The message that is being written.
    pub message: Signal<String>,
    /// What was asked and answered before.
    pub turns: Signal<Vec<Turn>>,
    /// The last question.
    pub run: Run,
    /// Why nothing was sent.
    pub problem: Signal<Option<Problem>>,
    /// For recognising the key.
    pub keys: Remote<List<Key>>,
    running: Tasks,
}

/// The fields of [`Form`].
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "the names are those of the form")]
pub struct Typed {
    pub app: Signal<String>,
    pub model: Signal<String>,
    pub system: Signal<String>,
    pub temperature: Signal<String>,
    pub max_tokens: Signal<String>,
    pub wait: Signal<String>,
    pub stream: Signal<bool>,
}

impl Typed {
    /// As one value; a view that asks follows.
    #[must_use]
    pub fn form(self) -> Form {
        Form {
            app: self.app.get_clone(),
            model: self.model.get_clone(),
            system: self.system.get_clone(),
            temperature: self.temperature.get_clone(),
            max_tokens: self.max_tokens.get_clone(),
            wait: self.wait.get_clone(),
            stream: self.stream.get(),
        }
    }
}

/// What outlives the page.
struct Kept {
    secret: String,
    form: Form,
    message: String,
    turns: Vec<Turn>,
    run: (Phase, String, String, Facts, Vec<(String, String)>),
}

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

impl Desk {
    /// The messages up to and with `question`; what has no answer is left out.
    #[must_use]
    pub fn messages(self, question: String) -> Vec<Message> {
        let mut turns = self.turns.get_clone();
        let (last, answer) = (self.run.question.get_clone(), self.run.answer.get_clone());
        turns.push(Turn {
            question: last,
            answer,
            number: 0,
        });
        let mut messages = Vec::new();
        for turn in turns.into_iter().filter(|turn| !turn.answer.is_empty()) {
            messages.push(Message {
                role: "user",
                content: turn.question,
            });
            messages.push(Message {
                role: "assistant",
                content: turn.answer,
            });
        }
        messages.push(Message {
            role: "user",
            content: question,
        });
        messages
    }

    /// Sends what is written.
    pub fn send(self) {
        let question = self.message.get_clone_untracked().trim().to_owned();
        if question.is_empty() {
            self.refuse(Problem::Message);
            return;
        }
        if self.start(question, true) {
            self.message.set(String::new());
        }
    }

    /// Sends the last message again, in place of its failed attempt.
    pub fn send_again(self) {
        let question = self.run.question.get_clone_untracked();
        self.run.answer.set(String::new());
        self.start(question, false);
    }

    /// Gives the request up.
    pub fn stop(self) {
        self.running.stop();
        self.run.stop();
    }

    /// Forgets the conversation.
    pub fn clear(self) {
        self.stop();
        task::batch(move || {
            self.turns.set(Vec::new());
            self.run.question.set(String::new());
            self.run.answer.set(String::new());
            self.run.headers.set(Vec::new());
            self.run.facts.set(Facts::default());
            self.run.phase.set(Phase::Idle);
        });
        focus_first("#message");
    }

    fn start(self, question: String, archive: bool) -> bool {
        if self.run.phase.with_untracked(Phase::is_busy) {
            return false;
        }
        let secret = self.secret.get_clone_untracked().trim().to_owned();
        if secret.is_empty() {
            self.refuse(Problem::Key);
            return false;
        }
        let form = self.form.form();
        if form.model.trim().is_empty() {
            self.refuse(Problem::Model);
            return false;
        }
        let request = match form.request(&self.messages(question.clone())) {
            Ok(request) => request,
            Err(wrong) => {
                self.refuse(Problem::Number(wrong));
                return false;
            }
        };
        self.problem.set(None);
        let before = Turn {
            question: self.run.question.get_clone_untracked(),
            answer: self.run.answer.get_clone_untracked(),
            number: self.turns.with_untracked(Vec::len),
        };
        if archive && !before.question.is_empty() {
            self.turns.update(|turns| turns.push(before));
        }
        self.run.begin(question);
        self.running.run(self.run.drive(secret, request));
        if let Ok(Some(end)) = document().query_selector(".playground-end") {
            conversation::bring_into_view(&end);
        }
        true
    }

    fn refuse(self, problem: Problem) {
        self.problem.set(Some(problem));
        let field = match problem {
            Problem::Key => "#play-key",
            Problem::Model => "#play-model, #play-model-name",
            Problem::Message => "#message",
            Problem::Number(Wrong::Temperature) => "#play-temperature",
            Problem::Number(Wrong::MaxTokens) => "#play-max-tokens",
            Problem::Number(Wrong::Wait) => "#play-wait",
        };
        focus_first(field);
    }

    fn keep(self) {
        let signed_in = matches!(session::state(), State::SignedIn(_));
        let mut phase = self.run.phase.get_clone_untracked();
        if phase.is_busy() {
            let waiting = matches!(phase, Phase::Queued { .. });
            phase = Phase::Stopped { waiting };
        }
        let kept = Kept {
            secret: self.secret.get_clone_untracked(),
            form: self.form.form(),
            message: self.message.get_clone_untracked(),
            turns: self.turns.get_clone_untracked(),
            run: (
                phase,
                self.run.question.get_clone_untracked(),
                self.run.answer.get_clone_untracked(),
                self.run.facts.get_clone_untracked(),
                self.run.headers.get_clone_untracked(),
            ),
        };
        KEPT.set(signed_in.then_some(kept));
    }

    fn restore(self, kept: Kept) {
        let Kept {
            secret,
            form,
            message,
            turns,
            run: (phase, question, answer, facts, headers),
        } = kept;
        self.secret.set(secret);
        self.message.set(message);
        self.turns.set(turns);
        let typed = self.form;
        for (signal, value) in [
            (typed.app, form.app),
            (typed.model, form.model),
            (typed.system, form.system),
            (typed.temperature, form.temperature),
            (typed.max_tokens, form.max_tokens),
            (typed.wait, form.wait),
        ] {
            if signal.with_untracked(String::is_empty) {
                signal.set(value);
            }
        }
        typed.stream.set(form.stream);
        self.run.question.set(question);
        self.run.answer.set(answer);
        self.run.facts.set(facts);
        self.run.headers.set(headers);
        self.run.phase.set(phase);
    }
}

/// The page.
#[component]
pub fn PlaygroundPage() -> View {
    let text = |name: &str| create_signal(param(name).unwrap_or_default());
    let form = Typed {
        app: text("app"),
        model: text("model"),
        system: create_signal(String::new()),
        temperature: text("temperature"),
        max_tokens: text("max_tokens"),
        wait: text("wait"),
        stream: create_signal(param("stream").as_deref() != Some("off")),
    };
    let desk = Desk {
        secret: create_signal(String::new()),
        form,
        message: create_signal(String::new()),
        turns: create_signal(Vec::new()),
        run: Run::idle(),
        problem: create_signal(None),
        keys: load(|| "/api/keys?limit=500".to_owned()),
        running: use_tasks(),
    };
    if let Some(kept) = KEPT.take() {
        desk.restore(kept);
    }
    provide_context(desk);
    on_cleanup(move || desk.keep());
    create_effect(move || {
        let typed = form.form();
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        set_params(&[
            ("app", some(&typed.app).as_deref()),
            ("model", some(&typed.model).as_deref()),
            ("temperature", some(&typed.temperature).as_deref()),
            ("max_tokens", some(&typed.max_tokens).as_deref()),
            ("wait", some(&typed.wait).as_deref()),
            ("stream", (!typed.stream).then_some("off")),
        ]);
    });
    view! {
        PageHeader(title=playground::title, hint=playground::hint)
        div(class="playground") {
            div(class="playground-side") {
                setup::Setup()
                trace::HeadersCard()
                trace::CurlCard()
            }
            conversation::Conversation()
        }
    }
}
