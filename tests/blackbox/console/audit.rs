//! 控制台的审计页：谁改了什么，筛选，翻页。
//!
//! The audit trail as the console shows it, after changes that the test makes itself. Each test has a gateway
//! of its own, because it looks at the whole trail.

use gateway_tests::harness::{Browser, Gateway};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use serde_json::json;

use super::desk::Desk;

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        the_change_just_made_is_told_with_what_stood_there_before,
        filters_narrow_the_trail_and_stand_in_the_address,
        older_entries_come_page_by_page_and_back_leads_back,
        a_viewer_reads_the_accessible_trail,
    ]
}

async fn change(gateway: &Gateway, path: &str, body: serde_json::Value) {
    let request = gateway.admin("PATCH", path).json(&body);
    request.send().await.expect(200);
}

async fn the_change_just_made_is_told_with_what_stood_there_before() {
    let gateway = Gateway::serve().start().await;
    let provider = Provider::start();
    let server = gateway
        .server("first")
        .provider(&provider)
        .model("m")
        .rpm(60);
    let server = server.create().await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/audit").await;
    desk.see_text(".audit-entry", "admin created the server first")
        .await;
    change(
        &gateway,
        &server.path(),
        json!({"rpm_limit": 90, "api_key": "sk-never-shown"}),
    )
    .await;
    desk.reload().await;
    desk.see_text(".audit-entry", "admin changed the server first")
        .await;
    desk.see_text(".audit-changes", "Requests per minute").await;
    assert_eq!(desk.text(".audit-before").await, "60");
    assert_eq!(desk.text(".audit-after.is-new").await, "90");
    let body = desk.text("body").await;
    assert!(
        body.contains("replaced; never shown") && !body.contains("sk-never-shown"),
        "{body}"
    );
    let title = desk
        .evaluate("document.querySelector('.audit-time').title")
        .await;
    assert!(
        title.as_str().is_some_and(|title| title.ends_with('Z')),
        "{title}"
    );
    desk.click("a.audit-object").await;
    desk.until(
        "the server",
        &format!(
            "location.pathname === '{}'",
            server.path().replace("/api", "")
        ),
    )
    .await;
    gateway
        .admin("DELETE", &server.path())
        .send()
        .await
        .expect(204);
    desk.visit("/audit").await;
    desk.see_text(
        ".audit-entry",
        "admin deleted the server first deleted since",
    )
    .await;
    desk.is_clean();
}

async fn filters_narrow_the_trail_and_stand_in_the_address() {
    let gateway = Gateway::serve().start().await;
    let provider = Provider::start();
    gateway
        .server("box")
        .provider(&provider)
        .model("m")
        .create()
        .await;
    let key = gateway.key("team").create().await;
    let path = format!("/api/keys/{}", key.id);
    change(&gateway, &path, json!({"enabled": false})).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/audit").await;
    let entries =
        |count: usize| format!("document.querySelectorAll('.audit-entry').length === {count}");
    desk.until("three entries", &entries(3)).await;
    desk.choose("radio", "Keys").await;
    desk.until("two entries", &entries(2)).await;
    assert_eq!(desk.place().await, "/audit?target_kind=key");
    desk.evaluate("(() => { const list = document.querySelector('#audit-action'); list.value = 'update'; list.dispatchEvent(new Event('change', { bubbles: true })); })()").await;
    desk.until("one entry", &entries(1)).await;
    desk.see_text(".audit-entry", "admin changed the key team")
        .await;
    desk.reload().await;
    desk.until("one entry", &entries(1)).await;
    desk.enter("Who", "nobody").await;
    desk.press("Tab").await;
    desk.reads("No change fits these filters").await;
    assert_eq!(
        desk.place().await,
        "/audit?target_kind=key&action=update&actor=nobody"
    );
    desk.click(".empty .button").await;
    desk.until("three entries", &entries(3)).await;
    assert_eq!(desk.place().await, "/audit");
    desk.visit(&format!("/audit?target_id={}", key.id)).await;
    desk.reads("Only changes of team").await;
    desk.until("two entries", &entries(2)).await;
    desk.choose("button", "Show all objects").await;
    desk.until("three entries", &entries(3)).await;
    desk.visit("/audit?from=nonsense").await;
    desk.reads("The gateway refused the input").await;
    desk.is_clean();
}

async fn older_entries_come_page_by_page_and_back_leads_back() {
    let gateway = Gateway::serve().start().await;
    for number in 1..=60 {
        gateway.key(&format!("key-{number}")).create().await;
    }
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/audit").await;
    desk.see_text(".audit-entry", "key-60").await;
    desk.choose("link", "Older").await;
    desk.see_text(".audit-entry", "key-10").await;
    desk.reads("This is where the trail begins").await;
    assert!(desk.place().await.starts_with("/audit?cursor="));
    desk.reload().await;
    desk.see_text(".audit-entry", "key-10").await;
    desk.go_back().await;
    desk.see_text(".audit-entry", "key-60").await;
    desk.is_clean();
}

async fn a_viewer_reads_the_accessible_trail() {
    let gateway = Gateway::serve().start().await;
    let key = gateway.key("team").create().await;
    change(
        &gateway,
        &format!("/api/keys/{}", key.id),
        json!({"name": "crew"}),
    )
    .await;
    let browser = Browser::start().await;
    for dark in [false, true] {
        let desk = Desk::new(&browser, &gateway).await;
        desk.prefer_dark(dark).await;
        desk.sign_in_as_viewer("/audit").await;
        desk.see_text(".audit-entry", "admin changed the key crew")
            .await;
        desk.is_accessible("the trail").await;
        desk.is_clean();
    }
}
