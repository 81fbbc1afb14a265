//! 没有页面的地址。
//!
//! The page of a path that leads nowhere: says so and leads back.

use console_macros::view;
use sycamore::prelude::*;

use crate::components::{Kind, LinkButton, PageHeader};
use crate::i18n::shell;
use crate::icons::Icon;

/// The page.
#[component]
pub fn LostPage() -> View {
    view! {
        div(class="lost") {
            p(class="lost-code", aria-hidden="true") { "404" }
            PageHeader(title=shell::lost_title, hint=shell::lost_hint)
            LinkButton(href="/", kind=Kind::Primary, icon=Icon::Left) { (shell::lost_home()) }
        }
    }
}
