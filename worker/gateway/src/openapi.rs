//! OpenAPI 文档：由路由表、字段描述、视图与错误表生成。
//!
//! Owns `docs/openapi.json`, the description of the data plane and the admin API in OpenAPI 3.1. It says as
//! little as possible itself: paths, methods and roles come from [`crate::routes`], bodies from the parsers of
//! [`crate::admin_api`] (see `recorder`), answers from the view types, errors from [`ErrorCode`]. Compiled only
//! with the feature `openapi`, which no deployed Worker has. Serves nothing: the document is a static file.
//!
//! To describe a new endpoint:
//! 1. Give its `Route` an arm in `operations`; without one this feature does not compile. Roles, `X-Request-Id`,
//!    path id and the errors that follow from them are added by themselves.
//! 2. Name the parser of its body with `.reads(Body { .. })`, and the views with `.answers::<View>(..)`. A view
//!    derives `JsonSchema` under the feature; a new kind of field says its schema in `admin_api::described`.
//! 3. Give each new field name a sentence in `words`.
//! 4. `cargo run -p gateway-tests --features openapi --bin openapi -- --write docs/openapi.json`
//!
//! Invariant: equal code gives equal text, so that the checked-in copy can be compared.

mod body;
mod errors;
mod inference;
mod operation;
mod operations;
mod parameters;
pub(crate) mod patterns;
pub(crate) mod recorder;
mod words;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::routes::ENDPOINTS;
use operation::Components;

const DESCRIPTION: &str = "An LLM API gateway that makes requests wait their turn instead of refusing them. \
    The data plane speaks OpenAI's protocol and Anthropic's messages; everything under `/api` configures the gateway.";

const TAGS: [(&str, &str); 6] = [
    ("Data plane", "What applications call."),
    ("Servers", "The backends, their limits and their order."),
    ("Keys", "What clients authenticate with."),
    (
        "Operation",
        "The state of the gateway, and who may look at it.",
    ),
    ("Usage", "What was used, by whom: sums and single requests."),
    (
        "Fault injection",
        "For tests of recovery only; does not exist unless `FAULT_INJECTION` is on.",
    ),
];

/// What is wrong with the document; empty unless a description was forgotten.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// `Schema.field` without a sentence.
    pub undescribed: Vec<String>,
    /// Bodies whose examples their own parser refuses.
    pub unreadable: Vec<&'static str>,
}

/// The document, and what is missing in it.
#[must_use]
pub fn document() -> (Value, Gaps) {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.for_serialize().into_generator();
    let mut components = Components::default();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in ENDPOINTS {
        let route = (endpoint.route)(String::new());
        let operation = operations::of(&route, &mut generator).render(endpoint, &mut components);
        let path = paths
            .entry(endpoint.pattern.to_owned())
            .or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(endpoint.method.to_ascii_lowercase(), operation);
        }
    }
    let mut gaps = Gaps {
        undescribed: Vec::new(),
        unreadable: components.unreadable,
    };
    let mut schemas: Map<String, Value> = components.schemas.into_iter().collect();
    schemas.extend(generator.take_definitions(true));
    for (name, schema) in errors::schemas() {
        schemas.insert(name.to_owned(), schema);
    }
    for (name, schema) in &mut schemas {
        describe(name, schema, &mut gaps.undescribed);
    }
    let tags: Vec<Value> = TAGS
        .iter()
        .map(|(name, description)| json!({"name": name, "description": description}))
        .collect();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This gateway"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": components.responses,
            "parameters": parameters::parameters(),
            "headers": parameters::headers(),
            "securitySchemes": parameters::security_schemes(),
        },
    });
    (document, gaps)
}

/// The document as the file has it.
#[must_use]
pub fn text() -> String {
    let (document, _) = document();
    // A tree of strings and numbers always serializes.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// Gives every field of a schema its sentence, and every time its format.
fn describe(schema_name: &str, schema: &mut Value, undescribed: &mut Vec<String>) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        let Some(object) = property.as_object_mut() else {
            continue;
        };
        if let Some(sentence) = words::of(schema_name, name) {
            object.insert("description".to_owned(), json!(sentence));
        }
        if !object.contains_key("description") {
            undescribed.push(format!("{schema_name}.{name}"));
        }
        let is_time = name == "at" || name.ends_with("_at") || name.ends_with("_until");
        // A field that is ignored may be anything.
        if is_time && object.contains_key("type") {
            object.entry("format").or_insert_with(|| json!("date-time"));
        }
    }
}
