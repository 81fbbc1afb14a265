//! 逐字段校验：错在哪，就说哪。
//!
//! Every field of a body with values that it must refuse, by the field's name.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{create, draft, names, with};
use crate::stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        every_field_of_a_server_is_validated,
        every_field_of_a_key_is_validated
    ]
}

async fn every_field_of_a_server_is_validated() {
    let gateway = stage::gateway().await;
    let long = "n".repeat(65);
    let far = format!("https://example.com/{}", "p".repeat(3000));
    let bad: Vec<(&str, Vec<Value>)> = vec![
        (
            "name",
            vec![json!(""), json!(1), Value::Null, json!(long), json!("a\nb")],
        ),
        (
            "base_url",
            vec![
                json!(""),
                json!("example.com"),
                json!("/v1"),
                json!("ftp://example.com"),
                json!("http://example.com"),
                json!("http://10.0.0.1"),
                json!("https://user:pw@example.com"),
                json!("https://user@example.com"),
                json!("https://example.com/?a=b"),
                json!("https://example.com/#x"),
                json!("https://"),
                json!("https:///v1"),
                json!("https://exa mple.com"),
                json!("javascript:alert(1)"),
                json!("http://localhost.example.com"),
                json!("http://127.0.0.1.example.com"),
                json!(7),
                json!(far),
            ],
        ),
        (
            "models",
            vec![
                json!([]),
                json!("m"),
                json!([1]),
                json!([""]),
                json!(["a*b"]),
                json!(["*a"]),
                json!(["a", "a"]),
                Value::Null,
            ],
        ),
        ("enabled", vec![json!("yes"), json!(1), Value::Null]),
        (
            "rpm_limit",
            vec![json!(-1), json!(1.5), json!("10"), json!(1e300)],
        ),
        (
            "tpm_limit",
            vec![json!(-1), json!(0.1), json!(true), json!([])],
        ),
        ("max_concurrency", vec![json!(-1), json!("2")]),
        (
            "queue_max",
            vec![
                json!(-1),
                json!(1.5),
                Value::Null,
                json!(10_000_000_000_u64),
            ],
        ),
        (
            "queue_timeout_ms",
            vec![json!(-1), Value::Null, json!(10_000_000_000_u64)],
        ),
        ("on_full", vec![json!("drop"), json!(""), Value::Null]),
        ("overflow", vec![json!("spill"), Value::Null]),
        (
            "upstream_timeout_ms",
            vec![json!(0), json!(-5), Value::Null],
        ),
        (
            "api_key",
            vec![
                json!(""),
                json!("has space"),
                json!("new\nline"),
                json!(5),
                json!("\u{e9}"),
            ],
        ),
        ("no_such_field", vec![json!(1)]),
        ("id", vec![json!("srv_mine")]),
    ];
    for (field, values) in &bad {
        for value in values {
            let body = with(draft("admin-invalid"), field, value.clone());
            let what = format!(
                "{field} = {}",
                value.to_string().chars().take(60).collect::<String>()
            );
            names(
                gateway
                    .admin("POST", "/api/servers")
                    .json(&body)
                    .send()
                    .await,
                field,
                &what,
            );
        }
    }
    for field in ["name", "base_url", "models", "api_key"] {
        let mut body = draft("admin-missing");
        body.as_object_mut().expect("an object").remove(field);
        names(
            gateway
                .admin("POST", "/api/servers")
                .json(&body)
                .send()
                .await,
            field,
            &format!("no {field}"),
        );
    }
    let server = create(gateway, &draft("admin-valid")).await;
    let path = format!("/api/servers/{}", server["id"].as_str().expect("an id"));
    for (field, values) in &bad {
        let change = json!({*field: values[0]});
        names(
            gateway.admin("PATCH", &path).json(&change).send().await,
            field,
            &format!("PATCH {change}"),
        );
    }
    assert_eq!(
        gateway.admin("GET", &path).send().await.expect(200).json(),
        server,
        "nothing was changed"
    );
    for good in [
        "https://example.com",
        "https://example.com:8443/a/b",
        "http://127.0.0.1:9",
        "http://localhost:9/v1",
        "http://[::1]:9",
    ] {
        gateway
            .admin("PATCH", &path)
            .json(&json!({"base_url": good}))
            .send()
            .await
            .expect(200);
    }
    for broken in ["", "{", "[]", "null", "{\"name\":\"a\"} x"] {
        let request = gateway
            .admin("POST", "/api/servers")
            .header("content-type", "application/json")
            .body(broken);
        request.send().await.expect_error(400, "invalid_json");
    }
    gateway.admin("DELETE", &path).send().await.expect(204);
}

async fn every_field_of_a_key_is_validated() {
    let gateway = stage::gateway().await;
    let long = "a".repeat(65);
    let bad: Vec<(&str, Vec<Value>)> = vec![
        ("name", vec![json!(""), json!(3), Value::Null]),
        (
            "app",
            vec![
                json!(""),
                json!("caf\u{e9}"),
                json!("a\tb"),
                json!(long),
                json!(1),
            ],
        ),
        (
            "models",
            vec![json!("m"), json!([""]), json!([null]), json!(["a*b"])],
        ),
        (
            "expires_at",
            vec![
                json!("tomorrow"),
                json!("2020-01-01T00:00:00Z"),
                json!(1),
                json!("2999-13-01T00:00:00Z"),
            ],
        ),
        ("enabled", vec![json!("no")]),
        ("key", vec![json!("sk-mine")]),
        ("no_such_field", vec![json!(1)]),
    ];
    for (field, values) in &bad {
        for value in values {
            let body = with(json!({"name": "invalid"}), field, value.clone());
            names(
                gateway.admin("POST", "/api/keys").json(&body).send().await,
                field,
                &body.to_string(),
            );
        }
    }
    names(
        gateway
            .admin("POST", "/api/keys")
            .json(&json!({}))
            .send()
            .await,
        "name",
        "no name",
    );
}
