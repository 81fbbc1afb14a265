//! 环境变量：一次读入，问题说清，绝不恐慌。
//!
//! Owns the variables and secrets of the gateway: their names, defaults, bounds and the sentences that say what
//! is wrong with them. Does not read the environment; the Worker passes a lookup.
//!
//! Invariant: a bad value never opens anything. It is reported in `problems` and the safe default is used.

use std::{ops::RangeInclusive, time::Duration};

use admission::protocol::Limits;

use crate::config::{Secret, Server};
use crate::cors::Cors;
use crate::journal::ROWS_MAX;
use crate::rollup::{LOG_RETENTION_DAYS_DEFAULT, LOG_RETENTION_DAYS_MAX};

mod access;
mod reader;

pub use access::{AccessSettings, EmailPattern};
use reader::Reader;

/// Smallest `BODY_BYTES_MAX`: below it hardly a chat fits.
pub const BODY_BYTES_MAX_MIN: u64 = 1024;
/// Largest `BODY_BYTES_MAX`: the body and its parse must fit into an isolate's 128 MB.
pub const BODY_BYTES_MAX_MAX: u64 = 100 * 1024 * 1024;
/// Default `BODY_BYTES_MAX`.
pub const BODY_BYTES_MAX_DEFAULT: u64 = 10 * 1024 * 1024;
/// Largest `RETRY_MAX`: a client waits for every attempt, and each one of them counts against the limits.
pub const RETRY_MAX_MAX: u32 = 10;
/// Default `RETRY_MAX`.
pub const RETRY_MAX_DEFAULT: u32 = 2;
/// Largest `AUTH_FAILURES_PER_MINUTE`: each of them is remembered.
pub const AUTH_FAILURES_MAX: u32 = 1_000;
/// Default `AUTH_FAILURES_PER_MINUTE`: a person mistypes a few times, a guesser needs billions.
pub const AUTH_FAILURES_DEFAULT: u32 = 20;
/// Shortest admin or viewer token.
pub const TOKEN_LEN_MIN: usize = 16;
/// What `FAULT_LEASE_MS` may be: long enough for an answer, short enough for a test.
const FAULT_LEASE_MS: RangeInclusive<u64> = 100..=600_000;
/// What `FAULT_JOURNAL_ROWS` may be.
const FAULT_JOURNAL_ROWS: RangeInclusive<u64> = 1..=ROWS_MAX;
/// Bytes of an encryption key: AES-256.
const ENCRYPTION_KEY_BYTES: usize = 32;

/// One variable, for the reference document and its test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name in the environment.
    pub name: &'static str,
    /// What holds without it; `None` = there is no default.
    pub default: Option<&'static str>,
    /// Whether it belongs into the secret store.
    pub secret: bool,
    /// What it does.
    pub doc: &'static str,
}

/// Every variable the gateway reads.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "CLIENT_AUTH",
        default: Some("required"),
        secret: false,
        doc: "`required`: every client needs a gateway key. `off`: nobody does; only for trusted networks.",
    },
    Variable {
        name: "APP_NAME",
        default: Some("required"),
        secret: false,
        doc: "`required`: every request sends `App-Name`. `from-key`: a key bound to one app implies it.",
    },
    Variable {
        name: "BODY_BYTES_MAX",
        default: Some("10485760"),
        secret: false,
        doc: "Largest request body in bytes, 1024 to 104857600.",
    },
    Variable {
        name: "ALLOW_HTTP_UPSTREAM",
        default: Some("false"),
        secret: false,
        doc: "`true`: servers may have http URLs that are not loopback. Keys then travel unencrypted.",
    },
    Variable {
        name: "ALLOW_PRIVATE_UPSTREAM",
        default: Some("false"),
        secret: false,
        doc: "`true`: servers may lie in private networks. The gateway can then be made to talk to whatever its own network hides.",
    },
    Variable {
        name: "CORS_ORIGINS",
        default: None,
        secret: false,
        doc: "Origins whose pages may call `/v1/*` from a browser, separated by commas, or `*`. Without it none may.",
    },
    Variable {
        name: "LOG_REQUESTS",
        default: Some("on"),
        secret: false,
        doc: "`off`: no `request` line in the log for each request of the data plane.",
    },
    Variable {
        name: "RETRY_MAX",
        default: Some("2"),
        secret: false,
        doc: "How often a request is repeated after a 429 of its server or a failed connection, 0 to 10.",
    },
    Variable {
        name: "LOG_RETENTION_DAYS",
        default: Some("30"),
        secret: false,
        doc: "Days that rows of the log are kept, 1 to 3650. Statistics stay.",
    },
    Variable {
        name: "ENVIRONMENT",
        default: Some("production"),
        secret: false,
        doc: "`production`, `development` or `test`. In production no faults can be injected.",
    },
    Variable {
        name: "FAULT_INJECTION",
        default: Some("off"),
        secret: false,
        doc: "`on`: the admin may reset limiters and switch D1 off to test recovery. Refused where `ENVIRONMENT` is `production`.",
    },
    Variable {
        name: "FAULT_LEASE_MS",
        default: None,
        secret: false,
        doc: "With `FAULT_INJECTION`: milliseconds after which an unsettled permit ends, 100 to 600000, instead of the server's own time.",
    },
    Variable {
        name: "FAULT_JOURNAL_ROWS",
        default: None,
        secret: false,
        doc: "With `FAULT_INJECTION`: log rows that a server keeps while D1 does not take them, 1 to 1000000, instead of 1000000.",
    },
    Variable {
        name: "ADMIN_TOKEN",
        default: None,
        secret: true,
        doc: "Token of the administrator, at least 16 characters. Without it the admin API is closed.",
    },
    Variable {
        name: "VIEWER_TOKEN",
        default: None,
        secret: true,
        doc: "Token that may read everything that is not secret, at least 16 characters. Optional.",
    },
    Variable {
        name: "AUTH_FAILURES_PER_MINUTE",
        default: Some("20"),
        secret: false,
        doc: "Wrong admin credentials that one client address may send in 60 s, 1 to 1000.",
    },
    Variable {
        name: "ACCESS_TEAM_DOMAIN",
        default: None,
        secret: false,
        doc: "Cloudflare Access: the team's domain, such as `team.cloudflareaccess.com`. Optional.",
    },
    Variable {
        name: "ACCESS_AUDIENCE",
        default: None,
        secret: false,
        doc: "Cloudflare Access: the audience tag of the application.",
    },
    Variable {
        name: "ADMIN_EMAILS",
        default: None,
        secret: false,
        doc: "Addresses that Access vouches for and that are admins; commas between them, `*@example.com` for a domain.",
    },
    Variable {
        name: "VIEWER_EMAILS",
        default: None,
        secret: false,
        doc: "The same for viewers.",
    },
    Variable {
        name: "ENCRYPTION_KEY",
        default: None,
        secret: true,
        doc: "Base64 of 32 random bytes; encrypts the servers' keys. Without it no server key can be used.",
    },
    Variable {
        name: "ENCRYPTION_KEY_PREVIOUS",
        default: None,
        secret: true,
        doc: "The `ENCRYPTION_KEY` before a rotation; keeps old rows readable. Optional.",
    },
];

/// Whether clients need a gateway key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Every client does.
    #[default]
    Required,
    /// No client does.
    Off,
}

/// Where the name of the calling application comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppNameSource {
    /// From the `App-Name` header, always.
    #[default]
    Required,
    /// From the key if it is bound to one app, else from the header.
    FromKey,
}

/// What this deployment is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Environment {
    /// Real requests.
    #[default]
    Production,
    /// Somebody's machine.
    Development,
    /// Automatic tests.
    Test,
}

/// The gateway's variables, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one variable and is read by its name"
)]
pub struct Settings {
    /// `CLIENT_AUTH`
    pub client_auth: ClientAuth,
    /// `APP_NAME`
    pub app_name: AppNameSource,
    /// `BODY_BYTES_MAX`
    pub body_bytes_max: u64,
    /// `ALLOW_HTTP_UPSTREAM`
    pub allow_http_upstream: bool,
    /// `ALLOW_PRIVATE_UPSTREAM`
    pub allow_private_upstream: bool,
    /// `CORS_ORIGINS`
    pub cors: Cors,
    /// `LOG_REQUESTS`
    pub log_requests: bool,
    /// `RETRY_MAX`
    pub retry_max: u32,
    /// `LOG_RETENTION_DAYS`
    pub log_retention_days: u32,
    /// `ENVIRONMENT`
    pub environment: Environment,
    /// `FAULT_INJECTION`; never in production.
    pub fault_injection: bool,
    /// `FAULT_LEASE_MS`; only with fault injection.
    pub fault_lease: Option<Duration>,
    /// Log rows that a limiter object keeps; fewer than usual only with fault injection.
    pub journal_rows_max: u64,
    /// `AUTH_FAILURES_PER_MINUTE`
    pub auth_failures_max: u32,
    /// Whom Cloudflare Access vouches for; `None` = nobody counts.
    pub access: Option<AccessSettings>,
    /// `ADMIN_TOKEN`; `None` closes the admin API.
    pub admin_token: Option<Secret>,
    /// `VIEWER_TOKEN`
    pub viewer_token: Option<Secret>,
    /// `ENCRYPTION_KEY`, base64, already known to be 32 bytes.
    pub encryption_key: Option<Secret>,
    /// `ENCRYPTION_KEY_PREVIOUS`, base64, already known to be 32 bytes.
    pub encryption_key_previous: Option<Secret>,
    /// What the administrator has to repair, one sentence each. Never quotes a value of a secret.
    pub problems: Vec<String>,
    /// What works as configured but deserves a banner.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads every variable through `lookup`. White space around a value is ignored; empty means unset.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader {
            lookup,
            problems: Vec::new(),
        };
        let client_auth = reader.choice(
            "CLIENT_AUTH",
            &[("required", ClientAuth::Required), ("off", ClientAuth::Off)],
            ClientAuth::Required,
        );
        let app_name = reader.choice(
            "APP_NAME",
            &[
                ("required", AppNameSource::Required),
                ("from-key", AppNameSource::FromKey),
            ],
            AppNameSource::Required,
        );
        let body_bytes_max = reader.whole_number(
            "BODY_BYTES_MAX",
            BODY_BYTES_MAX_MIN..=BODY_BYTES_MAX_MAX,
            BODY_BYTES_MAX_DEFAULT,
        );
        let allow_http_upstream = reader.flag("ALLOW_HTTP_UPSTREAM");
        let allow_private_upstream = reader.flag("ALLOW_PRIVATE_UPSTREAM");
        let cors = reader.cors();
        let log_requests = reader.choice("LOG_REQUESTS", &[("on", true), ("off", false)], true);
        let retry_max = reader.whole_number("RETRY_MAX", 0..=RETRY_MAX_MAX, RETRY_MAX_DEFAULT);
        let log_retention_days = reader.whole_number(
            "LOG_RETENTION_DAYS",
            1..=LOG_RETENTION_DAYS_MAX,
            LOG_RETENTION_DAYS_DEFAULT,
        );
        let environment = reader.environment();
        let fault_injection = reader.fault_injection(environment);
        let fault_lease = reader.fault_lease(fault_injection);
        let journal_rows = reader.whole_number("FAULT_JOURNAL_ROWS", FAULT_JOURNAL_ROWS, ROWS_MAX);
        let auth_failures_max = reader.whole_number(
            "AUTH_FAILURES_PER_MINUTE",
            1..=AUTH_FAILURES_MAX,
            AUTH_FAILURES_DEFAULT,
        );
        let access = reader.access();
        let admin_token = reader.token("ADMIN_TOKEN");
        let viewer_token = reader.viewer_token(admin_token.as_ref());
        let encryption_key = reader.encryption_key("ENCRYPTION_KEY");
        let encryption_key_previous = reader.encryption_key("ENCRYPTION_KEY_PREVIOUS");
        reader.require("ADMIN_TOKEN", "the admin API stays closed until it is");
        reader.require(
            "ENCRYPTION_KEY",
            "server keys can be neither stored nor read until it is",
        );
        Self {
            warnings: warnings(
                client_auth,
                allow_http_upstream,
                allow_private_upstream,
                fault_injection,
            ),
            client_auth,
            app_name,
            body_bytes_max,
            allow_http_upstream,
            allow_private_upstream,
            cors,
            log_requests,
            retry_max,
            log_retention_days,
            environment,
            fault_injection,
            fault_lease,
            journal_rows_max: if fault_injection {
                journal_rows
            } else {
                ROWS_MAX
            },
            auth_failures_max,
            access,
            admin_token,
            viewer_token,
            encryption_key,
            encryption_key_previous,
            problems: reader.problems,
        }
    }
}

impl Settings {
    /// The limits of a server as its limiter object is to keep them.
    #[must_use]
    pub fn limits_of(&self, server: &Server) -> Limits {
        let limits = server.limits();
        Limits {
            lease: self.fault_lease.unwrap_or(limits.lease),
            ..limits
        }
    }
}

fn warnings(
    client_auth: ClientAuth,
    allow_http_upstream: bool,
    allow_private_upstream: bool,
    fault_injection: bool,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if client_auth == ClientAuth::Off {
        warnings.push(
            "CLIENT_AUTH is off: anyone who reaches this gateway can use its servers.".to_owned(),
        );
    }
    if allow_http_upstream {
        warnings.push("ALLOW_HTTP_UPSTREAM is on: server keys may travel unencrypted.".to_owned());
    }
    if allow_private_upstream {
        warnings
            .push("ALLOW_PRIVATE_UPSTREAM is on: servers may lie in private networks.".to_owned());
    }
    if fault_injection {
        warnings.push(
            "FAULT_INJECTION is on: whoever has the admin token can reset limiters.".to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
pub(crate) mod tests;
