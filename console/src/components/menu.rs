//! 下拉菜单：按钮与它打开的一列动作。
//!
//! Owns menus: a button that opens a list of actions, with arrow keys, Home, End and Escape, closed by a
//! choice or a click elsewhere.

use console_macros::view;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, FocusEvent, HtmlElement, KeyboardEvent, Node};

use super::Render;
use crate::browser::{Text, document, element_of, focus};
use crate::icons::Icon;

/// `Menu(label=common::more, icon=Icon::More, items=render(move || view! { MenuItem(…) { … } }))`; `words`
/// shows the label beside the icon.
#[component(inline_props)]
pub fn Menu(
    #[prop(setter(into))] label: Text,
    icon: Icon,
    #[prop(default)] words: bool,
    items: Render,
) -> View {
    let open = create_signal(false);
    let (node, button) = (create_node_ref(), create_node_ref());
    let (name, title, shown) = (label.clone(), label.clone(), label);
    let class = if words {
        "button is-quiet"
    } else {
        "icon-button"
    };
    let symbol = super::icon(icon);
    view! {
        div(
            class="menu",
            r#ref=node,
            on:focusout=move |event: FocusEvent| {
                let next = event.related_target().and_then(|next| next.dyn_into::<Node>().ok());
                let inside = element_of(node).is_some_and(|node| node.contains(next.as_ref()));
                if next.is_some() && !inside { open.set(false); }
            },
            on:keydown=move |event: KeyboardEvent| keys(&event, node, button, open),
        ) {
            button(
                r#type="button",
                class=class,
                r#ref=button,
                aria-haspopup="menu",
                aria-expanded=move || if open.get() { "true" } else { "false" },
                aria-label=move || name.get_clone(),
                title=move || (!words).then(|| title.get_clone()),
                on:click=move |_| {
                    open.set(!open.get_untracked());
                    if open.get_untracked() { focus_item(node, Place::First); }
                },
            ) {
                (symbol)
                (words.then(|| { let shown = shown.clone(); view! { span(class="button-label") { (shown.get_clone()) } } }))
            }
            (if open.get() {
                let items = provide_context_in_new_scope(MenuState { open, button }, || items.call());
                view! {
                    div(class="menu-veil", on:click=move |_| open.set(false))
                    div(class="menu-list", role="menu") { (items) }
                }
            } else {
                View::new()
            })
        }
    }
}

#[derive(Clone, Copy)]
struct MenuState {
    open: Signal<bool>,
    button: NodeRef,
}

/// An action of a menu: `MenuItem(icon=Icon::Delete, danger=true, on_choose=move || …) { (common::delete()) }`.
/// `checked` makes it one of several states.
#[component(inline_props)]
pub fn MenuItem(
    #[prop(default, setter(strip_option))] icon: Option<Icon>,
    #[prop(default)] danger: bool,
    #[prop(default, setter(strip_option, into))] checked: Option<MaybeDyn<bool>>,
    on_choose: impl Fn() + 'static,
    children: Children,
) -> View {
    let state = try_use_context::<MenuState>();
    let class = if danger {
        "menu-item is-danger"
    } else {
        "menu-item"
    };
    let symbol = icon.map(super::icon);
    let role = if checked.is_some() {
        "menuitemradio"
    } else {
        "menuitem"
    };
    let (told, shown) = (checked.clone(), checked);
    view! {
        button(
            r#type="button",
            class=class,
            role=role,
            tabindex="-1",
            aria-checked=move || told.as_ref().map(|on| if on.get() { "true" } else { "false" }),
            on:click=move |_| {
                if let Some(state) = state {
                    if let Some(button) = state.button.try_get() { focus(&button); }
                    state.open.set(false);
                }
                on_choose();
            },
        ) {
            (symbol)
            span(class="menu-words") { (children) }
            (if shown.as_ref().is_some_and(MaybeDyn::get) { crate::components::icon(Icon::Check) } else { View::new() })
        }
    }
}

#[derive(Clone, Copy)]
enum Place {
    First,
    Last,
    Next,
    Previous,
}

fn keys(event: &KeyboardEvent, node: NodeRef, button: NodeRef, open: Signal<bool>) {
    let place = match event.key().as_str() {
        "ArrowDown" => Place::Next,
        "ArrowUp" => Place::Previous,
        "Home" => Place::First,
        "End" => Place::Last,
        "Escape" if open.get_untracked() => {
            event.prevent_default();
            event.stop_propagation();
            if let Some(button) = button.try_get() {
                focus(&button);
            }
            open.set(false);
            return;
        }
        _ => return,
    };
    event.prevent_default();
    if !open.get_untracked() {
        open.set(true);
    }
    focus_item(node, place);
}

fn focus_item(node: NodeRef, place: Place) {
    let Some(menu) = element_of(node) else { return };
    let Ok(found) = menu.query_selector_all("[role^=menuitem]") else {
        return;
    };
    let items: Vec<Element> = (0..found.length())
        .filter_map(|index| found.item(index)?.dyn_into().ok())
        .collect();
    let active = document().active_element();
    let at = items.iter().position(|item| Some(item) == active.as_ref());
    let last = items.len().saturating_sub(1);
    let index = match (place, at) {
        (Place::First, _) | (Place::Next, None) => 0,
        (Place::Last, _) | (Place::Previous, None | Some(0)) => last,
        (Place::Next, Some(at)) if at == last => 0,
        (Place::Next, Some(at)) => at.saturating_add(1),
        (Place::Previous, Some(at)) => at.saturating_sub(1),
    };
    if let Some(item) = items
        .get(index)
        .and_then(|item| item.dyn_ref::<HtmlElement>())
    {
        let _ = item.focus();
    }
}
