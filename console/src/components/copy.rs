//! 复制按钮：复制后有回应，失败时给出办法。
//!
//! Owns copying text to the clipboard, with an answer that is seen and read out.

use console_macros::view;
use sycamore::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::{Button, toast};
use crate::browser::{Text, sleep, window};
use crate::i18n::common;
use crate::icons::Icon;
use crate::task::use_tasks;

/// `CopyButton(text=move || key.get_clone())`; `label` in place of "Copy"; `noted` becomes true when it was copied.
#[component(inline_props)]
pub fn CopyButton(
    #[prop(setter(into))] text: Text,
    #[prop(default = common::copy.into(), setter(into))] label: Text,
    #[prop(default, setter(strip_option))] noted: Option<Signal<bool>>,
) -> View {
    let copied = create_signal(false);
    let tasks = use_tasks();
    let press = move |_| {
        let text = text.get_clone().into_owned();
        tasks.run(async move {
            let written = JsFuture::from(window().navigator().clipboard().write_text(&text)).await;
            if written.is_err() {
                toast(common::copy_failed());
                return;
            }
            copied.set(true);
            if let Some(noted) = noted {
                noted.set(true);
            }
            sleep(2_000).await;
            copied.set(false);
        });
    };
    let label = label;
    view! {
        span(class="copy", aria-live="polite") {
            (if copied.get() {
                view! { span(class="copied") { (super::icon(Icon::Check)) (common::copied()) } }
            } else {
                View::new()
            })
            Button(icon=Icon::Copy, on:click=press) { (label.get_clone()) }
        }
    }
}
