//! 配置：服务器、密钥记录、快照及其新鲜度。
//!
//! Owns what an isolate knows of the configuration and how old that may be. Does not read it from storage
//! (the Worker does, with statements of `sql`) and does not validate what an administrator writes (`admin_api`).
//!
//! Invariant: a snapshot is immutable; a newer one replaces it whole.

use std::{fmt, time::Duration};

use admission::{
    BUCKET, GUARD,
    protocol::{Limits, OnFull},
    time::Instant,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

mod freshness;
mod key_cache;

pub use freshness::{FAILURE_AGE_MAX, FRESH_AGE_MAX, Freshness, REFRESH_AGE_MAX, STALE_AGE_MAX};
pub use key_cache::{KEY_CACHE_LEN_MAX, KeyCache, Lookup};

/// How long after the server's own timeout a permit stays leased: longer than any answer streams in practice,
/// short enough that a slot lost with a crashed isolate comes back by itself.
pub const LEASE_AFTER_TIMEOUT: Duration = Duration::from_mins(10);
/// Longest `App-Name`, in characters.
pub const APP_NAME_LEN_MAX: usize = 64;

/// A configured model: an exact name, or a prefix followed by one trailing `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelPattern(String);

impl ModelPattern {
    /// Any text is a pattern; bounds are the business of `admin_api`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for a family of models.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.ends_with('*')
    }

    /// Whether a request for `model` is meant. Case counts, as it does at providers.
    #[must_use]
    pub fn matches(&self, model: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => self.0 == model,
        }
    }
}

/// The name of a calling application: 1–64 printable ASCII characters, no blank at either end
/// (HTTP trims header values, so a name with one could never be sent).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct AppName(String);

impl AppName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A text that is not an application's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnAppName;

impl TryFrom<&str> for AppName {
    type Error = NotAnAppName;

    fn try_from(text: &str) -> Result<Self, NotAnAppName> {
        let well_formed = (1..=APP_NAME_LEN_MAX).contains(&text.len())
            && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
            && text.trim_matches(' ').len() == text.len();
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnAppName)
        }
    }
}

/// A text that must not reach a log or an answer. `Debug` is redacted, comparison takes constant time,
/// and there is no `Display` and no `Serialize`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that has to send, hash or encrypt it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret([redacted])")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

/// What a request does that would have to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// It waits at the first matching server.
    #[default]
    Wait,
    /// It tries the next matching server first.
    NextServer,
}

/// One configured backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Stable identity, also the name of its limiter object.
    pub id: String,
    /// Shown to people and in `x-gateway-server`.
    pub name: String,
    /// Absolute URL that takes the place of `/v1`.
    pub base_url: String,
    /// What it serves.
    pub models: Vec<ModelPattern>,
    /// Whether it takes requests.
    pub enabled: bool,
    /// Rank among the servers, lowest first.
    pub position: u64,
    /// Requests in any 60 s; `None` = unlimited, 0 = paused.
    pub rpm_limit: Option<u64>,
    /// Tokens in any 60 s; `None` = unlimited, 0 = paused.
    pub tpm_limit: Option<u64>,
    /// Requests in flight; `None` = unlimited, 0 = paused.
    pub max_concurrency: Option<u64>,
    /// Places in the queue.
    pub queue_max: u64,
    /// Longest wait in the queue.
    pub queue_timeout_ms: u64,
    /// Who loses when the queue is full.
    pub on_full: OnFull,
    /// Whether a request may move on instead of waiting.
    pub overflow: Overflow,
    /// Longest wait for the upstream's headers.
    pub upstream_timeout_ms: u64,
    /// The provider's key; `None` = none was given, or it must be entered again.
    pub api_key: Option<Secret>,
    /// Grows with every change of this server.
    pub version: u64,
}

impl Server {
    /// What the limiter object has to know.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            version: self.version,
            enabled: self.enabled,
            rpm: self.rpm_limit,
            tpm: self.tpm_limit,
            concurrency: self.max_concurrency,
            queue_max: self.queue_max,
            queue_timeout: self.queue_timeout(),
            on_full: self.on_full,
            lease: self.upstream_timeout().saturating_add(LEASE_AFTER_TIMEOUT),
        }
    }

    /// Longest wait in the queue. The limiter's window is a bucket and a guard longer than a minute;
    /// a timeout gets the same allowance, so that one of 60 s covers the wait for a whole window:
    /// the request right after a burst must not time out a moment before its turn.
    #[must_use]
    pub fn queue_timeout(&self) -> Duration {
        match self.queue_timeout_ms {
            0 => Duration::ZERO,
            ms => Duration::from_millis(ms)
                .saturating_add(BUCKET)
                .saturating_add(GUARD),
        }
    }

    /// Longest wait for the upstream's headers.
    #[must_use]
    pub fn upstream_timeout(&self) -> Duration {
        Duration::from_millis(self.upstream_timeout_ms)
    }

    /// Whether this server takes requests for `model`.
    #[must_use]
    pub fn serves(&self, model: &str) -> bool {
        self.enabled && self.models.iter().any(|pattern| pattern.matches(model))
    }
}

/// The configuration as one isolate knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The configuration's version in storage when it was read.
    pub version: u64,
    /// In configured order.
    pub servers: Vec<Server>,
    /// When it was read.
    pub loaded_at: Instant,
}

impl Snapshot {
    /// Puts the servers into configured order, whatever order they were read in.
    #[must_use]
    pub fn new(version: u64, mut servers: Vec<Server>, loaded_at: Instant) -> Self {
        servers.sort_by(|left, right| {
            left.position
                .cmp(&right.position)
                .then_with(|| left.id.cmp(&right.id))
        });
        Self {
            version,
            servers,
            loaded_at,
        }
    }

    /// Takes keys that cannot be read over from what was known before, where the server's version is the
    /// same: it rises with every change of the key. So an isolate that still runs with the old encryption
    /// key loses no server when another isolate has sealed the row again with the new one.
    #[must_use]
    pub fn with_keys_of(mut self, known: &Self) -> Self {
        for server in &mut self.servers {
            if server.api_key.is_none() {
                let same = known.server(&server.id);
                let same = same.filter(|same| same.version == server.version);
                server.api_key = same.and_then(|same| same.api_key.clone());
            }
        }
        self
    }

    /// How it may be used now.
    #[must_use]
    pub fn freshness(&self, now: Instant) -> Freshness {
        Freshness::at(self.loaded_at, now)
    }

    /// The server with this id.
    #[must_use]
    pub fn server(&self, id: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.id == id)
    }
}

/// What is known of a gateway key. The key itself is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Stable identity, used in usage records.
    pub id: String,
    /// Given by the administrator.
    pub name: String,
    /// The only app that may use it; `None` = any.
    pub app: Option<AppName>,
    /// The only models it may ask for; empty = any.
    pub models: Vec<ModelPattern>,
    /// Whether it works at all.
    pub enabled: bool,
    /// When it stops working.
    pub expires_at: Option<Instant>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn server(id: &str, position: u64, models: &[&str]) -> Server {
        Server {
            id: id.to_owned(),
            name: format!("server {id}"),
            base_url: "https://llm.example/v1".to_owned(),
            models: models
                .iter()
                .map(|model| ModelPattern::new(*model))
                .collect(),
            enabled: true,
            position,
            rpm_limit: Some(10),
            tpm_limit: None,
            max_concurrency: Some(4),
            queue_max: 100,
            queue_timeout_ms: 60_000,
            on_full: OnFull::EvictOldest,
            overflow: Overflow::Wait,
            upstream_timeout_ms: 30_000,
            api_key: Some(Secret::new("sk-upstream-0123456789")),
            version: 7,
        }
    }

    #[test]
    fn model_pattern_matches_exactly_or_by_prefix() {
        assert!(ModelPattern::new("gpt-4o").matches("gpt-4o"));
        assert!(!ModelPattern::new("gpt-4o").matches("gpt-4o-mini"));
        assert!(!ModelPattern::new("gpt-4o").matches("GPT-4o"));
        assert!(ModelPattern::new("gpt-*").matches("gpt-"));
        assert!(ModelPattern::new("gpt-*").matches("gpt-4o"));
        assert!(!ModelPattern::new("gpt-*").matches("o3"));
        assert!(ModelPattern::new("*").matches("anything"));
        assert!(
            !ModelPattern::new("a*b").matches("axb"),
            "only a trailing star is special"
        );
    }

    #[test]
    fn app_name_is_one_to_sixty_four_printable_ascii_characters() {
        for good in ["a", "My App/1.0 (x)", "~", &"x".repeat(64)] {
            assert_eq!(AppName::try_from(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            &"x".repeat(65),
            "caf\u{e9}",
            "a\tb",
            "a\u{7f}",
            "a\0",
            " a",
            "a ",
            " ",
        ] {
            assert_eq!(AppName::try_from(bad), Err(NotAnAppName), "{bad:?}");
        }
    }

    #[test]
    fn secret_does_not_show_in_debug_output() {
        let text = format!("{:?}", server("a", 0, &["m"]));
        assert!(!text.contains("sk-upstream"), "{text}");
        assert!(text.contains("[redacted]"));
    }

    #[test]
    fn limits_carry_the_version_and_the_bounds_of_the_server() {
        let limits = server("a", 0, &["m"]).limits();
        assert_eq!((limits.version, limits.enabled), (7, true));
        assert_eq!(
            (limits.rpm, limits.tpm, limits.concurrency),
            (Some(10), None, Some(4))
        );
        let window = admission::WINDOW + BUCKET + GUARD;
        assert_eq!(limits.queue_timeout, window, "60 s cover a whole window");
        assert_eq!(limits.lease, Duration::from_secs(630));
    }

    #[test]
    fn a_queue_timeout_of_zero_lets_nobody_wait() {
        let mut server = server("a", 0, &["m"]);
        server.queue_timeout_ms = 0;
        assert_eq!(server.limits().queue_timeout, Duration::ZERO);
    }

    #[test]
    fn key_that_can_no_longer_be_read_is_kept_while_the_server_has_not_changed() {
        let shut = |id: &str, version: u64| Server {
            api_key: None,
            version,
            ..server(id, 0, &["m"])
        };
        let known = vec![server("a", 0, &["m"]), server("b", 1, &["m"]), shut("d", 7)];
        let known = Snapshot::new(1, known, Instant::from_millis(0));
        let entered = Server {
            api_key: Some(Secret::new("sk-entered-again")),
            version: 8,
            ..server("e", 0, &["m"])
        };
        let read = vec![
            shut("a", 7),
            shut("b", 8),
            shut("c", 7),
            shut("d", 7),
            entered,
        ];
        let read = Snapshot::new(2, read, Instant::from_millis(1)).with_keys_of(&known);
        let key = |id: &str| read.server(id).unwrap().api_key.clone();
        assert_eq!(key("a"), known.server("a").unwrap().api_key);
        assert_eq!(key("b"), None, "another version may have another key");
        assert_eq!((key("c"), key("d")), (None, None), "nothing was known");
        assert_eq!(key("e"), Some(Secret::new("sk-entered-again")));
    }

    #[test]
    fn snapshot_keeps_servers_in_configured_order() {
        let servers = vec![
            server("b", 2, &["m"]),
            server("c", 1, &["m"]),
            server("a", 2, &["m"]),
        ];
        let snapshot = Snapshot::new(1, servers, Instant::from_millis(0));
        let ids: Vec<_> = snapshot
            .servers
            .iter()
            .map(|server| server.id.as_str())
            .collect();
        assert_eq!(ids, ["c", "a", "b"]);
        assert!(snapshot.server("a").is_some() && snapshot.server("x").is_none());
    }
}
