//! 用量：从回答里读出令牌数。
//!
//! Owns the token counts of one answer: how they are read from a usage object in the shape of each endpoint,
//! what a whole answer has told of them, and what is estimated where it told nothing.
//!
//! Invariant: reading never fails an answer. What can not be read is unknown, and an estimate is never taken for
//! a count.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::endpoint::UsageShape;

mod scanner;
mod text;

pub(crate) use scanner::UsageScanner;
pub(crate) use text::TextMeter;

/// Bytes of an answer's text per token where the server does not count: what the limiter assumes of prompts.
pub const TEXT_BYTES_PER_TOKEN: u64 = admission::PROMPT_BYTES_PER_TOKEN;

/// What an answer cost, as its provider counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of the answer, those of reasoning included.
    pub completion_tokens: u64,
    /// Tokens of the prompt that came from the provider's cache.
    pub cached_tokens: u64,
    /// What counts against a token limit.
    pub total_tokens: u64,
}

/// What was seen of the cost of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// As the provider counted, if it told all of it.
    pub usage: Option<Usage>,
    /// What the provider told of the prompt alone, before its answer.
    pub prompt_tokens: Option<u64>,
    /// Cached ones among them.
    pub cached_tokens: u64,
    /// What the provider told of the output alone, or an estimate by the text that came; without `usage` only.
    pub output_tokens: u64,
}

/// The counts that one usage object names, or several of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    /// Input that came from a cache.
    cached: Option<u64>,
    /// Input that was written to a cache. Only messages count it beside `input`.
    cache_written: Option<u64>,
    /// Output that is no text of the answer.
    reasoning: Option<u64>,
}

/// What an answer has told by now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) counts: Option<Counts>,
    /// The counts are those of the whole answer so far, not only of its prompt.
    pub(crate) is_final: bool,
}

impl Told {
    /// Notes counts of the whole answer; without any, those before stand.
    pub(crate) fn all(&mut self, counts: Option<Counts>) {
        if counts.is_some() {
            *self = Self {
                counts,
                is_final: true,
            };
        }
    }
}

/// Fields stay raw, so that one of an unexpected type spoils only itself.
#[derive(Deserialize)]
struct CompletionWire<'a> {
    #[serde(borrow)]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    total_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens_details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResponseWire<'a> {
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    total_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    input_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens_details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are Anthropic's")]
struct MessageWire<'a> {
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_creation_input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_read_input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    output_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct DetailsWire<'a> {
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_tokens: Option<&'a RawValue>,
}

impl Counts {
    /// Reads a usage object. `None` if it is none, or names no count of tokens.
    pub(crate) fn read(shape: UsageShape, object: &[u8]) -> Option<Self> {
        let counts = match shape {
            UsageShape::Completion => {
                let wire: CompletionWire = object_from(object)?;
                Self {
                    input: count(wire.prompt_tokens),
                    output: count(wire.completion_tokens),
                    total: count(wire.total_tokens),
                    cached: detail(wire.prompt_tokens_details, |details| details.cached_tokens),
                    cache_written: None,
                    reasoning: detail(wire.completion_tokens_details, |details| {
                        details.reasoning_tokens
                    }),
                }
            }
            UsageShape::Response => {
                let wire: ResponseWire = object_from(object)?;
                Self {
                    input: count(wire.input_tokens),
                    output: count(wire.output_tokens),
                    total: count(wire.total_tokens),
                    cached: detail(wire.input_tokens_details, |details| details.cached_tokens),
                    cache_written: None,
                    reasoning: detail(wire.output_tokens_details, |details| {
                        details.reasoning_tokens
                    }),
                }
            }
            UsageShape::Message => {
                let wire: MessageWire = object_from(object)?;
                Self {
                    input: count(wire.input_tokens),
                    output: count(wire.output_tokens),
                    total: None,
                    cached: count(wire.cache_read_input_tokens),
                    cache_written: count(wire.cache_creation_input_tokens),
                    reasoning: None,
                }
            }
        };
        counts.input.or(counts.output).or(counts.total)?;
        Some(counts)
    }

    /// These counts, and where they name none, those told before.
    pub(crate) fn or(self, before: Self) -> Self {
        Self {
            input: self.input.or(before.input),
            output: self.output.or(before.output),
            total: self.total.or(before.total),
            cached: self.cached.or(before.cached),
            cache_written: self.cache_written.or(before.cache_written),
            reasoning: self.reasoning.or(before.reasoning),
        }
    }

    /// The counts as they stand in a row.
    pub(crate) fn usage(self, shape: UsageShape) -> Usage {
        let prompt_tokens = self.prompt_tokens(shape).unwrap_or(0);
        let output = self.output.unwrap_or(0);
        // Reasoning is part of the output. A provider that counts it beside the output shows it by its total,
        // or by more reasoning than output.
        let completion_tokens = match (self.total, self.reasoning) {
            (Some(total), _) => output.max(total.saturating_sub(prompt_tokens)),
            (None, Some(reasoning)) if reasoning > output => output.saturating_add(reasoning),
            (None, _) => output,
        };
        Usage {
            prompt_tokens,
            completion_tokens,
            cached_tokens: self.cached.unwrap_or(0),
            total_tokens: self
                .total
                .unwrap_or_else(|| prompt_tokens.saturating_add(completion_tokens)),
        }
    }

    /// Of messages, what was read from a cache or written to it is counted beside the input. Without a count of
    /// its own it is what the total leaves to it.
    fn prompt_tokens(self, shape: UsageShape) -> Option<u64> {
        let rest = |total: u64| total.saturating_sub(self.output.unwrap_or(0));
        let input = self.input.or(self.total.map(rest))?;
        Some(match shape {
            UsageShape::Completion | UsageShape::Response => input,
            UsageShape::Message => input
                .saturating_add(self.cached.unwrap_or(0))
                .saturating_add(self.cache_written.unwrap_or(0)),
        })
    }
}

impl Observed {
    /// Of an answer that told this, and whose text has so many bytes.
    pub(crate) fn new(shape: UsageShape, told: Told, text_bytes: u64) -> Self {
        let estimate = text_bytes.div_ceil(TEXT_BYTES_PER_TOKEN);
        let Some(counts) = told.counts else {
            return Self {
                output_tokens: estimate,
                ..Self::default()
            };
        };
        // Messages tell prompt and output apart: the one without the other is not all of it.
        let is_whole = match shape {
            UsageShape::Completion | UsageShape::Response => true,
            UsageShape::Message => counts.input.is_some() && counts.output.is_some(),
        };
        Self {
            usage: (told.is_final && is_whole).then(|| counts.usage(shape)),
            prompt_tokens: counts.prompt_tokens(shape),
            cached_tokens: counts.cached.unwrap_or(0),
            output_tokens: counts.output.unwrap_or(0).max(estimate),
        }
    }
}

/// What an event or an answer says about usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventUsage {
    pub(crate) counts: Option<Counts>,
    /// The event has nothing else to say: `choices` is empty and `usage` is an object.
    pub(crate) usage_only: bool,
}

#[derive(Deserialize)]
struct EventWire<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    /// Of a stream of responses.
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    /// Of a stream of messages.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TypeWire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

/// Reads the data of one event: its own usage, or that of the response or message in it.
pub(crate) fn of_event(shape: UsageShape, data: &[u8]) -> Option<EventUsage> {
    let wire: EventWire = object_from(data)?;
    let inner = match shape {
        UsageShape::Completion => None,
        UsageShape::Response => wire.response,
        UsageShape::Message => wire.message,
    };
    let inner: Option<EventWire> = inner.and_then(|raw| object_from(raw.get().as_bytes()));
    let usage = wire.usage.or(inner.and_then(|inner| inner.usage));
    let usage = usage
        .map(|raw| raw.get().as_bytes())
        .filter(|text| text.starts_with(b"{"))?;
    Some(EventUsage {
        counts: Counts::read(shape, usage),
        usage_only: wire
            .choices
            .is_some_and(|choices| is_empty_array(choices.get())),
    })
}

/// The `type` that the data of an event names, as it stands between its quotes.
pub(crate) fn type_of(data: &[u8]) -> Option<&[u8]> {
    let wire: TypeWire = object_from(data)?;
    let text = wire.kind?.get().as_bytes();
    text.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Only objects: serde would take an array for a struct as well.
fn object_from<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    // Read as it stands: JSON knows fewer kinds of white space than ASCII has.
    if text.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice(text).ok()
    } else {
        None
    }
}

fn count(raw: Option<&RawValue>) -> Option<u64> {
    raw?.get().parse().ok()
}

fn detail<'a>(
    details: Option<&'a RawValue>,
    field: impl Fn(&DetailsWire<'a>) -> Option<&'a RawValue>,
) -> Option<u64> {
    let details: DetailsWire = object_from(details?.get().as_bytes())?;
    count(field(&details))
}

fn is_empty_array(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .is_some_and(|inner| inner.trim().is_empty())
}

#[cfg(test)]
mod tests;
