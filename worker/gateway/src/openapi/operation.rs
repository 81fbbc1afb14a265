//! 一个操作：写法与呈现。
//!
//! Owns what is said of one endpoint and how it becomes an Operation Object of OpenAPI 3.1. Who may use it, and
//! the errors that follow from that, come from the table of routes; the other errors follow from its parts.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::body::Body;
use super::{errors, parameters};
use crate::error::ErrorCode;
use crate::routes::{Access, Entry};

/// What is said of one endpoint.
pub(super) struct Operation {
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<&'static str>,
    body: Option<Value>,
    needs_body: bool,
    codes: Vec<ErrorCode>,
    answers: Vec<Answer>,
    passes_upstream: bool,
    bodies: Vec<Body>,
}

/// An answer that is no error of the gateway.
struct Answer {
    status: u16,
    description: &'static str,
    headers: Vec<&'static str>,
    content: Map<String, Value>,
}

/// Components of the document that operations share, collected while they are rendered.
#[derive(Default)]
pub(super) struct Components {
    pub(super) schemas: BTreeMap<String, Value>,
    pub(super) responses: BTreeMap<String, Value>,
    /// Bodies whose examples their own parser refuses; empty unless somebody made a slip.
    pub(super) unreadable: Vec<&'static str>,
}

impl Operation {
    /// An operation that answers nothing yet.
    pub(super) fn new(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            tag,
            summary,
            description: "",
            parameters: Vec::new(),
            body: None,
            needs_body: false,
            codes: Vec::new(),
            answers: Vec::new(),
            passes_upstream: false,
            bodies: Vec::new(),
        }
    }

    /// More than the summary says.
    pub(super) fn says(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Query parameters and headers of the table in `parameters`.
    pub(super) fn takes(mut self, parameters: &[&'static str]) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// A JSON body that a parser of `admin_api` reads.
    pub(super) fn reads(mut self, body: Body) -> Self {
        self.body = Some(json!({"application/json": {
            "schema": {"$ref": format!("#/components/schemas/{}", body.name)},
            "example": body.example,
        }}));
        self.needs_body = true;
        self.bodies.push(body);
        self.fails(&[
            ErrorCode::UnsupportedMediaType,
            ErrorCode::InvalidJson,
            ErrorCode::BodyTooLarge,
            ErrorCode::InvalidField,
        ])
    }

    /// The same, where the body may be absent.
    pub(super) fn reads_if_any(self, body: Body) -> Self {
        let mut operation = self.reads(body);
        operation.needs_body = false;
        operation
    }

    /// A body that is described by hand.
    pub(super) fn reads_content(mut self, content: Value) -> Self {
        self.body = Some(content);
        self.needs_body = true;
        self
    }

    /// Errors that do not follow from the rest.
    pub(super) fn fails(mut self, codes: &[ErrorCode]) -> Self {
        self.codes.extend(codes);
        self
    }

    /// Error answers may be the server's own.
    pub(super) fn passes_upstream_errors(mut self) -> Self {
        self.passes_upstream = true;
        self
    }

    /// An answer without a body.
    pub(super) fn answers_nothing(mut self, status: u16, description: &'static str) -> Self {
        self.answers.push(Answer {
            status,
            description,
            headers: Vec::new(),
            content: Map::new(),
        });
        self
    }

    /// An answer whose body is a view of `admin_api`.
    pub(super) fn answers<T: JsonSchema>(
        self,
        generator: &mut SchemaGenerator,
        status: u16,
        description: &'static str,
    ) -> Self {
        let schema = generator.subschema_for::<T>().to_value();
        self.answers_schema(status, description, "application/json", schema)
    }

    /// An answer described by hand; several of one status are several media types of it.
    pub(super) fn answers_schema(
        mut self,
        status: u16,
        description: &'static str,
        media_type: &str,
        schema: Value,
    ) -> Self {
        let content = Value::from_iter([("schema", schema)]);
        match self.answers.iter_mut().find(|known| known.status == status) {
            Some(answer) => drop(answer.content.insert(media_type.to_owned(), content)),
            None => self.answers.push(Answer {
                status,
                description,
                headers: Vec::new(),
                content: Map::from_iter([(media_type.to_owned(), content)]),
            }),
        }
        self
    }

    /// Headers of the answer that was stated last.
    pub(super) fn with(mut self, headers: &[&'static str]) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.extend(headers);
        }
        self
    }

    /// The Operation Object.
    pub(super) fn render(mut self, endpoint: &Entry, components: &mut Components) -> Value {
        let access = endpoint.access();
        let has_id = endpoint.pattern.contains("{id}");
        let mut codes = core::mem::take(&mut self.codes);
        codes.extend(errors::of_access(access));
        if has_id {
            codes.push(ErrorCode::NotFound);
        }
        // Liveness is answered before anything is read.
        let is_liveness = endpoint.pattern == "/health";
        if !is_liveness {
            codes.push(ErrorCode::HeadersTooLarge);
        }
        codes.extend(errors::of_parameters(&self.parameters));
        for body in core::mem::take(&mut self.bodies) {
            if !body.reads_its_examples() {
                components.unreadable.push(body.name);
            }
            let schema = body.schema();
            components.schemas.insert(body.name.to_owned(), schema);
        }
        let mut responses = self.success(access);
        for (status, codes) in errors::by_status(&codes) {
            let response = errors::response(&codes, self.passes_upstream, components);
            responses.entry(status.to_string()).or_insert(response);
        }
        if self.passes_upstream {
            responses.insert("default".to_owned(), errors::upstream_response());
        }
        let path = has_id.then_some("id");
        let mut parameters: Vec<Value> = path
            .into_iter()
            .chain(self.parameters.iter().copied())
            .map(|name| json!({"$ref": format!("#/components/parameters/{name}")}))
            .collect();
        if !is_liveness {
            parameters.push(json!({"$ref": "#/components/parameters/X-Request-Id"}));
        }
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "security": parameters::security(access),
            "responses": responses,
        });
        if let Some(object) = operation.as_object_mut() {
            let description = [self.description, parameters::who(access)].join(" ");
            object.insert("description".to_owned(), json!(description.trim()));
            object.insert("parameters".to_owned(), json!(parameters));
            if let Some(content) = self.body {
                object.insert(
                    "requestBody".to_owned(),
                    json!({"required": self.needs_body, "content": content}),
                );
            }
        }
        operation
    }

    fn success(&self, access: Access) -> Map<String, Value> {
        let answers = self.answers.iter().map(|answer| {
            let own = (access != Access::Public).then_some("x-request-id");
            let headers: Map<String, Value> = answer
                .headers
                .iter()
                .copied()
                .chain(own)
                .map(|name| {
                    let reference = json!({"$ref": format!("#/components/headers/{name}")});
                    (name.to_owned(), reference)
                })
                .collect();
            let mut response = json!({"description": answer.description});
            if let Some(object) = response.as_object_mut() {
                if !headers.is_empty() {
                    object.insert("headers".to_owned(), json!(headers));
                }
                if !answer.content.is_empty() {
                    object.insert("content".to_owned(), json!(answer.content));
                }
            }
            (answer.status.to_string(), response)
        });
        answers.collect()
    }
}
