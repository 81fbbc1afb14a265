//! 每个路由的说明，缺一不可。
//!
//! Owns what the OpenAPI document says about each route. The match is exhaustive: a route without a description
//! does not compile. Whatever follows from the table of routes is not repeated here.

use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::body::Body;
use super::inference;
use super::operation::Operation;
use crate::admin_api::{
    AuditView, ConfigVersionView, DatabaseFault, KeyCreate, KeyCreated, KeyPatch, KeyRotate,
    KeyView, List, LiveView, LogView, ReadyView, Rules, ServerCreate, ServerOrder, ServerPatch,
    ServerReplace, ServerView, SignIn, UsageReport,
};
use crate::error::{ErrorCode, GatewayError};
use crate::identity::SessionView;
use crate::route::VisibleModel;
use crate::routes::Route;
use crate::server_test::ServerTestView;
use admission::time::Instant;

pub(super) const DATA: &str = "Data plane";
const SERVERS: &str = "Servers";
const KEYS: &str = "Keys";
const OPERATION: &str = "Operation";
const USAGE: &str = "Usage";
const FAULTS: &str = "Fault injection";

const PAGE: [&str; 2] = ["limit", "cursor"];
const USAGE_FILTERS: [&str; 7] = [
    "granularity",
    "group_by",
    "usage-from",
    "usage-to",
    "server_id",
    "app",
    "model",
];
const LOG_FILTERS: [&str; 9] = [
    "from",
    "to",
    "server_id",
    "app",
    "model",
    "key_id",
    "status",
    "error_code",
    "request_id",
];

/// The description of a route.
#[expect(
    clippy::too_many_lines,
    reason = "an arm per route: split, the match would no longer be exhaustive"
)]
pub(super) fn of(route: &Route, views: &mut SchemaGenerator) -> Operation {
    match route {
        Route::Inference(endpoint) => inference::of(*endpoint),
        Route::Models => models(views),
        Route::Health => Operation::new(OPERATION, "getHealth", "Whether the process answers")
            .says("Touches nothing.")
            .answers_schema(200, "It does.", "application/json", json!({
                "type": "object", "required": ["status"], "properties": {"status": {"type": "string", "const": "ok"}},
            })),
        Route::HealthReady => Operation::new(OPERATION, "getReadiness", "Whether requests can be served")
            .says("Asks the database and a limiter object, and lists what has to be repaired.")
            .fails(&[ErrorCode::InternalError])
            .answers::<ReadyView>(views, 200, "They can.")
            .with(&["x-request-id"])
            .answers::<ReadyView>(views, 503, "They cannot; `problems` says why.")
            .with(&["x-request-id"]),
        Route::SessionBegin => Operation::new(OPERATION, "beginSession", "Sign in")
            .says("Answers with a cookie for the console; programs send the token itself.")
            .reads(sign_in())
            .fails(&[
                ErrorCode::Unauthorized,
                ErrorCode::TooManyAttempts,
                ErrorCode::NotConfigured,
                ErrorCode::InternalError,
            ])
            .answers::<SessionView>(views, 200, "Who you are now.")
            .with(&["x-request-id", "set-cookie"]),
        Route::SessionRead => Operation::new(OPERATION, "readSession", "Who am I")
            .says("Whatever credential was sent.")
            .answers::<SessionView>(views, 200, "Who you are."),
        Route::SessionEnd => Operation::new(OPERATION, "endSession", "Sign out")
            .fails(&[ErrorCode::InternalError])
            .answers_nothing(204, "The cookie is taken away.")
            .with(&["x-request-id", "set-cookie"]),
        Route::ServersList => Operation::new(SERVERS, "listServers", "List the servers in order")
            .takes(&PAGE)
            .answers::<List<ServerView>>(views, 200, "A page of servers."),
        Route::ServersCreate => Operation::new(SERVERS, "createServer", "Create a server")
            .says("It takes the last place.")
            .reads(server_create())
            .answers::<ServerView>(views, 201, "The new server.")
            .with(&["etag", "location"]),
        Route::ServersOrder => Operation::new(SERVERS, "orderServers", "Put all servers into an order")
            .says("An id too many, too few or twice changes nothing.")
            .reads(server_order())
            .answers::<List<ServerView>>(views, 200, "All servers in their new order."),
        Route::ServerRead(_) => Operation::new(SERVERS, "readServer", "Read a server")
            .answers::<ServerView>(views, 200, "The server.")
            .with(&["etag"]),
        Route::ServerReplace(_) => Operation::new(SERVERS, "replaceServer", "Replace a server")
            .says("Absent fields get their defaults; an absent `api_key` stays. What `GET` answered can be sent back.")
            .takes(&["If-Match"])
            .reads(server_replace())
            .answers::<ServerView>(views, 200, "The server as it is now.")
            .with(&["etag"]),
        Route::ServerPatch(_) => Operation::new(SERVERS, "changeServer", "Change a server")
            .says("Absent fields stay as they are.")
            .takes(&["If-Match"])
            .reads(server_patch())
            .answers::<ServerView>(views, 200, "The server as it is now.")
            .with(&["etag"]),
        Route::ServerDelete(_) => Operation::new(SERVERS, "deleteServer", "Delete a server")
            .says("Requests that wait at it are refused; requests that it is answering go on.")
            .takes(&["If-Match"])
            .answers_nothing(204, "It is gone."),
        Route::ServerLive(_) => Operation::new(SERVERS, "readServerLive", "Queue and window of a server right now")
            .fails(&[ErrorCode::ServerOverloaded])
            .answers::<LiveView>(views, 200, "What its limiter says."),
        Route::ServerTest(_) => Operation::new(SERVERS, "testServer", "Ask a server for its models")
            .says("With the stored key, within 10 s, beside its limits.")
            .answers::<ServerTestView>(views, 200, "What came of it, also where it failed."),
        Route::Metrics => Operation::new(OPERATION, "readMetrics", "Gauges and counters for Prometheus")
            .says("Text exposition format 0.0.4. Every series is of one server or of this location; names and meaning are in the operations guide.")
            .answers_schema(200, "The samples.", "text/plain", json!({"type": "string"})),
        Route::Live => Operation::new(SERVERS, "listLive", "Queue and window of all servers right now")
            .fails(&[ErrorCode::ServerOverloaded])
            .answers::<List<LiveView>>(views, 200, "What the limiters say, in order; always one page."),
        Route::KeysList => Operation::new(KEYS, "listKeys", "List the gateway keys, oldest first")
            .takes(&PAGE)
            .answers::<List<KeyView>>(views, 200, "A page of keys, without their secrets."),
        Route::KeysCreate => Operation::new(KEYS, "createKey", "Create a gateway key")
            .reads(key_create())
            .answers::<KeyCreated>(views, 201, "The new key, with its secret: here and never again.")
            .with(&["location"]),
        Route::KeyRead(_) => Operation::new(KEYS, "readKey", "Read a gateway key")
            .answers::<KeyView>(views, 200, "The key, without its secret."),
        Route::KeyPatch(_) => Operation::new(KEYS, "changeKey", "Change a gateway key")
            .says("Absent fields stay as they are. A time in the past retires the key.")
            .reads(key_patch())
            .answers::<KeyView>(views, 200, "The key as it is now."),
        Route::KeyDelete(_) => Operation::new(KEYS, "deleteKey", "Delete a gateway key")
            .answers_nothing(204, "It is gone, and stops working within 5 s."),
        Route::KeyRotate(_) => Operation::new(KEYS, "rotateKey", "Give a gateway key a new secret")
            .says("Everything else about it stays. The secret before works through its grace time.")
            .reads_if_any(key_rotate())
            .answers::<KeyCreated>(views, 200, "The key, with its new secret: here and never again."),
        Route::Audit => Operation::new(OPERATION, "listAudit", "Who changed what, newest first")
            .takes(&["limit", "audit-cursor", "target_kind", "target_id", "actor", "action", "from", "to"])
            .answers::<List<AuditView>>(views, 200, "A page of entries."),
        Route::ConfigVersion => Operation::new(OPERATION, "readConfigVersion", "The configuration that this isolate serves, and its age")
            .answers::<ConfigVersionView>(views, 200, "Version and age."),
        Route::Usage => Operation::new(USAGE, "readUsage", "Usage by hour or day")
            .says("A range consists of whole hours or days in UTC: at most 31 days by hour, 366 by day.")
            .takes(&USAGE_FILTERS)
            .takes(&["limit", "usage-cursor"])
            .answers::<UsageReport>(views, 200, "A page of rows, and the figures of the whole range."),
        Route::UsageCsv => Operation::new(USAGE, "exportUsage", "Usage by hour or day, as a file")
            .says("All rows. A cell that a spreadsheet would take for a formula has an apostrophe before it.")
            .takes(&USAGE_FILTERS)
            .answers_schema(200, "The file, as it is read.", "text/csv", json!({"type": "string"})),
        Route::Logs => Operation::new(USAGE, "listLogs", "One row per request, newest first")
            .says("With several filters a page may be short, or empty, while `next_cursor` is not null.")
            .takes(&LOG_FILTERS)
            .takes(&["limit", "audit-cursor"])
            .answers::<List<LogView>>(views, 200, "A page of rows."),
        Route::LogsCsv => Operation::new(USAGE, "exportLogs", "One row per request, as a file")
            .says("All rows. A cell that a spreadsheet would take for a formula has an apostrophe before it.")
            .takes(&LOG_FILTERS)
            .answers_schema(200, "The file, as it is read.", "text/csv", json!({"type": "string"})),
        Route::FaultLimiterReset(_) => Operation::new(FAULTS, "resetLimiter", "Start a server's limiter anew")
            .says("From what it has stored, as after a failure of the platform.")
            .fails(&[ErrorCode::ServerOverloaded])
            .answers_nothing(204, "It is starting."),
        Route::FaultDatabase => Operation::new(FAULTS, "switchDatabase", "Let the database answer this isolate, or not")
            .reads(database_fault())
            .fails(&[ErrorCode::NotFound])
            .answers_nothing(204, "It does so from now on."),
    }
}

fn models(views: &mut SchemaGenerator) -> Operation {
    let model = views.subschema_for::<VisibleModel<'_>>().to_value();
    Operation::new(DATA, "listModels", "The models that this caller may use")
        .takes(&["App-Name"])
        .answers_schema(
            200,
            "OpenAI's list.",
            "application/json",
            json!({
                "type": "object", "required": ["object", "data"], "properties": {
                    "object": {"type": "string", "const": "list"},
                    "data": {"type": "array", "items": model},
                },
            }),
        )
        .with(&["x-config-version", "x-gateway-overhead-ms"])
}

fn server_shortest() -> Value {
    json!({"name": "primary", "base_url": "https://api.example.com/v1", "models": ["gpt-*"], "api_key": "sk-1"})
}

fn server_example() -> Value {
    json!({
        "name": "primary", "base_url": "https://api.example.com/v1", "models": ["gpt-*"], "api_key": "sk-example",
        "rpm_limit": 500, "tpm_limit": 200_000,
    })
}

fn server_create() -> Body {
    Body {
        name: "ServerCreate",
        parse: |body| {
            serialized(ServerCreate::parse(body, Rules::default()).map(|create| create.settings))
        },
        shortest: server_shortest(),
        example: server_example(),
    }
}

fn server_replace() -> Body {
    Body {
        name: "ServerReplace",
        parse: |body| {
            serialized(ServerReplace::parse(body, Rules::default()).map(|replace| replace.settings))
        },
        shortest: server_shortest(),
        example: server_example(),
    }
}

fn server_patch() -> Body {
    Body {
        name: "ServerPatch",
        parse: |body| serialized(ServerPatch::parse(body, Rules::default())),
        shortest: json!({}),
        example: json!({"rpm_limit": null, "enabled": true}),
    }
}

fn server_order() -> Body {
    Body {
        name: "ServerOrder",
        parse: |body| ServerOrder::parse(body).map(|_| Value::Null),
        shortest: json!({"ids": []}),
        example: json!({"ids": ["srv_cR8yTn0aXk2PqL5d", "srv_8VtYw3HjQm6ZbN1s"]}),
    }
}

fn key_create() -> Body {
    Body {
        name: "KeyCreate",
        parse: |body| serialized(KeyCreate::parse(body, Instant::from_millis(0))),
        shortest: json!({"name": "team-a"}),
        example: json!({"name": "team-a", "app": "chat-bot", "models": ["gpt-*"], "expires_at": "2099-01-31T08:00:00Z"}),
    }
}

fn key_patch() -> Body {
    Body {
        name: "KeyPatch",
        parse: |body| serialized(KeyPatch::parse(body)),
        shortest: json!({}),
        example: json!({"enabled": false}),
    }
}

fn key_rotate() -> Body {
    Body {
        name: "KeyRotate",
        parse: |body| serialized(KeyRotate::parse(body)),
        shortest: json!({}),
        example: json!({"grace_seconds": 3600}),
    }
}

fn sign_in() -> Body {
    Body {
        name: "SignIn",
        parse: |body| SignIn::parse(body).map(|_| Value::Null),
        shortest: json!({"token": "the-admin-token"}),
        example: json!({"token": "the-admin-token"}),
    }
}

fn database_fault() -> Body {
    Body {
        name: "DatabaseFault",
        parse: |body| DatabaseFault::parse(body).map(|_| Value::Null),
        shortest: json!({"available": true}),
        example: json!({"available": false}),
    }
}

fn serialized<T: serde::Serialize>(parsed: Result<T, GatewayError>) -> Result<Value, GatewayError> {
    let parsed = parsed?;
    serde_json::to_value(parsed).map_err(|error| GatewayError::internal(error.to_string()))
}
