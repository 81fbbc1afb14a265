//! 平台随机数。
//!
//! The only source of randomness of this crate: ids, nonces, key secrets.

use gateway::error::GatewayError;

/// Random bytes from the platform's cryptographic generator.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], GatewayError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| GatewayError::internal(format!("getrandom: {error}")))?;
    Ok(bytes)
}
