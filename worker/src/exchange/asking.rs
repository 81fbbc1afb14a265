//! 向限流器怎么问：请求许可的消息与便条。
//!
//! The message with which an exchange asks for a permit, and the note in it: what the object is to write
//! down of the request when it is over.

use std::time::Duration;

use admission::protocol::{Acquire, MODEL_LEN_MAX, TicketId, bounded};
use gateway::journal;
use gateway::overflow::Mode;

use super::Exchange;

impl Exchange {
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
            colo: self.trail.colo(&self.req),
            held: self.held.clone(),
        }
        .note()
    }
}
