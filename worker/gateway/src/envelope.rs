//! 上游密钥的加密信封：AES-256-GCM，带密钥编号与关联数据。
//!
//! Owns the only form in which a server's API key is stored: `v1.<key id>.<nonce>.<ciphertext>`,
//! the last two in base64url. The key id is the first 8 hexadecimal digits of SHA-256 over the
//! encryption key, so that a row says which key opens it and a rotation can find the old ones.
//! Does not own randomness (the nonce is an argument) and knows no table.
//! Invariant: an envelope opens only under the associated data it was sealed with, so that a
//! ciphertext moved to another row is worthless.

use core::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, Engine};
use sha2::{Digest as _, Sha256};

use crate::config::Secret;

/// Bytes of an AES-GCM nonce (96 bits). It must be random: a repeated one breaks the cipher.
pub const NONCE_BYTES: usize = 12;

/// Bytes of an encryption key (256 bits).
pub const KEY_BYTES: usize = 32;

/// Longest envelope that is looked at; a key of 512 characters needs about 740.
pub const ENVELOPE_BYTES_MAX: usize = 2_048;

/// How many of the last characters of a server's API key are stored and shown in the clear.
const HINT_CHARS_MAX: usize = 4;

const VERSION: &str = "v1";

/// Accepts base64 with and without padding: both are what key generators print.
const KEY_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The encryption keys of this deployment: one that seals, and at most one more that opens.
#[derive(Clone)]
pub struct Keyring {
    current: Key,
    previous: Option<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    cipher: Aes256Gcm,
}

/// Why the configured encryption keys cannot be used. Its text names the variable, never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyringError {
    /// The variable is not base64.
    NotBase64 {
        /// Name of the variable.
        variable: &'static str,
    },
    /// The variable is base64 of another number of bytes.
    WrongLength {
        /// Name of the variable.
        variable: &'static str,
        /// Bytes that it decodes to.
        bytes: usize,
    },
}

/// What an envelope contained.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The server's API key.
    pub secret: Secret,
    /// False when the previous key opened it: seal it again with the current one.
    pub current: bool,
}

/// Why an envelope stays shut. For all of them the API key must be entered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// Not an envelope of this version, cut short, or its content is no text.
    Malformed,
    /// Sealed with a key that is neither the current nor the previous one.
    UnknownKey,
    /// Changed after sealing, or moved here from another row.
    NotAuthentic,
}

/// The cipher refused to seal. It does so only for texts of many gigabytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealError;

/// A server's API key as a row stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// The envelope.
    pub envelope: String,
    /// The last characters of the key, for people to recognise it.
    pub hint: String,
}

impl Keyring {
    /// Reads `ENCRYPTION_KEY` and, where it is set, `ENCRYPTION_KEY_PREVIOUS`; both base64 of 32 bytes.
    pub fn new(current: &str, previous: Option<&str>) -> Result<Self, KeyringError> {
        Ok(Self {
            current: Key::parse("ENCRYPTION_KEY", current)?,
            previous: previous
                .map(|text| Key::parse("ENCRYPTION_KEY_PREVIOUS", text))
                .transpose()?,
        })
    }

    /// Seals `plaintext` with the current key. `nonce` must be fresh random bytes for every call.
    pub fn seal(
        &self,
        plaintext: &Secret,
        associated: &str,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<String, SealError> {
        let payload = Payload {
            msg: plaintext.expose().as_bytes(),
            aad: associated.as_bytes(),
        };
        let sealed = self
            .current
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| SealError)?;
        let nonce = URL_SAFE_NO_PAD.encode(nonce);
        let sealed = URL_SAFE_NO_PAD.encode(sealed);
        Ok(format!("{VERSION}.{}.{nonce}.{sealed}", self.current.id))
    }

    /// Opens an envelope with whichever key sealed it.
    pub fn open(&self, envelope: &str, associated: &str) -> Result<Opened, OpenError> {
        let parts = Parts::split(envelope).ok_or(OpenError::Malformed)?;
        let current = parts.key_id == self.current.id;
        let key = if current {
            &self.current
        } else {
            self.previous
                .as_ref()
                .filter(|key| key.id == parts.key_id)
                .ok_or(OpenError::UnknownKey)?
        };
        let payload = Payload {
            msg: &parts.sealed,
            aad: associated.as_bytes(),
        };
        let plaintext = key
            .cipher
            .decrypt(&Nonce::from(parts.nonce), payload)
            .map_err(|_| OpenError::NotAuthentic)?;
        let plaintext = String::from_utf8(plaintext).map_err(|_| OpenError::Malformed)?;
        Ok(Opened {
            secret: Secret::new(plaintext),
            current,
        })
    }

    /// Seals a server's API key for the row `server_id`.
    pub fn seal_server_key(
        &self,
        server_id: &str,
        api_key: &Secret,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<SealedKey, SealError> {
        let envelope = self.seal(api_key, &server_key_identity(server_id), nonce)?;
        Ok(SealedKey {
            envelope,
            hint: hint(api_key.expose()),
        })
    }

    /// Opens the API key of the row `server_id`.
    pub fn open_server_key(&self, server_id: &str, envelope: &str) -> Result<Opened, OpenError> {
        self.open(envelope, &server_key_identity(server_id))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let previous = self.previous.as_ref().map(|key| key.id.as_str());
        formatter
            .debug_struct("Keyring")
            .field("current", &self.current.id)
            .field("previous", &previous)
            .finish_non_exhaustive()
    }
}

impl Key {
    fn parse(variable: &'static str, text: &str) -> Result<Self, KeyringError> {
        let bytes = KEY_ENCODING
            .decode(text.trim())
            .map_err(|_| KeyringError::NotBase64 { variable })?;
        let cipher = Aes256Gcm::new_from_slice(&bytes).map_err(|_| KeyringError::WrongLength {
            variable,
            bytes: bytes.len(),
        })?;
        let [first, second, third, fourth, ..] = <[u8; 32]>::from(Sha256::digest(&bytes));
        let id = format!("{:08x}", u32::from_be_bytes([first, second, third, fourth]));
        Ok(Self { id, cipher })
    }
}

impl fmt::Display for KeyringError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBase64 { variable } => write!(
                formatter,
                "{variable} is not valid base64; set it to base64 of {KEY_BYTES} random bytes"
            ),
            Self::WrongLength { variable, bytes } => write!(
                formatter,
                "{variable} must be base64 of exactly {KEY_BYTES} bytes, but it decodes to {bytes}"
            ),
        }
    }
}

impl core::error::Error for KeyringError {}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Malformed => "the stored key is damaged",
            Self::UnknownKey => "the stored key was encrypted with a key that is not configured",
            Self::NotAuthentic => "the stored key was changed, or belongs to another row",
        })
    }
}

impl core::error::Error for OpenError {}

impl fmt::Display for SealError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the key cannot be encrypted")
    }
}

impl core::error::Error for SealError {}

struct Parts<'a> {
    key_id: &'a str,
    nonce: [u8; NONCE_BYTES],
    sealed: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn split(envelope: &'a str) -> Option<Self> {
        if envelope.len() > ENVELOPE_BYTES_MAX {
            return None;
        }
        let mut parts = envelope.split('.');
        let (version, key_id, nonce, sealed) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if version != VERSION || parts.next().is_some() {
            return None;
        }
        let nonce = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        Some(Self {
            key_id,
            nonce,
            sealed,
        })
    }
}

/// Associated data of a server's API key.
fn server_key_identity(server_id: &str) -> String {
    format!("server:{server_id}")
}

/// The last four characters, and never more than half of the key.
fn hint(api_key: &str) -> String {
    let chars = api_key.chars().count();
    let shown = HINT_CHARS_MAX.min(chars / 2);
    api_key.chars().skip(chars.saturating_sub(shown)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const TWO: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    const NONCE: [u8; NONCE_BYTES] = [3; NONCE_BYTES];

    fn ring(current: &str, previous: Option<&str>) -> Keyring {
        Keyring::new(current, previous).unwrap()
    }

    fn sealed() -> String {
        ring(ONE, None)
            .seal(&Secret::new("sk-canary"), "server:a", NONCE)
            .unwrap()
    }

    #[test]
    fn what_was_sealed_opens_to_the_same_text() {
        for text in ["sk-canary", "", "密钥", &"x".repeat(512)] {
            let envelope = ring(ONE, None)
                .seal(&Secret::new(text), "server:a", NONCE)
                .unwrap();
            assert!(envelope.len() <= ENVELOPE_BYTES_MAX);
            let opened = ring(ONE, None).open(&envelope, "server:a").unwrap();
            assert_eq!((opened.secret.expose(), opened.current), (text, true));
        }
    }

    #[test]
    fn envelope_names_its_version_and_key_and_hides_the_rest() {
        let envelope = sealed();
        let parts: Vec<_> = envelope.split('.').collect();
        // SHA-256 of 32 bytes of 1 begins with 72cd6e84.
        assert_eq!(parts[..2], ["v1", "72cd6e84"]);
        assert_eq!(parts[2], URL_SAFE_NO_PAD.encode(NONCE));
        assert!(!envelope.contains("canary"));
        assert!(!envelope.contains(&URL_SAFE_NO_PAD.encode("sk-canary")));
    }

    #[test]
    fn the_ciphertext_is_that_of_aes_256_gcm() {
        // Computed with another implementation (OpenSSL): key 1×32, nonce 3×12, "server:a".
        assert_eq!(
            sealed(),
            "v1.72cd6e84.AwMDAwMDAwMDAwMD.iwo5-Z7qVhvUqqhXPIfwWSj_Wby0kg_-Vw"
        );
    }

    #[test]
    fn another_identity_or_a_changed_byte_does_not_open() {
        assert_eq!(
            ring(ONE, None).open(&sealed(), "server:b").unwrap_err(),
            OpenError::NotAuthentic
        );
        let genuine = sealed();
        let parts = Parts::split(&genuine).unwrap();
        for index in 0..parts.sealed.len() {
            let mut forged = parts.sealed.clone();
            forged[index] ^= 1;
            let envelope = format!(
                "v1.{}.{}.{}",
                parts.key_id,
                URL_SAFE_NO_PAD.encode(parts.nonce),
                URL_SAFE_NO_PAD.encode(forged)
            );
            assert_eq!(
                ring(ONE, None).open(&envelope, "server:a").unwrap_err(),
                OpenError::NotAuthentic
            );
        }
    }

    #[test]
    fn the_previous_key_opens_and_says_that_it_is_not_the_current_one() {
        let opened = ring(TWO, Some(ONE)).open(&sealed(), "server:a").unwrap();
        assert_eq!(
            (opened.secret.expose(), opened.current),
            ("sk-canary", false)
        );
        let resealed = ring(TWO, Some(ONE))
            .seal(&opened.secret, "server:a", NONCE)
            .unwrap();
        assert!(ring(TWO, None).open(&resealed, "server:a").unwrap().current);
    }

    #[test]
    fn a_key_that_is_not_configured_any_more_is_unknown() {
        assert_eq!(
            ring(TWO, None).open(&sealed(), "server:a").unwrap_err(),
            OpenError::UnknownKey
        );
    }

    #[test]
    fn a_key_id_that_was_exchanged_does_not_help() {
        let forged = sealed().replace("72cd6e84", &ring(TWO, None).current.id);
        assert_eq!(
            ring(TWO, None).open(&forged, "server:a").unwrap_err(),
            OpenError::NotAuthentic
        );
    }

    #[test]
    fn truncated_and_garbled_texts_are_errors_and_never_a_panic() {
        let envelope = sealed();
        for end in 0..envelope.len() {
            let cut: String = envelope.chars().take(end).collect();
            assert!(ring(ONE, None).open(&cut, "server:a").is_err(), "{end}");
        }
        for garbled in [
            "v2.72cd6e84.AwMDAwMDAwMDAwMD.AAAA",
            "v1.72cd6e84.AwMD.AAAA",
            "v1.72cd6e84.AwMDAwMDAwMDAwMD.A=A",
            "v1.72cd6e84.AwMDAwMDAwMDAwMD.AAAA.AAAA",
            "....",
            "密",
            &"v".repeat(ENVELOPE_BYTES_MAX + 1),
        ] {
            assert_eq!(
                ring(ONE, None).open(garbled, "server:a").unwrap_err(),
                OpenError::Malformed
            );
        }
    }

    #[test]
    fn a_keyring_error_names_the_variable_and_what_is_wrong_with_it() {
        let error = |current, previous| Keyring::new(current, previous).unwrap_err().to_string();
        assert_eq!(
            error("!", None),
            "ENCRYPTION_KEY is not valid base64; set it to base64 of 32 random bytes"
        );
        assert_eq!(
            error("AQEB", None),
            "ENCRYPTION_KEY must be base64 of exactly 32 bytes, but it decodes to 3"
        );
        assert!(error(ONE, Some("")).starts_with("ENCRYPTION_KEY_PREVIOUS "));
        assert!(
            Keyring::new(ONE.trim_end_matches('='), None).is_ok(),
            "padding is optional"
        );
        assert!(Keyring::new(&format!(" {ONE}\n"), None).is_ok());
    }

    #[test]
    fn debug_output_shows_key_ids_only() {
        assert_eq!(
            format!("{:?}", ring(ONE, Some(TWO))),
            r#"Keyring { current: "72cd6e84", previous: Some("75877bb4"), .. }"#
        );
    }

    #[test]
    fn the_hint_is_four_characters_but_never_more_than_half_of_the_key() {
        for (key, shown) in [
            ("sk-abcd-1234", "1234"),
            ("12345678", "5678"),
            ("123456", "456"),
            ("ab", "b"),
            ("a", ""),
        ] {
            let sealed = ring(ONE, None)
                .seal_server_key("a", &Secret::new(key), NONCE)
                .unwrap();
            assert_eq!(sealed.hint, shown);
            let opened = ring(ONE, None)
                .open_server_key("a", &sealed.envelope)
                .unwrap();
            assert_eq!(opened.secret.expose(), key);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_open_panic(text in ".{0,200}") {
            let _ = ring(ONE, Some(TWO)).open(&text, "server:a");
        }
    }
}
