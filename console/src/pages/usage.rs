//! 用量页面：标题已定，内容待建。
//!
//! The page of statistics; its heading and an empty state for now. Owns nothing yet.

use sycamore::prelude::*;

use crate::components::{EmptyState, PageHeader};
use crate::i18n::{shell, usage};
use crate::icons::Icon;

/// The page.
#[component]
pub fn UsagePage() -> View {
    view! {
        PageHeader(title=usage::title, hint=usage::hint)
        EmptyState(icon=Icon::Usage, title=shell::soon_title, hint=shell::soon_hint)
    }
}
