//! 逐个读取变量：取值、校验、记下问题。
//!
//! Owns how one variable becomes a value: what it may be, what holds in its place where it is bad, and the
//! sentence that says so. Which variables there are is the business of `settings`.
//!
//! Invariant: a sentence names the variable and never quotes the value of a secret.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    AccessSettings, ENCRYPTION_KEY_BYTES, Environment, FAULT_LEASE_MS, TOKEN_LEN_MIN, access,
};
use crate::config::Secret;
use crate::cors::Cors;

/// Reads variables one by one and collects what is wrong with them.
pub(super) struct Reader<F> {
    pub(super) lookup: F,
    pub(super) problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let trimmed = value.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    pub(super) fn require(&mut self, name: &str, consequence: &str) {
        if self.value(name).is_none() {
            self.problems
                .push(format!("{name} is not set; {consequence}."));
        }
    }

    pub(super) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)], default: T) -> T {
        let Some(value) = self.value(name) else {
            return default;
        };
        if let Some((_, choice)) = choices.iter().find(|(text, _)| *text == value) {
            return *choice;
        }
        let allowed: Vec<_> = choices.iter().map(|(text, _)| *text).collect();
        self.problems.push(format!(
            "{name} must be one of {}; the default is used.",
            allowed.join(", ")
        ));
        default
    }

    pub(super) fn flag(&mut self, name: &str) -> bool {
        let choices = [("true", true), ("1", true), ("false", false), ("0", false)];
        self.choice(name, &choices, false)
    }

    pub(super) fn cors(&mut self) -> Cors {
        let Some(value) = self.value("CORS_ORIGINS") else {
            return Cors::Off;
        };
        Cors::parse(&value).unwrap_or_else(|_| {
            self.problems.push(
                "CORS_ORIGINS must be `*` or at most 64 origins such as https://app.example.com, separated by commas; it is ignored."
                    .to_owned(),
            );
            Cors::Off
        })
    }

    pub(super) fn whole_number<T>(
        &mut self,
        name: &str,
        allowed: RangeInclusive<T>,
        default: T,
    ) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let Some(value) = self.value(name) else {
            return default;
        };
        match value.parse() {
            Ok(number) if allowed.contains(&number) => number,
            _ => {
                let (min, max) = (allowed.start(), allowed.end());
                self.problems.push(format!(
                    "{name} must be a whole number from {min} to {max}; the default {default} is used."
                ));
                default
            }
        }
    }

    pub(super) fn environment(&mut self) -> Environment {
        let choices = [
            ("production", Environment::Production),
            ("development", Environment::Development),
            ("test", Environment::Test),
        ];
        self.choice("ENVIRONMENT", &choices, Environment::Production)
    }

    pub(super) fn access(&mut self) -> Option<AccessSettings> {
        let mut problems = Vec::new();
        let access = access::parse(|name| self.value(name), &mut problems);
        self.problems.append(&mut problems);
        access
    }

    pub(super) fn fault_lease(&mut self, fault_injection: bool) -> Option<Duration> {
        let given = self.value("FAULT_LEASE_MS").is_some();
        let lease_ms = self.whole_number("FAULT_LEASE_MS", FAULT_LEASE_MS, *FAULT_LEASE_MS.end());
        (given && fault_injection).then(|| Duration::from_millis(lease_ms))
    }

    pub(super) fn fault_injection(&mut self, environment: Environment) -> bool {
        let on = self.choice("FAULT_INJECTION", &[("on", true), ("off", false)], false);
        if on && environment == Environment::Production {
            self.problems.push(
                "FAULT_INJECTION must be off where ENVIRONMENT is production; it stays off."
                    .to_owned(),
            );
            return false;
        }
        on
    }

    pub(super) fn token(&mut self, name: &str) -> Option<Secret> {
        let value = self.value(name)?;
        if value.chars().count() < TOKEN_LEN_MIN {
            self.problems.push(format!(
                "{name} must have at least {TOKEN_LEN_MIN} characters; it is ignored."
            ));
            return None;
        }
        Some(Secret::new(value))
    }

    pub(super) fn viewer_token(&mut self, admin_token: Option<&Secret>) -> Option<Secret> {
        let viewer_token = self.token("VIEWER_TOKEN")?;
        if Some(&viewer_token) == admin_token {
            self.problems
                .push("VIEWER_TOKEN must differ from ADMIN_TOKEN; it is ignored.".to_owned());
            return None;
        }
        Some(viewer_token)
    }

    pub(super) fn encryption_key(&mut self, name: &str) -> Option<Secret> {
        let value = self.value(name)?;
        if STANDARD
            .decode(&value)
            .is_ok_and(|bytes| bytes.len() == ENCRYPTION_KEY_BYTES)
        {
            return Some(Secret::new(value));
        }
        self.problems.push(format!(
            "{name} must be the base64 of {ENCRYPTION_KEY_BYTES} bytes (openssl rand -base64 32); it is ignored."
        ));
        None
    }
}
