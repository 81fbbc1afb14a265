//! 环境变量：一次读入，问题说清，绝不恐慌。
//!
//! Owns the variables and secrets of the gateway: their names, defaults, bounds and the sentences that say what
//! is wrong with them. Does not read the environment; the Worker passes a lookup.
//!
//! Invariant: a bad value never opens anything. It is reported in `problems` and the safe default is used.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::config::Secret;

/// Smallest `BODY_BYTES_MAX`: below it hardly a chat fits.
pub const BODY_BYTES_MAX_MIN: u64 = 1024;
/// Largest `BODY_BYTES_MAX`: the body and its parse must fit into an isolate's 128 MB.
pub const BODY_BYTES_MAX_MAX: u64 = 100 * 1024 * 1024;
/// Default `BODY_BYTES_MAX`.
pub const BODY_BYTES_MAX_DEFAULT: u64 = 10 * 1024 * 1024;
/// Shortest admin or viewer token.
pub const TOKEN_LEN_MIN: usize = 16;
/// Bytes of an encryption key: AES-256.
const ENCRYPTION_KEY_BYTES: usize = 32;

/// One variable, for the reference document and its test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name in the environment.
    pub name: &'static str,
    /// What holds without it; `None` = there is no default.
    pub default: Option<&'static str>,
    /// Whether it belongs into the secret store.
    pub secret: bool,
    /// What it does.
    pub doc: &'static str,
}

/// Every variable the gateway reads.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "CLIENT_AUTH",
        default: Some("required"),
        secret: false,
        doc: "`required`: every client needs a gateway key. `off`: nobody does; only for trusted networks.",
    },
    Variable {
        name: "APP_NAME",
        default: Some("required"),
        secret: false,
        doc: "`required`: every request sends `App-Name`. `from-key`: a key bound to one app implies it.",
    },
    Variable {
        name: "BODY_BYTES_MAX",
        default: Some("10485760"),
        secret: false,
        doc: "Largest request body in bytes, 1024 to 104857600.",
    },
    Variable {
        name: "ALLOW_HTTP_UPSTREAM",
        default: Some("false"),
        secret: false,
        doc: "`true`: servers may have http URLs that are not loopback. Keys then travel unencrypted.",
    },
    Variable {
        name: "ADMIN_TOKEN",
        default: None,
        secret: true,
        doc: "Token of the administrator, at least 16 characters. Without it the admin API is closed.",
    },
    Variable {
        name: "VIEWER_TOKEN",
        default: None,
        secret: true,
        doc: "Token that may read everything that is not secret, at least 16 characters. Optional.",
    },
    Variable {
        name: "ENCRYPTION_KEY",
        default: None,
        secret: true,
        doc: "Base64 of 32 random bytes; encrypts the servers' keys. Without it no server key can be used.",
    },
    Variable {
        name: "ENCRYPTION_KEY_PREVIOUS",
        default: None,
        secret: true,
        doc: "The `ENCRYPTION_KEY` before a rotation; keeps old rows readable. Optional.",
    },
];

/// Whether clients need a gateway key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Every client does.
    #[default]
    Required,
    /// No client does.
    Off,
}

/// Where the name of the calling application comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppNameSource {
    /// From the `App-Name` header, always.
    #[default]
    Required,
    /// From the key if it is bound to one app, else from the header.
    FromKey,
}

/// The gateway's variables, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `CLIENT_AUTH`
    pub client_auth: ClientAuth,
    /// `APP_NAME`
    pub app_name: AppNameSource,
    /// `BODY_BYTES_MAX`
    pub body_bytes_max: u64,
    /// `ALLOW_HTTP_UPSTREAM`
    pub allow_http_upstream: bool,
    /// `ADMIN_TOKEN`; `None` closes the admin API.
    pub admin_token: Option<Secret>,
    /// `VIEWER_TOKEN`
    pub viewer_token: Option<Secret>,
    /// `ENCRYPTION_KEY`, base64, already known to be 32 bytes.
    pub encryption_key: Option<Secret>,
    /// `ENCRYPTION_KEY_PREVIOUS`, base64, already known to be 32 bytes.
    pub encryption_key_previous: Option<Secret>,
    /// What the administrator has to repair, one sentence each. Never quotes a value of a secret.
    pub problems: Vec<String>,
    /// What works as configured but deserves a banner.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads every variable through `lookup`. White space around a value is ignored; empty means unset.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader {
            lookup,
            problems: Vec::new(),
        };
        let client_auth = reader.choice(
            "CLIENT_AUTH",
            &[("required", ClientAuth::Required), ("off", ClientAuth::Off)],
            ClientAuth::Required,
        );
        let app_name = reader.choice(
            "APP_NAME",
            &[
                ("required", AppNameSource::Required),
                ("from-key", AppNameSource::FromKey),
            ],
            AppNameSource::Required,
        );
        let body_bytes_max = reader.body_bytes_max();
        let allow_http_upstream = reader.choice(
            "ALLOW_HTTP_UPSTREAM",
            &[("true", true), ("1", true), ("false", false), ("0", false)],
            false,
        );
        let admin_token = reader.token("ADMIN_TOKEN");
        let viewer_token = reader.viewer_token(admin_token.as_ref());
        let encryption_key = reader.encryption_key("ENCRYPTION_KEY");
        let encryption_key_previous = reader.encryption_key("ENCRYPTION_KEY_PREVIOUS");
        reader.require("ADMIN_TOKEN", "the admin API stays closed until it is");
        reader.require(
            "ENCRYPTION_KEY",
            "server keys can be neither stored nor read until it is",
        );
        Self {
            warnings: warnings(client_auth, allow_http_upstream),
            client_auth,
            app_name,
            body_bytes_max,
            allow_http_upstream,
            admin_token,
            viewer_token,
            encryption_key,
            encryption_key_previous,
            problems: reader.problems,
        }
    }
}

fn warnings(client_auth: ClientAuth, allow_http_upstream: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if client_auth == ClientAuth::Off {
        warnings.push(
            "CLIENT_AUTH is off: anyone who reaches this gateway can use its servers.".to_owned(),
        );
    }
    if allow_http_upstream {
        warnings.push("ALLOW_HTTP_UPSTREAM is on: server keys may travel unencrypted.".to_owned());
    }
    warnings
}

struct Reader<F> {
    lookup: F,
    problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn value(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let trimmed = value.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    fn require(&mut self, name: &str, consequence: &str) {
        if self.value(name).is_none() {
            self.problems
                .push(format!("{name} is not set; {consequence}."));
        }
    }

    fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)], default: T) -> T {
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

    fn body_bytes_max(&mut self) -> u64 {
        let Some(value) = self.value("BODY_BYTES_MAX") else {
            return BODY_BYTES_MAX_DEFAULT;
        };
        match value.parse() {
            Ok(bytes) if (BODY_BYTES_MAX_MIN..=BODY_BYTES_MAX_MAX).contains(&bytes) => bytes,
            _ => {
                self.problems.push(format!(
                    "BODY_BYTES_MAX must be a whole number from {BODY_BYTES_MAX_MIN} to {BODY_BYTES_MAX_MAX}; \
                     the default {BODY_BYTES_MAX_DEFAULT} is used."
                ));
                BODY_BYTES_MAX_DEFAULT
            }
        }
    }

    fn token(&mut self, name: &str) -> Option<Secret> {
        let value = self.value(name)?;
        if value.chars().count() < TOKEN_LEN_MIN {
            self.problems.push(format!(
                "{name} must have at least {TOKEN_LEN_MIN} characters; it is ignored."
            ));
            return None;
        }
        Some(Secret::new(value))
    }

    fn viewer_token(&mut self, admin_token: Option<&Secret>) -> Option<Secret> {
        let viewer_token = self.token("VIEWER_TOKEN")?;
        if Some(&viewer_token) == admin_token {
            self.problems
                .push("VIEWER_TOKEN must differ from ADMIN_TOKEN; it is ignored.".to_owned());
            return None;
        }
        Some(viewer_token)
    }

    fn encryption_key(&mut self, name: &str) -> Option<Secret> {
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    pub(crate) fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings::parse(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    fn complete(extra: &[(&'static str, &'static str)]) -> Settings {
        let mut pairs = extra.to_vec();
        pairs.extend([("ADMIN_TOKEN", "0123456789abcdef"), ("ENCRYPTION_KEY", KEY)]);
        settings(&pairs)
    }

    #[test]
    fn defaults_are_the_strict_ones() {
        let settings = complete(&[]);
        assert_eq!(settings.client_auth, ClientAuth::Required);
        assert_eq!(settings.app_name, AppNameSource::Required);
        assert_eq!(settings.body_bytes_max, 10 * 1024 * 1024);
        assert!(!settings.allow_http_upstream);
        assert_eq!(settings.problems, Vec::<String>::new());
        assert_eq!(settings.warnings, Vec::<String>::new());
    }

    #[test]
    fn missing_secrets_are_clear_problems() {
        let settings = settings(&[("ADMIN_TOKEN", "  ")]);
        assert_eq!(settings.problems.len(), 2);
        assert!(settings.problems[0].starts_with("ADMIN_TOKEN is not set;"));
        assert!(settings.problems[1].starts_with("ENCRYPTION_KEY is not set;"));
        assert_eq!(
            (settings.admin_token, settings.encryption_key),
            (None, None)
        );
    }

    #[test]
    fn valid_values_are_taken() {
        let settings = complete(&[
            ("CLIENT_AUTH", "off"),
            ("APP_NAME", " from-key "),
            ("BODY_BYTES_MAX", "1024"),
            ("ALLOW_HTTP_UPSTREAM", "1"),
            ("VIEWER_TOKEN", "viewer-viewer-viewer"),
            ("ENCRYPTION_KEY_PREVIOUS", KEY),
        ]);
        assert_eq!(settings.client_auth, ClientAuth::Off);
        assert_eq!(settings.app_name, AppNameSource::FromKey);
        assert_eq!(settings.body_bytes_max, 1024);
        assert!(settings.allow_http_upstream);
        assert_eq!(
            settings.viewer_token.unwrap().expose(),
            "viewer-viewer-viewer"
        );
        assert_eq!(settings.encryption_key_previous.unwrap().expose(), KEY);
        assert_eq!(settings.problems, Vec::<String>::new());
        assert_eq!(settings.warnings.len(), 2, "open doors are announced");
    }

    #[test]
    fn each_bad_value_is_reported_and_falls_back_to_the_strict_default() {
        for (name, value) in [
            ("CLIENT_AUTH", "Off"),
            ("APP_NAME", "fromkey"),
            ("BODY_BYTES_MAX", "1023"),
            ("BODY_BYTES_MAX", "104857601"),
            ("BODY_BYTES_MAX", "-1"),
            ("BODY_BYTES_MAX", "10 MiB"),
            ("ALLOW_HTTP_UPSTREAM", "yes"),
            ("VIEWER_TOKEN", "fifteen-letters"),
            ("VIEWER_TOKEN", "0123456789abcdef"),
            ("ENCRYPTION_KEY_PREVIOUS", "not base64!"),
            ("ENCRYPTION_KEY_PREVIOUS", "c2hvcnQ="),
        ] {
            let mut settings = complete(&[(name, value)]);
            assert_eq!(
                settings.problems.len(),
                1,
                "{name}={value}: {:?}",
                settings.problems
            );
            assert!(settings.problems[0].starts_with(name));
            settings.problems.clear();
            assert_eq!(settings, complete(&[]), "{name}={value}");
        }
    }

    #[test]
    fn problems_never_quote_a_secret() {
        let short = "tooshort-secret";
        let settings = settings(&[
            ("ADMIN_TOKEN", short),
            ("ENCRYPTION_KEY", "QUJD"),
            ("VIEWER_TOKEN", short),
        ]);
        assert_eq!(settings.problems.len(), 3);
        for problem in &settings.problems {
            assert!(
                !problem.contains("tooshort") && !problem.contains("QUJD"),
                "{problem}"
            );
        }
    }

    #[test]
    fn table_of_variables_is_what_parse_reads() {
        let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
        let _ = Settings::parse(|name| {
            asked.borrow_mut().insert(name.to_owned());
            None
        });
        let listed: std::collections::BTreeSet<_> = VARIABLES
            .iter()
            .map(|variable| variable.name.to_owned())
            .collect();
        assert_eq!(asked.into_inner(), listed);
        assert_eq!(
            VARIABLES[2].default,
            Some(BODY_BYTES_MAX_DEFAULT.to_string().as_str())
        );
    }
}
