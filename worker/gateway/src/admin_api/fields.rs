//! 字段的描述：名字、期望、校验，只写一次。
//!
//! Owns the kinds of fields that a client can write. A field is described by a value of one of
//! these types; create, replace and patch all read it through the same description.
//! Invariant: a message never quotes a text that the client sent, since it may be an API key.

use serde_json::Value;

use super::Rules;
use super::base_url;
use super::bounds::{MODEL_CHARS_MAX, MODELS_LEN_MAX};
use super::described::Described;
use super::object::invalid_field;
use super::time::parse_rfc3339;
use crate::config::{APP_NAME_LEN_MAX, AppName, Secret};
use crate::error::GatewayError;
use admission::time::Instant;

/// A named field: what it must be, and how it becomes a value.
pub(super) trait Field: Described {
    /// What the field means to the rest of the code.
    type Value;

    /// Name of the field in the object.
    fn name(&self) -> &'static str;

    /// What the field must be, to complete the sentence "`name` must be …".
    fn expected(&self) -> String;

    /// The value, or why not.
    fn check(&self, value: &Value) -> Result<Self::Value, Wrong>;

    /// The value, or the error to answer with.
    fn read(&self, value: &Value) -> Result<Self::Value, GatewayError> {
        let name = self.name();
        self.check(value).map_err(|wrong| match wrong {
            Wrong::Shape => {
                let expected = self.expected();
                invalid_field(
                    name,
                    format!(
                        "`{name}` must be {expected}, but it is {}.",
                        described(value)
                    ),
                )
            }
            Wrong::Because(reason) => invalid_field(name, format!("`{name}` {reason}.")),
        })
    }
}

/// Why a value is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is not what the field expects.
    Shape,
    /// A reason that completes the sentence "`name` …".
    Because(String),
}

/// The same field, where null is a value.
pub(super) struct OrNull<F>(pub(super) F);

impl<F: Field> Field for OrNull<F> {
    type Value = Option<F::Value>;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn expected(&self) -> String {
        format!("{} or null", self.0.expected())
    }

    fn check(&self, value: &Value) -> Result<Self::Value, Wrong> {
        if value.is_null() {
            Ok(None)
        } else {
            self.0.check(value).map(Some)
        }
    }
}

/// A name for people: any script, on one line.
pub(super) struct Name {
    pub(super) name: &'static str,
    pub(super) chars_max: usize,
}

impl Field for Name {
    type Value = String;

    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        format!("a text of 1 to {} characters", self.chars_max)
    }

    fn check(&self, value: &Value) -> Result<String, Wrong> {
        let text = value.as_str().ok_or(Wrong::Shape)?;
        one_line(text, self.chars_max)?;
        Ok(text.to_owned())
    }
}

/// The name of an app, as the header `App-Name` allows it.
pub(super) struct App {
    pub(super) name: &'static str,
}

impl Field for App {
    type Value = AppName;

    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        format!(
            "a text of 1 to {APP_NAME_LEN_MAX} printable ASCII characters, without spaces around it"
        )
    }

    fn check(&self, value: &Value) -> Result<AppName, Wrong> {
        value
            .as_str()
            .and_then(|text| AppName::try_from(text).ok())
            .ok_or(Wrong::Shape)
    }
}

/// True or false, and nothing that resembles them.
pub(super) struct Flag {
    pub(super) name: &'static str,
}

impl Field for Flag {
    type Value = bool;

    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        "true or false".to_owned()
    }

    fn check(&self, value: &Value) -> Result<bool, Wrong> {
        value.as_bool().ok_or(Wrong::Shape)
    }
}

/// A whole number between two bounds, both included.
pub(super) struct Integer {
    pub(super) name: &'static str,
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Field for Integer {
    type Value = u64;

    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        format!("an integer from {} to {}", self.min, self.max)
    }

    fn check(&self, value: &Value) -> Result<u64, Wrong> {
        whole(value)
            .filter(|number| (self.min..=self.max).contains(number))
            .ok_or(Wrong::Shape)
    }
}

/// One of a few words.
pub(super) struct Choice<T: 'static> {
    pub(super) name: &'static str,
    pub(super) choices: &'static [(&'static str, T)],
}

impl<T: Copy> Field for Choice<T> {
    type Value = T;

    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        let words: Vec<String> = self
            .choices
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        words.join(" or ")
    }

    fn check(&self, value: &Value) -> Result<T, Wrong> {
        let text = value.as_str().ok_or(Wrong::Shape)?;
        self.choices
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, choice)| *choice)
            .ok_or(Wrong::Shape)
    }
}

/// A credential for a header: visible ASCII, so that it can neither end the header nor vanish.
pub(super) struct Credential {
    pub(super) name: &'static str,
    pub(super) chars_max: usize,
}

impl Field for Credential {
    type Value = Secret;

    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        format!(
            "a text of 1 to {} visible ASCII characters without spaces",
            self.chars_max
        )
    }

    fn check(&self, value: &Value) -> Result<Secret, Wrong> {
        let text = value.as_str().ok_or(Wrong::Shape)?;
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=self.chars_max).contains(&text.len()) {
            Ok(Secret::new(text.to_owned()))
        } else {
            Err(Wrong::Shape)
        }
    }
}

/// Where a server is.
pub(super) struct BaseUrl<'a> {
    pub(super) name: &'static str,
    pub(super) rules: Rules<'a>,
}

impl Field for BaseUrl<'_> {
    type Value = String;

    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        "an absolute https URL".to_owned()
    }

    fn check(&self, value: &Value) -> Result<String, Wrong> {
        let text = value.as_str().ok_or(Wrong::Shape)?;
        base_url::check(text, self.rules).map_err(|reason| Wrong::Because(reason.to_string()))
    }
}

/// Names of models; the last character of each may be `*`.
pub(super) struct Models {
    pub(super) name: &'static str,
    /// 1 for a server, which serves something; 0 for a key, where none means any.
    pub(super) len_min: usize,
}

impl Field for Models {
    type Value = Vec<String>;

    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        format!(
            "an array of {} to {MODELS_LEN_MAX} model names",
            self.len_min
        )
    }

    fn check(&self, value: &Value) -> Result<Vec<String>, Wrong> {
        let items = value.as_array().ok_or(Wrong::Shape)?;
        if !(self.len_min..=MODELS_LEN_MAX).contains(&items.len()) {
            return Err(Wrong::Shape);
        }
        let mut models: Vec<String> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let model = model(item)
                .map_err(|reason| Wrong::Because(format!("has at index {index} {reason}")))?;
            if models.iter().any(|known| known == model) {
                return Err(Wrong::Because(format!(
                    "has at index {index} a model that it lists already"
                )));
            }
            models.push(model.to_owned());
        }
        Ok(models)
    }
}

/// A time with its offset from UTC.
pub(super) struct Time {
    pub(super) name: &'static str,
}

impl Field for Time {
    type Value = Instant;

    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        "an RFC 3339 time such as \"2027-01-31T08:00:00Z\"".to_owned()
    }

    fn check(&self, value: &Value) -> Result<Instant, Wrong> {
        value.as_str().and_then(parse_rfc3339).ok_or(Wrong::Shape)
    }
}

/// An array of ids, each once.
pub(super) struct Ids {
    pub(super) name: &'static str,
    pub(super) len_max: u64,
}

impl Field for Ids {
    type Value = Vec<String>;

    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        format!("an array of at most {} ids", self.len_max)
    }

    fn check(&self, value: &Value) -> Result<Vec<String>, Wrong> {
        let items = value
            .as_array()
            .filter(|items| u64::try_from(items.len()).is_ok_and(|len| len <= self.len_max))
            .ok_or(Wrong::Shape)?;
        let ids: Option<Vec<String>> = items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect();
        let ids = ids.ok_or_else(|| Wrong::Because("must hold nothing but texts".to_owned()))?;
        let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
        if distinct.len() == ids.len() {
            Ok(ids)
        } else {
            Err(Wrong::Because("names an id twice".to_owned()))
        }
    }
}

/// A whole number, also where its writer gave it a fraction of zero (`60.0`) or an exponent (`1e3`).
fn whole(value: &Value) -> Option<u64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        let is_whole = number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&number);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 0 to 2^53 fits exactly"
        )]
        is_whole.then_some(number as u64)
    })
}

fn one_line(text: &str, chars_max: usize) -> Result<(), Wrong> {
    let chars = text.chars().count();
    if !(1..=chars_max).contains(&chars) {
        Err(Wrong::Shape)
    } else if text.chars().any(char::is_control) {
        Err(Wrong::Because(
            "must not contain control characters".to_owned(),
        ))
    } else if text.trim() != text {
        Err(Wrong::Because(
            "must not begin or end with a space".to_owned(),
        ))
    } else {
        Ok(())
    }
}

fn model(item: &Value) -> Result<&str, String> {
    let text = item
        .as_str()
        .ok_or_else(|| format!("{}, not a text", described(item)))?;
    let shape = || format!("a name that is not 1 to {MODEL_CHARS_MAX} printable characters");
    one_line(text, MODEL_CHARS_MAX).map_err(|_| shape())?;
    match text.split_once('*') {
        Some((_, rest)) if !rest.is_empty() => {
            Err("a name with `*` elsewhere than at its end".to_owned())
        }
        _ => Ok(text),
    }
}

/// What a value is, without its text.
fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("a text of {} characters", text.chars().count()),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}
