//! HTTP 入口：方法加路径到处理函数，错误到响应。
//!
//! Turns a fetch event into a route and a [`GatewayError`] into a response. The table of routes is
//! [`gateway::routes`], the table of statuses [`gateway::error`]; this module only carries them out.

use std::rc::Rc;
use std::time::Duration;

use admission::Instant;
use admission::protocol::AdmissionFacts;
use gateway::error::{ErrorCode, GatewayError};
use gateway::hardening;
use gateway::routes::{self, Route};
use gateway::upstream::{header_text, rate_limit_headers};
use worker::{Context, Env, Headers, Request, Response, Result};

use crate::clock::now;
use crate::isolate::Isolate;
use crate::{admin, log, proxy, random};

/// What is known of a request so far; every answer tells it in its headers.
pub(crate) struct Trail {
    pub(crate) request_id: String,
    pub(crate) started: Instant,
    /// Time between handing the request to the upstream and its response headers.
    pub(crate) upstream: Duration,
    /// How often the request was sent upstream.
    pub(crate) attempts: u32,
    pub(crate) server: Option<String>,
    pub(crate) admission: Option<AdmissionFacts>,
    pub(crate) config_version: Option<u64>,
}

impl Trail {
    fn new(request_id: String) -> Self {
        Self {
            request_id,
            started: now(),
            upstream: Duration::ZERO,
            attempts: 0,
            server: None,
            admission: None,
            config_version: None,
        }
    }

    /// Writes the gateway's own headers.
    pub(crate) fn apply(&self, headers: &Headers) -> Result<()> {
        headers.set("x-request-id", &self.request_id)?;
        if let Some(version) = self.config_version {
            headers.set("x-config-version", &version.to_string())?;
        }
        if let Some(server) = &self.server {
            headers.set("x-gateway-server", &header_text(server))?;
        }
        if self.attempts > 0 {
            headers.set("x-gateway-attempts", &self.attempts.to_string())?;
        }
        let mut elsewhere = self.upstream;
        if let Some(facts) = &self.admission {
            elsewhere = elsewhere.saturating_add(facts.wait);
            headers.set("x-queue-wait-ms", &facts.wait.as_millis().to_string())?;
            headers.set("x-queue-position", &facts.position.to_string())?;
            for (name, value) in rate_limit_headers(facts) {
                headers.set(name, &value)?;
            }
        }
        let overhead = now()
            .saturating_since(self.started)
            .saturating_sub(elsewhere);
        headers.set("x-gateway-overhead-ms", &overhead.as_millis().to_string())
    }
}

/// Answers one request.
pub(crate) async fn handle(req: Request, env: Env, ctx: Context) -> Result<Response> {
    // The runtime's own text: to workers-rs a method that it does not know is a GET.
    let method = req.inner().method();
    let route = routes::resolve(&method, &req.path());
    if let Ok(Route::Health) = route {
        return json(200, String::from(r#"{"status":"ok"}"#));
    }
    let trail = match request_id(&req) {
        Ok(request_id) => Trail::new(request_id),
        Err(error) => return error_response(&error, &Trail::new(String::new())),
    };
    let route = match route {
        Ok(route) => route,
        Err(error) => return error_response(&error, &trail),
    };
    let isolate = match Isolate::get(&env) {
        Ok(isolate) => isolate,
        Err(error) => return error_response(&missing_binding(&error), &trail),
    };
    match route {
        Route::ChatCompletions => proxy::inference(req, isolate, &ctx, trail).await,
        Route::Models => proxy::models(&req, &isolate, &ctx, trail).await,
        route => control(route, req, &isolate, &ctx, &trail).await,
    }
}

async fn control(
    route: Route,
    req: Request,
    isolate: &Rc<Isolate>,
    ctx: &Context,
    trail: &Trail,
) -> Result<Response> {
    let response = match admin::handle(route, &req, isolate, ctx).await {
        Ok(response) => {
            response.headers().set("x-request-id", &trail.request_id)?;
            response
        }
        Err(error) => error_response(&error, trail)?,
    };
    harden(response.headers())?;
    if hardening::came_over_https(&req.inner().url()) {
        let (name, value) = hardening::STRICT_TRANSPORT_SECURITY;
        response.headers().set(name, value)?;
    }
    Ok(response)
}

/// The one translation of a failure into a response.
pub(crate) fn error_response(error: &GatewayError, trail: &Trail) -> Result<Response> {
    log::failed(&trail.request_id, error);
    let response = json(error.code.status(), error.body(&trail.request_id))?;
    let headers = response.headers();
    trail.apply(headers)?;
    for (name, value) in error.headers() {
        headers.set(name, &value)?;
    }
    Ok(response)
}

/// The security headers of whatever this gateway says itself.
pub(crate) fn harden(headers: &Headers) -> Result<()> {
    for (name, value) in hardening::HEADERS {
        headers.set(name, value)?;
    }
    Ok(())
}

/// A JSON response.
pub(crate) fn json(status: u16, body: String) -> Result<Response> {
    let response = Response::builder()
        .with_status(status)
        .with_header("content-type", "application/json")?
        .fixed(body.into_bytes());
    harden(response.headers())?;
    Ok(response)
}

fn request_id(req: &Request) -> std::result::Result<String, GatewayError> {
    let client = req.headers().get("x-request-id").ok().flatten();
    Ok(routes::request_id(client.as_deref(), random::bytes()?))
}

fn missing_binding(error: &worker::Error) -> GatewayError {
    GatewayError::new(
        ErrorCode::NotConfigured,
        "The gateway's deployment lacks a binding; its operator finds the name in the log.",
    )
    .detail(error.to_string())
}
