//! 密钥页面：标题已定，内容待建。
//!
//! The page of gateway keys; its heading and an empty state for now. Owns nothing yet.

use sycamore::prelude::*;

use crate::components::{EmptyState, PageHeader};
use crate::i18n::{keys, shell};
use crate::icons::Icon;

/// The page.
#[component]
pub fn KeysPage() -> View {
    view! {
        PageHeader(title=keys::title, hint=keys::hint)
        EmptyState(icon=Icon::Keys, title=shell::soon_title, hint=shell::soon_hint)
    }
}
