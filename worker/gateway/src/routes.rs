//! 端点表：方法与路径，以及谁可以用。
//!
//! Owns the one table of endpoints and the two request headers whose syntax is the gateway's own
//! (`X-Request-Id`, `X-Queue-Timeout`). Does not handle anything.
//!
//! Invariant: what is not in the table does not exist, and every route says who may use it.

use std::{fmt::Write, time::Duration};

use crate::{
    endpoint::Endpoint,
    error::{ErrorCode, GatewayError},
};

/// Longest identifier in a path; ours have at most 36 characters.
const PATH_ID_LEN_MAX: usize = 64;
/// Longest `X-Request-Id` that is taken over.
const REQUEST_ID_LEN_MAX: usize = 64;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Public,
    /// The holder of a gateway key.
    Client,
    /// Viewer or admin.
    Viewer,
    /// Admin only.
    Admin,
}

/// What a request asks for; the text is the `{id}` of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each is one line of the table below, which says it better"
)]
pub enum Route {
    Health,
    HealthReady,
    Metrics,
    SessionBegin,
    SessionRead,
    SessionEnd,
    Inference(Endpoint),
    Models,
    ServersList,
    ServersCreate,
    ServersOrder,
    ServerRead(String),
    ServerReplace(String),
    ServerPatch(String),
    ServerDelete(String),
    ServerLive(String),
    ServerTest(String),
    KeysList,
    KeysCreate,
    KeyRead(String),
    KeyPatch(String),
    KeyDelete(String),
    KeyRotate(String),
    Live,
    Audit,
    ConfigVersion,
    Usage,
    UsageCsv,
    Logs,
    LogsCsv,
    FaultLimiterReset(String),
    FaultDatabase,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// HTTP method; `GET` answers `HEAD` too.
    pub method: &'static str,
    /// Path, with at most one `{id}` segment.
    pub pattern: &'static str,
    /// Makes the route from the path's id.
    pub route: fn(String) -> Route,
}

impl Entry {
    /// Who may use it.
    #[must_use]
    pub fn access(&self) -> Access {
        (self.route)(String::new()).access()
    }
}

const fn endpoint(
    method: &'static str,
    pattern: &'static str,
    route: fn(String) -> Route,
) -> Entry {
    Entry {
        method,
        pattern,
        route,
    }
}

const fn inference(endpoint: Endpoint, route: fn(String) -> Route) -> Entry {
    self::endpoint("POST", endpoint.path(), route)
}

/// Every endpoint. A fixed path stands before a pattern that would also match it.
pub const ENDPOINTS: &[Entry] = &[
    inference(Endpoint::ChatCompletions, |_| {
        Route::Inference(Endpoint::ChatCompletions)
    }),
    inference(Endpoint::Completions, |_| {
        Route::Inference(Endpoint::Completions)
    }),
    inference(Endpoint::Embeddings, |_| {
        Route::Inference(Endpoint::Embeddings)
    }),
    inference(Endpoint::Responses, |_| {
        Route::Inference(Endpoint::Responses)
    }),
    inference(Endpoint::Messages, |_| Route::Inference(Endpoint::Messages)),
    endpoint("GET", "/v1/models", |_| Route::Models),
    endpoint("GET", "/health", |_| Route::Health),
    endpoint("GET", "/health/ready", |_| Route::HealthReady),
    endpoint("GET", "/metrics", |_| Route::Metrics),
    endpoint("POST", "/api/session", |_| Route::SessionBegin),
    endpoint("GET", "/api/session", |_| Route::SessionRead),
    endpoint("DELETE", "/api/session", |_| Route::SessionEnd),
    endpoint("GET", "/api/servers", |_| Route::ServersList),
    endpoint("POST", "/api/servers", |_| Route::ServersCreate),
    endpoint("PUT", "/api/servers/order", |_| Route::ServersOrder),
    endpoint("GET", "/api/servers/{id}", Route::ServerRead),
    endpoint("PUT", "/api/servers/{id}", Route::ServerReplace),
    endpoint("PATCH", "/api/servers/{id}", Route::ServerPatch),
    endpoint("DELETE", "/api/servers/{id}", Route::ServerDelete),
    endpoint("GET", "/api/servers/{id}/live", Route::ServerLive),
    endpoint("POST", "/api/servers/{id}/test", Route::ServerTest),
    endpoint("GET", "/api/keys", |_| Route::KeysList),
    endpoint("POST", "/api/keys", |_| Route::KeysCreate),
    endpoint("GET", "/api/keys/{id}", Route::KeyRead),
    endpoint("PATCH", "/api/keys/{id}", Route::KeyPatch),
    endpoint("DELETE", "/api/keys/{id}", Route::KeyDelete),
    endpoint("POST", "/api/keys/{id}/rotate", Route::KeyRotate),
    endpoint("GET", "/api/live", |_| Route::Live),
    endpoint("GET", "/api/audit", |_| Route::Audit),
    endpoint("GET", "/api/config/version", |_| Route::ConfigVersion),
    endpoint("GET", "/api/stats/usage", |_| Route::Usage),
    endpoint("GET", "/api/stats/usage.csv", |_| Route::UsageCsv),
    endpoint("GET", "/api/logs", |_| Route::Logs),
    endpoint("GET", "/api/logs.csv", |_| Route::LogsCsv),
    endpoint(
        "POST",
        "/api/faults/limiter/{id}/reset",
        Route::FaultLimiterReset,
    ),
    endpoint("PUT", "/api/faults/database", |_| Route::FaultDatabase),
];

impl Route {
    /// Who may use it. Exhaustive, so that a new route can not forget to say so.
    #[must_use]
    pub const fn access(&self) -> Access {
        match self {
            Self::Health | Self::HealthReady | Self::SessionBegin | Self::SessionEnd => {
                Access::Public
            }
            Self::Inference(_) | Self::Models => Access::Client,
            Self::SessionRead
            | Self::Metrics
            | Self::ServersList
            | Self::ServerRead(_)
            | Self::ServerLive(_)
            | Self::KeysList
            | Self::KeyRead(_)
            | Self::Live
            | Self::Audit
            | Self::ConfigVersion
            | Self::Usage
            | Self::UsageCsv
            | Self::Logs
            | Self::LogsCsv => Access::Viewer,
            Self::ServersCreate
            | Self::ServersOrder
            | Self::ServerReplace(_)
            | Self::ServerPatch(_)
            | Self::ServerDelete(_)
            | Self::ServerTest(_)
            | Self::KeysCreate
            | Self::KeyPatch(_)
            | Self::KeyDelete(_)
            | Self::KeyRotate(_)
            | Self::FaultLimiterReset(_)
            | Self::FaultDatabase => Access::Admin,
        }
    }
}

/// The path of a URL as the platform writes it, without its query.
#[must_use]
pub fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let before = rest.get(..end).unwrap_or_default();
    let path = before.find('/').and_then(|start| before.get(start..));
    path.unwrap_or("/")
}

/// Finds the route, or says that there is none (`not_found`) or not for this method (`method_not_allowed`,
/// with the methods that there are).
pub fn resolve(method: &str, path: &str) -> Result<Route, GatewayError> {
    let wanted = if method == "HEAD" { "GET" } else { method };
    let mut methods: Vec<&str> = Vec::new();
    let mut pattern_found = None;
    for endpoint in ENDPOINTS {
        let Some(id) = matched(endpoint.pattern, path) else {
            continue;
        };
        // `/api/servers/order` is no server: once a fixed path has matched, patterns no longer do.
        if *pattern_found.get_or_insert(endpoint.pattern) != endpoint.pattern {
            continue;
        }
        if endpoint.method == wanted {
            return Ok((endpoint.route)(id.to_owned()));
        }
        methods.push(endpoint.method);
        if endpoint.method == "GET" {
            methods.push("HEAD");
        }
    }
    if methods.is_empty() {
        return Err(no_such_endpoint());
    }
    let allow = methods.join(", ");
    Err(GatewayError::new(
        ErrorCode::MethodNotAllowed,
        format!("This endpoint takes only {allow}."),
    )
    .allow(allow))
}

/// The answer of a path that does not exist.
#[must_use]
pub fn no_such_endpoint() -> GatewayError {
    GatewayError::new(
        ErrorCode::NotFound,
        "There is no such endpoint. Check the path; the API is described in the documentation.",
    )
}

/// The `{id}` of a path that fits the pattern; empty if the pattern has none.
fn matched<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let Some((before, after)) = pattern.split_once("{id}") else {
        return (pattern == path).then_some("");
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    let well_formed = (1..=PATH_ID_LEN_MAX).contains(&id.len()) && id.bytes().all(is_id_byte);
    well_formed.then_some(id)
}

const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// The id of a request: the client's own if it is 1–64 characters `[A-Za-z0-9._-]`, else `req_` and the hex
/// of `random`.
#[must_use]
pub fn request_id(client: Option<&str>, random: [u8; 16]) -> String {
    match client {
        Some(id) if (1..=REQUEST_ID_LEN_MAX).contains(&id.len()) && id.bytes().all(is_id_byte) => {
            id.to_owned()
        }
        _ => {
            let mut id = String::with_capacity(36);
            id.push_str("req_");
            for byte in random {
                // Writing into a string can not fail.
                let _ = write!(id, "{byte:02x}");
            }
            id
        }
    }
}

/// How long the client is willing to queue: `X-Queue-Timeout` in seconds, decimals allowed, 0 = not at all.
/// Digits below a millisecond are cut off; a number too large for the clock means as long as the server allows.
pub fn queue_wait_max(header: Option<&str>) -> Result<Option<Duration>, GatewayError> {
    let Some(text) = header.map(str::trim) else {
        return Ok(None);
    };
    decimal_seconds(text).map(Some).ok_or_else(|| {
        GatewayError::new(
            ErrorCode::InvalidField,
            "`X-Queue-Timeout` must be a number of seconds such as `30` or `0.5`; 0 means not to queue.",
        )
        .param("X-Queue-Timeout")
    })
}

/// `12`, `12.5`, `.5` and `12.`, but no sign, exponent, infinity or white space.
fn decimal_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    // Only overflow can still fail here, and it means "very long".
    let seconds = if whole.is_empty() {
        0
    } else {
        whole.parse().unwrap_or(u64::MAX)
    };
    let millis: u64 = fraction
        .bytes()
        .chain(*b"000")
        .take(3)
        .fold(0, |millis, digit| {
            millis
                .saturating_mul(10)
                .saturating_add(u64::from(digit.saturating_sub(b'0')))
        });
    Some(Duration::from_millis(
        seconds.saturating_mul(1_000).saturating_add(millis),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_line_of_the_table_resolves_to_its_own_route() {
        for endpoint in ENDPOINTS {
            let path = endpoint.pattern.replace("{id}", "abc-1");
            assert_eq!(
                resolve(endpoint.method, &path).unwrap(),
                (endpoint.route)("abc-1".to_owned()),
                "{path}"
            );
        }
    }

    #[test]
    fn writing_needs_admin_and_reading_needs_viewer_under_api() {
        for endpoint in ENDPOINTS
            .iter()
            .filter(|endpoint| endpoint.pattern.starts_with("/api/"))
        {
            let expected = match (endpoint.method, endpoint.pattern) {
                // How one gets and gives up an identity.
                ("POST" | "DELETE", "/api/session") => Access::Public,
                ("GET", _) => Access::Viewer,
                _ => Access::Admin,
            };
            assert_eq!(
                endpoint.access(),
                expected,
                "{} {}",
                endpoint.method,
                endpoint.pattern
            );
        }
        for endpoint in ENDPOINTS
            .iter()
            .filter(|endpoint| endpoint.pattern.starts_with("/v1/"))
        {
            assert_eq!(endpoint.access(), Access::Client);
        }
    }

    #[test]
    fn unknown_paths_are_not_found() {
        for path in [
            "/",
            "",
            "/v1",
            "/v1/models/",
            "/V1/models",
            "/api/servers/",
            "/api/servers/a/b",
            "/api/servers/%2e",
            "/api/servers//live",
            "/api",
        ] {
            assert_eq!(
                resolve("GET", path).unwrap_err().code,
                ErrorCode::NotFound,
                "{path}"
            );
        }
        let long = format!("/api/servers/{}", "a".repeat(65));
        assert_eq!(resolve("GET", &long).unwrap_err().code, ErrorCode::NotFound);
    }

    #[test]
    fn wrong_method_lists_the_allowed_ones() {
        let error = resolve("GET", "/v1/chat/completions").unwrap_err();
        assert_eq!(
            (error.code, error.allow.as_deref()),
            (ErrorCode::MethodNotAllowed, Some("POST"))
        );
        let error = resolve("POST", "/api/servers/x").unwrap_err();
        assert_eq!(
            error.allow.as_deref(),
            Some("GET, HEAD, PUT, PATCH, DELETE")
        );
        let error = resolve("GET", "/api/servers/order").unwrap_err();
        assert_eq!(
            error.allow.as_deref(),
            Some("PUT"),
            "the order is not a server"
        );
        assert!(
            resolve("get", "/health").is_err(),
            "methods are case-sensitive"
        );
    }

    #[test]
    fn head_is_answered_where_get_is() {
        assert_eq!(resolve("HEAD", "/health").unwrap(), Route::Health);
        assert!(resolve("HEAD", "/v1/chat/completions").is_err());
    }

    #[test]
    fn client_request_id_is_taken_only_if_well_formed() {
        let random = [0xab; 16];
        let generated = "req_abababababababababababababababab";
        for good in ["a", "A.b_c-9", &"x".repeat(64)] {
            assert_eq!(request_id(Some(good), random), good);
        }
        for bad in ["", &"x".repeat(65), "a b", "a/b", "\u{e9}", "a\n"] {
            assert_eq!(request_id(Some(bad), random), generated, "{bad:?}");
        }
        assert_eq!(request_id(None, random), generated);
    }

    #[test]
    fn queue_timeout_is_decimal_seconds() {
        let ms = |text| queue_wait_max(Some(text)).unwrap().unwrap().as_millis();
        assert_eq!(queue_wait_max(None).unwrap(), None);
        for (text, expected) in [
            ("0", 0),
            ("0.0", 0),
            ("30", 30_000),
            (" 1.5 ", 1_500),
            (".25", 250),
            ("2.", 2_000),
            ("0.0019", 1),
        ] {
            assert_eq!(ms(text), expected, "{text}");
        }
        assert_eq!(ms("99999999999999999999999"), u128::from(u64::MAX));
    }

    #[test]
    fn queue_timeout_that_is_no_number_is_an_invalid_field() {
        for text in [
            "", ".", "-1", "+1", "1e3", "inf", "NaN", "1s", "1,5", "1.2.3", "0x10", "\u{661}",
        ] {
            let error = queue_wait_max(Some(text)).unwrap_err();
            assert_eq!(
                (error.code, error.status()),
                (ErrorCode::InvalidField, 422),
                "{text:?}"
            );
            assert_eq!(error.param.as_deref(), Some("X-Queue-Timeout"));
        }
    }

    #[test]
    fn path_is_what_stands_between_host_and_query() {
        let paths = [
            "https://a/b/c?d=/e#f",
            "http://a:1?b",
            "https://a/#b",
            "/x?y",
        ];
        assert_eq!(paths.map(path), ["/b/c", "/", "/", "/x"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_method_path_and_header_give_an_answer(method in "[A-Z]{0,7}|\\PC{0,4}", path in "/?(api|v1|health)?\\PC{0,40}") {
            let _ = resolve(&method, &path);
            let _ = queue_wait_max(Some(&path));
            let id = request_id(Some(&path), [1; 16]);
            prop_assert!((1..=64).contains(&id.len()) && id.bytes().all(is_id_byte));
        }
    }
}
