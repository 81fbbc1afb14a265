//! 发往上游的请求与带回的头部。
//!
//! Owns what goes to a server and which headers pass in either direction, and how an admission becomes headers
//! or an error. Does not send anything.
//!
//! Invariant: an upstream request can only be made with a permit, so nothing gets around the limiter; and a
//! client's credentials never go upstream.

use std::{borrow::Cow, time::Duration};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use admission::protocol::{AdmissionFacts, Budget, Permit, Refusal, RefusalReason};
use admission::{Instant, SEND_DELAY_MAX};

use crate::{
    config::{Secret, Server},
    endpoint::{CredentialForm, Endpoint},
    error::{ErrorCode, GatewayError},
    hops,
};

/// Request headers that stay here.
const REQUEST_HEADERS_KEPT: &[&str] = &[
    // Credentials of the client; the server's own key takes their place.
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    // For the gateway.
    "app-name",
    "x-request-id",
    hops::HEADER,
    // Who the client is and how it got here.
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cdn-loop",
    "via",
    // Set anew for the next hop.
    "host",
    "content-length",
    "accept-encoding",
    "expect",
    // Of browsers; they make some backends refuse a request that the gateway has already let in.
    "origin",
    "referer",
    "dnt",
    "upgrade-insecure-requests",
];
const REQUEST_PREFIXES_KEPT: &[&str] = &[
    "cf-",
    "x-forwarded-",
    "x-queue-",
    "x-gateway-",
    "sec-",
    "access-control-",
];

/// Response headers that stay here.
const RESPONSE_HEADERS_KEPT: &[&str] = &[
    // The gateway's own origin must not get cookies or policies of another.
    "set-cookie",
    "set-cookie2",
    "clear-site-data",
    "alt-svc",
    "strict-transport-security",
    "nel",
    "report-to",
    "reporting-endpoints",
    "server",
    "server-timing",
    "via",
    // The bytes come decoded and may be changed.
    "content-length",
    "content-encoding",
    // The gateway says these itself.
    "x-request-id",
    "x-config-version",
    "date",
];
const RESPONSE_PREFIXES_KEPT: &[&str] = &[
    "x-ratelimit-",
    "x-gateway-",
    "x-queue-",
    "cf-",
    "access-control-",
];

/// Headers of one hop (RFC 9110, section 7.6.1, and those of practice).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request that may be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct UpstreamRequest<'a> {
    /// Where to.
    pub url: String,
    /// The headers of the server's own key; none for a server without one.
    pub credentials: Vec<(&'static str, Secret)>,
    /// Longest wait for headers.
    pub timeout: Duration,
    /// What to send.
    pub body: Cow<'a, [u8]>,
}

impl<'a> UpstreamRequest<'a> {
    /// The request for an endpoint at `server`. It takes the permit that admission gave for it.
    #[must_use]
    pub fn new(_permit: &Permit, server: &Server, endpoint: Endpoint, body: Cow<'a, [u8]>) -> Self {
        let credentials = |key: &Secret| {
            let header = |(name, before): &CredentialForm| {
                (*name, Secret::new([*before, key.expose()].concat()))
            };
            let forms = endpoint.credential_forms(key);
            forms.iter().map(header).collect::<Vec<_>>()
        };
        Self {
            url: url(&server.base_url, endpoint.path()),
            credentials: server.api_key.as_ref().map(credentials).unwrap_or_default(),
            timeout: server.upstream_timeout(),
            body,
        }
    }
}

/// Up to this length an answer that is no stream is passed on as a whole: most are far shorter, and the
/// network brings it in a piece or two.
pub const WHOLE_BYTES_MAX: u64 = 64 * 1024;

/// How long after calling `fetch` a Worker looks at the clock again. In an isolate that is not overfull the
/// request is on its way long before; in one that is, this timer is late as well, and shows it.
pub const SENDING_WATCHED: Duration = Duration::from_millis(25);

/// Whether so much time has passed since the grant that the limiter must count the request from now
/// on. A Worker that is busy with hundreds of requests comes to send one long after it was granted.
#[must_use]
pub fn is_sent_late(permit: &Permit, server: &Server, now: Instant) -> bool {
    is_counted(server) && now.saturating_since(permit.granted_at()) > SEND_DELAY_MAX
}

/// Whether a limit of the server counts in the window; without one nothing depends on when a request leaves.
#[must_use]
pub const fn is_counted(server: &Server) -> bool {
    server.rpm_limit.is_some() || server.tpm_limit.is_some()
}

/// `{base_url}{path without /v1}`.
#[must_use]
pub fn url(base_url: &str, path: &str) -> String {
    let rest = path
        .strip_prefix("/v1")
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path);
    [base_url.trim_end_matches('/'), rest].concat()
}

/// Whether a request header of the client goes upstream. Names come in lower case from the platform, but
/// their case does not matter.
#[must_use]
pub fn forwards_request_header(name: &str) -> bool {
    !stays(name, REQUEST_HEADERS_KEPT, REQUEST_PREFIXES_KEPT)
}

/// Whether a response header of the upstream goes to the client.
#[must_use]
pub fn returns_response_header(name: &str) -> bool {
    !stays(name, RESPONSE_HEADERS_KEPT, RESPONSE_PREFIXES_KEPT)
}

/// Whether a message's `Connection` header makes this header one of the hop.
#[must_use]
pub fn named_in_connection(connection: Option<&str>, name: &str) -> bool {
    connection.is_some_and(|names| {
        names
            .split(',')
            .any(|listed| listed.trim().eq_ignore_ascii_case(name))
    })
}

fn stays(name: &str, names: &[&str], prefixes: &[&str]) -> bool {
    let lower = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    };
    let name = &*lower;
    HOP_BY_HOP.contains(&name)
        || names.contains(&name)
        || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// A text of any script as a header value: what is not printable ASCII is percent-encoded UTF-8, and
/// so is `%` itself, so that the text can be had back.
#[must_use]
pub fn header_text(text: &str) -> String {
    const ENCODED: &AsciiSet = &CONTROLS.add(b'%');
    utf8_percent_encode(text, ENCODED).to_string()
}

/// OpenAI's `x-ratelimit-*` headers. An unlimited budget has none.
#[must_use]
pub fn rate_limit_headers(facts: &AdmissionFacts) -> Vec<(&'static str, String)> {
    let mut headers = Vec::with_capacity(6);
    let mut add = |names: [&'static str; 3], budget: Option<&Budget>| {
        if let Some(budget) = budget {
            let [limit, remaining, reset] = names;
            headers.push((limit, budget.limit.to_string()));
            headers.push((remaining, budget.remaining.to_string()));
            headers.push((reset, reset_text(budget.reset)));
        }
    };
    add(
        [
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ],
        facts.requests.as_ref(),
    );
    add(
        [
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens",
        ],
        facts.tokens.as_ref(),
    );
    headers
}

/// A span as OpenAI writes it: `20ms`, `1s`, `7.66s`, `6m0s`, `1h0m2s`.
fn reset_text(span: Duration) -> String {
    let seconds = span.as_secs();
    let millis = span.subsec_millis();
    if seconds == 0 && millis > 0 {
        return format!("{millis}ms");
    }
    let fraction = match millis {
        0 => String::new(),
        _ => format!(".{millis:03}").trim_end_matches('0').to_owned(),
    };
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}{fraction}s"),
        (0, _) => format!("{minutes}m{rest}{fraction}s"),
        _ => format!("{hours}h{minutes}m{rest}{fraction}s"),
    }
}

/// The answer to a request that admission refused.
#[must_use]
pub fn queue_error(refusal: &Refusal, server_name: &str) -> GatewayError {
    let waited = refusal.admission.wait.as_millis();
    let (code, message) = match refusal.reason {
        RefusalReason::QueueTimeout => (
            ErrorCode::QueueTimeout,
            format!(
                "The request waited {waited} ms for its turn at `{server_name}`. Come back after Retry-After."
            ),
        ),
        RefusalReason::QueueEvicted => (
            ErrorCode::QueueEvicted,
            format!(
                "The queue of `{server_name}` is full and a newer request took this place. Send less, or come back after Retry-After."
            ),
        ),
        RefusalReason::QueueFull => (
            ErrorCode::QueueFull,
            format!("The queue of `{server_name}` is full. Come back after Retry-After."),
        ),
        RefusalReason::DeadlineUnreachable => (
            ErrorCode::DeadlineUnreachable,
            format!(
                "`{server_name}` can not take the request within X-Queue-Timeout. Allow more time, or come back after Retry-After."
            ),
        ),
        RefusalReason::Overloaded => (
            ErrorCode::ServerOverloaded,
            format!("The limiter of `{server_name}` is overloaded. Come back after Retry-After."),
        ),
        RefusalReason::Disabled => {
            return GatewayError::new(
                ErrorCode::ModelNotFound,
                format!("`{server_name}` has just been disabled. GET /v1/models lists the models you may use."),
            )
            .param("model");
        }
        RefusalReason::Cancelled => {
            return GatewayError::internal("the ticket was cancelled while its client was waiting");
        }
    };
    GatewayError::new(code, message).retry_after(refusal.retry_after)
}

/// The connection failed before headers arrived.
#[must_use]
pub fn unreachable(server_name: &str, detail: impl Into<String>) -> GatewayError {
    GatewayError::new(
        ErrorCode::UpstreamUnreachable,
        format!("`{server_name}` could not be reached. Retry; if it persists, have its base URL checked."),
    )
    .detail(detail)
}

/// No headers came within the server's timeout.
#[must_use]
pub fn timed_out(server: &Server) -> GatewayError {
    let (name, ms) = (&server.name, server.upstream_timeout_ms);
    GatewayError::new(
        ErrorCode::UpstreamTimeout,
        format!("`{name}` sent no answer within {ms} ms. Retry, or have its timeout raised."),
    )
}

/// A stream ended without its end marker.
#[must_use]
pub fn truncated(server_name: &str) -> GatewayError {
    GatewayError::new(
        ErrorCode::UpstreamStreamTruncated,
        format!(
            "`{server_name}` ended the stream before it was complete. What came is not the whole answer; retry."
        ),
    )
}

#[cfg(test)]
mod tests;
