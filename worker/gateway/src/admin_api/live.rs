//! 实时状态与就绪状态的视图。
//!
//! Owns the live object of PRODUCT.md section 7 and the answer of `GET /health/ready`. Measures
//! nothing: the shell asks the limiter object and the database.

use std::time::Duration;

use admission::protocol::Live;
use serde::{Deserialize, Serialize};

use super::rfc3339;
use crate::config::Server;
use crate::settings::Settings;
use crate::sql::SCHEMA_VERSION;

/// One server right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Live"))]
#[expect(
    missing_docs,
    reason = "the fields are those of the live object, described in PRODUCT.md"
)]
pub struct LiveView {
    pub server_id: String,
    pub name: String,
    pub enabled: bool,
    pub queue_length: u64,
    pub queue_oldest_wait_ms: u64,
    pub in_flight: u64,
    pub rpm_used: u64,
    pub rpm_limit: Option<u64>,
    pub tpm_used: u64,
    pub tpm_limit: Option<u64>,
    pub max_concurrency: Option<u64>,
    pub next_grant_in_ms: Option<u64>,
    pub paused_until: Option<String>,
    /// Log rows that are not in the database yet.
    pub journal_rows: u64,
    /// Attempts in a row to move them there that have failed.
    pub journal_failures: u64,
    pub config_version: u64,
    /// Grants are few until the upstream accepts again after a 429.
    pub probing: bool,
    /// How much later than computed waiters were granted: 99th percentile of the last 1,000.
    pub wake_late_ms_p99: u64,
    pub wake_late_ms_max: u64,
}

/// Whether this deployment can serve requests, and what stands in the way. Open to everybody, so
/// it never quotes a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Ready"))]
pub struct ReadyView {
    /// `ready` or `not_ready`.
    pub status: String,
    /// D1 answers.
    pub database: bool,
    /// The limiter objects answer.
    pub limiter: bool,
    /// The configuration's version in the database; null while it does not answer.
    pub config_version: Option<u64>,
    /// The version of the database's schema; null while it does not answer.
    pub schema_version: Option<u64>,
    /// What has to be repaired, one sentence each.
    pub problems: Vec<String>,
    /// What works as configured but deserves attention.
    pub warnings: Vec<String>,
}

impl LiveView {
    /// What the object of `server` says. Limits are the configured ones: an object that nobody has
    /// called yet knows none.
    #[must_use]
    pub fn new(server: &Server, live: &Live) -> Self {
        Self {
            server_id: server.id.clone(),
            name: server.name.clone(),
            enabled: server.enabled,
            queue_length: live.queue_length,
            queue_oldest_wait_ms: millis(live.queue_oldest_wait),
            in_flight: live.in_flight,
            rpm_used: live.rpm_used,
            rpm_limit: server.rpm_limit,
            tpm_used: live.tpm_used,
            tpm_limit: server.tpm_limit,
            max_concurrency: server.max_concurrency,
            next_grant_in_ms: live.next_grant_in.map(millis),
            paused_until: live.paused_until.map(rfc3339),
            journal_rows: live.journal_rows,
            journal_failures: live.journal_failures,
            config_version: live.config_version,
            probing: live.probing,
            wake_late_ms_p99: live.wake_late_ms_p99,
            wake_late_ms_max: live.wake_late_ms_max,
        }
    }
}

impl ReadyView {
    /// Puts together what the shell found out.
    #[must_use]
    pub fn new(
        settings: &Settings,
        config_version: Option<u64>,
        schema_version: Option<u64>,
        limiter: bool,
    ) -> Self {
        let database = config_version.is_some() && schema_version.is_some();
        let mut problems = settings.problems.clone();
        // A newer one is what a deployment passes through: its migrations come before its code.
        if let Some(version) = schema_version.filter(|version| *version < SCHEMA_VERSION) {
            problems.push(format!(
                "The database has schema version {version}, but this gateway needs {SCHEMA_VERSION}: apply the migrations."
            ));
        }
        let ready = database && limiter && problems.is_empty();
        Self {
            status: if ready { "ready" } else { "not_ready" }.to_owned(),
            database,
            limiter,
            config_version,
            schema_version,
            problems,
            warnings: settings.warnings.clone(),
        }
    }

    /// 200 when ready, else 503: what a load balancer looks at.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        if self.status == "ready" { 200 } else { 503 }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::server;

    fn settings(admin_token: Option<&str>) -> Settings {
        Settings::parse(|name| match name {
            "ADMIN_TOKEN" => admin_token.map(str::to_owned),
            "ENCRYPTION_KEY" => Some("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn ready_needs_the_database_the_limiter_and_every_secret() {
        let complete = settings(Some("a-long-enough-token"));
        let schema = Some(SCHEMA_VERSION);
        let status = |config, schema, limiter| {
            ReadyView::new(&complete, config, schema, limiter).http_status()
        };
        assert_eq!(status(Some(3), schema, true), 200);
        assert_eq!(status(None, None, true), 503);
        assert_eq!(status(Some(3), None, true), 503);
        assert_eq!(status(Some(3), schema, false), 503);
        let incomplete = ReadyView::new(&settings(None), Some(3), schema, true);
        assert_eq!(incomplete.http_status(), 503);
        assert_eq!(incomplete.problems.len(), 1);
    }

    #[test]
    fn an_older_schema_is_a_problem_that_says_what_to_do_and_a_newer_one_is_none() {
        let complete = settings(Some("a-long-enough-token"));
        let ready = |schema| ReadyView::new(&complete, Some(3), Some(schema), true);
        let older = ready(SCHEMA_VERSION - 1);
        assert_eq!((older.http_status(), older.database), (503, true));
        let told = format!("schema version {}", SCHEMA_VERSION - 1);
        assert!(older.problems[0].contains(&told) && older.problems[0].contains("apply"));
        assert_eq!(ready(SCHEMA_VERSION + 1).http_status(), 200);
    }

    #[test]
    fn live_view_shows_the_configured_limits_beside_what_is_used() {
        let live = Live {
            queue_length: 2,
            queue_oldest_wait: Duration::from_millis(1_500),
            rpm_used: 9,
            next_grant_in: Some(Duration::from_secs(1)),
            ..Live::default()
        };
        let view = LiveView::new(&server("a", 1, &["m"]), &live);
        assert_eq!((view.rpm_used, view.rpm_limit), (9, Some(10)));
        assert_eq!(view.queue_oldest_wait_ms, 1_500);
        assert_eq!(view.next_grant_in_ms, Some(1_000));
        assert_eq!(view.paused_until, None);
    }
}
