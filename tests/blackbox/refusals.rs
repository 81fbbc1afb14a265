//! 拒绝：每种坏输入各有代码，先错先报。
//!
//! The checks of the data plane in their order, each with every input that it
//! must refuse, and the one shape of all refusals. Callers and bodies have files
//! of their own.

mod body;
mod caller;

use libtest_mimic::Trial;

use crate::stage::Stage;

pub(crate) fn trials() -> Vec<Trial> {
    let here = crate::trials![
        model_that_nobody_serves_is_not_found,
        first_failing_check_answers,
        unknown_paths_and_methods_are_refused_in_the_same_shape,
        health_needs_nothing
    ];
    [caller::trials(), body::trials(), here]
        .into_iter()
        .flatten()
        .collect()
}

async fn model_that_nobody_serves_is_not_found() {
    let stage = Stage::new("refuse-unserved").await;
    stage
        .chat()
        .model("refuse-unserved-2")
        .send()
        .await
        .expect_error(404, "model_not_found");
    stage
        .chat()
        .model("REFUSE-UNSERVED")
        .send()
        .await
        .expect_error(404, "model_not_found");
    let restricted = stage
        .gateway
        .key("restricted")
        .models(&["refuse-other-*"])
        .create()
        .await;
    let hidden = stage
        .gateway
        .chat(&restricted)
        .model(&stage.model)
        .send()
        .await
        .expect_error(404, "model_not_found");
    let absent = stage
        .gateway
        .chat(&restricted)
        .model("refuse-absent")
        .send()
        .await
        .expect_error(404, "model_not_found");
    let plain = |text: String| {
        text.replace("refuse-unserved", "M")
            .replace("refuse-absent", "M")
    };
    let message = |answer: &gateway_tests::harness::Answer| {
        plain(answer.json()["error"]["message"].to_string())
    };
    assert_eq!(message(&hidden), message(&absent), "as if it did not exist");
}

async fn first_failing_check_answers() {
    let stage = Stage::new("refuse-order").await;
    let bad = || stage.chat().body("{");
    bad()
        .header("authorization", "Bearer no")
        .without("app-name")
        .send()
        .await
        .expect_error(401, "invalid_api_key");
    bad()
        .without("app-name")
        .send()
        .await
        .expect_error(400, "missing_app_name");
    bad()
        .app(&"a".repeat(65))
        .send()
        .await
        .expect_error(400, "invalid_app_name");
    bad().send().await.expect_error(400, "invalid_json");
    let bound = stage.gateway.key("order").app("billing").create().await;
    stage
        .gateway
        .chat(&bound)
        .body("{")
        .send()
        .await
        .expect_error(403, "app_not_allowed");
    stage
        .chat()
        .body("{}")
        .send()
        .await
        .expect_error(400, "missing_model");
}

async fn unknown_paths_and_methods_are_refused_in_the_same_shape() {
    let gateway = crate::stage::gateway().await;
    for path in [
        "/v1",
        "/v1/",
        "/v1/chat",
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "/api/nothing",
        "/v1/models/x/y",
    ] {
        gateway
            .request("POST", path)
            .send()
            .await
            .expect_error(404, "not_found");
    }
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let answer = gateway.request(method, "/v1/chat/completions").send().await;
        let answer = answer.expect_error(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    let answer = gateway
        .request("POST", "/v1/models")
        .send()
        .await
        .expect_error(405, "method_not_allowed");
    assert!(
        answer
            .header("allow")
            .is_some_and(|allow| allow.contains("GET")),
        "{:?}",
        answer.headers
    );
}

async fn health_needs_nothing() {
    let gateway = crate::stage::gateway().await;
    gateway.request("GET", "/health").send().await.expect(200);
    gateway.request("HEAD", "/health").send().await.expect(200);
    gateway
        .request("POST", "/health")
        .send()
        .await
        .expect_error(405, "method_not_allowed");
    let ready = gateway
        .request("GET", "/health/ready")
        .send()
        .await
        .expect(200)
        .json();
    assert!(ready.is_object(), "{ready}");
}
