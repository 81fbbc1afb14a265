//! 控制台的试验场：发送、排队、流式应答、停止、失败。
//!
//! The playground against a real queue: the provider's gate holds one request, so that the next one waits for
//! as long as the test wants. What the page says of its place is compared with the limiter's own figures.

use std::time::Duration;

use gateway_tests::harness::{Answer, Browser, SOON};
use gateway_tests::provider::{Behaviour, completion_text};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::task::JoinHandle;

use super::desk::Desk;
use crate::stage::{PATIENT, Stage};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        a_request_is_watched_through_the_queue_until_its_answer_is_complete,
        stopping_a_request_takes_it_out_of_the_queue,
        failures_are_told_in_words_with_their_code,
        an_administrator_gets_a_key_for_an_hour_and_the_conversation_goes_on,
        a_viewer_sends_with_a_key_of_his_own_which_no_storage_keeps,
        the_playground_is_accessible,
    ]
}

/// A server with one slot, held until the gate opens once.
async fn held(name: &str) -> (Stage<'static>, JoinHandle<Answer>) {
    let stage = Stage::with(name, |server| server.field("max_concurrency", json!(1))).await;
    let chat = stage.chat().demo(json!({"header_gate": "answer"}));
    let held = chat.bound(PATIENT).spawn();
    stage.provider.ledger().wait_for_chats(1, SOON).await;
    (stage, held)
}

/// The key of the stage, its model, and a message.
async fn prepare(desk: &Desk<'_>, stage: &Stage<'_>, message: &str) {
    desk.enter("Gateway key", &stage.key.secret).await;
    desk.until(
        "the models of the key",
        &format!(
            "document.querySelector('#play-model')?.value === '{}'",
            stage.model
        ),
    )
    .await;
    desk.enter("Message", message).await;
}

fn path(stage: &Stage<'_>) -> String {
    format!("/playground?app=console&model={}", stage.model)
}

async fn a_request_is_watched_through_the_queue_until_its_answer_is_complete() {
    let (stage, held) = held("console-play-queue").await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, stage.gateway).await;
    desk.sign_in(&path(&stage)).await;
    let before = stage.waiter(1, 1).await;
    prepare(&desk, &stage, "Hello?").await;
    desk.press("Enter").await;
    stage.queue_length(2).await;
    desk.see_text(".playground-number", "2").await;
    desk.reads("Place in the queue").await;
    desk.picture("playground-queue").await;
    let gate = stage.provider.gate("answer");
    gate.open(1);
    held.await.expect("an answer").expect(200);
    before.await.expect("an answer").expect(200);
    desk.see_text(".playground-text:not(.is-question)", &completion_text(8))
        .await;
    desk.see_text(".playground-figures", "tokens/s").await;
    desk.see(".playground-part.is-queue").await;
    desk.picture("playground-answer").await;
    // The log has the same request.
    let id = desk.text(".playground-headers a").await;
    let row = format!("/api/logs?request_id={id}");
    let found = tokio::time::timeout(SOON, async {
        loop {
            let rows = stage
                .gateway
                .admin("GET", &row)
                .send()
                .await
                .expect(200)
                .json();
            if let Some(row) = rows["items"].get(0) {
                return row.clone();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let row = found.await.expect("a row of the log");
    assert_eq!(
        (&row["app"], &row["status"]),
        (&json!("console"), &json!(200))
    );
    assert_eq!(row["queue_position"], 2);
    let shown = desk.text(".playground-figures").await;
    let tokens = row["total_tokens"].as_u64().expect("tokens");
    assert!(shown.contains(&tokens.to_string()), "{tokens} in {shown}");
    desk.is_clean();
}

async fn stopping_a_request_takes_it_out_of_the_queue() {
    let (stage, held) = held("console-play-stop").await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, stage.gateway).await;
    desk.sign_in(&path(&stage)).await;
    prepare(&desk, &stage, "Never mind").await;
    desk.choose("button", "Send").await;
    desk.reads("Next in the queue").await;
    stage.queue_length(1).await;
    desk.choose("button", "Stop").await;
    desk.reads("the request has left the queue").await;
    stage.queue_length(0).await;
    stage.provider.gate("answer").open_for_good();
    held.await.expect("an answer").expect(200);
    stage.idle().await;
    assert_eq!(
        stage.provider.ledger().chats().len(),
        1,
        "it never reached the server"
    );
    // Leaving the page gives a request up as well, and what was said is there again afterwards.
    stage.provider.set_behaviour(Behaviour {
        chunk_gate: Some("word".to_owned()),
        ..Behaviour::default()
    });
    desk.enter("Message", "Then this").await;
    desk.press("Enter").await;
    stage
        .live_until("one in flight", |live| live["in_flight"] == 1)
        .await;
    desk.choose("link", "Audit").await;
    desk.is_at("Audit").await;
    stage.idle().await;
    desk.go_back().await;
    desk.see_text(".playground-turns", "Then this").await;
    desk.reads("Stopped").await;
    desk.is_clean();
}

async fn failures_are_told_in_words_with_their_code() {
    let (stage, held) = held("console-play-fail").await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, stage.gateway).await;
    desk.sign_in(&format!("{}&wait=0", path(&stage))).await;
    desk.choose("button", "Send").await;
    desk.see_text("#message-error", "Write a message").await;
    desk.enter("Message", "Now or never").await;
    desk.press("Enter").await;
    desk.see_text("#play-key-error", "Enter a gateway key")
        .await;
    prepare(&desk, &stage, "Now or never").await;
    desk.press("Enter").await;
    desk.see_text(".playground-failure", "429 deadline_unreachable")
        .await;
    desk.see_text(".playground-failure", "It would have to wait longer")
        .await;
    desk.picture("playground-failure").await;
    // In its time in the queue, told in band.
    desk.visit(&format!("{}&wait=1", path(&stage))).await;
    prepare(&desk, &stage, "A second").await;
    desk.press("Enter").await;
    desk.reads("Next in the queue").await;
    desk.see_text(".playground-failure", "queue_timeout").await;
    stage.provider.gate("answer").open_for_good();
    held.await.expect("an answer").expect(200);
    // What the server says in its own words.
    stage.provider.set_behaviour(Behaviour {
        status: Some(418),
        body: Some("tea <b>only</b>".to_owned()),
        ..Behaviour::default()
    });
    desk.enter("Message", "Coffee").await;
    desk.press("Enter").await;
    desk.see_text(".playground-failure", "tea <b>only</b>")
        .await;
    // A text that begins as an answer and breaks off.
    stage.provider.set_behaviour(Behaviour {
        cut_after: Some(2),
        ..Behaviour::default()
    });
    desk.choose("button", "Send again").await;
    desk.see_text(".playground-failure", "broke off").await;
    desk.see_text(".playground-text:not(.is-question)", &completion_text(2))
        .await;
    desk.enter("Gateway key", "sk-sluice-nobody").await;
    desk.see_text("#play-key-error", "does not accept").await;
    desk.is_clean();
}

async fn an_administrator_gets_a_key_for_an_hour_and_the_conversation_goes_on() {
    let stage = Stage::new("console-play-talk").await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, stage.gateway).await;
    desk.sign_in(&format!("/playground?model={}&stream=off", stage.model))
        .await;
    desk.choose("button", "Make one for an hour").await;
    desk.reads("The key is bound to this app").await;
    desk.fill("#play-system", "Be brief.").await;
    desk.enter("Message", "One").await;
    desk.press("Enter").await;
    desk.see_text(".playground-figures", "8 out").await;
    let switch = desk.control("switch", "Stream the answer").await;
    assert_eq!(switch.property("checked").await, false);
    switch.click().await;
    desk.enter("Message", "Two").await;
    desk.press("Enter").await;
    desk.until(
        "two answers",
        "document.querySelectorAll('.playground-text:not(.is-question)').length === 2 && !!document.querySelector('.playground-figures')",
    )
    .await;
    let chats = stage.provider.ledger().chats();
    let [first, second] = &chats[..] else {
        panic!("{} chats", chats.len())
    };
    assert_eq!(first.json()["stream"], false);
    let (answer, said) = (completion_text(8), second.json());
    assert_eq!(
        said["messages"],
        json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": answer},
            {"role": "user", "content": "Two"},
        ])
    );
    assert_eq!(said["stream"], true);
    desk.choose("button", "New conversation").await;
    desk.reads("See what a request goes through").await;
    desk.is_clean();
}

async fn a_viewer_sends_with_a_key_of_his_own_which_no_storage_keeps() {
    let stage = Stage::new("console-play-viewer").await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, stage.gateway).await;
    desk.sign_in_as_viewer(&path(&stage)).await;
    desk.control("textbox", "Gateway key").await;
    assert_eq!(desk.count("button", "Make one for an hour").await, 0);
    prepare(&desk, &stage, "Hello").await;
    desk.press("Enter").await;
    desk.see_text(".playground-text:not(.is-question)", &completion_text(8))
        .await;
    let kept = desk
        .evaluate("document.body.innerText + JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), location.href, history.state])")
        .await;
    assert!(!kept.to_string().contains(&stage.key.secret));
    // A sign-out forgets it in the memory as well.
    desk.choose("button", "Account").await;
    desk.choose("menuitem", "Sign out").await;
    desk.is_at("Sign in to Sluice").await;
    desk.enter("Access token", desk.gateway.viewer_token())
        .await;
    desk.choose("button", "Sign in").await;
    let key = desk.control("textbox", "Gateway key").await;
    assert_eq!(key.property("value").await, "");
    desk.is_clean();
}

async fn the_playground_is_accessible() {
    let stage = Stage::new("console-play-axe").await;
    let browser = Browser::start().await;
    for dark in [false, true] {
        let desk = Desk::new(&browser, stage.gateway).await;
        desk.prefer_dark(dark).await;
        desk.sign_in(&path(&stage)).await;
        prepare(&desk, &stage, "Hello").await;
        desk.is_accessible("before").await;
        desk.press("Enter").await;
        desk.see(".playground-figures").await;
        desk.is_accessible("after").await;
        desk.is_clean();
    }
}
