//! 网关密钥：创建与轮换（仅显示一次）、列出、修改、删除。
//!
//! The gateway-key endpoints. A secret is made here, answered once and stored as its digest only.

use gateway::admin_api::{self, KeyCreate, KeyPatch, KeyRotate, List, NewKey, Page};
use gateway::sql::{self, CHANGED, KeyRow};

use super::{Admin, Answer, no_content, not_found, respond, rows_at, set_header};
use crate::clock::now;
use crate::random;

pub(super) async fn list(admin: &Admin<'_>) -> Answer {
    let page = Page::parse(&admin.query())?;
    let rows = admin.rows(sql::keys_page(&page)).await?;
    let shown_at = now();
    let view = |row: KeyRow| row.into_view(shown_at);
    respond(200, &List::of_rows(&page, rows, KeyRow::place, view))
}

pub(super) async fn create(admin: &Admin<'_>) -> Answer {
    let create = KeyCreate::parse(&admin.body().await?, now())?;
    let id = admin_api::gateway_key_id(random::bytes()?);
    let key = NewKey::from_random(random::bytes()?);
    let results = admin
        .write(&sql::create_key(&id, &create, &key, admin.edit()))
        .await?;
    let row: KeyRow = sql::created(rows_at(&results, CHANGED)?)?;
    let response = respond(201, &row.into_created(key, now()))?;
    set_header(&response, "location", &format!("/api/keys/{id}"))?;
    Ok(response)
}

pub(super) async fn read(admin: &Admin<'_>, id: &str) -> Answer {
    let rows: Vec<KeyRow> = admin.rows(sql::key_by_id(id)).await?;
    let row = rows.into_iter().next().ok_or_else(not_found)?;
    respond(200, &row.into_view(now()))
}

pub(super) async fn patch(admin: &Admin<'_>, id: &str) -> Answer {
    let patch = KeyPatch::parse(&admin.body().await?)?;
    let results = admin
        .write(&sql::update_key(id, &patch, admin.edit()))
        .await?;
    let row: KeyRow = sql::changed(rows_at(&results, CHANGED)?, &[(); 0])?;
    respond(200, &row.into_view(now()))
}

pub(super) async fn rotate(admin: &Admin<'_>, id: &str) -> Answer {
    let rotate = KeyRotate::parse(&admin.body_if_any().await?)?;
    let key = NewKey::from_random(random::bytes()?);
    let results = admin
        .write(&sql::rotate_key(id, rotate, &key, admin.edit()))
        .await?;
    let row: KeyRow = sql::changed(rows_at(&results, CHANGED)?, &[(); 0])?;
    respond(200, &row.into_created(key, now()))
}

pub(super) async fn delete(admin: &Admin<'_>, id: &str) -> Answer {
    let results = admin.write(&sql::delete_key(id, admin.edit())).await?;
    let _deleted: KeyRow = sql::changed(rows_at(&results, CHANGED)?, &[(); 0])?;
    Ok(no_content())
}
