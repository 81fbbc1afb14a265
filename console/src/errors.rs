//! 失败的种类：网关的错误形状，或根本没有应答。
//!
//! Owns what a call to the API can come to instead of its answer, read from the status and the gateway's
//! error shape. Does not decide how it is shown; a field's error names its field in `param`.

use serde::Deserialize;

/// Why a call failed, as far as what to do about it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No answer: no network, or the gateway is down.
    Offline,
    /// 401: nobody is signed in any more.
    Expired,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 409
    Conflict,
    /// 400, 413, 415, 422
    Invalid,
    /// 429
    Busy,
    /// 5xx
    Server,
    /// An answer that is none of the API's.
    Unreadable,
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to do about it.
    pub kind: Kind,
    /// HTTP status; 0 without an answer.
    pub status: u16,
    /// The gateway's code, such as `invalid_field`.
    pub code: String,
    /// The gateway's sentence about it, in English.
    pub message: String,
    /// The field at fault.
    pub param: Option<String>,
    /// For the log.
    pub request_id: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    error: Body,
}

#[derive(Deserialize)]
struct Body {
    message: String,
    code: Option<String>,
    param: Option<String>,
    request_id: Option<String>,
}

impl Failure {
    /// No answer came.
    #[must_use]
    pub fn offline() -> Self {
        Self::bare(Kind::Offline, 0)
    }

    /// An answer came that cannot be read.
    #[must_use]
    pub fn unreadable(status: u16) -> Self {
        Self::bare(Kind::Unreadable, status)
    }

    /// An answer with a status that is none of success.
    #[must_use]
    pub fn read(status: u16, body: &str) -> Self {
        let kind = match status {
            401 => Kind::Expired,
            403 => Kind::Forbidden,
            404 => Kind::NotFound,
            409 => Kind::Conflict,
            429 => Kind::Busy,
            400..=499 => Kind::Invalid,
            500..=599 => Kind::Server,
            _ => Kind::Unreadable,
        };
        match serde_json::from_str::<Envelope>(body) {
            Ok(Envelope { error }) => Self {
                kind,
                status,
                code: error.code.unwrap_or_default(),
                message: error.message,
                param: error.param,
                request_id: error.request_id,
            },
            Err(_) => Self::bare(kind, status),
        }
    }

    /// The message, if it is about this field.
    #[must_use]
    pub fn about(&self, field: &str) -> Option<&str> {
        (self.param.as_deref() == Some(field)).then_some(self.message.as_str())
    }

    fn bare(kind: Kind, status: u16) -> Self {
        Self {
            kind,
            status,
            code: String::new(),
            message: String::new(),
            param: None,
            request_id: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_shape_is_read_with_its_field() {
        let body = r#"{"error":{"message":"Too long.","type":"x","code":"invalid_field","param":"name","request_id":"req_1"}}"#;
        let failure = Failure::read(422, body);
        assert_eq!(
            (failure.kind, failure.code.as_str()),
            (Kind::Invalid, "invalid_field")
        );
        assert_eq!(failure.about("name"), Some("Too long."));
        assert_eq!(failure.about("models"), None);
        assert_eq!(failure.request_id.as_deref(), Some("req_1"));
    }

    #[test]
    fn an_answer_of_somebody_else_keeps_its_status() {
        for (status, kind) in [
            (401, Kind::Expired),
            (403, Kind::Forbidden),
            (404, Kind::NotFound),
            (409, Kind::Conflict),
            (429, Kind::Busy),
            (413, Kind::Invalid),
            (502, Kind::Server),
            (302, Kind::Unreadable),
        ] {
            let failure = Failure::read(status, "<html>");
            assert_eq!((failure.kind, failure.status), (kind, status));
            assert!(failure.message.is_empty());
        }
    }
}
