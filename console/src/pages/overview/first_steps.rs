//! 第一步：还没有服务器时该做什么。
//!
//! What the overview shows of a gateway that is new: three steps to the first request, as links.

use crate::reactive::create_selector;
use console_macros::view;
use sycamore::prelude::*;

use crate::components::icon;
use crate::i18n::overview;
use crate::icons::Icon;
use crate::session;

/// The steps.
#[component]
pub fn FirstSteps() -> View {
    let admin = create_selector(session::is_admin);
    view! {
        section(class="first card") {
            h2(class="first-title") { (overview::first_title()) }
            p(class="is-soft") { (overview::first_hint()) }
            (if admin.get() {
                view! {
                    ol(class="first-steps") {
                        (step("/servers/new", Icon::Servers, overview::first_server, overview::first_server_hint))
                        (step("/keys", Icon::Keys, overview::first_key, overview::first_key_hint))
                        (step("/playground", Icon::Playground, overview::first_request, overview::first_request_hint))
                    }
                }
            } else {
                view! { p(class="is-soft") { (overview::first_viewer()) } }
            })
        }
    }
}

fn step(
    href: &'static str,
    symbol: Icon,
    title: fn() -> &'static str,
    hint: fn() -> &'static str,
) -> View {
    let symbol = icon(symbol);
    view! {
        li {
            a(class="first-step", href=href) {
                span(class="first-icon") { (symbol) }
                span(class="first-words") {
                    strong { (title()) }
                    span(class="is-soft") { (hint()) }
                }
                (icon(Icon::Right))
            }
        }
    }
}
