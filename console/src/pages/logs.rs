//! 日志页面：标题已定，内容待建。
//!
//! The page of the log; its heading and an empty state for now. Owns nothing yet.

use sycamore::prelude::*;

use crate::components::{EmptyState, PageHeader};
use crate::i18n::{logs, shell};
use crate::icons::Icon;

/// The page.
#[component]
pub fn LogsPage() -> View {
    view! {
        PageHeader(title=logs::title, hint=logs::hint)
        EmptyState(icon=Icon::Logs, title=shell::soon_title, hint=shell::soon_hint)
    }
}
