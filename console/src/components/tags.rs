//! 标签输入：一组名字，回车或逗号添加，可粘贴一串。
//!
//! Owns the input of a list of short texts, such as models: Enter or a comma adds, Backspace in the empty
//! field takes the last one back, a pasted list is split. Duplicates are left out. What was typed but not
//! added counts as added when the field is left.

use crate::reactive::Keyed;
use console_macros::view;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{ClipboardEvent, Event, KeyboardEvent};

use super::field::Error;
use super::icon;
use crate::browser::Text;
use crate::i18n::common;
use crate::icons::Icon;

/// `TagsInput(id="models", values=models, placeholder=…, error=…)` inside a `Field` of the same id.
#[component(inline_props)]
pub fn TagsInput(
    id: &'static str,
    values: Signal<Vec<String>>,
    #[prop(default = "".into(), setter(into))] placeholder: Text,
    #[prop(default = None::<String>.into(), setter(into))] error: Error,
) -> View {
    let typed = create_signal(String::new());
    let add = move || {
        let text = typed.take();
        if !text.trim().is_empty() {
            values.update(|values| merge(values, &text));
        }
    };
    let remove = move |name: &str| values.update(|values| values.retain(|one| one != name));
    let on_key = move |event: KeyboardEvent| match event.key().as_str() {
        // An input method's Enter chooses a candidate.
        "Enter" | ","
            if !event.is_composing() && !typed.with_untracked(|typed| typed.trim().is_empty()) =>
        {
            event.prevent_default();
            add();
        }
        "," => event.prevent_default(),
        "Backspace" if typed.with_untracked(String::is_empty) => {
            values.update(|values| drop(values.pop()));
        }
        _ => {}
    };
    let on_paste = move |event: Event| {
        let text = event
            .dyn_ref::<ClipboardEvent>()
            .and_then(ClipboardEvent::clipboard_data);
        let text = text
            .and_then(|data| data.get_data("text").ok())
            .unwrap_or_default();
        if text.contains([',', '\n', '，', ' ']) {
            event.prevent_default();
            values.update(|values| merge(values, &text));
        }
    };
    view! {
        div(class="input tags", on:click=move |event: web_sys::MouseEvent| {
            let own = event.target().and_then(|target| target.dyn_into::<web_sys::HtmlElement>().ok());
            if own.is_some_and(|own| own.class_list().contains("tags")) { crate::browser::focus_first(&format!("#{id}")); }
        }) {
            Keyed(
                list=values,
                key=String::clone,
                view=move |name| {
                    let (text, shown, gone) = (name.clone(), name.clone(), name);
                    view! {
                        span(class="tag") {
                            (text)
                            button(
                                r#type="button",
                                class="tag-remove",
                                aria-label=move || common::remove(&shown),
                                on:click=move |_| remove(&gone),
                            ) { (icon(Icon::Close)) }
                        }
                    }
                },
            )
            input(
                id=id,
                class="tags-input",
                r#type="text",
                autocomplete="off",
                autocapitalize="off",
                "spellcheck"="false",
                placeholder=move || if values.with(Vec::is_empty) { placeholder.get_clone() } else { "".into() },
                aria-describedby=format!("{id}-error {id}-hint"),
                aria-invalid=move || error.get_clone().map(|_| "true"),
                bind:value=typed,
                on:keydown=on_key,
                on:paste=on_paste,
                on:blur=move |_: web_sys::FocusEvent| add(),
            )
        }
    }
}

fn merge(values: &mut Vec<String>, text: &str) {
    for name in text
        .split([',', '\n', '\t', ' ', '，', '、'])
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        if !values.iter().any(|one| one == name) {
            values.push(name.to_owned());
        }
    }
}
