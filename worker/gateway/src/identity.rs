//! 管理员是谁：令牌、会话还是 Access 身份，以及可做什么。
//!
//! Owns which credential of an admin request counts, what a verified identity may do, and when a cookie
//! must not count because another site sent the request. Verifies nothing that needs a clock or a key;
//! tokens are compared in [`crate::auth`], sessions opened in [`crate::session`], assertions checked in
//! [`crate::access`].
//!
//! Invariant: exactly one credential counts, the first of the list; a wrong one is never made good by
//! another.

use admission::time::Instant;
use serde::{Deserialize, Serialize};

use crate::admin_api::rfc3339;
use crate::auth::{Role, bearer};
use crate::error::{ErrorCode, GatewayError};
use crate::routes::Access;
use crate::session;

/// Who sent an admin request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What he may do.
    pub role: Role,
    /// How he proved it.
    pub via: Via,
    /// The address that Cloudflare Access vouches for.
    pub email: Option<String>,
    /// When the proof ends; a token's never does.
    pub expires_at: Option<Instant>,
}

/// How an identity was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// `Authorization: Bearer <token>`
    Token,
    /// The session cookie.
    Session,
    /// Cloudflare Access.
    Access,
}

/// The credential that an admin request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// None at all.
    Nothing,
    /// A token.
    Token(&'a str),
    /// An `Authorization` header that is none of ours.
    Unreadable,
    /// The value of the session cookie.
    Session(&'a str),
    /// An assertion of Cloudflare Access.
    Assertion(&'a str),
}

/// The answer of `GET` and `POST /api/session`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Session"))]
pub struct SessionView {
    /// `admin` or `viewer`.
    pub role: Role,
    /// `token`, `session` or `access`.
    pub via: Via,
    /// The address that Cloudflare Access vouches for.
    pub email: Option<String>,
    /// When the caller has to prove himself again.
    pub expires_at: Option<String>,
}

impl Identity {
    /// The holder of a token.
    #[must_use]
    pub const fn of_token(role: Role) -> Self {
        Self {
            role,
            via: Via::Token,
            email: None,
            expires_at: None,
        }
    }

    /// Name in the audit trail; never a credential.
    #[must_use]
    pub fn actor(&self) -> &str {
        match (&self.email, self.role) {
            (Some(email), _) => email,
            (None, Role::Admin) => "admin",
            (None, Role::Viewer) => "viewer",
        }
    }

    /// Fails if this identity may not use a route of that access.
    pub fn may_use(&self, access: Access) -> Result<(), GatewayError> {
        match (access, self.role) {
            (Access::Admin, Role::Viewer) => Err(GatewayError::new(
                ErrorCode::Forbidden,
                "A viewer may read but not change anything; use the admin token.",
            )),
            _ => Ok(()),
        }
    }

    /// As the API shows it.
    #[must_use]
    pub fn view(&self) -> SessionView {
        SessionView {
            role: self.role,
            via: self.via,
            email: self.email.clone(),
            expires_at: self.expires_at.map(rfc3339),
        }
    }
}

impl From<session::Session> for Identity {
    fn from(session: session::Session) -> Self {
        Self {
            role: session.role,
            via: Via::Session,
            email: None,
            expires_at: Some(session.expires_at),
        }
    }
}

/// Which credential counts: a header that a program sets before what a browser sends by itself.
#[must_use]
pub fn presented<'a>(
    authorization: Option<&'a str>,
    cookie: Option<&'a str>,
    assertion: Option<&'a str>,
) -> Presented<'a> {
    if let Some(authorization) = authorization {
        return bearer(authorization).map_or(Presented::Unreadable, Presented::Token);
    }
    if let Some(value) = cookie.and_then(session::cookie_value) {
        return Presented::Session(value);
    }
    assertion.map_or(Presented::Nothing, Presented::Assertion)
}

/// Fails where a browser sends a change for another site. It attaches cookies by itself, also to
/// requests that a hostile page makes; a token it does not. Browsers say where a request comes from in
/// `Sec-Fetch-Site`, older ones only in `Origin`; what sends neither is no browser.
pub fn same_origin(
    via: Via,
    method: &str,
    sec_fetch_site: Option<&str>,
    origin: Option<&str>,
    own_origin: &str,
) -> Result<(), GatewayError> {
    let changes = !matches!(method, "GET" | "HEAD");
    let ours = match (sec_fetch_site, origin) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin.eq_ignore_ascii_case(own_origin),
        (None, None) => true,
    };
    if via == Via::Token || !changes || ours {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::Forbidden,
        "A change that another site sends with this browser's session is refused.",
    )
    .param("Origin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://gateway.example";

    #[test]
    fn a_header_counts_before_a_cookie_and_a_cookie_before_an_assertion() {
        let cookie = format!("{}=v", session::COOKIE);
        let all = presented(Some("Bearer t"), Some(&cookie), Some("a"));
        assert_eq!(all, Presented::Token("t"));
        let no_fallback = presented(Some("Basic x"), Some(&cookie), Some("a"));
        assert_eq!(no_fallback, Presented::Unreadable);
        let browser = presented(None, Some(&cookie), Some("a"));
        assert_eq!(browser, Presented::Session("v"));
        let access = presented(None, Some("other=1"), Some("a"));
        assert_eq!(access, Presented::Assertion("a"));
        assert_eq!(presented(None, None, None), Presented::Nothing);
    }

    #[test]
    fn a_viewer_may_read_and_not_change() {
        let viewer = Identity::of_token(Role::Viewer);
        assert!(viewer.may_use(Access::Viewer).is_ok());
        let error = viewer.may_use(Access::Admin).unwrap_err();
        assert_eq!(error.code, ErrorCode::Forbidden);
        assert!(
            Identity::of_token(Role::Admin)
                .may_use(Access::Admin)
                .is_ok()
        );
    }

    #[test]
    fn another_site_cannot_use_the_browsers_session_for_a_change() {
        let check = |via, method, site, origin| same_origin(via, method, site, origin, OWN).is_ok();
        for via in [Via::Session, Via::Access] {
            assert!(check(via, "POST", Some("same-origin"), Some(OWN)));
            assert!(check(via, "POST", Some("none"), None));
            assert!(check(via, "POST", None, Some("https://Gateway.example")));
            assert!(check(via, "DELETE", None, None));
            assert!(check(via, "GET", Some("cross-site"), None));
            for site in ["cross-site", "same-site", ""] {
                assert!(!check(via, "POST", Some(site), Some(OWN)), "{site}");
            }
            for origin in [
                "null",
                "https://evil.example",
                "https://gateway.example.evil",
            ] {
                assert!(!check(via, "PATCH", None, Some(origin)), "{origin}");
            }
        }
        assert!(check(
            Via::Token,
            "POST",
            Some("cross-site"),
            Some("https://app.example")
        ));
    }

    #[test]
    fn the_actor_is_the_address_or_the_role() {
        assert_eq!(Identity::of_token(Role::Viewer).actor(), "viewer");
        let by_access = Identity {
            email: Some("a@example.com".to_owned()),
            ..Identity::of_token(Role::Admin)
        };
        assert_eq!(by_access.actor(), "a@example.com");
    }
}
