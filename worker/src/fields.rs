//! 头部的批量进出：一次越界读全，一次越界写全。
//!
//! Reads all headers of a message, or makes all of them, in a handful of calls: each crossing between
//! WebAssembly and JavaScript costs more than the text that it carries. Knows no header's meaning.

use js_sys::{Array, JSON};
use wasm_bindgen::JsCast;
use worker::{Headers, Result, web_sys};

/// Names in lower case with their values, as the platform lists them. No value holds a line break.
pub(crate) fn read(headers: &Headers) -> Vec<(String, String)> {
    let joined = String::from(Array::from(headers.0.unchecked_ref()).flat(1).join("\n"));
    let mut texts = joined.split('\n').map(str::to_owned);
    std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect()
}

/// Headers of these names and values; a name that comes twice has both values.
pub(crate) fn make<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> Result<Headers> {
    let pairs: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_ref()))
        .collect();
    let init = JSON::parse(&serde_json::to_string(&pairs)?)?;
    Ok(Headers(web_sys::Headers::new_with_str_sequence_sequence(
        &init,
    )?))
}

/// Adds fields in place of those that have the same name.
pub(crate) fn replace(fields: &mut Vec<(String, String)>, by: Vec<(String, String)>) {
    fields.retain(|(name, _)| !by.iter().any(|(new, _)| new == name));
    fields.extend(by);
}
