//! 表单字段：标签、说明、就地的错误，以及各种输入。
//!
//! Owns the frame of a field (label, hint, error, and the attributes that tie them together) and the inputs.
//! An input's value is a signal of the caller's, so nothing typed is lost by a redraw.
//! Invariant: an error stands beside its field and is read out with it.

use crate::reactive::create_effect;
use console_macros::view;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlSelectElement};

use super::IconButton;
use crate::browser::Text;
use crate::i18n::common;
use crate::icons::Icon;

/// The error of a field; None is fine.
pub type Error = MaybeDyn<Option<std::borrow::Cow<'static, str>>>;

/// The frame of a field: `Field(label=…, hint=…, error=name_error, id="name") { TextInput(id="name", …) }`.
/// The input inside must have the same `id` and, to be marked invalid, the same `error`.
#[component(inline_props)]
pub fn Field(
    id: &'static str,
    #[prop(setter(into))] label: Text,
    #[prop(default = "".into(), setter(into))] hint: Text,
    #[prop(default = None::<String>.into(), setter(into))] error: Error,
    #[prop(default)] optional: bool,
    children: Children,
) -> View {
    let shown = error.clone();
    view! {
        div(class="field") {
            label(class="field-label", r#for=id) {
                (label.get_clone())
                (optional.then(|| view! { span(class="field-optional") { (common::optional()) } }))
            }
            (children)
            p(class="field-error", id=format!("{id}-error")) { (shown.get_clone().unwrap_or_default()) }
            p(class="field-hint", id=format!("{id}-hint")) { (hint.get_clone()) }
        }
    }
}

/// One line of text.
#[component(inline_props)]
pub fn TextInput(
    id: &'static str,
    value: Signal<String>,
    #[prop(default = "text")] kind: &'static str,
    #[prop(default = None::<String>.into(), setter(into))] error: Error,
    #[prop(default)] autofocus: bool,
    #[prop(attributes(html, input))] attributes: Attributes,
) -> View {
    view! {
        input(
            id=id,
            class="input",
            r#type=kind,
            "autofocus"=autofocus.then_some(""),
            autocomplete="off",
            autocapitalize="off",
            "spellcheck"="false",
            aria-describedby=format!("{id}-error {id}-hint"),
            aria-invalid=move || error.get_clone().map(|_| "true"),
            bind:value=value,
            ..attributes
        )
    }
}

/// A whole number, kept as the text that was typed: what is no number is the caller's error to tell. `unit`
/// stands inside, at the end.
#[component(inline_props)]
pub fn NumberInput(
    id: &'static str,
    value: Signal<String>,
    #[prop(default = "".into(), setter(into))] unit: Text,
    #[prop(default = None::<String>.into(), setter(into))] error: Error,
    #[prop(attributes(html, input))] attributes: Attributes,
) -> View {
    view! {
        div(class="input-group") {
            input(
                id=id,
                class="input is-number",
                r#type="text",
                inputmode="numeric",
                autocomplete="off",
                aria-describedby=format!("{id}-error {id}-hint"),
                aria-invalid=move || error.get_clone().map(|_| "true"),
                bind:value=value,
                ..attributes
            )
            span(class="input-unit", aria-hidden="true") { (unit.get_clone()) }
        }
    }
}

/// A secret: hidden until somebody wants to see it.
#[component(inline_props)]
pub fn SecretInput(
    id: &'static str,
    value: Signal<String>,
    #[prop(default = None::<String>.into(), setter(into))] error: Error,
    #[prop(default = "off")] autocomplete: &'static str,
    #[prop(default)] autofocus: bool,
    #[prop(attributes(html, input))] attributes: Attributes,
) -> View {
    let shown = create_signal(false);
    view! {
        div(class="input-group") {
            input(
                id=id,
                class="input is-secret",
                r#type=if shown.get() { "text" } else { "password" },
                "autofocus"=autofocus.then_some(""),
                autocomplete=autocomplete,
                autocapitalize="off",
                "spellcheck"="false",
                aria-describedby=format!("{id}-error {id}-hint"),
                aria-invalid=move || error.get_clone().map(|_| "true"),
                bind:value=value,
                ..attributes
            )
            (if shown.get() {
                view! { IconButton(icon=Icon::Hide, label=common::hide_secret, on:click=move |_| shown.set(false)) }
            } else {
                view! { IconButton(icon=Icon::Show, label=common::show_secret, on:click=move |_| shown.set(true)) }
            })
        }
    }
}

/// One of several, by the browser's own list: options are value and label.
#[component(inline_props)]
pub fn SelectInput(
    id: &'static str,
    value: Signal<String>,
    #[prop(setter(into))] options: MaybeDyn<Vec<(String, String)>>,
    #[prop(default = None::<String>.into(), setter(into))] error: Error,
    #[prop(attributes(html, select))] attributes: Attributes,
) -> View {
    let node = create_node_ref();
    let all = options.clone();
    // The value can be set only after its option is there.
    let put = move || {
        all.track();
        let wanted = value.get_clone();
        if let Some(select) = node
            .try_get()
            .and_then(|node| node.dyn_into::<HtmlSelectElement>().ok())
        {
            select.set_value(&wanted);
        }
    };
    on_mount(move || create_effect(put));
    view! {
        span(class="select") {
            select(
                id=id,
                class="input",
                r#ref=node,
                aria-describedby=format!("{id}-error {id}-hint"),
                aria-invalid=move || error.get_clone().map(|_| "true"),
                on:change=move |event: Event| {
                    let select = event.target().and_then(|target| target.dyn_into::<HtmlSelectElement>().ok());
                    if let Some(select) = select { value.set(select.value()); }
                },
                ..attributes
            ) {
                (options.get_clone().into_iter().map(|(value, label)| view! { option(value=value) { (label) } }).collect::<Vec<_>>())
            }
        }
    }
}
