//! 来者是谁：密钥与应用名。
//!
//! Checks 1 and 2 of the data plane, and the variables that relax them.

use gateway_tests::harness::raw::{self, Connection};
use gateway_tests::harness::{APP, Gateway, SOON, within};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use serde_json::json;

use crate::stage::Stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        key_that_is_missing_or_unknown_is_invalid_api_key,
        key_is_taken_from_either_header,
        disabled_expired_and_deleted_keys_are_refused,
        app_name_is_required_and_checked,
        app_of_another_key_is_not_allowed,
        app_name_may_come_from_the_key,
        clients_need_no_key_where_that_is_configured
    ]
}

async fn key_that_is_missing_or_unknown_is_invalid_api_key() {
    let stage = Stage::new("refuse-key").await;
    stage
        .chat()
        .without("authorization")
        .send()
        .await
        .expect_error(401, "invalid_api_key");
    let basic = format!("Basic {}", stage.key.secret);
    let twice = format!("Bearer Bearer {}", stage.key.secret);
    let longer = format!("Bearer {}x", stage.key.secret);
    let shorter = format!("Bearer {}", &stage.key.secret[..stage.key.secret.len() - 1]);
    let huge = format!("Bearer {}", "k".repeat(4000));
    for authorization in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        &basic,
        &twice,
        &longer,
        &shorter,
        &huge,
    ] {
        let answer = stage
            .chat()
            .header("authorization", authorization)
            .send()
            .await;
        answer.expect_error(401, "invalid_api_key");
    }
    let server_key = format!("Bearer {}", stage.server.api_key);
    stage
        .chat()
        .header("authorization", &server_key)
        .send()
        .await
        .expect_error(401, "invalid_api_key");
    let admin = format!("Bearer {}", stage.gateway.admin_token());
    stage
        .chat()
        .header("authorization", &admin)
        .send()
        .await
        .expect_error(401, "invalid_api_key");
    stage
        .gateway
        .request("GET", "/v1/models")
        .header("app-name", APP)
        .send()
        .await
        .expect_error(401, "invalid_api_key");
    assert!(stage.provider.ledger().entries().is_empty());
}

async fn key_is_taken_from_either_header() {
    let stage = Stage::new("refuse-either").await;
    stage
        .chat()
        .without("authorization")
        .header("x-api-key", &stage.key.secret)
        .send()
        .await
        .expect(200);
    let lower = format!("bearer {}", stage.key.secret);
    stage
        .chat()
        .header("authorization", &lower)
        .send()
        .await
        .expect(200);
}

async fn disabled_expired_and_deleted_keys_are_refused() {
    let stage = Stage::new("refuse-lifetime").await;
    let deleted = stage.gateway.key("deleted").create().await;
    let disabled = stage.gateway.key("disabled").create().await;
    for key in [&deleted, &disabled] {
        stage
            .gateway
            .chat(key)
            .model(&stage.model)
            .send()
            .await
            .expect(200);
    }
    let path = |id: &str| format!("/api/keys/{id}");
    stage
        .gateway
        .admin("DELETE", &path(&deleted.id))
        .send()
        .await
        .expect(204);
    stage
        .gateway
        .admin("PATCH", &path(&disabled.id))
        .json(&json!({"enabled": false}))
        .send()
        .await
        .expect(200);
    stage.gateway.in_force().await;
    for key in [&deleted, &disabled] {
        stage
            .gateway
            .chat(key)
            .model(&stage.model)
            .send()
            .await
            .expect_error(401, "invalid_api_key");
    }
}

async fn app_name_is_required_and_checked() {
    let stage = Stage::new("refuse-app").await;
    stage
        .chat()
        .without("app-name")
        .send()
        .await
        .expect_error(400, "missing_app_name");
    let long = "a".repeat(65);
    for app in [long.as_str(), "tab\there"] {
        stage
            .chat()
            .app(app)
            .send()
            .await
            .expect_error(400, "invalid_app_name");
    }
    let longest = "a".repeat(64);
    for app in ["a", "My App / v1.2 (beta)", longest.as_str()] {
        stage.chat().app(app).send().await.expect(200);
    }
    // Bytes that no client library sends: UTF-8 in a header.
    let address = stage.gateway.address();
    let authorization = format!("Bearer {}", stage.key.secret);
    let headers = [
        ("authorization", authorization.as_str()),
        ("app-name", "caf\u{e9}"),
    ];
    let mut connection = Connection::open(address)
        .await
        .expect("the gateway listens");
    let request = raw::post(
        "/v1/chat/completions",
        address,
        &headers,
        &stage.chat().bytes(),
    );
    connection.send(&request).await.expect("the gateway reads");
    let reply = within(SOON, "an answer", connection.reply(false))
        .await
        .expect("open")
        .expect("an answer");
    assert_eq!(
        reply.head.status,
        400,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    assert!(String::from_utf8_lossy(&reply.body).contains("invalid_app_name"));
}

async fn app_of_another_key_is_not_allowed() {
    let stage = Stage::new("refuse-other-app").await;
    let bound = stage.gateway.key("bound").app("billing").create().await;
    let chat = || stage.gateway.chat(&bound).model(&stage.model);
    chat().app("billing").send().await.expect(200);
    chat()
        .app("other")
        .send()
        .await
        .expect_error(403, "app_not_allowed");
    chat()
        .without("app-name")
        .send()
        .await
        .expect_error(400, "missing_app_name");
}

async fn app_name_may_come_from_the_key() {
    let gateway = Gateway::serve()
        .variable("APP_NAME", "from-key")
        .variable("BODY_BYTES_MAX", "2048")
        .start()
        .await;
    let provider = Provider::start();
    gateway
        .server("from-key")
        .provider(&provider)
        .model("m")
        .create()
        .await;
    let bound = gateway.key("bound").app("billing").create().await;
    let free = gateway.key("free").create().await;
    gateway.in_force().await;
    gateway
        .chat(&bound)
        .model("m")
        .without("app-name")
        .send()
        .await
        .expect(200);
    gateway
        .chat(&bound)
        .model("m")
        .app("other")
        .send()
        .await
        .expect_error(403, "app_not_allowed");
    gateway
        .chat(&free)
        .model("m")
        .without("app-name")
        .send()
        .await
        .expect_error(400, "missing_app_name");
    let body = format!("{{\"model\":\"m\",\"x\":\"{}\"}}", "p".repeat(2048));
    gateway
        .chat(&bound)
        .body(body)
        .app("billing")
        .send()
        .await
        .expect_error(413, "body_too_large");
}

async fn clients_need_no_key_where_that_is_configured() {
    let gateway = Gateway::serve()
        .variable("CLIENT_AUTH", "off")
        .start()
        .await;
    let provider = Provider::start();
    gateway
        .server("off")
        .provider(&provider)
        .model("m")
        .create()
        .await;
    gateway.in_force().await;
    gateway
        .chat_with("anything")
        .model("m")
        .send()
        .await
        .expect(200);
    gateway
        .chat_with("")
        .without("authorization")
        .model("m")
        .send()
        .await
        .expect(200);
    gateway
        .chat_with("")
        .without("app-name")
        .model("m")
        .send()
        .await
        .expect_error(400, "missing_app_name");
    gateway
        .request("GET", "/api/servers")
        .send()
        .await
        .expect_error(401, "unauthorized");
    let ready = gateway
        .request("GET", "/health/ready")
        .send()
        .await
        .expect(200)
        .text();
    assert!(
        ready.contains("CLIENT_AUTH"),
        "the readiness answer warns: {ready}"
    );
}
