//! 使用者的选择：语言与明暗，保存在浏览器里。
//!
//! Owns the language and the colours that somebody chose, kept in local storage and put on `<html>`. Without
//! a choice the browser's languages decide, and the system's colours. `scripts/theme.js` does the same before
//! the first paint.

use std::cell::Cell;

use crate::reactive::create_effect;
use sycamore::prelude::*;

use crate::browser::{document, store, stored, window};
use crate::i18n::Locale;

const LANGUAGE: &str = "sluice.language";
const THEME: &str = "sluice.theme";

/// Light, dark, or as the system has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// As the system has it.
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

thread_local! {
    static CHOSEN: Cell<Option<(Signal<Locale>, Signal<Theme>)>> = const { Cell::new(None) };
}

/// Makes the signals, in the application's own scope, and keeps `<html>` in step with them.
pub fn begin() {
    let languages = window().navigator().languages();
    let mut tags: Vec<String> = languages.iter().filter_map(|tag| tag.as_string()).collect();
    tags.extend(window().navigator().language());
    let kept = stored(LANGUAGE);
    let locale = Locale::choose(
        kept.as_deref()
            .into_iter()
            .chain(tags.iter().map(String::as_str)),
    );
    let theme = match stored(THEME).as_deref() {
        Some("light") => Theme::Light,
        Some("dark") => Theme::Dark,
        _ => Theme::System,
    };
    let (locale, theme) = (create_signal(locale), create_signal(theme));
    CHOSEN.set(Some((locale, theme)));
    create_effect(move || set_root("lang", Some(locale.get().tag())));
    create_effect(move || set_root("data-theme", name_of(theme.get())));
}

/// The language in use; a view that asks follows a change.
#[must_use]
pub fn locale() -> Locale {
    CHOSEN.get().map_or(Locale::En, |(locale, _)| locale.get())
}

/// Chooses a language.
pub fn set_locale(locale: Locale) {
    store(LANGUAGE, Some(locale.tag()));
    if let Some((signal, _)) = CHOSEN.get() {
        signal.set(locale);
    }
}

/// The colours that were chosen.
#[must_use]
pub fn theme() -> Theme {
    CHOSEN.get().map_or(Theme::System, |(_, theme)| theme.get())
}

/// Chooses colours.
pub fn set_theme(theme: Theme) {
    store(THEME, name_of(theme));
    if let Some((_, signal)) = CHOSEN.get() {
        signal.set(theme);
    }
}

fn name_of(theme: Theme) -> Option<&'static str> {
    match theme {
        Theme::System => None,
        Theme::Light => Some("light"),
        Theme::Dark => Some("dark"),
    }
}

fn set_root(name: &str, value: Option<&str>) {
    if let Some(root) = document().document_element() {
        let _ = match value {
            Some(value) => root.set_attribute(name, value),
            None => root.remove_attribute(name),
        };
    }
}
