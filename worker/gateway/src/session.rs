//! 控制台会话：登录之后的 cookie，加密且有期限。
//!
//! Owns the session cookie: what is in it, how long it holds, and how it is written. A session is an
//! envelope ([`crate::envelope`]) that only this deployment can make: sealed with `ENCRYPTION_KEY`, bound
//! to the token of its role. Nothing is stored: a changed token or encryption key ends its sessions.
//!
//! Invariant: a cookie that was changed, has expired, or was made for another token gives no role.

use std::time::Duration;

use admission::time::Instant;

use crate::auth::{KeyDigest, Role};
use crate::config::Secret;
use crate::envelope::{Keyring, NONCE_BYTES, SealError};
use crate::settings::Settings;

/// The prefix makes browsers insist on `Secure`, `Path=/` and no `Domain`, so that no other host of the
/// same domain can set it.
pub const COOKIE: &str = "__Host-sluice_session";

/// How long a session holds: a working day.
pub const LIFETIME: Duration = Duration::from_hours(12);

/// A session that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who signed in.
    pub role: Role,
    /// When it ends.
    pub expires_at: Instant,
}

impl Session {
    /// The session that begins `now`.
    #[must_use]
    pub fn beginning(role: Role, now: Instant) -> Self {
        Self {
            role,
            expires_at: now.saturating_add(LIFETIME),
        }
    }

    /// The value of its cookie. `nonce` must be fresh random bytes.
    ///
    /// # Errors
    /// The cipher refused, which it does for nothing of this size.
    pub fn seal(
        &self,
        keyring: &Keyring,
        settings: &Settings,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<String, SealError> {
        let identity = identity(self.role, settings).ok_or(SealError)?;
        let content = Secret::new(self.expires_at.as_millis().to_string());
        keyring.seal(&content, &identity, nonce)
    }

    /// The session of a cookie's value, if it holds `now`.
    #[must_use]
    pub fn open(value: &str, keyring: &Keyring, settings: &Settings, now: Instant) -> Option<Self> {
        [Role::Admin, Role::Viewer].into_iter().find_map(|role| {
            let opened = keyring.open(value, &identity(role, settings)?).ok()?;
            let expires_at = Instant::from_millis(opened.secret.expose().parse().ok()?);
            (now < expires_at).then_some(Self { role, expires_at })
        })
    }
}

/// The value of the session cookie in a `Cookie` header.
#[must_use]
pub fn cookie_value(header: &str) -> Option<&str> {
    header.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == COOKIE).then(|| value.trim())
    })
}

/// The `Set-Cookie` that begins a session.
#[must_use]
pub fn set_cookie(value: &str) -> String {
    let seconds = LIFETIME.as_secs();
    format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; Secure; SameSite=Strict")
}

/// The `Set-Cookie` that ends it.
#[must_use]
pub fn clear_cookie() -> String {
    format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict")
}

/// What the envelope is bound to: the role, and the token that opened it.
fn identity(role: Role, settings: &Settings) -> Option<String> {
    let (name, token) = match role {
        Role::Admin => ("admin", settings.admin_token.as_ref()?),
        Role::Viewer => ("viewer", settings.viewer_token.as_ref()?),
    };
    let digest = KeyDigest::of(token.expose()).to_hex();
    Some(format!("session:{name}:{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const OTHER_KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    const NOW: Instant = Instant::from_millis(1_000_000);

    fn both() -> Settings {
        settings(&[
            ("ADMIN_TOKEN", "admin-admin-admin"),
            ("VIEWER_TOKEN", "viewer-viewer-viewer"),
        ])
    }

    fn ring(current: &str, previous: Option<&str>) -> Keyring {
        Keyring::new(current, previous).unwrap()
    }

    fn sealed(role: Role) -> String {
        let session = Session::beginning(role, NOW);
        session
            .seal(&ring(KEY, None), &both(), [7; NONCE_BYTES])
            .unwrap()
    }

    #[test]
    fn a_session_opens_with_its_role_until_the_instant_it_ends() {
        for role in [Role::Admin, Role::Viewer] {
            let value = sealed(role);
            let open = |now| Session::open(&value, &ring(KEY, None), &both(), now);
            let session = open(NOW).unwrap();
            assert_eq!(session, Session::beginning(role, NOW));
            let last = Instant::from_millis(session.expires_at.as_millis() - 1);
            assert!(open(last).is_some());
            assert_eq!(open(session.expires_at), None);
        }
    }

    #[test]
    fn another_token_or_encryption_key_ends_it_and_a_rotated_key_does_not() {
        let value = sealed(Role::Admin);
        let other = settings(&[("ADMIN_TOKEN", "another-admin-token")]);
        let key = ring(KEY, None);
        assert_eq!(Session::open(&value, &key, &other, NOW), None);
        assert_eq!(Session::open(&value, &key, &settings(&[]), NOW), None);
        let both = both();
        assert_eq!(
            Session::open(&value, &ring(OTHER_KEY, None), &both, NOW),
            None
        );
        assert!(Session::open(&value, &ring(OTHER_KEY, Some(KEY)), &both, NOW).is_some());
    }

    #[test]
    fn no_change_of_a_cookie_survives() {
        let value = sealed(Role::Viewer);
        for index in 0..value.len() {
            let mut bytes = value.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            // The last character of base64 may hold bits that mean nothing; then it is the same session.
            let opened = Session::open(&changed, &ring(KEY, None), &both(), NOW);
            assert!(
                opened.is_none_or(|session| session.role == Role::Viewer),
                "{index}"
            );
        }
        for bad in ["", "v1", "v1.a.b.c", "admin"] {
            assert_eq!(Session::open(bad, &ring(KEY, None), &both(), NOW), None);
        }
    }

    #[test]
    fn a_server_key_is_no_session() {
        let keyring = ring(KEY, None);
        let key = keyring
            .seal_server_key("admin", &Secret::new("9999999999999"), [1; NONCE_BYTES])
            .unwrap();
        assert_eq!(Session::open(&key.envelope, &keyring, &both(), NOW), None);
    }

    #[test]
    fn the_cookie_is_found_among_others_and_hidden_from_scripts_and_other_sites() {
        let header = format!("a=1; {COOKIE}=v1.x ; b=2");
        assert_eq!(cookie_value(&header), Some("v1.x"));
        assert_eq!(cookie_value("sluice_session=v1.x"), None);
        for cookie in [set_cookie("v"), clear_cookie()] {
            for attribute in [
                "Path=/",
                "HttpOnly",
                "Secure",
                "SameSite=Strict",
                "Max-Age=",
            ] {
                assert!(cookie.contains(attribute), "{cookie}");
            }
            assert!(!cookie.contains("Domain"));
        }
    }
}
