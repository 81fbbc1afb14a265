//! 裸直通：同一个 workerd 上只有一次 fetch 的脚本。
//!
//! The least that a Worker in front of the provider can cost: one line of JavaScript, on the workerd
//! that the gateway runs on. Owns its process and nothing of what is measured.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::harness::{Process, SOON, root, within};

const SCRIPT: &str = "export default { fetch: (request, env) => fetch(env.UPSTREAM, request) };";

/// Between two tries to connect.
const POLL: Duration = Duration::from_millis(20);

/// A running pass-through; it ends when dropped.
#[derive(Debug)]
pub(super) struct PassThrough {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl PassThrough {
    /// Starts it before this provider.
    pub(super) async fn start(upstream: &str) -> Self {
        let folder = TempDir::with_prefix("sluice-bench-").expect("a temporary directory");
        let address = free_address();
        let config = folder.path().join("config.capnp");
        std::fs::write(folder.path().join("pass.js"), SCRIPT).expect("it is writable");
        std::fs::write(&config, configuration(address, upstream)).expect("it is writable");
        let mut command = Command::new(root().join("node_modules/.bin/workerd"));
        command.arg("serve").arg(config);
        let process = Process::start(command);
        within(SOON, "the pass-through listens", async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(POLL).await;
            }
        })
        .await;
        Self {
            address,
            process,
            _folder: folder,
        }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn process_id(&self) -> i32 {
        self.process.id().cast_signed()
    }
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.local_addr().expect("it is bound")
}

fn configuration(address: SocketAddr, upstream: &str) -> String {
    format!(
        r#"using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "pass", worker = (
      modules = [(name = "pass.js", esModule = embed "pass.js")],
      compatibilityDate = "2026-01-01",
      bindings = [(name = "UPSTREAM", text = "{upstream}/chat/completions")],
      globalOutbound = "network",
    )),
    (name = "network", network = (allow = ["local"])),
  ],
  sockets = [(name = "http", address = "{address}", http = (), service = "pass")],
);
"#
    )
}
