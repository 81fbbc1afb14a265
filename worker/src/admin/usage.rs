//! 用量统计与日志：一页，或整份 CSV。
//!
//! The statistics and log endpoints. An export is a stream that reads its next page from D1 when the client has
//! taken the one before, so that a page is all that is ever held.

use futures::stream;
use gateway::admin_api::{List, LogEntry, LogQuery, UsageQuery, UsageReport};
use gateway::error::GatewayError;
use gateway::export::Export;
use gateway::sql::{self, LineRow};
use worker::Response;

use super::{Admin, Answer, respond};
use crate::clock::now;
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
    let query = LogQuery::parse(&admin.query())?;
    let rows: Vec<LineRow> = admin.rows(sql::logs_page(&query)).await?;
    let entries = read(&rows, sql::log_entry)?;
    respond(
        200,
        &List::of_rows(&query.page(), entries, LogEntry::place, LogEntry::into_view),
    )
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
    let first = match export.next() {
        Some(statement) => export.push(&isolate.store.read(&statement).await?)?,
        None => String::new(),
    };
    let pages = stream::try_unfold((export, Some(first)), move |(mut export, read_already)| {
        let isolate = std::rc::Rc::clone(&isolate);
        async move {
            if let Some(page) = read_already {
                return Ok(Some((page.into_bytes(), (export, None))));
            }
            let Some(statement) = export.next() else {
                return Ok(None);
            };
            let rows = isolate.store.read(&statement).await;
            let rows: Vec<LineRow> = rows.map_err(GatewayError::from).map_err(broken_off)?;
            let page = export.push(&rows).map_err(broken_off)?;
            Ok::<_, worker::Error>(Some((page.into_bytes(), (export, None))))
        }
    });
    respond_csv(disposition)
        .and_then(|builder| builder.from_stream(pages))
        .map_err(|error| GatewayError::internal(error.to_string()))
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
