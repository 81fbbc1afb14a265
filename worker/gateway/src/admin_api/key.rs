//! 网关密钥对象：创建、修改与视图；密钥只显示一次。
//!
//! Owns the key object of PRODUCT.md section 3 and the form of a gateway key. Does not look one up.
//! Invariant: the secret is in [`NewKey`] and [`KeyCreated`] and nowhere else.

use core::fmt;
use core::time::Duration;

use admission::time::Instant;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};

use super::bounds::{GRACE_SECONDS_DEFAULT, GRACE_SECONDS_MAX, NAME_CHARS_MAX};
use super::change::Change;
use super::fields::{App, Flag, Integer, Models, Name, OrNull, Time};
use super::object::{Object, invalid_field, required};
use crate::auth::KeyDigest;
use crate::config::{AppName, Secret};
use crate::error::GatewayError;

/// Random bytes of a gateway key: 256 bits, so that its digest needs no salt.
pub const KEY_RANDOM_BYTES: usize = 32;

/// Random bytes of a new key's id.
pub const KEY_ID_RANDOM_BYTES: usize = 12;

/// Characters of a gateway key that lists show: the scheme and four more.
const KEY_PREFIX_CHARS: usize = 14;

const KEY_SCHEME: &str = "sk-sluice-";

const NAME: Name = Name {
    name: "name",
    chars_max: NAME_CHARS_MAX,
};
const APP: OrNull<App> = OrNull(App { name: "app" });
const MODELS: OrNull<Models> = OrNull(Models {
    name: "models",
    len_min: 0,
});
const EXPIRES_AT: OrNull<Time> = OrNull(Time { name: "expires_at" });
const ENABLED: Flag = Flag { name: "enabled" };

const GRACE_SECONDS: Integer = Integer {
    name: "grace_seconds",
    min: 0,
    max: GRACE_SECONDS_MAX,
};

/// Fields of [`KeyView`] that only the gateway sets.
const READ_ONLY: [&str; 5] = ["id", "prefix", "previous_expires_at", "created_at", "key"];

/// Body of `POST /api/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyCreate {
    /// Name for people; several keys may share one.
    pub name: String,
    /// The only app that may use the key; None is any.
    pub app: Option<AppName>,
    /// The models that the key may use; empty is any.
    pub models: Vec<String>,
    /// From then on the key is refused.
    #[serde(serialize_with = "optional_time")]
    pub expires_at: Option<Instant>,
    /// A key that is not enabled is refused.
    pub enabled: bool,
}

/// Body of `PATCH /api/keys/{id}`. Serialized it is what the audit trail keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of KeyCreate")]
pub struct KeyPatch {
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub name: Change<String>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub app: Change<Option<AppName>>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub models: Change<Vec<String>>,
    #[serde(
        skip_serializing_if = "Change::is_keep",
        serialize_with = "changed_time"
    )]
    pub expires_at: Change<Option<Instant>>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub enabled: Change<bool>,
}

/// Body of `POST /api/keys/{id}/rotate`. Serialized it is what the audit trail keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeyRotate {
    /// How long the secret before goes on working; 0 is not at all.
    pub grace_seconds: u64,
}

/// A gateway key as the admin API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Key"))]
#[expect(
    missing_docs,
    reason = "the fields are those of the key object, described in PRODUCT.md"
)]
pub struct KeyView {
    pub id: String,
    pub name: String,
    pub app: Option<String>,
    pub models: Vec<String>,
    pub prefix: String,
    pub expires_at: Option<String>,
    pub previous_expires_at: Option<String>,
    pub enabled: bool,
    pub created_at: String,
}

/// The answer that creates or rotates a key: the only one with its secret.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct KeyCreated {
    /// The key as every other answer shows it.
    #[serde(flatten)]
    pub view: KeyView,
    /// The secret.
    #[serde(serialize_with = "shown_once")]
    #[cfg_attr(feature = "openapi", schemars(with = "String"))]
    pub key: Secret,
}

/// The secret of a gateway key at the moment of its creation.
#[derive(Clone)]
pub struct NewKey {
    /// What the client authenticates with.
    pub secret: Secret,
    /// Of the secret: what is stored and looked up.
    pub digest: KeyDigest,
    /// The first characters, for people to recognise it.
    pub prefix: String,
}

/// Id of a new gateway key.
#[must_use]
pub fn gateway_key_id(random: [u8; KEY_ID_RANDOM_BYTES]) -> String {
    random_id("key_", &random)
}

impl NewKey {
    /// The key that consists of these random bytes.
    #[must_use]
    pub fn from_random(random: [u8; KEY_RANDOM_BYTES]) -> Self {
        let secret = format!("{KEY_SCHEME}{}", URL_SAFE_NO_PAD.encode(random));
        Self {
            digest: KeyDigest::of(&secret),
            prefix: secret.chars().take(KEY_PREFIX_CHARS).collect(),
            secret: Secret::new(secret),
        }
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NewKey")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl KeyCreate {
    /// Reads the body of a request. An expiry must lie after `now`.
    pub fn parse(body: &[u8], now: Instant) -> Result<Self, GatewayError> {
        let fields = KeyPatch::parse(body)?;
        let expires_at = fields.expires_at.or_default_of(None);
        if expires_at.is_some_and(|at| at <= now) {
            let message = format!("`{}` must lie in the future.", EXPIRES_AT.0.name);
            return Err(invalid_field(EXPIRES_AT.0.name, message));
        }
        Ok(Self {
            name: required(fields.name, NAME.name)?,
            app: fields.app.or_default_of(None),
            models: fields.models.or_default_of(Vec::new()),
            expires_at,
            enabled: fields.enabled.or_default_of(true),
        })
    }
}

impl KeyPatch {
    /// Reads the body of a request. An expiry in the past is a way to retire a key.
    pub fn parse(body: &[u8]) -> Result<Self, GatewayError> {
        let mut object = Object::parse(body)?;
        let fields = Self {
            name: object.take(&NAME)?,
            app: object.take(&APP)?,
            models: match object.take(&MODELS)? {
                Change::Keep => Change::Keep,
                Change::Set(models) => Change::Set(models.unwrap_or_default()),
            },
            expires_at: object.take(&EXPIRES_AT)?,
            enabled: object.take(&ENABLED)?,
        };
        object.finish(&READ_ONLY)?;
        Ok(fields)
    }
}

impl KeyRotate {
    /// Reads the body of a request, which may be absent.
    pub fn parse(body: &[u8]) -> Result<Self, GatewayError> {
        let mut object = Object::parse(if body.is_empty() { b"{}" } else { body })?;
        let grace = object.take(&GRACE_SECONDS)?;
        object.finish(&[])?;
        Ok(Self {
            grace_seconds: grace.or_default_of(GRACE_SECONDS_DEFAULT),
        })
    }

    /// When the secret before stops working; None if it stops at once.
    #[must_use]
    pub fn previous_expires_at(self, now: Instant) -> Option<Instant> {
        (self.grace_seconds > 0)
            .then(|| now.saturating_add(Duration::from_secs(self.grace_seconds)))
    }
}

/// Random bytes as text, after a prefix that says what the id is of. Safe in a URL.
pub(super) fn random_id(prefix: &str, random: &[u8]) -> String {
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random))
}

fn shown_once<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn optional_time<S: Serializer>(time: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(super::rfc3339).serialize(serializer)
}

fn changed_time<S: Serializer>(
    time: &Change<Option<Instant>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    optional_time(&time.as_set().copied().flatten(), serializer)
}
