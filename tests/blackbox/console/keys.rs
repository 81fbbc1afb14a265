//! 控制台的密钥页：创建、使用、轮换、停用、删除。
//!
//! Gateway keys through the console as an administrator would: what the page shows is used against the gateway,
//! and what was done is judged by what the gateway then says. Each test has a gateway of its own, because it
//! looks at the whole list.

use gateway_tests::harness::{Browser, Gateway};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::desk::Desk;

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        a_key_is_created_and_used_and_its_secret_is_shown_this_once,
        what_the_gateway_refuses_stands_beside_its_field_and_nothing_typed_is_lost,
        a_key_is_created_with_the_keyboard_alone,
        a_key_is_rotated_and_the_old_secret_ends,
        a_key_is_edited_disabled_and_deleted_by_its_name,
        a_half_filled_form_survives_the_end_of_the_session,
        a_viewer_sees_keys_and_no_control,
        the_page_of_keys_is_accessible,
    ]
}

async fn keys(gateway: &Gateway) -> Vec<Value> {
    let list = gateway.admin("GET", "/api/keys").send().await.expect(200);
    list.json()["items"].as_array().expect("a list").clone()
}

async fn with_server(model: &str) -> (Gateway, Provider) {
    let gateway = Gateway::serve().start().await;
    let provider = Provider::start();
    let server = gateway.server("primary").provider(&provider).model(model);
    server.create().await;
    (gateway, provider)
}

/// Opens the menu of the first row and chooses an action.
async fn act(desk: &Desk<'_>, key: &str, action: &str) {
    desk.choose("button", &format!("Actions for {key}")).await;
    desk.choose("menuitem", action).await;
}

async fn select(desk: &Desk<'_>, selector: &str, value: &str) {
    desk.see(selector).await;
    desk.evaluate(&format!(
        "(() => {{ const list = document.querySelector('{selector}'); list.value = '{value}'; list.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
    ))
    .await;
}

async fn a_key_is_created_and_used_and_its_secret_is_shown_this_once() {
    let (gateway, _provider) = with_server("demo-small").await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/keys").await;
    desk.reads("No keys yet").await;
    desk.click(".page-actions a").await;
    desk.control("dialog", "Create a key").await;
    assert_eq!(desk.place().await, "/keys?new=1");
    desk.enter("Name", "Team A").await;
    desk.fill("#key-app", "chat-bot").await;
    desk.choose("button", "demo-small").await;
    select(&desk, "#key-expiry", "30").await;
    desk.reads("in 30 days").await;
    desk.choose("button", "Create key").await;
    desk.control("dialog", "Secret of Team A").await;
    desk.picture("key-secret").await;
    let secret = desk.text(".keys-secret-text").await;
    assert!(secret.starts_with("sk-sluice-"), "{secret}");
    for language in ["curl", "Python", "Node.js"] {
        desk.choose("radio", language).await;
        let code = desk.text(".keys-use .code").await;
        for part in [
            gateway.base_url(),
            secret.as_str(),
            "chat-bot",
            "demo-small",
        ] {
            assert!(code.contains(part), "{part} in {code}");
        }
    }
    let chat = gateway.chat_with(&secret).model("demo-small");
    chat.app("chat-bot").send().await.expect(200);
    // Nobody loses it by a slip.
    desk.press("Escape").await;
    desk.control("dialog", "Close without copying?").await;
    desk.choose("button", "Back to the secret").await;
    desk.choose("button", "Copy secret").await;
    desk.reads("Copied. Keep it").await;
    desk.choose("button", "Done").await;
    desk.without("dialog", "Secret of Team A").await;
    desk.see_text(".keys-table", "Team A").await;
    for moment in ["after closing", "after loading again"] {
        let left = desk
            .evaluate("document.documentElement.outerHTML + JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), location.href])")
            .await;
        assert!(!left.to_string().contains(&secret), "{moment}");
        desk.reload().await;
        desk.see_text(".keys-table", "Team A").await;
    }
    let created = &keys(&gateway).await[0];
    assert_eq!(
        (&created["app"], &created["models"]),
        (&json!("chat-bot"), &json!(["demo-small"]))
    );
    assert!(created["expires_at"].is_string());
    desk.is_clean();
}

async fn what_the_gateway_refuses_stands_beside_its_field_and_nothing_typed_is_lost() {
    let (gateway, _provider) = with_server("demo-small").await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/keys?new=1").await;
    desk.choose("button", "Create key").await;
    desk.see_text("#key-name-error", "Give it a name").await;
    assert_eq!(desk.focused().await.1, "Name");
    desk.enter("Name", "kept").await;
    desk.fill("#key-app", "tab\u{e9}").await;
    desk.choose("button", "Create key").await;
    desk.see_text("#key-app-error", "printable ASCII").await;
    desk.fill("#key-app", "bot").await;
    desk.fill("#key-models", "a*b").await;
    desk.press("Enter").await;
    desk.choose("button", "Create key").await;
    desk.see_text("#key-models-error", "models").await;
    desk.picture("key-refused").await;
    assert!(keys(&gateway).await.is_empty());
    desk.choose("button", "Remove a*b").await;
    desk.cut_off(true).await;
    desk.choose("button", "Create key").await;
    desk.reads("The gateway cannot be reached").await;
    desk.cut_off(false).await;
    desk.choose("button", "Create key").await;
    desk.control("dialog", "Secret of kept").await;
    assert_eq!(keys(&gateway).await[0]["app"], "bot");
}

async fn a_key_is_created_with_the_keyboard_alone() {
    let (gateway, _provider) = with_server("demo-small").await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    gateway.key("first").create().await;
    desk.sign_in("/keys").await;
    desk.see_text(".keys-table", "first").await;
    desk.tab_to("link", "Create key").await;
    desk.press("Enter").await;
    desk.control("dialog", "Create a key").await;
    desk.until(
        "the name has the focus",
        "document.activeElement?.id === 'key-name'",
    )
    .await;
    desk.write("by hand").await;
    desk.tab_to("button", "demo-small").await;
    desk.press("Enter").await;
    desk.tab_to("button", "Create key").await;
    desk.press("Enter").await;
    desk.control("dialog", "Secret of by hand").await;
    desk.tab_to("button", "Copy secret").await;
    desk.press("Enter").await;
    desk.reads("Copied. Keep it").await;
    desk.press("Escape").await;
    desk.without("dialog", "Secret of by hand").await;
    assert_eq!(keys(&gateway).await[1]["models"], json!(["demo-small"]));
    // The menu of a row, too.
    desk.tab_to("button", "Actions for by hand").await;
    for key in ["Enter", "End", "Enter"] {
        desk.press(key).await;
    }
    desk.control("dialog", "Delete by hand?").await;
    desk.write("by hand").await;
    desk.press("Enter").await;
    desk.reads("by hand is deleted").await;
    assert_eq!(keys(&gateway).await.len(), 1);
    desk.is_clean();
}

async fn a_key_is_rotated_and_the_old_secret_ends() {
    let (gateway, _provider) = with_server("demo-small").await;
    let key = gateway.key("team").app("bot").create().await;
    gateway.in_force().await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/keys").await;
    act(&desk, "team", "Rotate secret…").await;
    desk.control("dialog", "Rotate team").await;
    select(&desk, "#grace", "0").await;
    desk.reads("is refused within 5 s").await;
    desk.choose("button", "Rotate").await;
    desk.control("dialog", "Secret of team").await;
    let secret = desk.text(".keys-secret-text").await;
    assert_ne!(secret, key.secret);
    gateway.in_force().await;
    let chat = |secret: &str| gateway.chat_with(secret).model("demo-small").app("bot");
    chat(&secret).send().await.expect(200);
    chat(&key.secret)
        .send()
        .await
        .expect_error(401, "invalid_api_key");
    desk.choose("button", "Copy secret").await;
    desk.reads("Copied. Keep it").await;
    desk.choose("button", "Done").await;
    desk.see_text(".keys-prefix", &secret[..14]).await;
    // With a grace the list says how long both work.
    act(&desk, "team", "Rotate secret…").await;
    desk.choose("button", "Rotate").await;
    desk.control("dialog", "Secret of team").await;
    chat(&secret).send().await.expect(200);
    desk.see_text(".keys-status", "Old secret ends in").await;
    desk.is_clean();
}

async fn a_key_is_edited_disabled_and_deleted_by_its_name() {
    let (gateway, _provider) = with_server("demo-small").await;
    let key = gateway.key("before").app("bot").create().await;
    gateway.in_force().await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/keys").await;
    desk.choose("link", "before").await;
    desk.control("dialog", "Edit before").await;
    assert_eq!(desk.place().await, format!("/keys?key={}", key.id));
    desk.enter("Name", "after").await;
    desk.press("Escape").await;
    desk.control("dialog", "Discard your changes?").await;
    desk.choose("button", "Go on editing").await;
    desk.choose("button", "Save changes").await;
    desk.reads("after is saved").await;
    let changed = &keys(&gateway).await[0];
    assert_eq!(
        (&changed["name"], &changed["app"]),
        (&json!("after"), &json!("bot"))
    );
    act(&desk, "after", "Disable").await;
    desk.see_text(".keys-status", "Disabled").await;
    gateway.in_force().await;
    let chat = || {
        gateway
            .chat_with(&key.secret)
            .model("demo-small")
            .app("bot")
    };
    chat().send().await.expect_error(401, "invalid_api_key");
    act(&desk, "after", "Enable").await;
    desk.see_text(".keys-status", "Active").await;
    act(&desk, "after", "Delete…").await;
    desk.control("dialog", "Delete after?").await;
    desk.enter("Type after to confirm", "afte").await;
    assert_eq!(
        desk.control("button", "Delete")
            .await
            .property("disabled")
            .await,
        true
    );
    desk.enter("Type after to confirm", "after").await;
    desk.choose("button", "Delete").await;
    desk.reads("No keys yet").await;
    assert!(keys(&gateway).await.is_empty());
    desk.is_clean();
}

async fn a_half_filled_form_survives_the_end_of_the_session() {
    let (gateway, _provider) = with_server("demo-small").await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/keys?new=1").await;
    desk.enter("Name", "kept").await;
    desk.choose("button", "demo-small").await;
    desk.forget_session().await;
    desk.choose("button", "Create key").await;
    desk.control("dialog", "Sign in again").await;
    desk.enter("Access token", gateway.admin_token()).await;
    desk.press("Enter").await;
    desk.control("dialog", "Secret of kept").await;
    assert_eq!(keys(&gateway).await[0]["models"], json!(["demo-small"]));
    desk.is_clean();
}

async fn a_viewer_sees_keys_and_no_control() {
    let (gateway, _provider) = with_server("demo-small").await;
    let key = gateway.key("seen").create().await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in_as_viewer("/keys?new=1").await;
    desk.see_text(".keys-table", "seen").await;
    for (role, name) in [
        ("dialog", "Create a key"),
        ("link", "Create key"),
        ("link", "seen"),
        ("button", "Edit seen"),
        ("button", "Actions for seen"),
    ] {
        assert_eq!(desk.count(role, name).await, 0, "{role} {name}");
    }
    desk.visit(&format!("/keys?key={}", key.id)).await;
    desk.see_text(".keys-table .is-chosen", "seen").await;
    assert_eq!(desk.count("dialog", "Edit seen").await, 0);
    desk.is_clean();
}

async fn the_page_of_keys_is_accessible() {
    let (gateway, _provider) = with_server("demo-small").await;
    let browser = Browser::start().await;
    for dark in [false, true] {
        let desk = Desk::new(&browser, &gateway).await;
        desk.prefer_dark(dark).await;
        desk.sign_in("/keys?new=1").await;
        desk.enter("Name", "for eyes and ears").await;
        desk.is_accessible("the form").await;
        desk.choose("button", "Create key").await;
        desk.see(".keys-secret-text").await;
        desk.is_accessible("the secret").await;
        desk.choose("button", "Copy secret").await;
        desk.reads("Copied. Keep it").await;
        desk.choose("button", "Done").await;
        desk.see(".keys-table").await;
        desk.is_accessible("the list").await;
        desk.is_clean();
    }
}
