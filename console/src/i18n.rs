//! 文案：中英两种语言，缺一则编译不过。
//!
//! Owns the languages, which one is in use, and the macro that makes a table of messages: one function per
//! message, with a text in each language, so that a missing translation does not compile. Numbers and times
//! inside messages are formatted by the caller (`intl`).
//!
//! Invariant: a message reads the language each time, so a view that calls it follows a change by itself.

pub mod audit;
pub mod common;
pub mod keys;
pub mod logs;
pub mod overview;
pub mod playground;
pub mod servers;
pub mod shell;
pub mod usage;

/// A language of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locale {
    /// English
    En,
    /// 简体中文
    Zh,
}

impl Locale {
    /// The language tag: for `<html lang>`, for Intl, and as it is stored.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-CN",
        }
    }

    /// The best of what somebody reads, most liked first: the first tag that is one of ours.
    pub fn choose<'a>(tags: impl IntoIterator<Item = &'a str>) -> Self {
        let known = tags.into_iter().find_map(|tag| {
            let language = tag.split(['-', '_']).next().unwrap_or(tag);
            match language.to_ascii_lowercase().as_str() {
                "zh" => Some(Self::Zh),
                "en" => Some(Self::En),
                _ => None,
            }
        });
        known.unwrap_or(Self::En)
    }
}

/// The plural ending of an English noun.
#[must_use]
pub const fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(target_arch = "wasm32")]
pub use crate::preferences::locale;

#[cfg(not(target_arch = "wasm32"))]
pub use native::{locale, set_locale};

/// Without a browser, as in tests, the language is a variable of the thread.
#[cfg(not(target_arch = "wasm32"))]
mod native {
    use super::Locale;
    use std::cell::Cell;

    thread_local! {
        static LOCALE: Cell<Locale> = const { Cell::new(Locale::En) };
    }

    /// The language in use.
    #[must_use]
    pub fn locale() -> Locale {
        LOCALE.get()
    }

    /// Changes it.
    pub fn set_locale(locale: Locale) {
        LOCALE.set(locale);
    }
}

/// Makes a function of each message: `name: "English", "中文";` gives `name() -> &'static str`, and
/// `name(count: &str): "{count} left", "剩余 {count}";` gives `name(count) -> String`.
#[macro_export]
macro_rules! messages {
    ($($name:ident $(($($arg:ident: $kind:ty),+))?: $en:literal, $zh:literal;)+) => {
        $($crate::messages!(@one $name ($($($arg: $kind),+)?) $en, $zh);)+
    };
    (@one $name:ident () $en:literal, $zh:literal) => {
        #[doc = $en]
        #[allow(clippy::doc_markdown, reason = "the text is the documentation")]
        #[must_use]
        pub fn $name() -> &'static str {
            match $crate::i18n::locale() {
                $crate::i18n::Locale::En => $en,
                $crate::i18n::Locale::Zh => $zh,
            }
        }
    };
    (@one $name:ident ($($arg:ident: $kind:ty),+) $en:literal, $zh:literal) => {
        #[doc = $en]
        #[allow(clippy::doc_markdown, reason = "the text is the documentation")]
        #[must_use]
        pub fn $name($($arg: $kind),+) -> String {
            match $crate::i18n::locale() {
                $crate::i18n::Locale::En => format!($en),
                $crate::i18n::Locale::Zh => format!($zh),
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_that_is_known_wins_and_english_otherwise() {
        assert_eq!(Locale::choose(["zh-TW", "en"]), Locale::Zh);
        assert_eq!(Locale::choose(["fr", "zh_CN"]), Locale::Zh);
        assert_eq!(Locale::choose(["EN-gb", "zh"]), Locale::En);
        assert_eq!(Locale::choose(["de"]), Locale::En);
        assert_eq!(Locale::choose([]), Locale::En);
    }

    #[test]
    fn a_message_follows_the_language() {
        set_locale(Locale::En);
        assert_eq!(common::cancel(), "Cancel");
        assert_eq!(common::showing("3"), "3 shown");
        set_locale(Locale::Zh);
        assert_eq!(common::cancel(), "取消");
        assert_eq!(common::showing("3"), "已显示 3 条");
        set_locale(Locale::En);
    }
}
