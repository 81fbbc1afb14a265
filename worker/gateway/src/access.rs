//! Cloudflare Access 的断言：解析、核对声明、找出公钥。
//!
//! Owns what an assertion (a JWT in `Cf-Access-Jwt-Assertion`) must say before its identity counts:
//! signed with RS256 by the configured team, for this application, not expired, by an address on a list.
//! Does not verify the signature itself: the Worker does, over [`Assertion::signed`].
//! Format and checks: RFC 7519 and Cloudflare's "Validate JWTs".
//!
//! Invariant: [`Assertion::identity`] is asked only after the signature has been verified.

use std::time::Duration;

use admission::time::Instant;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::auth::Role;
use crate::identity::{Identity, Via};
use crate::settings::AccessSettings;

/// Longest assertion that is looked at; real ones have about 1 KiB.
pub const ASSERTION_BYTES_MAX: usize = 8_192;
/// Largest key set that is read.
pub const KEY_SET_BYTES_MAX: usize = 65_536;
/// Keys of one set: Access has two, the present and the previous one.
const KEYS_LEN_MAX: usize = 16;
/// How long a key set is believed; Access rotates its keys every six weeks.
pub const KEY_SET_AGE_MAX: Duration = Duration::from_hours(1);
/// Soonest that a set is fetched again because a key is not in it: else anybody could make us fetch.
pub const KEY_SET_AGE_MIN: Duration = Duration::from_mins(1);
/// How far the clocks of the signer and of this machine may be apart.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// An assertion as it came, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// The bytes that the signature is over.
    pub signed: String,
    /// The signature.
    pub signature: Vec<u8>,
    /// Which key signed it.
    pub key_id: String,
    claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: u64,
    #[serde(default)]
    nbf: u64,
    email: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Some(Vec<String>),
}

/// A public key of the team: RSA, modulus and exponent in base64url.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PublicKey {
    /// Its id.
    pub kid: String,
    /// `RSA`
    pub kty: String,
    /// Modulus.
    pub n: String,
    /// Exponent.
    pub e: String,
}

/// The keys that a team publishes at `{issuer}/cdn-cgi/access/certs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

impl Assertion {
    /// Takes an assertion apart; `None` for what is no RS256 token with the claims that are needed.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        if token.len() > ASSERTION_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = part(header)?;
        (header.alg == "RS256").then_some(())?;
        Some(Self {
            signed: signed.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            key_id: header.kid,
            claims: part(claims)?,
        })
    }

    /// Who it vouches for; `None` if it was made by or for somebody else, does not hold `now`, or names an
    /// address that is on no list.
    #[must_use]
    pub fn identity(&self, settings: &AccessSettings, now: Instant) -> Option<Identity> {
        let claims = &self.claims;
        let for_us = match &claims.aud {
            Audience::One(audience) => *audience == settings.audience,
            Audience::Some(audiences) => audiences.contains(&settings.audience),
        };
        let instant = |seconds: u64| Instant::from_millis(seconds.saturating_mul(1_000));
        let expires_at = instant(claims.exp);
        let holds = now < expires_at && instant(claims.nbf) <= now.saturating_add(CLOCK_SKEW);
        if claims.iss != settings.issuer || !for_us || !holds {
            return None;
        }
        let email = claims.email.as_deref()?;
        let role = role(email, settings)?;
        Some(Identity {
            role,
            via: Via::Access,
            email: Some(email.to_owned()),
            expires_at: Some(expires_at),
        })
    }
}

impl KeySet {
    /// Reads what the team publishes; keys of other kinds are passed over.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Published {
            keys: Vec<serde_json::Value>,
        }
        if body.len() > KEY_SET_BYTES_MAX {
            return None;
        }
        let published: Published = serde_json::from_slice(body).ok()?;
        let keys = published.keys.into_iter().take(KEYS_LEN_MAX);
        let keys = keys.filter_map(|key| serde_json::from_value::<PublicKey>(key).ok());
        Some(Self {
            keys: keys.filter(|key| key.kty == "RSA").collect(),
        })
    }

    /// The key of that id.
    #[must_use]
    pub fn key(&self, key_id: &str) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.kid == key_id)
    }
}

/// Where a team publishes its keys.
#[must_use]
pub fn key_set_url(settings: &AccessSettings) -> String {
    format!("{}/cdn-cgi/access/certs", settings.issuer)
}

fn role(email: &str, settings: &AccessSettings) -> Option<Role> {
    let is_admin = settings.admins.iter().any(|admin| admin.matches(email));
    let is_viewer = settings.viewers.iter().any(|viewer| viewer.matches(email));
    match (is_admin, is_viewer) {
        (true, _) => Some(Role::Admin),
        (false, true) => Some(Role::Viewer),
        (false, false) => None,
    }
}

fn part<T: DeserializeOwned>(encoded: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;
    use serde_json::{Value, json};

    const NOW: Instant = Instant::from_millis(1_795_000_000_000);

    fn access() -> AccessSettings {
        let settings = settings(&[
            ("ACCESS_TEAM_DOMAIN", "team.cloudflareaccess.com"),
            ("ACCESS_AUDIENCE", "this-app"),
            ("ADMIN_EMAILS", "root@example.com"),
            ("VIEWER_EMAILS", "*@example.com"),
        ]);
        settings.access.unwrap()
    }

    fn claims() -> Value {
        json!({
            "iss": "https://team.cloudflareaccess.com", "aud": ["this-app"], "exp": 1_795_000_060_u64,
            "nbf": 1_794_999_000_u64, "email": "root@example.com", "type": "app", "sub": "x",
        })
    }

    fn token(header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signature = URL_SAFE_NO_PAD.encode([1, 2, 3]);
        format!("{}.{}.{signature}", encode(header), encode(claims))
    }

    fn assertion(claims: &Value) -> Option<Assertion> {
        Assertion::parse(&token(&json!({"alg": "RS256", "kid": "k1"}), claims))
    }

    fn with(name: &str, value: Value) -> Option<Identity> {
        let mut claims = claims();
        claims[name] = value;
        assertion(&claims)?.identity(&access(), NOW)
    }

    #[test]
    fn an_assertion_of_the_team_for_this_application_gives_the_role_of_its_address() {
        let assertion = assertion(&claims()).unwrap();
        assert_eq!(
            (assertion.key_id.as_str(), &assertion.signature[..]),
            ("k1", &[1, 2, 3][..])
        );
        let identity = assertion.identity(&access(), NOW).unwrap();
        assert_eq!((identity.role, identity.via), (Role::Admin, Via::Access));
        assert_eq!(identity.email.as_deref(), Some("root@example.com"));
        let viewer = with("email", json!("someone@example.com")).unwrap();
        assert_eq!(viewer.role, Role::Viewer);
        assert!(with("aud", json!("this-app")).is_some());
    }

    #[test]
    fn anything_else_gives_none() {
        for (name, value) in [
            ("iss", json!("https://other.cloudflareaccess.com")),
            ("aud", json!(["other-app"])),
            ("aud", json!("other-app")),
            ("exp", json!(1_795_000_000_u64)),
            ("nbf", json!(1_795_000_061_u64)),
            ("email", json!("root@example.org")),
            ("email", Value::Null),
            ("exp", json!("soon")),
            ("iss", Value::Null),
        ] {
            assert_eq!(with(name, value.clone()), None, "{name} {value}");
        }
    }

    #[test]
    fn only_rs256_is_a_signature() {
        for header in [
            json!({"alg": "none", "kid": "k1"}),
            json!({"alg": "HS256", "kid": "k1"}),
            json!({"alg": "RS256"}),
        ] {
            assert_eq!(
                Assertion::parse(&token(&header, &claims())),
                None,
                "{header}"
            );
        }
        for bad in [
            "",
            "a.b",
            "a.b.c",
            "..",
            &"a".repeat(ASSERTION_BYTES_MAX + 1),
        ] {
            assert_eq!(Assertion::parse(bad), None);
        }
    }

    #[test]
    fn a_key_set_is_bounded_and_knows_rsa_keys_by_their_id() {
        let set = json!({"keys": [
            {"kid": "k1", "kty": "RSA", "alg": "RS256", "use": "sig", "n": "abc", "e": "AQAB"},
            {"kid": "k2", "kty": "EC", "n": "abc", "e": "AQAB"},
            {"kid": 3},
        ], "public_certs": []});
        let keys = KeySet::parse(set.to_string().as_bytes()).unwrap();
        assert_eq!(keys.key("k1").map(|key| key.n.as_str()), Some("abc"));
        assert_eq!((keys.key("k2"), keys.key("k3")), (None, None));
        assert_eq!(KeySet::parse(b"[]"), None);
        assert_eq!(KeySet::parse(&vec![b' '; KEY_SET_BYTES_MAX + 1]), None);
    }
}
