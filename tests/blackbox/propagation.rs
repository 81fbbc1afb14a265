//! 配置传播：一百次修改，另一个隔离区五秒内全部生效。
//!
//! Changes are made at one Worker and measured at another one, from the answer of the
//! admin API to the first inference request that feels the change.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gateway_tests::criteria;
use gateway_tests::harness::{Gateway, IN_FORCE, Key, SOON, Server, within};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use serde_json::json;

/// The number of tries.
const TRIES: usize = 100;

/// Changes at a time: each waits about two seconds, and the test shall not take minutes.
const AT_ONCE: usize = 20;

/// Between two looks of one change.
const POLL: Duration = Duration::from_millis(100);

/// What "at once" means for the limiter: no refresh of any copy lies in between.
const AT_ONCE_MAX: Duration = Duration::from_secs(1);

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        hundred_changes_reach_another_isolate_within_the_bound,
        limiter_hears_a_limit_at_once_also_for_waiters_of_another_isolate,
    ]
}

/// How long after the change the second Worker takes a model that the server had not before.
async fn try_one(
    gateway: &Gateway,
    second: &str,
    key: &Key,
    server: &Server,
    round: usize,
) -> Duration {
    let model = format!("{}-{round}", server.name);
    let patch = gateway.admin("PATCH", &server.path());
    let patch = patch.json(&json!({"models": [model]}));
    patch.send().await.expect(200);
    let changed = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = gateway.chat(key).model(&model).at(second).send().await;
        let late = asked.duration_since(changed);
        if answer.status == 200 {
            return late;
        }
        answer.expect_error(404, "model_not_found");
        assert!(late < IN_FORCE, "{model}: not within {IN_FORCE:?}");
        tokio::time::sleep(POLL).await;
    }
}

async fn hundred_changes_reach_another_isolate_within_the_bound() {
    let provider = Provider::start();
    let (gateway, second) = Gateway::serve().start_pair().await;
    let key = gateway.key("propagation").create().await;
    let mut servers = Vec::new();
    for number in 0..AT_ONCE {
        let name = format!("propagation-{number}");
        let draft = gateway.server(&name).provider(&provider).model(&name);
        servers.push(draft.create().await);
    }
    let mut spans = Vec::new();
    for round in 0..TRIES / AT_ONCE {
        let tries = servers
            .iter()
            .map(|server| try_one(&gateway, &second, &key, server, round));
        spans.extend(join_all(tries).await);
    }
    spans.sort();
    let (p50, p99, max) = (spans[TRIES / 2], spans[TRIES - 2], spans[TRIES - 1]);
    let figure = format!(
        "{TRIES} changes at another isolate: p50 {p50:?}, p99 {p99:?}, max {max:?} (under {IN_FORCE:?})"
    );
    criteria::said(4, max < IN_FORCE, &figure);
    assert_eq!(spans.len(), TRIES);
    assert!(max < IN_FORCE, "{max:?}");
}

async fn limiter_hears_a_limit_at_once_also_for_waiters_of_another_isolate() {
    let provider = Provider::start();
    let (gateway, second) = Gateway::serve().start_pair().await;
    let key = gateway.key("at-once").create().await;
    let draft = gateway
        .server("at-once")
        .provider(&provider)
        .model("at-once");
    let server = draft.rpm(0).create().await;
    let chat = || gateway.chat(&key).model("at-once").at(&second);
    let waiting: Vec<_> = (0..3).map(|_| chat().spawn()).collect();
    gateway
        .live_until(&server.id, "three wait", |live| live["queue_length"] == 3)
        .await;
    let patch = gateway.admin("PATCH", &server.path());
    patch
        .json(&json!({"rpm_limit": 600}))
        .send()
        .await
        .expect(200);
    let changed = Instant::now();
    let answers = within(SOON, "the waiters are served", join_all(waiting)).await;
    for answer in answers {
        let answer = answer.expect("an answer").expect(200);
        let late = answer.ended.saturating_duration_since(changed);
        println!("a waiter of another isolate was served {late:?} after the change");
        assert!(late < AT_ONCE_MAX, "{late:?}");
    }
}
