//! 结构化日志：把允许的事件打印成一行 JSON。
//!
//! Prints the events of [`gateway::log`], one JSON line each, and nothing else: what may stand in a line is
//! decided there. Each function here only gathers what its event names.

use std::time::Duration;

use admission::Instant;
use gateway::error::{ErrorCode, GatewayError};
use gateway::journal::Answered;
use gateway::log::{self as events, Cost, Detail, Event, Text, Waited, outcome};
use gateway::rollup::Run;
use gateway_durable::{print, print_line};
use js_sys::Reflect;
use wasm_bindgen::JsValue;
use worker::{Request, Response, web_sys};

use crate::admission_client::CallError;
use crate::http::Trail;
use crate::isolate::Isolate;
use crate::store::StoreError;

/// How a request of the data plane ended.
pub(crate) struct Over {
    pub(crate) status: u16,
    pub(crate) code: Option<ErrorCode>,
    pub(crate) cost: Cost,
    pub(crate) first_byte_at: Option<Instant>,
    pub(crate) at: Instant,
}

impl Over {
    /// Nothing came of the upstream; the client was told this, or has left.
    pub(crate) fn without_exchange(told: Option<(u16, Option<ErrorCode>)>) -> Self {
        let (status, code) = outcome(told, None);
        Self {
            status,
            code,
            cost: Cost::default(),
            first_byte_at: None,
            at: crate::clock::now(),
        }
    }
}

impl Over {
    /// What the row of the request says.
    pub(crate) fn answered(&self, trail: &Trail) -> Answered {
        let since = |at: Instant| millis(at.saturating_since(trail.started));
        let tokens = |count: Option<u64>| count.unwrap_or(0);
        Answered {
            status: self.status,
            error_code: self.code.map(|code| code.as_str().to_owned()),
            prompt_tokens: tokens(self.cost.prompt_tokens),
            completion_tokens: tokens(self.cost.completion_tokens),
            cached_tokens: tokens(self.cost.cached_tokens),
            usage_source: self.cost.usage_source.unwrap_or_default(),
            ttft_ms: self.first_byte_at.map(since),
            total_ms: since(self.at),
            overhead_ms: trail.overhead().map_or(0, millis),
            attempts: trail.attempts.into(),
            started_at: None,
        }
    }
}

/// A request of the data plane is over.
pub(crate) fn request(isolate: &Isolate, req: &web_sys::Request, trail: &Trail, over: &Over) {
    if let Some(line) = request_line(isolate, req, trail, over) {
        print_line(&line);
    }
}

/// The line of a request that is over, if such lines are wanted.
pub(crate) fn request_line(
    isolate: &Isolate,
    req: &web_sys::Request,
    trail: &Trail,
    over: &Over,
) -> Option<String> {
    if !isolate.settings.log_requests {
        return None;
    }
    let since = |at: Instant| millis(at.saturating_since(trail.started));
    let colo = isolate.colo(req);
    let known = &trail.known;
    let event = Event::Request(events::Request {
        request_id: Text(&trail.request_id),
        app: known.app.as_deref().map(Text),
        key_id: known.key_id.as_deref().map(Text),
        server_id: known.server_id.as_deref().map(Text),
        model: known.model.as_deref().map(Text),
        endpoint: known.endpoint,
        status: over.status,
        error_code: over.code.map(ErrorCode::as_str),
        stream: known.stream,
        cost: over.cost,
        waited: Waited::new(trail.admission.as_ref()),
        ttft_ms: over.first_byte_at.map(since),
        total_ms: since(over.at),
        overhead_ms: trail.overhead().map(millis),
        attempts: trail.attempts,
        colo: (!colo.is_empty()).then_some(Text(colo)),
    });
    Some(event.line())
}

/// Somebody changed something, or tried to. Reading leaves no line.
pub(crate) fn admin(
    request_id: &str,
    req: &Request,
    actor: Option<&str>,
    answer: &Result<Response, GatewayError>,
) {
    let method = req.inner().method();
    if matches!(method.as_str(), "GET" | "HEAD") {
        return;
    }
    let (status, error_code) = match answer {
        Ok(response) => (response.status_code(), None),
        Err(error) => (error.status(), Some(error.code.as_str())),
    };
    print(&Event::Admin(events::Admin {
        request_id: Text(request_id),
        actor: actor.map(Text),
        method: Text(&method),
        path: Text(&req.path()),
        status,
        error_code,
    }));
}

/// A secret or variable that is missing or unusable.
pub(crate) fn configuration_problem(problem: &str) {
    print(&Event::ConfigurationProblem { problem });
}

/// A storage call that failed while a request could still be served.
pub(crate) fn storage_error(what: &str, error: &StoreError) {
    let (StoreError::Constraint(detail) | StoreError::Unavailable(detail)) = error;
    print(&Event::StorageError {
        what,
        detail: Detail::new(detail),
    });
}

/// An assertion of Cloudflare Access that could not be verified, for want of the team's keys.
pub(crate) fn access_error(detail: &str) {
    print(&Event::AccessError {
        detail: Detail::new(detail),
    });
}

/// What a run of the cron did, if it did anything.
pub(crate) fn usage_run(run: &Run) {
    if run.rolled_up > 0 || run.removed > 0 {
        print(&Event::UsageRun {
            rolled_up: run.rolled_up,
            removed: run.removed,
        });
    }
}

/// A call to a limiter object that failed after its request was answered.
pub(crate) fn limiter_error(request_id: &str, operation: &str, error: &CallError) {
    let detail = match error {
        CallError::Overloaded => "overloaded",
        CallError::Failed(detail) => detail,
    };
    print(&Event::LimiterError {
        request_id: Text(request_id),
        operation,
        detail: Detail::new(detail),
    });
}

/// An attempt upstream that brought no answer for the client, and the pause before the next one.
pub(crate) fn attempt_failed(
    request_id: &str,
    server: &str,
    attempt: u32,
    outcome: &str,
    pause: Option<Duration>,
) {
    print(&Event::AttemptFailed {
        request_id: Text(request_id),
        server: Text(server),
        attempt,
        outcome: Text(outcome),
        pause_ms: pause.map(millis),
    });
}

/// An answer that the gateway made itself.
pub(crate) fn failed(request_id: &str, failure: &GatewayError) {
    if let Some(event) = Event::of_failure(request_id, failure) {
        print(&event);
    }
}

/// Location of this Worker; nowhere but at Cloudflare is there one.
pub(crate) fn colo(req: &web_sys::Request) -> Option<String> {
    let property = |of: &JsValue, name: &str| Reflect::get(of, &JsValue::from_str(name)).ok();
    let cf = property(req, "cf").filter(JsValue::is_object)?;
    property(&cf, "colo")?.as_string()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
