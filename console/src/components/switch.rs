//! 开关：是或否，立即看得见。
//!
//! Owns the switch: a checkbox of the browser, drawn as a switch. What turning it does is the caller's.

use console_macros::view;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlInputElement};

use crate::browser::Text;

/// `Switch(label=…, on=enabled, on_change=move |on| …)`; with `hidden_label` the label is for readers only.
#[component(inline_props)]
pub fn Switch(
    #[prop(setter(into))] label: Text,
    #[prop(setter(into))] on: MaybeDyn<bool>,
    on_change: impl Fn(bool) + 'static,
    #[prop(default)] hidden_label: bool,
    #[prop(default = false.into(), setter(into))] disabled: MaybeDyn<bool>,
) -> View {
    let class = if hidden_label {
        "visually-hidden"
    } else {
        "switch-label"
    };
    view! {
        label(class="switch") {
            input(
                r#type="checkbox",
                role="switch",
                prop:checked=on.get(),
                disabled=move || disabled.get(),
                on:change=move |event: Event| {
                    let input = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
                    if let Some(input) = input { on_change(input.checked()); }
                },
            )
            span(class="switch-track", aria-hidden="true")
            span(class=class) { (label.get_clone()) }
        }
    }
}
