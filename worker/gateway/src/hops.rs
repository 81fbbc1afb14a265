//! 环路：请求经过了哪些网关。
//!
//! Owns the header by which gateways recognise a request that comes back to them, and the refusal of one that
//! does. A server whose URL leads, however indirectly, to its own gateway would otherwise take a permit per
//! round until its limits or the platform end it.
//!
//! Invariant: the id of a gateway tells nothing about its secret, and is the same in all of its isolates.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::{
    config::Secret,
    error::{ErrorCode, GatewayError},
};

/// The header: ids of gateways, oldest first, separated by commas.
pub const HEADER: &str = "x-sluice-hops";
/// Most gateways in a row; a chain of two or three is unusual already.
pub const HOPS_MAX: usize = 8;

/// Makes the id another value than anything else that is derived from the same secret.
const LABEL: &[u8] = b"sluice instance id v1\0";
/// 32 bits: two gateways in one chain are the same by chance once in four billion times.
const ID_BYTES: usize = 4;

/// The id of this gateway: 8 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceId(String);

impl InstanceId {
    /// Derived from the one secret that all isolates of a gateway share and that no other gateway has.
    #[must_use]
    pub fn of(encryption_key: &Secret) -> Self {
        let mut hash = Sha256::new();
        hash.update(LABEL);
        hash.update(encryption_key.expose().as_bytes());
        let mut id = String::with_capacity(2 * ID_BYTES);
        for byte in hash.finalize().iter().take(ID_BYTES) {
            // Writing into a string can not fail.
            let _ = write!(id, "{byte:02x}");
        }
        Self(id)
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of the header for the upstream: the gateways so far, then this one. Refuses a request that has
/// been here before, or has come through too many gateways to be sent on. `came` is the header as it arrived.
pub fn next(came: Option<&str>, own: &InstanceId) -> Result<String, GatewayError> {
    let so_far = || {
        came.into_iter()
            .flat_map(|list| list.split(','))
            .map(str::trim)
    };
    if so_far().take(HOPS_MAX).count() >= HOPS_MAX || so_far().any(|hop| hop == own.as_str()) {
        return Err(GatewayError::new(
            ErrorCode::LoopDetected,
            "The request has come through this gateway before, or through too many. Correct the `base_url` that leads back here.",
        ));
    }
    let mut value = String::with_capacity(2 * ID_BYTES * HOPS_MAX);
    for hop in so_far().filter(|hop| is_id(hop)) {
        value.push_str(hop);
        value.push_str(", ");
    }
    value.push_str(own.as_str());
    Ok(value)
}

/// What is no id is not passed on: the header says nothing but ids.
fn is_id(text: &str) -> bool {
    text.len() == 2 * ID_BYTES
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> InstanceId {
        InstanceId::of(&Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
    }

    fn refused(came: &str) -> bool {
        next(Some(came), &own()).is_err_and(|error| {
            assert_eq!((error.code, error.status()), (ErrorCode::LoopDetected, 508));
            true
        })
    }

    #[test]
    fn id_is_eight_digits_that_depend_on_the_secret_only() {
        assert!(is_id(own().as_str()), "{:?}", own());
        assert_eq!(own(), own());
        assert_ne!(own(), InstanceId::of(&Secret::new("another")));
        let plain = Sha256::digest(b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        assert!(
            !own().as_str().starts_with(&format!("{:02x}", plain[0])),
            "not the id of the encryption key"
        );
    }

    #[test]
    fn each_gateway_adds_itself_at_the_end() {
        let id = own().as_str().to_owned();
        assert_eq!(next(None, &own()).unwrap(), id);
        assert_eq!(next(Some(""), &own()).unwrap(), id);
        assert_eq!(
            next(Some("00000001,00000002"), &own()).unwrap(),
            format!("00000001, 00000002, {id}")
        );
    }

    #[test]
    fn a_request_that_was_here_is_refused() {
        let id = own().as_str().to_owned();
        assert!(refused(&id));
        assert!(refused(&format!("00000001 , {id},00000002")));
        assert!(!refused(&id.to_uppercase()), "no gateway writes that");
    }

    #[test]
    fn a_request_through_too_many_gateways_is_refused_also_behind_a_flood_of_others() {
        let hops = |count: usize| vec!["00000001"; count].join(", ");
        assert!(!refused(&hops(HOPS_MAX - 1)));
        assert!(refused(&hops(HOPS_MAX)));
        assert!(refused(&",".repeat(30_000)));
    }

    #[test]
    fn nothing_but_ids_is_passed_on() {
        let value = next(Some("evil text, 0000000g, 00000001, 1"), &own()).unwrap();
        assert_eq!(value, format!("00000001, {}", own().as_str()));
    }
}
