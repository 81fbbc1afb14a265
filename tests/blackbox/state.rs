//! 状态：重启不丢，停得干净。
//!
//! What a state directory must keep over a restart of `make serve`, and how the
//! process ends. What it must never hold is the business of `canary`.

use std::time::{Duration, Instant};

use gateway_tests::harness::{Gateway, IN_FORCE, SOON, is_alive};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

/// A clean stop, also with a stream that would never end.
pub(crate) const STOPPED: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        state_survives_a_restart,
        signals_stop_everything_cleanly,
        output_is_json_lines_and_one_ready_line,
    ]
}

async fn state_survives_a_restart() {
    let state = TempDir::with_prefix("sluice-restart-").expect("a temporary directory");
    let provider = Provider::start();
    let gateway = Gateway::serve().state(state.path()).start().await;
    let one = gateway
        .server("one")
        .provider(&provider)
        .model("m")
        .create()
        .await;
    let two = gateway
        .server("two")
        .provider(&provider)
        .model("m")
        .rpm(77)
        .create()
        .await;
    let order = json!({"ids": [two.id, one.id]});
    gateway
        .admin("PUT", "/api/servers/order")
        .json(&order)
        .send()
        .await;
    let key = gateway
        .key("kept")
        .app("blackbox")
        .models(&["m"])
        .create()
        .await;
    gateway.in_force().await;
    gateway.chat(&key).model("m").send().await.expect(200);
    let servers = gateway
        .admin("GET", "/api/servers")
        .send()
        .await
        .expect(200)
        .json();
    let keys = gateway
        .admin("GET", "/api/keys")
        .send()
        .await
        .expect(200)
        .json();
    let version = gateway
        .admin("GET", "/api/config/version")
        .send()
        .await
        .expect(200)
        .json()["version"]
        .clone();
    let status = gateway
        .stop(Signal::SIGTERM, STOPPED)
        .await
        .expect("it stops");
    assert!(status.success(), "{status}");

    let gateway = Gateway::serve().state(state.path()).start().await;
    assert_eq!(
        gateway
            .admin("GET", "/api/servers")
            .send()
            .await
            .expect(200)
            .json(),
        servers
    );
    assert_eq!(
        gateway
            .admin("GET", "/api/keys")
            .send()
            .await
            .expect(200)
            .json(),
        keys
    );
    let answer = gateway.chat(&key).model("m").send().await.expect(200);
    assert_eq!(answer.header("x-gateway-server"), Some("two"));
    assert_eq!(
        answer.header("x-config-version"),
        Some(version.to_string().as_str())
    );
    let chats = provider.ledger().chats();
    let authorization = format!("Bearer {}", two.api_key);
    assert_eq!(
        chats[1].header("authorization"),
        Some(authorization.as_str()),
        "its key is decrypted again"
    );
}

async fn signals_stop_everything_cleanly() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let provider = Provider::start();
        let gateway = Gateway::serve().start().await;
        gateway
            .server("stop")
            .provider(&provider)
            .model("m")
            .create()
            .await;
        let key = gateway.key("stop").create().await;
        gateway.in_force().await;
        // A stream that never ends must not hold up the stop.
        let stream = gateway
            .chat(&key)
            .model("m")
            .stream()
            .demo(json!({"stall_after": 1}))
            .open()
            .await;
        let workerd = gateway.workerd_id();
        assert!(is_alive(workerd));
        let asked = Instant::now();
        let status = gateway.stop(signal, STOPPED).await;
        let status = status.unwrap_or_else(|| panic!("still there {STOPPED:?} after {signal}"));
        assert!(
            status.success(),
            "{signal}: {status} after {:?}",
            asked.elapsed()
        );
        assert!(
            !is_alive(workerd),
            "{signal}: workerd outlives its launcher"
        );
        drop(stream);
    }
}

async fn output_is_json_lines_and_one_ready_line() {
    let gateway = Gateway::serve().start().await;
    gateway
        .chat_with("wrong")
        .model("m")
        .send()
        .await
        .expect(401);
    gateway
        .admin("GET", "/api/servers")
        .send()
        .await
        .expect(200);
    let is_logged = |line: &str| line.starts_with('{').then_some(());
    // The log may lag behind the answer a little; its absence would fail below as well.
    let _ = gateway.log().wait_for(IN_FORCE.min(SOON), is_logged).await;
    let text = gateway.log().text();
    let (ready, others): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("ready "));
    assert_eq!(ready.len(), 1, "{text}");
    for line in others {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(
            parsed.is_ok_and(|value| value.is_object()),
            "not a JSON object: {line}"
        );
    }
}
