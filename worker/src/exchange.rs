//! 交换：许可、上游、答复、结算。
//!
//! Steps 5 to 8 of one inference request: a permit, the upstream, the bytes back, and the settlement
//! of the permit exactly once at the end, whatever the end is.
//!
//! All of it runs in one task inside `wait_until`, because that task goes on when the client leaves:
//! it is what takes the ticket out of the queue, closes the upstream connection and settles the
//! permit. What to do after a refusal or a failure is decided by [`gateway::overflow`] and
//! [`gateway::retry`].

mod answering;
mod asking;
mod attempting;

use std::rc::Rc;
use std::time::Duration;

use admission::Instant;
use admission::protocol::{Acquire, AcquireAnswer, Cancel, Grant, Settle, TicketId};
use futures::channel::oneshot;
use gateway::config::Server;
use gateway::error::GatewayError;
use gateway::journal::{Answered, HeldAnswer};
use gateway::log::{Cost, Prompt, outcome};
use gateway::overflow::{Mode, Plan, Step};
use gateway::pool::Kind;
use gateway::routes;
use gateway::settlement::{self, ExchangeEnd};
use gateway::tail::{self as tail_rules, Settlement};
use gateway::upstream as rules;
use gateway::usage::Observed;
use worker::web_sys::{self, Request};
use worker::{Delay, Result};

use crate::admission_client::CallError;
use crate::client::ClientGone;
use crate::clock::now;
use crate::http::Trail;
use crate::isolate::Isolate;
use crate::log::Over;
use crate::proxy::Asked;
use crate::reply::{Held, Reply};
use crate::{log, random, snapshot, tail};
use asking::{answered, is_straight};

/// Steps 5 to 8 of one request.
pub(crate) struct Exchange {
    req: Request,
    isolate: Rc<Isolate>,
    asked: Asked,
    plan: Plan,
    trail: Trail,
    gone: ClientGone,
    reply: Reply,
    /// Attempts made upstream before the current one.
    attempt: u32,
    /// When the first bytes of the answer's body came.
    first_byte_at: Option<Instant>,
    /// What the client is answered if it gets no further permit.
    held: Option<HeldAnswer>,
    /// What the latest permit has reserved.
    reserved_tokens: u64,
    /// The kind of which the permit was granted ahead that is in use.
    ahead: Option<Kind>,
    /// The timer of the latest response headers.
    timer: Option<Delay>,
    /// A limiter was asked for this very request.
    has_asked: bool,
    /// Ends when nothing is left of permits ahead that this request has brought.
    attended: Option<oneshot::Receiver<()>>,
}

/// What is known when the exchange with the upstream is over.
struct Ended {
    end: ExchangeEnd,
    status: Option<u16>,
    observed: Observed,
}

/// What came of one attempt.
enum Tried {
    Over(Ended),
    /// The request goes back to the head of the queue. What it would have been answered is held, for
    /// the case that it never gets another permit.
    Again {
        pause: Option<Duration>,
        held: Held,
    },
}

impl Ended {
    fn without_answer(end: ExchangeEnd) -> Self {
        Self {
            end,
            status: None,
            observed: Observed::default(),
        }
    }
}

impl Exchange {
    pub(crate) fn new(
        req: Request,
        isolate: Rc<Isolate>,
        asked: Asked,
        trail: Trail,
        answer: oneshot::Sender<Result<web_sys::Response>>,
    ) -> Self {
        Self {
            gone: ClientGone::new(&req),
            plan: Plan::new(asked.candidates.iter().map(AsRef::as_ref)),
            reply: Reply::new(answer),
            attempt: 0,
            first_byte_at: None,
            held: None,
            reserved_tokens: 0,
            ahead: None,
            timer: None,
            has_asked: false,
            attended: None,
            req,
            isolate,
            asked,
            trail,
        }
    }

    pub(crate) async fn run(mut self) {
        let ended = match ticket() {
            Ok(ticket) => self.carry_out(ticket).await,
            Err(error) => {
                self.reply.fail(&error, &self.trail, &self.gone).await;
                Over::without_exchange(self.reply.told())
            }
        };
        if let Some(line) = log::request_line(&self.isolate, &self.req, &self.trail, &ended) {
            self.isolate.tail.borrow_mut().line(line);
        }
        // The connections, the body and all that belongs to this request end here.
        let isolate = Rc::clone(&self.isolate);
        let attended = self.attended.take();
        drop(self);
        tail::see_off(&isolate).await;
        if let Some(attended) = attended {
            // Closed without a word.
            let _closed = attended.await;
        }
    }

    async fn carry_out(&mut self, mut ticket: TicketId) -> Over {
        let mut pause = None;
        let mut held: Option<Held> = None;
        loop {
            let grant = match self.permit(&mut ticket, pause).await {
                Ok(Some(grant)) => grant,
                Ok(None) => return self.let_go(ticket).await,
                Err(error) => {
                    match held.take() {
                        Some(held) => self.reply.pass(held, &self.trail, &self.gone).await,
                        None => self.reply.fail(&error, &self.trail, &self.gone).await,
                    }
                    return self.let_go(ticket).await;
                }
            };
            match self.attempt(&grant).await {
                Tried::Over(ended) => return self.end(ticket, ended).await,
                Tried::Again {
                    pause: asked,
                    held: answer,
                } => {
                    pause = asked;
                    self.held = Some(answer.told());
                    held = Some(answer);
                    self.attempt = self.attempt.saturating_add(1);
                }
            }
        }
    }

    /// The client has left, or there is no further permit: the one of an earlier attempt, if the
    /// object still counts it, ends here.
    async fn let_go(&mut self, ticket: TicketId) -> Over {
        let over = Over::without_exchange(self.reply.told());
        if self.attempt > 0 {
            let ended = Ended::without_answer(ExchangeEnd::NoAnswer);
            self.settle(ticket, ended, over.answered(&self.trail)).await;
        }
        over
    }

    async fn end(&mut self, ticket: TicketId, ended: Ended) -> Over {
        let (status, code) = outcome(self.reply.told(), Some(ended.end));
        let over = Over {
            status,
            code,
            cost: Cost::new(ended.end, ended.status, self.prompt(), &ended.observed),
            first_byte_at: self.first_byte_at,
            at: now(),
        };
        self.settle(ticket, ended, over.answered(&self.trail)).await;
        over
    }

    /// 5: a permit, from the first candidate that has one; `None` when the client left meanwhile.
    async fn permit(
        &mut self,
        ticket: &mut TicketId,
        pause: Option<Duration>,
    ) -> std::result::Result<Option<Grant>, GatewayError> {
        while let Some(step) = self.plan.next() {
            self.move_to(step);
            if let Some(grant) = self.permit_ahead(ticket) {
                return Ok(Some(self.granted(step, grant)));
            }
            let request = self.acquire_message(ticket, step.mode, pause);
            let answer = match self.ask(&request, step.mode).await {
                Ok(Some(answer)) => answer,
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.plan.unavailable(step.index);
                    if self.plan.next().is_none_or(|next| next.index == step.index) {
                        return Err(error.into());
                    }
                    continue;
                }
            };
            match answer {
                AcquireAnswer::Granted(grant) => {
                    // In place of one of an earlier attempt, if that was granted ahead.
                    self.has_used(ticket);
                    return Ok(Some(self.granted(step, grant)));
                }
                AcquireAnswer::Refused(refusal) => {
                    self.note_facts(&refusal.admission);
                    if self.plan.after_refusal(step, &refusal).is_none() {
                        return Err(rules::queue_error(&refusal, &self.server().name));
                    }
                }
            }
        }
        Err(gateway::route::model_not_found(&self.asked.inference.model))
    }

    fn granted(&mut self, step: Step, grant: Grant) -> Grant {
        self.plan.granted(step.index);
        self.note_facts(&grant.admission);
        self.reserved_tokens = grant.permit.reserved_tokens();
        grant
    }

    /// Asks one object. When the client leaves, its ticket is cancelled; a grant that was already on
    /// its way goes back whole, since nothing was sent.
    async fn ask(
        &mut self,
        request: &Acquire,
        mode: Mode,
    ) -> std::result::Result<Option<AcquireAnswer>, CallError> {
        let isolate = Rc::clone(&self.isolate);
        let server_id = self.server().id.clone();
        let client = &isolate.admission;
        let watches = self.asked.wants_progress && mode == Mode::Queue;
        let question = if watches { None } else { self.question() };
        self.has_asked = true;
        let (reply, trail, gone) = (&mut self.reply, &self.trail, &self.gone);
        let attended = &mut self.attended;
        let call = async {
            let answer = if watches {
                let tell = async |now| reply.tell_progress(now, trail, gone).await;
                client.watch(&server_id, request, tell).await
            } else {
                let ask = question.as_ref().map(|question| &question.ask);
                let (answer, ahead) = client.acquire(&server_id, request, ask).await;
                if let Some(question) = question {
                    *attended = answered(&isolate, question, ahead);
                }
                answer
            };
            if !is_straight(&answer) {
                isolate.pool.borrow_mut().close(&server_id, now());
            }
            answer
        };
        let late = {
            let mut call = std::pin::pin!(call);
            if let Some(answer) = gone.unless(&mut call).await {
                return answer.map(Some);
            }
            let cancel = Cancel {
                ticket: request.ticket.clone(),
            };
            note(
                &trail.request_id,
                "cancel",
                client.cancel(&server_id, &cancel).await,
            );
            call.await
        };
        if let Ok(AcquireAnswer::Granted(grant)) = late {
            let ended = Ended::without_answer(ExchangeEnd::NotSent);
            let answered = Over::without_exchange(None).answered(&self.trail);
            self.settle(grant.permit.ticket().clone(), ended, answered)
                .await;
        }
        Ok(None)
    }

    /// 8: the permit goes back with what was used, exactly once.
    async fn settle(&mut self, ticket: TicketId, ended: Ended, answered: Answered) {
        let was_ahead = self.has_used(&ticket);
        let settle = settlement::settle(
            ticket,
            ended.end,
            ended.status,
            ended.observed.usage.as_ref(),
        );
        let started_at = self.trail.started.as_millis();
        let answered = Answered {
            started_at: was_ahead.then_some(started_at),
            ..answered
        };
        let settle = Settle {
            note: answered.note(),
            prompt_bytes: was_ahead.then_some(self.asked.inference.prompt_bytes),
            ..settle
        };
        if tail_rules::may_wait(self.server(), self.trail.admission.as_ref(), &settle) {
            let settlement = Settlement {
                request_id: self.trail.request_id.clone(),
                settle,
            };
            let mut tail = self.isolate.tail.borrow_mut();
            return tail.settle(&self.server().id, settlement);
        }
        let settled = self
            .isolate
            .admission
            .settle(&self.server().id, &settle)
            .await;
        note(&self.trail.request_id, "settle", settled);
    }

    fn prompt(&self) -> Prompt {
        Prompt {
            bytes: self.asked.inference.prompt_bytes,
            reserved_tokens: self.reserved_tokens,
        }
    }

    fn server(&self) -> &Server {
        &self.asked.server
    }

    fn move_to(&mut self, step: Step) {
        if let Some(server) = self.asked.candidates.get(step.index) {
            self.asked.server = Rc::clone(server);
            self.trail.server = Some(server.name.clone());
            self.trail.known.server_id = Some(server.id.clone());
            // What another server's limiter said does not hold for this one.
            self.trail.admission = None;
        }
    }

    fn note_attempt(&self, outcome: &str, pause: Option<Duration>) {
        let (request_id, server) = (&self.trail.request_id, &self.server().name);
        log::attempt_failed(request_id, server, self.trail.attempts, outcome, pause);
    }

    /// Notes what the headers will tell; an object that knows a newer configuration makes the next
    /// request of this isolate ask for it.
    fn note_facts(&mut self, facts: &admission::protocol::AdmissionFacts) {
        if facts.config_version > self.asked.config_version {
            snapshot::expire(&self.isolate);
        }
        self.trail.admission = Some(facts.clone());
    }
}

fn note(request_id: &str, operation: &str, result: std::result::Result<(), CallError>) {
    if let Err(error) = result {
        log::limiter_error(request_id, operation, &error);
    }
}

/// A ticket of its own for every request: clients may send a request id twice.
fn ticket() -> std::result::Result<TicketId, GatewayError> {
    let text = routes::request_id(None, random::bytes()?);
    TicketId::try_from(text).map_err(|error| GatewayError::internal(error.to_string()))
}
