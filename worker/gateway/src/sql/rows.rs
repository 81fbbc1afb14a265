//! 行的类型，以及到视图与配置的转换。
//!
//! Owns how a row of D1 becomes a value. D1 hands over numbers as JavaScript floats, flags as 0 and
//! 1, and arrays as JSON text; a row that does not fit is a storage error, never a default value.
//! Invariant: an API key that cannot be decrypted costs its own server its key and nothing else.

use core::fmt;

use admission::protocol::OnFull;
use admission::time::Instant;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use crate::admin_api::{
    AuditView, Cursor, KeyCreated, KeyState, KeyView, NewKey, ServerView, rfc3339,
};
use crate::config::{AppName, KeyRecord, ModelPattern, Overflow, Server};
use crate::envelope::{Keyring, OpenError, Opened};

/// A configuration version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct VersionRow {
    /// The version.
    #[serde(deserialize_with = "integer")]
    pub version: u64,
}

/// A row of `servers`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(
    missing_docs,
    reason = "the fields are the columns of the table, described in its migration"
)]
pub struct ServerRow {
    pub id: String,
    pub name: String,
    pub base_url: String,
    #[serde(deserialize_with = "texts")]
    pub models: Vec<String>,
    #[serde(deserialize_with = "flag")]
    pub enabled: bool,
    #[serde(deserialize_with = "integer")]
    pub position: u64,
    #[serde(deserialize_with = "integer_or_null")]
    pub rpm_limit: Option<u64>,
    #[serde(deserialize_with = "integer_or_null")]
    pub tpm_limit: Option<u64>,
    #[serde(deserialize_with = "integer_or_null")]
    pub max_concurrency: Option<u64>,
    #[serde(deserialize_with = "integer")]
    pub queue_max: u64,
    #[serde(deserialize_with = "integer")]
    pub queue_timeout_ms: u64,
    pub on_full: OnFull,
    pub overflow: Overflow,
    #[serde(deserialize_with = "integer")]
    pub upstream_timeout_ms: u64,
    /// The envelope.
    pub api_key: String,
    pub api_key_hint: String,
    #[serde(deserialize_with = "integer")]
    pub version: u64,
    #[serde(deserialize_with = "integer")]
    pub created_at: u64,
    #[serde(deserialize_with = "integer")]
    pub updated_at: u64,
}

/// A row of `gateway_keys`, without its digest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(
    missing_docs,
    reason = "the fields are the columns of the table, described in its migration"
)]
pub struct KeyRow {
    pub id: String,
    pub name: String,
    #[serde(deserialize_with = "app_or_null")]
    pub app: Option<AppName>,
    #[serde(deserialize_with = "texts_or_null")]
    pub models: Vec<String>,
    pub prefix: String,
    #[serde(deserialize_with = "integer_or_null")]
    pub expires_at: Option<u64>,
    #[serde(deserialize_with = "integer_or_null")]
    pub previous_expires_at: Option<u64>,
    #[serde(deserialize_with = "flag")]
    pub enabled: bool,
    #[serde(deserialize_with = "integer")]
    pub created_at: u64,
}

/// A row of `gateway_keys` that a presented secret led to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FoundKeyRow {
    /// The row.
    #[serde(flatten)]
    pub row: KeyRow,
    /// Whether the secret is the one before the last rotation.
    #[serde(deserialize_with = "flag")]
    pub by_previous: bool,
}

/// A row of `audit`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(
    missing_docs,
    reason = "the fields are the columns of the table, described in its migration"
)]
pub struct AuditRow {
    #[serde(deserialize_with = "integer")]
    pub id: u64,
    #[serde(deserialize_with = "integer")]
    pub at: u64,
    pub actor: String,
    pub action: String,
    pub target_kind: String,
    pub target_id: String,
    #[serde(deserialize_with = "json_text")]
    pub detail: serde_json::Value,
}

impl ServerRow {
    /// The server as the data plane uses it. Without a usable key its `api_key` is None.
    #[must_use]
    pub fn into_server(self, keyring: Option<&Keyring>) -> Server {
        let api_key = self.open_key(keyring).ok().map(|opened| opened.secret);
        Server {
            id: self.id,
            name: self.name,
            base_url: self.base_url,
            models: self.models.into_iter().map(ModelPattern::new).collect(),
            enabled: self.enabled,
            position: self.position,
            rpm_limit: self.rpm_limit,
            tpm_limit: self.tpm_limit,
            max_concurrency: self.max_concurrency,
            queue_max: self.queue_max,
            queue_timeout_ms: self.queue_timeout_ms,
            on_full: self.on_full,
            overflow: self.overflow,
            upstream_timeout_ms: self.upstream_timeout_ms,
            api_key,
            version: self.version,
        }
    }

    /// The server as the admin API shows it.
    #[must_use]
    pub fn into_view(self, keyring: Option<&Keyring>) -> ServerView {
        let key_state = match self.open_key(keyring) {
            Ok(opened) if opened.current => KeyState::Ok,
            Ok(_) => KeyState::ToBeReencrypted,
            Err(_) => KeyState::MustBeEnteredAgain,
        };
        ServerView {
            id: self.id,
            name: self.name,
            base_url: self.base_url,
            models: self.models,
            enabled: self.enabled,
            position: self.position,
            rpm_limit: self.rpm_limit,
            tpm_limit: self.tpm_limit,
            max_concurrency: self.max_concurrency,
            queue_max: self.queue_max,
            queue_timeout_ms: self.queue_timeout_ms,
            on_full: self.on_full,
            overflow: self.overflow,
            upstream_timeout_ms: self.upstream_timeout_ms,
            api_key_hint: self.api_key_hint,
            key_state,
            version: self.version,
            created_at: rfc3339(Instant::from_millis(self.created_at)),
            updated_at: rfc3339(Instant::from_millis(self.updated_at)),
        }
    }

    /// Its place in the list of servers.
    #[must_use]
    pub fn place(&self) -> Cursor {
        Cursor {
            sort_key: self.position,
            id: self.id.clone(),
        }
    }

    /// Opens the envelope.
    ///
    /// # Errors
    /// Why it stays shut; without a keyring, because its key is unknown.
    pub fn open_key(&self, keyring: Option<&Keyring>) -> Result<Opened, OpenError> {
        keyring
            .ok_or(OpenError::UnknownKey)?
            .open_server_key(&self.id, &self.api_key)
    }
}

impl FoundKeyRow {
    /// What the data plane knows of the key, by this secret: one that was rotated away ends with its
    /// grace, also while storage does not answer.
    #[must_use]
    pub fn into_record(self) -> KeyRecord {
        let row = self.row;
        let grace_ends = row.previous_expires_at.filter(|_| self.by_previous);
        let ends = [row.expires_at, grace_ends].into_iter().flatten().min();
        KeyRecord {
            id: row.id,
            name: row.name,
            app: row.app,
            models: row.models.into_iter().map(ModelPattern::new).collect(),
            enabled: row.enabled,
            expires_at: ends.map(Instant::from_millis),
        }
    }
}

impl AuditRow {
    /// The entry as the admin API shows it.
    #[must_use]
    pub fn into_view(self) -> AuditView {
        AuditView {
            id: self.id,
            at: rfc3339(Instant::from_millis(self.at)),
            actor: self.actor,
            action: self.action,
            target_kind: self.target_kind,
            target_id: self.target_id,
            detail: self.detail,
        }
    }

    /// Its place in the list of entries.
    #[must_use]
    pub fn place(&self) -> Cursor {
        Cursor {
            sort_key: self.at,
            id: self.id.to_string(),
        }
    }
}

impl KeyRow {
    /// The key as the admin API shows it at `now`.
    #[must_use]
    pub fn into_view(self, now: Instant) -> KeyView {
        let previous_ends = self.previous_expires_at.map(Instant::from_millis);
        KeyView {
            id: self.id,
            name: self.name,
            app: self.app.map(|app| app.as_str().to_owned()),
            models: self.models,
            prefix: self.prefix,
            expires_at: self.expires_at.map(Instant::from_millis).map(rfc3339),
            previous_expires_at: previous_ends.filter(|ends| *ends > now).map(rfc3339),
            enabled: self.enabled,
            created_at: rfc3339(Instant::from_millis(self.created_at)),
        }
    }

    /// The answer that creates or rotates the key, at `now`.
    #[must_use]
    pub fn into_created(self, key: NewKey, now: Instant) -> KeyCreated {
        KeyCreated {
            view: self.into_view(now),
            key: key.secret,
        }
    }

    /// Its place in the list of keys.
    #[must_use]
    pub fn place(&self) -> Cursor {
        Cursor {
            sort_key: self.created_at,
            id: self.id.clone(),
        }
    }
}

pub(super) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    integer_or_null(deserializer)?
        .ok_or_else(|| Error::invalid_type(Unexpected::Unit, &IntegerOrNull))
}

fn integer_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    // The kind of number depends on its value in JavaScript, so it cannot be asked for by type.
    deserializer.deserialize_any(IntegerOrNull)
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match integer(deserializer)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Error::invalid_value(Unexpected::Unsigned(other), &"0 or 1")),
    }
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let json = String::deserialize(deserializer)?;
    serde_json::from_str(&json).map_err(|_| Error::custom("not a JSON array of texts"))
}

fn texts_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let json = Option::<String>::deserialize(deserializer)?;
    serde_json::from_str(json.as_deref().unwrap_or("[]"))
        .map_err(|_| Error::custom("not a JSON array of texts"))
}

fn json_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<serde_json::Value, D::Error> {
    let json = String::deserialize(deserializer)?;
    serde_json::from_str(&json).map_err(|_| Error::custom("not JSON"))
}

fn app_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AppName>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let app = text
        .map(|text| AppName::try_from(text.as_str()))
        .transpose();
    app.map_err(|_| Error::custom("not the name of an app"))
}

struct IntegerOrNull;

impl<'de> Visitor<'de> for IntegerOrNull {
    type Value = Option<u64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an integer that is not negative")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        u64::try_from(number)
            .map(Some)
            .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        // Up to 2^53 a float without fraction is exactly one integer; its text is that integer's.
        let exact = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
        let integer = if exact {
            format!("{number:.0}").parse().ok()
        } else {
            None
        };
        integer
            .map(Some)
            .ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}
