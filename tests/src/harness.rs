//! 测试台：起网关、说话、收尾。
//!
//! Owns the way from a test to a running gateway: [`Gateway`] processes (plain
//! workerd behind the launcher of `make serve`, or `wrangler dev`), requests by
//! an ordinary client ([`Chat`], [`Admin`]), by bare sockets ([`raw`]) and by a
//! [`Browser`], the parsing of what comes back. Invariant: every process started here ends with
//! its value, with the test process, or with its interruption, whichever is first.

mod answer;
mod browser;
mod chat;
mod devtools;
mod gateway;
mod pair;
mod process;
pub mod random;
pub mod raw;
mod setup;

pub use answer::{Answer, Event, Stream, sse_events};
pub use browser::{Asked, Browser, Control, Page};
pub use chat::Chat;
pub use gateway::{APP, Database, ENCRYPTION_KEY, Gateway, Start, root};
pub use process::{Log, Process, is_alive, kill_everything};
pub use setup::{Admin, Key, KeyDraft, Server, ServerDraft};

use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Bound of anything that should be immediate; generous, since machines differ.
pub const SOON: Duration = Duration::from_secs(20);

/// The bound: a configuration change is in force within this.
pub const IN_FORCE: Duration = Duration::from_secs(5);

/// The one runtime of a test process, so that tests can share a gateway and its client.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("threads can be started")
    })
}

/// Awaits with a bound; failing it names what was awaited.
pub async fn within<T>(bound: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(bound, future).await.ok() {
        Some(value) => value,
        None => panic!("not within {bound:?}: {what}"),
    }
}
