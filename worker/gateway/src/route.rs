//! 按模型选服务器：配置顺序，第一个匹配者优先。
//!
//! Owns which servers may take a request and which models a caller can see. Does not know whether a server has
//! room: admission decides that.
//!
//! Invariant: a model that the key may not use is answered exactly as one that does not exist.

use std::collections::HashSet;

use serde::Serialize;

use crate::{
    auth::Caller,
    config::{Server, Snapshot},
    error::{ErrorCode, GatewayError},
};

/// Characters of a model's name that an answer repeats; the rest is the caller's own.
const MODEL_SHOWN_CHARS_MAX: usize = 100;

/// The servers that may take `model` for this caller, in configured order. A server whose key must be
/// entered again takes nothing: without its key it could only refuse.
pub fn candidates<'a>(
    snapshot: &'a Snapshot,
    caller: &Caller,
    model: &'a str,
) -> impl Iterator<Item = &'a Server> + use<'a> {
    matching(snapshot, caller, model).filter(|server| server.api_key.is_some())
}

fn matching<'a>(
    snapshot: &'a Snapshot,
    caller: &Caller,
    model: &'a str,
) -> impl Iterator<Item = &'a Server> + use<'a> {
    let allowed = caller.may_use(model);
    snapshot
        .servers
        .iter()
        .filter(move |server| allowed && server.serves(model))
}

/// The first candidate.
pub fn first<'a>(
    snapshot: &'a Snapshot,
    caller: &Caller,
    model: &'a str,
) -> Result<&'a Server, GatewayError> {
    candidates(snapshot, caller, model).next().ok_or_else(|| {
        match matching(snapshot, caller, model).next() {
            Some(server) => key_unusable(server),
            None => model_not_found(model),
        }
    })
}

/// The answer when the only servers of a model have lost their keys.
fn key_unusable(server: &Server) -> GatewayError {
    GatewayError::new(
        ErrorCode::NotConfigured,
        format!(
            "The provider key of `{}` can not be read; an administrator must enter it again.",
            server.name
        ),
    )
}

/// The answer when there is no candidate.
#[must_use]
pub fn model_not_found(model: &str) -> GatewayError {
    let shown: String = model.chars().take(MODEL_SHOWN_CHARS_MAX).collect();
    GatewayError::new(
        ErrorCode::ModelNotFound,
        format!(
            "The model `{shown}` does not exist here. GET /v1/models lists the models you may use."
        ),
    )
    .param("model")
}

/// One model that a caller may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Model"))]
pub struct VisibleModel<'a> {
    /// What to send as `model`.
    pub id: &'a str,
    /// Always `model`.
    pub object: &'static str,
    /// OpenAI's clients demand a number; the gateway does not know one.
    pub created: u64,
    /// The name of the server that would take it.
    pub owned_by: &'a str,
}

/// The models that this caller may use, in configured order, each once. Patterns are not models: from a
/// pattern of a server only those names are listed that the key spells out.
#[must_use]
pub fn visible_models<'a>(snapshot: &'a Snapshot, caller: &'a Caller) -> Vec<VisibleModel<'a>> {
    let mut seen = HashSet::new();
    let mut models = Vec::new();
    let usable = |server: &&Server| server.enabled && server.api_key.is_some();
    for server in snapshot.servers.iter().filter(usable) {
        let listed = server
            .models
            .iter()
            .filter(|pattern| caller.may_use(pattern.as_str()));
        let spelled_out = caller
            .models
            .iter()
            .filter(|pattern| server.serves(pattern.as_str()));
        for pattern in listed
            .chain(spelled_out)
            .filter(|pattern| !pattern.is_wildcard())
        {
            if seen.insert(pattern.as_str()) {
                models.push(VisibleModel {
                    id: pattern.as_str(),
                    object: "model",
                    created: 0,
                    owned_by: &server.name,
                });
            }
        }
    }
    models
}

/// The body of `GET /v1/models`, in OpenAI's list shape.
#[must_use]
pub fn models_body(models: &[VisibleModel<'_>]) -> String {
    #[derive(Serialize)]
    struct List<'a> {
        object: &'static str,
        data: &'a [VisibleModel<'a>],
    }
    // Strings and numbers always serialize.
    serde_json::to_string(&List {
        object: "list",
        data: models,
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use admission::time::Instant;

    use super::*;
    use crate::config::{AppName, ModelPattern, tests::server};

    fn snapshot(servers: Vec<Server>) -> Snapshot {
        Snapshot::new(1, servers, Instant::from_millis(0))
    }

    fn caller(models: &[&str]) -> Caller {
        Caller {
            key_id: "k".to_owned(),
            app: AppName::try_from("app").unwrap(),
            models: models
                .iter()
                .map(|model| ModelPattern::new(*model))
                .collect(),
        }
    }

    fn ids(snapshot: &Snapshot, caller: &Caller, model: &str) -> Vec<String> {
        candidates(snapshot, caller, model)
            .map(|server| server.id.clone())
            .collect()
    }

    #[test]
    fn first_match_in_configured_order_wins_and_reordering_changes_it() {
        let any = caller(&[]);
        let before = snapshot(vec![
            server("a", 1, &["m"]),
            server("b", 2, &["m", "n"]),
            server("c", 3, &["*"]),
        ]);
        assert_eq!(ids(&before, &any, "m"), ["a", "b", "c"]);
        assert_eq!(first(&before, &any, "n").unwrap().id, "b");
        let after = snapshot(vec![server("a", 2, &["m"]), server("b", 1, &["m", "n"])]);
        assert_eq!(first(&after, &any, "m").unwrap().id, "b");
    }

    #[test]
    fn disabled_servers_take_nothing_and_show_nothing() {
        let mut off = server("a", 1, &["m"]);
        off.enabled = false;
        let snapshot = snapshot(vec![off]);
        assert!(ids(&snapshot, &caller(&[]), "m").is_empty());
        assert!(visible_models(&snapshot, &caller(&[])).is_empty());
    }

    #[test]
    fn a_server_without_a_usable_key_is_passed_over_and_named_when_it_is_the_only_one() {
        let mut keyless = server("a", 1, &["m"]);
        keyless.api_key = None;
        let alone = snapshot(vec![keyless.clone()]);
        let error = first(&alone, &caller(&[]), "m").unwrap_err();
        assert_eq!(
            (error.code, error.status()),
            (ErrorCode::NotConfigured, 503)
        );
        let both = snapshot(vec![keyless, server("b", 2, &["m"])]);
        assert_eq!(first(&both, &caller(&[]), "m").unwrap().id, "b");
    }

    #[test]
    fn forbidden_model_is_answered_like_a_missing_one() {
        let snapshot = snapshot(vec![server("a", 1, &["secret-model"])]);
        let forbidden = first(&snapshot, &caller(&["gpt-*"]), "secret-model").unwrap_err();
        assert_eq!(forbidden, model_not_found("secret-model"));
        assert_eq!(forbidden.status(), 404);
    }

    #[test]
    fn long_model_name_is_not_repeated_whole() {
        assert!(model_not_found(&"\u{1f600}".repeat(5_000)).message.len() < 600);
    }

    #[test]
    fn visible_models_are_exact_names_once_each_in_order() {
        let snapshot = snapshot(vec![
            server("a", 1, &["m2", "m1", "gpt-*"]),
            server("b", 2, &["m1", "m3"]),
        ]);
        let names = |models: &[&str]| -> Vec<String> {
            visible_models(&snapshot, &caller(models))
                .iter()
                .map(|model| model.id.to_owned())
                .collect()
        };
        assert_eq!(names(&[]), ["m2", "m1", "m3"]);
        assert_eq!(names(&["m1", "m3"]), ["m1", "m3"]);
        assert_eq!(
            names(&["gpt-4o", "m3", "x"]),
            ["gpt-4o", "m3"],
            "a name the key spells out and a pattern serves"
        );
    }

    #[test]
    fn models_body_has_openai_list_shape() {
        let snapshot = snapshot(vec![server("a", 1, &["m"])]);
        let body = models_body(&visible_models(&snapshot, &caller(&[])));
        assert_eq!(
            body,
            r#"{"object":"list","data":[{"id":"m","object":"model","created":0,"owned_by":"server a"}]}"#
        );
    }
}
