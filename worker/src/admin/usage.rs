//! 用量统计与日志：一页，或整份 CSV。
//!
//! The statistics and log endpoints. An export is a stream that reads its next page from D1 when the client has
//! taken the one before, so that a page is all that is ever held.

use futures::stream;
use gateway::admin_api::{LogQuery, UsageQuery, UsageReport};
use gateway::error::GatewayError;
use gateway::export::Export;
use gateway::sql::{self, LineRow};
use worker::Response;

use super::{Admin, Answer, respond};
use crate::clock::now;
use crate::isolate::Isolate;
use crate::store;

pub(super) async fn report(admin: &Admin<'_>) -> Answer {
    let query = UsageQuery::parse(&admin.query(), now())?;
    let mut statements = vec![sql::usage_page(&query)];
    statements.extend(sql::usage_totals(&query));
    let results = admin.isolate.store.batch(&statements).await?;
    let mut results = results.iter().map(|result| store::rows(Some(result)));
    let page: Vec<LineRow> = results.next().transpose()?.unwrap_or_default();
    let mut parts: Vec<LineRow> = Vec::new();
    for rows in results {
        parts.extend(rows?);
    }
    let report = UsageReport::new(
        &query,
        read(&page, sql::usage_line)?,
        &read(&parts, sql::usage_sums)?,
    );
    respond(200, &report)
}

pub(super) async fn logs(admin: &Admin<'_>) -> Answer {
    let mut query = LogQuery::parse(&admin.query())?;
    if let Some(scan) = sql::logs_scan(&query) {
        let rows: Vec<LineRow> = admin.rows(scan).await?;
        query.until = read(&rows, sql::scan_end)?.first().copied();
    }
    let rows: Vec<LineRow> = admin.rows(sql::logs_page(&query)).await?;
    respond(200, &query.list(read(&rows, sql::log_entry)?))
}

pub(super) async fn report_csv(admin: &Admin<'_>) -> Answer {
    export(admin, Export::usage(&admin.query(), now())?).await
}

pub(super) async fn logs_csv(admin: &Admin<'_>) -> Answer {
    export(admin, Export::logs(&admin.query())?).await
}

/// The first page is read before the answer begins: what fails then is still an error of its own. Later the
/// stream breaks off, and the client sees that the file is not whole.
async fn export(admin: &Admin<'_>, mut export: Export) -> Answer {
    let isolate = std::rc::Rc::clone(admin.isolate);
    let disposition = export.disposition();
    let first = page(&isolate, &mut export).await?;
    let pages = stream::try_unfold((export, first), move |(mut export, page_read)| {
        let isolate = std::rc::Rc::clone(&isolate);
        async move {
            let Some(page_read) = page_read else {
                return Ok(None);
            };
            let next = page(&isolate, &mut export).await.map_err(broken_off)?;
            Ok::<_, worker::Error>(Some((page_read.into_bytes(), (export, next))))
        }
    });
    respond_csv(disposition)
        .and_then(|builder| builder.from_stream(pages))
        .map_err(|error| GatewayError::internal(error.to_string()))
}

/// The next text of the file; None at its end.
async fn page(isolate: &Isolate, export: &mut Export) -> Result<Option<String>, GatewayError> {
    while let Some(statement) = export.next() {
        let rows: Vec<LineRow> = isolate.store.read(&statement).await?;
        let text = export.push(&rows)?;
        if !text.is_empty() {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn respond_csv(disposition: &str) -> worker::Result<worker::ResponseBuilder> {
    Response::builder()
        .with_header("content-type", "text/csv; charset=utf-8; header=present")?
        .with_header("content-disposition", disposition)?
        .with_header("cache-control", "no-store")
}

fn read<T>(rows: &[LineRow], read: impl Fn(&LineRow) -> Option<T>) -> Result<Vec<T>, GatewayError> {
    let read: Option<Vec<T>> = rows.iter().map(read).collect();
    read.ok_or_else(|| GatewayError::internal("a stored row of usage could not be read"))
}

fn broken_off(error: GatewayError) -> worker::Error {
    crate::log::failed("export", &error);
    worker::Error::RustError(error.message.into_owned())
}
