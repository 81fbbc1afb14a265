//! 空、等待：没有内容时也要有样子。
//!
//! Owns what stands in for content: nothing there yet, and still loading. Failures are `remote_view`'s.

use console_macros::view;
use sycamore::prelude::*;

use super::Render;
use crate::browser::Text;
use crate::i18n::common;
use crate::icons::Icon;

/// `EmptyState(icon=Icon::Servers, title=…, hint=…, actions=render(|| view! { … }))`
#[component(inline_props)]
pub fn EmptyState(
    icon: Icon,
    #[prop(setter(into))] title: Text,
    #[prop(default = "".into(), setter(into))] hint: Text,
    #[prop(default, setter(strip_option))] actions: Option<Render>,
) -> View {
    let actions = actions.as_ref().map(Render::call);
    let symbol = super::icon(icon);
    view! {
        div(class="empty") {
            span(class="empty-icon") { (symbol) }
            p(class="empty-title") { (title.get_clone()) }
            p(class="empty-hint") { (hint.get_clone()) }
            div(class="empty-actions") { (actions) }
        }
    }
}

/// Grey bars in the shape of what is coming: `Skeleton(rows=5)`.
#[component(inline_props)]
pub fn Skeleton(#[prop(default = 3)] rows: u32) -> View {
    let bars: Vec<View> = (0..rows)
        .map(|_| view! { span(class="skeleton-bar") })
        .collect();
    view! {
        div(class="skeleton", role="status") {
            span(class="visually-hidden") { (common::loading()) }
            (bars)
        }
    }
}

/// A turning ring with words for screen readers.
#[component]
pub fn Spinner() -> View {
    view! { span(class="spinner", role="status") { span(class="visually-hidden") { (common::loading()) } } }
}
