//! 卡片与页首：版面的框架。
//!
//! Owns the frame of a page: its heading with actions, and cards that group what belongs together.

use console_macros::view;
use sycamore::prelude::*;

use super::Render;
use crate::browser::Text;

/// The heading of a page; navigation moves the focus here.
/// `PageHeader(title=servers::title, hint=servers::hint, actions=render(|| view! { … }))`
#[component(inline_props)]
pub fn PageHeader(
    #[prop(setter(into))] title: Text,
    #[prop(default = "".into(), setter(into))] hint: Text,
    #[prop(default, setter(strip_option))] actions: Option<Render>,
) -> View {
    view! {
        header(class="page-header") {
            div(class="page-heading") {
                h1(id="page-title", tabindex="-1") { (title.get_clone()) }
                p(class="page-hint") { (hint.get_clone()) }
            }
            (actions.as_ref().map(|actions| { let actions = actions.call(); view! { div(class="page-actions") { (actions) } } }))
        }
    }
}

/// A group with a heading: `Card(title=overview::traffic, actions=render(…)) { … }`; without a title it is a
/// plain surface.
#[component(inline_props)]
pub fn Card(
    #[prop(default = "".into(), setter(into))] title: Text,
    #[prop(default = "".into(), setter(into))] hint: Text,
    #[prop(default, setter(strip_option))] actions: Option<Render>,
    #[prop(default = "")] class: &'static str,
    children: Children,
) -> View {
    let class = format!("card {class}");
    let plain = title.as_static().is_some_and(|title| title.is_empty());
    let head = (!plain).then(|| {
        let actions = actions.as_ref().map(Render::call);
        view! {
            div(class="card-head") {
                div {
                    h2(class="card-title") { (title.get_clone()) }
                    p(class="card-hint") { (hint.get_clone()) }
                }
                (actions)
            }
        }
    });
    view! { section(class=class) { (head) (children) } }
}
