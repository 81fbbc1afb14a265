//! 谁可以做什么，以及什么永不出现。
//!
//! Roles, methods, media types, unknown ids; answers without secrets; live figures.

use libtest_mimic::Trial;
use serde_json::json;

use super::{create, draft, with};
use crate::stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        tokens_decide_who_may_what,
        wrong_methods_types_and_ids_are_refused,
        no_answer_shows_a_secret,
        live_figures_have_their_fields
    ]
}

async fn tokens_decide_who_may_what() {
    let gateway = stage::gateway().await;
    let server = create(gateway, &draft("admin-roles")).await;
    let path = format!("/api/servers/{}", server["id"].as_str().expect("an id"));
    let live = format!("{path}/live");
    let reads = [
        "/api/servers",
        &path,
        &live,
        "/api/live",
        "/api/keys",
        "/api/config/version",
    ];
    let writes = [
        ("POST", "/api/servers"),
        ("PUT", "/api/servers/order"),
        ("PUT", &path),
        ("PATCH", &path),
        ("DELETE", &path),
        ("POST", "/api/keys"),
        ("PATCH", "/api/keys/key_none"),
        ("DELETE", "/api/keys/key_none"),
    ];
    let gateway_key = stage::key().await;
    for read in reads {
        gateway
            .request("GET", read)
            .token(gateway.viewer_token())
            .send()
            .await
            .expect(200);
        gateway
            .request("GET", read)
            .send()
            .await
            .expect_error(401, "unauthorized");
        gateway
            .request("GET", read)
            .token("")
            .send()
            .await
            .expect_error(401, "unauthorized");
        gateway
            .request("GET", read)
            .token(&gateway_key.secret)
            .send()
            .await
            .expect_error(401, "unauthorized");
        let shorter = &gateway.admin_token()[..gateway.admin_token().len() - 1];
        gateway
            .request("GET", read)
            .token(shorter)
            .send()
            .await
            .expect_error(401, "unauthorized");
    }
    for (method, write) in writes {
        let body = json!({});
        let viewer = gateway
            .request(method, write)
            .token(gateway.viewer_token())
            .json(&body);
        viewer.send().await.expect_error(403, "forbidden");
        gateway
            .request(method, write)
            .json(&body)
            .send()
            .await
            .expect_error(401, "unauthorized");
    }
    assert_eq!(
        gateway.admin("GET", &path).send().await.expect(200).json(),
        server
    );
    gateway.admin("DELETE", &path).send().await.expect(204);
}

async fn wrong_methods_types_and_ids_are_refused() {
    let gateway = stage::gateway().await;
    for (method, path) in [
        ("DELETE", "/api/servers"),
        ("PUT", "/api/servers"),
        ("POST", "/api/servers/srv_x"),
        ("GET", "/api/servers/order"),
        ("POST", "/api/live"),
        ("DELETE", "/api/config/version"),
        ("PUT", "/api/keys"),
    ] {
        let answer = gateway
            .admin(method, path)
            .send()
            .await
            .expect_error(405, "method_not_allowed");
        assert!(answer.header("allow").is_some(), "{method} {path}");
    }
    for path in [
        "/api/servers/srv_none",
        "/api/servers/srv_none/live",
        "/api/keys/key_none",
        "/api/servers/%2e%2e",
        "/api/none",
    ] {
        gateway
            .admin("GET", path)
            .send()
            .await
            .expect_error(404, "not_found");
    }
    let body = draft("admin-type").to_string();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let request = gateway
            .admin("POST", "/api/servers")
            .header("content-type", content_type)
            .body(body.clone());
        request
            .send()
            .await
            .expect_error(415, "unsupported_media_type");
    }
    let charset = gateway
        .admin("POST", "/api/servers")
        .header("content-type", "application/json; charset=utf-8");
    let created = charset.body(body).send().await.expect(201).json();
    let path = format!("/api/servers/{}", created["id"].as_str().expect("an id"));
    gateway.admin("DELETE", &path).send().await.expect(204);
    let huge = format!("{{\"name\":\"{}\"}}", "n".repeat(1024 * 1024));
    let request = gateway
        .admin("POST", "/api/keys")
        .header("content-type", "application/json")
        .body(huge);
    request.send().await.expect_error(413, "body_too_large");
}

async fn no_answer_shows_a_secret() {
    let gateway = stage::gateway().await;
    let secret = "sk-very-secret-upstream-key-24680";
    let server = gateway.admin("POST", "/api/servers").json(&with(
        draft("admin-secret"),
        "api_key",
        json!(secret),
    ));
    let server = server.send().await.expect(201);
    let path = format!(
        "/api/servers/{}",
        server.json()["id"].as_str().expect("an id")
    );
    let rename = gateway
        .admin("PATCH", &path)
        .json(&json!({"api_key": secret, "name": "admin-secret-2"}));
    let bad = gateway
        .admin("PATCH", &path)
        .json(&json!({"api_key": format!("{secret} with space")}));
    let answers = [
        server,
        rename.send().await.expect(200),
        bad.send().await.expect_error(422, "invalid_field"),
        gateway.admin("GET", &path).send().await.expect(200),
        gateway
            .admin("GET", "/api/servers?limit=500")
            .send()
            .await
            .expect(200),
    ];
    for answer in answers {
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    gateway.admin("DELETE", &path).send().await.expect(204);
}

async fn live_figures_have_their_fields() {
    let gateway = stage::gateway().await;
    let server = create(gateway, &with(draft("admin-live"), "rpm_limit", json!(7))).await;
    let id = server["id"].as_str().expect("an id");
    let live = gateway.live(id).await;
    for field in [
        "server_id",
        "name",
        "enabled",
        "queue_length",
        "queue_oldest_wait_ms",
        "in_flight",
        "rpm_used",
        "rpm_limit",
        "tpm_used",
        "tpm_limit",
        "max_concurrency",
        "next_grant_in_ms",
        "paused_until",
        "config_version",
    ] {
        assert!(live.get(field).is_some(), "{field} is missing: {live}");
    }
    assert_eq!(
        (&live["server_id"], &live["name"]),
        (&json!(id), &json!("admin-live"))
    );
    assert_eq!(
        (&live["rpm_limit"], &live["rpm_used"], &live["queue_length"]),
        (&json!(7), &json!(0), &json!(0))
    );
    let all = gateway
        .admin("GET", "/api/live")
        .send()
        .await
        .expect(200)
        .json();
    let items = all["items"].as_array().expect("items");
    assert!(items.iter().any(|item| item["server_id"] == id), "{all}");
    gateway
        .admin("DELETE", &format!("/api/servers/{id}"))
        .send()
        .await
        .expect(204);
}
