//! 登录请求体：一个令牌。
//!
//! Owns the body of `POST /api/session`. Whether the token is right is said by [`crate::auth`].

use super::fields::Credential;
use super::object::{Object, required};
use crate::auth::KEY_LEN_MAX;
use crate::config::Secret;
use crate::error::GatewayError;

const TOKEN: Credential = Credential {
    name: "token",
    chars_max: KEY_LEN_MAX,
};

/// Body of `POST /api/session`.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The admin or the viewer token.
    pub token: Secret,
}

impl SignIn {
    /// Reads the body of a request.
    pub fn parse(body: &[u8]) -> Result<Self, GatewayError> {
        let mut object = Object::parse(body)?;
        let token = object.take(&TOKEN)?;
        object.finish(&[])?;
        Ok(Self {
            token: required(token, TOKEN.name)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_and_a_body_without_one_names_the_field() {
        let read = SignIn::parse(br#"{"token":"admin-admin-admin"}"#).unwrap();
        assert_eq!(read.token.expose(), "admin-admin-admin");
        for body in [
            &b"{}"[..],
            br#"{"token":null}"#,
            br#"{"token":""}"#,
            br#"{"token":"a b"}"#,
        ] {
            let error = SignIn::parse(body).unwrap_err();
            assert_eq!(
                (error.status(), error.param.as_deref()),
                (422, Some("token"))
            );
        }
        let unknown = SignIn::parse(br#"{"token":"x","user":"root"}"#).unwrap_err();
        assert_eq!(unknown.param.as_deref(), Some("user"));
    }
}
