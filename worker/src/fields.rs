//! 头部的批量进出：一次越界读全，一次越界写全。
//!
//! Reads all headers of a message, or makes all of them, in a handful of calls: each crossing between
//! WebAssembly and JavaScript costs more than the text that it carries. Knows no header's meaning.

use js_sys::{Array, JSON};
use serde::{Serialize, Serializer};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Headers, Result, web_sys};

/// Names in lower case with their values, as the platform lists them. No value holds a line break.
pub(crate) fn read(headers: &Headers) -> Vec<(String, String)> {
    let joined = String::from(Array::from(headers.0.unchecked_ref()).flat(1).join("\n"));
    let mut texts = joined.split('\n').map(str::to_owned);
    std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect()
}

/// Headers of these names and values; a name that comes twice has both values.
pub(crate) fn make<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> Result<Headers> {
    let fields = init(fields)?;
    match fields.dyn_into() {
        Ok(headers) => Ok(Headers(headers)),
        Err(record) => {
            let record = record.unchecked_ref();
            Ok(Headers(web_sys::Headers::new_with_record_from_str_to_str(
                record,
            )?))
        }
    }
}

/// The same as what a request or an answer is made with: an object with a field each, or headers where a name
/// comes twice.
pub(crate) fn init<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> Result<JsValue> {
    // The platform reads an object by itself, a list of pairs by way of JavaScript's iterators.
    let mut first = Map(Vec::with_capacity(fields.len()));
    let mut further = Vec::new();
    for (name, value) in fields {
        let (name, value) = (name.as_ref(), value.as_ref());
        if first.0.iter().any(|(known, _)| *known == name) {
            further.push((name, value));
        } else {
            first.0.push((name, value));
        }
    }
    let record = JSON::parse(&serde_json::to_string(&first)?)?;
    if further.is_empty() {
        return Ok(record);
    }
    let headers = web_sys::Headers::new_with_record_from_str_to_str(record.unchecked_ref())?;
    for (name, value) in further {
        headers.append(name, value)?;
    }
    Ok(headers.into())
}

/// An object with its fields in this order; no name comes twice.
struct Map<'a, V>(Vec<(&'a str, V)>);

impl<V: Serialize> Serialize for Map<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Adds fields in place of those that have the same name.
pub(crate) fn replace(fields: &mut Vec<(String, String)>, by: Vec<(String, String)>) {
    fields.retain(|(name, _)| !by.iter().any(|(new, _)| new == name));
    fields.extend(by);
}
