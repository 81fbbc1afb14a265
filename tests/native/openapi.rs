//! OpenAPI 文档：与代码一致，与真实的值一致。
//!
//! The checked-in copy is what the code generates, every route is in it, and what the code really answers and
//! accepts fits the schemas. That a running gateway keeps to it is the business of the black box.

use std::fs;
use std::time::Duration;

use gateway::admin_api::{
    AuditView, ConfigVersionView, DatabaseFault, KeyCreate, KeyPatch, KeyRotate, KeyState, KeyView,
    List, LiveView, ReadyView, Rules, ServerCreate, ServerOrder, ServerPatch, ServerReplace,
    ServerView, SignIn,
};
use gateway::auth::Role;
use gateway::envelope::OpenError;
use gateway::error::{ErrorCode, GatewayError};
use gateway::identity::Identity;
use gateway::openapi::{Gaps, document, text};
use gateway::routes::{Access, ENDPOINTS};
use gateway::server_test::ServerTestView;
use gateway_tests::harness::random::Random;
use gateway_tests::harness::root;
use jsonschema::Validator;
use serde_json::{Value, json};

/// Random bodies for each parser.
const BODIES: usize = 3_000;

/// A validator of one schema of the document. With `exact`, a field that is not described is a failure too:
/// the document leaves answers open for fields to come, the code must not run ahead of it.
fn validator(name: &str, exact: bool) -> Validator {
    let (mut document, _) = document();
    if exact {
        close(&mut document["components"]["schemas"]);
    }
    document["$ref"] = json!(format!("#/components/schemas/{name}"));
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&document)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Objects get no further fields, and every field must be there.
fn close(schema: &mut Value) {
    if let Some(properties) = schema.get("properties").cloned() {
        schema["additionalProperties"] = json!(false);
        let names: Vec<_> = properties.as_object().into_iter().flatten().collect();
        schema["required"] = names.iter().map(|(name, _)| json!(name)).collect();
    }
    match schema {
        Value::Object(object) => object.values_mut().for_each(close),
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[track_caller]
fn fits(validator: &Validator, value: &Value) {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{value:#}: {errors:#?}");
}

#[test]
fn the_checked_in_document_is_the_generated_one() {
    let copy = fs::read_to_string(root().join("docs/openapi.json")).unwrap_or_default();
    assert!(
        copy == text(),
        "docs/openapi.json is out of date; renew it with\n\
         cargo run -p gateway-tests --features openapi --bin openapi -- --write docs/openapi.json"
    );
}

#[test]
fn everything_in_the_document_is_described() {
    assert_eq!(document().1, Gaps::default());
}

#[test]
fn paths_and_methods_of_the_document_are_those_of_the_table_of_routes() {
    let (document, _) = document();
    let mut described: Vec<String> = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            described.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    let mut routes: Vec<String> = ENDPOINTS
        .iter()
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.pattern))
        .collect();
    described.sort();
    routes.sort();
    assert_eq!(described, routes);
}

#[test]
fn roles_of_the_document_are_those_of_the_table_of_routes() {
    let (document, _) = document();
    for endpoint in ENDPOINTS {
        let path = endpoint.pattern.replace('~', "~0").replace('/', "~1");
        let pointer = format!("/paths/{path}/{}", endpoint.method.to_lowercase());
        let operation = document.pointer(&pointer).expect("a described route");
        let statuses = operation["responses"].as_object().expect("responses");
        let schemes = &operation["security"];
        match endpoint.access() {
            Access::Public => assert_eq!(schemes, &json!([]), "{pointer}"),
            Access::Client => assert_eq!(schemes[0], json!({"gatewayKey": []}), "{pointer}"),
            Access::Viewer | Access::Admin => {
                assert_eq!(schemes[0], json!({"adminToken": []}), "{pointer}");
                let role = endpoint.access() == Access::Admin;
                assert_eq!(statuses.contains_key("403"), role, "{pointer}");
            }
        }
        // Whoever signs in brings his token in the body.
        let may_be_unknown = endpoint.access() != Access::Public
            || endpoint.pattern == "/api/session" && endpoint.method == "POST";
        assert_eq!(statuses.contains_key("401"), may_be_unknown, "{pointer}");
        for status in statuses.keys().filter(|status| *status != "default") {
            assert!(
                status
                    .parse()
                    .is_ok_and(|status: u16| (200..600).contains(&status))
            );
        }
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(target)) = object.get("$ref") {
                    found.push(target.clone());
                }
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (document, _) = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for target in found {
        let pointer = target
            .strip_prefix('#')
            .expect("a reference within the document");
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}

#[test]
fn every_error_fits_its_schema_and_says_nothing_else() {
    let schema = validator("Error", true);
    for code in ErrorCode::ALL {
        let error = GatewayError::new(*code, "What is wrong.")
            .param("field")
            .retry_after(Duration::from_secs(1));
        for error in [
            error.clone(),
            GatewayError {
                param: None,
                ..error
            },
        ] {
            let body: Value = serde_json::from_str(&error.body("req_1")).expect("JSON");
            fits(&schema, &body);
        }
    }
    let upstream = validator("UpstreamAnswer", false);
    let body = GatewayError::internal("").body("req_1");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert!(
        !upstream.is_valid(&body),
        "an own error is told from a server's"
    );
    fits(&upstream, &json!({"error": {"message": "of the server"}}));
}

fn server_view() -> ServerView {
    let create = r#"{"name":"n","base_url":"https://a.example","models":["m"],"api_key":"k"}"#;
    let settings = ServerCreate::parse(create.as_bytes(), Rules::default())
        .expect("a body that is accepted")
        .settings;
    ServerView {
        id: "srv_1".to_owned(),
        name: settings.name,
        base_url: settings.base_url,
        models: settings.models,
        enabled: true,
        position: 0,
        rpm_limit: Some(1),
        tpm_limit: None,
        max_concurrency: None,
        queue_max: settings.queue_max,
        queue_timeout_ms: settings.queue_timeout_ms,
        on_full: settings.on_full,
        overflow: settings.overflow,
        upstream_timeout_ms: settings.upstream_timeout_ms,
        api_key_hint: String::new(),
        key_state: KeyState::MustBeEnteredAgain,
        version: 1,
        created_at: "2026-11-23T08:00:00.000Z".to_owned(),
        updated_at: "2026-11-23T08:00:00.000Z".to_owned(),
    }
}

fn live_view() -> LiveView {
    LiveView {
        server_id: "srv_1".to_owned(),
        name: "n".to_owned(),
        enabled: true,
        queue_length: 0,
        queue_oldest_wait_ms: 0,
        in_flight: 0,
        rpm_used: u64::MAX,
        rpm_limit: None,
        tpm_used: 0,
        tpm_limit: Some(0),
        max_concurrency: None,
        next_grant_in_ms: None,
        paused_until: Some("2026-11-23T08:00:00.000Z".to_owned()),
        journal_rows: 1,
        journal_failures: 0,
        config_version: 0,
        probing: false,
        wake_late_ms_p99: 0,
        wake_late_ms_max: 0,
    }
}

fn key_view() -> KeyView {
    KeyView {
        id: "key_1".to_owned(),
        name: "n".to_owned(),
        app: None,
        models: Vec::new(),
        prefix: "sk-sluice-abcd".to_owned(),
        expires_at: None,
        previous_expires_at: Some("2026-11-23T08:00:00.000Z".to_owned()),
        enabled: true,
        created_at: "2026-11-23T08:00:00.000Z".to_owned(),
    }
}

fn list<T>(item: T) -> List<T> {
    List {
        items: vec![item],
        next_cursor: Some("0.srv_1".to_owned()),
    }
}

#[test]
fn every_view_fits_its_schema_and_has_no_field_that_is_not_in_it() {
    let ready = ReadyView {
        status: "ready".to_owned(),
        database: true,
        limiter: true,
        config_version: None,
        schema_version: Some(2),
        problems: vec![String::new()],
        warnings: Vec::new(),
    };
    let version = ConfigVersionView {
        version: 1,
        age_ms: 0,
    };
    let entry = AuditView {
        id: 1,
        at: "2026-11-23T08:00:00.000Z".to_owned(),
        actor: "admin".to_owned(),
        action: "create".to_owned(),
        target_kind: "server".to_owned(),
        target_id: "srv_1".to_owned(),
        detail: json!({"name": "n"}),
    };
    let values = [
        ("Server", json!(server_view())),
        ("ServerList", json!(list(server_view()))),
        ("Live", json!(live_view())),
        ("LiveList", json!(list(live_view()))),
        ("Key", json!(key_view())),
        ("KeyList", json!(list(key_view()))),
        ("Ready", json!(ready)),
        ("ConfigVersion", json!(version)),
        (
            "ServerTest",
            json!(ServerTestView::key_unreadable(OpenError::UnknownKey)),
        ),
        ("Session", json!(Identity::of_token(Role::Viewer).view())),
        ("AuditEntry", json!(entry)),
        ("AuditEntryList", json!(list(entry))),
    ];
    for (name, value) in values {
        let schema = validator(name, true);
        fits(&schema, &value);
        for field in value.as_object().expect("an object").keys() {
            let mut less = value.clone();
            less.as_object_mut().expect("an object").remove(field);
            assert!(!schema.is_valid(&less), "{name} without {field}");
        }
    }
}

/// Values at the bounds of some field, just beyond them, and of other types.
fn values(random: &mut Random) -> Value {
    let lengths = [0, 1, 2, 63, 64, 65, 127, 128, 129, 512, 513];
    let starts = [
        "a",
        " a",
        "*",
        "a*b",
        "\u{7f}",
        "\u{85}",
        "\u{a0}",
        "\u{feff}",
        "\u{3000}b",
        "例",
        "~",
        "",
    ];
    let text = |random: &mut Random| {
        let start = *random.pick(&starts);
        let length = *random.pick(&lengths);
        let rest: String = std::iter::repeat_n('x', length).collect();
        let end = *random.pick(&["", "", " ", "*", "\n", "é"]);
        json!(format!("{start}{rest}{end}"))
    };
    match random.below(12) {
        0 => Value::Null,
        1 => json!(random.one_in(2)),
        2 => json!(random.pick(&[-1, 0, 1, 999, 1_000, 100_000, 100_001, 600_000, 600_001])),
        3 => json!(random.pick(&[
            1_000_000_u64,
            1_000_001,
            3_600_001,
            1_000_000_000,
            1_000_000_001
        ])),
        4 => json!(random.pick(&[-0.5, 0.0, 1.5, 60.0, 1e3, 1e300])),
        5 => json!(random.pick(&[
            "evict_oldest",
            "reject_newest",
            "wait",
            "next_server",
            "Wait"
        ])),
        6 => json!(random.pick(&[
            "https://a.example",
            "http://127.0.0.1:1",
            "ftp://a",
            "https://a?b"
        ])),
        7 => json!(random.pick(&[
            "2027-01-31T08:00:00Z",
            "2027-01-31",
            "1999-01-01t00:00:00.5+08:00",
            "1960-01-01T00:00:00Z"
        ])),
        8 => {
            let count = random.below(4);
            (0..count).map(|_| text(random)).collect()
        }
        9 => {
            let count = *random.pick(&[255, 256, 257, 1_000, 1_001]);
            (0..count).map(|n: u32| json!(n.to_string())).collect()
        }
        _ => text(random),
    }
}

type Parse<'a> = Box<dyn Fn(&[u8]) -> Result<(), GatewayError> + 'a>;

#[test]
fn a_body_is_accepted_if_and_only_if_it_fits_its_schema() {
    let rules = Rules::default();
    let now = admission::time::Instant::from_millis(0);
    let server =
        json!({"name": "n", "base_url": "https://a.example", "models": ["m"], "api_key": "k"});
    let parsers: [(&str, Value, Parse<'_>); 9] = [
        (
            "ServerCreate",
            server.clone(),
            Box::new(|body| ServerCreate::parse(body, rules).map(drop)),
        ),
        (
            "ServerReplace",
            server,
            Box::new(|body| ServerReplace::parse(body, rules).map(drop)),
        ),
        (
            "ServerPatch",
            json!({}),
            Box::new(|body| ServerPatch::parse(body, rules).map(drop)),
        ),
        (
            "ServerOrder",
            json!({"ids": []}),
            Box::new(|body| ServerOrder::parse(body).map(drop)),
        ),
        (
            "KeyCreate",
            json!({"name": "n"}),
            Box::new(|body| KeyCreate::parse(body, now).map(drop)),
        ),
        (
            "KeyPatch",
            json!({}),
            Box::new(|body| KeyPatch::parse(body).map(drop)),
        ),
        (
            "KeyRotate",
            json!({}),
            Box::new(|body| KeyRotate::parse(body).map(drop)),
        ),
        (
            "SignIn",
            json!({"token": "t"}),
            Box::new(|body| SignIn::parse(body).map(drop)),
        ),
        (
            "DatabaseFault",
            json!({"available": true}),
            Box::new(|body| DatabaseFault::parse(body).map(drop)),
        ),
    ];
    let mut random = Random::announced("openapi bodies");
    let (document, _) = document();
    for (name, shortest, parse) in parsers {
        let schema = validator(name, false);
        let properties = &document["components"]["schemas"][name]["properties"];
        let mut fields: Vec<&str> = properties
            .as_object()
            .expect("an object's schema")
            .keys()
            .map(String::as_str)
            .collect();
        fields.push("unknown");
        let mut accepted = 0;
        for _ in 0..BODIES {
            let mut body = shortest.clone();
            for _ in 0..=random.below(2) {
                let field = *random.pick(&fields);
                body[field] = values(&mut random);
            }
            if random.one_in(20) {
                let field = *random.pick(&fields);
                body.as_object_mut().expect("an object").remove(field);
            }
            let parsed = parse(body.to_string().as_bytes());
            accepted += usize::from(parsed.is_ok());
            assert_eq!(
                parsed.is_ok(),
                schema.is_valid(&body),
                "{name}: {body}: {parsed:?}"
            );
        }
        assert!(
            accepted > BODIES / 50,
            "{name}: only {accepted} were accepted"
        );
    }
}
