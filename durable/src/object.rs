//! 对象外壳：解码、交给核心、派发事件、设定时器、编码。
//!
//! The object's calls are `GET https://limiter/<operation>?<message>` with one flat message of
//! [`admission::protocol`] in the query and the answer in one response header
//! ([`crate::ANSWER_HEADER`]): building and reading JSON bodies through WebAssembly costs several
//! times as much as the call itself. `watch` is `acquire` for a client that wants to see the queue
//! move: it answers with lines of progress, the last one being the answer.

#![allow(
    missing_docs,
    reason = "the durable_object macro generates undocumented exports"
)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::log::print;
use admission::protocol::{
    Accepted, Acquire, AcquireAnswer, Ask, Batch, Block, Cancel, DecodeError, Limits, SentLate,
    Settle, TicketId,
};
use futures::FutureExt;
use futures::future::{Either, select};
use gateway::attempts::{Attempt, Attempts, encode_verdict};
use gateway::log::{self, Detail};
use gateway::progress::HEARTBEAT;
use gateway::settings::Settings;
use js_sys::{Function, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::WorkerGlobalScope;
use worker::{Delay, DurableObject, Env, Request, Response, Result, State, durable_object};

use crate::abort::AbortListener;
use crate::clock::now;
use crate::pipe::Pipe;
use crate::shell::{Entered, Shell, Waiting};
use crate::{ANSWER_HEADER, RESET};

/// The Durable Object class, bound as `LIMITER`; its name is the server's id.
#[durable_object(alarm)]
pub struct Limiter {
    /// Without its storage an object answers nothing: it must not grant what it cannot remember.
    shell: Result<Rc<Shell>>,
    /// Only objects that count wrong credentials have any; they limit no server.
    attempts: RefCell<Attempts>,
    state: Rc<State>,
    env: Env,
}

impl DurableObject for Limiter {
    fn new(state: State, env: Env) -> Self {
        let state = Rc::new(state);
        let on_broken = {
            let state = Rc::clone(&state);
            move |reason: &str| reset(&state, reason)
        };
        let durable = {
            let state = Rc::clone(&state);
            move || {
                let storage = state.storage();
                async move { storage.sync().await }.boxed_local()
            }
        };
        let set_alarm = {
            let state = Rc::clone(&state);
            move |after: Duration, failed| set_alarm(&state, after, failed)
        };
        let settings = Settings::parse(|name| env.var(name).ok().map(|value| value.to_string()));
        Self {
            shell: Shell::restore(
                state.storage().sql(),
                settings.journal_rows_max,
                on_broken,
                durable,
                set_alarm,
            ),
            env,
            attempts: RefCell::default(),
            state,
        }
    }

    async fn fetch(&self, mut req: Request) -> Result<Response> {
        let shell = match &self.shell {
            Ok(shell) if !shell.is_broken() => shell,
            Ok(_) => return unavailable("the limiter restarts"),
            Err(error) => return unavailable(&error.to_string()),
        };
        let url = req.inner().url();
        let (operation, message) = operation(&url);
        let answer = match operation {
            "acquire" => acquire(shell, &req, message).await,
            "watch" => watch(shell, &req, message).await,
            "settle" => settle(shell, message).await,
            "settles" => carry_out(shell, &mut req, message).await?,
            "accepted" => Accepted::decode(message).map(|accepted| {
                let known = shell.step(|admission, now| admission.accepted(&accepted, now));
                Answer::Line(u8::from(known).to_string())
            }),
            "sent-late" => sent_late(shell, message).await,
            "cancel" => Cancel::decode(message).map(|cancel| {
                shell.cancel(&cancel.ticket);
                Answer::Line(String::from("1"))
            }),
            "limits" => set_limits(shell, message).await,
            "attempt" => Attempt::decode(message)
                .ok_or_else(|| DecodeError::Malformed(String::from("no attempt")))
                .map(|attempt| {
                    let refused_until = self.attempts.borrow_mut().see(&attempt, now());
                    Answer::Line(encode_verdict(refused_until))
                }),
            "live" => Ok(Answer::Line(shell.live(now()).encode())),
            "counters" => {
                // A row is counted when it is written.
                shell.written().await;
                Ok(Answer::Line(shell.counters()))
            }
            "reset" => {
                reset(&self.state, RESET);
                // Never answered: the caller learns of the reset by the end of this very call.
                std::future::pending().await
            }
            _ => return Response::error("unknown operation", 404),
        };
        if shell.is_broken() {
            // What this call was granted is not durable.
            return unavailable("the limiter restarts");
        }
        match answer {
            Ok(Answer::Line(line)) => Ok(Response::builder()
                .with_header(ANSWER_HEADER, &line)?
                .empty()),
            Ok(Answer::Stream(response)) => response,
            Err(error) => Response::error(error.to_string(), 400),
        }
    }

    /// Moves the journal to D1. Never fails: it sets the next alarm itself where something is left.
    async fn alarm(&self) -> Result<Response> {
        if let (Ok(shell), Ok(db)) = (&self.shell, self.env.d1("DB")) {
            shell.flush(&db).await;
        }
        Response::empty()
    }
}

/// Sets the object's alarm. If that fails, the next change tries again.
fn set_alarm(state: &Rc<State>, after: Duration, failed: Box<dyn FnOnce()>) {
    let storage = state.storage();
    spawn_local(async move {
        if let Err(error) = storage.set_alarm(after).await {
            print(&log::Event::JournalAlarmFailed {
                detail: Detail::new(&error.to_string()),
            });
            failed();
        }
    });
}

/// The call may be made again: a new instance will answer it.
fn unavailable(reason: &str) -> Result<Response> {
    Response::error(reason, 503)
}

enum Answer {
    Line(String),
    Stream(Result<Response>),
}

async fn acquire(
    shell: &Rc<Shell>,
    req: &Request,
    message: &str,
) -> std::result::Result<Answer, DecodeError> {
    let (request, ask) = (Acquire::decode(message)?, Ask::decode(message)?);
    let waiting = match shell.enter(request, ask).await {
        Entered::Answered(answer, block) => {
            let block = block.as_deref().map(Block::encode_beside);
            return Ok(Answer::Line(answer.encode() + &block.unwrap_or_default()));
        }
        Entered::Waiting(waiting) => waiting,
    };
    let _listener = cancel_when_aborted(shell, req, &waiting.ticket);
    let answer = waiting.answer().await;
    shell.written_before(&answer).await;
    Ok(Answer::Line(answer.encode()))
}

async fn sent_late(shell: &Rc<Shell>, message: &str) -> std::result::Result<Answer, DecodeError> {
    let sent = SentLate::decode(message)?;
    let known = shell.step(|admission, now| admission.sent_late(&sent, now));
    shell.written().await;
    Ok(Answer::Line(u8::from(known).to_string()))
}

async fn set_limits(shell: &Rc<Shell>, message: &str) -> std::result::Result<Answer, DecodeError> {
    let limits = Limits::decode(message)?;
    shell.step(|admission, now| admission.set_limits(limits, now));
    shell.written().await;
    Ok(Answer::Line(String::from("1")))
}

/// Acknowledged only when it is durable: what a crash loses, the Worker repeats.
async fn settle(shell: &Rc<Shell>, message: &str) -> std::result::Result<Answer, DecodeError> {
    let settle = Settle::decode(message)?;
    let settled = shell.settle(&settle);
    shell.written().await;
    Ok(Answer::Line(u8::from(settled).to_string()))
}

/// As [`settle`], for what one isolate has gathered; that is the body. The query may ask for permits ahead.
async fn carry_out(
    shell: &Rc<Shell>,
    req: &mut Request,
    message: &str,
) -> Result<std::result::Result<Answer, DecodeError>> {
    let (batch, ask) = match (Batch::decode(&req.text().await?), Ask::decode(message)) {
        (Ok(batch), Ok(ask)) => (batch, ask),
        (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
    };
    let Some(block) = shell.carry_out(&batch, ask) else {
        shell.written().await;
        return Ok(Ok(Answer::Line(String::from("1"))));
    };
    shell.written_now().await;
    Ok(Ok(Answer::Line(block.encode())))
}

async fn watch(
    shell: &Rc<Shell>,
    req: &Request,
    message: &str,
) -> std::result::Result<Answer, DecodeError> {
    let waiting = match shell.enter(Acquire::decode(message)?, None).await {
        Entered::Answered(answer, _) => return Ok(Answer::Line(answer.encode())),
        Entered::Waiting(waiting) => waiting,
    };
    let listener = cancel_when_aborted(shell, req, &waiting.ticket);
    let response = Pipe::new()
        .map_err(worker::Error::from)
        .map(|(pipe, body)| {
            let shell = Rc::clone(shell);
            spawn_local(async move {
                if narrate(&shell, &pipe, waiting).await.is_err() {
                    pipe.abort();
                }
                drop(listener);
            });
            Response::builder().stream(body)
        });
    Ok(Answer::Stream(response))
}

/// Lines of progress until the answer, which is the last line. Fails when nobody reads any more;
/// the ticket is then cancelled.
async fn narrate(
    shell: &Rc<Shell>,
    pipe: &Pipe,
    waiting: Waiting,
) -> std::result::Result<(), JsValue> {
    let ticket = waiting.ticket.clone();
    let mut answer = std::pin::pin!(waiting.answer());
    loop {
        if let Some(progress) = shell.progress(&ticket, now())
            && let Err(gone) = pipe.write_bytes(line(&progress.encode()).as_bytes()).await
        {
            shell.cancel(&ticket);
            return Err(gone);
        }
        let tick = Delay::from(HEARTBEAT);
        if let Either::Left((answer, _)) = select(answer.as_mut(), tick).await {
            shell.written_before(&answer).await;
            return tell(shell, pipe, &ticket, &answer).await;
        }
    }
}

/// The last line. A grant that nobody takes goes back whole.
async fn tell(
    shell: &Rc<Shell>,
    pipe: &Pipe,
    ticket: &TicketId,
    answer: &AcquireAnswer,
) -> std::result::Result<(), JsValue> {
    let told = pipe.write_bytes(line(&answer.encode()).as_bytes()).await;
    if told.is_err() && matches!(answer, AcquireAnswer::Granted(_)) {
        shell.give_back(ticket.clone());
    }
    told?;
    pipe.close().await
}

fn line(message: &str) -> String {
    format!("{message}\n")
}

fn cancel_when_aborted(shell: &Rc<Shell>, req: &Request, ticket: &TicketId) -> AbortListener {
    let (shell, ticket) = (Rc::clone(shell), ticket.clone());
    AbortListener::new(req.inner().signal(), move || shell.cancel(&ticket))
}

/// Throws this instance away: the next call starts a new one from what is durable. Its callers get
/// a retryable error and come back with their tickets.
///
/// The runtime ends whatever code calls `abort`. With WebAssembly on that stack, the executor of this
/// isolate, which the Worker and other objects share, would stand still for ever; so a timer calls it.
fn reset(state: &State, reason: &str) {
    let raw: &JsValue = state.as_raw().as_ref();
    let abort = Reflect::get(raw, &JsValue::from_str("abort"));
    if let Some(abort) = abort
        .ok()
        .and_then(|abort| abort.dyn_into::<Function>().ok())
    {
        let global: WorkerGlobalScope = js_sys::global().unchecked_into();
        let abort = abort.bind1(raw, &JsValue::from_str(reason));
        if let Err(error) = global.set_timeout_with_callback(abort.unchecked_ref()) {
            let detail = Detail::new(&format!("{error:?}"));
            print(&log::Event::LimiterResetFailed { detail });
        }
    }
}

/// Splits `https://limiter/<operation>?<message>`.
fn operation(url: &str) -> (&str, &str) {
    let (head, message) = url.split_once('?').unwrap_or((url, ""));
    let operation = head.rsplit_once('/').map_or("", |(_, operation)| operation);
    (operation, message)
}
