//! 控制台的日志页：筛选、翻页、一个请求的时间线。
//!
//! The page of the log is held against the API: pages lose no row and show none twice, filters are the API's, the
//! panel of a request opens from its row and from its link. The requests are real ones.

use std::collections::BTreeSet;

use gateway_tests::harness::Browser;
use libtest_mimic::Trial;
use serde_json::Value;

use super::desk::Desk;
use super::traffic::Traffic;

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        pages_lead_to_older_and_newer_rows_without_loss_or_double,
        the_log_is_filtered_cleared_and_downloaded,
        a_row_opens_with_its_timeline_and_its_link_survives_a_reload,
        the_log_is_read_with_the_keyboard_alone,
        the_log_follows_what_comes_in_while_it_is_live,
        a_viewer_reads_the_log_on_a_telephone_and_the_checker_finds_nothing,
    ]
}

/// Ids of the rows that are shown, in their order.
async fn shown(desk: &Desk<'_>) -> Vec<String> {
    let ids = desk
        .evaluate("[...document.querySelectorAll('.logs-time a')].map((link) => link.pathname.split('/').at(-1))")
        .await;
    texts(&ids)
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|one| one.as_str().unwrap_or_default().to_owned())
        .collect()
}

async fn rows(desk: &Desk<'_>, count: usize) -> Vec<String> {
    let there = format!(
        "document.querySelectorAll('.logs-time a').length === {count} && !document.querySelector('.logs-card[aria-busy]')"
    );
    desk.until(&format!("{count} rows"), &there).await;
    shown(desk).await
}

async fn pages_lead_to_older_and_newer_rows_without_loss_or_double() {
    let traffic = Traffic::of(120).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    desk.sign_in("/logs").await;
    let first = rows(&desk, 50).await;
    assert_eq!(desk.count("link", "Newest").await, 0);
    desk.choose("link", "Older").await;
    desk.until("another page", "location.search.includes('cursor=')")
        .await;
    desk.until(
        "other rows",
        &format!(
            "!document.querySelector('.logs-time a[href*=\"{}\"]')",
            first[0]
        ),
    )
    .await;
    let second = rows(&desk, 50).await;
    let place = desk.place().await;
    desk.choose("link", "Older").await;
    let third = rows(&desk, 20).await;
    desk.reads("No older rows in this range").await;
    let all: BTreeSet<&String> = first.iter().chain(&second).chain(&third).collect();
    assert_eq!(all.len(), 120, "each row once");
    let page = traffic.get("/api/logs?limit=500").await;
    let known = page["items"].as_array().expect("items").iter();
    let known: Vec<&str> = known.filter_map(|row| row["request_id"].as_str()).collect();
    let read: Vec<&String> = first.iter().chain(&second).chain(&third).collect();
    assert_eq!(read, known, "in the API's order");

    desk.choose("link", "Newer").await;
    assert_eq!(rows(&desk, 50).await, second);
    assert_eq!(desk.place().await, place);
    desk.reload().await;
    assert_eq!(rows(&desk, 50).await, second);
    desk.go_back().await;
    assert_eq!(rows(&desk, 20).await, third);
    desk.choose("link", "Newest").await;
    assert_eq!(rows(&desk, 50).await, first);
    assert_eq!(desk.place().await, "/logs");
    desk.is_clean();
}

async fn the_log_is_filtered_cleared_and_downloaded() {
    let traffic = Traffic::of(20).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    desk.sign_in("/logs?app=mobile").await;
    rows(&desk, 10).await;
    let status = desk.control("combobox", "Status").await;
    status
        .run("function () { this.value = '5xx'; this.dispatchEvent(new Event('change', { bubbles: true })); }")
        .await;
    // Every fifth failed, every second is of this app.
    let failed = rows(&desk, 2).await;
    assert_eq!(failed, ["traffic-019", "traffic-009"]);
    desk.see_text(".logs-status", "500").await;
    assert_eq!(desk.place().await, "/logs?app=mobile&status=5xx");
    desk.control("combobox", "App").await.fill("nobody").await;
    desk.press("Enter").await;
    desk.reads("No requests pass these filters").await;
    desk.reads("Filtered by App, Status").await;
    desk.click(".empty .button").await;
    rows(&desk, 20).await;
    assert_eq!(desk.place().await, "/logs");

    desk.visit("/logs?status=500").await;
    rows(&desk, 4).await;
    let path = desk
        .control("link", "Download CSV")
        .await
        .run("function () { return this.getAttribute('href'); }")
        .await;
    let path = path.as_str().expect("a path").to_owned();
    let (name, text) = desk.download("Download CSV").await;
    assert!(
        name.starts_with("sluice-") && name.rsplit('.').next() == Some("csv"),
        "{name}"
    );
    assert_eq!(text, traffic.text(&path).await);
    assert_eq!(text.lines().count(), 5, "a header and four rows: {text}");
    desk.is_clean();
}

async fn a_row_opens_with_its_timeline_and_its_link_survives_a_reload() {
    let traffic = Traffic::of(5).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    desk.sign_in("/logs?app=web").await;
    rows(&desk, 3).await;
    desk.click(".logs-table tbody tr:last-child .logs-name")
        .await;
    desk.control("dialog", "Request").await;
    desk.see_text(".logs-id", "traffic-000").await;
    for text in [
        "Waited in the queue",
        "Waited for the server",
        "Received the answer",
        "straight through",
    ] {
        desk.see_text(".logs-timeline", text).await;
    }
    let row = traffic.get("/api/logs?request_id=traffic-000").await["items"][0].clone();
    let total = row["total_ms"].as_u64().expect("a number");
    desk.see_text(".logs-instants", &format!("+{total}ms"))
        .await;
    desk.see_text(".logs-fields", &row["total_tokens"].to_string())
        .await;
    desk.see_text(".logs-fields", "Exact: as the server reported")
        .await;
    let parts = desk
        .evaluate("[...document.querySelectorAll('.logs-timeline rect')].reduce((sum, part) => sum + Number(part.getAttribute('width')), 0)")
        .await;
    let parts = parts.as_f64().expect("a number");
    assert!((990.0..1_020.0).contains(&parts), "{parts}");
    desk.picture("log").await;
    desk.reload().await;
    desk.see_text(".logs-id", "traffic-000").await;
    desk.see(".logs-timeline").await;
    assert_eq!(desk.place().await, "/logs/traffic-000?app=web");

    // One that no page shows comes from the API; one that nobody knows is told.
    desk.visit("/logs/traffic-001?app=web").await;
    desk.see_text(".logs-fields", "mobile").await;
    desk.visit("/logs/of-nobody").await;
    desk.reads("This request is not in the log").await;
    desk.visit("/logs/traffic-004").await;
    desk.see_text(
        ".logs-verdict",
        "The server answered with this status itself",
    )
    .await;
    desk.choose("link", "beta").await;
    desk.without("dialog", "Request").await;
    rows(&desk, 1).await;
    desk.is_clean();
}

async fn the_log_is_read_with_the_keyboard_alone() {
    let traffic = Traffic::of(5).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    desk.sign_in("/logs").await;
    let ids = rows(&desk, 5).await;
    desk.tab_to("link", "Download CSV").await;
    let on_row = "document.activeElement.closest('.logs-time') !== null";
    for _ in 0..20 {
        if desk.evaluate(on_row).await == true {
            break;
        }
        desk.press("Tab").await;
    }
    assert_eq!(desk.evaluate(on_row).await, true);
    desk.press("Enter").await;
    desk.see_text(".logs-id", &ids[0]).await;
    desk.press("ArrowDown").await;
    desk.see_text(".logs-id", &ids[1]).await;
    desk.see(".logs-timeline").await;
    desk.press("ArrowUp").await;
    desk.see_text(".logs-id", &ids[0]).await;
    assert_eq!(desk.place().await, format!("/logs/{}", ids[0]));
    desk.press("Escape").await;
    desk.without("dialog", "Request").await;
    assert_eq!(desk.place().await, "/logs");
    desk.until("the focus is back", on_row).await;
    desk.is_clean();
}

async fn the_log_follows_what_comes_in_while_it_is_live() {
    let traffic = Traffic::of(2).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    desk.sign_in("/logs").await;
    rows(&desk, 2).await;
    desk.evaluate("window.row = document.querySelector('.logs-table tbody tr'); true")
        .await;
    desk.choose("switch", "Live").await;
    desk.until("the link says so", "location.search === '?live=1'")
        .await;
    let chat = traffic.gateway.chat(&traffic.key).model("small");
    chat.header("x-request-id", "traffic-later")
        .send()
        .await
        .expect(200);
    desk.until(
        "the row",
        "document.querySelector('.logs-time a').pathname.endsWith('/traffic-later')",
    )
    .await;
    let same = desk
        .evaluate("window.row === document.querySelectorAll('.logs-table tbody tr')[1]")
        .await;
    assert_eq!(same, true, "the rows of before were not made anew");
    desk.is_clean();
}

async fn a_viewer_reads_the_log_on_a_telephone_and_the_checker_finds_nothing() {
    let traffic = Traffic::of(5).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    desk.sign_in_as_viewer("/logs").await;
    for path in ["/logs", "/logs/traffic-004"] {
        desk.visit(path).await;
        rows(&desk, 5).await;
        for dark in [false, true] {
            desk.prefer_dark(dark).await;
            desk.is_accessible(path).await;
        }
    }
    desk.resize(360, 740).await;
    for path in ["/logs", "/logs/traffic-004", "/logs?app=nobody&status=5xx"] {
        desk.visit(path).await;
        desk.see("#page-title").await;
        desk.until(
            "it is complete",
            "document.querySelector('.skeleton') === null",
        )
        .await;
        assert_eq!(desk.overflow().await, 0, "{path}");
    }
    desk.is_clean();
}
