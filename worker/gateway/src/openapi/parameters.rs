//! 参数、应答头与凭据的说明。
//!
//! Owns the parameters, response headers and security schemes of the OpenAPI document, each once, by name.

use serde_json::{Map, Value, json};

use super::patterns;
use crate::admin_api::TargetKind;
use crate::admin_api::bounds::{
    ACTION_CHARS_MAX, ACTOR_CHARS_MAX, CURSOR_CHARS_MAX, ID_CHARS_MAX, PAGE_LEN_DEFAULT,
    PAGE_LEN_MAX,
};
use crate::routes::Access;

/// Headers of every answer that a limiter or a server had a part in.
pub(super) const OF_EXCHANGE: [&str; 12] = [
    "x-config-version",
    "x-gateway-server",
    "x-gateway-attempts",
    "x-gateway-overhead-ms",
    "x-queue-wait-ms",
    "x-queue-position",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
];

/// Every parameter.
#[expect(clippy::too_many_lines, reason = "a table, one entry after the other")]
pub(super) fn parameters() -> Map<String, Value> {
    let header = |name: &str, required: bool, description: &str, schema: Value| {
        let parameter = json!({"name": name, "in": "header", "required": required, "description": description, "schema": schema});
        (name.to_owned(), parameter)
    };
    let query = |name: &str, description: &str, schema: Value| {
        let parameter =
            json!({"name": name, "in": "query", "description": description, "schema": schema});
        (name.to_owned(), parameter)
    };
    let named = |key: &str, name: &str, description: &str, schema: Value| {
        let parameter =
            json!({"name": name, "in": "query", "description": description, "schema": schema});
        (key.to_owned(), parameter)
    };
    let text = |chars_max: usize| json!({"type": "string", "minLength": 1, "maxLength": chars_max});
    let time = json!({"type": "string", "format": "date-time", "pattern": patterns::TIME});
    let id = json!({
        "name": "id", "in": "path", "required": true, "description": "Identifier of the object.",
        "schema": {"type": "string", "pattern": patterns::ID},
    });
    // Entries of the audit trail have numbers for ids, and its cursors too.
    let audit_cursor = json!({
        "name": "cursor", "in": "query", "description": "`next_cursor` of the page before.",
        "schema": {"type": "string", "pattern": patterns::AUDIT_CURSOR},
    });
    Map::from_iter([
        ("id".to_owned(), id),
        ("audit-cursor".to_owned(), audit_cursor),
        header(
            "App-Name",
            true,
            "Name of the calling application. May be left out where `APP_NAME` is `from-key` and the key is bound to one app.",
            json!({"type": "string", "pattern": patterns::app_name()}),
        ),
        header(
            "X-Request-Id",
            false,
            "Id of the request; anything but 1 to 64 characters `[A-Za-z0-9._-]` is replaced by a generated one.",
            json!({"type": "string"}),
        ),
        header(
            "X-Queue-Timeout",
            false,
            "Longest wait in the queue in seconds, decimals allowed; `0` means do not queue. Capped by the server's `queue_timeout_ms`.",
            json!({"type": "string", "pattern": patterns::SECONDS}),
        ),
        header(
            "X-Queue-Progress",
            false,
            "`sse`: tell the wait in the stream. No effect without `\"stream\": true`.",
            json!({"type": "string", "enum": ["sse"]}),
        ),
        header(
            "anthropic-version",
            false,
            "Goes to the server as it is, as `anthropic-beta` does. Anthropic requires it.",
            json!({"type": "string", "examples": ["2023-06-01"]}),
        ),
        header(
            "If-Match",
            false,
            "The version that the object must have, as `ETag` gave it. Without it, or with `*`, the last write wins.",
            json!({"type": "string", "pattern": patterns::IF_MATCH}),
        ),
        query(
            "limit",
            "Most items to answer with.",
            json!({"type": "integer", "minimum": 1, "maximum": PAGE_LEN_MAX, "default": PAGE_LEN_DEFAULT}),
        ),
        query(
            "cursor",
            "`next_cursor` of the page before.",
            json!({"type": "string", "maxLength": CURSOR_CHARS_MAX, "pattern": patterns::CURSOR}),
        ),
        query(
            "target_kind",
            "Only changes of this kind of object.",
            json!({"type": "string", "enum": [TargetKind::Server.as_str(), TargetKind::Key.as_str()]}),
        ),
        query(
            "target_id",
            "Only changes of this object.",
            text(ID_CHARS_MAX),
        ),
        query(
            "actor",
            "Only changes by this actor.",
            text(ACTOR_CHARS_MAX),
        ),
        query(
            "action",
            "Only changes of this sort.",
            text(ACTION_CHARS_MAX),
        ),
        query("from", "Not before this time.", time.clone()),
        query("to", "Before this time.", time.clone()),
        named(
            "usage-from",
            "from",
            "Start of the range, included: a whole hour or day in UTC. Without it 24 hours or 30 days before `to`.",
            time.clone(),
        ),
        named(
            "usage-to",
            "to",
            "End of the range, not included: a whole hour or day in UTC. Without it the end of the present one.",
            time,
        ),
        named(
            "usage-cursor",
            "cursor",
            "`next_cursor` of the page before of the same query.",
            json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,4096}$"}),
        ),
        query(
            "granularity",
            "The time that one row sums.",
            json!({"type": "string", "enum": ["hour", "day"], "default": "hour"}),
        ),
        query(
            "group_by",
            "What rows are kept apart by, besides the time; in any order.",
            json!({"type": "string", "enum": [
                "server_id", "app", "model", "server_id,app", "app,server_id", "server_id,model", "model,server_id",
                "app,model", "model,app", "server_id,app,model", "server_id,model,app", "app,server_id,model",
                "app,model,server_id", "model,server_id,app", "model,app,server_id",
            ]}),
        ),
        query(
            "server_id",
            "Only requests of this server.",
            text(ID_CHARS_MAX),
        ),
        query("app", "Only requests of this app.", text(ID_CHARS_MAX)),
        query("model", "Only requests for this model.", text(256)),
        query(
            "key_id",
            "Only requests with this gateway key.",
            text(ID_CHARS_MAX),
        ),
        query(
            "status",
            "Only requests that were answered so.",
            json!({"type": "integer", "minimum": 100, "maximum": 599}),
        ),
        query(
            "error_code",
            "Only requests with this error of the gateway.",
            text(ID_CHARS_MAX),
        ),
        query("request_id", "Only the request with this id.", text(192)),
    ])
}

/// What a response header holds.
enum Kind {
    Text,
    Number,
    Id,
    Version,
    Seconds,
    False,
}

/// Name, whether it is on every answer that lists it, meaning, and what it holds.
const HEADERS: &[(&str, bool, &str, Kind)] = &[
    ("x-request-id", true, "Id of the request.", Kind::Id),
    (
        "etag",
        true,
        "Version of the object, for `If-Match`.",
        Kind::Version,
    ),
    ("location", true, "Path of the new object.", Kind::Text),
    (
        "set-cookie",
        true,
        "The session cookie, or its removal.",
        Kind::Text,
    ),
    (
        "retry-after",
        false,
        "Whole seconds: the estimated wait of the same request now.",
        Kind::Seconds,
    ),
    (
        "x-should-retry",
        false,
        "`false`: the official clients then do not retry by themselves.",
        Kind::False,
    ),
    (
        "x-config-version",
        false,
        "Version of the configuration that was used.",
        Kind::Number,
    ),
    (
        "x-gateway-server",
        false,
        "Name of the server; what is not printable ASCII is percent-encoded UTF-8.",
        Kind::Text,
    ),
    (
        "x-gateway-attempts",
        false,
        "How often the request was sent upstream.",
        Kind::Number,
    ),
    (
        "x-gateway-overhead-ms",
        false,
        "The gateway's own time until the response headers, in milliseconds.",
        Kind::Number,
    ),
    (
        "x-queue-wait-ms",
        false,
        "Wait at the limiter, in milliseconds.",
        Kind::Number,
    ),
    (
        "x-queue-position",
        false,
        "Place in the queue at entry, from 1; 0 = straight through.",
        Kind::Number,
    ),
    (
        "x-ratelimit-limit-requests",
        false,
        "Requests per 60 s.",
        Kind::Number,
    ),
    (
        "x-ratelimit-remaining-requests",
        false,
        "Requests that the window still admits.",
        Kind::Number,
    ),
    (
        "x-ratelimit-reset-requests",
        false,
        "Time until the window is empty, written like `20ms`, `7.66s`, `6m0s`.",
        Kind::Text,
    ),
    (
        "x-ratelimit-limit-tokens",
        false,
        "Tokens per 60 s.",
        Kind::Number,
    ),
    (
        "x-ratelimit-remaining-tokens",
        false,
        "Tokens that the window still admits.",
        Kind::Number,
    ),
    (
        "x-ratelimit-reset-tokens",
        false,
        "As for requests.",
        Kind::Text,
    ),
];

impl Kind {
    fn schema(&self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Number => json!({"type": "integer", "minimum": 0}),
            Self::Id => json!({"type": "string", "minLength": 1, "maxLength": 64}),
            Self::Version => json!({"type": "string", "pattern": "^\"[0-9]+\"$"}),
            Self::Seconds => json!({"type": "integer", "minimum": 1}),
            Self::False => json!({"type": "string", "enum": ["false"]}),
        }
    }
}

/// Every response header.
pub(super) fn headers() -> Map<String, Value> {
    let described = HEADERS.iter().map(|(name, required, description, kind)| {
        let header =
            json!({"required": required, "description": description, "schema": kind.schema()});
        ((*name).to_owned(), header)
    });
    described.collect()
}

/// How a caller says who it is.
pub(super) fn security_schemes() -> Value {
    json!({
        "gatewayKey": {
            "type": "http", "scheme": "bearer",
            "description": "A gateway key, as `POST /api/keys` showed it once.",
        },
        "gatewayKeyHeader": {
            "type": "apiKey", "in": "header", "name": "x-api-key",
            "description": "A gateway key, for clients that send it there.",
        },
        "adminToken": {
            "type": "http", "scheme": "bearer",
            "description": "`ADMIN_TOKEN`, or `VIEWER_TOKEN` where reading is enough.",
        },
        "session": {
            "type": "apiKey", "in": "cookie", "name": "__Host-sluice_session",
            "description": "The console's session.",
        },
    })
}

/// Which of them an endpoint takes; any one is enough.
pub(super) fn security(access: Access) -> Value {
    match access {
        Access::Public => json!([]),
        Access::Client => json!([{"gatewayKey": []}, {"gatewayKeyHeader": []}]),
        Access::Viewer | Access::Admin => json!([{"adminToken": []}, {"session": []}]),
    }
}

/// The same as a sentence.
pub(super) const fn who(access: Access) -> &'static str {
    match access {
        Access::Public => "Open to everybody.",
        Access::Client => "For holders of a gateway key.",
        Access::Viewer => "For viewers and administrators.",
        Access::Admin => "For administrators.",
    }
}
