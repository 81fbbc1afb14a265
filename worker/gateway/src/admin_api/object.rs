//! 请求体：有界、格式正确、字段不重复的 JSON 对象。
//!
//! Owns the way from the bytes of an admin request to named values, and the messages about fields
//! that appear twice or do not exist. Knows no particular field.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::body::check_length;
use super::change::Change;
use super::fields::Field;
use crate::depth;
use crate::error::{ErrorCode, GatewayError};

/// How much of a field name that does not exist is quoted back.
const QUOTED_CHARS_MAX: usize = 64;

/// The fields of a body that nobody has taken yet.
pub(super) struct Object {
    fields: BTreeMap<String, Value>,
}

impl Object {
    /// Reads a whole body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, GatewayError> {
        check_length(u64::try_from(body.len()).unwrap_or(u64::MAX))?;
        depth::check(body, depth::ADMIN_DEPTH_MAX)?;
        let fields: Fields = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
        match fields.repeated {
            Some(name) => Err(invalid_field(
                &name,
                format!("{} appears more than once.", quoted(&name)),
            )),
            None => Ok(Self {
                fields: fields.named,
            }),
        }
    }

    /// Takes one field out, checked.
    pub(super) fn take<F: Field>(&mut self, field: &F) -> Result<Change<F::Value>, GatewayError> {
        #[cfg(feature = "openapi")]
        crate::openapi::recorder::takes(field.name(), field.schema());
        match self.fields.remove(field.name()) {
            None => Ok(Change::Keep),
            Some(value) => field.read(&value).map(Change::Set),
        }
    }

    /// Drops fields that only the gateway sets.
    pub(super) fn ignore(&mut self, names: &[&'static str]) {
        for name in names {
            #[cfg(feature = "openapi")]
            crate::openapi::recorder::ignores(name);
            self.fields.remove(*name);
        }
    }

    /// Checks that nothing is left over. `read_only` are fields of the object that only the
    /// gateway sets; they get their own message.
    pub(super) fn finish(self, read_only: &[&str]) -> Result<(), GatewayError> {
        match self.fields.into_keys().next() {
            None => Ok(()),
            Some(name) if read_only.contains(&name.as_str()) => Err(invalid_field(
                &name,
                format!("{} is set by the gateway: leave it out.", quoted(&name)),
            )),
            Some(name) => Err(invalid_field(
                &name,
                format!("{} is not a field of this object.", quoted(&name)),
            )),
        }
    }
}

/// The value of a field that must be there.
pub(super) fn required<T>(field: Change<T>, name: &'static str) -> Result<T, GatewayError> {
    field
        .into_set()
        .ok_or_else(|| invalid_field(name, format!("`{name}` is required.")))
}

/// 422 about one field. The name is cut to a length that is safe to send back.
pub(super) fn invalid_field(name: &str, message: String) -> GatewayError {
    GatewayError::new(ErrorCode::InvalidField, message)
        .param(name.chars().take(QUOTED_CHARS_MAX).collect::<String>())
}

fn quoted(name: &str) -> String {
    let cut: String = name.chars().take(QUOTED_CHARS_MAX).collect();
    format!("`{}`", cut.escape_debug())
}

fn not_json(error: &serde_json::Error) -> GatewayError {
    // serde's own text may quote the body, and the body may hold an API key.
    let message = if error.is_data() {
        "The body must be a JSON object.".to_owned()
    } else {
        format!(
            "The body is not well-formed JSON (line {}, column {}).",
            error.line(),
            error.column()
        )
    };
    GatewayError::new(ErrorCode::InvalidJson, message)
}

#[derive(Default)]
struct Fields {
    named: BTreeMap<String, Value>,
    repeated: Option<String>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            match fields.named.entry(name) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(entry) => {
                    fields.repeated.get_or_insert_with(|| entry.key().clone());
                }
            }
        }
        Ok(fields)
    }
}
