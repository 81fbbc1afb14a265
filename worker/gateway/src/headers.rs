//! 请求头：有上限，只读一遍。
//!
//! Owns the headers of one request as they were read out of the platform, once: every check and every attempt
//! upstream looks at this copy, because each header that crosses into WebAssembly costs. Does not know what a
//! header means.
//!
//! Invariant: neither their number nor their size exceeds its bound. There is no `Debug`: they hold credentials.

use crate::{
    error::{ErrorCode, GatewayError},
    upstream::{forwards_request_header, named_in_connection},
};

/// Most headers of a request; lines of one name count once. As many as other proxies take (Apache's default);
/// an SDK sends about 15, the edge adds about as many.
pub const HEADERS_LEN_MAX: usize = 100;
/// Most bytes of their names and values together: what common backends take (nginx: four buffers of 8 KiB).
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Enough for an SDK behind the edge, so that the list rarely grows.
const USUAL_LEN: usize = 32;

/// The headers of one request.
pub struct RequestHeaders {
    fields: Vec<(String, String)>,
}

impl RequestHeaders {
    /// Takes over what the platform hands out, names in lower case and each once; stops at a bound.
    pub fn collect(
        entries: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, GatewayError> {
        let mut fields = Vec::with_capacity(USUAL_LEN);
        let mut bytes: usize = 0;
        for (name, value) in entries {
            bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
            if fields.len() >= HEADERS_LEN_MAX || bytes > HEADER_BYTES_MAX {
                return Err(too_large());
            }
            fields.push((name, value));
        }
        Ok(Self { fields })
    }

    /// The value of a header; `name` in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(field, _)| field == name)?;
        Some(value)
    }

    /// Those that go upstream.
    pub fn forwarded(&self) -> impl Iterator<Item = (&str, &str)> {
        let connection = self.get("connection");
        self.fields
            .iter()
            .filter(move |(name, _)| {
                forwards_request_header(name) && !named_in_connection(connection, name)
            })
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn too_large() -> GatewayError {
    GatewayError::new(
        ErrorCode::HeadersTooLarge,
        format!(
            "A request may have {HEADERS_LEN_MAX} headers of {HEADER_BYTES_MAX} bytes together. Send fewer or shorter ones."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Result<RequestHeaders, GatewayError> {
        RequestHeaders::collect(
            fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    fn numbered(count: usize) -> Result<RequestHeaders, GatewayError> {
        RequestHeaders::collect((0..count).map(|number| (format!("x-{number}"), String::new())))
    }

    #[test]
    fn as_many_headers_as_the_bound_pass_and_one_more_does_not() {
        assert!(numbered(HEADERS_LEN_MAX).is_ok());
        let error = numbered(HEADERS_LEN_MAX + 1).err().unwrap();
        assert_eq!(
            (error.code, error.status()),
            (ErrorCode::HeadersTooLarge, 431)
        );
    }

    #[test]
    fn as_many_bytes_as_the_bound_pass_and_one_more_does_not() {
        let long = |bytes: usize| headers(&[("a", &"v".repeat(bytes - 1))]);
        assert!(long(HEADER_BYTES_MAX).is_ok());
        assert!(long(HEADER_BYTES_MAX + 1).is_err());
        let half = "v".repeat(HEADER_BYTES_MAX / 2);
        assert!(headers(&[("a", &half), ("b", &half)]).is_err(), "together");
    }

    #[test]
    fn an_endless_list_is_not_read_to_its_end() {
        let mut read = 0;
        let endless = std::iter::repeat_with(|| {
            read += 1;
            ("a".to_owned(), String::new())
        });
        assert!(RequestHeaders::collect(endless).is_err());
        assert_eq!(read, HEADERS_LEN_MAX + 1);
    }

    #[test]
    fn forwarded_headers_are_those_that_may_go_upstream() {
        let headers = headers(&[
            ("authorization", "Bearer k"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("user-agent", "sdk"),
            ("x-sluice-hops", "00000000"),
        ])
        .unwrap();
        let forwarded: Vec<_> = headers.forwarded().collect();
        assert_eq!(forwarded, [("user-agent", "sdk")]);
        assert_eq!(headers.get("authorization"), Some("Bearer k"));
        assert_eq!(headers.get("x-absent"), None);
    }
}
