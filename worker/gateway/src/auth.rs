//! 谁在调用：网关密钥、应用名、管理角色。
//!
//! Owns checks 1 and 2 of the data plane (key, then app name) and the role behind an admin token. Does not
//! look keys up: the Worker finds the record by digest and passes it in.
//!
//! Invariant: unknown, disabled and expired keys are answered with the same words, and tokens are compared in
//! constant time.

use std::fmt;

use admission::time::Instant;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    config::{AppName, KeyRecord, ModelPattern, Secret},
    error::{ErrorCode, GatewayError},
    settings::{AppNameSource, ClientAuth, Settings},
};

/// Longest credential that is hashed at all; ours have fewer than 64 characters.
pub const KEY_LEN_MAX: usize = 256;
/// The key id in usage records when `CLIENT_AUTH` is off.
pub const ANONYMOUS_KEY_ID: &str = "anonymous";

/// SHA-256 of a gateway key: what is stored, looked up and cached instead of the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a key's text.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// 64 lower-case hexadecimal digits, the form in storage.
    #[must_use]
    pub fn to_hex(&self) -> String {
        use fmt::Write;
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            // Writing into a string can not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyDigest({})", self.to_hex())
    }
}

/// Who sent a request, once both checks have passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The gateway key's id, or `ANONYMOUS_KEY_ID`.
    pub key_id: String,
    /// The calling application.
    pub app: AppName,
    /// The only models it may ask for; empty = any.
    pub models: Vec<ModelPattern>,
}

impl Caller {
    /// Whether the key allows this model.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(model))
    }
}

/// What an admin token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads everything that is not secret.
    Viewer,
    /// Reads and changes.
    Admin,
}

impl Role {
    /// The role's name in the log and in the audit trail.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }
}

/// The digest of the key that a request carries: `Authorization: Bearer <key>`, else `x-api-key`.
pub fn client_key(
    authorization: Option<&str>,
    x_api_key: Option<&str>,
) -> Result<KeyDigest, GatewayError> {
    let presented = authorization
        .and_then(bearer)
        .or_else(|| x_api_key.map(str::trim).filter(|key| !key.is_empty()))
        .ok_or_else(|| {
            GatewayError::new(
                ErrorCode::InvalidApiKey,
                "No gateway key was sent. Send it as `Authorization: Bearer <gateway key>` or `x-api-key`.",
            )
        })?;
    if presented.len() > KEY_LEN_MAX {
        return Err(invalid_api_key());
    }
    Ok(KeyDigest::of(presented))
}

/// Checks 1 and 2 in their order: the key works, then the app name is there, well-formed and allowed.
/// `record` is what the lookup of `client_key`'s digest found; it is ignored when `CLIENT_AUTH` is off.
pub fn caller(
    record: Option<&KeyRecord>,
    app_name: Option<&str>,
    settings: &Settings,
    now: Instant,
) -> Result<Caller, GatewayError> {
    if settings.client_auth == ClientAuth::Off {
        let app = required_app_name(app_name)?;
        return Ok(Caller {
            key_id: ANONYMOUS_KEY_ID.to_owned(),
            app,
            models: Vec::new(),
        });
    }
    let record = record
        .filter(|record| works(record, now))
        .ok_or_else(invalid_api_key)?;
    let app = match (app_name, &record.app) {
        (None, Some(bound)) if settings.app_name == AppNameSource::FromKey => bound.clone(),
        _ => required_app_name(app_name)?,
    };
    if record.app.as_ref().is_some_and(|bound| *bound != app) {
        return Err(GatewayError::new(
            ErrorCode::AppNotAllowed,
            "This gateway key belongs to another app. Send that app's name or use a key of this app.",
        )
        .param("App-Name"));
    }
    Ok(Caller {
        key_id: record.id.clone(),
        app,
        models: record.models.clone(),
    })
}

/// The role behind a token. A missing token in the settings opens nothing.
#[must_use]
pub fn token_role(presented: &str, settings: &Settings) -> Option<Role> {
    if presented.len() > KEY_LEN_MAX {
        return None;
    }
    // Both are compared whatever the first says, so that time does not tell which one was nearly right.
    let admin = same(presented, settings.admin_token.as_ref());
    let viewer = same(presented, settings.viewer_token.as_ref());
    match (admin, viewer) {
        (true, _) => Some(Role::Admin),
        (false, true) => Some(Role::Viewer),
        (false, false) => None,
    }
}

/// The answer to an admin request without a role.
#[must_use]
pub fn no_role(settings: &Settings) -> GatewayError {
    if settings.admin_token.is_none() {
        return GatewayError::new(
            ErrorCode::NotConfigured,
            "The admin API is closed: the secret ADMIN_TOKEN is not set or too short.",
        );
    }
    GatewayError::new(
        ErrorCode::Unauthorized,
        "Sign in, or send the admin or viewer token as `Authorization: Bearer <token>`.",
    )
}

fn works(record: &KeyRecord, now: Instant) -> bool {
    record.enabled && record.expires_at.is_none_or(|expires_at| now < expires_at)
}

fn required_app_name(app_name: Option<&str>) -> Result<AppName, GatewayError> {
    let text = app_name.ok_or_else(|| {
        GatewayError::new(
            ErrorCode::MissingAppName,
            "The `App-Name` header is missing. Send the name of your application in it.",
        )
        .param("App-Name")
    })?;
    AppName::try_from(text).map_err(|_| {
        GatewayError::new(
            ErrorCode::InvalidAppName,
            "The `App-Name` header must have 1 to 64 printable ASCII characters.",
        )
        .param("App-Name")
    })
}

/// One text for unknown, disabled and expired keys: a guesser learns nothing.
fn invalid_api_key() -> GatewayError {
    GatewayError::new(
        ErrorCode::InvalidApiKey,
        "The gateway key is not valid. Check it, or ask the administrator for another one.",
    )
}

/// The credential of a bearer header. The scheme's case does not matter (RFC 9110, section 11.1).
pub(crate) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, credential) = authorization.trim().split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
}

/// Compares digests, which have one length, so that time does not tell the length of the token either.
fn same(presented: &str, expected: Option<&Secret>) -> bool {
    let expected = expected.map(|secret| KeyDigest::of(secret.expose()));
    expected.is_some_and(|expected| KeyDigest::of(presented).0.ct_eq(&expected.0).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    const NOW: Instant = Instant::from_millis(1_000_000);

    fn record(app: Option<&str>) -> KeyRecord {
        KeyRecord {
            id: "key-1".to_owned(),
            name: "n".to_owned(),
            app: app.map(|name| AppName::try_from(name).unwrap()),
            models: vec![ModelPattern::new("gpt-*")],
            enabled: true,
            expires_at: None,
        }
    }

    fn code(result: Result<Caller, GatewayError>) -> &'static str {
        result.unwrap_err().code.as_str()
    }

    #[test]
    fn digest_is_sha256_in_hex() {
        assert_eq!(
            KeyDigest::of("abc").to_hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn key_comes_from_bearer_or_else_from_x_api_key() {
        let digest = |authorization, x_api_key| client_key(authorization, x_api_key).ok();
        let expected = Some(KeyDigest::of("k1"));
        assert_eq!(digest(Some("Bearer k1"), None), expected);
        assert_eq!(digest(Some("bearer   k1 "), Some("other")), expected);
        assert_eq!(digest(None, Some(" k1 ")), expected);
        assert_eq!(digest(Some("Basic abc"), Some("k1")), expected);
        assert_eq!(digest(Some("Bearer "), Some("k1")), expected);
        for (authorization, x_api_key) in [
            (None, None),
            (Some("Bearer"), None),
            (Some("k1"), None),
            (None, Some(" ")),
            (Some("Basic k1"), None),
        ] {
            let error = client_key(authorization, x_api_key).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidApiKey);
        }
    }

    #[test]
    fn overlong_key_is_refused_without_hashing() {
        let long = format!("Bearer {}", "k".repeat(KEY_LEN_MAX + 1));
        assert_eq!(
            client_key(Some(&long), None).unwrap_err().code,
            ErrorCode::InvalidApiKey
        );
        let longest = "k".repeat(KEY_LEN_MAX);
        assert!(client_key(Some(&format!("Bearer {longest}")), None).is_ok());
    }

    #[test]
    fn unknown_disabled_and_expired_keys_get_the_same_answer() {
        let settings = settings(&[]);
        let disabled = KeyRecord {
            enabled: false,
            ..record(None)
        };
        let expired = KeyRecord {
            expires_at: Some(NOW),
            ..record(None)
        };
        let answers = [None, Some(&disabled), Some(&expired)]
            .map(|key| caller(key, Some("app"), &settings, NOW).unwrap_err());
        assert_eq!(answers[0].code, ErrorCode::InvalidApiKey);
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0], answers[2]);
    }

    #[test]
    fn key_works_until_the_instant_it_expires() {
        let key = KeyRecord {
            expires_at: Some(Instant::from_millis(1_000_001)),
            ..record(None)
        };
        assert!(caller(Some(&key), Some("app"), &settings(&[]), NOW).is_ok());
    }

    #[test]
    fn key_is_checked_before_the_app_name() {
        assert_eq!(
            code(caller(None, None, &settings(&[]), NOW)),
            "invalid_api_key"
        );
        assert_eq!(
            code(caller(None, Some("\u{e9}"), &settings(&[]), NOW)),
            "invalid_api_key"
        );
    }

    #[test]
    fn app_name_must_be_present_then_well_formed_then_allowed() {
        let settings = settings(&[]);
        let bound = record(Some("billing"));
        assert_eq!(
            code(caller(Some(&bound), None, &settings, NOW)),
            "missing_app_name"
        );
        assert_eq!(
            code(caller(Some(&bound), Some(""), &settings, NOW)),
            "invalid_app_name"
        );
        assert_eq!(
            code(caller(Some(&bound), Some(&"x".repeat(65)), &settings, NOW)),
            "invalid_app_name"
        );
        assert_eq!(
            code(caller(Some(&bound), Some("Billing"), &settings, NOW)),
            "app_not_allowed"
        );
        let found = caller(Some(&bound), Some("billing"), &settings, NOW).unwrap();
        assert_eq!(
            (found.key_id.as_str(), found.app.as_str()),
            ("key-1", "billing")
        );
        let any = caller(Some(&record(None)), Some("whatever"), &settings, NOW).unwrap();
        assert_eq!(any.app.as_str(), "whatever");
    }

    #[test]
    fn from_key_mode_takes_the_app_of_a_bound_key_and_else_needs_the_header() {
        let settings = settings(&[("APP_NAME", "from-key")]);
        let bound = record(Some("billing"));
        assert_eq!(
            caller(Some(&bound), None, &settings, NOW)
                .unwrap()
                .app
                .as_str(),
            "billing"
        );
        assert_eq!(
            code(caller(Some(&bound), Some("other"), &settings, NOW)),
            "app_not_allowed"
        );
        assert_eq!(
            code(caller(Some(&record(None)), None, &settings, NOW)),
            "missing_app_name"
        );
    }

    #[test]
    fn with_client_auth_off_anyone_may_use_any_model_but_still_says_who_he_is() {
        let settings = settings(&[("CLIENT_AUTH", "off")]);
        let found = caller(None, Some("app"), &settings, NOW).unwrap();
        assert_eq!(found.key_id, ANONYMOUS_KEY_ID);
        assert!(found.may_use("anything"));
        assert_eq!(code(caller(None, None, &settings, NOW)), "missing_app_name");
    }

    #[test]
    fn models_of_the_key_bound_what_the_caller_may_use() {
        let found = caller(Some(&record(None)), Some("app"), &settings(&[]), NOW).unwrap();
        assert!(found.may_use("gpt-4o") && !found.may_use("o3"));
    }

    #[test]
    fn admin_and_viewer_tokens_give_their_roles_and_nothing_else_does() {
        let both = settings(&[
            ("ADMIN_TOKEN", "admin-admin-admin"),
            ("VIEWER_TOKEN", "viewer-viewer-viewer"),
        ]);
        assert_eq!(token_role("admin-admin-admin", &both), Some(Role::Admin));
        assert_eq!(
            token_role("viewer-viewer-viewer", &both),
            Some(Role::Viewer)
        );
        let long = "x".repeat(KEY_LEN_MAX + 1);
        for wrong in ["admin-admin-admi", "admin-admin-adminn", "", &long] {
            assert_eq!(token_role(wrong, &both), None, "{wrong}");
        }
        assert_eq!(
            token_role("x", &settings(&[])),
            None,
            "no token configured, nothing opens"
        );
        assert!(Role::Admin > Role::Viewer);
    }

    #[test]
    fn a_missing_admin_token_is_told_apart_from_a_wrong_one() {
        let closed = no_role(&settings(&[]));
        assert_eq!(
            (closed.code, closed.status()),
            (ErrorCode::NotConfigured, 503)
        );
        let open = no_role(&settings(&[("ADMIN_TOKEN", "admin-admin-admin")]));
        assert_eq!((open.code, open.status()), (ErrorCode::Unauthorized, 401));
    }
}
