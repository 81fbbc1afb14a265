//! 标志：两根闸柱之间的水。
//!
//! The mark of Sluice: water held between two posts of a gate. Decorative; the name stands beside it.

use console_macros::view;
use sycamore::prelude::*;

/// The mark, of the size that its class gives it.
pub fn logo() -> View {
    view! {
        svg(class="logo", viewBox="0 0 32 32", aria-hidden="true", "focusable"="false") {
            rect(width="32", height="32", rx="8")
            path(d="M7 8v16M25 8v16M7 12h18M7 17q4.5-4 9 0t9 0M7 22q4.5-4 9 0t9 0")
        }
    }
}
