//! 请求体的两项前提：长度与媒体类型。
//!
//! Owns what is checked before the body of an admin request is parsed.

use super::bounds::BODY_BYTES_MAX;
use crate::error::{ErrorCode, GatewayError};

/// Refuses a body that is, or is announced to be, too long. To be asked while it is read.
///
/// # Errors
/// `body_too_large`.
pub fn check_length(bytes: u64) -> Result<(), GatewayError> {
    if usize::try_from(bytes).is_ok_and(|bytes| bytes <= BODY_BYTES_MAX) {
        Ok(())
    } else {
        let message =
            format!("The body of an admin request may have at most {BODY_BYTES_MAX} bytes.");
        Err(GatewayError::new(ErrorCode::BodyTooLarge, message))
    }
}

/// Refuses a body that is not declared as JSON. A browser's form cannot declare that without a
/// preflight, which nobody answers: this is half of the protection against forged requests.
///
/// # Errors
/// `unsupported_media_type`.
pub fn check_content_type(content_type: Option<&str>) -> Result<(), GatewayError> {
    let essence = content_type
        .and_then(|text| text.split(';').next())
        .unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        let message = "Send the body as JSON, with `Content-Type: application/json`.";
        Err(GatewayError::new(ErrorCode::UnsupportedMediaType, message).param("Content-Type"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_passes_whatever_its_parameters_and_case() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            " application/json ;x=y",
        ] {
            assert!(check_content_type(Some(good)).is_ok(), "{good}");
        }
        for bad in [
            None,
            Some(""),
            Some("text/plain"),
            Some("application/jsonp"),
            Some("text/plain;application/json"),
        ] {
            let error = check_content_type(bad).unwrap_err();
            assert_eq!(error.status(), 415, "{bad:?}");
        }
    }

    #[test]
    fn the_longest_body_passes_and_one_byte_more_does_not() {
        let longest = u64::try_from(BODY_BYTES_MAX).unwrap();
        assert!(check_length(longest).is_ok());
        for bytes in [longest + 1, u64::MAX] {
            assert_eq!(check_length(bytes).unwrap_err().status(), 413);
        }
    }
}
