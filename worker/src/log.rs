//! 结构化日志：一个事件一行 JSON。
//!
//! One JSON line per event, from allow-listed fields only. No header, no body, no secret and no
//! prompt can reach a line, because no function here takes one.

use std::time::Duration;

use gateway::error::{Fault, GatewayError};
use serde_json::json;

use crate::admission_client::CallError;
use crate::store::StoreError;

/// A secret or variable that is missing or unusable.
pub(crate) fn configuration_problem(problem: &str) {
    error(&json!({ "event": "configuration_problem", "problem": problem }));
}

/// A storage call that failed while a request could still be served.
pub(crate) fn storage_error(what: &str, error: &StoreError) {
    let (StoreError::Constraint(detail) | StoreError::Unavailable(detail)) = error;
    warn(&json!({ "event": "storage_error", "what": what, "detail": detail }));
}

/// An assertion of Cloudflare Access that could not be verified, for want of the team's keys.
pub(crate) fn access_error(detail: &str) {
    warn(&json!({ "event": "access_error", "detail": detail }));
}

/// A call to a limiter object that failed after its request was answered.
pub(crate) fn limiter_error(request_id: &str, operation: &str, error: &CallError) {
    let detail = match error {
        CallError::Overloaded => "overloaded",
        CallError::Failed(detail) => detail,
    };
    warn(&json!({
        "event": "limiter_error", "request_id": request_id, "operation": operation, "detail": detail,
    }));
}

/// An attempt upstream that brought no answer for the client, and the pause before the next one.
pub(crate) fn attempt_failed(
    request_id: &str,
    server: &str,
    attempt: u32,
    outcome: &str,
    pause: Option<Duration>,
) {
    warn(&json!({
        "event": "attempt_failed",
        "request_id": request_id,
        "server": server,
        "attempt": attempt,
        "outcome": outcome,
        "pause_ms": pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
    }));
}

/// An answer that the gateway made itself. Errors of the caller are not logged here: they cost the
/// operator attention and tell nothing about the gateway.
pub(crate) fn failed(request_id: &str, failure: &GatewayError) {
    if failure.code.fault() == Fault::Internal || failure.detail.is_some() {
        error(&json!({
            "event": "request_failed",
            "request_id": request_id,
            "code": failure.code.as_str(),
            "status": failure.code.status(),
            "detail": failure.detail,
        }));
    }
}

fn error(line: &serde_json::Value) {
    worker::console_error!("{line}");
}

fn warn(line: &serde_json::Value) {
    worker::console_warn!("{line}");
}
