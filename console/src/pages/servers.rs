//! 服务器页面：标题已定，内容待建。
//!
//! The page of servers; its heading and an empty state for now. Owns nothing yet.

use sycamore::prelude::*;

use crate::components::{EmptyState, PageHeader};
use crate::i18n::{servers, shell};
use crate::icons::Icon;

/// The page.
#[component]
pub fn ServersPage() -> View {
    view! {
        PageHeader(title=servers::title, hint=servers::hint)
        EmptyState(icon=Icon::Servers, title=shell::soon_title, hint=shell::soon_hint)
    }
}
