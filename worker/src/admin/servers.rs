//! 服务器：增删改查与排序。
//!
//! The server endpoints. After each write the object of that server hears the limits that now hold.

use gateway::admin_api::{self, List, Page, ServerCreate, ServerOrder, ServerPatch, ServerReplace};
use gateway::config::Secret;
use gateway::envelope::SealedKey;
use gateway::error::GatewayError;
use gateway::sql::{self, CHANGED, CURRENT, ServerRow};

use super::{Admin, Answer, no_content, no_keyring, not_found, respond, rows_at, set_header};
use crate::{log, random, snapshot};
use worker::Context;

pub(super) async fn list(admin: &Admin<'_>, ctx: &Context) -> Answer {
    let page = Page::parse(&admin.query())?;
    let rows = admin.rows(sql::servers_page(&page)).await?;
    let reseals = sql::reseal_server_keys(&rows, admin.keyring(), || random::bytes().ok());
    snapshot::reseal_beside(admin.isolate, ctx, reseals);
    let view = |row: ServerRow| row.into_view(admin.keyring());
    respond(200, &List::of_rows(&page, rows, ServerRow::place, view))
}

pub(super) async fn create(admin: &Admin<'_>) -> Answer {
    let create = ServerCreate::parse(&admin.body().await?, admin.rules())?;
    let id = admin_api::server_id(random::bytes()?);
    let key = seal(admin, &id, &create.api_key)?;
    let results = admin
        .write(&sql::create_server(&id, &create, &key, admin.edit()))
        .await?;
    let row = sql::created(rows_at(&results, CHANGED)?)?;
    push_limits(admin, &row).await;
    let response = answer(admin, 201, row)?;
    set_header(&response, "location", &format!("/api/servers/{id}"))?;
    Ok(response)
}

pub(super) async fn read(admin: &Admin<'_>, id: &str) -> Answer {
    let rows: Vec<ServerRow> = admin.rows(sql::server_by_id(id)).await?;
    answer(admin, 200, rows.into_iter().next().ok_or_else(not_found)?)
}

pub(super) async fn replace(admin: &Admin<'_>, id: &str) -> Answer {
    let replace = ServerReplace::parse(&admin.body().await?, admin.rules())?;
    update(admin, id, &replace.into()).await
}

pub(super) async fn patch(admin: &Admin<'_>, id: &str) -> Answer {
    let patch = ServerPatch::parse(&admin.body().await?, admin.rules())?;
    update(admin, id, &patch).await
}

async fn update(admin: &Admin<'_>, id: &str, patch: &ServerPatch) -> Answer {
    let key = patch
        .api_key
        .as_set()
        .map(|key| seal(admin, id, key))
        .transpose()?;
    let statements = sql::update_server(id, patch, key.as_ref(), admin.if_match()?, admin.edit());
    let results = admin.write(&statements).await?;
    let current: Vec<ServerRow> = rows_at(&results, CURRENT)?;
    let row = sql::changed(rows_at(&results, CHANGED)?, &current)?;
    push_limits(admin, &row).await;
    answer(admin, 200, row)
}

pub(super) async fn delete(admin: &Admin<'_>, id: &str) -> Answer {
    let results = admin
        .write(&sql::delete_server(id, admin.if_match()?, admin.edit()))
        .await?;
    let current: Vec<ServerRow> = rows_at(&results, CURRENT)?;
    let mut row: ServerRow = sql::changed(rows_at(&results, CHANGED)?, &current)?;
    // The object cannot be deleted from here; closed for ever, it answers its waiters and idles.
    row.enabled = false;
    row.version = row.version.saturating_add(1);
    push_limits(admin, &row).await;
    Ok(no_content())
}

pub(super) async fn reorder(admin: &Admin<'_>) -> Answer {
    let order = ServerOrder::parse(&admin.body().await?)?;
    let results = admin
        .write(&sql::reorder_servers(&order, admin.edit()))
        .await?;
    let rows = sql::reordered(&order, rows_at(&results, CURRENT)?)?;
    let items = rows
        .into_iter()
        .map(|row| row.into_view(admin.keyring()))
        .collect();
    respond(
        200,
        &List {
            items,
            next_cursor: None,
        },
    )
}

fn answer(admin: &Admin<'_>, status: u16, row: ServerRow) -> Answer {
    let etag = admin_api::etag(row.version);
    let response = respond(status, &row.into_view(admin.keyring()))?;
    set_header(&response, "etag", &etag)?;
    Ok(response)
}

fn seal(admin: &Admin<'_>, id: &str, key: &Secret) -> Result<SealedKey, GatewayError> {
    let keyring = admin
        .keyring()
        .ok_or_else(|| no_keyring("A server key cannot be stored"))?;
    let sealed = keyring.seal_server_key(id, key, random::bytes()?);
    sealed.map_err(|_too_long| GatewayError::internal("the cipher refused to seal a key"))
}

/// A failure costs at most the seconds until a request brings the new limits along.
async fn push_limits(admin: &Admin<'_>, row: &ServerRow) {
    let server = row.clone().into_server(None);
    let limits = admin.isolate.settings.limits_of(&server);
    if let Err(error) = admin.isolate.admission.limits(&row.id, &limits).await {
        log::limiter_error(&row.id, "limits", &error);
    }
}
