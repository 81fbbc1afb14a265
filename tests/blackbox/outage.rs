//! 数据库失效：推理照常，管理接口说明白，恢复后如初。
//!
//! D1 is made unavailable by the fault switch, on a gateway of the test's own.

mod journal;

use std::time::Duration;

use gateway_tests::harness::{Gateway, SOON, within};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::disk;
use crate::stage::{self, Stage};

/// From this age on a copy of the configuration is asked for again before it is used.
const EXPIRED_MS: u64 = 5_000;

/// Between two looks.
const POLL: Duration = Duration::from_millis(200);

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        without_the_database_inference_goes_on_and_the_admin_api_says_so,
        switch_of_the_database_exists_only_where_faults_may_be_injected,
        database_that_is_older_than_the_code_is_not_ready,
    ]
    .into_iter()
    .chain(journal::trials())
    .collect()
}

async fn switch(gateway: &Gateway, available: bool) {
    let switch = gateway.admin("PUT", "/api/faults/database");
    let switch = switch.json(&json!({ "available": available }));
    switch.send().await.expect(204);
}

async fn without_the_database_inference_goes_on_and_the_admin_api_says_so() {
    let gateway = Gateway::serve().with_faults().start().await;
    let key = gateway.key("outage").create().await;
    let stage = Stage::on(&gateway, &key, "outage", |draft| draft).await;
    stage.chat().send().await.expect(200);
    switch(&gateway, false).await;

    let ready = gateway
        .request("GET", "/health/ready")
        .send()
        .await
        .expect(503)
        .json();
    assert_eq!(
        (&ready["status"], &ready["database"], &ready["limiter"]),
        (&json!("not_ready"), &json!(false), &json!(true))
    );
    assert_eq!(
        (&ready["config_version"], &ready["schema_version"]),
        (&Value::Null, &Value::Null)
    );
    let server = stage.server.path();
    let draft = gateway
        .server("outage-2")
        .provider(&stage.provider)
        .model("x")
        .body();
    let test = format!("{server}/test");
    for (method, path, body) in [
        ("GET", "/api/servers", None),
        ("GET", "/api/keys", None),
        ("GET", "/api/audit", None),
        ("GET", server.as_str(), None),
        ("POST", "/api/servers", Some(draft)),
        ("POST", "/api/keys", Some(json!({"name": "outage-2"}))),
        ("PATCH", server.as_str(), Some(json!({"rpm_limit": 1}))),
        ("DELETE", server.as_str(), None),
        ("POST", test.as_str(), None),
    ] {
        let request = gateway.admin(method, path);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        request
            .send()
            .await
            .expect_error(503, "storage_unavailable");
    }
    // The writes that failed have cost this isolate nothing that it knew.
    stage.chat().send().await.expect(200);
    stage.chat().stream().send().await.expect(200);
    within(SOON, "every copy is too old to be used unasked", async {
        loop {
            let version = gateway.admin("GET", "/api/config/version").send().await;
            let version = version.expect(200).json();
            if version["age_ms"].as_u64() > Some(EXPIRED_MS) {
                break;
            }
            stage.chat().send().await.expect(200);
            tokio::time::sleep(POLL).await;
        }
    })
    .await;
    stage.chat().send().await.expect(200);
    let models = gateway.models(&key).await.expect(200).json();
    assert_eq!(models["data"][0]["id"], "outage");
    // Nobody can say whether a key exists that was never seen.
    let unknown = gateway.chat_with("sk-sluice-never-seen").model("outage");
    unknown
        .send()
        .await
        .expect_error(503, "storage_unavailable");

    switch(&gateway, true).await;
    let ready = gateway
        .request("GET", "/health/ready")
        .send()
        .await
        .expect(200)
        .json();
    assert!(ready["schema_version"].as_u64() >= Some(2), "{ready}");
    let read = gateway
        .admin("GET", &server)
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(
        read, stage.server.object,
        "no write of the outage has happened"
    );
    stage.patch(json!({"enabled": false})).await;
    gateway.in_force().await;
    stage
        .chat()
        .send()
        .await
        .expect_error(404, "model_not_found");
}

async fn switch_of_the_database_exists_only_where_faults_may_be_injected() {
    let off = json!({"available": false});
    let usual = stage::gateway().await;
    let absent = usual.admin("PUT", "/api/faults/database").json(&off);
    absent.send().await.expect_error(404, "not_found");
    let faulty = stage::faulty_gateway().await;
    let put = || faulty.admin("PUT", "/api/faults/database");
    let viewer = put().token(faulty.viewer_token()).json(&off);
    viewer.send().await.expect_error(403, "forbidden");
    let nobody = put().anonymous().json(&off);
    nobody.send().await.expect_error(401, "unauthorized");
    for bad in [
        json!({}),
        json!({"available": 0}),
        json!({"available": true, "x": 1}),
    ] {
        put()
            .json(&bad)
            .send()
            .await
            .expect_error(422, "invalid_field");
    }
    faulty.admin("GET", "/api/servers").send().await.expect(200);
}

async fn database_that_is_older_than_the_code_is_not_ready() {
    let state = TempDir::with_prefix("sluice-state-").expect("a temporary directory");
    let start = || Gateway::serve().state(state.path()).start();
    for older in [
        "UPDATE schema_version SET version = 1",
        // As the first migration left it.
        "DROP TABLE schema_version",
    ] {
        let gateway = start().await;
        gateway.stop(Signal::SIGTERM, SOON).await;
        disk::change(state.path(), older, &[]);
        let gateway = start().await;
        let ready = gateway.request("GET", "/health/ready").send().await;
        let ready = ready.expect(503).json();
        assert_eq!(
            (&ready["database"], &ready["schema_version"]),
            (&json!(true), &json!(1))
        );
        let problem = ready["problems"][0].as_str().expect("a problem");
        assert!(problem.contains("apply the migrations"), "{problem}");
        gateway.stop(Signal::SIGTERM, SOON).await;
    }
}
