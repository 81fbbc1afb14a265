//! 徽标：一个词说明状态，颜色只是辅助。
//!
//! Owns the small labels of state. The word carries the meaning; the colour and the dot only repeat it.

use console_macros::view;
use sycamore::prelude::*;

/// What a state means for somebody who looks after the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Neither good nor bad.
    #[default]
    Neutral,
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Broken.
    Bad,
    /// Under way.
    Accent,
}

impl Tone {
    /// The class of CSS that colours with it.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Neutral => "is-neutral",
            Self::Good => "is-good",
            Self::Warning => "is-warning",
            Self::Bad => "is-bad",
            Self::Accent => "is-accent",
        }
    }
}

/// `Badge(tone=Tone::Good) { (servers::running()) }`
#[component(inline_props)]
pub fn Badge(#[prop(default)] tone: Tone, children: Children) -> View {
    let class = format!("badge {}", tone.class());
    view! { span(class=class) { span(class="badge-dot", aria-hidden="true") (children) } }
}
