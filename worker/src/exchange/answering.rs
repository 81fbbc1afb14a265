//! 上游的答复怎样到达客户端：整份或一块一块。
//!
//! Step 7 of an exchange: the upstream's answer on its way to the client, whole where it is short, chunk by
//! chunk where it is a stream or long, and what was learnt from it on the way. Owns no rule: what is read out
//! of the bytes is [`gateway::observer`]'s.

use std::rc::Rc;

use gateway::error::GatewayError;
use gateway::observer::{Kind, Observer, Output};
use gateway::settlement::ExchangeEnd;
use gateway::upstream as rules;
use gateway::usage::Observed;
use js_sys::Uint8Array;
use worker::Headers;
use worker::web_sys;

use super::{Ended, Exchange};
use crate::clock::now;
use crate::fields;
use crate::reply::Held;
use crate::stream::{self, Relay};
use crate::upstream::Head;

impl Exchange {
    pub(super) async fn hold(&self, response: web_sys::Response) -> Held {
        match Held::of(response.into(), self.server().api_key.as_ref()).await {
            Ok(held) => held,
            Err(error) => Held::Failure(rules::unreachable(&self.server().name, error.to_string())),
        }
    }

    /// 7: the upstream's answer to the client, as it is.
    pub(super) async fn relay(&mut self, response: web_sys::Response) -> Ended {
        let status = response.status();
        let fields = fields::read(&Headers(response.headers()));
        let header = |name: &str| {
            let field = fields.iter().find(|(known, _)| known == name);
            field.map(|(_, value)| value.as_str())
        };
        let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
        let kind = Kind::of_answer(status, header("content-type"), &self.asked.inference);
        let is_stream = matches!(kind, Kind::EventStream { .. });
        let ended = |end, observed| Ended {
            end,
            status: Some(status),
            observed,
        };
        if self.reply.has_begun() && !is_stream {
            // The client reads a stream already: the answer can only be told in it.
            let held = self.hold(response).await;
            self.reply.pass(held, &self.trail, &self.gone).await;
            return ended(ExchangeEnd::Complete, Observed::default());
        }
        let secret = self.server().api_key.as_ref();
        let head = match Head::new(status, fields, secret, &self.trail) {
            Ok(head) => head,
            Err(error) => return self.broken_answer(&error).await,
        };
        if !is_stream && length.is_some_and(|length| length <= rules::WHOLE_BYTES_MAX) {
            return self.pass_whole(&head, &response, kind).await;
        }
        self.timer = None;
        let Some(body) = response.body() else {
            self.reply.answered(status);
            self.reply.send(head.empty().map_err(Into::into));
            return ended(ExchangeEnd::Complete, Observed::default());
        };
        let pipe = match self.reply.stream(&head) {
            Ok(pipe) => pipe,
            Err(error) => return self.broken_answer(&error.into()).await,
        };
        self.reply.answered(status);
        let server = self.server();
        let error_event =
            is_stream.then(|| rules::truncated(&server.name).sse_event(&self.trail.request_id));
        let observer = Observer::new(kind, server.api_key.as_ref());
        let relayed = Relay::new(&body, pipe, observer)
            .run(&self.gone, server.upstream_timeout(), error_event)
            .await;
        self.first_byte_at = relayed.first_byte_at;
        ended(relayed.end, relayed.observed)
    }

    /// A short answer is read whole and sent whole: a pump would cost more than all of it.
    async fn pass_whole(&mut self, head: &Head, response: &web_sys::Response, kind: Kind) -> Ended {
        let status = response.status();
        let server = Rc::clone(&self.asked.server);
        let mut observer = Observer::new(kind, server.api_key.as_ref());
        let timer = self.timer.take();
        let read = stream::read_whole(response, timer, server.upstream_timeout());
        let (mut whole, mut rest) = (Uint8Array::default(), Vec::new());
        let end = match self.gone.unless(read).await {
            Some(Ok(bytes)) => {
                self.first_byte_at = Some(now());
                whole = bytes;
                if let Output::Replace(bytes) = observer.push(&whole.to_vec()) {
                    (whole, rest) = (Uint8Array::default(), bytes);
                }
                ExchangeEnd::Complete
            }
            Some(Err(_broken_off)) => ExchangeEnd::Truncated,
            None => ExchangeEnd::ClientGone,
        };
        let finish = observer.finish();
        rest.extend(finish.tail);
        if !rest.is_empty() {
            let mut bytes = whole.to_vec();
            bytes.extend(rest);
            whole = Uint8Array::from(bytes.as_slice());
        }
        let answer = match end {
            // An answer such as 204 may have no body at all.
            ExchangeEnd::Complete if whole.length() == 0 => head.empty(),
            ExchangeEnd::Complete => head.whole(&whole),
            // Nobody may take a part for the whole.
            _ => stream::broken_off(head),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.broken_answer(&error.into()).await,
        };
        self.reply.answered(status);
        self.reply.send(Ok(answer));
        Ended {
            end,
            status: Some(status),
            observed: finish.observed,
        }
    }

    async fn broken_answer(&mut self, error: &worker::Error) -> Ended {
        let error = GatewayError::internal(error.to_string());
        self.reply.fail(&error, &self.trail, &self.gone).await;
        Ended::without_answer(ExchangeEnd::NoAnswer)
    }
}
