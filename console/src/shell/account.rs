//! 页首右侧：语言、外观、账户。
//!
//! Owns the menus at the top right: language, colours, who is signed in and signing out.

use crate::reactive::create_selector;
use console_macros::view;
use gateway::auth::Role;
use sycamore::prelude::*;

use crate::components::{Badge, Menu, MenuItem, Tone, render, toast_failure};
use crate::i18n::{Locale, shell};
use crate::icons::Icon;
use crate::intl;
use crate::preferences::{Theme, locale, set_locale, set_theme, theme};
use crate::session::{self, State};
use crate::task::detach;

/// Language and colours.
#[component]
pub fn Preferences() -> View {
    let languages = render(|| {
        view! {
            MenuItem(checked=move || locale() == Locale::En, on_choose=|| set_locale(Locale::En)) { span(lang="en") { "English" } }
            MenuItem(checked=move || locale() == Locale::Zh, on_choose=|| set_locale(Locale::Zh)) { span(lang="zh-CN") { "简体中文" } }
        }
    });
    let themes = render(|| {
        view! {
            MenuItem(icon=Icon::System, checked=move || theme() == Theme::System, on_choose=|| set_theme(Theme::System)) { (shell::theme_system()) }
            MenuItem(icon=Icon::Sun, checked=move || theme() == Theme::Light, on_choose=|| set_theme(Theme::Light)) { (shell::theme_light()) }
            MenuItem(icon=Icon::Moon, checked=move || theme() == Theme::Dark, on_choose=|| set_theme(Theme::Dark)) { (shell::theme_dark()) }
        }
    });
    view! {
        Menu(label=shell::language, icon=Icon::Language, items=languages)
        Menu(label=shell::theme, icon=Icon::Sun, items=themes)
    }
}

/// All menus of the bar.
#[component]
pub fn Account() -> View {
    let account = render(|| {
        view! {
            div(class="menu-about") {
                p(class="menu-role") { (who()) }
                p(class="menu-note") { (until()) }
            }
            MenuItem(icon=Icon::SignOut, on_choose=|| detach(async {
                if let Err(failure) = session::sign_out().await { toast_failure(&failure); }
            })) { (shell::sign_out()) }
        }
    });
    let admin = create_selector(session::is_admin);
    view! {
        div(class="topbar-end") {
            (if admin.get() { View::new() } else { view! { Badge(tone=Tone::Warning) { (shell::read_only()) } } })
            Preferences()
            Menu(label=shell::account, icon=Icon::User, items=account)
        }
    }
}

fn who() -> String {
    let State::SignedIn(session) = session::state() else {
        return String::new();
    };
    let role = if session.role == Role::Admin {
        shell::role_admin()
    } else {
        shell::role_viewer()
    };
    session
        .email
        .map_or_else(|| role.to_owned(), |email| format!("{email} · {role}"))
}

fn until() -> String {
    let State::SignedIn(session) = session::state() else {
        return String::new();
    };
    let end = session
        .expires_at
        .and_then(|end| crate::range::milliseconds(&end));
    end.map(|end| shell::signed_in_until(&intl::short_date_time(end)))
        .unwrap_or_default()
}
