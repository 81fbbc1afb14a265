//! 控制面：验明身份，解析，存储，推送。
//!
//! Carries out the admin API: the role of a route comes from [`gateway::routes`], what a body may say
//! from [`gateway::admin_api`], what is stored from [`gateway::sql`]. A change is one D1 batch; then
//! this isolate forgets its copies, and the limiter object of the server hears its new limits at once.

mod audit;
mod keys;
mod live;
mod metrics;
mod server_test;
mod servers;
mod session;
mod usage;

use std::cell::OnceCell;
use std::rc::Rc;

use gateway::admin_api::{ConfigVersionView, DatabaseFault, Rules};
use gateway::envelope::Keyring;
use gateway::error::{ErrorCode, GatewayError};
use gateway::faults;
use gateway::identity::Identity;
use gateway::routes::Route;
use gateway::sql::{self, Edit, Statement};
use serde::{Deserialize, Serialize};
use worker::{Context, D1Result, Request, Response};

use crate::clock::now;
use crate::http::json;
use crate::isolate::Isolate;
use crate::store::{self, StoreError};
use crate::{body, identity, snapshot};

/// One admin request and what it may use.
struct Admin<'a> {
    req: &'a Request,
    isolate: &'a Rc<Isolate>,
    identity: Identity,
    url: String,
}

type Answer = Result<Response, GatewayError>;

/// Answers a request of the control plane. `actor` becomes who it is that asks, once that is known.
pub(crate) async fn handle(
    route: Route,
    req: &Request,
    isolate: &Rc<Isolate>,
    ctx: &Context,
    actor: &OnceCell<String>,
) -> Answer {
    if route == Route::HealthReady {
        return live::ready(isolate).await;
    }
    if let Route::FaultLimiterReset(_) | Route::FaultDatabase = route {
        faults::allowed(&isolate.settings)?;
    }
    if let Route::SessionBegin = route {
        return session::begin(req, isolate, actor).await;
    }
    if let Route::SessionEnd = route {
        return session::end();
    }
    let identity = identity::authorize(route.access(), req, isolate, actor).await?;
    let admin = Admin {
        req,
        isolate,
        identity,
        url: req.inner().url(),
    };
    match route {
        Route::SessionRead => respond(200, &admin.identity.view()),
        Route::ServersList => servers::list(&admin, ctx).await,
        Route::ServersCreate => servers::create(&admin).await,
        Route::ServersOrder => servers::reorder(&admin).await,
        Route::ServerRead(id) => servers::read(&admin, &id).await,
        Route::ServerReplace(id) => servers::replace(&admin, &id).await,
        Route::ServerPatch(id) => servers::patch(&admin, &id).await,
        Route::ServerDelete(id) => servers::delete(&admin, &id).await,
        Route::ServerLive(id) => live::one(&admin, ctx, &id).await,
        Route::ServerTest(id) => server_test::run(&admin, &id).await,
        Route::Live => live::all(&admin, ctx).await,
        Route::Metrics => metrics::scrape(&admin, ctx).await,
        Route::KeysList => keys::list(&admin).await,
        Route::KeysCreate => keys::create(&admin).await,
        Route::KeyRead(id) => keys::read(&admin, &id).await,
        Route::KeyPatch(id) => keys::patch(&admin, &id).await,
        Route::KeyDelete(id) => keys::delete(&admin, &id).await,
        Route::KeyRotate(id) => keys::rotate(&admin, &id).await,
        Route::Audit => audit::list(&admin).await,
        Route::ConfigVersion => config_version(&admin, ctx).await,
        Route::Usage => usage::report(&admin).await,
        Route::UsageCsv => usage::report_csv(&admin).await,
        Route::Logs => usage::logs(&admin).await,
        Route::LogsCsv => usage::logs_csv(&admin).await,
        Route::FaultLimiterReset(id) => reset_limiter(&admin, ctx, &id).await,
        Route::FaultDatabase => switch_database(&admin).await,
        Route::Health
        | Route::HealthReady
        | Route::SessionBegin
        | Route::SessionEnd
        | Route::Inference(_)
        | Route::Models => Err(GatewayError::internal(
            "a route that needs no identity came too far",
        )),
    }
}

async fn config_version(admin: &Admin<'_>, ctx: &Context) -> Answer {
    snapshot::current(admin.isolate, ctx).await?;
    let (version, age_ms) = admin
        .isolate
        .snapshot
        .version_and_age_ms()
        .unwrap_or_default();
    respond(200, &ConfigVersionView { version, age_ms })
}

/// Fault injection: the server's limiter object starts anew from what it has stored.
async fn reset_limiter(admin: &Admin<'_>, ctx: &Context, id: &str) -> Answer {
    let snapshot = snapshot::current(admin.isolate, ctx).await?;
    snapshot.server(id).ok_or_else(not_found)?;
    admin.isolate.admission.reset(id).await?;
    Ok(no_content())
}

/// Fault injection: whether D1 answers this isolate.
async fn switch_database(admin: &Admin<'_>) -> Answer {
    let fault = DatabaseFault::parse(&admin.body().await?)?;
    admin.isolate.store.set_available(fault.available);
    Ok(no_content())
}

impl Admin<'_> {
    /// The JSON body of this request.
    async fn body(&self) -> Result<Vec<u8>, GatewayError> {
        json_body(self.req).await
    }

    /// The JSON body of this request; empty if it has none, and then of no type.
    async fn body_if_any(&self) -> Result<Vec<u8>, GatewayError> {
        let bytes = bounded_body(self.req).await?;
        if !bytes.is_empty() {
            check_content_type(self.req)?;
        }
        Ok(bytes)
    }

    fn query(&self) -> String {
        self.url
            .split_once('?')
            .map_or_else(String::new, |(_, query)| query.to_owned())
    }

    fn if_match(&self) -> Result<Option<u64>, GatewayError> {
        let header = self.req.headers().get("if-match").ok().flatten();
        gateway::admin_api::if_match(header.as_deref())
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            allow_http_upstream: self.isolate.settings.allow_http_upstream,
            allow_private_upstream: self.isolate.settings.allow_private_upstream,
            own_url: Some(&self.url),
        }
    }

    fn edit(&self) -> Edit<'_> {
        Edit {
            actor: self.identity.actor(),
            at: now(),
        }
    }

    fn keyring(&self) -> Option<&Keyring> {
        self.isolate.keyring.as_ref()
    }

    /// Runs the statements of one write in one transaction; this isolate's copies are then stale.
    async fn write(&self, statements: &[Statement]) -> Result<Vec<D1Result>, GatewayError> {
        let written = self.isolate.store.batch(statements).await;
        // Also after a failure: the write may have happened and only its answer been lost.
        snapshot::invalidate(self.isolate);
        written.map_err(|error| match error {
            StoreError::Constraint(text) => sql::constraint_error(&text),
            StoreError::Unavailable(_) => error.into(),
        })
    }

    async fn rows<T: for<'a> Deserialize<'a>>(
        &self,
        statement: Statement,
    ) -> Result<Vec<T>, GatewayError> {
        Ok(self.isolate.store.read(&statement).await?)
    }
}

async fn json_body(req: &Request) -> Result<Vec<u8>, GatewayError> {
    check_content_type(req)?;
    bounded_body(req).await
}

async fn bounded_body(req: &Request) -> Result<Vec<u8>, GatewayError> {
    let announced = req.headers().get("content-length").ok().flatten();
    let check = gateway::admin_api::check_length;
    let body = body::read(req.inner(), announced.as_deref(), check).await?;
    Ok(body.bytes)
}

fn check_content_type(req: &Request) -> Result<(), GatewayError> {
    let content_type = req.headers().get("content-type").ok().flatten();
    gateway::admin_api::check_content_type(content_type.as_deref())
}

/// Rows of one result of a write.
fn rows_at<T: for<'a> Deserialize<'a>>(
    results: &[D1Result],
    index: usize,
) -> Result<Vec<T>, GatewayError> {
    Ok(store::rows(results.get(index))?)
}

fn respond<T: Serialize>(status: u16, value: &T) -> Answer {
    let body =
        serde_json::to_string(value).map_err(|error| GatewayError::internal(error.to_string()))?;
    json(status, body).map_err(|error| GatewayError::internal(error.to_string()))
}

fn no_content() -> Response {
    Response::builder().with_status(204).empty()
}

fn set_header(response: &Response, name: &str, value: &str) -> Result<(), GatewayError> {
    response
        .headers()
        .set(name, value)
        .map_err(|error| GatewayError::internal(error.to_string()))
}

fn no_keyring(consequence: &str) -> GatewayError {
    GatewayError::new(
        ErrorCode::NotConfigured,
        format!("{consequence}: the secret ENCRYPTION_KEY is not set or unusable."),
    )
}

fn not_found() -> GatewayError {
    GatewayError::new(ErrorCode::NotFound, "There is no object with this id.")
}
