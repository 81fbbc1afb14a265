//! 推理请求：一次解析，字节不动。
//!
//! Owns what the gateway reads from the body of an inference request, and the one change it makes to it: a
//! streaming chat or completion is made to report its usage. Which fields an endpoint has says
//! [`crate::endpoint`]. Does not validate the request for the provider; what the provider does not like it says
//! itself.
//!
//! Invariant: the body is parsed once, and every byte of it goes upstream as it came, but for that change.
//! Any bytes at all get a definite answer; nesting costs no stack and has a bound, and numbers are never
//! converted.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{
    depth,
    endpoint::Endpoint,
    error::{ErrorCode, GatewayError},
    settings::Settings,
};

const STREAM_OPTIONS_FIELDS: &[&str] = &["include_usage"];

/// The fields that bound an answer, the stronger before the weaker.
const OUTPUT_BOUNDS: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];

/// What the gateway knows of an inference request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferenceRequest {
    /// The endpoint that it came to.
    pub endpoint: Endpoint,
    /// The model asked for; not empty.
    pub model: String,
    /// Whether the answer is to be a stream.
    pub stream: bool,
    /// Whether the client itself asked for usage on the stream.
    pub client_wants_usage: bool,
    /// The bound of the answer over all its choices: the client's own, or that the endpoint has no text to
    /// answer with. `None` = none that can be counted.
    pub output_tokens_max: Option<u64>,
    /// Size of the body, the measure of the prompt for the estimate.
    pub prompt_bytes: u64,
    edit: Option<Edit>,
}

/// Puts `text` in the place of the bytes from `start` to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edit {
    start: usize,
    end: usize,
    text: &'static str,
}

/// Refuses a body that is too large. To be asked with the declared length, and again while reading.
pub fn check_length(body_bytes: u64, settings: &Settings) -> Result<(), GatewayError> {
    let max = settings.body_bytes_max;
    if body_bytes <= max {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::BodyTooLarge,
        format!(
            "The body is larger than {max} bytes. Send a smaller one, or have BODY_BYTES_MAX raised."
        ),
    ))
}

/// Reads the body of a request to this endpoint.
pub fn parse(endpoint: Endpoint, body: &[u8]) -> Result<InferenceRequest, GatewayError> {
    // serde_json does not look at the encoding of what it skips.
    let text =
        std::str::from_utf8(body).map_err(|_| invalid_json("The body is not UTF-8 text."))?;
    depth::check(body, depth::DEPTH_MAX)?;
    let found = object(text, endpoint.fields())?;
    if let Some(key) = found.repeated {
        return Err(invalid_json(format!(
            "The body has the key `{key}` more than once. Send it once."
        ))
        .param(key));
    }
    let model = model_name(found.value("model"))?;
    let stream = found.text("stream") == Some("true");
    let reporting = if stream && found.asks_for("stream_options") {
        reporting(text, found.value("stream_options"))?
    } else {
        Reporting::NotPossible
    };
    Ok(InferenceRequest {
        endpoint,
        model,
        stream,
        client_wants_usage: reporting == Reporting::Asked,
        output_tokens_max: output_tokens_max(endpoint, &found),
        prompt_bytes: u64::try_from(body.len()).unwrap_or(u64::MAX),
        edit: match reporting {
            Reporting::Edit(edit) => Some(edit),
            Reporting::Asked | Reporting::NotPossible => None,
        },
    })
}

impl InferenceRequest {
    /// The body for the upstream: the very bytes, or those of a stream with `include_usage` put in.
    /// `body` must be what was parsed.
    #[must_use]
    pub fn upstream_body<'a>(&self, body: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(Edit { start, end, text }) = self.edit else {
            return Cow::Borrowed(body);
        };
        match (body.get(..start), body.get(end..)) {
            (Some(before), Some(after)) => Cow::Owned([before, text.as_bytes(), after].concat()),
            _ => Cow::Borrowed(body),
        }
    }

    /// Whether the client must not see the usage-only event, because the gateway asked for it.
    #[must_use]
    pub const fn strips_usage(&self) -> bool {
        self.edit.is_some()
    }
}

fn output_tokens_max(endpoint: Endpoint, found: &Found<'_>) -> Option<u64> {
    if !endpoint.has_output() {
        return Some(0);
    }
    let each = OUTPUT_BOUNDS
        .iter()
        .find_map(|name| count(found.value(name)))?;
    let choices = count(found.value("n")).unwrap_or(1);
    // The provider writes this many and returns the best of them; all are counted.
    let written = count(found.value("best_of")).unwrap_or(1);
    let answers = choices.max(written).max(1);
    Some(
        each.saturating_mul(answers)
            .saturating_mul(prompts(found.text("prompt"))),
    )
}

/// How many prompts a completion has: each of an array of texts, or of an array of arrays of tokens, has answers
/// of its own.
fn prompts(prompt: Option<&str>) -> u64 {
    let Some(rest) = prompt.and_then(|text| text.strip_prefix('[')) else {
        return 1;
    };
    if !rest.trim_start().starts_with(['"', '[']) {
        return 1;
    }
    let elements: Vec<IgnoredAny> = prompt
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    u64::try_from(elements.len()).unwrap_or(u64::MAX).max(1)
}

fn model_name(raw: Option<&RawValue>) -> Result<String, GatewayError> {
    let text = raw.map(RawValue::get).filter(|text| text.starts_with('"'));
    let name: String = match text {
        None => String::new(),
        // A string of the grammar that is no text: half a surrogate pair.
        Some(text) => serde_json::from_str(text).map_err(|_| {
            invalid_json("`model` has an escape that is no character.").param("model")
        })?,
    };
    if name.is_empty() {
        return Err(GatewayError::new(
            ErrorCode::MissingModel,
            "`model` must be a string that names a model. GET /v1/models lists those you may use.",
        )
        .param("model"));
    }
    Ok(name)
}

/// A whole number in plain digits. Anything else, of any size, is no bound that can be counted.
fn count(raw: Option<&RawValue>) -> Option<u64> {
    raw?.get().parse().ok()
}

/// Whether a streaming request will report its usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reporting {
    /// The client asked for it.
    Asked,
    /// It will with this edit.
    Edit(Edit),
    /// `stream_options` is not what it should be; the provider shall say so.
    NotPossible,
}

fn reporting(body: &str, stream_options: Option<&RawValue>) -> Result<Reporting, GatewayError> {
    let Some(options) = stream_options.map(RawValue::get) else {
        return Ok(edit(
            after_brace(body, body),
            0,
            r#""stream_options":{"include_usage":true},"#,
        ));
    };
    if options == "null" {
        return Ok(edit(
            offset(body, options),
            options.len(),
            r#"{"include_usage":true}"#,
        ));
    }
    if !options.starts_with('{') {
        return Ok(Reporting::NotPossible);
    }
    let found = object(options, STREAM_OPTIONS_FIELDS)?;
    if found.repeated.is_some() {
        let message = "`stream_options` has the key `include_usage` more than once. Send it once.";
        return Err(invalid_json(message).param("stream_options"));
    }
    Ok(match found.text("include_usage") {
        Some("true") => Reporting::Asked,
        Some(value @ ("false" | "null")) => edit(offset(body, value), value.len(), "true"),
        Some(_) => Reporting::NotPossible,
        None if found.empty => edit(after_brace(body, options), 0, r#""include_usage":true"#),
        None => edit(after_brace(body, options), 0, r#""include_usage":true,"#),
    })
}

fn edit(start: Option<usize>, len: usize, text: &'static str) -> Reporting {
    let range = start.and_then(|start| Some((start, start.checked_add(len)?)));
    range.map_or(Reporting::NotPossible, |(start, end)| {
        Reporting::Edit(Edit { start, end, text })
    })
}

/// Where a slice of the body begins in it.
fn offset(body: &str, part: &str) -> Option<usize> {
    part.as_ptr().addr().checked_sub(body.as_ptr().addr())
}

/// The position in the body behind the brace that opens an object.
fn after_brace(body: &str, object: &str) -> Option<usize> {
    offset(body, object)?
        .checked_add(object.find('{')?)?
        .checked_add(1)
}

fn invalid_json(message: impl Into<Cow<'static, str>>) -> GatewayError {
    GatewayError::new(ErrorCode::InvalidJson, message)
}

/// The raw values of some fields of an object.
struct Found<'a> {
    fields: &'static [&'static str],
    /// One for each field.
    values: Vec<Option<&'a RawValue>>,
    /// One of the fields that came more than once, however it was escaped: a provider might take the one
    /// value while the gateway checked the other.
    repeated: Option<&'static str>,
    /// The object has no key at all.
    empty: bool,
}

impl<'a> Found<'a> {
    fn index(&self, field: &str) -> Option<usize> {
        self.fields.iter().position(|known| *known == field)
    }

    /// Whether the field was looked for.
    fn asks_for(&self, field: &str) -> bool {
        self.index(field).is_some()
    }

    fn value(&self, field: &str) -> Option<&'a RawValue> {
        self.values.get(self.index(field)?).copied().flatten()
    }

    fn text(&self, field: &str) -> Option<&'a str> {
        self.value(field).map(RawValue::get)
    }

    /// The place for the value of a key that is wanted. The key comes as it stands in the text.
    fn slot(&mut self, raw_key: &str) -> Option<(&'static str, &mut Option<&'a RawValue>)> {
        let inner = raw_key.strip_prefix('"')?.strip_suffix('"')?;
        let key: Cow<str> = if inner.contains('\\') {
            // An escape that is no character can not spell one of the fields.
            Cow::Owned(serde_json::from_str(raw_key).ok()?)
        } else {
            Cow::Borrowed(inner)
        };
        let mut slots = self.fields.iter().copied().zip(&mut self.values);
        slots.find(|(name, _)| *name == key)
    }
}

/// Reads a text that is one JSON object and nothing else.
fn object<'a>(text: &'a str, fields: &'static [&'static str]) -> Result<Found<'a>, GatewayError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Fields(fields)
        .deserialize(&mut deserializer)
        .and_then(|found| deserializer.end().map(|()| found))
        .map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let problem = if error.is_data() {
                "is not a JSON object"
            } else {
                "is not well-formed JSON"
            };
            invalid_json(format!(
                "The body {problem} (line {line}, column {column})."
            ))
        })
}

struct Fields(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Fields {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = Found<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Found {
            fields: self.0,
            values: vec![None; self.0.len()],
            repeated: None,
            empty: true,
        };
        while let Some(key) = map.next_key::<&RawValue>()? {
            found.empty = false;
            let Some((name, value)) = found.slot(key.get()) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if value.replace(map.next_value()?).is_some() {
                found.repeated = Some(name);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
