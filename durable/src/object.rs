//! 对象外壳：解码、交给核心、派发事件、设定时器、编码。
//!
//! The object's calls are `GET https://limiter/<operation>?<message>` with one flat message of
//! [`admission::protocol`] in the query and the answer in one response header
//! ([`crate::ANSWER_HEADER`]): building and reading JSON bodies through WebAssembly
//! costs several times as much as the call itself.
//!
//! Invariant: after every change of the core its events are delivered and the timer is armed,
//! before anything else may run ([`Shell::step`]).

#![allow(
    missing_docs,
    reason = "the durable_object macro generates undocumented exports"
)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use admission::protocol::{
    Acquire, AcquireAnswer, AdmissionFacts, Cancel, DecodeError, Limits, Refusal, RefusalReason,
    Settle, SettleOutcome, TicketId,
};
use admission::{Acquired, Admission, Event, Instant};
use futures::future::Either;
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use crate::ANSWER_HEADER;
use crate::abort::AbortListener;
use crate::clock::now;
use crate::timer::Timer;
use crate::waiters::Waiters;

/// The Durable Object class, bound as `LIMITER`; its name is the server's id.
#[durable_object(fetch)]
pub struct Limiter {
    shell: Rc<Shell>,
}

/// What the object's calls and its timer share.
struct Shell {
    admission: RefCell<Admission>,
    waiters: RefCell<Waiters>,
    timer: Timer,
}

impl DurableObject for Limiter {
    fn new(_state: State, _env: Env) -> Self {
        Self {
            shell: Rc::new(Shell {
                admission: RefCell::new(Admission::new()),
                waiters: RefCell::default(),
                timer: Timer::default(),
            }),
        }
    }

    async fn fetch(&self, req: Request) -> Result<Response> {
        let url = req.inner().url();
        let (operation, message) = operation(&url);
        let answer = match operation {
            "acquire" => self.acquire(&req, message).await,
            "settle" => self.settle(message),
            "cancel" => self.cancel(message),
            "limits" => self.limits(message),
            "live" => Ok(self.shell.admission.borrow().live(now()).encode()),
            _ => return Response::error("unknown operation", 404),
        };
        match answer {
            Ok(answer) => Ok(Response::builder()
                .with_header(ANSWER_HEADER, &answer)?
                .empty()),
            Err(error) => Response::error(error.to_string(), 400),
        }
    }
}

impl Limiter {
    async fn acquire(&self, req: &Request, message: &str) -> Result<String, DecodeError> {
        let request = Acquire::decode(message)?;
        let ticket = request.ticket.clone();
        let shell = &self.shell;
        shell.waiters.borrow_mut().supersede(&ticket);
        let outcome = shell.step(|admission, now| match admission.acquire(request, now) {
            Acquired::Granted(grant) => Either::Left(AcquireAnswer::Granted(grant)),
            Acquired::Refused(refusal) => Either::Left(AcquireAnswer::Refused(refusal)),
            // Parked before the events are delivered: one of them may already be its answer.
            Acquired::Queued { .. } => {
                Either::Right(shell.waiters.borrow_mut().park(ticket.clone()))
            }
        });
        let receiver = match outcome {
            Either::Left(answer) => return Ok(answer.encode()),
            Either::Right(receiver) => receiver,
        };
        let _listener = {
            let shell = Rc::clone(shell);
            AbortListener::new(req.inner().signal(), move || shell.cancel(&ticket))
        };
        let answer = receiver.await.unwrap_or_else(|_closed| cancelled());
        Ok(answer.encode())
    }

    fn settle(&self, message: &str) -> Result<String, DecodeError> {
        let settle = Settle::decode(message)?;
        let settled = self
            .shell
            .step(|admission, now| admission.settle(&settle, now));
        Ok(u8::from(settled).to_string())
    }

    fn cancel(&self, message: &str) -> Result<String, DecodeError> {
        let cancel = Cancel::decode(message)?;
        self.shell.cancel(&cancel.ticket);
        Ok(String::from("1"))
    }

    fn limits(&self, message: &str) -> Result<String, DecodeError> {
        let limits = Limits::decode(message)?;
        self.shell
            .step(|admission, now| admission.set_limits(limits, now));
        Ok(String::from("1"))
    }
}

impl Shell {
    /// One change of the core: run it, deliver what it caused, arm the timer.
    fn step<T>(self: &Rc<Self>, change: impl FnOnce(&mut Admission, Instant) -> T) -> T {
        let now = now();
        let result = change(&mut self.admission.borrow_mut(), now);
        self.deliver(now);
        let next = self.admission.borrow().poll_timeout();
        if let Some(at) = next {
            let shell = Rc::clone(self);
            self.timer.arm(at, now, move || {
                shell.timer.fired();
                shell.step(Admission::handle_timeout);
            });
        }
        result
    }

    fn deliver(&self, now: Instant) {
        while let Some(event) = self.next_event() {
            let (ticket, answer) = match event {
                Event::Granted { ticket, grant } => (ticket, AcquireAnswer::Granted(grant)),
                Event::Refused { ticket, refusal } => (ticket, AcquireAnswer::Refused(refusal)),
                Event::LeaseExpired { .. } => continue,
            };
            let unclaimed = self.waiters.borrow_mut().answer(&ticket, answer);
            if let Some(AcquireAnswer::Granted(_)) = unclaimed {
                let settle = Settle {
                    ticket,
                    tokens: None,
                    outcome: SettleOutcome::NotSent,
                };
                self.admission.borrow_mut().settle(&settle, now);
            }
        }
    }

    fn next_event(&self) -> Option<Event> {
        self.admission.borrow_mut().poll_event()
    }

    fn cancel(self: &Rc<Self>, ticket: &TicketId) {
        self.step(|admission, now| admission.cancel(ticket, now));
    }
}

/// Splits `https://limiter/<operation>?<message>`.
fn operation(url: &str) -> (&str, &str) {
    let (head, message) = url.split_once('?').unwrap_or((url, ""));
    let operation = head.rsplit_once('/').map_or("", |(_, operation)| operation);
    (operation, message)
}

/// What a parked call hears whose ticket was cancelled or taken over by a later call.
fn cancelled() -> AcquireAnswer {
    AcquireAnswer::Refused(Refusal {
        reason: RefusalReason::Cancelled,
        retry_after: Duration::ZERO,
        admission: AdmissionFacts::default(),
    })
}
