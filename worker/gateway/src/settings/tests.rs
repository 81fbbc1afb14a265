//! 环境变量的测试。
//!
//! Defaults and bounds of the variables, and that a bad value never opens anything.

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
    assert!(!settings.allow_http_upstream && !settings.allow_private_upstream);
    assert_eq!(settings.cors, Cors::Off);
    assert!(settings.log_requests);
    assert_eq!(settings.retry_max, 2);
    assert_eq!(settings.environment, Environment::Production);
    assert!(!settings.fault_injection);
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
        ("ALLOW_PRIVATE_UPSTREAM", "true"),
        ("CORS_ORIGINS", "https://a.example"),
        ("LOG_REQUESTS", "off"),
        ("RETRY_MAX", "10"),
        ("ENVIRONMENT", "test"),
        ("FAULT_INJECTION", "on"),
        ("VIEWER_TOKEN", "viewer-viewer-viewer"),
        ("ENCRYPTION_KEY_PREVIOUS", KEY),
    ]);
    assert_eq!(settings.client_auth, ClientAuth::Off);
    assert_eq!(settings.app_name, AppNameSource::FromKey);
    assert_eq!(settings.body_bytes_max, 1024);
    assert!(settings.allow_http_upstream && settings.fault_injection);
    assert!(settings.allow_private_upstream && !settings.log_requests);
    assert_eq!(
        settings.cors,
        Cors::Origins(vec!["https://a.example".to_owned()])
    );
    assert_eq!(
        (settings.retry_max, settings.environment),
        (10, Environment::Test)
    );
    assert_eq!(
        settings.viewer_token.unwrap().expose(),
        "viewer-viewer-viewer"
    );
    assert_eq!(settings.encryption_key_previous.unwrap().expose(), KEY);
    assert_eq!(settings.problems, Vec::<String>::new());
    assert_eq!(settings.warnings.len(), 4, "open doors are announced");
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
        ("ALLOW_PRIVATE_UPSTREAM", "on"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "https://a.example, https://b.example/"),
        ("LOG_REQUESTS", "true"),
        ("RETRY_MAX", "11"),
        ("RETRY_MAX", "-1"),
        ("RETRY_MAX", "two"),
        ("ENVIRONMENT", "prod"),
        ("FAULT_INJECTION", "true"),
        ("FAULT_INJECTION", "on"),
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
fn faults_can_be_injected_only_where_the_environment_is_known_not_to_be_production() {
    let on = ("FAULT_INJECTION", "on");
    let development = complete(&[on, ("ENVIRONMENT", "development")]);
    assert!(development.fault_injection && development.problems.is_empty());
    assert!(development.warnings[0].starts_with("FAULT_INJECTION is on:"));
    let production = complete(&[on, ("ENVIRONMENT", "production")]);
    assert!(!production.fault_injection && production.warnings.is_empty());
    assert!(production.problems[0].contains("ENVIRONMENT is production"));
    let misspelt = complete(&[on, ("ENVIRONMENT", "Development")]);
    assert!(!misspelt.fault_injection);
    assert_eq!(misspelt.problems.len(), 2);
}

#[test]
fn no_retries_can_be_configured() {
    assert_eq!(complete(&[("RETRY_MAX", "0")]).retry_max, 0);
}

#[test]
fn the_log_is_kept_for_a_bounded_number_of_days() {
    let days = |value| {
        let settings = complete(&[("LOG_RETENTION_DAYS", value)]);
        (settings.log_retention_days, settings.problems.len())
    };
    assert_eq!(complete(&[]).log_retention_days, 30);
    assert_eq!((days("1"), days("3650")), ((1, 0), (3_650, 0)));
    for refused in ["0", "3651", "-1", "forever", "1.5"] {
        assert_eq!(days(refused), (30, 1), "{refused}");
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
    for (name, default) in [
        ("BODY_BYTES_MAX", BODY_BYTES_MAX_DEFAULT),
        ("RETRY_MAX", u64::from(RETRY_MAX_DEFAULT)),
    ] {
        let variable = VARIABLES.iter().find(|variable| variable.name == name);
        let listed = variable.and_then(|variable| variable.default);
        assert_eq!(listed, Some(default.to_string().as_str()), "{name}");
    }
}

#[test]
fn a_small_journal_needs_fault_injection() {
    let rows_max = |pairs: &[(&str, &str)]| settings(pairs).journal_rows_max;
    let small = ("FAULT_JOURNAL_ROWS", "20");
    assert_eq!(rows_max(&[small]), ROWS_MAX);
    let on = [("ENVIRONMENT", "test"), ("FAULT_INJECTION", "on")];
    assert_eq!(rows_max(&on), ROWS_MAX);
    assert_eq!(rows_max(&[on[0], on[1], small]), 20);
    let none = [on[0], on[1], ("FAULT_JOURNAL_ROWS", "0")];
    assert_eq!(rows_max(&none), ROWS_MAX);
    assert_eq!(
        settings(&none).problems.len(),
        settings(&on).problems.len() + 1
    );
}

#[test]
fn a_short_lease_needs_fault_injection() {
    let server = crate::config::tests::server("a", 0, &["m"]);
    let lease = |pairs: &[(&str, &str)]| settings(pairs).limits_of(&server).lease.as_millis();
    let own = server.limits().lease.as_millis();
    assert_eq!(lease(&[("FAULT_LEASE_MS", "500")]), own);
    let on = [("ENVIRONMENT", "test"), ("FAULT_INJECTION", "on")];
    assert_eq!(lease(&on), own);
    assert_eq!(lease(&[on[0], on[1], ("FAULT_LEASE_MS", "500")]), 500);
    let wrong = settings(&[on[0], on[1], ("FAULT_LEASE_MS", "5")]);
    assert!(
        wrong
            .problems
            .iter()
            .any(|problem| problem.starts_with("FAULT_LEASE_MS"))
    );
}
