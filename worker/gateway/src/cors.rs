//! 跨源：浏览器里的页面可否调用数据面。
//!
//! Owns which origins may call `/v1/*` from a browser, what a preflight is answered, and the headers that let a
//! page read an answer. Off unless `CORS_ORIGINS` names origins; the admin API never has any of it.
//!
//! Invariant: credentials are never allowed, so a page can only send what it has itself; and a list with one
//! bad entry allows nobody.

use url::Url;

use crate::{error::GatewayError, routes::Route};

/// Where it holds.
const PATH_PREFIX: &str = "/v1/";
/// Most origins: each request compares its own with all of them.
const ORIGINS_LEN_MAX: usize = 64;
/// How long a browser may remember a preflight, in seconds: the longest that Chromium allows.
const MAX_AGE_SECONDS: &str = "7200";
/// Longest list of requested header names that is looked at.
const REQUESTED_BYTES_MAX: usize = 2_048;

/// Request headers that a page may send.
const REQUEST_HEADERS: &[&str] = &[
    "authorization",
    "content-type",
    "app-name",
    "x-api-key",
    "x-request-id",
    "x-queue-timeout",
    "x-queue-progress",
];
/// Beginnings of those that the official SDKs add; they are allowed when a preflight asks for them.
const REQUEST_PREFIXES: &[&str] = &["x-stainless-", "openai-", "anthropic-"];

/// Response headers that a page may read.
const EXPOSED: &str = "x-request-id, x-config-version, x-gateway-server, x-gateway-attempts, \
    x-gateway-overhead-ms, x-queue-wait-ms, x-queue-position, x-ratelimit-limit-requests, \
    x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, \
    x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, retry-after, x-should-retry";

/// Headers of a response.
pub type Headers = Vec<(&'static str, String)>;

/// `CORS_ORIGINS`, parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// No page may call.
    #[default]
    Off,
    /// Every page may.
    Any,
    /// Pages of these origins may.
    Origins(Vec<String>),
}

/// A value that names no origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOrigins;

/// What a preflight asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Preflight<'a> {
    /// `Origin`
    pub origin: Option<&'a str>,
    /// `Access-Control-Request-Method`
    pub method: Option<&'a str>,
    /// `Access-Control-Request-Headers`
    pub headers: Option<&'a str>,
}

impl Cors {
    /// Reads `*`, or origins as a browser sends them, separated by commas.
    pub fn parse(text: &str) -> Result<Self, NotOrigins> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let origins: Vec<String> = text
            .split(',')
            .map(str::trim)
            .map(|origin| is_origin(origin).then(|| origin.to_owned()))
            .collect::<Option<_>>()
            .ok_or(NotOrigins)?;
        if origins.len() > ORIGINS_LEN_MAX {
            return Err(NotOrigins);
        }
        Ok(Self::Origins(origins))
    }

    /// The headers of every answer to a request for `path` from `origin`.
    #[must_use]
    pub fn headers(&self, path: &str, origin: Option<&str>) -> Headers {
        if *self == Self::Off || !path.starts_with(PATH_PREFIX) {
            return Vec::new();
        }
        let mut headers = vec![("vary", "Origin".to_owned())];
        if let Some(allowed) = self.allowed(origin) {
            headers.push(("access-control-allow-origin", allowed.to_owned()));
            headers.push(("access-control-expose-headers", EXPOSED.to_owned()));
        }
        headers
    }

    /// The headers of the 204 to a preflight, where it is granted. `route` is what the table of endpoints says
    /// of method and path.
    #[must_use]
    pub fn preflight(
        &self,
        method: &str,
        path: &str,
        asked: Preflight<'_>,
        route: &Result<Route, GatewayError>,
    ) -> Option<Headers> {
        if method != "OPTIONS" || !path.starts_with(PATH_PREFIX) {
            return None;
        }
        asked.method?;
        asked.origin?;
        // An endpoint that is there, but not for this method, which is none's.
        let methods = route.as_ref().err()?.allow.as_deref()?;
        let allowed = self.allowed(asked.origin)?;
        Some(vec![
            ("vary", "Origin, Access-Control-Request-Headers".to_owned()),
            ("access-control-allow-origin", allowed.to_owned()),
            ("access-control-allow-methods", methods.to_owned()),
            (
                "access-control-allow-headers",
                allowed_headers(asked.headers.unwrap_or_default()),
            ),
            ("access-control-max-age", MAX_AGE_SECONDS.to_owned()),
        ])
    }

    /// The value of `Access-Control-Allow-Origin`.
    fn allowed(&self, origin: Option<&str>) -> Option<&str> {
        match self {
            Self::Off => None,
            Self::Any => Some("*"),
            Self::Origins(origins) => origins
                .iter()
                .map(String::as_str)
                .find(|listed| Some(*listed) == origin),
        }
    }
}

/// Scheme, host and port as a browser writes them; `null` is the origin of pages that have none, which
/// anybody can make.
fn is_origin(text: &str) -> bool {
    // `*` is a character of a host name to the parser, and no pattern to anybody.
    let is_plain = !text.contains('*');
    is_plain
        && Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
        })
}

fn allowed_headers(requested: &str) -> String {
    let sdk = requested
        .get(..requested.len().min(REQUESTED_BYTES_MAX))
        .unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| {
            is_token(name)
                && REQUEST_PREFIXES
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
        });
    let mut names: Vec<String> = REQUEST_HEADERS
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    names.extend(sdk);
    names.join(", ")
}

fn is_token(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::resolve;

    const CHAT: &str = "/v1/chat/completions";

    fn asked<'a>(origin: &'a str, headers: &'a str) -> Preflight<'a> {
        Preflight {
            origin: Some(origin),
            method: Some("POST"),
            headers: Some(headers),
        }
    }

    fn preflight(cors: &Cors, path: &str, asked: Preflight<'_>) -> Option<Headers> {
        cors.preflight("OPTIONS", path, asked, &resolve("OPTIONS", path))
    }

    fn value<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
        headers
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value.as_str())
    }

    #[test]
    fn exact_origins_and_a_star_are_taken_and_nothing_else() {
        assert_eq!(Cors::parse(" * "), Ok(Cors::Any));
        assert_eq!(
            Cors::parse("https://a.example, http://localhost:3000"),
            Ok(Cors::Origins(vec![
                "https://a.example".to_owned(),
                "http://localhost:3000".to_owned()
            ]))
        );
        for bad in [
            "null",
            "https://a.example/",
            "https://a.example/x",
            "https://A.example",
            "https://a.example:443",
            "https://*.example",
            "https://u@a.example",
            "a.example",
            "ftp://a.example",
            "https://a.example,",
            "https://a.example, *",
            "file://",
        ] {
            assert_eq!(Cors::parse(bad), Err(NotOrigins), "{bad}");
        }
        let many = vec!["https://a.example"; ORIGINS_LEN_MAX + 1].join(",");
        assert_eq!(Cors::parse(&many), Err(NotOrigins));
    }

    #[test]
    fn off_adds_nothing_and_grants_nothing() {
        assert!(
            Cors::Off
                .headers(CHAT, Some("https://a.example"))
                .is_empty()
        );
        let granted = preflight(&Cors::Off, CHAT, asked("https://a.example", ""));
        assert_eq!(granted, None);
    }

    #[test]
    fn listed_origin_is_named_and_others_are_not() {
        let cors = Cors::parse("https://a.example").unwrap();
        let headers = cors.headers(CHAT, Some("https://a.example"));
        assert_eq!(
            value(&headers, "access-control-allow-origin"),
            Some("https://a.example")
        );
        assert_eq!(value(&headers, "vary"), Some("Origin"));
        assert!(
            value(&headers, "access-control-expose-headers")
                .is_some_and(|names| names.contains("x-request-id"))
        );
        for other in [None, Some("https://b.example"), Some("null")] {
            let headers = cors.headers(CHAT, other);
            assert_eq!(headers, [("vary", "Origin".to_owned())], "{other:?}");
        }
        let any = Cors::Any.headers(CHAT, Some("https://b.example"));
        assert_eq!(value(&any, "access-control-allow-origin"), Some("*"));
    }

    #[test]
    fn the_admin_api_and_the_rest_never_have_it() {
        for path in [
            "/api/servers",
            "/health",
            "/",
            "/v1",
            "/openapi.json",
            "/docs",
        ] {
            assert!(
                Cors::Any
                    .headers(path, Some("https://a.example"))
                    .is_empty()
            );
            let granted = preflight(&Cors::Any, path, asked("https://a.example", ""));
            assert_eq!(granted, None, "{path}");
        }
    }

    #[test]
    fn preflight_names_methods_and_headers_and_never_credentials() {
        let cors = Cors::parse("https://a.example").unwrap();
        let wants =
            "Authorization, X-Stainless-Lang,openai-beta, x-evil, openai-\u{e9}, x-stainless-a b";
        let headers = preflight(&cors, CHAT, asked("https://a.example", wants)).unwrap();
        assert_eq!(
            value(&headers, "access-control-allow-methods"),
            Some("POST")
        );
        assert_eq!(
            value(&headers, "access-control-allow-headers"),
            Some(
                "authorization, content-type, app-name, x-api-key, x-request-id, x-queue-timeout, \
                 x-queue-progress, x-stainless-lang, openai-beta"
            )
        );
        assert!(
            headers
                .iter()
                .all(|(name, _)| *name != "access-control-allow-credentials")
        );
        let other = preflight(&cors, CHAT, asked("https://b.example", wants));
        assert_eq!(other, None);
        let absent = preflight(&cors, "/v1/absent", asked("https://a.example", wants));
        assert_eq!(absent, None, "a path that does not exist stays one");
        let post = resolve("POST", CHAT);
        let no_preflight = cors.preflight("POST", CHAT, asked("https://a.example", ""), &post);
        assert_eq!(no_preflight, None);
        for incomplete in [
            Preflight {
                method: None,
                ..asked("https://a.example", "")
            },
            Preflight {
                origin: None,
                ..asked("https://a.example", "")
            },
        ] {
            assert_eq!(preflight(&Cors::Any, CHAT, incomplete), None);
        }
    }
}
