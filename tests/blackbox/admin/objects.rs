//! 对象的一生：服务器与网关密钥。
//!
//! Create, read, update, delete, order and pages of servers and gateway keys.

use futures_util::future::join_all;
use gateway_tests::harness::Gateway;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{create, draft, names};
use crate::stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        server_lives_through_create_read_update_delete,
        key_is_shown_once_and_lives_until_deleted,
        lost_update_is_refused,
        of_many_concurrent_edits_one_wins_and_the_others_change_nothing,
        lists_are_paged,
        order_must_name_every_server_once
    ]
}

fn is_time(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z'))
}

async fn server_lives_through_create_read_update_delete() {
    let gateway = stage::gateway().await;
    let created = gateway
        .admin("POST", "/api/servers")
        .json(&draft("admin-crud"))
        .send()
        .await
        .expect(201);
    let etag = created.header("etag").expect("an ETag").to_owned();
    let server = created.json();
    for (field, expected) in [
        ("name", json!("admin-crud")),
        ("base_url", json!("https://api.example.com/v1")),
        ("models", json!(["admin-crud"])),
        ("enabled", json!(true)),
        ("rpm_limit", Value::Null),
        ("tpm_limit", Value::Null),
        ("max_concurrency", Value::Null),
        ("queue_max", json!(100)),
        ("queue_timeout_ms", json!(60_000)),
        ("on_full", json!("evict_oldest")),
        ("overflow", json!("wait")),
    ] {
        assert_eq!(server[field], expected, "{field}");
    }
    assert!(
        server["upstream_timeout_ms"].is_u64()
            && server["position"].is_u64()
            && server["version"].is_u64()
    );
    assert!(
        is_time(&server["created_at"]) && is_time(&server["updated_at"]),
        "{server}"
    );
    assert!(server.get("api_key").is_none(), "write-only");
    assert!(server["api_key_hint"].is_string());
    assert!(etag.contains(&server["version"].to_string()));

    let path = format!("/api/servers/{}", server["id"].as_str().expect("an id"));
    let read = gateway.admin("GET", &path).send().await.expect(200);
    assert_eq!(read.json(), server);
    assert_eq!(read.header("etag"), Some(etag.as_str()));

    let patched = gateway
        .admin("PATCH", &path)
        .json(&json!({"rpm_limit": 5, "name": "admin-crud-2"}))
        .send()
        .await;
    let patched = patched.expect(200).json();
    assert_eq!(
        (&patched["rpm_limit"], &patched["name"]),
        (&json!(5), &json!("admin-crud-2"))
    );
    assert_eq!(patched["models"], server["models"], "the others stay");
    assert_ne!(patched["version"], server["version"]);
    let cleared = gateway
        .admin("PATCH", &path)
        .json(&json!({"rpm_limit": null}))
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(cleared["rpm_limit"], Value::Null, "null clears");

    let mut replacement = draft("admin-crud-3");
    replacement
        .as_object_mut()
        .expect("an object")
        .remove("api_key");
    let replaced = gateway
        .admin("PUT", &path)
        .json(&replacement)
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(replaced["name"], "admin-crud-3");
    assert_eq!(
        replaced["api_key_hint"], server["api_key_hint"],
        "a key that is not sent stays"
    );
    assert_eq!(
        (&replaced["id"], &replaced["created_at"]),
        (&server["id"], &server["created_at"])
    );

    gateway.admin("DELETE", &path).send().await.expect(204);
    for method in ["GET", "DELETE"] {
        gateway
            .admin(method, &path)
            .send()
            .await
            .expect_error(404, "not_found");
    }
    gateway
        .admin("PATCH", &path)
        .json(&json!({"rpm_limit": 1}))
        .send()
        .await
        .expect_error(404, "not_found");
}

async fn key_is_shown_once_and_lives_until_deleted() {
    let gateway = stage::gateway().await;
    let body = json!({"name": "once", "app": "billing", "models": ["a", "b-*"], "expires_at": "2999-01-01T00:00:00Z"});
    let key = gateway
        .admin("POST", "/api/keys")
        .json(&body)
        .send()
        .await
        .expect(201)
        .json();
    let secret = key["key"].as_str().expect("the secret").to_owned();
    assert!(secret.len() >= 32, "enough to guess at: {}", secret.len());
    assert!(secret.starts_with(key["prefix"].as_str().expect("a prefix")));
    assert!(
        key["prefix"]
            .as_str()
            .is_some_and(|prefix| prefix.len() * 2 < secret.len())
    );
    assert_eq!(
        (&key["app"], &key["models"], &key["enabled"]),
        (&json!("billing"), &json!(["a", "b-*"]), &json!(true))
    );
    assert!(is_time(&key["created_at"]) && is_time(&key["expires_at"]));
    let path = format!("/api/keys/{}", key["id"].as_str().expect("an id"));
    let read = gateway.admin("GET", &path).send().await.expect(200);
    assert!(!read.text().contains(&secret) && read.json().get("key").is_none());
    let patched = gateway
        .admin("PATCH", &path)
        .json(&json!({"name": "twice", "app": null}))
        .send()
        .await
        .expect(200);
    assert_eq!(
        (&patched.json()["name"], &patched.json()["app"]),
        (&json!("twice"), &Value::Null)
    );
    gateway.admin("DELETE", &path).send().await.expect(204);
    gateway
        .admin("GET", &path)
        .send()
        .await
        .expect_error(404, "not_found");
}

async fn lost_update_is_refused() {
    let gateway = stage::gateway().await;
    let created = gateway
        .admin("POST", "/api/servers")
        .json(&draft("admin-lost"))
        .send()
        .await
        .expect(201);
    let first = created.header("etag").expect("an ETag").to_owned();
    let path = format!(
        "/api/servers/{}",
        created.json()["id"].as_str().expect("an id")
    );
    let update = |rpm: u64, tag: &str| {
        gateway
            .admin("PATCH", &path)
            .header("if-match", tag)
            .json(&json!({"rpm_limit": rpm}))
    };
    let second = update(1, &first)
        .send()
        .await
        .expect(200)
        .header("etag")
        .expect("an ETag")
        .to_owned();
    assert_ne!(first, second);
    update(2, &first)
        .send()
        .await
        .expect_error(409, "version_conflict");
    let put = gateway
        .admin("PUT", &path)
        .header("if-match", &first)
        .json(&draft("admin-lost"));
    put.send().await.expect_error(409, "version_conflict");
    assert_eq!(
        gateway.admin("GET", &path).send().await.expect(200).json()["rpm_limit"],
        1
    );
    update(3, &second).send().await.expect(200);
    let unconditional = gateway
        .admin("PATCH", &path)
        .json(&json!({"rpm_limit": 4}))
        .send()
        .await
        .expect(200);
    assert_eq!(
        unconditional.json()["rpm_limit"],
        4,
        "without If-Match the last write wins"
    );
    gateway.admin("DELETE", &path).send().await.expect(204);
}

async fn of_many_concurrent_edits_one_wins_and_the_others_change_nothing() {
    const EDITS: u64 = 12;
    let gateway = stage::gateway().await;
    let created = create(gateway, &draft("admin-race")).await;
    let path = format!("/api/servers/{}", created["id"].as_str().expect("an id"));
    let edit = |rpm: u64| {
        let edit = gateway.admin("PATCH", &path).header("if-match", "\"1\"");
        edit.json(&json!({"rpm_limit": rpm})).send()
    };
    let answers = join_all((1..=EDITS).map(edit)).await;
    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        answer.expect_error(409, "version_conflict");
    }
    let stored = gateway.admin("GET", &path).send().await.expect(200).json();
    assert_eq!(
        stored,
        won[0].json(),
        "the winner's, and nothing of the others"
    );
    assert_eq!(stored["version"], 2);
    let trail = format!(
        "/api/audit?action=update&target_id={}",
        created["id"].as_str().expect("an id")
    );
    let trail = gateway.admin("GET", &trail).send().await.expect(200).json();
    assert_eq!(trail["items"].as_array().map(Vec::len), Some(1), "{trail}");
    gateway.admin("DELETE", &path).send().await.expect(204);
}

async fn lists_are_paged() {
    let gateway = Gateway::serve().start().await;
    let mut created = Vec::new();
    for number in 0..5 {
        created.push(create(&gateway, &draft(&format!("page-{number}"))).await["id"].clone());
        gateway.key(&format!("page-{number}")).create().await;
    }
    for (list, count) in [("/api/servers", 5), ("/api/keys", 5)] {
        let whole = gateway.admin("GET", list).send().await.expect(200).json();
        assert_eq!(
            whole["items"].as_array().map(Vec::len),
            Some(count),
            "{whole}"
        );
        assert_eq!(whole["next_cursor"], Value::Null);
        let (mut ids, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = gateway
                .admin("GET", &format!("{list}?limit=2{cursor}"))
                .send()
                .await
                .expect(200)
                .json();
            ids.extend(
                page["items"]
                    .as_array()
                    .expect("items")
                    .iter()
                    .map(|item| item["id"].clone()),
            );
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let expected: Vec<Value> = whole["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| item["id"].clone())
            .collect();
        assert_eq!((ids, pages), (expected, 3), "{list}");
        for bad in [
            "limit=0",
            "limit=501",
            "limit=x",
            "limit=-1",
            "cursor=%21%21",
        ] {
            let answer = gateway.admin("GET", &format!("{list}?{bad}")).send().await;
            let field = bad.split('=').next().unwrap_or_default();
            names(answer, field, bad);
        }
    }
    let listed = gateway
        .admin("GET", "/api/servers")
        .send()
        .await
        .expect(200)
        .json();
    let ids: Vec<Value> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["id"].clone())
        .collect();
    assert_eq!(ids, created, "servers in configured order");
}

async fn order_must_name_every_server_once() {
    let gateway = Gateway::serve().start().await;
    let (a, b) = (
        create(&gateway, &draft("a")).await,
        create(&gateway, &draft("b")).await,
    );
    let (a, b) = (a["id"].clone(), b["id"].clone());
    let order = |ids: Value| {
        gateway
            .admin("PUT", "/api/servers/order")
            .json(&json!({"ids": ids}))
    };
    for bad in [
        json!([a]),
        json!([a, b, "srv_none"]),
        json!([a, a]),
        json!([a, b, a]),
        json!("x"),
        json!([1]),
        json!([]),
    ] {
        let answer = order(bad.clone()).send().await;
        // A list that misses a server which somebody has just created is a conflict rather than a mistake.
        assert!(
            [409, 422].contains(&answer.status),
            "{bad}: {}",
            answer.text()
        );
    }
    let answer = order(json!([b, a])).send().await;
    assert!((200..300).contains(&answer.status), "{}", answer.text());
    let listed = gateway
        .admin("GET", "/api/servers")
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&listed["items"][0]["id"], &listed["items"][1]["id"]),
        (&b, &a)
    );
}
