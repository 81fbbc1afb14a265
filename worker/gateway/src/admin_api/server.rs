//! 服务器对象：创建、替换、修改、排序与视图。
//!
//! Owns the server object of PRODUCT.md section 3. `api_key` goes in and never comes out.
//! Invariant: a [`ServerSettings`] is within every bound, whichever way it came.

use admission::protocol::OnFull;
use serde::{Deserialize, Serialize};

use super::Rules;
use super::bounds::{
    API_KEY_CHARS_MAX, MAX_CONCURRENCY_MAX, NAME_CHARS_MAX, QUEUE_MAX_DEFAULT, QUEUE_MAX_MAX,
    QUEUE_TIMEOUT_MS_DEFAULT, QUEUE_TIMEOUT_MS_MAX, RPM_LIMIT_MAX, SERVERS_LEN_MAX, TPM_LIMIT_MAX,
    UPSTREAM_TIMEOUT_MS_DEFAULT, UPSTREAM_TIMEOUT_MS_MAX, UPSTREAM_TIMEOUT_MS_MIN,
};
use super::change::Change;
use super::fields::{BaseUrl, Choice, Credential, Flag, Ids, Integer, Models, Name, OrNull};
use super::object::{Object, required};
use crate::config::{Overflow, Secret};
use crate::error::GatewayError;

/// Random bytes of a new server's id.
pub const SERVER_ID_RANDOM_BYTES: usize = 12;

const NAME: Name = Name {
    name: "name",
    chars_max: NAME_CHARS_MAX,
};
const MODELS: Models = Models {
    name: "models",
    len_min: 1,
};
const ENABLED: Flag = Flag { name: "enabled" };
const RPM_LIMIT: OrNull<Integer> = OrNull(Integer {
    name: "rpm_limit",
    min: 0,
    max: RPM_LIMIT_MAX,
});
const TPM_LIMIT: OrNull<Integer> = OrNull(Integer {
    name: "tpm_limit",
    min: 0,
    max: TPM_LIMIT_MAX,
});
const MAX_CONCURRENCY: OrNull<Integer> = OrNull(Integer {
    name: "max_concurrency",
    min: 0,
    max: MAX_CONCURRENCY_MAX,
});
const QUEUE_MAX: Integer = Integer {
    name: "queue_max",
    min: 0,
    max: QUEUE_MAX_MAX,
};
const QUEUE_TIMEOUT_MS: Integer = Integer {
    name: "queue_timeout_ms",
    min: 0,
    max: QUEUE_TIMEOUT_MS_MAX,
};
const ON_FULL: Choice<OnFull> = Choice {
    name: "on_full",
    choices: &[
        ("evict_oldest", OnFull::EvictOldest),
        ("reject_newest", OnFull::RejectNewest),
    ],
};
const OVERFLOW: Choice<Overflow> = Choice {
    name: "overflow",
    choices: &[
        ("wait", Overflow::Wait),
        ("next_server", Overflow::NextServer),
    ],
};
const UPSTREAM_TIMEOUT_MS: Integer = Integer {
    name: "upstream_timeout_ms",
    min: UPSTREAM_TIMEOUT_MS_MIN,
    max: UPSTREAM_TIMEOUT_MS_MAX,
};
const API_KEY: Credential = Credential {
    name: "api_key",
    chars_max: API_KEY_CHARS_MAX,
};
const IDS: Ids = Ids {
    name: "ids",
    len_max: SERVERS_LEN_MAX,
};

/// Fields of [`ServerView`] that only the gateway sets.
const READ_ONLY: [&str; 7] = [
    "id",
    "position",
    "api_key_hint",
    "key_state",
    "version",
    "created_at",
    "updated_at",
];

/// Everything that a client decides about a server, except its API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are those of the server object, described in PRODUCT.md"
)]
pub struct ServerSettings {
    pub name: String,
    pub base_url: String,
    pub models: Vec<String>,
    pub enabled: bool,
    pub rpm_limit: Option<u64>,
    pub tpm_limit: Option<u64>,
    pub max_concurrency: Option<u64>,
    pub queue_max: u64,
    pub queue_timeout_ms: u64,
    pub on_full: OnFull,
    pub overflow: Overflow,
    pub upstream_timeout_ms: u64,
}

/// Body of `POST /api/servers`.
#[derive(Debug, Clone)]
pub struct ServerCreate {
    /// Fields that were absent have their defaults.
    pub settings: ServerSettings,
    /// Required: a server without a key serves nobody.
    pub api_key: Secret,
}

/// Body of `PUT /api/servers/{id}`. What `GET` answered is accepted: fields that only the gateway
/// sets are ignored.
#[derive(Debug, Clone)]
pub struct ServerReplace {
    /// Fields that were absent have their defaults.
    pub settings: ServerSettings,
    /// None: the stored key stays.
    pub api_key: Option<Secret>,
}

/// Body of `PATCH /api/servers/{id}`. Serialized it is what the audit trail keeps: only the
/// fields that were set, and never the API key.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are those of the server object, described in PRODUCT.md"
)]
pub struct ServerPatch {
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub name: Change<String>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub base_url: Change<String>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub models: Change<Vec<String>>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub enabled: Change<bool>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub rpm_limit: Change<Option<u64>>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub tpm_limit: Change<Option<u64>>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub max_concurrency: Change<Option<u64>>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub queue_max: Change<u64>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub queue_timeout_ms: Change<u64>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub on_full: Change<OnFull>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub overflow: Change<Overflow>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub upstream_timeout_ms: Change<u64>,
    #[serde(skip)]
    pub api_key: Change<Secret>,
}

/// Body of `PUT /api/servers/order`: every id exactly once, first tried first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOrder {
    /// Distinct ids. Whether they are all there are is known only to the store.
    pub ids: Vec<String>,
}

/// Whether the stored API key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It can.
    Ok,
    /// It can, with the encryption key before the rotation; it is sealed with the present one soon.
    ToBeReencrypted,
    /// It cannot be decrypted with the configured encryption keys.
    MustBeEnteredAgain,
}

/// A server as the admin API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Server"))]
#[expect(
    missing_docs,
    reason = "the fields are those of the server object, described in PRODUCT.md"
)]
pub struct ServerView {
    pub id: String,
    pub name: String,
    pub base_url: String,
    pub models: Vec<String>,
    pub enabled: bool,
    pub position: u64,
    pub rpm_limit: Option<u64>,
    pub tpm_limit: Option<u64>,
    pub max_concurrency: Option<u64>,
    pub queue_max: u64,
    pub queue_timeout_ms: u64,
    #[cfg_attr(feature = "openapi", schemars(schema_with = "on_full"))]
    pub on_full: OnFull,
    pub overflow: Overflow,
    pub upstream_timeout_ms: u64,
    pub api_key_hint: String,
    pub key_state: KeyState,
    pub version: u64,
    pub created_at: String,
    pub updated_at: String,
}

/// Id of a new server.
#[must_use]
pub fn server_id(random: [u8; SERVER_ID_RANDOM_BYTES]) -> String {
    super::key::random_id("srv_", &random)
}

impl ServerCreate {
    /// Reads the body of a request.
    pub fn parse(body: &[u8], rules: Rules<'_>) -> Result<Self, GatewayError> {
        let mut object = Object::parse(body)?;
        let mut fields = ServerPatch::read(&mut object, rules)?;
        object.finish(&READ_ONLY)?;
        let api_key = core::mem::take(&mut fields.api_key);
        let settings = fields.complete()?;
        Ok(Self {
            settings,
            api_key: required(api_key, API_KEY.name)?,
        })
    }
}

impl ServerReplace {
    /// Reads the body of a request.
    pub fn parse(body: &[u8], rules: Rules<'_>) -> Result<Self, GatewayError> {
        let mut object = Object::parse(body)?;
        object.ignore(&READ_ONLY);
        let mut fields = ServerPatch::read(&mut object, rules)?;
        object.finish(&[])?;
        let api_key = core::mem::take(&mut fields.api_key).into_set();
        Ok(Self {
            settings: fields.complete()?,
            api_key,
        })
    }
}

impl ServerPatch {
    /// Reads the body of a request.
    pub fn parse(body: &[u8], rules: Rules<'_>) -> Result<Self, GatewayError> {
        let mut object = Object::parse(body)?;
        let fields = Self::read(&mut object, rules)?;
        object.finish(&READ_ONLY)?;
        Ok(fields)
    }

    /// The one place where the fields of a server are read, in the order of the object.
    fn read(object: &mut Object, rules: Rules<'_>) -> Result<Self, GatewayError> {
        let base_url = BaseUrl {
            name: "base_url",
            rules,
        };
        Ok(Self {
            name: object.take(&NAME)?,
            base_url: object.take(&base_url)?,
            models: object.take(&MODELS)?,
            enabled: object.take(&ENABLED)?,
            rpm_limit: object.take(&RPM_LIMIT)?,
            tpm_limit: object.take(&TPM_LIMIT)?,
            max_concurrency: object.take(&MAX_CONCURRENCY)?,
            queue_max: object.take(&QUEUE_MAX)?,
            queue_timeout_ms: object.take(&QUEUE_TIMEOUT_MS)?,
            on_full: object.take(&ON_FULL)?,
            overflow: object.take(&OVERFLOW)?,
            upstream_timeout_ms: object.take(&UPSTREAM_TIMEOUT_MS)?,
            api_key: object.take(&API_KEY)?,
        })
    }

    /// The fields of a whole server: what is required must be there, the rest has defaults.
    fn complete(self) -> Result<ServerSettings, GatewayError> {
        Ok(ServerSettings {
            name: required(self.name, NAME.name)?,
            base_url: required(self.base_url, "base_url")?,
            models: required(self.models, MODELS.name)?,
            enabled: self.enabled.or_default_of(true),
            rpm_limit: self.rpm_limit.or_default_of(None),
            tpm_limit: self.tpm_limit.or_default_of(None),
            max_concurrency: self.max_concurrency.or_default_of(None),
            queue_max: self.queue_max.or_default_of(QUEUE_MAX_DEFAULT),
            queue_timeout_ms: self
                .queue_timeout_ms
                .or_default_of(QUEUE_TIMEOUT_MS_DEFAULT),
            on_full: self.on_full.or_default_of(OnFull::EvictOldest),
            overflow: self.overflow.or_default_of(Overflow::Wait),
            upstream_timeout_ms: self
                .upstream_timeout_ms
                .or_default_of(UPSTREAM_TIMEOUT_MS_DEFAULT),
        })
    }
}

/// A replacement is the patch that sets everything, except a key that was not given.
impl From<ServerReplace> for ServerPatch {
    fn from(replace: ServerReplace) -> Self {
        let settings = replace.settings;
        Self {
            name: Change::Set(settings.name),
            base_url: Change::Set(settings.base_url),
            models: Change::Set(settings.models),
            enabled: Change::Set(settings.enabled),
            rpm_limit: Change::Set(settings.rpm_limit),
            tpm_limit: Change::Set(settings.tpm_limit),
            max_concurrency: Change::Set(settings.max_concurrency),
            queue_max: Change::Set(settings.queue_max),
            queue_timeout_ms: Change::Set(settings.queue_timeout_ms),
            on_full: Change::Set(settings.on_full),
            overflow: Change::Set(settings.overflow),
            upstream_timeout_ms: Change::Set(settings.upstream_timeout_ms),
            api_key: replace.api_key.map_or(Change::Keep, Change::Set),
        }
    }
}

impl ServerOrder {
    /// Reads the body of a request.
    pub fn parse(body: &[u8]) -> Result<Self, GatewayError> {
        let mut object = Object::parse(body)?;
        let ids = object.take(&IDS)?;
        object.finish(&[])?;
        Ok(Self {
            ids: required(ids, IDS.name)?,
        })
    }
}

/// The limiter's crate knows nothing of documents.
#[cfg(feature = "openapi")]
fn on_full(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    use super::described::Described as _;
    schemars::Schema::try_from(ON_FULL.schema()).unwrap_or_default()
}
