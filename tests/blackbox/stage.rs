//! 舞台：共用的网关，每个测试自己的上游、服务器与模型。
//!
//! Owns the gateway that most tests share (start-up costs seconds) and the small
//! stage that each of them sets up on it.

use gateway_tests::harness::{Chat, Gateway, Key, Server, ServerDraft};
use gateway_tests::provider::Provider;
use tokio::sync::OnceCell;

static SERVE: OnceCell<Gateway> = OnceCell::const_new();
static KEY: OnceCell<Key> = OnceCell::const_new();

/// The shared gateway on plain workerd.
pub(crate) async fn gateway() -> &'static Gateway {
    SERVE.get_or_init(|| Gateway::serve().start()).await
}

/// A key of the shared gateway that may use everything.
pub(crate) async fn key() -> &'static Key {
    let gateway = gateway().await;
    KEY.get_or_init(|| gateway.key("blackbox").create()).await
}

/// Removes what the shared gateway leaves: a static has no end of its own.
pub(crate) fn sweep() {
    if let Some(gateway) = SERVE.get() {
        // A file that a dying process still writes may stay; it lies in the system's temporary folder.
        let _ = std::fs::remove_dir_all(gateway.state());
    }
}

/// One provider behind one server with one model, on the shared gateway.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) gateway: &'static Gateway,
    pub(crate) key: &'static Key,
    pub(crate) provider: Provider,
    pub(crate) server: Server,
    pub(crate) model: String,
}

impl Stage {
    /// A server without limits, named like its model.
    pub(crate) async fn new(name: &str) -> Self {
        Self::with(name, |draft| draft).await
    }

    /// A server with what `change` adds.
    pub(crate) async fn with(
        name: &str,
        change: impl FnOnce(ServerDraft<'_>) -> ServerDraft<'_>,
    ) -> Self {
        let (gateway, key, provider) = (gateway().await, key().await, Provider::start());
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

    /// Live figures of the stage's server.
    pub(crate) async fn live_until(
        &self,
        what: &str,
        is_so: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        self.gateway.live_until(&self.server.id, what, is_so).await
    }

    /// Waits until so many requests wait in the server's queue.
    pub(crate) async fn queue_length(&self, length: u64) {
        self.live_until(&format!("{length} in the queue"), |live| {
            live["queue_length"] == length
        })
        .await;
    }
}
