//! 审计：谁、何时、改了什么，按条件查。
//!
//! The list of the audit trail. What each filter does to rows is judged beside the
//! statements; here it is the way from the URL to the answer.

use gateway_tests::harness::Gateway;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{create, draft, names};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![trail_tells_every_change_newest_first]
}

async fn list(gateway: &Gateway, query: &str) -> Value {
    let list = gateway.admin("GET", &format!("/api/audit{query}"));
    list.send().await.expect(200).json()
}

async fn trail_tells_every_change_newest_first() {
    let gateway = Gateway::serve().start().await;
    assert_eq!(
        list(&gateway, "").await,
        json!({"items": [], "next_cursor": null})
    );
    let server = create(&gateway, &draft("audited")).await;
    let id = server["id"].as_str().expect("an id");
    let server_path = format!("/api/servers/{id}");
    let change = json!({"rpm_limit": 5, "api_key": "sk-audited-canary-1"});
    let patch = gateway.admin("PATCH", &server_path).json(&change);
    patch.send().await.expect(200);
    let key = gateway.key("audited").create().await;
    let stale = gateway
        .admin("DELETE", &server_path)
        .header("if-match", "\"1\"");
    stale.send().await.expect_error(409, "version_conflict");
    gateway
        .admin("DELETE", &server_path)
        .send()
        .await
        .expect(204);

    let whole = list(&gateway, "").await;
    let items = whole["items"].as_array().expect("items");
    let told: Vec<(&Value, &Value)> = items
        .iter()
        .map(|item| (&item["action"], &item["target_kind"]))
        .collect();
    let expected = [
        (json!("delete"), json!("server")),
        (json!("create"), json!("key")),
        (json!("update"), json!("server")),
        (json!("create"), json!("server")),
    ];
    assert_eq!(
        told,
        expected.each_ref().map(|(action, kind)| (action, kind))
    );
    assert!(items.iter().all(|item| item["actor"] == "admin"), "{whole}");
    assert_eq!(
        items[2]["detail"],
        json!({"rpm_limit": 5, "api_key": "replaced"})
    );
    assert_eq!(items[0]["target_id"], id);
    let text = whole.to_string();
    assert!(!text.contains("canary") && !text.contains(&key.secret));

    let of_server = list(&gateway, &format!("?target_id={id}&action=update")).await;
    assert_eq!(of_server["items"], json!([items[2]]));
    let at = items[1]["at"].as_str().expect("a time");
    let since = list(&gateway, &format!("?from={at}")).await;
    assert!(
        since["items"]
            .as_array()
            .is_some_and(|since| since.len() >= 2),
        "{since}"
    );
    let first = list(&gateway, "?limit=3").await;
    let cursor = first["next_cursor"].as_str().expect("a next page");
    let last = list(&gateway, &format!("?limit=3&cursor={cursor}")).await;
    assert_eq!(last, json!({"items": [items[3]], "next_cursor": null}));

    for (query, field) in [
        ("target_kind=servers", "target_kind"),
        ("target_id=", "target_id"),
        ("from=yesterday", "from"),
        ("to=1", "to"),
        ("cursor=x", "cursor"),
        ("limit=0", "limit"),
    ] {
        let answer = gateway.admin("GET", &format!("/api/audit?{query}"));
        names(answer.send().await, field, query);
    }
    let viewer = gateway
        .request("GET", "/api/audit")
        .token(gateway.viewer_token());
    assert_eq!(viewer.send().await.expect(200).json(), whole);
    let nobody = gateway.request("GET", "/api/audit");
    nobody.send().await.expect_error(401, "unauthorized");
}
