//! 一次尝试：发往上游，以及应答或失败之后怎么办。
//!
//! Step 6 of an exchange: one attempt with one permit. What an answer or a failure means is decided by
//! [`gateway::retry`]; whether a request left late by [`gateway::upstream`].

use std::rc::Rc;

use admission::protocol::{Accepted, Grant, Permit};
use futures::channel::oneshot;
use futures::future::join;
use gateway::error::ErrorCode;
use gateway::retry::{self, AfterAnswer};
use gateway::settlement::ExchangeEnd;
use gateway::upstream::{self as rules, UpstreamRequest};
use worker::Delay;
use worker::web_sys;

use super::{Ended, Exchange, Tried, note};
use crate::clock::now;
use crate::lateness::{self, Report, Watch};
use crate::reply::Held;
use crate::upstream::{self, SendFailure, Sent};

impl Exchange {
    /// 6: one attempt at the upstream. A request that leaves late is reported beside it, before its
    /// permit is settled.
    pub(super) async fn attempt(&mut self, grant: &Grant) -> Tried {
        self.trail.attempts = self.attempt.saturating_add(1);
        let (isolate, server) = (Rc::clone(&self.isolate), Rc::clone(&self.asked.server));
        let request_id = self.trail.request_id.clone();
        if !rules::is_counted(&server) {
            return self.exchange(grant, None).await;
        }
        let (answered, has_answer) = oneshot::channel();
        let (late, runs_late) = oneshot::channel();
        let report = match self.ahead {
            Some(_) => Report::Gathered,
            None => Report::Called,
        };
        let (ends, over) = oneshot::channel();
        let watched = async {
            let permit = &grant.permit;
            let watch = Watch {
                answered: has_answer,
                is_late: runs_late,
                over,
            };
            let told = lateness::watch(&isolate, &server, permit, report, watch).await;
            note(&request_id, "sent-late", told);
        };
        let exchange = async {
            let tried = self.exchange(grant, Some((answered, late))).await;
            drop(ends);
            tried
        };
        join(exchange, watched).await.0
    }

    /// `watch` is told when there is an answer or a failure, and when the sending takes long.
    async fn exchange(
        &mut self,
        grant: &Grant,
        watch: Option<(oneshot::Sender<()>, oneshot::Sender<()>)>,
    ) -> Tried {
        let (answered, late) = watch.unzip();
        let sent_at = now();
        let sent = self.send(&grant.permit, late).await;
        self.trail.upstream = now().saturating_since(sent_at);
        drop(answered);
        match sent {
            Ok(sent) => {
                self.timer = Some(sent.timer);
                self.after_answer(grant, sent.response).await
            }
            Err(failure) => self.after_failure(failure).await,
        }
    }

    async fn send(
        &self,
        permit: &Permit,
        late: Option<oneshot::Sender<()>>,
    ) -> Result<Sent, SendFailure> {
        let asked = &self.asked;
        let body = asked.inference.upstream_body(&asked.body.bytes);
        let request = UpstreamRequest::new(permit, self.server(), asked.inference.endpoint, body);
        let hops = asked.hops.as_deref();
        upstream::send(
            &request,
            &asked.headers,
            hops,
            &asked.body.handle,
            late,
            &self.gone,
        )
        .await
    }

    async fn after_answer(&mut self, grant: &Grant, response: web_sys::Response) -> Tried {
        let headers = response.headers();
        let header = |name: &str| headers.get(name).ok().flatten();
        let retry_max = self.isolate.settings.retry_max;
        let status = response.status();
        match retry::after_answer(status, header, self.attempt, retry_max, now()) {
            AfterAnswer::Retry { pause } => {
                self.isolate
                    .pool
                    .borrow_mut()
                    .close(&self.server().id, now());
                self.note_attempt(&format!("upstream answered {status}"), Some(pause));
                let held = self.hold(response).await;
                Tried::Again {
                    pause: Some(pause),
                    held,
                }
            }
            AfterAnswer::Pass if status == 429 => {
                let pause = retry::pause(header, self.attempt, now());
                self.isolate
                    .pool
                    .borrow_mut()
                    .close(&self.server().id, now());
                self.note_attempt("upstream answered 429 once more", Some(pause));
                let mut ended = self.relay(response).await;
                ended.end = ExchangeEnd::Refused(pause);
                Tried::Over(ended)
            }
            AfterAnswer::Pass if grant.probe => {
                let accepted = Accepted {
                    ticket: grant.permit.ticket().clone(),
                };
                let (isolate, server_id) = (Rc::clone(&self.isolate), self.server().id.clone());
                let report = isolate.admission.accepted(&server_id, &accepted);
                let (reported, ended) = join(report, self.relay(response)).await;
                note(&self.trail.request_id, "accepted", reported);
                Tried::Over(ended)
            }
            AfterAnswer::Pass => Tried::Over(self.relay(response).await),
        }
    }

    /// Before the first byte a failed connection costs the request nothing but time.
    async fn after_failure(&mut self, failure: SendFailure) -> Tried {
        let server = self.server();
        let error = match failure {
            SendFailure::Unreachable(detail) => rules::unreachable(&server.name, detail),
            SendFailure::Timeout => rules::timed_out(server),
            SendFailure::ClientGone => {
                return Tried::Over(Ended::without_answer(ExchangeEnd::ClientGone));
            }
        };
        let retry_max = self.isolate.settings.retry_max;
        let again = match error.code {
            ErrorCode::UpstreamUnreachable => retry::after_no_connection(self.attempt, retry_max),
            _ => None,
        };
        self.note_attempt(error.code.as_str(), again);
        if let Some(pause) = again
            && self.gone.unless(Delay::from(pause)).await.is_some()
        {
            return Tried::Again {
                pause: None,
                held: Held::Failure(error),
            };
        }
        self.reply.fail(&error, &self.trail, &self.gone).await;
        Tried::Over(Ended::without_answer(ExchangeEnd::NoAnswer))
    }
}
