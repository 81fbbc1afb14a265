//! 状态：重启不丢，秘密不落盘。
//!
//! What a state directory must keep over a restart of `make serve`, what it must
//! never hold, and how the process ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gateway_tests::harness::{Gateway, IN_FORCE, SOON, is_alive};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

/// A clean stop, also with a stream that would never end.
const STOPPED: Duration = Duration::from_secs(10);

/// Text of a prompt that is in nothing else.
const PROMPT: &str = "canary-prompt-5b1f0e7a93";

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        state_survives_a_restart,
        secrets_and_prompts_are_nowhere_on_disk_or_in_logs,
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

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn contains(bytes: &[u8], needle: &str) -> bool {
    bytes
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

async fn secrets_and_prompts_are_nowhere_on_disk_or_in_logs() {
    let state = TempDir::with_prefix("sluice-canary-").expect("a temporary directory");
    let provider = Provider::start();
    let gateway = Gateway::serve().state(state.path()).start().await;
    let server = gateway
        .server("canary")
        .provider(&provider)
        .model("m")
        .create()
        .await;
    let broken = Provider::start().base_url();
    let unreachable = gateway
        .server("canary-broken")
        .base_url(&broken)
        .model("broken")
        .create()
        .await;
    let key = gateway.key("canary").create().await;
    gateway.in_force().await;
    let messages = json!([{"role": "user", "content": PROMPT}]);
    let ask = |model: &str| {
        gateway
            .chat(&key)
            .model(model)
            .field("messages", messages.clone())
    };
    ask("m").send().await.expect(200);
    ask("m").stream().send().await.expect(200);
    ask("m")
        .demo(json!({"status": 500, "quote_authorization": true}))
        .send()
        .await
        .expect(500);
    ask("m")
        .stream()
        .demo(json!({"cut_after": 1}))
        .send()
        .await
        .expect(200);
    ask("broken")
        .send()
        .await
        .expect_error(502, "upstream_unreachable");
    ask("absent")
        .send()
        .await
        .expect_error(404, "model_not_found");
    let half = format!("{{\"model\":\"m\",\"x\":\"{PROMPT}");
    gateway
        .chat(&key)
        .body(half)
        .send()
        .await
        .expect_error(400, "invalid_json");
    let wrong = format!("sk-sluice-{PROMPT}");
    gateway
        .chat_with(&wrong)
        .model("m")
        .send()
        .await
        .expect_error(401, "invalid_api_key");
    let replaced = json!({"api_key": "sk-upstream-canary-replaced-77"});
    gateway
        .admin("PATCH", &server.path())
        .json(&replaced)
        .send()
        .await
        .expect(200);
    let invalid = json!({"api_key": "sk-upstream-canary-invalid 88", "base_url": "no"});
    gateway
        .admin("PATCH", &server.path())
        .json(&invalid)
        .send()
        .await
        .expect_error(422, "invalid_field");

    let secrets = [
        ("a server's key", server.api_key.as_str()),
        ("an unreachable server's key", unreachable.api_key.as_str()),
        ("a replaced key", "sk-upstream-canary-replaced-77"),
        ("a refused key", "sk-upstream-canary-invalid 88"),
        ("a gateway key", key.secret.as_str()),
        ("a prompt", PROMPT),
    ];
    let log = gateway.log().clone();
    let status = gateway
        .stop(Signal::SIGTERM, STOPPED)
        .await
        .expect("it stops");
    assert!(status.success(), "{status}");
    let mut paths = Vec::new();
    files(state.path(), &mut paths);
    assert!(
        paths
            .iter()
            .any(|path| path.extension().is_some_and(|e| e == "sqlite")),
        "the scan sees the databases: {paths:?}"
    );
    for (what, secret) in secrets {
        assert!(!contains(&log.bytes(), secret), "{what} is in the log");
        for path in &paths {
            let bytes = fs::read(path).unwrap_or_default();
            assert!(!contains(&bytes, secret), "{what} is in {}", path.display());
        }
    }
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
