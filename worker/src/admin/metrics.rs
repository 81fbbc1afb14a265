//! Prometheus 指标：问每台服务器的限流对象。
//!
//! Answers `GET /metrics`: asks every limiter object for its gauges and its counts, at once, and lets
//! [`gateway::metrics`] write them down. An object that does not answer leaves the others their figures.

use futures::future::{join, join_all};
use gateway::config::Server;
use gateway::error::GatewayError;
use gateway::metrics::{self, CONTENT_TYPE, Location, Scraped};
use worker::{Context, Response};

use super::{Admin, Answer};
use crate::clock::now;
use crate::http::harden;
use crate::snapshot;

pub(super) async fn scrape(admin: &Admin<'_>, ctx: &Context) -> Answer {
    let snapshot = snapshot::current(admin.isolate, ctx).await?;
    let servers = snapshot.servers.iter().map(|server| ask(admin, server));
    let servers = join_all(servers).await;
    let version_and_age = admin.isolate.snapshot.version_and_age_ms();
    let (config_version, config_age_ms) = version_and_age.unwrap_or_default();
    let location = Location {
        config_version,
        config_age_ms,
        now: now(),
    };
    text(&metrics::render(location, &servers))
        .map_err(|error| GatewayError::internal(error.to_string()))
}

async fn ask<'a>(admin: &Admin<'_>, server: &'a Server) -> Scraped<'a> {
    let admission = &admin.isolate.admission;
    let (live, counters) = join(admission.live(&server.id), admission.counters(&server.id)).await;
    Scraped {
        server,
        said: live.ok().zip(counters.ok()),
    }
}

fn text(body: &str) -> worker::Result<Response> {
    let response = Response::builder()
        .with_header("content-type", CONTENT_TYPE)?
        .fixed(body.as_bytes().to_vec());
    harden(response.headers())?;
    Ok(response)
}
