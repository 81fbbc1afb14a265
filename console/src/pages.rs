//! 页面：每个地址一页，按路由选择。
//!
//! Owns which page a place shows and its title. A page is made when one arrives at it and ends when one
//! leaves, with all its calls; a panel beside a list is no other page.

#![allow(
    missing_docs,
    reason = "props are told at their component; their builders are made by a macro"
)]

pub mod audit;
pub mod keys;
pub mod logs;
pub mod lost;
pub mod overview;
pub mod playground;
pub mod servers;
pub mod usage;

use crate::reactive::{create_effect, create_selector};
use console_macros::view;
use sycamore::prelude::*;

use crate::browser::{document, focus_first, window};
use crate::i18n::shell;
use crate::navigation;
use crate::route::Page;

/// The present page, with its title in the window and, after a navigation, the focus on its heading.
#[component]
pub fn CurrentPage() -> View {
    let page = create_selector(|| navigation::route().page());
    create_effect(move || document().set_title(&format!("{} · Sluice", name(page.get()))));
    let first = std::cell::Cell::new(true);
    create_effect(move || {
        page.track();
        // The first page is where the browser put the focus.
        if !first.replace(false) {
            on_mount(|| {
                focus_first("#page-title");
                window().scroll_to_with_x_and_y(0.0, 0.0);
            });
        }
    });
    view! {
        (match page.get() {
            Page::Overview => view! { overview::OverviewPage() },
            Page::Servers => view! { servers::ServersPage() },
            Page::Keys => view! { keys::KeysPage() },
            Page::Usage => view! { usage::UsagePage() },
            Page::Logs => view! { logs::LogsPage() },
            Page::Playground => view! { playground::PlaygroundPage() },
            Page::Audit => view! { audit::AuditPage() },
            Page::Unknown => view! { lost::LostPage() },
        })
    }
}

/// The name of a page.
#[must_use]
pub fn name(page: Page) -> &'static str {
    match page {
        Page::Overview => shell::overview(),
        Page::Servers => shell::servers(),
        Page::Keys => shell::keys(),
        Page::Usage => shell::usage(),
        Page::Logs => shell::logs(),
        Page::Playground => shell::playground(),
        Page::Audit => shell::audit(),
        Page::Unknown => shell::lost_title(),
    }
}
