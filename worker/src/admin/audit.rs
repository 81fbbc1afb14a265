//! 审计：谁在何时改了什么。
//!
//! The audit list. Entries are written with the changes that they tell, never here.

use gateway::admin_api::{AuditQuery, List};
use gateway::sql::{self, AuditRow};

use super::{Admin, Answer, respond};

pub(super) async fn list(admin: &Admin<'_>) -> Answer {
    let query = AuditQuery::parse(&admin.query())?;
    let rows = admin.rows(sql::audit_page(&query)).await?;
    let list = List::of_rows(&query.page, rows, AuditRow::place, AuditRow::into_view);
    respond(200, &list)
}
