//! 换加密密钥：边换边用，一个请求也不失败。
//!
//! The encryption key is rotated as a deployment does it: for a while one isolate has
//! only the old key and another one both. Judged by the answers under load, by what the
//! admin API says of each stored key, and by a start with the new key alone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_tests::harness::{Chat, ENCRYPTION_KEY, Gateway, Key, SOON, Server, within};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::disk;

/// Base64 of 32 other bytes.
const NEW_KEY: &str = "c2x1aWNlLXRlc3RzLXRoZS1uZXh0LWtleS0zMmJ5dGU=";

/// Servers whose keys are rotated.
const SERVERS: usize = 5;

/// Clients at each Worker, and the pause between two requests of one: a steady load that leaves the
/// machine to the others.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(25);

/// Between two looks at a state that has no event.
const POLL: Duration = Duration::from_millis(50);

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        encryption_key_is_rotated_under_load_without_a_failed_request,
        damaged_row_must_be_entered_again_while_all_others_work,
    ]
}

/// Clients that go on until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn new() -> Self {
        Self {
            stop: Arc::default(),
            answered: Arc::default(),
            failures: Arc::default(),
            clients: Vec::new(),
        }
    }

    /// One more client, which sends these chats one after the other, again and again.
    fn add(&mut self, chats: Vec<Chat>) {
        let (stop, answered) = (Arc::clone(&self.stop), Arc::clone(&self.answered));
        let failures = Arc::clone(&self.failures);
        self.clients.push(tokio::spawn(async move {
            for chat in chats.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let answer = chat.clone().send().await;
                answered.fetch_add(1, Ordering::Relaxed);
                if answer.status != 200 || answer.text().contains("\"error\"") {
                    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                    failures.push(format!("{}: {}", answer.status, answer.text()));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }));
    }

    /// Waits until so many more requests were answered.
    async fn go_on(&self, more: usize) {
        let target = self.answered.load(Ordering::Relaxed) + more;
        within(SOON, "the load goes on", async {
            while self.answered.load(Ordering::Relaxed) < target {
                tokio::time::sleep(POLL).await;
            }
        })
        .await;
    }

    /// Ends it; how many were answered, and which of them failed.
    async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("a client goes on to its end");
        }
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        (self.answered.load(Ordering::Relaxed), failures.clone())
    }
}

async fn servers(gateway: &Gateway, provider: &Provider, count: usize) -> Vec<Server> {
    let mut servers = Vec::new();
    for number in 0..count {
        let name = format!("sealed-{number}");
        let draft = gateway.server(&name).provider(provider).model(&name);
        servers.push(draft.create().await);
    }
    servers
}

fn chats(gateway: &Gateway, key: &Key, servers: &[Server]) -> Vec<Chat> {
    let chat = |server: &Server| gateway.chat(key).model(&server.name);
    servers.iter().map(chat).collect()
}

/// Every other one as a stream.
fn mixed(chats: Vec<Chat>) -> Vec<Chat> {
    let numbered = chats.into_iter().enumerate();
    numbered
        .map(|(number, chat)| if number % 2 == 0 { chat } else { chat.stream() })
        .collect()
}

/// `key_state` of each server, as the Worker at this address sees the row.
async fn states(gateway: &Gateway, at: &str, servers: &[Server]) -> Vec<Value> {
    let mut states = Vec::new();
    for server in servers {
        let read = gateway.admin("GET", &server.path()).at(at).send().await;
        states.push(read.expect(200).json()["key_state"].clone());
    }
    states
}

async fn encryption_key_is_rotated_under_load_without_a_failed_request() {
    let state = TempDir::with_prefix("sluice-state-").expect("a temporary directory");
    let provider = Provider::start();
    let (gateway, second) = Gateway::serve()
        .state(state.path())
        .second_variable("ENCRYPTION_KEY", NEW_KEY)
        .second_variable("ENCRYPTION_KEY_PREVIOUS", ENCRYPTION_KEY)
        .start_pair()
        .await;
    let servers = servers(&gateway, &provider, SERVERS).await;
    let key = gateway.key("rotation").create().await;
    gateway.in_force().await;
    let mut load = Load::new();
    for _ in 0..CLIENTS {
        load.add(mixed(chats(&gateway, &key, &servers)));
    }
    load.go_on(SERVERS * CLIENTS).await;
    // Nobody has asked the second Worker yet, and reading one row seals nothing.
    let before = states(&gateway, &second, &servers).await;
    assert_eq!(before, ["to_be_reencrypted"; SERVERS]);

    for _ in 0..CLIENTS {
        let chats = mixed(chats(&gateway, &key, &servers));
        load.add(chats.into_iter().map(|chat| chat.at(&second)).collect());
    }
    within(SOON, "every row is sealed with the new key", async {
        while states(&gateway, &second, &servers).await != ["ok"; SERVERS] {
            tokio::time::sleep(POLL).await;
        }
    })
    .await;
    // A new configuration version makes the first Worker read rows that it can no longer open.
    gateway.key("another").create().await;
    gateway.in_force().await;
    let lost = states(&gateway, gateway.base_url(), &servers).await;
    assert_eq!(lost, ["must_be_entered_again"; SERVERS]);
    load.go_on(10 * SERVERS * CLIENTS).await;
    let (answered, failures) = load.end().await;
    println!(
        "rotation of the encryption key: {answered} requests, {} failed",
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:#?}");
    gateway.stop(Signal::SIGTERM, SOON).await;

    let gateway = Gateway::serve()
        .state(state.path())
        .variable("ENCRYPTION_KEY", NEW_KEY)
        .start()
        .await;
    let after = states(&gateway, gateway.base_url(), &servers).await;
    assert_eq!(after, ["ok"; SERVERS], "with the new key alone");
    for (server, chat) in servers.iter().zip(chats(&gateway, &key, &servers)) {
        chat.send().await.expect(200);
        let sent_last = provider.ledger().chats().pop().expect("the chat");
        let sent = format!("Bearer {}", server.api_key);
        assert_eq!(sent_last.header("authorization"), Some(sent.as_str()));
    }
    let stored = disk::text(state.path());
    for server in &servers {
        assert!(
            !stored.contains(&server.api_key),
            "{} lies in the clear",
            server.name
        );
    }
}

async fn damaged_row_must_be_entered_again_while_all_others_work() {
    let state = TempDir::with_prefix("sluice-state-").expect("a temporary directory");
    let provider = Provider::start();
    let gateway = Gateway::serve().state(state.path()).start().await;
    let servers = servers(&gateway, &provider, 3).await;
    let key = gateway.key("damage").create().await;
    gateway.stop(Signal::SIGTERM, SOON).await;
    // One end of the sealed key is changed, as a disk or a careless hand would.
    let damage = "UPDATE servers SET api_key = substr(api_key, 1, length(api_key) - 4) || \
        CASE substr(api_key, -4) WHEN 'AAAA' THEN 'BBBB' ELSE 'AAAA' END WHERE id = ?1";
    disk::change(state.path(), damage, &[&servers[1].id]);

    let gateway = Gateway::serve().state(state.path()).start().await;
    let listed = gateway
        .admin("GET", "/api/servers")
        .send()
        .await
        .expect(200)
        .json();
    let items = listed["items"].as_array().expect("items");
    let states: Vec<&Value> = items.iter().map(|item| &item["key_state"]).collect();
    assert_eq!(states, ["ok", "must_be_entered_again", "ok"]);
    let chats = chats(&gateway, &key, &servers);
    chats[0].clone().send().await.expect(200);
    chats[1]
        .clone()
        .send()
        .await
        .expect_error(503, "not_configured");
    chats[2].clone().send().await.expect(200);
    let tested = format!("{}/test", servers[1].path());
    let tested = gateway
        .admin("POST", &tested)
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&tested["ok"], &tested["status"]),
        (&json!(false), &Value::Null)
    );
    let error = tested["error"].as_str().expect("an error");
    assert!(error.contains("entered again"), "{error}");

    let entered = json!({"api_key": servers[1].api_key});
    let patch = gateway.admin("PATCH", &servers[1].path()).json(&entered);
    assert_eq!(patch.send().await.expect(200).json()["key_state"], "ok");
    gateway.in_force().await;
    chats[1].clone().send().await.expect(200);
}
