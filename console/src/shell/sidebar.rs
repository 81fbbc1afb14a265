//! 导航：页面的列表，当前页标出。
//!
//! Owns the list of pages, in groups, with the present one marked for eyes and for readers.

use crate::reactive::create_selector;
use console_macros::view;
use sycamore::prelude::*;

use super::logo::logo;
use crate::components::icon;
use crate::i18n::shell;
use crate::icons::Icon;
use crate::navigation;
use crate::pages;
use crate::route::Route;

/// The navigation.
#[component]
pub fn Sidebar() -> View {
    let present = create_selector(|| navigation::route().page());
    let link = move |route: &Route, symbol: Icon| {
        let (path, page) = (route.path(), route.page());
        let symbol = icon(symbol);
        view! {
            li {
                a(class="nav-link", href=path, aria-current=move || (present.get() == page).then_some("page")) {
                    (symbol)
                    span { (pages::name(page)) }
                }
            }
        }
    };
    let watch = vec![
        link(&Route::Overview, Icon::Overview),
        link(&Route::Usage, Icon::Usage),
        link(&Route::Logs, Icon::Logs),
    ];
    let set_up = vec![
        link(&Route::Servers, Icon::Servers),
        link(&Route::Keys, Icon::Keys),
    ];
    let work = vec![
        link(&Route::Playground, Icon::Playground),
        link(&Route::Audit, Icon::Audit),
    ];
    view! {
        a(class="brand", href="/") { (logo()) span(class="brand-name") { "Sluice" } }
        nav(class="nav", aria-label=shell::navigation()) {
            p(class="nav-group") { (shell::group_watch()) }
            ul { (watch) }
            p(class="nav-group") { (shell::group_set_up()) }
            ul { (set_up) }
            p(class="nav-group") { (shell::group_work()) }
            ul { (work) }
        }
        a(class="nav-link nav-docs", href="/docs", target="_blank", rel="noopener") {
            (icon(Icon::Docs))
            span { (shell::api()) }
            (icon(Icon::External))
        }
    }
}
