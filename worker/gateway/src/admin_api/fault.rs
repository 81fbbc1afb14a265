//! 数据库故障开关的请求体。
//!
//! Owns the body of `PUT /api/faults/database`. Whether such a switch exists at all is the business of
//! `faults`; what it does is done by the shell's access to D1.

use super::fields::Flag;
use super::object::{Object, required};
use crate::error::GatewayError;

const AVAILABLE: Flag = Flag { name: "available" };

/// Whether D1 shall answer this isolate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseFault {
    /// False: each call fails as if D1 did not answer.
    pub available: bool,
}

impl DatabaseFault {
    /// Reads the body of a request.
    pub fn parse(body: &[u8]) -> Result<Self, GatewayError> {
        let mut object = Object::parse(body)?;
        let available = object.take(&AVAILABLE)?;
        object.finish(&[])?;
        Ok(Self {
            available: required(available, AVAILABLE.name)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_is_one_flag_and_nothing_else() {
        for (body, available) in [
            (r#"{"available":true}"#, true),
            (r#"{"available":false}"#, false),
        ] {
            assert_eq!(
                DatabaseFault::parse(body.as_bytes()),
                Ok(DatabaseFault { available })
            );
        }
        for bad in [
            "{}",
            r#"{"available":1}"#,
            r#"{"available":null}"#,
            r#"{"available":true,"x":1}"#,
        ] {
            assert_eq!(
                DatabaseFault::parse(bad.as_bytes()).unwrap_err().status(),
                422,
                "{bad}"
            );
        }
    }
}
