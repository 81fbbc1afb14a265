//! 控制台的用量页：真实请求的合计、筛选、链接、CSV。
//!
//! What the page of statistics shows is held against the API: totals, groups, the file. Its view is all in its
//! link, so a reload, the back button and a second reader see the same. The requests are real ones.

use gateway_tests::harness::{Browser, Gateway};
use libtest_mimic::Trial;
use serde_json::json;

use super::desk::Desk;
use super::traffic::Traffic;

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        usage_is_filtered_and_grouped_and_shows_what_the_api_says,
        the_file_of_the_view_is_that_of_the_api,
        a_link_keeps_the_view_through_reload_and_back,
        series_are_switched_off_and_on_with_the_keyboard,
        without_requests_the_page_says_so_and_filters_can_be_cleared,
        what_was_loaded_stays_while_the_gateway_cannot_be_reached,
        a_viewer_reads_usage_on_a_telephone_and_the_checker_finds_nothing,
    ]
}

/// The cells of a row of the table, by the name in its head.
async fn cells(desk: &Desk<'_>, name: &str) -> Vec<String> {
    let row = format!(
        "[...document.querySelectorAll('.usage-table tr')].find((row) => row.querySelector('th[scope=row]')?.innerText.trim() === {})",
        json!(name)
    );
    desk.until(&format!("a row {name:?}"), &format!("{row} !== undefined"))
        .await;
    let cells = desk
        .evaluate(&format!(
            "[...{row}.querySelectorAll('td')].map((cell) => cell.innerText)"
        ))
        .await;
    let cells = cells.as_array().expect("cells").iter();
    cells
        .map(|cell| cell.as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Waits until the row of sums begins with this many requests.
async fn sums_to(desk: &Desk<'_>, requests: u64) {
    let sum = "document.querySelector('.usage-table tfoot td')?.innerText";
    desk.until(
        &format!("{requests} requests"),
        &format!("{sum} === '{requests}'"),
    )
    .await;
}

async fn usage_is_filtered_and_grouped_and_shows_what_the_api_says() {
    let traffic = Traffic::of(20).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    desk.sign_in("/usage?range=24h").await;
    desk.see(".usage-table").await;
    let totals = traffic.get("/api/stats/usage").await["totals"].clone();
    assert_eq!(
        (&totals["requests"], &totals["errors"]),
        (&json!(20), &json!(4))
    );
    let tokens = totals["total_tokens"].to_string();
    desk.see_text(".usage-tile", "20").await;
    let sum = cells(&desk, "Total").await;
    assert_eq!(
        sum[..3],
        ["20".to_owned(), grouped(&tokens), "4 20%".to_owned()]
    );
    assert_eq!(cells(&desk, "alpha").await[0], "16");
    assert_eq!(cells(&desk, "beta").await[2], "4 100%");
    // A percentile of a group is the API's own for the whole range.
    let alone = format!("/api/stats/usage?server_id={}", traffic.alpha.id);
    let alone = traffic.get(&alone).await["totals"].clone();
    desk.until(
        "the percentile of a group",
        &format!(
            "[...document.querySelectorAll('.usage-table tbody tr')].find((row) => row.innerText.includes('alpha')).querySelector('td:nth-of-type(5)').innerText === {}",
            json!(format!("{}ms", alone["queue_wait_p50_ms"]))
        ),
    )
    .await;

    desk.choose("radio", "App").await;
    assert_eq!(cells(&desk, "web").await[0], "10");
    assert_eq!(cells(&desk, "mobile").await[0], "10");
    desk.control("combobox", "Model").await.fill("small").await;
    desk.press("Enter").await;
    let filtered = traffic.get("/api/stats/usage?model=small").await["totals"].clone();
    assert_eq!(filtered["requests"], 16);
    sums_to(&desk, 16).await;
    let sum = cells(&desk, "Total").await;
    assert_eq!(sum[1], grouped(&filtered["total_tokens"].to_string()));
    let parts: u64 = [cells(&desk, "web").await, cells(&desk, "mobile").await]
        .iter()
        .map(|cells| cells[0].parse::<u64>().expect("a number"))
        .sum();
    assert_eq!(parts, 16);
    desk.choose("radio", "Errors").await;
    desk.see_text(".card-title", "Errors").await;
    assert_eq!(
        desk.place().await,
        "/usage?range=24h&group_by=app&model=small&measure=errors"
    );
    desk.picture("usage-filtered").await;
    desk.is_clean();
}

/// Thousands apart, as the page writes them.
fn grouped(digits: &str) -> String {
    match digits.len().checked_sub(3) {
        Some(0) | None => digits.to_owned(),
        Some(place) => format!("{},{}", &digits[..place], &digits[place..]),
    }
}

async fn the_file_of_the_view_is_that_of_the_api() {
    let traffic = Traffic::of(10).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    desk.sign_in("/usage?range=7d&group_by=app&server_id=&granularity=day")
        .await;
    desk.see(".usage-table").await;
    let link = desk.control("link", "Download CSV").await;
    let path = link
        .run("function () { return this.getAttribute('href'); }")
        .await;
    let path = path.as_str().expect("a path").to_owned();
    assert!(
        path.contains("granularity=day") && path.contains("group_by=app"),
        "{path}"
    );
    let (name, text) = desk.download("Download CSV").await;
    assert!(
        name.starts_with("sluice-") && name.rsplit('.').next() == Some("csv"),
        "{name}"
    );
    assert_eq!(text, traffic.text(&path).await);
    assert_eq!(text.lines().count(), 3, "a header and two apps: {text}");
    let answer = traffic.get(&path.replace("usage.csv", "usage")).await;
    assert_eq!(answer["totals"]["requests"], 10);
    desk.is_clean();
}

async fn a_link_keeps_the_view_through_reload_and_back() {
    let traffic = Traffic::of(5).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    let view = "/usage?range=7d&group_by=model&measure=tokens&kind=prompt&sort=name";
    desk.sign_in(view).await;
    desk.see(".uplot").await;
    let is_there = "[...document.querySelectorAll('.usage-tile input, .segment input')].filter((one) => one.checked).map((one) => one.ariaLabel ?? one.parentElement.innerText).join()";
    let checked = desk.evaluate(is_there).await;
    assert_eq!(checked, "7d,Model,Auto,Tokens,Prompt");
    desk.reload().await;
    desk.see(".uplot").await;
    assert_eq!(desk.evaluate(is_there).await, checked);
    assert_eq!(desk.place().await, view);
    assert_eq!(
        desk.control("columnheader", "Model")
            .await
            .attribute("aria-sort")
            .await,
        "ascending"
    );
    desk.choose("link", "large").await;
    desk.until(
        "the group is a filter",
        "location.search.includes('model=large')",
    )
    .await;
    sums_to(&desk, 1).await;
    desk.go_back().await;
    desk.until(
        "the view of before",
        "!location.search.includes('model=large')",
    )
    .await;
    assert_eq!(desk.place().await, view);
    sums_to(&desk, 5).await;
    desk.is_clean();
}

async fn series_are_switched_off_and_on_with_the_keyboard() {
    let traffic = Traffic::of(5).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    desk.sign_in("/usage?range=24h").await;
    desk.see(".uplot").await;
    desk.tab_to("radio", "Requests").await;
    desk.press("ArrowRight").await;
    desk.until(
        "tokens are drawn",
        "location.search.includes('measure=tokens')",
    )
    .await;
    desk.tab_to("button", "beta").await;
    desk.press("Enter").await;
    let beta = desk.control("button", "beta").await;
    desk.until("it is off", "location.search.includes('hide=')")
        .await;
    assert_eq!(beta.attribute("aria-pressed").await, "false");
    desk.reload().await;
    desk.see(".uplot").await;
    let beta = desk.control("button", "beta").await;
    assert_eq!(beta.attribute("aria-pressed").await, "false");
    desk.tab_to("button", "Show all").await;
    desk.press("Enter").await;
    desk.until("all are on", "!location.search.includes('hide=')")
        .await;
    // The same figures stand in a table.
    desk.evaluate("document.querySelector('.chart-table').open = true")
        .await;
    desk.see_text(".chart-table th", "alpha").await;
    desk.is_clean();
}

async fn without_requests_the_page_says_so_and_filters_can_be_cleared() {
    let gateway = Gateway::serve().start().await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &gateway).await;
    desk.sign_in("/usage").await;
    desk.reads("No requests in this range").await;
    desk.visit("/usage?app=nobody&range=24h").await;
    desk.reads("No requests pass these filters").await;
    desk.see(".empty .button").await;
    desk.click(".empty .button").await;
    desk.reads("No requests in this range").await;
    assert_eq!(desk.place().await, "/usage?range=24h");
    // What the gateway refuses is told, and does not look like an answer.
    let long = format!("/usage?app={}", "a".repeat(300));
    desk.visit(&long).await;
    desk.reads("The gateway refused the input").await;
    desk.is_clean();
}

async fn what_was_loaded_stays_while_the_gateway_cannot_be_reached() {
    let traffic = Traffic::of(5).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    desk.sign_in("/usage?range=24h").await;
    sums_to(&desk, 5).await;
    let place = "JSON.stringify(document.querySelector('.usage-table').getBoundingClientRect())";
    let before = desk.evaluate(place).await;
    desk.cut_off(true).await;
    desk.see_text(".banner", "The gateway does not answer")
        .await;
    assert_eq!(
        desk.evaluate(place).await,
        before,
        "nothing moves under the mouse"
    );
    desk.choose("radio", "Model").await;
    desk.until(
        "it is in the link",
        "location.search.includes('group_by=model')",
    )
    .await;
    sums_to(&desk, 5).await;
    desk.cut_off(false).await;
    assert_eq!(cells(&desk, "small").await[0], "4");
    assert_eq!(desk.asked_elsewhere(traffic.gateway.base_url()), []);
}

async fn a_viewer_reads_usage_on_a_telephone_and_the_checker_finds_nothing() {
    let traffic = Traffic::of(5).await;
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, &traffic.gateway).await;
    desk.sign_in_as_viewer("/usage").await;
    desk.see(".uplot").await;
    for dark in [false, true] {
        desk.prefer_dark(dark).await;
        desk.is_accessible("usage").await;
    }
    desk.resize(360, 740).await;
    for path in [
        "/usage",
        "/usage?group_by=nothing&measure=latency",
        "/usage?from=2026-01-01T00:00:00.000Z&to=2026-01-02T00:00:00.000Z",
    ] {
        desk.visit(path).await;
        desk.see("#page-title").await;
        desk.until("it is complete", "document.querySelector('.skeleton') === null && document.querySelector('.usage-body:not([aria-busy])') !== null").await;
        assert_eq!(desk.overflow().await, 0, "{path}");
    }
    desk.is_clean();
}
