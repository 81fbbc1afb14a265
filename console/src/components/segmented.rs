//! 分段选择：少数几个互斥的选项，一眼看全。
//!
//! Owns the row of exclusive choices: radio buttons of the browser, drawn as one control, so arrow keys move
//! between them.

use std::rc::Rc;

use console_macros::view;
use sycamore::prelude::*;

use crate::browser::Text;

/// `Segmented(name="theme", label=…, value=move || …, options=vec![(Theme::Light, shell::light.into()), …], on_choose=…)`
#[component(inline_props)]
pub fn Segmented<T: Copy + PartialEq + 'static>(
    name: &'static str,
    #[prop(setter(into))] label: Text,
    value: impl Fn() -> T + Copy + 'static,
    options: Vec<(T, Text)>,
    on_choose: impl Fn(T) + 'static,
) -> View {
    let on_choose = Rc::new(on_choose);
    let items: Vec<View> = options
        .into_iter()
        .map(|(option, text)| {
            let choose = on_choose.clone();
            view! {
                label(class="segment") {
                    input(r#type="radio", name=name, prop:checked=value() == option, on:change=move |_| choose(option))
                    span { (text.get_clone()) }
                }
            }
        })
        .collect();
    view! {
        div(class="segmented", role="radiogroup", aria-label=move || label.get_clone()) { (items) }
    }
}
