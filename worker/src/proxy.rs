//! 数据面：一个推理请求的编号步骤。
//!
//! The way of one inference request up to its server: who calls, what is asked, who may take it.
//! From there on [`crate::exchange`] carries it out, in a task of its own inside `wait_until`.

use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use gateway::auth::{self, Caller};
use gateway::config::{Overflow, Server};
use gateway::endpoint::Endpoint;
use gateway::error::{ErrorCode, GatewayError};
use gateway::headers::RequestHeaders;
use gateway::inference::{self, InferenceRequest};
use gateway::log::Cost;
use gateway::settings::ClientAuth;
use gateway::{hops, overflow, progress, route, routes};
use worker::web_sys::{self, Request};
use worker::{Context, Response, Result};

use crate::body::{self, Body};
use crate::clock::now;
use crate::exchange::Exchange;
use crate::http::{Trail, error_response, json};
use crate::isolate::Isolate;
use crate::log::{self, Over};
use crate::snapshot;

/// The headers, unless there were too many.
type Headers = std::result::Result<RequestHeaders, GatewayError>;

/// `GET /v1/models`: the models that this caller may use.
pub(crate) async fn models(
    req: &Request,
    headers: Headers,
    isolate: &Rc<Isolate>,
    ctx: &Context,
    mut trail: Trail,
) -> Result<Response> {
    match visible_models(headers, isolate, ctx, &mut trail).await {
        Ok(body) => {
            let response = json(200, body)?;
            trail.apply(response.headers())?;
            log::request(isolate, req, &trail, &over(200, None));
            Ok(response)
        }
        Err(error) => refuse(&error, isolate, req, &trail),
    }
}

fn over(status: u16, code: Option<ErrorCode>) -> Over {
    Over {
        status,
        code,
        cost: Cost::default(),
        first_byte_at: None,
        at: now(),
    }
}

fn refuse(
    error: &GatewayError,
    isolate: &Isolate,
    req: &Request,
    trail: &Trail,
) -> Result<Response> {
    let response = error_response(error, trail);
    log::request(isolate, req, trail, &over(error.status(), Some(error.code)));
    response
}

async fn visible_models(
    headers: Headers,
    isolate: &Rc<Isolate>,
    ctx: &Context,
    trail: &mut Trail,
) -> std::result::Result<String, GatewayError> {
    let caller = caller(&headers?, isolate, ctx, trail).await?;
    let snapshot = snapshot::current(isolate, ctx).await?;
    trail.config_version = Some(snapshot.version);
    Ok(route::models_body(&route::visible_models(
        &snapshot, &caller,
    )))
}

/// A request to one of the endpoints that ask a model.
pub(crate) async fn inference(
    endpoint: Endpoint,
    req: Request,
    headers: Headers,
    isolate: Rc<Isolate>,
    ctx: &Context,
    mut trail: Trail,
) -> Result<web_sys::Response> {
    let asked = match prepare(endpoint, &req, headers, &isolate, ctx, &mut trail).await {
        Ok(asked) => asked,
        Err(error) => return refuse(&error, &isolate, &req, &trail).map(Into::into),
    };
    let request_id = trail.request_id.clone();
    let (sender, answered) = oneshot::channel();
    ctx.wait_until(Exchange::new(req, isolate, asked, trail, sender).run());
    match answered.await {
        Ok(response) => response,
        Err(_dropped) => {
            // Only a client that has left is not answered; nobody reads this.
            let error = GatewayError::new(ErrorCode::InternalError, "The request was given up.");
            json(error.code.status(), error.body(&request_id)).map(Into::into)
        }
    }
}

/// What steps 1 to 4 found out.
pub(crate) struct Asked {
    pub(crate) headers: RequestHeaders,
    pub(crate) caller: Caller,
    /// The gateways that the request has come through, this one included.
    pub(crate) hops: Option<String>,
    pub(crate) inference: InferenceRequest,
    pub(crate) body: Body,
    pub(crate) config_version: u64,
    /// The server that the request is at: the first candidate, until another one takes it.
    pub(crate) server: Rc<Server>,
    /// The servers that may take the request, first tried first.
    pub(crate) candidates: Vec<Rc<Server>>,
    /// The longest wait that the client accepts.
    pub(crate) wait_max: Option<Duration>,
    /// Whether the client wants to see the queue move.
    pub(crate) wants_progress: bool,
}

async fn prepare(
    endpoint: Endpoint,
    req: &Request,
    headers: Headers,
    isolate: &Rc<Isolate>,
    ctx: &Context,
    trail: &mut Trail,
) -> std::result::Result<Asked, GatewayError> {
    // 0: as many headers as there may be, and not from this gateway itself.
    let headers = headers?;
    let next_hops = |own| hops::next(headers.get(hops::HEADER), own);
    let hops = isolate.instance.as_ref().map(next_hops).transpose()?;
    // 1, 2: who calls, and as which app.
    let caller = caller(&headers, isolate, ctx, trail).await?;
    // 3: what is asked.
    let body = body::read(req, headers.get("content-length"), |length| {
        inference::check_length(length, &isolate.settings)
    })
    .await?;
    let inference = inference::parse(endpoint, &body.bytes)?;
    trail.known.model = Some(inference.model.clone());
    trail.known.stream = inference.stream;
    let wait_max = routes::queue_wait_max(headers.get("x-queue-timeout"))?;
    let wants_progress = progress::requested(headers.get("x-queue-progress"), inference.stream)?;
    // 4: which server.
    let snapshot = snapshot::current(isolate, ctx).await?;
    trail.config_version = Some(snapshot.version);
    let first = route::first(&snapshot, &caller, &inference.model)?;
    trail.server = Some(first.name.clone());
    trail.known.server_id = Some(first.id.clone());
    let server = Rc::new(first.clone());
    let others = match first.overflow {
        Overflow::Wait => 0,
        Overflow::NextServer => overflow::CANDIDATES_MAX.saturating_sub(1),
    };
    let others = route::candidates(&snapshot, &caller, &inference.model)
        .skip(1)
        .take(others)
        .map(|server| Rc::new(server.clone()));
    let candidates = std::iter::once(Rc::clone(&server)).chain(others).collect();
    Ok(Asked {
        headers,
        caller,
        hops,
        inference,
        body,
        config_version: snapshot.version,
        server,
        candidates,
        wait_max,
        wants_progress,
    })
}

async fn caller(
    headers: &RequestHeaders,
    isolate: &Rc<Isolate>,
    ctx: &Context,
    trail: &mut Trail,
) -> std::result::Result<Caller, GatewayError> {
    let record = match isolate.settings.client_auth {
        ClientAuth::Off => None,
        ClientAuth::Required => {
            let digest = auth::client_key(headers.get("authorization"), headers.get("x-api-key"))?;
            snapshot::key_record(isolate, ctx, &digest).await?
        }
    };
    trail.known.key_id = record.as_ref().map(|record| record.id.clone());
    let app_name = headers.get("app-name");
    let caller = auth::caller(record.as_ref(), app_name, &isolate.settings, now())?;
    trail.known.key_id = Some(caller.key_id.clone());
    trail.known.app = Some(caller.app.as_str().to_owned());
    Ok(caller)
}
