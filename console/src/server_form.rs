//! 服务器表单的规则：边输入边校验，只发改动。
//!
//! Owns what is typed about a server before the API sees it: the draft as texts, what is wrong with a field
//! while one types, and the body to send. The bounds are the gateway's own; what only the gateway can know
//! (a name that is taken, a host that it does not allow) is its answer's business.
//!
//! Invariant: a draft without faults makes a body whose fields the gateway can read.

use gateway::admin_api::{ServerView, bounds};
use gateway::config::Overflow;
use serde_json::{Map, Value, json};

use admission::protocol::OnFull;

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is required.
    Missing,
    /// It has more characters than this.
    Long(usize),
    /// It has a line break or another control character.
    Line,
    /// It is no absolute URL.
    Url,
    /// It has a user name, a query or a fragment.
    UrlExtra,
    /// It is no whole number.
    Number,
    /// It is not between these.
    Range(u64, u64),
    /// This model has a star before its end.
    Star(String),
    /// This model's name is too long.
    Model(String),
    /// There are more than this.
    Many(usize),
    /// It has a character that no header can carry.
    Key,
}

/// A server as it is typed. Empty limits are unlimited; times are in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the server object")]
pub struct Draft {
    pub name: String,
    pub base_url: String,
    pub api_key: String,
    pub models: Vec<String>,
    pub enabled: bool,
    pub rpm_limit: String,
    pub tpm_limit: String,
    pub max_concurrency: String,
    pub queue_max: String,
    pub queue_timeout: String,
    pub on_full: String,
    pub overflow: String,
    pub upstream_timeout: String,
}

/// The fields in the order of the form, by their names in the API.
pub const FIELDS: [&str; 11] = [
    "name",
    "base_url",
    "api_key",
    "models",
    "rpm_limit",
    "tpm_limit",
    "max_concurrency",
    "queue_max",
    "queue_timeout_ms",
    "upstream_timeout_ms",
    "enabled",
];

const EVICT: &str = "evict_oldest";
const REJECT: &str = "reject_newest";
const WAIT: &str = "wait";
const NEXT: &str = "next_server";
const SECOND_MS: u64 = 1_000;

impl Default for Draft {
    fn default() -> Self {
        Self {
            name: String::new(),
            base_url: String::new(),
            api_key: String::new(),
            models: Vec::new(),
            enabled: true,
            rpm_limit: String::new(),
            tpm_limit: String::new(),
            max_concurrency: String::new(),
            queue_max: bounds::QUEUE_MAX_DEFAULT.to_string(),
            queue_timeout: seconds(bounds::QUEUE_TIMEOUT_MS_DEFAULT),
            on_full: EVICT.to_owned(),
            overflow: WAIT.to_owned(),
            upstream_timeout: seconds(bounds::UPSTREAM_TIMEOUT_MS_DEFAULT),
        }
    }
}

impl Draft {
    /// What is stored, as one would type it; the API key is not shown.
    #[must_use]
    pub fn of(server: &ServerView) -> Self {
        let limit = |limit: Option<u64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        Self {
            name: server.name.clone(),
            base_url: server.base_url.clone(),
            api_key: String::new(),
            models: server.models.clone(),
            enabled: server.enabled,
            rpm_limit: limit(server.rpm_limit),
            tpm_limit: limit(server.tpm_limit),
            max_concurrency: limit(server.max_concurrency),
            queue_max: server.queue_max.to_string(),
            queue_timeout: seconds(server.queue_timeout_ms),
            on_full: if server.on_full == OnFull::RejectNewest {
                REJECT
            } else {
                EVICT
            }
            .to_owned(),
            overflow: if server.overflow == Overflow::NextServer {
                NEXT
            } else {
                WAIT
            }
            .to_owned(),
            upstream_timeout: seconds(server.upstream_timeout_ms),
        }
    }

    /// What is wrong with a field; `is_new` where an API key is required.
    #[must_use]
    pub fn fault(&self, field: &str, is_new: bool) -> Option<Fault> {
        match field {
            "name" => line(&self.name, bounds::NAME_CHARS_MAX),
            "base_url" => base_url(&self.base_url),
            "api_key" => api_key(&self.api_key, is_new),
            "models" => models(&self.models),
            "rpm_limit" => limit(&self.rpm_limit, bounds::RPM_LIMIT_MAX),
            "tpm_limit" => limit(&self.tpm_limit, bounds::TPM_LIMIT_MAX),
            "max_concurrency" => limit(&self.max_concurrency, bounds::MAX_CONCURRENCY_MAX),
            "queue_max" => number(&self.queue_max, 0, bounds::QUEUE_MAX_MAX),
            "queue_timeout_ms" => span(&self.queue_timeout, 0, bounds::QUEUE_TIMEOUT_MS_MAX),
            "upstream_timeout_ms" => span(
                &self.upstream_timeout,
                bounds::UPSTREAM_TIMEOUT_MS_MIN,
                bounds::UPSTREAM_TIMEOUT_MS_MAX,
            ),
            _ => None,
        }
    }

    /// The first field with a fault.
    #[must_use]
    pub fn first_fault(&self, is_new: bool) -> Option<&'static str> {
        FIELDS
            .into_iter()
            .find(|field| self.fault(field, is_new).is_some())
    }

    /// The body that creates it.
    #[must_use]
    pub fn body(&self) -> Value {
        Value::Object(self.fields())
    }

    /// The body that changes what differs from what was stored; empty where nothing does.
    #[must_use]
    pub fn changes(&self, stored: &Self) -> Map<String, Value> {
        let before = stored.fields();
        let mut changes = self.fields();
        changes.retain(|name, value| before.get(name) != Some(value));
        changes
    }

    /// This draft, which was made on `base`, on what is stored by now: what was typed stays, the rest follows.
    #[must_use]
    pub fn onto(&self, base: &Self, stored: &Self) -> Self {
        let text = |mine: &String, base: &String, stored: &String| {
            if mine == base {
                stored.clone()
            } else {
                mine.clone()
            }
        };
        Self {
            name: text(&self.name, &base.name, &stored.name),
            base_url: text(&self.base_url, &base.base_url, &stored.base_url),
            api_key: self.api_key.clone(),
            models: if self.models == base.models {
                stored.models.clone()
            } else {
                self.models.clone()
            },
            enabled: if self.enabled == base.enabled {
                stored.enabled
            } else {
                self.enabled
            },
            rpm_limit: text(&self.rpm_limit, &base.rpm_limit, &stored.rpm_limit),
            tpm_limit: text(&self.tpm_limit, &base.tpm_limit, &stored.tpm_limit),
            max_concurrency: text(
                &self.max_concurrency,
                &base.max_concurrency,
                &stored.max_concurrency,
            ),
            queue_max: text(&self.queue_max, &base.queue_max, &stored.queue_max),
            queue_timeout: text(
                &self.queue_timeout,
                &base.queue_timeout,
                &stored.queue_timeout,
            ),
            on_full: text(&self.on_full, &base.on_full, &stored.on_full),
            overflow: text(&self.overflow, &base.overflow, &stored.overflow),
            upstream_timeout: text(
                &self.upstream_timeout,
                &base.upstream_timeout,
                &stored.upstream_timeout,
            ),
        }
    }

    fn fields(&self) -> Map<String, Value> {
        let limit = |text: &str| parsed(text).map_or(Value::Null, Value::from);
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        put("name", json!(self.name.trim()));
        put("base_url", json!(self.base_url.trim()));
        put("models", json!(self.models));
        put("enabled", json!(self.enabled));
        put("rpm_limit", limit(&self.rpm_limit));
        put("tpm_limit", limit(&self.tpm_limit));
        put("max_concurrency", limit(&self.max_concurrency));
        put("queue_max", limit(&self.queue_max));
        put("queue_timeout_ms", json!(milliseconds(&self.queue_timeout)));
        put("on_full", json!(self.on_full));
        put("overflow", json!(self.overflow));
        put(
            "upstream_timeout_ms",
            json!(milliseconds(&self.upstream_timeout)),
        );
        if !self.api_key.trim().is_empty() {
            put("api_key", json!(self.api_key.trim()));
        }
        fields
    }
}

/// What saving a limit would do at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that one would notice.
    None,
    /// Everything waits from then on.
    Pause,
    /// More is used than would be allowed.
    Over,
    /// Requests that wait go on.
    Release,
}

/// The effect of a typed limit on a server with this limit, this use and so many waiters.
#[must_use]
pub fn effect(typed: &str, stored: Option<u64>, used: u64, waiting: u64) -> Effect {
    if !typed.trim().is_empty() && parsed(typed).is_none() {
        return Effect::None;
    }
    match (parsed(typed), stored) {
        (typed, stored) if typed == stored => Effect::None,
        (Some(0), _) => Effect::Pause,
        (Some(typed), _) if typed < used => Effect::Over,
        (Some(typed), Some(stored)) if typed > stored && waiting > 0 => Effect::Release,
        (None, Some(_)) if waiting > 0 => Effect::Release,
        _ => Effect::None,
    }
}

/// The list with one moved to a place, counted from 0.
#[must_use]
pub fn moved(ids: &[String], id: &str, place: usize) -> Vec<String> {
    let mut rest: Vec<String> = ids.iter().filter(|one| *one != id).cloned().collect();
    if rest.len() < ids.len() {
        rest.insert(place.min(rest.len()), id.to_owned());
    }
    rest
}

fn line(text: &str, most: usize) -> Option<Fault> {
    let text = text.trim();
    if text.is_empty() {
        Some(Fault::Missing)
    } else if text.chars().any(char::is_control) {
        Some(Fault::Line)
    } else {
        (text.chars().count() > most).then_some(Fault::Long(most))
    }
}

fn base_url(text: &str) -> Option<Fault> {
    let text = text.trim();
    if let Some(fault) = line(text, bounds::BASE_URL_CHARS_MAX) {
        return Some(fault);
    }
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else {
        return Some(Fault::Url);
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || text.contains(char::is_whitespace) {
        Some(Fault::Url)
    } else if host.contains('@') || rest.contains(['?', '#']) {
        Some(Fault::UrlExtra)
    } else {
        None
    }
}

fn api_key(text: &str, required: bool) -> Option<Fault> {
    let text = text.trim();
    if text.is_empty() {
        return required.then_some(Fault::Missing);
    }
    if !text.chars().all(|character| character.is_ascii_graphic()) {
        return Some(Fault::Key);
    }
    (text.len() > bounds::API_KEY_CHARS_MAX).then_some(Fault::Long(bounds::API_KEY_CHARS_MAX))
}

fn models(models: &[String]) -> Option<Fault> {
    if models.is_empty() {
        return Some(Fault::Missing);
    }
    if models.len() > bounds::MODELS_LEN_MAX {
        return Some(Fault::Many(bounds::MODELS_LEN_MAX));
    }
    models.iter().find_map(|model| {
        if model.chars().count() > bounds::MODEL_CHARS_MAX {
            Some(Fault::Model(model.chars().take(24).collect()))
        } else if model.strip_suffix('*').unwrap_or(model).contains('*') {
            Some(Fault::Star(model.clone()))
        } else {
            None
        }
    })
}

fn limit(text: &str, most: u64) -> Option<Fault> {
    if text.trim().is_empty() {
        None
    } else {
        number(text, 0, most)
    }
}

fn number(text: &str, least: u64, most: u64) -> Option<Fault> {
    if text.trim().is_empty() {
        return Some(Fault::Missing);
    }
    match parsed(text) {
        None => Some(Fault::Number),
        Some(value) => (!(least..=most).contains(&value)).then_some(Fault::Range(least, most)),
    }
}

fn span(text: &str, least_ms: u64, most_ms: u64) -> Option<Fault> {
    number(text, least_ms / SECOND_MS, most_ms / SECOND_MS)
}

/// A whole number, with or without the separators that people write.
#[must_use]
pub fn parsed(text: &str) -> Option<u64> {
    let plain: String = text
        .trim()
        .chars()
        .filter(|character| !matches!(character, ',' | '_' | ' ' | '，'))
        .collect();
    plain.parse().ok()
}

fn milliseconds(seconds: &str) -> Option<u64> {
    parsed(seconds).and_then(|seconds| seconds.checked_mul(SECOND_MS))
}

/// Whole seconds; a stored time of a part of a second is rounded up, so that it never becomes none.
fn seconds(milliseconds: u64) -> String {
    milliseconds.div_ceil(SECOND_MS).to_string()
}

#[cfg(test)]
mod tests;
