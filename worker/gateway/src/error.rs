//! 网关自身的错误：代码、状态、形状，只有一张表。
//!
//! Owns the vocabulary of failures of the gateway itself and the one table from code to HTTP status. An answer
//! of an upstream is never turned into one of these: it is passed on as it is.
//!
//! Invariant: what a client reads is `message`; internals go to `detail`, which only the log sees.

use std::{borrow::Cow, time::Duration};

use serde::Serialize;

/// Whose fault a failure is; the log and the metrics are split by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request was wrong; repeating it will not help.
    Caller,
    /// The request was fine, a configured limit was in the way.
    Limit,
    /// The backend server failed.
    Upstream,
    /// The gateway failed.
    Internal,
}

/// Declares the codes once: variant, wire name, status, `type` and fault can not get out of step.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $kind:literal, $fault:ident;)*) => {
        /// Every failure the gateway itself can answer with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// All codes, for tables in documents and tests.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The `code` of the answer.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status. A truncated stream has sent its status already; 502 is what its log row says.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The `type` of the answer, in OpenAI's vocabulary, which its clients branch on.
            #[must_use]
            pub const fn kind(self) -> &'static str {
                match self { $(Self::$variant => $kind,)* }
            }

            /// Whose fault it is.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }
        }
    };
}

error_codes! {
    /// No gateway key, or one that is unknown, disabled or expired.
    InvalidApiKey = "invalid_api_key", 401, "authentication_error", Caller;
    /// The `App-Name` header is missing.
    MissingAppName = "missing_app_name", 400, "invalid_request_error", Caller;
    /// The `App-Name` header is not 1–64 printable ASCII characters.
    InvalidAppName = "invalid_app_name", 400, "invalid_request_error", Caller;
    /// The gateway key belongs to another app.
    AppNotAllowed = "app_not_allowed", 403, "permission_error", Caller;
    /// The body is larger than `BODY_BYTES_MAX`.
    BodyTooLarge = "body_too_large", 413, "invalid_request_error", Caller;
    /// The body is not a well-formed JSON object, or repeats a key the gateway reads.
    InvalidJson = "invalid_json", 400, "invalid_request_error", Caller;
    /// The request has more or longer headers than it may have.
    HeadersTooLarge = "headers_too_large", 431, "invalid_request_error", Caller;
    /// The request has come through this gateway before, or through too many of them.
    LoopDetected = "loop_detected", 508, "server_error", Internal;
    /// The body has no string `model`.
    MissingModel = "missing_model", 400, "invalid_request_error", Caller;
    /// No enabled server lists the model, or the key may not use it.
    ModelNotFound = "model_not_found", 404, "invalid_request_error", Caller;
    /// The request waited for its whole queue timeout.
    QueueTimeout = "queue_timeout", 504, "rate_limit_error", Limit;
    /// A newer request pushed this one out of a full queue.
    QueueEvicted = "queue_evicted", 503, "rate_limit_error", Limit;
    /// The queue is full and its server rejects the newest.
    QueueFull = "queue_full", 429, "rate_limit_error", Limit;
    /// The client's own waiting time can not be kept.
    DeadlineUnreachable = "deadline_unreachable", 429, "rate_limit_error", Limit;
    /// The connection to the server failed before headers arrived.
    UpstreamUnreachable = "upstream_unreachable", 502, "server_error", Upstream;
    /// The server sent no headers within its timeout.
    UpstreamTimeout = "upstream_timeout", 504, "server_error", Upstream;
    /// The stream ended without its end marker.
    UpstreamStreamTruncated = "upstream_stream_truncated", 502, "server_error", Upstream;
    /// The limiter object itself is overloaded.
    ServerOverloaded = "server_overloaded", 503, "server_error", Internal;
    /// Anything else; details only in the log.
    InternalError = "internal_error", 500, "server_error", Internal;
    /// An admin endpoint without valid credentials.
    Unauthorized = "unauthorized", 401, "authentication_error", Caller;
    /// Valid credentials that may not do this.
    Forbidden = "forbidden", 403, "permission_error", Caller;
    /// An address has sent too many wrong credentials.
    TooManyAttempts = "too_many_attempts", 429, "rate_limit_error", Limit;
    /// No such endpoint or object.
    NotFound = "not_found", 404, "invalid_request_error", Caller;
    /// The endpoint exists, but not for this method.
    MethodNotAllowed = "method_not_allowed", 405, "invalid_request_error", Caller;
    /// The body is not declared as JSON.
    UnsupportedMediaType = "unsupported_media_type", 415, "invalid_request_error", Caller;
    /// A field or header has a value outside its bounds; `param` names it.
    InvalidField = "invalid_field", 422, "invalid_request_error", Caller;
    /// The object was changed by somebody else since it was read.
    VersionConflict = "version_conflict", 409, "invalid_request_error", Caller;
    /// A secret that this endpoint needs is not configured.
    NotConfigured = "not_configured", 503, "server_error", Internal;
    /// D1 does not answer.
    StorageUnavailable = "storage_unavailable", 503, "server_error", Internal;
}

/// A failure of the gateway, ready to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayError {
    /// What happened.
    pub code: ErrorCode,
    /// For the caller: what is wrong and what to do next.
    pub message: Cow<'static, str>,
    /// The field or header at fault.
    pub param: Option<Cow<'static, str>>,
    /// When it makes sense to come back.
    pub retry_after: Option<Duration>,
    /// The methods that the endpoint has, for `method_not_allowed`.
    pub allow: Option<String>,
    /// For the log only; never in an answer.
    pub detail: Option<String>,
}

impl GatewayError {
    /// A failure with nothing but its code and message.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
            retry_after: None,
            allow: None,
            detail: None,
        }
    }

    /// An `internal_error`: the client learns nothing, the log gets `detail`.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(
            ErrorCode::InternalError,
            "The gateway failed. Retry; if it persists, give the administrator the request_id.",
        )
        .detail(detail)
    }

    /// Names the field or header at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Lists the methods of the endpoint.
    #[must_use]
    pub fn allow(mut self, methods: impl Into<String>) -> Self {
        self.allow = Some(methods.into());
        self
    }

    /// Adds what only the log may say.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The HTTP status, from the one table.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.code.status()
    }

    /// The JSON body of the answer.
    #[must_use]
    pub fn body(&self, request_id: &str) -> String {
        let shape = Shape {
            error: ShapeError {
                message: &self.message,
                kind: self.code.kind(),
                code: self.code.as_str(),
                param: self.param.as_deref(),
                request_id,
            },
        };
        // Serializing five strings can not fail; an empty body would still be a well-formed answer.
        serde_json::to_string(&shape).unwrap_or_default()
    }

    /// The in-band form on a stream that has already begun. It must start on a fresh line
    /// (see `observer::Finish::separator`).
    #[must_use]
    pub fn sse_event(&self, request_id: &str) -> String {
        format!("event: error\ndata: {}\n\n", self.body(request_id))
    }

    /// The value of `x-should-retry`, which OpenAI's and Anthropic's clients obey. A request that has already
    /// waited its turn in vain must not be repeated by an SDK behind the application's back.
    #[must_use]
    pub const fn should_retry(&self) -> Option<bool> {
        match self.code {
            ErrorCode::QueueTimeout | ErrorCode::QueueEvicted => Some(false),
            _ => None,
        }
    }

    /// The headers that belong to this failure, besides the content type.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(after) = self.retry_after {
            headers.push(("retry-after", retry_after_seconds(after).to_string()));
        }
        if let Some(retry) = self.should_retry() {
            headers.push(("x-should-retry", retry.to_string()));
        }
        if let Some(methods) = &self.allow {
            headers.push(("allow", methods.clone()));
        }
        headers
    }
}

/// Whole seconds, rounded up and at least one: `Retry-After: 0` makes clients come back in a tight loop.
fn retry_after_seconds(after: Duration) -> u64 {
    after
        .as_secs()
        .saturating_add(u64::from(after.subsec_nanos() > 0))
        .max(1)
}

#[derive(Serialize)]
struct Shape<'a> {
    error: ShapeError<'a>,
}

#[derive(Serialize)]
struct ShapeError<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'static str,
    param: Option<&'a str>,
    request_id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out by hand from PRODUCT.md, so that a slip in the table above is seen.
    const PROMISED: &[(&str, u16)] = &[
        ("invalid_api_key", 401),
        ("missing_app_name", 400),
        ("invalid_app_name", 400),
        ("app_not_allowed", 403),
        ("body_too_large", 413),
        ("invalid_json", 400),
        ("headers_too_large", 431),
        ("loop_detected", 508),
        ("missing_model", 400),
        ("model_not_found", 404),
        ("queue_timeout", 504),
        ("queue_evicted", 503),
        ("queue_full", 429),
        ("deadline_unreachable", 429),
        ("upstream_unreachable", 502),
        ("upstream_timeout", 504),
        ("upstream_stream_truncated", 502),
        ("server_overloaded", 503),
        ("internal_error", 500),
        ("unauthorized", 401),
        ("forbidden", 403),
        ("too_many_attempts", 429),
        ("not_found", 404),
        ("method_not_allowed", 405),
        ("unsupported_media_type", 415),
        ("invalid_field", 422),
        ("version_conflict", 409),
        ("not_configured", 503),
        ("storage_unavailable", 503),
    ];

    #[test]
    fn every_code_has_the_promised_status_and_there_is_no_other() {
        let actual: Vec<_> = ErrorCode::ALL
            .iter()
            .map(|code| (code.as_str(), code.status()))
            .collect();
        assert_eq!(actual, PROMISED);
    }

    #[test]
    fn fault_agrees_with_status_and_kind_is_openai_vocabulary() {
        for code in ErrorCode::ALL {
            match code.fault() {
                Fault::Caller => assert!((400..500).contains(&code.status()), "{code:?}"),
                Fault::Limit => assert_eq!(code.kind(), "rate_limit_error", "{code:?}"),
                Fault::Upstream | Fault::Internal => assert!(code.status() >= 500, "{code:?}"),
            }
            assert!(
                [
                    "invalid_request_error",
                    "authentication_error",
                    "permission_error",
                    "rate_limit_error",
                    "server_error"
                ]
                .contains(&code.kind())
            );
        }
    }

    #[test]
    fn body_has_the_five_fields_and_escapes_what_it_quotes() {
        let error = GatewayError::new(ErrorCode::InvalidField, "bad \"name\"\n")
            .param("name")
            .detail("secret");
        let value: serde_json::Value = serde_json::from_str(&error.body("req_1")).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"error": {
                "message": "bad \"name\"\n", "type": "invalid_request_error", "code": "invalid_field",
                "param": "name", "request_id": "req_1"}})
        );
        assert!(!error.body("req_1").contains("secret"));
    }

    #[test]
    fn absent_param_is_null() {
        let value: serde_json::Value =
            serde_json::from_str(&GatewayError::internal("why").body("r")).unwrap();
        assert!(value["error"]["param"].is_null());
        assert_eq!(value["error"]["code"], "internal_error");
    }

    #[test]
    fn sse_event_is_one_event_named_error() {
        let event =
            GatewayError::new(ErrorCode::UpstreamStreamTruncated, "line\nbreak").sse_event("r");
        assert!(event.starts_with("event: error\ndata: {"));
        assert!(event.ends_with("}\n\n"));
        assert_eq!(
            event.matches('\n').count(),
            3,
            "a line break in the message must not split the event"
        );
    }

    #[test]
    fn only_queue_timeout_and_eviction_forbid_sdk_retries() {
        for code in ErrorCode::ALL {
            let expected =
                matches!(code, ErrorCode::QueueTimeout | ErrorCode::QueueEvicted).then_some(false);
            assert_eq!(GatewayError::new(*code, "x").should_retry(), expected);
        }
    }

    #[test]
    fn retry_after_is_rounded_up_to_at_least_a_second() {
        let after = |duration| {
            GatewayError::new(ErrorCode::QueueFull, "x")
                .retry_after(duration)
                .headers()[0]
                .1
                .clone()
        };
        assert_eq!(after(Duration::ZERO), "1");
        assert_eq!(after(Duration::from_millis(1001)), "2");
        assert_eq!(after(Duration::from_secs(30)), "30");
        assert_eq!(after(Duration::MAX), u64::MAX.to_string());
    }

    #[test]
    fn headers_carry_retry_hints_and_allowed_methods() {
        let error =
            GatewayError::new(ErrorCode::QueueTimeout, "x").retry_after(Duration::from_secs(2));
        assert_eq!(
            error.headers(),
            [
                ("retry-after", "2".into()),
                ("x-should-retry", "false".into())
            ]
        );
        let error = GatewayError::new(ErrorCode::MethodNotAllowed, "x").allow("GET, POST");
        assert_eq!(error.headers(), [("allow", "GET, POST".into())]);
        assert!(
            GatewayError::new(ErrorCode::NotFound, "x")
                .headers()
                .is_empty()
        );
    }
}
