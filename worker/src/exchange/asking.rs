//! 向限流器怎么问：请求许可的消息与便条。
//!
//! The message with which an exchange asks for a permit, and the note in it: what the object is to write
//! down of the request when it is over. Before that, whether a permit that was granted ahead is here already.

use std::rc::Rc;
use std::time::Duration;

use admission::protocol::{Acquire, AcquireAnswer, Ask, Grant, MODEL_LEN_MAX, TicketId, bounded};
use futures::channel::oneshot;
use gateway::journal;
use gateway::overflow::Mode;
use gateway::pool::{Kind, Size};
use wasm_bindgen_futures::spawn_local;

use super::Exchange;
use crate::admission_client::{Ahead, CallError};
use crate::clock::now;
use crate::isolate::Isolate;
use crate::{random, tail};

/// A question for permits ahead that goes with the request's own.
pub(super) struct Question {
    kind: Kind,
    pub(super) ask: Ask,
}

/// Notes what came of it. What has come is attended to beside the request; the receiver is closed when nothing
/// of it is left.
pub(super) fn answered(
    isolate: &Rc<Isolate>,
    question: Question,
    ahead: Ahead,
) -> Option<oneshot::Receiver<()>> {
    let Question { kind, ask } = question;
    let (block, was_repeated) = (ahead.block, ahead.was_repeated);
    let mut pool = isolate.pool.borrow_mut();
    if !pool.answered(&kind, &ask.block, block, was_repeated, now()) {
        return None;
    }
    drop(pool);
    let (over, attended) = oneshot::channel();
    let isolate = Rc::clone(isolate);
    spawn_local(async move {
        tail::attend(&isolate, &kind, &ask.block).await;
        drop(over);
    });
    Some(attended)
}

/// What an answer says of the state of the queue: where somebody waits nobody goes ahead.
pub(super) fn is_straight(answer: &Result<AcquireAnswer, CallError>) -> bool {
    match answer {
        Ok(AcquireAnswer::Granted(grant)) => grant.admission.position == 0 && !grant.probe,
        Ok(AcquireAnswer::Refused(_)) | Err(_) => false,
    }
}

impl Exchange {
    /// A permit that was granted ahead to requests like this one. Its ticket becomes the request's own, and
    /// the request's id.
    pub(super) fn permit_ahead(&mut self, ticket: &mut TicketId) -> Option<Grant> {
        if !self.may_go_ahead() {
            return None;
        }
        let (kind, limits) = (self.kind(), self.isolate.settings.limits_of(self.server()));
        let mut pool = self.isolate.pool.borrow_mut();
        let grant = pool.take(&kind, self.size(), &limits, now())?;
        drop(pool);
        *ticket = grant.permit.ticket().clone();
        self.trail.request_id = String::from(ticket.clone());
        self.ahead = Some(kind);
        Some(grant)
    }

    /// The question for permits ahead that this request's message takes along.
    pub(super) fn question(&self) -> Option<Question> {
        if !self.may_go_ahead() {
            return None;
        }
        let kind = self.kind();
        let random = random::bytes().ok()?;
        let mut pool = self.isolate.pool.borrow_mut();
        let ask = pool.ask_with(&kind, self.size(), random, now())?;
        Some(Question { kind, ask })
    }

    /// Only at its first server, with an id that is the gateway's to give.
    fn may_go_ahead(&self) -> bool {
        self.attempt == 0 && !self.has_asked && !self.trail.is_named
    }

    /// The permit that was granted ahead is settled or used up: nothing more is told of it.
    pub(super) fn has_used(&mut self, ticket: &TicketId) -> bool {
        let Some(kind) = self.ahead.take() else {
            return false;
        };
        self.isolate.pool.borrow_mut().ended(&kind, ticket);
        true
    }

    fn size(&self) -> Size {
        Size {
            prompt_bytes: self.asked.inference.prompt_bytes,
            output_tokens_max: self.asked.inference.output_tokens_max,
        }
    }

    fn kind(&self) -> Kind {
        let asked = &self.asked;
        Kind {
            server_id: self.server().id.clone(),
            app: asked.caller.app.as_str().to_owned(),
            key_id: asked.caller.key_id.clone(),
            model: asked.inference.model.clone(),
            endpoint: self.trail.known.endpoint,
            stream: asked.inference.stream,
            colo: self.isolate.colo(&self.req).to_owned(),
        }
    }

    pub(super) fn acquire_message(
        &self,
        ticket: &TicketId,
        mode: Mode,
        pause: Option<Duration>,
    ) -> Acquire {
        let asked = &self.asked;
        Acquire {
            ticket: ticket.clone(),
            app: asked.caller.app.as_str().to_owned(),
            key_id: asked.caller.key_id.clone(),
            model: asked.inference.model.clone(),
            prompt_bytes: asked.inference.prompt_bytes,
            output_tokens_max: asked.inference.output_tokens_max,
            wait_max: mode.wait_max(asked.wait_max),
            arrival: None,
            attempt: self.attempt,
            pause,
            note: self.asked_note(),
            config_version: asked.config_version,
            limits: self.isolate.settings.limits_of(self.server()),
        }
    }

    /// What the object notes of the request, whatever becomes of it.
    fn asked_note(&self) -> String {
        let asked = &self.asked;
        journal::Asked {
            request_id: self.trail.request_id.clone(),
            started_at: self.trail.started.as_millis(),
            app: asked.caller.app.as_str().to_owned(),
            key_id: asked.caller.key_id.clone(),
            server_id: self.server().id.clone(),
            model: bounded(&asked.inference.model, MODEL_LEN_MAX).to_owned(),
            endpoint: self.trail.known.endpoint.to_owned(),
            stream: asked.inference.stream,
            colo: self.isolate.colo(&self.req).to_owned(),
            held: self.held.clone(),
        }
        .note()
    }
}
