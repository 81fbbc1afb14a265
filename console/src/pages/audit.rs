//! 审计页面：标题已定，内容待建。
//!
//! The page of the audit trail; its heading and an empty state for now. Owns nothing yet.

use sycamore::prelude::*;

use crate::components::{EmptyState, PageHeader};
use crate::i18n::{audit, shell};
use crate::icons::Icon;

/// The page.
#[component]
pub fn AuditPage() -> View {
    view! {
        PageHeader(title=audit::title, hint=audit::hint)
        EmptyState(icon=Icon::Audit, title=shell::soon_title, hint=shell::soon_hint)
    }
}
