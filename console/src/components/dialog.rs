//! 对话框与侧栏：原生 <dialog>，焦点不外逃。
//!
//! Owns what opens over a page: a dialog in the middle, a panel at the side. Both are the browser's own modal
//! `<dialog>`, which keeps the focus inside, gives it back, and closes with Escape. The content is made anew
//! each time it opens; what must outlive that (a half-filled form) is the caller's signal.

use std::rc::Rc;

use crate::reactive::{create_effect, create_selector};
use console_macros::view;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlDialogElement, KeyboardEvent, MouseEvent, SubmitEvent};

use super::{Button, Field, IconButton, Kind, TextInput};
use crate::browser::{Text, focus};
use crate::i18n::common;
use crate::icons::Icon;

/// A view that can be made several times.
#[derive(Clone)]
pub struct Render(Rc<dyn Fn() -> View>);

impl Render {
    /// Makes the view.
    #[must_use]
    pub fn call(&self) -> View {
        (self.0)()
    }
}

/// Wraps a function that makes a view.
pub fn render(make: impl Fn() -> View + 'static) -> Render {
    Render(Rc::new(make))
}

/// Where it opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// In the middle.
    #[default]
    Middle,
    /// At the right side, over the whole height.
    Side,
    /// At the left side: the navigation of narrow windows.
    Drawer,
}

/// `Dialog(open=open, title=…, shape=Shape::Side, on_close=move || …, body=render(move || view! { … }))`.
/// `open` may be any signal or function; `on_close` is called when the user wants it closed (Escape, the
/// button, a click beside it) and has to make `open` false; it may refuse, to ask about unsaved input.
#[component(inline_props)]
pub fn Dialog(
    #[prop(setter(into))] open: MaybeDyn<bool>,
    #[prop(setter(into))] title: Text,
    #[prop(default)] shape: Shape,
    on_close: impl Fn() + 'static,
    body: Render,
) -> View {
    let node = create_node_ref();
    let open = create_selector(move || open.get());
    let on_close = Rc::new(on_close);
    // Later in the same turn: by then its content is there, and at the start the element itself.
    create_effect(move || {
        let wanted = open.get();
        on_mount(move || show(node, wanted));
    });
    on_cleanup(move || show(node, false));
    let class = match shape {
        Shape::Middle => "dialog",
        Shape::Side => "dialog is-side",
        Shape::Drawer => "dialog is-drawer",
    };
    let closed = on_close.clone();
    let (closing, beside, button) = (on_close.clone(), on_close.clone(), on_close);
    let name = title.clone();
    view! {
        dialog(
            class=class,
            r#ref=node,
            aria-label=move || name.get_clone(),
            on:keydown=move |event: KeyboardEvent| {
                // The browser would close it without asking, and a second Escape even without the event.
                if event.key() == "Escape" && !event.default_prevented() {
                    event.prevent_default();
                    event.stop_propagation();
                    closing();
                }
            },
            on:close=move |event: Event| {
                // The browser did not let itself be kept from it: what is unsaved is asked about nevertheless.
                if event.target() == event.current_target() && open.get_untracked() {
                    show(node, true);
                    closed();
                }
            },
            on:mousedown=move |event: MouseEvent| {
                let own = event.target().and_then(|target| target.dyn_into::<HtmlDialogElement>().ok());
                if own.is_some() { beside(); }
            },
        ) {
            (if open.get() {
                let body = body.call();
                let (title, button) = (title.clone(), button.clone());
                view! {
                    div(class="dialog-frame") {
                        div(class="dialog-head") {
                            h2(class="dialog-title", tabindex="-1") { (title.get_clone()) }
                            IconButton(icon=Icon::Close, label=common::close, on:click=move |_| button())
                        }
                        (body)
                    }
                }
            } else {
                View::new()
            })
        }
    }
}

fn show(node: NodeRef, wanted: bool) {
    let dialog = node
        .try_get()
        .and_then(|node| node.dyn_into::<HtmlDialogElement>().ok());
    let Some(dialog) = dialog else { return };
    if wanted && !dialog.open() && dialog.is_connected() {
        let _ = dialog.show_modal();
        // Else the browser takes the first button, which is the one that closes it.
        if matches!(dialog.query_selector("[autofocus]"), Ok(None))
            && let Ok(Some(title)) = dialog.query_selector(".dialog-title")
        {
            focus(&title);
        }
    } else if !wanted && dialog.open() {
        dialog.close();
    }
}

/// Asks for the name before something is destroyed. `busy` while it is done; close it when that succeeded.
#[component(inline_props)]
pub fn ConfirmByName(
    #[prop(setter(into))] open: MaybeDyn<bool>,
    #[prop(setter(into))] title: Text,
    #[prop(setter(into))] warning: Text,
    #[prop(setter(into))] name: Text,
    #[prop(default = false.into(), setter(into))] busy: MaybeDyn<bool>,
    on_confirm: impl Fn() + 'static,
    on_close: impl Fn() + 'static,
) -> View {
    let (on_confirm, on_close) = (Rc::new(on_confirm), Rc::new(on_close));
    let closing = on_close.clone();
    let body = render(move || {
        let typed = create_signal(String::new());
        let (warning, name, busy) = (warning.clone(), name.clone(), busy.clone());
        let wanted = name.clone();
        let matches =
            create_selector(move || typed.with(|typed| typed.trim() == wanted.get_clone()));
        let (confirm, close) = (on_confirm.clone(), on_close.clone());
        let label = name.clone();
        view! {
            form(
                class="dialog-form",
                novalidate=true,
                on:submit=move |event: SubmitEvent| {
                    event.prevent_default();
                    if matches.get_untracked() { confirm(); }
                },
            ) {
                div(class="dialog-body") {
                    p { (warning.get_clone()) }
                    Field(label=move || common::type_to_confirm(&label.get_clone()), id="confirm-name") {
                        TextInput(id="confirm-name", value=typed, autofocus=true)
                    }
                }
                div(class="dialog-foot") {
                    Button(on:click=move |_| close()) { (common::cancel()) }
                    Button(kind=Kind::Danger, submit=true, busy=busy, disabled=move || !matches.get()) { (common::delete()) }
                }
            }
        }
    });
    view! { Dialog(open=open, title=title, on_close=move || closing(), body=body) }
}
