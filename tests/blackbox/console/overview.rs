//! 控制台的总览页：队列的增长与排空，需要关注的事，离线。
//!
//! What the overview shows while requests wait: the queue fills and drains before one's eyes, limits that are
//! full, what needs attention; that it says so when the gateway cannot be reached, and comes back by itself.

use gateway_tests::harness::{Browser, Gateway};
use libtest_mimic::Trial;
use serde_json::json;

use super::desk::Desk;
use crate::stage::Stage;

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        the_queue_fills_and_drains_live_without_a_row_being_made_anew,
        a_gateway_that_cannot_be_reached_is_told_and_comes_back_by_itself,
        a_switched_off_authentication_is_told_on_every_page,
        the_overview_is_accessible_and_its_charts_have_tables,
    ]
}

async fn the_queue_fills_and_drains_live_without_a_row_being_made_anew() {
    let gateway = Gateway::serve().start().await;
    let key = gateway.key("watcher").create().await;
    let stage = Stage::on(&gateway, &key, "watched", |draft| {
        draft.field("max_concurrency", json!(0))
    })
    .await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/").await;
    desk.see_text(".live-row", "Nothing waits").await;
    desk.see_text(".attention-row", "A limit is 0").await;
    desk.evaluate("window.row = document.querySelector('.live-row'); true")
        .await;
    let mut waiting = Vec::new();
    for number in 1..=5 {
        waiting.push(stage.waiter(number, number).await);
    }
    desk.see_text(".live-row", "5 waiting").await;
    desk.see_text(".live-sum", "5 waiting").await;
    desk.picture("overview-queue").await;
    stage.patch(json!({"max_concurrency": 10})).await;
    for one in waiting {
        one.await.expect("it ends").expect(200);
    }
    desk.see_text(".live-row", "Nothing waits").await;
    desk.until(
        "nothing needs attention",
        "document.querySelector('.attention') === null",
    )
    .await;
    let same = desk
        .evaluate("window.row === document.querySelector('.live-row')")
        .await;
    assert_eq!(same, true, "the row of before is still there");
    desk.is_clean();
}

async fn a_gateway_that_cannot_be_reached_is_told_and_comes_back_by_itself() {
    let gateway = Gateway::serve().start().await;
    gateway
        .server("lost")
        .base_url("http://127.0.0.1:9")
        .model("m")
        .create()
        .await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/").await;
    desk.see_text(".live-row", "Nothing waits").await;
    desk.cut_off(true).await;
    desk.see_text(".banner", "The gateway does not answer")
        .await;
    desk.see_text(".live-title", "Not updated").await;
    desk.see_text(".live-row", "lost").await;
    desk.cut_off(false).await;
    desk.until(
        "the strip is gone",
        "document.querySelector('.banner.is-bad') === null",
    )
    .await;
    desk.see_text(".live-title", "Live").await;
    assert_eq!(desk.asked_elsewhere(gateway.base_url()), []);
}

async fn a_switched_off_authentication_is_told_on_every_page() {
    let gateway = Gateway::serve()
        .variable("CLIENT_AUTH", "off")
        .start()
        .await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/").await;
    desk.see_text(".banner.is-warning", "Client authentication is off")
        .await;
    desk.choose("link", "Logs").await;
    desk.see_text(".banner.is-warning", "Client authentication is off")
        .await;
    desk.is_clean();
}

async fn the_overview_is_accessible_and_its_charts_have_tables() {
    let gateway = Gateway::serve().start().await;
    gateway
        .server("shown")
        .base_url("http://127.0.0.1:9")
        .model("m")
        .create()
        .await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.visit("/").await;
    desk.see("#token").await;
    desk.is_accessible("signing in").await;
    desk.sign_in("/").await;
    for dark in [false, true] {
        desk.prefer_dark(dark).await;
        desk.see_text(".live-row", "shown").await;
        desk.see(".u-legend").await;
        desk.is_accessible(&format!("the overview, dark: {dark}"))
            .await;
    }
    let tables = desk
        .evaluate("document.querySelectorAll('.chart-table table').length")
        .await;
    assert_eq!(tables, 4);
    desk.is_clean();
}
