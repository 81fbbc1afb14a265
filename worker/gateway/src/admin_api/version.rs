//! 版本：ETag、If-Match 与配置版本的视图。
//!
//! Owns how the version of an object travels in HTTP. The invariant: `if_match(etag(v)) == v`.

use serde::{Deserialize, Serialize};

use super::object::invalid_field;
use crate::error::GatewayError;

/// Answer of `GET /api/config/version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "ConfigVersion"))]
pub struct ConfigVersionView {
    /// Version that this edge location serves.
    pub version: u64,
    /// How long ago it was read, in milliseconds.
    pub age_ms: u64,
}

/// Value of the `ETag` header for an object of this version.
#[must_use]
pub fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// The version that an `If-Match` header asks for. None where the last write wins: no header, or `*`.
///
/// Also takes `W/"5"`, since an edge that compresses an answer weakens its `ETag`, and a bare `5`,
/// which people type.
pub fn if_match(header: Option<&str>) -> Result<Option<u64>, GatewayError> {
    let Some(text) = header.map(str::trim).filter(|text| *text != "*") else {
        return Ok(None);
    };
    let tag = text.strip_prefix("W/").unwrap_or(text);
    let digits = tag
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(tag);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        // A version is a number that D1 can hold: a larger one would be compared as a float.
        Ok(version) if all_digits && version <= i64::MAX.unsigned_abs() => Ok(Some(version)),
        _ => Err(invalid_field(
            "If-Match",
            "`If-Match` must be the version of the object, as its `ETag` gave it, such as \"5\"."
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_reads_the_etag_also_when_an_edge_weakened_it() {
        assert_eq!(if_match(Some(&etag(5))), Ok(Some(5)));
        assert_eq!(if_match(Some("W/\"5\"")), Ok(Some(5)));
        assert_eq!(if_match(Some(" 5 ")), Ok(Some(5)));
    }

    #[test]
    fn without_if_match_or_with_a_star_the_last_write_wins() {
        assert_eq!(if_match(None), Ok(None));
        assert_eq!(if_match(Some("*")), Ok(None));
    }

    #[test]
    fn if_match_that_is_no_version_is_refused() {
        for bad in [
            "",
            "\"",
            "\"a\"",
            "-1",
            "+1",
            "1.0",
            "\"1\", \"2\"",
            "99999999999999999999",
            "18446744073709551615",
        ] {
            let error = if_match(Some(bad)).unwrap_err();
            assert_eq!(
                (error.status(), error.param.as_deref()),
                (422, Some("If-Match")),
                "{bad}"
            );
        }
    }
}
