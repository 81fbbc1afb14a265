//! 总览页面。
//!
//! The overview: what happens now and what happened.

use sycamore::prelude::*;

use crate::components::PageHeader;
use crate::i18n::overview;

/// The page.
#[component]
pub fn OverviewPage() -> View {
    view! { PageHeader(title=overview::title, hint=overview::hint) }
}
