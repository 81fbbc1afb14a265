//! 网关密钥的终止与轮换：在别的隔离区也按时生效。
//!
//! Changes are made at one Worker and felt at another one, which has just used the key
//! and so has it in its cache.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gateway::admin_api::rfc3339;
use gateway_tests::harness::{Gateway, IN_FORCE, Key, SOON, within};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use serde_json::{Value, json};

/// Between two looks.
const POLL: Duration = Duration::from_millis(50);

/// The two clocks of a test and of a gateway on one machine, read a moment apart.
const CLOCKS: Duration = Duration::from_millis(100);

/// A grace and a life that are over within a test.
const GRACE: Duration = Duration::from_secs(4);

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        ended_keys_stop_at_another_isolate_within_the_bound,
        rotated_key_works_through_its_grace_and_no_longer,
        key_stops_at_the_instant_it_expires,
        rotation_is_checked_and_shows_the_secret_once,
    ]
}

/// Two Workers, one server.
struct Pair {
    gateway: Gateway,
    second: String,
    _provider: Provider,
}

impl Pair {
    async fn start() -> Self {
        let (gateway, second) = Gateway::serve().start_pair().await;
        let provider = Provider::start();
        let draft = gateway.server("keys").provider(&provider).model("keys");
        draft.create().await;
        Self {
            gateway,
            second,
            _provider: provider,
        }
    }

    /// Status of a chat with this secret at an address.
    async fn status(&self, secret: &str, at: &str) -> u16 {
        let chat = self.gateway.chat_with(secret).model("keys").at(at);
        let answer = chat.send().await;
        assert!(
            answer.status == 200 || answer.code() == "invalid_api_key",
            "{}",
            answer.text()
        );
        answer.status
    }

    /// Waits until the second Worker refuses the key, which it has just taken.
    async fn refused(&self, what: &str, key: &Key, change: impl Future<Output = ()>) -> Duration {
        assert_eq!(self.status(&key.secret, &self.second).await, 200, "{what}");
        change.await;
        let changed = Instant::now();
        loop {
            let asked = Instant::now();
            if self.status(&key.secret, &self.second).await == 401 {
                return asked.duration_since(changed);
            }
            let late = asked.duration_since(changed);
            assert!(late < IN_FORCE, "{what}: still accepted after {late:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Uses the secret at both Workers until it is refused, which must be between these two times. It is in
    /// the cache of both isolates all the while.
    async fn stops_between(&self, secret: &str, early: Instant, late: Instant) {
        let stops = async |at: &str| loop {
            let asked = Instant::now();
            let status = self.status(secret, at).await;
            if Instant::now() + CLOCKS < early {
                assert_eq!(status, 200, "before its end");
            } else if asked > late + CLOCKS {
                assert_eq!(status, 401, "after its end");
                return;
            }
            tokio::time::sleep(POLL).await;
        };
        let both = async { tokio::join!(stops(self.gateway.base_url()), stops(&self.second)) };
        within(SOON, "the secret stops", both).await;
    }

    async fn rotate(&self, key: &Key, body: Value) -> Value {
        let path = format!("/api/keys/{}/rotate", key.id);
        let rotate = self.gateway.admin("POST", &path).json(&body);
        rotate.send().await.expect(200).json()
    }
}

async fn ended_keys_stop_at_another_isolate_within_the_bound() {
    let pair = Pair::start().await;
    let key = |name: &'static str| pair.gateway.key(name).create();
    let (deleted, disabled) = (key("deleted").await, key("disabled").await);
    let (expired, rotated) = (key("expired").await, key("rotated").await);
    let of_key = |key: &Key| format!("/api/keys/{}", key.id);
    let change_key = async |key: &Key, change: Value| {
        let request = pair.gateway.admin("PATCH", &of_key(key)).json(&change);
        request.send().await.expect(200);
    };
    let (deleted, disabled, expired, rotated) = tokio::join!(
        pair.refused("deleted", &deleted, async {
            let delete = pair.gateway.admin("DELETE", &of_key(&deleted));
            delete.send().await.expect(204);
        }),
        pair.refused(
            "disabled",
            &disabled,
            change_key(&disabled, json!({"enabled": false}))
        ),
        pair.refused(
            "expired",
            &expired,
            change_key(&expired, json!({"expires_at": "2020-01-01T00:00:00Z"}))
        ),
        pair.refused("rotated without grace", &rotated, async {
            pair.rotate(&rotated, json!({"grace_seconds": 0})).await;
        }),
    );
    println!(
        "refused at another isolate: deleted after {deleted:?}, disabled {disabled:?}, expired {expired:?}, rotated {rotated:?}"
    );
}

async fn rotated_key_works_through_its_grace_and_no_longer() {
    let pair = Pair::start().await;
    let key = pair.gateway.key("rotating").create().await;
    let both = [pair.gateway.base_url(), pair.second.as_str()];
    for at in both {
        assert_eq!(pair.status(&key.secret, at).await, 200);
    }
    let before = Instant::now();
    let rotated = pair
        .rotate(&key, json!({"grace_seconds": GRACE.as_secs()}))
        .await;
    let after = Instant::now();
    assert!(rotated["previous_expires_at"].is_string(), "{rotated}");
    let new = rotated["key"].as_str().expect("the new secret").to_owned();
    assert_ne!(new, key.secret);
    for at in both {
        assert_eq!(pair.status(&new, at).await, 200, "the new secret, at once");
    }
    pair.stops_between(&key.secret, before + GRACE, after + GRACE)
        .await;
    for at in both {
        assert_eq!(pair.status(&new, at).await, 200, "the new one goes on");
    }
    let path = format!("/api/keys/{}", key.id);
    let shown = pair.gateway.admin("GET", &path).send().await.expect(200);
    assert_eq!(shown.json()["previous_expires_at"], Value::Null);
    assert!(!shown.text().contains(&new), "shown once");
}

async fn key_stops_at_the_instant_it_expires() {
    let pair = Pair::start().await;
    let before = Instant::now();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let ends = admission::Instant::from_millis((now + GRACE).as_millis() as u64);
    let key = pair.gateway.key("expiring");
    let key = key.field("expires_at", json!(rfc3339(ends))).create().await;
    pair.stops_between(&key.secret, before + GRACE, Instant::now() + GRACE)
        .await;
}

async fn rotation_is_checked_and_shows_the_secret_once() {
    let gateway = crate::stage::gateway().await;
    let key = gateway.key("to-be-rotated").app("billing").create().await;
    let path = format!("/api/keys/{}/rotate", key.id);
    let rotate = || gateway.admin("POST", &path);
    let without_body = rotate().send().await.expect(200).json();
    for (field, value) in [("id", &key.object["id"]), ("app", &key.object["app"])] {
        assert_eq!(&without_body[field], value);
    }
    let secret = without_body["key"].as_str().expect("a secret");
    assert!(secret.starts_with(without_body["prefix"].as_str().expect("a prefix")));
    for bad in [json!(-1), json!(2_592_001), json!("1"), json!(null)] {
        let answer = rotate().json(&json!({"grace_seconds": bad})).send().await;
        let error = answer.expect_error(422, "invalid_field").json();
        assert_eq!(error["error"]["param"], "grace_seconds");
    }
    let plain = rotate().header("content-type", "text/plain").body("{}");
    plain
        .send()
        .await
        .expect_error(415, "unsupported_media_type");
    let unknown = gateway.admin("POST", "/api/keys/key_none/rotate");
    unknown.send().await.expect_error(404, "not_found");
    let viewer = rotate().token(gateway.viewer_token());
    viewer.send().await.expect_error(403, "forbidden");

    let trail = format!("/api/audit?target_id={}", key.id);
    let trail = gateway.admin("GET", &trail).send().await.expect(200);
    let items = trail.json()["items"].clone();
    assert_eq!(items[0]["action"], "rotate");
    assert_eq!(items[0]["detail"], json!({"grace_seconds": 86_400}));
    assert_eq!(items[1]["action"], "create");
    assert!(!trail.text().contains(secret) && !trail.text().contains(&key.secret));
}
