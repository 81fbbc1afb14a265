//! 只用键盘：控制台的每件事都做得到，焦点始终看得见。
//!
//! Owns the flows of the console done by somebody without a mouse: here the page can be read, Tab and other keys can
//! be pressed and text can be written, and nothing else, so a control that the keyboard does not reach fails its
//! test. Each stop on the way is asked whether its focus can be seen. Keys, reordering, the series of a chart and
//! the rows of the log have such tests beside their pages.

use gateway_tests::harness::{Browser, Gateway};
use gateway_tests::provider::{Behaviour, Provider, completion_text};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::desk::Desk;
use super::traffic::Traffic;
use crate::stage::{PATIENT, Stage};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        a_server_is_created_tested_changed_disabled_and_deleted_by_keys,
        a_fault_is_heard_mended_and_a_lost_session_taken_up_again_by_keys,
        a_request_is_sent_watched_and_stopped_by_keys,
        language_and_colours_are_chosen_by_keys_on_a_telephone_too,
        usage_is_filtered_and_its_file_saved_by_keys,
        a_viewer_meets_no_control_that_changes_anything_on_the_whole_way_of_tab,
    ]
}

/// More stops than any page has.
const STOPS_MAX: usize = 120;

/// Somebody who has a keyboard and eyes.
struct Hands<'d>(Desk<'d>);

impl<'d> Hands<'d> {
    /// Before a page, not signed in.
    async fn at(browser: &'d Browser, gateway: &'d Gateway, path: &str) -> Self {
        let desk = Desk::new(browser, gateway).await;
        desk.visit(path).await;
        Self(desk)
    }

    /// Before a page, signed in.
    async fn signed_in(
        browser: &'d Browser,
        gateway: &'d Gateway,
        path: &str,
        token: &str,
    ) -> Self {
        let hands = Self::at(browser, gateway, path).await;
        hands.enter("textbox", "Access token", token).await;
        hands.press("Enter").await;
        hands.0.see(".shell").await;
        hands
    }

    /// Tab, until the control of this role and name has the focus; then one sees that it does.
    async fn to(&self, role: &str, name: &str) {
        self.0.tab_to(role, name).await;
        self.sees_focus(&format!("{role} {name:?}")).await;
    }

    /// The same, and a key: Enter for links and buttons, the space bar for switches.
    async fn use_with(&self, key: &str, role: &str, name: &str) {
        self.to(role, name).await;
        self.press(key).await;
    }

    async fn go(&self, role: &str, name: &str) {
        self.use_with("Enter", role, name).await;
    }

    /// Tab to a field, which selects what is in it, and other text in its place.
    async fn enter(&self, role: &str, name: &str, text: &str) {
        self.to(role, name).await;
        self.0
            .evaluate("document.activeElement.select?.(); true")
            .await;
        self.write(text).await;
    }

    async fn write(&self, text: &str) {
        self.0.write(text).await;
    }

    async fn press(&self, key: &str) {
        self.0.press(key).await;
    }

    async fn presses(&self, keys: &[&str]) {
        for key in keys {
            self.press(key).await;
        }
    }

    async fn reads(&self, text: &str) {
        self.0.reads(text).await;
    }

    async fn reads_in(&self, selector: &str, text: &str) {
        self.0.see_text(selector, text).await;
    }

    async fn without(&self, role: &str, name: &str) {
        self.0.without(role, name).await;
    }

    /// What has the focus, or what stands for it, has an outline or another ground than without the focus.
    async fn sees_focus(&self, what: &str) {
        let drawn = "(() => {
            const one = document.activeElement;
            const outlined = (other) => {
                const style = getComputedStyle(other);
                return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
            };
            const near = [one, one.nextElementSibling, one.parentElement, one.parentElement?.parentElement];
            return near.some((other) => other && outlined(other));
        })()";
        self.0
            .until(&format!("the focus on {what} is seen"), drawn)
            .await;
    }
}

async fn servers(gateway: &Gateway) -> Vec<Value> {
    let list = gateway.admin("GET", "/api/servers").send().await;
    let list = list.expect(200).json();
    list["items"].as_array().expect("a list").clone()
}

async fn a_server_is_created_tested_changed_disabled_and_deleted_by_keys() {
    let gateway = Gateway::serve().start().await;
    let provider = Provider::start();
    let browser = Browser::start().await;
    let hands = Hands::signed_in(&browser, &gateway, "/servers", gateway.admin_token()).await;
    hands.reads("No server yet").await;
    hands.0.see(".page-actions a").await;
    // The first of two links of one name; the other stands in the empty list.
    let on_it = "document.activeElement?.closest('.page-actions') !== null && document.activeElement.textContent.includes('Add')";
    for _ in 0..STOPS_MAX {
        if hands.0.evaluate(on_it).await == true {
            break;
        }
        hands.press("Tab").await;
    }
    hands.sees_focus("the link to a new server").await;
    hands.press("Enter").await;
    hands.0.control("dialog", "New server").await;
    hands.enter("textbox", "Name", "first").await;
    let url = format!("{}/v1", provider.base_url());
    hands.enter("textbox", "Base URL", &url).await;
    hands.enter("textbox", "API key", "sk-of-a-server").await;
    hands.enter("textbox", "Models", "demo-small").await;
    hands.press("Enter").await;
    hands.enter("textbox", "Requests per minute", "60").await;
    hands.go("button", "Create server").await;
    hands.reads("Server created").await;
    hands.reads("Reached in").await;
    assert_eq!(servers(&gateway).await[0]["rpm_limit"], 60);

    hands.go("button", "Test connection").await;
    // The words of the first test stand there until the second has ended.
    let ended = "document.querySelector('.probe [aria-busy]') === null";
    hands.0.until("the end of the second test", ended).await;
    hands.reads("Reached in").await;
    hands.go("button", "Add demo-large").await;
    hands.enter("textbox", "Requests per minute", "90").await;
    hands.go("button", "Save changes").await;
    hands.reads("Server saved").await;
    let changed = &servers(&gateway).await[0];
    assert_eq!(
        (&changed["models"], &changed["rpm_limit"]),
        (&json!(["demo-small", "demo-large"]), &json!(90))
    );
    hands.press("Escape").await;
    hands.without("dialog", "first").await;

    hands.use_with(" ", "switch", "first takes requests").await;
    hands.reads_in(".server-state", "Disabled").await;
    assert_eq!(servers(&gateway).await[0]["enabled"], false);
    hands.go("button", "More actions: first").await;
    hands.presses(&["End", "Enter"]).await;
    hands.0.control("dialog", "Delete first?").await;
    hands
        .enter("textbox", "Type first to confirm", "first")
        .await;
    hands.go("button", "Delete").await;
    hands.reads("No server yet").await;
    assert_eq!(servers(&gateway).await, Vec::<Value>::new());
    hands.0.is_clean();
}

async fn a_fault_is_heard_mended_and_a_lost_session_taken_up_again_by_keys() {
    let gateway = Gateway::serve().start().await;
    let provider = Provider::start();
    let browser = Browser::start().await;
    let hands = Hands::signed_in(&browser, &gateway, "/servers/new", gateway.admin_token()).await;
    hands.enter("textbox", "Name", "kept").await;
    hands.enter("textbox", "API key", "sk-1").await;
    hands.enter("textbox", "Models", "m").await;
    hands
        .enter("textbox", "Base URL", "http://192.0.2.1/v1")
        .await;
    hands.go("button", "Create server").await;
    // The gateway's own words stand by the field, which has the focus and names them as its description.
    hands.reads_in("#server-base_url-error", "ALLOW_").await;
    let field = hands.0.control("textbox", "Base URL").await;
    assert!(field.has_focus().await);
    assert_eq!(field.attribute("aria-invalid").await, "true");
    let told = field
        .run("function () { return this.getAttribute('aria-describedby').split(' ').map((id) => document.getElementById(id)?.textContent).join(' '); }")
        .await;
    assert!(
        told.as_str().is_some_and(|told| told.contains("ALLOW_")),
        "{told}"
    );
    let url = format!("{}/v1", provider.base_url());
    hands.enter("textbox", "Base URL", &url).await;
    // What the page asks by itself every second would find out first.
    hands.0.keep_waiting("*/api/live*").await;
    hands.0.forget_session().await;
    hands.go("button", "Create server").await;
    hands.0.control("dialog", "Sign in again").await;
    let token = gateway.admin_token();
    hands.enter("textbox", "Access token", token).await;
    hands.press("Enter").await;
    hands.without("dialog", "Sign in again").await;
    hands.reads("Server created").await;
    assert_eq!(servers(&gateway).await[0]["name"], "kept");
    hands.0.is_clean();
}

async fn a_request_is_sent_watched_and_stopped_by_keys() {
    let stage = Stage::with("console-keys-play", |server| {
        server.field("max_concurrency", json!(1))
    })
    .await;
    let holder = stage.chat().demo(json!({"header_gate": "answer"}));
    let holder = holder.bound(PATIENT).spawn();
    stage
        .live_until("one in flight", |live| live["in_flight"] == 1)
        .await;
    let browser = Browser::start().await;
    let path = format!("/playground?app=console&model={}", stage.model);
    let token = stage.gateway.admin_token();
    let hands = Hands::signed_in(&browser, stage.gateway, &path, token).await;
    let secret = &stage.key.secret;
    hands.enter("textbox", "Gateway key", secret).await;
    hands
        .0
        .until(
            "the models of the key",
            &format!(
                "document.querySelector('#play-model')?.value === '{}'",
                stage.model
            ),
        )
        .await;
    hands.enter("textbox", "Message", "Am I next?").await;
    hands.press("Enter").await;
    hands.reads("Next in the queue").await;
    stage.queue_length(1).await;
    hands.go("button", "Stop").await;
    hands.reads("the request has left the queue").await;
    stage.queue_length(0).await;

    hands.enter("textbox", "Message", "And now?").await;
    hands.go("button", "Send").await;
    stage.queue_length(1).await;
    stage.provider.set_behaviour(Behaviour::default());
    stage.provider.gate("answer").open_for_good();
    holder.await.expect("an answer").expect(200);
    hands
        .reads_in(".playground-text:not(.is-question)", &completion_text(8))
        .await;
    hands.use_with(" ", "switch", "Stream the answer").await;
    let switch = hands.0.control("switch", "Stream the answer").await;
    assert_eq!(switch.property("checked").await, false);
    hands.go("button", "New conversation").await;
    hands.reads("See what a request goes through").await;
    hands.0.is_clean();
}

async fn language_and_colours_are_chosen_by_keys_on_a_telephone_too() {
    let browser = Browser::start().await;
    // One of its own: the servers of other tests would be stops on the way once around the page.
    let gateway = Gateway::serve().start().await;
    let hands = Hands::at(&browser, &gateway, "/").await;
    let ground = "getComputedStyle(document.body).backgroundColor";
    hands.go("button", "Language").await;
    hands.0.control("menuitemradio", "简体中文").await;
    hands.presses(&["End", "Enter"]).await;
    hands.0.is_at("登录 Sluice").await;
    hands.go("button", "语言").await;
    hands.presses(&["Home"]).await;
    let english = hands.0.control("menuitemradio", "English").await;
    for _ in 0..STOPS_MAX {
        if english.has_focus().await {
            break;
        }
        hands.press("ArrowDown").await;
    }
    hands.sees_focus("English").await;
    hands.press("Enter").await;
    hands.0.is_at("Sign in to Sluice").await;
    let token = gateway.admin_token();
    hands.enter("textbox", "Access token", token).await;
    hands.press("Enter").await;
    hands.0.is_at("Overview").await;

    let light = hands.0.evaluate(ground).await;
    hands.go("button", "Colours").await;
    hands.presses(&["End", "Enter"]).await;
    hands
        .0
        .until("another ground", &format!("{ground} !== {light}"))
        .await;
    // A menu that was opened by mistake closes and gives the focus back.
    hands.go("button", "Colours").await;
    hands.0.control("menuitemradio", "Light").await;
    hands.press("Escape").await;
    hands.without("menuitemradio", "Light").await;
    let colours = hands.0.control("button", "Colours").await;
    assert!(colours.has_focus().await);

    hands.0.resize(360, 740).await;
    hands.go("button", "Open navigation").await;
    hands.0.control("dialog", "Navigation").await;
    hands.go("link", "Keys").await;
    hands.0.is_at("Keys").await;
    hands.without("dialog", "Navigation").await;
    hands.go("button", "Account").await;
    hands.0.control("menuitem", "Sign out").await;
    hands.presses(&["End", "Enter"]).await;
    hands.0.is_at("Sign in to Sluice").await;
    hands.0.is_clean();
}

async fn usage_is_filtered_and_its_file_saved_by_keys() {
    let traffic = Traffic::of(10).await;
    let browser = Browser::start().await;
    let token = traffic.gateway.admin_token();
    let hands = Hands::signed_in(&browser, &traffic.gateway, "/usage?range=24h", token).await;
    hands.reads_in(".usage-table tfoot td", "10").await;
    hands.enter("combobox", "Model", "small").await;
    hands.press("Enter").await;
    hands.reads_in(".usage-table tfoot td", "8").await;
    hands.to("radio", "Server").await;
    hands.press("ArrowRight").await;
    hands
        .0
        .until("by app", "location.search.includes('group_by=app')")
        .await;
    hands.reads_in(".usage-table tbody th", "mobile").await;
    let (_, text) = hands.0.saved_by(hands.go("link", "Download CSV")).await;
    let link = hands.0.control("link", "Download CSV").await;
    let path = link.attribute("href").await;
    let path = path.as_str().expect("a path");
    assert!(path.contains("model=small"), "{path}");
    assert_eq!(text, traffic.text(path).await);
    assert!(text.lines().count() > 1, "{text}");
    hands.go("button", "Clear filters").await;
    hands.reads_in(".usage-table tfoot td", "10").await;
    hands.0.is_clean();
}

async fn a_viewer_meets_no_control_that_changes_anything_on_the_whole_way_of_tab() {
    let gateway = Gateway::serve().start().await;
    let provider = Provider::start();
    let server = gateway.server("seen").provider(&provider).model("m");
    server.create().await;
    gateway.key("team").create().await;
    let browser = Browser::start().await;
    let hands = Hands::signed_in(&browser, &gateway, "/", gateway.viewer_token()).await;
    for (path, there) in [("/", "seen"), ("/servers", "seen"), ("/keys", "team")] {
        hands.0.visit(path).await;
        hands.reads(there).await;
        let mut met = Vec::new();
        loop {
            hands.press("Tab").await;
            if hands
                .0
                .evaluate("document.activeElement === document.body")
                .await
                == true
            {
                break;
            }
            met.push(hands.0.focused().await);
            assert!(met.len() < STOPS_MAX, "{path} has no end: {met:?}");
        }
        assert!(
            met.iter()
                .any(|(role, name)| role == "link" && name == "Usage"),
            "{path}: {met:?}"
        );
        let changes = met.iter().filter(|(role, name)| {
            let words = [
                "Add",
                "Create",
                "Edit",
                "Delete",
                "Move",
                "Rotate",
                "Actions",
                "More actions",
            ];
            role == "switch" || words.iter().any(|word| name.starts_with(word))
        });
        let changes: Vec<_> = changes.collect();
        assert!(changes.is_empty(), "{path}: {changes:?}");
    }
    hands.0.is_clean();
}
