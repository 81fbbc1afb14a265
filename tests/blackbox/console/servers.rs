//! 控制台的服务器页：新建、修改、排序、测试、停用、删除。
//!
//! Servers through the console as an administrator would: every change is judged by what the API says
//! afterwards. Each test has a gateway of its own, because it counts and reorders.

use gateway_tests::harness::{Browser, Gateway};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::desk::Desk;

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        a_server_is_created_tested_changed_disabled_and_deleted,
        faults_stand_beside_their_fields_while_one_types_and_so_does_what_the_gateway_refuses,
        servers_are_reordered_with_the_keyboard_and_with_the_mouse,
        a_half_filled_form_survives_the_end_of_the_session,
        a_change_of_somebody_else_is_neither_overwritten_nor_does_it_lose_what_was_typed,
        a_viewer_sees_servers_and_no_control,
        the_page_of_servers_is_accessible,
    ]
}

async fn servers(gateway: &Gateway) -> Vec<Value> {
    let list = gateway
        .admin("GET", "/api/servers")
        .send()
        .await
        .expect(200)
        .json();
    list["items"].as_array().expect("a list").clone()
}

fn names(servers: &[Value]) -> Vec<&str> {
    servers
        .iter()
        .filter_map(|server| server["name"].as_str())
        .collect()
}

async fn with_servers(count: usize) -> (Gateway, Provider) {
    let gateway = Gateway::serve().start().await;
    let provider = Provider::start();
    for number in 1..=count {
        let name = format!("server-{number}");
        gateway
            .server(&name)
            .provider(&provider)
            .model(&name)
            .create()
            .await;
    }
    (gateway, provider)
}

async fn a_server_is_created_tested_changed_disabled_and_deleted() {
    let (gateway, provider) = with_servers(0).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/").await;
    desk.reads("Three steps to the first request").await;
    desk.see_text("a", "Add a server").await;
    desk.click("a[href='/servers/new']").await;
    desk.control("dialog", "New server").await;
    desk.enter("Name", "first").await;
    desk.enter("Base URL", &format!("{}/v1", provider.base_url()))
        .await;
    desk.enter("API key", "sk-secret-of-a-server").await;
    desk.enter("Models", "demo-small").await;
    desk.press("Enter").await;
    desk.enter("Requests per minute", "60").await;
    desk.choose("button", "Create server").await;
    desk.reads("Server created").await;
    desk.reads("Reached in").await;
    let created = servers(&gateway).await;
    assert_eq!(created.len(), 1);
    assert_eq!(
        (&created[0]["rpm_limit"], &created[0]["models"]),
        (&json!(60), &json!(["demo-small"]))
    );
    assert_eq!(
        desk.place().await,
        format!("/servers/{}", created[0]["id"].as_str().unwrap_or_default())
    );

    desk.choose("button", "Add demo-large").await;
    desk.enter("Requests per minute", "").await;
    desk.enter("Tokens per minute", "0").await;
    desk.reads("Saving pauses the server").await;
    desk.choose("button", "Save changes").await;
    desk.reads("Server saved").await;
    let changed = servers(&gateway).await;
    assert_eq!(changed[0]["models"], json!(["demo-small", "demo-large"]));
    assert_eq!(
        (&changed[0]["rpm_limit"], &changed[0]["tpm_limit"]),
        (&Value::Null, &json!(0))
    );

    desk.choose("button", "Cancel").await;
    desk.without("dialog", "first").await;
    desk.choose("switch", "first takes requests").await;
    desk.until(
        "the switch is off",
        "document.querySelector('[role=switch]').checked === false",
    )
    .await;
    desk.see_text(".server-state", "Disabled").await;
    assert_eq!(servers(&gateway).await[0]["enabled"], false);

    desk.choose("button", "More actions: first").await;
    desk.choose("menuitem", "Delete").await;
    desk.control("dialog", "Delete first?").await;
    let confirm = desk.control("button", "Delete").await;
    assert_eq!(confirm.property("disabled").await, true);
    desk.enter("Type first to confirm", "first").await;
    desk.choose("button", "Delete").await;
    desk.reads("No server yet").await;
    assert_eq!(servers(&gateway).await, Vec::<Value>::new());
    desk.is_clean();
}

async fn faults_stand_beside_their_fields_while_one_types_and_so_does_what_the_gateway_refuses() {
    let (gateway, _provider) = with_servers(1).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/servers/new").await;
    desk.control("dialog", "New server").await;
    assert_eq!(desk.text("#server-name-error").await, "");
    desk.choose("button", "Create server").await;
    desk.see_text("#server-name-error", "Fill this in").await;
    assert_eq!(
        desk.focused().await,
        ("textbox".to_owned(), "Name".to_owned())
    );
    desk.enter("Base URL", "api.example.com").await;
    desk.see_text("#server-base_url-error", "begins with https://")
        .await;
    desk.enter("Base URL", "http://192.168.1.1/v1").await;
    desk.until(
        "no fault",
        "document.querySelector('#server-base_url-error').textContent === ''",
    )
    .await;
    desk.enter("Requests per minute", "many").await;
    desk.see_text("#server-rpm_limit-error", "whole number")
        .await;
    desk.enter("Requests per minute", "10").await;
    desk.enter("Name", "server-2").await;
    desk.enter("API key", "sk-1").await;
    desk.enter("Models", "a").await;
    desk.choose("button", "Create server").await;
    desk.see_text("#server-base_url-error", "ALLOW_").await;
    assert_eq!(
        desk.focused().await,
        ("textbox".to_owned(), "Base URL".to_owned())
    );
    desk.enter("Base URL", "https://api.example.com/v1").await;
    desk.until(
        "no fault",
        "document.querySelector('#server-base_url-error').textContent === ''",
    )
    .await;
    desk.enter("Name", "server-1").await;
    desk.choose("button", "Create server").await;
    desk.see_text("#server-name-error", "Another server has this name")
        .await;
    desk.picture("server-refused").await;
    assert_eq!(names(&servers(&gateway).await), ["server-1"]);

    desk.press("Escape").await;
    desk.reads("There are changes that are not saved").await;
    desk.choose("button", "Keep editing").await;
    assert_eq!(
        desk.control("textbox", "Name")
            .await
            .property("value")
            .await,
        "server-1"
    );
    desk.press("Escape").await;
    desk.choose("button", "Discard").await;
    desk.without("dialog", "New server").await;
    assert_eq!(desk.place().await, "/servers");
    desk.is_clean();
}

async fn servers_are_reordered_with_the_keyboard_and_with_the_mouse() {
    let (gateway, _provider) = with_servers(3).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/servers").await;
    let handle = |name: &str| format!("Move {name}; arrow keys change its place");
    let first = desk.control("button", &handle("server-1")).await;
    first.focus().await;
    desk.press("ArrowDown").await;
    desk.reads("Order saved").await;
    assert_eq!(
        names(&servers(&gateway).await),
        ["server-2", "server-1", "server-3"]
    );
    assert!(
        desk.control("button", &handle("server-1"))
            .await
            .has_focus()
            .await
    );
    desk.reads("server-1 is now 2 of 3").await;
    let (from, to) = (
        desk.control("button", &handle("server-3")).await,
        desk.control("button", &handle("server-2")).await,
    );
    from.drag_to(&to).await;
    desk.until(
        "server-3 is first",
        "document.querySelector('.server a').textContent === 'server-3'",
    )
    .await;
    desk.reads("server-3 is now 1 of 3").await;
    gateway_order(&gateway, ["server-3", "server-2", "server-1"]).await;
    desk.is_clean();
}

/// The order is sent when the mouse button is let go; the list is asked until it is there.
async fn gateway_order(gateway: &Gateway, expected: [&str; 3]) {
    let there = async {
        while names(&servers(gateway).await) != expected {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(gateway_tests::harness::SOON, there)
        .await
        .expect("the order is stored");
}

async fn a_half_filled_form_survives_the_end_of_the_session() {
    let (gateway, provider) = with_servers(0).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/servers/new").await;
    desk.enter("Name", "kept").await;
    desk.enter("Base URL", &format!("{}/v1", provider.base_url()))
        .await;
    desk.enter("API key", "sk-1").await;
    desk.enter("Models", "m").await;
    // What the page asks by itself every second would find out first.
    desk.keep_waiting("*/api/live*").await;
    desk.forget_session().await;
    desk.choose("button", "Create server").await;
    desk.control("dialog", "Sign in again").await;
    desk.picture("session-expired").await;
    desk.enter("Access token", gateway.admin_token()).await;
    desk.press("Enter").await;
    desk.without("dialog", "Sign in again").await;
    desk.reads("Server created").await;
    assert_eq!(names(&servers(&gateway).await), ["kept"]);
    desk.is_clean();
}

async fn a_change_of_somebody_else_is_neither_overwritten_nor_does_it_lose_what_was_typed() {
    let (gateway, _provider) = with_servers(1).await;
    let id = servers(&gateway).await[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in(&format!("/servers/{id}")).await;
    desk.enter("Requests per minute", "7").await;
    let path = format!("/api/servers/{id}");
    gateway
        .admin("PATCH", &path)
        .json(&json!({"tpm_limit": 900}))
        .send()
        .await
        .expect(200);
    desk.choose("button", "Save changes").await;
    desk.reads("Somebody else has changed this server").await;
    desk.choose("button", "Load again").await;
    desk.until(
        "theirs is there",
        "document.querySelector('#server-tpm_limit').value === '900'",
    )
    .await;
    assert_eq!(
        desk.control("textbox", "Requests per minute")
            .await
            .property("value")
            .await,
        "7"
    );
    desk.choose("button", "Save changes").await;
    desk.reads("Server saved").await;
    let server = &servers(&gateway).await[0];
    assert_eq!(
        (&server["rpm_limit"], &server["tpm_limit"]),
        (&json!(7), &json!(900))
    );
    desk.is_clean();
}

async fn a_viewer_sees_servers_and_no_control() {
    let (gateway, _provider) = with_servers(1).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in_as_viewer("/servers").await;
    desk.choose("link", "server-1").await;
    let name = desk.control("textbox", "Name").await;
    assert_eq!(
        name.run("function () { return this.matches(':disabled'); }")
            .await,
        true
    );
    for control in ["Save changes", "Test connection", "Add server"] {
        assert_eq!(desk.count("button", control).await, 0, "{control}");
    }
    assert_eq!(desk.count("textbox", "API key").await, 0);
    desk.choose("button", "Close").await;
    desk.without("dialog", "server-1").await;
    assert_eq!(desk.count("switch", "server-1 takes requests").await, 0);
    assert_eq!(desk.count("link", "Add server").await, 0);
    desk.is_clean();
}

async fn the_page_of_servers_is_accessible() {
    let (gateway, _provider) = with_servers(2).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/servers").await;
    for dark in [false, true] {
        desk.prefer_dark(dark).await;
        desk.visit("/servers").await;
        desk.reads("server-2").await;
        desk.see_text(".server-state", "Idle").await;
        desk.is_accessible(&format!("the list, dark: {dark}")).await;
        desk.choose("link", "server-1").await;
        desk.control("dialog", "server-1").await;
        desk.see("#server-upstream_timeout_ms").await;
        desk.is_accessible(&format!("the panel, dark: {dark}"))
            .await;
    }
    desk.is_clean();
}
