//! 数据面：一个推理请求的编号步骤。
//!
//! The way of one inference request up to its server: who calls, what is asked, who may take it.
//! From there on [`crate::exchange`] carries it out, in a task of its own inside `wait_until`.

use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use gateway::auth::{self, Caller};
use gateway::chat::{self, ChatRequest};
use gateway::config::{Overflow, Server};
use gateway::error::{ErrorCode, GatewayError};
use gateway::settings::ClientAuth;
use gateway::{overflow, progress, route, routes};
use worker::{Context, Request, Response, Result};

use crate::body::{self, Body};
use crate::clock::now;
use crate::exchange::Exchange;
use crate::http::{Trail, error_response, json};
use crate::isolate::Isolate;
use crate::snapshot;

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
    let asked = match prepare(&req, &isolate, ctx, &mut trail).await {
        Ok(asked) => asked,
        Err(error) => return error_response(&error, &trail),
    };
    let request_id = trail.request_id.clone();
    let (sender, answered) = oneshot::channel();
    ctx.wait_until(Exchange::new(req, isolate, asked, trail, sender).run());
    match answered.await {
        Ok(response) => response,
        Err(_dropped) => {
            // Only a client that has left is not answered; nobody reads this.
            let error = GatewayError::new(ErrorCode::InternalError, "The request was given up.");
            json(error.code.status(), error.body(&request_id))
        }
    }
}

/// What steps 1 to 4 found out.
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    pub(crate) chat: ChatRequest,
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
    req: &Request,
    isolate: &Rc<Isolate>,
    ctx: &Context,
    trail: &mut Trail,
) -> std::result::Result<Asked, GatewayError> {
    let header = |name| req.headers().get(name).ok().flatten();
    // 1, 2: who calls, and as which app.
    let caller = caller(req, isolate, ctx).await?;
    // 3: what is asked.
    let body = body::read(req, |length| chat::check_length(length, &isolate.settings)).await?;
    let chat = chat::parse(&body.bytes)?;
    let wait_max = routes::queue_wait_max(header("x-queue-timeout").as_deref())?;
    let wants_progress = progress::requested(header("x-queue-progress").as_deref(), chat.stream)?;
    // 4: which server.
    let snapshot = snapshot::current(isolate, ctx).await?;
    trail.config_version = Some(snapshot.version);
    let first = route::first(&snapshot, &caller, &chat.model)?;
    trail.server = Some(first.name.clone());
    let server = Rc::new(first.clone());
    let others = match first.overflow {
        Overflow::Wait => 0,
        Overflow::NextServer => overflow::CANDIDATES_MAX.saturating_sub(1),
    };
    let others = route::candidates(&snapshot, &caller, &chat.model)
        .skip(1)
        .take(others)
        .map(|server| Rc::new(server.clone()));
    let candidates = std::iter::once(Rc::clone(&server)).chain(others).collect();
    Ok(Asked {
        caller,
        chat,
        body,
        config_version: snapshot.version,
        server,
        candidates,
        wait_max,
        wants_progress,
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
