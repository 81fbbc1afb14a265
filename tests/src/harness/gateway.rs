//! 一个运行中的网关：普通 workerd，或 wrangler dev。
//!
//! Owns starting a built gateway with a state directory and secrets of its own,
//! knowing when it is ready (a line of its output), and waiting until a
//! configuration change is in force (by what the gateway says of itself).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::answer::Answer;
use super::chat::Chat;
use super::pair;
use super::process::{Log, Process};
use super::setup::{Admin, Key, KeyDraft, ServerDraft};
use super::{IN_FORCE, SOON, within};

/// App name of requests that state no other.
pub const APP: &str = "blackbox";

/// How the database behaves, see [`Gateway::database`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// As always.
    Answers,
    /// Each statement fails.
    Fails,
    /// No statement is answered until this is over; then all are carried out.
    Hangs,
}

/// Start-up of a fresh state on a busy machine: migrations, then workerd.
const READY: Duration = Duration::from_mins(2);

/// A run of the cron: it stops by itself after 45 s.
const PATIENT: Duration = Duration::from_mins(1);

/// Base64 of 32 bytes; never that of a deployment.
pub const ENCRYPTION_KEY: &str = "c2x1aWNlLXRlc3RzLWVuY3J5cHRpb24ta2V5LTMyYnk=";

/// Between two looks at the configuration version.
const VERSION_POLL: Duration = Duration::from_millis(25);

/// Between two looks at the live figures: a fraction of the shortest bound on them.
const LIVE_POLL: Duration = Duration::from_millis(10);

/// The checkout's root.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .map_or_else(|| tests.to_owned(), Path::to_owned)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Serve,
    Dev,
}

/// A gateway about to start.
#[derive(Clone, Debug)]
pub struct Start {
    kind: Kind,
    variables: BTreeMap<String, String>,
    /// What the second Worker of a pair has of its own.
    second: BTreeMap<String, String>,
    state: Option<PathBuf>,
}

impl Start {
    fn new(kind: Kind) -> Self {
        let secrets = [
            ("ADMIN_TOKEN", "blackbox-admin-token-0123456789"),
            ("VIEWER_TOKEN", "blackbox-viewer-token-0123456789"),
            ("ENCRYPTION_KEY", ENCRYPTION_KEY),
            // Tests of refusals send more wrong tokens from one address than anybody else may.
            ("AUTH_FAILURES_PER_MINUTE", "1000"),
        ];
        let variables = secrets.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            kind,
            variables: variables.into(),
            second: BTreeMap::new(),
            state: None,
        }
    }

    /// Sets a variable or secret.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a variable or secret for the second Worker of a pair only.
    #[must_use]
    pub fn second_variable(mut self, name: &str, value: &str) -> Self {
        self.second.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Uses this state directory instead of a fresh one.
    #[must_use]
    pub fn state(mut self, state: &Path) -> Self {
        self.state = Some(state.to_owned());
        self
    }

    /// Allows faults to be injected, which a production configuration refuses.
    #[must_use]
    pub fn with_faults(self) -> Self {
        self.variable("ENVIRONMENT", "test")
            .variable("FAULT_INJECTION", "on")
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Gateway {
        let own = self
            .state
            .is_none()
            .then(|| TempDir::with_prefix("sluice-state-").expect("a temporary directory"));
        let state = match (&self.state, &own) {
            (Some(state), _) => state.clone(),
            (None, Some(own)) => own.path().to_owned(),
            (None, None) => unreachable!("either was given or made"),
        };
        let process = match self.kind {
            Kind::Serve => Process::start(serve_command(&state, &self.variables)),
            Kind::Dev => Process::start(dev_command(&state, &self.variables)),
        };
        let base_url = process.ready(READY, ready_line).await;
        self.gateway(base_url, process, state, own)
    }

    /// Starts the Worker twice before the same objects and database; the second address is that of
    /// the other one.
    pub async fn start_pair(self) -> (Gateway, String) {
        let start = self.clone();
        let mut single = self.start().await;
        let (state, own) = (single.state.clone(), single.own_state.take());
        single.stop(Signal::SIGTERM, SOON).await;
        let (process, [base_url, second]) =
            pair::start(&state, &start.variables, &start.second).await;
        (start.gateway(base_url, process, state, own), second)
    }

    fn gateway(
        self,
        base_url: String,
        process: Process,
        state: PathBuf,
        own_state: Option<TempDir>,
    ) -> Gateway {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without TLS needs nothing");
        Gateway {
            base_url,
            admin_token: self.variables["ADMIN_TOKEN"].clone(),
            viewer_token: self.variables["VIEWER_TOKEN"].clone(),
            http,
            process,
            state,
            own_state,
        }
    }
}

/// `ready URL` of the launcher, `… Ready on URL` of wrangler.
fn ready_line(line: &str) -> Option<String> {
    let (_, url) = line
        .split_once("ready ")
        .or_else(|| line.split_once("Ready on "))?;
    let url = url.trim();
    url.starts_with("http://")
        .then(|| url.trim_end_matches('/').to_owned())
}

fn serve_command(state: &Path, variables: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(root().join(".make/serve"));
    command
        .current_dir(root())
        .env("PORT", "0")
        .env("STATE", state)
        .envs(variables);
    command
}

/// Migrations first, then wrangler in the place of the shell; `.dev.vars` is not read when a file is named.
const DEV: &str = r#"
. .make/env
wrangler d1 migrations apply DB --local --persist-to "$STATE" &&
exec wrangler dev --local --ip 127.0.0.1 --port 0 --inspector-port 0 --persist-to "$STATE" \
  --env-file "$STATE/variables" --show-interactive-dev-session=false
"#;

fn dev_command(state: &Path, variables: &BTreeMap<String, String>) -> Command {
    let lines: Vec<String> = variables
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    std::fs::write(state.join("variables"), lines.join("\n"))
        .expect("the state directory is writable");
    let mut command = Command::new("bash");
    command
        .args(["-c", DEV])
        .current_dir(root())
        .env("STATE", state);
    command
        .env("CI", "1")
        .env("WRANGLER_SEND_METRICS", "false")
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
    command
}

/// A running gateway; it is killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    base_url: String,
    admin_token: String,
    viewer_token: String,
    http: reqwest::Client,
    process: Process,
    state: PathBuf,
    own_state: Option<TempDir>,
}

impl Gateway {
    /// Plain workerd, started as `make serve` does.
    pub fn serve() -> Start {
        Start::new(Kind::Serve)
    }

    /// `wrangler dev` with migrations applied.
    pub fn dev() -> Start {
        Start::new(Kind::Dev)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        let authority = self
            .base_url
            .trim_start_matches("http://")
            .replace("localhost", "127.0.0.1");
        authority
            .parse()
            .unwrap_or_else(|_| panic!("{} is no loopback address", self.base_url))
    }

    /// The administrator's token.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// The viewer's token.
    pub fn viewer_token(&self) -> &str {
        &self.viewer_token
    }

    /// Its output so far.
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// Its state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Id of the launched process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Process id of the workerd behind the launcher of `make serve`.
    pub fn workerd_id(&self) -> i32 {
        let file = std::fs::read(self.state.join("run/workerd.json"))
            .expect("the launcher names its workerd");
        let file: Value = serde_json::from_slice(&file).expect("the file is JSON");
        file["pid"]
            .as_i64()
            .and_then(|id| i32::try_from(id).ok())
            .expect("the file names a process")
    }

    /// Ends workerd as a power cut would; its launcher ends too, and the state can be started again.
    pub async fn kill(mut self) {
        let workerd = Pid::from_raw(self.workerd_id());
        kill(workerd, Signal::SIGKILL).expect("workerd runs");
        let ended = self.process.wait(SOON).await;
        assert!(ended.is_some(), "the launcher outlives its workerd");
    }

    /// Stops it with a signal; `None` if it is still there after `bound`.
    pub async fn stop(mut self, signal: Signal, bound: Duration) -> Option<ExitStatus> {
        self.process.signal(signal);
        self.process.wait(bound).await
    }

    /// Fires the cron trigger, as the launcher does once a minute, and waits until the run is over.
    pub async fn cron(&self) {
        let answer = self.control("/scheduled?cron=*+*+*+*+*&time=0").await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }

    /// Makes the database fail or hang for the Worker and the objects alike, where faults may be injected.
    pub async fn database(&self, how: Database) {
        let kind = match how {
            Database::Answers => "none",
            Database::Fails => "fails",
            Database::Hangs => "hangs",
        };
        let answer = self.control(&format!("/storage/fault?kind={kind}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The answer of the launcher's own socket.
    pub async fn control(&self, target: &str) -> String {
        let socket = self.state.join("run/control.sock");
        let answer = within(PATIENT, "an answer of the launcher's socket", async {
            let mut stream = UnixStream::connect(socket).await?;
            let request =
                format!("GET {target} HTTP/1.1\r\nhost: control\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        });
        answer.await.expect("the launcher's socket answers")
    }

    /// States a server.
    pub fn server(&self, name: &str) -> ServerDraft<'_> {
        ServerDraft::new(self, name)
    }

    /// States a gateway key.
    pub fn key(&self, name: &str) -> KeyDraft<'_> {
        KeyDraft::new(self, name)
    }

    /// States a chat request with this key.
    pub fn chat(&self, key: &Key) -> Chat {
        self.chat_with(&key.secret)
    }

    /// States a chat request with any text as its key.
    pub fn chat_with(&self, secret: &str) -> Chat {
        Chat::new(self.http.clone(), &self.base_url, secret)
    }

    /// States a request to the control plane as administrator.
    pub fn admin(&self, method: &str, path: &str) -> Admin {
        Admin::new(self.http.clone(), &self.base_url, method, path).token(&self.admin_token)
    }

    /// States any request without credentials.
    pub fn request(&self, method: &str, path: &str) -> Admin {
        Admin::new(self.http.clone(), &self.base_url, method, path)
    }

    /// Models that this key sees.
    pub async fn models(&self, key: &Key) -> Answer {
        self.request("GET", "/v1/models")
            .token(&key.secret)
            .header("app-name", APP)
            .send()
            .await
    }

    /// Live figures of a server.
    pub async fn live(&self, server_id: &str) -> Value {
        self.admin("GET", &format!("/api/servers/{server_id}/live"))
            .send()
            .await
            .expect(200)
            .json()
    }

    /// Waits until live figures satisfy `is_so`.
    pub async fn live_until(
        &self,
        server_id: &str,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        self.live_within(SOON, server_id, what, is_so).await
    }

    /// Waits until live figures satisfy `is_so`; fails after `bound`.
    pub async fn live_within(
        &self,
        bound: Duration,
        server_id: &str,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        let started = Instant::now();
        loop {
            let live = self.live(server_id).await;
            if is_so(&live) {
                return live;
            }
            assert!(
                started.elapsed() < bound,
                "not within {bound:?}: {what}; live: {live}"
            );
            tokio::time::sleep(LIVE_POLL).await;
        }
    }

    /// Throws the limiter object of a server away, as the platform does now and then.
    pub async fn reset_limiter(&self, server_id: &str) {
        let path = format!("/api/faults/limiter/{server_id}/reset");
        self.admin("POST", &path).send().await.expect(204);
    }

    /// Waits until every change made before this call is in force, within the promised bound.
    pub async fn in_force(&self) {
        let changed = Instant::now();
        let bound = IN_FORCE + Duration::from_secs(1);
        loop {
            let asked = Instant::now();
            let version = self
                .admin("GET", "/api/config/version")
                .send()
                .await
                .expect(200)
                .json();
            let age = version["age_ms"].as_u64().map(Duration::from_millis);
            // Served since after the change: read later than the change was answered.
            if age.is_some_and(|age| asked.checked_sub(age).is_some_and(|read| read >= changed)) {
                return;
            }
            assert!(
                changed.elapsed() < bound,
                "changes are not in force after {bound:?}: {version}"
            );
            tokio::time::sleep(VERSION_POLL).await;
        }
    }
}
