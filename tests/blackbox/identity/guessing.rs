//! 猜令牌的地址：错得太多就等，猜对也不算。
//!
//! Wrong tokens are counted per client address by one object, so the count is one for all isolates.

use gateway_tests::harness::{Answer, Gateway};
use libtest_mimic::Trial;
use serde_json::json;

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        address_that_guesses_is_refused_even_when_it_is_right,
        guesses_count_in_every_isolate
    ]
}

const LIMIT: usize = 3;

fn start() -> gateway_tests::harness::Start {
    Gateway::serve().variable("AUTH_FAILURES_PER_MINUTE", &LIMIT.to_string())
}

async fn sign_in(gateway: &Gateway, address: &str, token: &str) -> Answer {
    let request = gateway.request("POST", "/api/session");
    let request = request.header("cf-connecting-ip", address);
    request.json(&json!({ "token": token })).send().await
}

fn assert_refused(answer: Answer) {
    let answer = answer.expect_error(429, "too_many_attempts");
    let after = answer.number("retry-after");
    assert!((1..=60).contains(&after), "{after}");
}

async fn address_that_guesses_is_refused_even_when_it_is_right() {
    let gateway = start().start().await;
    let (guesser, other) = ("198.51.100.7", "198.51.100.8");
    let read = |address: &str, token: &str| {
        let request = gateway.request("GET", "/api/servers").token(token);
        request.header("cf-connecting-ip", address)
    };
    for _ in 1..LIMIT {
        let wrong = sign_in(&gateway, guesser, "not-the-admin-token-at-all").await;
        wrong.expect_error(401, "unauthorized");
    }
    // A right one in between costs nothing and forgives nothing.
    sign_in(&gateway, guesser, gateway.admin_token())
        .await
        .expect(200);
    let wrong = read(guesser, "not-the-admin-token-either").send().await;
    wrong.expect_error(401, "unauthorized");
    assert_refused(sign_in(&gateway, guesser, gateway.admin_token()).await);
    assert_refused(read(guesser, gateway.admin_token()).send().await);
    let elsewhere = read(other, gateway.admin_token()).send().await;
    elsewhere.expect(200);
    sign_in(&gateway, other, gateway.admin_token())
        .await
        .expect(200);
    // Who sends nothing guesses nothing.
    for _ in 0..2 * LIMIT {
        let nothing = gateway.request("GET", "/api/servers");
        let nothing = nothing.header("cf-connecting-ip", other).send().await;
        nothing.expect_error(401, "unauthorized");
    }
    read(other, gateway.admin_token()).send().await.expect(200);
}

async fn guesses_count_in_every_isolate() {
    let (gateway, second) = start().start_pair().await;
    let address = "203.0.113.9";
    for _ in 0..LIMIT {
        let wrong = sign_in(&gateway, address, "not-the-admin-token-at-all").await;
        wrong.expect_error(401, "unauthorized");
    }
    let client = reqwest::Client::new();
    let body = json!({"token": gateway.admin_token()}).to_string();
    let answer = client
        .post(format!("{second}/api/session"))
        .header("cf-connecting-ip", address)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        answer.status(),
        429,
        "the other isolate asks the same object"
    );
}
