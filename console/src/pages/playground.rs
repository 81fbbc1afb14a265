//! 试验场页面：标题已定，内容待建。
//!
//! The page of the playground; its heading and an empty state for now. Owns nothing yet.

use sycamore::prelude::*;

use crate::components::{EmptyState, PageHeader};
use crate::i18n::{playground, shell};
use crate::icons::Icon;

/// The page.
#[component]
pub fn PlaygroundPage() -> View {
    view! {
        PageHeader(title=playground::title, hint=playground::hint)
        EmptyState(icon=Icon::Playground, title=shell::soon_title, hint=shell::soon_hint)
    }
}
