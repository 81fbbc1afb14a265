//! 图标：引用页面里的 SVG 符号。
//!
//! Draws one icon of the sprite that index.html carries. Decorative always: what it means is said in words
//! beside it or by the name of the control that holds it.

use console_macros::view;
use sycamore::prelude::*;

use crate::icons::Icon;

/// An icon of the size of the text around it.
pub fn icon(icon: Icon) -> View {
    let symbol = format!("#{}", icon.name());
    view! {
        svg(class="icon", aria-hidden="true", "focusable"="false") { r#use(href=symbol) }
    }
}
