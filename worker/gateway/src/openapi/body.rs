//! 请求体的模式：由解析它的函数得出。
//!
//! Owns how a parser becomes the schema of its body: the fields are those that it asks for, a field is
//! required if the parser refuses the body without it, and the defaults are what it makes of the shortest body.

use serde_json::{Map, Value, json};

use super::{recorder, words};
use crate::error::GatewayError;

/// A parser of a body; what it makes of it, serialized, or null where that says nothing about defaults.
pub(super) type Parse = fn(&[u8]) -> Result<Value, GatewayError>;

/// A request body.
pub(super) struct Body {
    /// Name of its schema.
    pub(super) name: &'static str,
    /// Reads it.
    pub(super) parse: Parse,
    /// The shortest body that is accepted; names everything that is required.
    pub(super) shortest: Value,
    /// One that is worth reading.
    pub(super) example: Value,
}

impl Body {
    /// The schema of the body.
    pub(super) fn schema(&self) -> Value {
        let asked = recorder::during(|| drop((self.parse)(b"{}")));
        let made = (self.parse)(text(&self.shortest).as_bytes()).unwrap_or_default();
        let mut required: Vec<&str> = Vec::new();
        let mut properties = Map::new();
        for field in asked {
            let mut schema = field.schema;
            if self.refuses_without(field.name) {
                required.push(field.name);
            }
            if let Some(object) = schema.as_object_mut() {
                if let Some(description) = words::of(self.name, field.name) {
                    object.entry("description").or_insert(json!(description));
                }
                let given = self.shortest.get(field.name).is_some();
                if let Some(default) = made.get(field.name).filter(|_| !given) {
                    object.insert("default".to_owned(), default.clone());
                }
            }
            properties.insert(field.name.to_owned(), schema);
        }
        let mut schema =
            json!({"type": "object", "properties": properties, "additionalProperties": false});
        if let Some(object) = schema.as_object_mut()
            && !required.is_empty()
        {
            object.insert("required".to_owned(), json!(required));
        }
        schema
    }

    /// Whether the parser reads both bodies that the document shows.
    pub(super) fn reads_its_examples(&self) -> bool {
        [&self.shortest, &self.example]
            .iter()
            .all(|body| (self.parse)(text(body).as_bytes()).is_ok())
    }

    fn refuses_without(&self, field: &str) -> bool {
        let mut body = self.shortest.clone();
        let removed = body.as_object_mut().and_then(|object| object.remove(field));
        removed.is_some() && (self.parse)(text(&body).as_bytes()).is_err()
    }
}

fn text(body: &Value) -> String {
    body.to_string()
}
