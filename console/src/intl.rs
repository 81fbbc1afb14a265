//! 按语言书写数字与时间：浏览器的 Intl。
//!
//! Owns how figures are written: by the rules of the language in use, in the time zone of the browser. Which
//! unit or precision is chosen before (`figures`). A view that calls these follows a change of language.

use std::cell::RefCell;
use std::collections::HashMap;

use js_sys::{Array, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use crate::browser::{call, member, now_ms};
use crate::figures::{Part, Unit, lossy, span_parts};
use crate::i18n::{Locale, locale};
use crate::range::milliseconds;

thread_local! {
    /// Formatters are costly to make: one per language, class and options.
    static MADE: RefCell<HashMap<(&'static str, &'static str), JsValue>> = RefCell::new(HashMap::new());
}

/// `12,345`
#[must_use]
pub fn integer(value: u64) -> String {
    number(
        lossy(value),
        "integer",
        &[("maximumFractionDigits", 0.into())],
    )
}

/// `12.3K`, `1.2M`; in Chinese `1.2万`.
#[must_use]
pub fn compact(value: f64) -> String {
    if value < 1_000.0 {
        return number(value, "short", &[("maximumFractionDigits", 1.into())]);
    }
    number(
        value,
        "compact",
        &[
            ("notation", "compact".into()),
            ("maximumSignificantDigits", 3.into()),
        ],
    )
}

/// `0.4%`
#[must_use]
pub fn percent(ratio: f64) -> String {
    number(
        ratio,
        "percent",
        &[
            ("style", "percent".into()),
            ("maximumFractionDigits", 1.into()),
        ],
    )
}

/// A span: `840ms`, `4.2s`, `3m 20s`; in Chinese `3分钟20秒`.
#[must_use]
pub fn span(milliseconds: u64) -> String {
    let parts: Vec<String> = span_parts(milliseconds).into_iter().map(part).collect();
    parts.join(if locale() == Locale::Zh { "" } else { " " })
}

/// Date and time of day with seconds.
#[must_use]
pub fn date_time(milliseconds: u64) -> String {
    date(
        milliseconds,
        "date-time",
        &[("dateStyle", "medium"), ("timeStyle", "medium")],
    )
}

/// Date and time of day without seconds.
#[must_use]
pub fn short_date_time(milliseconds: u64) -> String {
    let options = [
        ("month", "short"),
        ("day", "numeric"),
        ("hour", "2-digit"),
        ("minute", "2-digit"),
    ];
    date(milliseconds, "short-date-time", &options)
}

/// Date without the year, and time of day with seconds.
#[must_use]
pub fn stamp(milliseconds: u64) -> String {
    let options = [
        ("month", "short"),
        ("day", "numeric"),
        ("hour", "2-digit"),
        ("minute", "2-digit"),
        ("second", "2-digit"),
    ];
    date(milliseconds, "stamp", &options)
}

/// The time of day to the millisecond.
#[must_use]
pub fn precise_time_of_day(milliseconds: u64) -> String {
    let options = [
        ("hour", "2-digit"),
        ("minute", "2-digit"),
        ("second", "2-digit"),
        ("fractionalSecondDigits", "3"),
    ];
    date(milliseconds, "precise-time", &options)
}

/// The date alone.
#[must_use]
pub fn day(milliseconds: u64) -> String {
    date(
        milliseconds,
        "day",
        &[("month", "short"), ("day", "numeric")],
    )
}

/// The date with its weekday and year.
#[must_use]
pub fn long_day(milliseconds: u64) -> String {
    let options = [
        ("weekday", "long"),
        ("year", "numeric"),
        ("month", "long"),
        ("day", "numeric"),
    ];
    date(milliseconds, "long-day", &options)
}

/// The date of a day of statistics: these are days of UTC, whatever the time zone here.
#[must_use]
pub fn utc_day(milliseconds: u64) -> String {
    let options = [("month", "short"), ("day", "numeric"), ("timeZone", "UTC")];
    date(milliseconds, "utc-day", &options)
}

/// Date and time of day to the millisecond.
#[must_use]
pub fn precise_time(milliseconds: u64) -> String {
    let options = [
        ("year", "numeric"),
        ("month", "short"),
        ("day", "numeric"),
        ("hour", "2-digit"),
        ("minute", "2-digit"),
        ("second", "2-digit"),
        ("fractionalSecondDigits", "3"),
    ];
    date(milliseconds, "precise", &options)
}

/// The time of day with seconds.
#[must_use]
pub fn time_of_day(milliseconds: u64) -> String {
    date(milliseconds, "time", &[("timeStyle", "medium")])
}

/// A time of the API, as [`date_time`]; what is none stays as it is.
#[must_use]
pub fn api_time(time: &str) -> String {
    milliseconds(time).map_or_else(|| time.to_owned(), date_time)
}

/// `3 minutes ago`, `in 2 days`.
#[must_use]
pub fn relative(milliseconds: u64) -> String {
    let seconds = (lossy(milliseconds) - now_ms()) / 1_000.0;
    let (value, unit) = match seconds.abs() {
        0.0..60.0 => (seconds, "second"),
        60.0..3_600.0 => (seconds / 60.0, "minute"),
        3_600.0..86_400.0 => (seconds / 3_600.0, "hour"),
        _ => (seconds / 86_400.0, "day"),
    };
    let formatter = formatter(
        "RelativeTimeFormat",
        "relative",
        &[("numeric", "auto".into())],
    );
    let text = call(&formatter, "format", &[value.round().into(), unit.into()]);
    text.and_then(|text| text.as_string()).unwrap_or_default()
}

fn part(part: Part) -> String {
    let digits = u32::from(part.tenths);
    let kind = match (part.unit, part.tenths) {
        (Unit::Millisecond, _) => "ms",
        (Unit::Second, false) => "s",
        (Unit::Second, true) => "s1",
        (Unit::Minute, _) => "min",
        (Unit::Hour, _) => "h",
        (Unit::Day, _) => "d",
    };
    let options = [
        ("style", "unit".into()),
        ("unit", part.unit.name().into()),
        ("unitDisplay", "narrow".into()),
        ("maximumFractionDigits", digits.into()),
        ("minimumFractionDigits", digits.into()),
    ];
    number(part.value, kind, &options)
}

fn number(value: f64, kind: &'static str, options: &[(&str, JsValue)]) -> String {
    let formatter = formatter("NumberFormat", kind, options);
    let text = call(&formatter, "format", &[value.into()]);
    text.and_then(|text| text.as_string())
        .unwrap_or_else(|| value.to_string())
}

fn date(milliseconds: u64, kind: &'static str, options: &[(&str, &str)]) -> String {
    let mut all: Vec<(&str, JsValue)> = options
        .iter()
        .map(|(name, value)| (*name, (*value).into()))
        .collect();
    // 24 hours, from 00: what logs of machines are read with.
    all.push(("hourCycle", "h23".into()));
    let formatter = formatter("DateTimeFormat", kind, &all);
    let text = call(&formatter, "format", &[lossy(milliseconds).into()]);
    text.and_then(|text| text.as_string()).unwrap_or_default()
}

fn formatter(class: &str, kind: &'static str, options: &[(&str, JsValue)]) -> JsValue {
    let tag = locale().tag();
    if let Some(made) = MADE.with_borrow(|made| made.get(&(tag, kind)).cloned()) {
        return made;
    }
    let fields = Object::new();
    for (name, value) in options {
        let _ = Reflect::set(&fields, &JsValue::from_str(name), value);
    }
    let arguments = Array::of2(&JsValue::from_str(tag), &fields);
    let made = member(&js_sys::global(), "Intl")
        .and_then(|intl| member(&intl, class))
        .and_then(|class| class.dyn_into::<js_sys::Function>().ok())
        .and_then(|class| Reflect::construct(&class, &arguments).ok())
        .unwrap_or(JsValue::NULL);
    MADE.with_borrow_mut(|all| all.insert((tag, kind), made.clone()));
    made
}
