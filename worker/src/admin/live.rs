//! 实时状态与就绪检查。
//!
//! What the limiter objects see right now, and whether everything a request needs can be reached.

use futures::future::{join_all, join3};
use gateway::admin_api::{List, LiveView, ReadyView};
use gateway::config::Server;
use gateway::error::GatewayError;
use gateway::sql::{self, VersionRow};
use std::rc::Rc;
use worker::Context;

use super::{Admin, Answer, not_found, respond};
use crate::isolate::Isolate;
use crate::snapshot;
use crate::store::StoreError;

/// Name of an object that exists only to be asked whether objects answer.
const PROBE: &str = "readiness";

pub(super) async fn all(admin: &Admin<'_>, ctx: &Context) -> Answer {
    let snapshot = snapshot::current(admin.isolate, ctx).await?;
    let views = snapshot.servers.iter().map(|server| view(admin, server));
    let items = join_all(views)
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    respond(
        200,
        &List {
            items,
            next_cursor: None,
        },
    )
}

pub(super) async fn one(admin: &Admin<'_>, ctx: &Context, id: &str) -> Answer {
    let snapshot = snapshot::current(admin.isolate, ctx).await?;
    let server = snapshot.server(id).ok_or_else(not_found)?;
    respond(200, &view(admin, server).await?)
}

async fn view(admin: &Admin<'_>, server: &Server) -> Result<LiveView, GatewayError> {
    let live = admin.isolate.admission.live(&server.id).await?;
    Ok(LiveView::new(server, &live))
}

/// `GET /health/ready`: open to everybody, so it names problems and no values.
pub(super) async fn ready(isolate: &Rc<Isolate>) -> Answer {
    let (version, schema) = (sql::config_version_read(), sql::schema_version_read());
    let (version, schema, limiter) = join3(
        isolate.store.read::<VersionRow>(&version),
        // By itself: it fails on a database that is too old, which is what it is asked for.
        isolate.store.read::<VersionRow>(&schema),
        isolate.admission.live(PROBE),
    )
    .await;
    let config_version = version.ok().and_then(sql::config_version);
    let schema = schema.as_ref().map(Vec::clone);
    let schema_version = sql::schema_version(schema.map_err(StoreError::text));
    let view = ReadyView::new(
        &isolate.settings,
        config_version,
        schema_version,
        limiter.is_ok(),
    );
    respond(view.http_status(), &view)
}
