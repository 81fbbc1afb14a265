//! 一段真实的流量：两台服务器、两个应用，成功与失败都有。
//!
//! Owns a gateway of a test's own with requests that really went through it, are in the log and are summed up:
//! what the pages of usage and log are looked at with.

use std::time::{Duration, Instant};

use gateway_tests::harness::{Gateway, Key, SOON, Server};
use gateway_tests::provider::Provider;
use serde_json::{Value, json};

/// Requests that were made.
pub(crate) struct Traffic {
    pub(crate) gateway: Gateway,
    pub(crate) alpha: Server,
    pub(crate) key: Key,
    _provider: Provider,
}

impl Traffic {
    /// So many requests, in the log and in the sums: every fifth fails at the server `beta`, every other one is of
    /// the app `mobile`, the rest of `web`.
    pub(crate) async fn of(count: usize) -> Self {
        let gateway = Gateway::serve().start().await;
        let provider = Provider::start();
        let alpha = gateway.server("alpha").provider(&provider).model("small");
        let alpha = alpha.create().await;
        let beta = gateway.server("beta").provider(&provider).model("large");
        beta.create().await;
        let key = gateway.key("traffic").create().await;
        gateway.in_force().await;
        for number in 0..count {
            let fails = number % 5 == 4;
            let chat = gateway
                .chat(&key)
                .model(if fails { "large" } else { "small" })
                .app(if number % 2 == 0 { "web" } else { "mobile" })
                .header("x-request-id", &format!("traffic-{number:03}"));
            if fails {
                let failing = chat.demo(json!({"status": 500, "body": "{}"}));
                failing.send().await.expect(500);
            } else {
                let fine = chat.demo(json!({"prompt_tokens": 90, "chunks": 10}));
                fine.send().await.expect(200);
            }
        }
        let traffic = Self {
            gateway,
            alpha,
            key,
            _provider: provider,
        };
        traffic.is_logged(count).await;
        traffic.gateway.cron().await;
        traffic
    }

    /// Waits until so many rows are in the log.
    async fn is_logged(&self, count: usize) {
        let started = Instant::now();
        loop {
            let page = self.get("/api/logs?limit=500").await;
            let there = page["items"].as_array().map_or(0, Vec::len);
            if there >= count {
                return;
            }
            assert!(started.elapsed() < 2 * SOON, "{there} of {count} rows");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the API answers a viewer.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.text(path).await.parse().expect("JSON")
    }

    /// The same as text.
    pub(crate) async fn text(&self, path: &str) -> String {
        let request = self.gateway.request("GET", path);
        let answer = request.token(self.gateway.viewer_token()).send().await;
        answer.expect(200).text()
    }
}
