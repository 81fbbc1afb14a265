//! 舞台：共用的网关，每个测试自己的上游、服务器与模型。
//!
//! Owns the gateways that most tests share (start-up costs seconds) and the small
//! stage that each of them sets up on one: a gateway as users run it, and one in
//! which faults may be injected, on which those tests run that load it.

use std::time::Duration;

use gateway_tests::harness::raw::Connection;
use gateway_tests::harness::{Answer, Chat, Gateway, Key, SOON, Server, ServerDraft};
use gateway_tests::provider::{Options, Provider};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio::task::JoinHandle;

static SERVE: OnceCell<Gateway> = OnceCell::const_new();
static KEY: OnceCell<Key> = OnceCell::const_new();
static FAULTY: OnceCell<Gateway> = OnceCell::const_new();
static FAULTY_KEY: OnceCell<Key> = OnceCell::const_new();

/// A waiter's bound where several things have to happen before its turn.
pub(crate) const PATIENT: Duration = Duration::from_mins(1);

/// The shared gateway on plain workerd.
pub(crate) async fn gateway() -> &'static Gateway {
    SERVE.get_or_init(|| Gateway::serve().start()).await
}

/// A key of the shared gateway that may use everything.
pub(crate) async fn key() -> &'static Key {
    let gateway = gateway().await;
    KEY.get_or_init(|| gateway.key("blackbox").create()).await
}

/// The shared gateway in which limiter objects can be reset.
pub(crate) async fn faulty_gateway() -> &'static Gateway {
    FAULTY
        .get_or_init(|| Gateway::serve().with_faults().start())
        .await
}

/// Taken by whoever loads the machine for a moment, or measures a bound of milliseconds: with two
/// cores one of them at a time can expect the machine to keep up.
pub(crate) async fn calm() -> MutexGuard<'static, ()> {
    static CALM: Mutex<()> = Mutex::const_new(());
    CALM.lock().await
}

/// Removes what the shared gateways leave: a static has no end of its own.
pub(crate) fn sweep() {
    for gateway in [SERVE.get(), FAULTY.get()].into_iter().flatten() {
        // A file that a dying process still writes may stay; it lies in the system's temporary folder.
        let _ = std::fs::remove_dir_all(gateway.state());
    }
}

/// One provider behind one server with one model.
#[derive(Debug)]
pub(crate) struct Stage<'g> {
    pub(crate) gateway: &'g Gateway,
    pub(crate) key: &'g Key,
    pub(crate) provider: Provider,
    pub(crate) server: Server,
    pub(crate) model: String,
}

impl Stage<'static> {
    /// A server without limits on the shared gateway, named like its model.
    pub(crate) async fn new(name: &str) -> Self {
        Self::with(name, |draft| draft).await
    }

    /// A server on the shared gateway with what `change` adds.
    pub(crate) async fn with(
        name: &str,
        change: impl FnOnce(ServerDraft<'_>) -> ServerDraft<'_>,
    ) -> Self {
        Self::on(gateway().await, key().await, name, change).await
    }

    /// A server on the gateway in which faults may be injected.
    pub(crate) async fn faulty(
        name: &str,
        change: impl FnOnce(ServerDraft<'_>) -> ServerDraft<'_>,
    ) -> Self {
        let gateway = faulty_gateway().await;
        let key = FAULTY_KEY.get_or_init(|| gateway.key("faulty").create());
        Self::on(gateway, key.await, name, change).await
    }
}

impl<'g> Stage<'g> {
    /// A server on a gateway of the test's own.
    pub(crate) async fn on(
        gateway: &'g Gateway,
        key: &'g Key,
        name: &str,
        change: impl FnOnce(ServerDraft<'_>) -> ServerDraft<'_>,
    ) -> Self {
        Self::before(gateway, key, Options::default(), name, change).await
    }

    /// A server before a provider with these options.
    pub(crate) async fn before(
        gateway: &'g Gateway,
        key: &'g Key,
        options: Options,
        name: &str,
        change: impl FnOnce(ServerDraft<'_>) -> ServerDraft<'_>,
    ) -> Self {
        let provider = Provider::start_with(options).expect("a loopback port is free");
        let draft = gateway.server(name).provider(&provider).model(name);
        let server = change(draft).create().await;
        gateway.in_force().await;
        Self {
            gateway,
            key,
            provider,
            server,
            model: name.to_owned(),
        }
    }

    /// A chat with the stage's model.
    pub(crate) fn chat(&self) -> Chat {
        self.gateway.chat(self.key).model(&self.model)
    }

    /// A chat that the ledger tells from others by its number.
    pub(crate) fn numbered(&self, number: u64) -> Chat {
        self.chat().field("user", json!(number.to_string()))
    }

    /// Sends a chat over a bare connection.
    pub(crate) async fn connect(&self, chat: &Chat) -> Connection {
        chat.connect(self.gateway.address())
            .await
            .expect("the gateway listens and reads")
    }

    /// A bare connection on which nothing was sent yet.
    pub(crate) async fn connect_bare(&self) -> Connection {
        let opened = Connection::open(self.gateway.address()).await;
        opened.expect("the gateway listens")
    }

    /// Starts a numbered chat and waits until it stands in the queue as the last of so many.
    pub(crate) async fn waiter(&self, number: u64, length: u64) -> JoinHandle<Answer> {
        let waiting = self.numbered(number).bound(PATIENT).spawn();
        self.queue_length(length).await;
        waiting
    }

    /// Changes the stage's server.
    pub(crate) async fn patch(&self, change: Value) {
        let patch = self.gateway.admin("PATCH", &self.server.path());
        patch.json(&change).send().await.expect(200);
    }

    /// Throws the server's limiter object away.
    pub(crate) async fn reset_limiter(&self) {
        self.gateway.reset_limiter(&self.server.id).await;
    }

    /// Live figures of the stage's server.
    pub(crate) async fn live(&self) -> Value {
        self.gateway.live(&self.server.id).await
    }

    /// Waits until live figures satisfy `is_so`.
    pub(crate) async fn live_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        self.live_within(SOON, what, is_so).await
    }

    /// Waits until live figures satisfy `is_so`; fails after `bound`.
    pub(crate) async fn live_within(
        &self,
        bound: Duration,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        self.gateway
            .live_within(bound, &self.server.id, what, is_so)
            .await
    }

    /// Waits until so many requests wait in the server's queue.
    pub(crate) async fn queue_length(&self, length: u64) {
        self.live_until(&format!("{length} in the queue"), |live| {
            live["queue_length"] == length
        })
        .await;
    }

    /// Waits until nobody waits and nothing is in flight.
    pub(crate) async fn idle(&self) {
        self.live_until("nobody waits, nothing is in flight", |live| {
            live["in_flight"] == 0 && live["queue_length"] == 0
        })
        .await;
    }

    /// Numbers of the chats that reached the provider and were not refused there, in order of arrival.
    pub(crate) fn served(&self) -> Vec<u64> {
        let chats = self.provider.ledger().chats();
        let served = chats.iter().filter(|chat| chat.status != 429);
        served
            .filter_map(|chat| chat.json()["user"].as_str()?.parse().ok())
            .collect()
    }
}
