//! 外壳：导航、页首、横幅、登录，页面住在其中。
//!
//! Owns what stands round every page: the navigation, the bar at the top with language, colours and account,
//! banners about the whole gateway, and signing in. Knows pages by name only.

#![allow(
    missing_docs,
    reason = "props are told at their component; their builders are made by a macro"
)]

pub mod account;
pub mod banners;
pub mod logo;
pub mod sidebar;
pub mod sign_in;

use crate::reactive::create_effect;
use console_macros::view;
use sycamore::prelude::*;

use crate::components::{Dialog, IconButton, Shape, render};
use crate::i18n::shell;
use crate::icons::Icon;
use crate::navigation;
use crate::pages::CurrentPage;

pub use sign_in::SignInPage;

/// The frame of the console.
#[component]
pub fn Shell() -> View {
    let drawer = create_signal(false);
    create_effect(move || {
        // Going somewhere closes it.
        let _ = navigation::route();
        if drawer.get_untracked() {
            drawer.set(false);
        }
    });
    view! {
        a(class="skip", href="#content") { (shell::skip()) }
        div(class="shell") {
            aside(class="sidebar") { sidebar::Sidebar() }
            header(class="topbar") {
                div(class="topbar-start") {
                    IconButton(icon=Icon::Menu, label=shell::open_navigation, class="icon-button is-narrow", on:click=move |_| drawer.set(true))
                    a(class="topbar-brand", href="/") { (logo::logo()) span { "Sluice" } }
                }
                account::Account()
            }
            main(class="content", id="content", tabindex="-1") {
                banners::Banners()
                div(class="page") { CurrentPage() }
            }
        }
        Dialog(
            open=drawer,
            title=shell::navigation,
            shape=Shape::Drawer,
            on_close=move || drawer.set(false),
            body=render(|| view! { sidebar::Sidebar() }),
        )
        sign_in::SignInAgain()
    }
}
