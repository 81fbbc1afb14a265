//! 字段的模式：校验它的描述，也写成 JSON Schema。
//!
//! Owns how each kind of field looks in the OpenAPI document. Bounds and words come from the same value that
//! checks a field; only what a check says in code (no control characters, say) is said again, as a pattern.
//! Without the feature `openapi` there is nothing here, so that the deployed Worker does not carry it.

#[cfg(not(feature = "openapi"))]
pub(super) trait Described {}

#[cfg(not(feature = "openapi"))]
impl<T> Described for T {}

#[cfg(feature = "openapi")]
pub(super) use schemas::Described;

#[cfg(feature = "openapi")]
mod schemas {
    use serde_json::{Value, json};

    use super::super::bounds::{BASE_URL_CHARS_MAX, MODEL_CHARS_MAX, MODELS_LEN_MAX};
    use super::super::fields::{
        App, BaseUrl, Choice, Credential, Flag, Ids, Integer, Models, Name, OrNull, Time,
    };
    use crate::openapi::patterns;

    /// A field that can say what it must be in JSON Schema.
    pub(in super::super) trait Described {
        /// The schema of every value that `check` accepts.
        fn schema(&self) -> Value;
    }

    impl<F: Described> Described for OrNull<F> {
        fn schema(&self) -> Value {
            let mut schema = self.0.schema();
            if let Some(kind) = schema.get_mut("type") {
                *kind = json!([kind.take(), "null"]);
            }
            schema
        }
    }

    impl Described for Name {
        fn schema(&self) -> Value {
            json!({"type": "string", "minLength": 1, "maxLength": self.chars_max, "pattern": patterns::one_line()})
        }
    }

    impl Described for App {
        fn schema(&self) -> Value {
            json!({"type": "string", "pattern": patterns::app_name()})
        }
    }

    impl Described for Flag {
        fn schema(&self) -> Value {
            json!({"type": "boolean"})
        }
    }

    impl Described for Integer {
        fn schema(&self) -> Value {
            json!({"type": "integer", "minimum": self.min, "maximum": self.max})
        }
    }

    impl<T> Described for Choice<T> {
        fn schema(&self) -> Value {
            let words: Vec<&str> = self.choices.iter().map(|(word, _)| *word).collect();
            json!({"type": "string", "enum": words})
        }
    }

    impl Described for Credential {
        fn schema(&self) -> Value {
            json!({
                "type": "string", "minLength": 1, "maxLength": self.chars_max,
                "pattern": patterns::CREDENTIAL, "writeOnly": true,
            })
        }
    }

    impl Described for BaseUrl<'_> {
        fn schema(&self) -> Value {
            json!({
                "type": "string", "maxLength": BASE_URL_CHARS_MAX,
                "pattern": patterns::base_url(),
            })
        }
    }

    impl Described for Models {
        fn schema(&self) -> Value {
            json!({
                "type": "array", "minItems": self.len_min, "maxItems": MODELS_LEN_MAX, "uniqueItems": true,
                "items": {"type": "string", "minLength": 1, "maxLength": MODEL_CHARS_MAX, "pattern": patterns::model()},
            })
        }
    }

    impl Described for Time {
        fn schema(&self) -> Value {
            json!({"type": "string", "format": "date-time", "pattern": patterns::TIME})
        }
    }

    impl Described for Ids {
        fn schema(&self) -> Value {
            json!({
                "type": "array", "maxItems": self.len_max, "uniqueItems": true,
                "items": {"type": "string"},
            })
        }
    }
}
