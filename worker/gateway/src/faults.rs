//! 故障注入：只在测试环境开放的入口。
//!
//! Owns the rule that endpoints which break things on purpose do not exist unless `FAULT_INJECTION` is on,
//! which `settings` refuses in production. Breaks nothing itself.
//!
//! Invariant: with fault injection off, such an endpoint answers exactly like a path that was never there.

use crate::{error::GatewayError, routes, settings::Settings};

/// Whether faults may be injected here; else the answer of a path that does not exist.
pub fn allowed(settings: &Settings) -> Result<(), GatewayError> {
    if settings.fault_injection {
        Ok(())
    } else {
        Err(routes::no_such_endpoint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    #[test]
    fn fault_endpoints_do_not_exist_unless_injection_is_on_outside_production() {
        let unknown = routes::resolve("POST", "/api/no/such/path").unwrap_err();
        let on = ("FAULT_INJECTION", "on");
        assert_eq!(allowed(&settings(&[])), Err(unknown.clone()));
        assert_eq!(allowed(&settings(&[on])), Err(unknown.clone()));
        let production = settings(&[on, ("ENVIRONMENT", "production")]);
        assert_eq!(allowed(&production), Err(unknown.clone()));
        let misspelt = settings(&[on, ("ENVIRONMENT", "develpment")]);
        assert_eq!(allowed(&misspelt), Err(unknown));
        let development = settings(&[on, ("ENVIRONMENT", "development")]);
        assert_eq!(allowed(&development), Ok(()));
    }
}
