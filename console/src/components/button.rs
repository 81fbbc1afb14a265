//! 按钮：主次、危险、忙碌，以及只有图标的。
//!
//! Owns the looks and states of everything that is pressed. A busy button keeps its width, says so to screen
//! readers and cannot be pressed again; an icon's button has its name in words.

use console_macros::view;
use sycamore::prelude::*;

use crate::browser::Text;
use crate::icons::Icon;

/// How much weight a button has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The one thing to do here.
    Primary,
    /// What else can be done.
    #[default]
    Secondary,
    /// Without a frame.
    Quiet,
    /// Destroys something.
    Danger,
}

impl Kind {
    const fn class(self) -> &'static str {
        match self {
            Self::Primary => "button is-primary",
            Self::Secondary => "button",
            Self::Quiet => "button is-quiet",
            Self::Danger => "button is-danger",
        }
    }
}

/// `Button(kind=Kind::Primary, icon=Icon::Add, busy=saving, on:click=move |_| …) { (servers::add()) }`.
/// `r#type="submit"` makes it send its form; without it, it does nothing by itself.
#[component(inline_props)]
pub fn Button(
    #[prop(default)] kind: Kind,
    #[prop(default, setter(strip_option))] icon: Option<Icon>,
    #[prop(default = false.into(), setter(into))] busy: MaybeDyn<bool>,
    #[prop(default = false.into(), setter(into))] disabled: MaybeDyn<bool>,
    #[prop(default)] submit: bool,
    children: Children,
    #[prop(attributes(html, button))] attributes: Attributes,
) -> View {
    let (working, off) = (busy.clone(), busy.clone());
    let symbol = icon.map(super::icon);
    view! {
        button(
            r#type=if submit { "submit" } else { "button" },
            class=kind.class(),
            aria-busy=move || working.get().then_some("true"),
            disabled=move || off.get() || disabled.get(),
            ..attributes
        ) {
            span(class="button-spinner", aria-hidden="true")
            (symbol)
            span(class="button-label") { (children) }
        }
    }
}

/// A button that shows an icon only: `IconButton(icon=Icon::Close, label=common::close, on:click=…)`.
#[component(inline_props)]
pub fn IconButton(
    icon: Icon,
    #[prop(setter(into))] label: Text,
    #[prop(default = false.into(), setter(into))] disabled: MaybeDyn<bool>,
    #[prop(attributes(html, button))] attributes: Attributes,
) -> View {
    let title = label.clone();
    view! {
        button(
            r#type="button",
            class="icon-button",
            aria-label=move || label.get_clone(),
            title=move || title.get_clone(),
            disabled=move || disabled.get(),
            ..attributes
        ) { (super::icon(icon)) }
    }
}

/// A link that looks like a button: `LinkButton(href="/servers/new", kind=Kind::Primary, icon=Icon::Add) { … }`.
#[component(inline_props)]
pub fn LinkButton(
    #[prop(setter(into))] href: Text,
    #[prop(default)] kind: Kind,
    #[prop(default, setter(strip_option))] icon: Option<Icon>,
    children: Children,
    #[prop(attributes(html, a))] attributes: Attributes,
) -> View {
    let symbol = icon.map(super::icon);
    view! {
        a(href=move || href.get_clone(), class=kind.class(), ..attributes) {
            (symbol)
            span(class="button-label") { (children) }
        }
    }
}
