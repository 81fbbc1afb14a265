//! HTTP 入口：方法加路径到处理函数，错误到响应。
//!
//! Turns a fetch event into a route and a [`GatewayError`] into a response. The table of routes is
//! [`gateway::routes`], the table of statuses [`gateway::error`]; this module only carries them out.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use admission::Instant;
use admission::protocol::AdmissionFacts;
use gateway::cors::{self, Preflight};
use gateway::error::{ErrorCode, GatewayError};
use gateway::hardening;
use gateway::headers::RequestHeaders;
use gateway::routes::{self, Route};
use gateway::upstream::{header_text, rate_limit_headers};
use wasm_bindgen::JsValue;
use worker::{Context, Env, Headers, Request, Response, Result, web_sys};

use crate::clock::now;
use crate::isolate::Isolate;
use crate::{admin, fields, log, proxy, random};

/// What is known of a request so far; every answer tells it in its headers.
pub(crate) struct Trail {
    pub(crate) request_id: String,
    /// The client gave it that id.
    pub(crate) is_named: bool,
    pub(crate) started: Instant,
    /// Time between handing the request to the upstream and its response headers.
    pub(crate) upstream: Duration,
    /// How often the request was sent upstream.
    pub(crate) attempts: u32,
    pub(crate) server: Option<String>,
    pub(crate) admission: Option<AdmissionFacts>,
    pub(crate) config_version: Option<u64>,
    /// Who asks for what; for the log only.
    pub(crate) known: Known,
    /// What lets a page of another origin read the answer.
    cors: cors::Headers,
    /// As the last answer told it.
    overhead: Cell<Option<Duration>>,
}

/// What the log tells of a request of the data plane besides its course, as far as the checks came.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) endpoint: &'static str,
    pub(crate) app: Option<String>,
    pub(crate) key_id: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) server_id: Option<String>,
    pub(crate) stream: bool,
}

impl Trail {
    fn new(request_id: String) -> Self {
        Self {
            request_id,
            is_named: false,
            started: now(),
            upstream: Duration::ZERO,
            attempts: 0,
            server: None,
            admission: None,
            config_version: None,
            known: Known::default(),
            cors: cors::Headers::new(),
            overhead: Cell::new(None),
        }
    }

    /// Time in the gateway itself, as the answer told it.
    pub(crate) fn overhead(&self) -> Option<Duration> {
        self.overhead.get()
    }

    /// Writes the gateway's own headers.
    pub(crate) fn apply(&self, headers: &Headers) -> Result<()> {
        for (name, value) in self.fields() {
            headers.set(&name, &value)?;
        }
        for (name, value) in &self.cors {
            // An upstream may have named other headers in its own `Vary`.
            headers.append(name, value)?;
        }
        Ok(())
    }

    /// The gateway's own headers beside these, in place of any that has the name of one of its own: what
    /// an answer is made with.
    pub(crate) fn beside(&self, mut fields: Vec<(String, String)>) -> Result<JsValue> {
        fields::replace(&mut fields, self.fields());
        let cors = self.cors.iter();
        fields.extend(cors.map(|(name, value)| ((*name).to_owned(), value.clone())));
        fields::init(&fields)
    }

    fn fields(&self) -> Vec<(String, String)> {
        let mut fields = Vec::with_capacity(16);
        let mut set = |name: &str, value: String| fields.push((name.to_owned(), value));
        set("x-request-id", self.request_id.clone());
        if let Some(version) = self.config_version {
            set("x-config-version", version.to_string());
        }
        if let Some(server) = &self.server {
            set("x-gateway-server", header_text(server));
        }
        if self.attempts > 0 {
            set("x-gateway-attempts", self.attempts.to_string());
        }
        let mut elsewhere = self.upstream;
        if let Some(facts) = &self.admission {
            elsewhere = elsewhere.saturating_add(facts.wait);
            set("x-queue-wait-ms", facts.wait.as_millis().to_string());
            set("x-queue-position", facts.position.to_string());
            for (name, value) in rate_limit_headers(facts) {
                set(name, value);
            }
        }
        let overhead = now()
            .saturating_since(self.started)
            .saturating_sub(elsewhere);
        self.overhead.set(Some(overhead));
        set("x-gateway-overhead-ms", overhead.as_millis().to_string());
        fields
    }
}

/// Answers one request.
pub(crate) async fn handle(
    req: web_sys::Request,
    env: Env,
    ctx: Context,
) -> Result<web_sys::Response> {
    // The runtime's own text: to workers-rs a method that it does not know is a GET.
    let method = req.method();
    let url = req.url();
    let path = routes::path(&url);
    let route = routes::resolve(&method, path);
    if let Ok(Route::Health) = route {
        return json(200, String::from(r#"{"status":"ok"}"#)).map(Into::into);
    }
    // The one reading of the headers, for every check and every attempt upstream.
    let headers = RequestHeaders::collect(fields::read(&Headers(req.headers())));
    let header = |name| headers.as_ref().ok().and_then(|headers| headers.get(name));
    let mut trail = match random::bytes() {
        Ok(random) => Trail::new(routes::request_id(header("x-request-id"), random)),
        Err(error) => return refused(&error, &Trail::new(String::new())),
    };
    trail.is_named = header("x-request-id") == Some(&*trail.request_id);
    let isolate = Isolate::get(&env);
    if let Ok(isolate) = &isolate {
        let cors = &isolate.settings.cors;
        trail.cors = cors.headers(path, header("origin"));
        let asked = Preflight {
            origin: header("origin"),
            method: header("access-control-request-method"),
            headers: header("access-control-request-headers"),
        };
        if let Some(granted) = cors.preflight(&method, path, asked, &route) {
            return preflight(&granted, &trail).map(Into::into);
        }
    }
    let route = match route {
        Ok(route) => route,
        Err(error) => return refused(&error, &trail),
    };
    let isolate = match isolate {
        Ok(isolate) => isolate,
        Err(error) => return refused(&missing_binding(&error), &trail),
    };
    match route {
        Route::Inference(endpoint) => {
            trail.known.endpoint = endpoint.path();
            proxy::inference(endpoint, req, headers, isolate, &ctx, trail).await
        }
        Route::Models => {
            trail.known.endpoint = "/v1/models";
            proxy::models(&req, headers, &isolate, &ctx, trail)
                .await
                .map(Into::into)
        }
        route => match headers {
            Ok(_) => control(route, req.into(), &isolate, &ctx, &trail)
                .await
                .map(Into::into),
            Err(error) => refused(&error, &trail),
        },
    }
}

fn refused(error: &GatewayError, trail: &Trail) -> Result<web_sys::Response> {
    error_response(error, trail).map(Into::into)
}

fn preflight(granted: &cors::Headers, trail: &Trail) -> Result<Response> {
    let response = Response::builder().with_status(204).empty();
    for (name, value) in granted {
        response.headers().set(name, value)?;
    }
    response.headers().set("x-request-id", &trail.request_id)?;
    Ok(response)
}

async fn control(
    route: Route,
    req: Request,
    isolate: &Rc<Isolate>,
    ctx: &Context,
    trail: &Trail,
) -> Result<Response> {
    let actor = OnceCell::new();
    let answer = admin::handle(route, &req, isolate, ctx, &actor).await;
    log::admin(
        &trail.request_id,
        &req,
        actor.get().map(String::as_str),
        &answer,
    );
    let response = match answer {
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
    text(status, "application/json", body)
}

/// A response that the gateway itself has written.
pub(crate) fn text(status: u16, content_type: &str, body: String) -> Result<Response> {
    let response = Response::builder()
        .with_status(status)
        .with_header("content-type", content_type)?
        .fixed(body.into_bytes());
    harden(response.headers())?;
    Ok(response)
}

fn missing_binding(error: &worker::Error) -> GatewayError {
    GatewayError::new(
        ErrorCode::NotConfigured,
        "The gateway's deployment lacks a binding; its operator finds the name in the log.",
    )
    .detail(error.to_string())
}
