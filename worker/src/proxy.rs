//! 数据面：一个推理请求的编号步骤。
//!
//! The way of one inference request, in the order of the specification: who calls, what is asked,
//! which server, a permit, the upstream, the bytes back, and the settlement of the permit exactly
//! once at the end, whatever the end is.
//!
//! From step 5 on everything runs in one task inside `wait_until`, because that task goes on when
//! the client leaves: it is what takes the ticket out of the queue, closes the upstream connection
//! and settles the permit.

use std::rc::Rc;

use admission::protocol::{Acquire, AcquireAnswer, Cancel, Grant, Permit, TicketId};
use futures::channel::oneshot;
use gateway::auth::{self, Caller};
use gateway::chat::{self, ChatRequest};
use gateway::config::Server;
use gateway::error::{ErrorCode, GatewayError};
use gateway::observer::{Kind, Observer};
use gateway::settings::ClientAuth;
use gateway::settlement::{self, ExchangeEnd};
use gateway::upstream::{self as rules, UpstreamRequest};
use gateway::usage::Usage;
use gateway::{route, routes};
use worker::web_sys::ReadableStream;
use worker::{Context, Request, Response, ResponseBody, ResponseBuilder, Result};

use crate::admission_client::CallError;
use crate::body::{self, Body};
use crate::client::ClientGone;
use crate::clock::now;
use crate::http::{Trail, error_response, json};
use crate::isolate::Isolate;
use crate::stream::{Relay, Relayed};
use crate::upstream::{self, SendFailure};
use crate::{log, random, snapshot};

/// `GET /v1/models`: the models that this caller may use.
pub(crate) async fn models(
    req: &Request,
    isolate: &Rc<Isolate>,
    ctx: &Context,
    mut trail: Trail,
) -> Result<Response> {
    match visible_models(req, isolate, ctx, &mut trail).await {
        Ok(body) => {
            let response = json(200, body)?;
            trail.apply(response.headers())?;
            Ok(response)
        }
        Err(error) => error_response(&error, &trail),
    }
}

async fn visible_models(
    req: &Request,
    isolate: &Rc<Isolate>,
    ctx: &Context,
    trail: &mut Trail,
) -> std::result::Result<String, GatewayError> {
    let caller = caller(req, isolate, ctx).await?;
    let snapshot = snapshot::current(isolate, ctx).await?;
    trail.config_version = Some(snapshot.version);
    Ok(route::models_body(&route::visible_models(
        &snapshot, &caller,
    )))
}

/// `POST /v1/chat/completions`.
pub(crate) async fn inference(
    req: Request,
    isolate: Rc<Isolate>,
    ctx: &Context,
    mut trail: Trail,
) -> Result<Response> {
    let prepared = match prepare(&req, &isolate, ctx, &mut trail).await {
        Ok(prepared) => prepared,
        Err(error) => return error_response(&error, &trail),
    };
    let request_id = trail.request_id.clone();
    let (answer, answered) = oneshot::channel();
    let exchange = Exchange {
        gone: ClientGone::new(&req),
        req,
        isolate,
        prepared,
        trail,
    };
    ctx.wait_until(exchange.run(answer));
    match answered.await {
        Ok(response) => response,
        Err(_dropped) => {
            let error = GatewayError::new(ErrorCode::InternalError, "The request was given up.");
            json(error.code.status(), error.body(&request_id))
        }
    }
}

/// What steps 1 to 4 found out.
struct Prepared {
    caller: Caller,
    chat: ChatRequest,
    body: Body,
    snapshot_version: u64,
    server: Server,
}

async fn prepare(
    req: &Request,
    isolate: &Rc<Isolate>,
    ctx: &Context,
    trail: &mut Trail,
) -> std::result::Result<Prepared, GatewayError> {
    // 1, 2: who calls, and as which app.
    let caller = caller(req, isolate, ctx).await?;
    // 3: what is asked.
    let body = body::read(req, |length| chat::check_length(length, &isolate.settings)).await?;
    let chat = chat::parse(&body.bytes)?;
    // 4: which server.
    let snapshot = snapshot::current(isolate, ctx).await?;
    trail.config_version = Some(snapshot.version);
    let server = route::first(&snapshot, &caller, &chat.model)?.clone();
    trail.server = Some(server.name.clone());
    Ok(Prepared {
        caller,
        chat,
        body,
        snapshot_version: snapshot.version,
        server,
    })
}

async fn caller(
    req: &Request,
    isolate: &Rc<Isolate>,
    ctx: &Context,
) -> std::result::Result<Caller, GatewayError> {
    let header = |name| req.headers().get(name).ok().flatten();
    let record = match isolate.settings.client_auth {
        ClientAuth::Off => None,
        ClientAuth::Required => {
            let digest = auth::client_key(
                header("authorization").as_deref(),
                header("x-api-key").as_deref(),
            )?;
            snapshot::key_record(isolate, ctx, &digest).await?
        }
    };
    auth::caller(
        record.as_ref(),
        header("app-name").as_deref(),
        &isolate.settings,
        now(),
    )
}

type Answer = oneshot::Sender<Result<Response>>;

/// Steps 5 to 8 of one request.
struct Exchange {
    req: Request,
    isolate: Rc<Isolate>,
    prepared: Prepared,
    trail: Trail,
    gone: ClientGone,
}

/// What is known when the exchange is over.
struct Ended {
    end: ExchangeEnd,
    status: Option<u16>,
    usage: Option<Usage>,
}

impl Ended {
    fn without_answer(end: ExchangeEnd) -> Self {
        Self {
            end,
            status: None,
            usage: None,
        }
    }
}

impl Exchange {
    async fn run(mut self, answer: Answer) {
        match self.acquire().await {
            Ok(Some(grant)) => {
                let ticket = grant.permit.ticket().clone();
                let ended = self.forward(&grant.permit, answer).await;
                self.settle(ticket, ended).await;
            }
            Ok(None) => drop(answer),
            Err(error) => self.fail(&error, answer),
        }
    }

    /// 5: a permit; `None` when the client left while waiting.
    async fn acquire(&mut self) -> std::result::Result<Option<Grant>, GatewayError> {
        let server = &self.prepared.server;
        let request = self.acquire_message()?;
        let client = &self.isolate.admission;
        let mut call = std::pin::pin!(client.acquire(&server.id, &request));
        let Some(answer) = self.gone.unless(&mut call).await else {
            let cancel = Cancel {
                ticket: request.ticket.clone(),
            };
            self.note("cancel", client.cancel(&server.id, &cancel).await);
            // A grant may have been on its way already: then nothing was sent, and the permit goes
            // back whole.
            if let Ok(AcquireAnswer::Granted(grant)) = call.await {
                let ended = Ended::without_answer(ExchangeEnd::NotSent);
                self.settle(grant.permit.ticket().clone(), ended).await;
            }
            return Ok(None);
        };
        let (facts, result) = match answer? {
            AcquireAnswer::Granted(grant) => (grant.admission.clone(), Ok(Some(grant))),
            AcquireAnswer::Refused(refusal) => {
                let error = rules::queue_error(&refusal, &server.name);
                (refusal.admission, Err(error))
            }
        };
        if facts.config_version > self.prepared.snapshot_version {
            snapshot::expire(&self.isolate);
        }
        self.trail.admission = Some(facts);
        result
    }

    fn acquire_message(&self) -> std::result::Result<Acquire, GatewayError> {
        let Prepared {
            caller,
            chat,
            snapshot_version,
            server,
            ..
        } = &self.prepared;
        let wait_max = self.req.headers().get("x-queue-timeout").ok().flatten();
        Ok(Acquire {
            ticket: ticket()?,
            app: caller.app.as_str().to_owned(),
            key_id: caller.key_id.clone(),
            model: chat.model.clone(),
            prompt_bytes: chat.prompt_bytes,
            output_tokens_max: chat.output_tokens_max,
            wait_max: routes::queue_wait_max(wait_max.as_deref())?,
            arrival: None,
            attempt: 0,
            config_version: *snapshot_version,
            limits: server.limits(),
        })
    }

    /// 6: the upstream.
    async fn forward(&mut self, permit: &Permit, answer: Answer) -> Ended {
        let Prepared {
            chat, body, server, ..
        } = &self.prepared;
        let path = self.req.path();
        let request = UpstreamRequest::new(permit, server, &path, chat.upstream_body(&body.bytes));
        let sent_at = now();
        let sent = upstream::send(&request, self.req.headers(), &body.handle, &self.gone).await;
        drop(request);
        self.trail.upstream = now().saturating_since(sent_at);
        match sent {
            Ok(response) => self.relay(response, answer).await,
            Err(failure) => self.upstream_failed(failure, answer),
        }
    }

    /// 7: the upstream's answer to the client, as it is.
    async fn relay(&self, response: Response, answer: Answer) -> Ended {
        let Prepared { chat, server, .. } = &self.prepared;
        let status = response.status_code();
        let content_type = response.headers().get("content-type").ok().flatten();
        let kind = Kind::of_answer(status, content_type.as_deref(), chat.strips_usage());
        let (response, body) = match self.response(response) {
            Ok(parts) => parts,
            Err(error) => return self.broken_answer(&error, answer),
        };
        let Some(body) = body else {
            drop(answer.send(Ok(response.empty())));
            return Ended {
                end: ExchangeEnd::Complete,
                status: Some(status),
                usage: None,
            };
        };
        let observer = Observer::new(kind, server.api_key.as_ref());
        let (relay, client_side) = match Relay::new(&body, observer) {
            Ok(relay) => relay,
            Err(error) => return self.broken_answer(&error.into(), answer),
        };
        drop(answer.send(Ok(response.stream(client_side))));
        let is_stream = matches!(kind, Kind::EventStream { .. });
        let error_event =
            is_stream.then(|| rules::truncated(&server.name).sse_event(&self.trail.request_id));
        let Relayed { end, usage } = relay
            .run(&self.gone, server.upstream_timeout(), error_event)
            .await;
        Ended {
            end,
            status: Some(status),
            usage,
        }
    }

    /// The answer's head with the gateway's headers, and the upstream's body if there is one.
    fn response(&self, response: Response) -> Result<(ResponseBuilder, Option<ReadableStream>)> {
        let headers = upstream::response_headers(response.headers())?;
        self.trail.apply(&headers)?;
        let builder = Response::builder()
            .with_status(response.status_code())
            .with_headers(headers);
        let body = match response.into_parts() {
            (_, ResponseBody::Stream(body)) => Some(body),
            _ => None,
        };
        Ok((builder, body))
    }

    fn upstream_failed(&self, failure: SendFailure, answer: Answer) -> Ended {
        let server = &self.prepared.server;
        let error = match failure {
            SendFailure::Unreachable(detail) => rules::unreachable(&server.name, detail),
            SendFailure::Timeout => rules::timed_out(server),
            SendFailure::ClientGone => return Ended::without_answer(ExchangeEnd::ClientGone),
        };
        self.fail(&error, answer);
        Ended::without_answer(ExchangeEnd::NoAnswer)
    }

    fn broken_answer(&self, error: &worker::Error, answer: Answer) -> Ended {
        self.fail(&GatewayError::internal(error.to_string()), answer);
        Ended::without_answer(ExchangeEnd::NoAnswer)
    }

    fn fail(&self, error: &GatewayError, answer: Answer) {
        // A client that has left needs no answer.
        drop(answer.send(error_response(error, &self.trail)));
    }

    /// 8: the permit goes back with what was used, exactly once.
    async fn settle(&self, ticket: TicketId, ended: Ended) {
        let settle = settlement::settle(ticket, ended.end, ended.status, ended.usage.as_ref());
        let result = self
            .isolate
            .admission
            .settle(&self.prepared.server.id, &settle)
            .await;
        self.note("settle", result);
    }

    fn note(&self, operation: &str, result: std::result::Result<(), CallError>) {
        if let Err(error) = result {
            log::limiter_error(&self.trail.request_id, operation, &error);
        }
    }
}

/// A ticket of its own for every request: clients may send a request id twice.
fn ticket() -> std::result::Result<TicketId, GatewayError> {
    let text = routes::request_id(None, random::bytes()?);
    TicketId::try_from(text).map_err(|error| GatewayError::internal(error.to_string()))
}
