//! 请求头与响应头：有界、可逆、不可伪造。
//!
//! Every header that the gateway reads, its cookie and its tokens. The oracles: what is accepted is within the bounds
//! that the documents promise and reads back as it was written, and no text opens a session or vouches for anyone.

use std::time::Duration;

use admission::{Instant, PAUSE_MAX};
use gateway::access::{Assertion, KeySet};
use gateway::attempts::{Address, Attempt, decode_verdict, encode_verdict};
use gateway::auth::{KEY_LEN_MAX, Role, client_key};
use gateway::config::Secret;
use gateway::cors::Cors;
use gateway::envelope::Keyring;
use gateway::headers::{HEADER_BYTES_MAX, HEADERS_LEN_MAX, RequestHeaders};
use gateway::hops::{self, HOPS_MAX, InstanceId};
use gateway::identity::presented;
use gateway::retry::{self, AfterAnswer, PAUSE_MIN};
use gateway::routes::{queue_wait_max, request_id, resolve};
use gateway::session::{COOKIE, Session, cookie_value};
use gateway::settings::Settings;
use gateway::upstream::{header_text, named_in_connection};
use gateway::{admin_api, progress};

use crate::input::Input;

/// 2026-11-23T08:00:00Z.
const NOW: Instant = Instant::from_millis(1_795_420_800_000);

const ENCRYPTION_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let which = input.byte();
    let lines = input.lines();
    let first = lines.first().map_or("", String::as_str);
    let second = lines.get(1).map(String::as_str);
    match which % 8 {
        0 => ids(first),
        1 => times(first, &lines),
        2 => credentials(first, second),
        3 => loops(first),
        4 => sessions(first, usize::from(which)),
        5 => origins(first, second),
        6 => collected(&lines),
        _ => lines_of_attempts(first),
    }
}

fn ids(text: &str) {
    let is_id = |id: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        (1..=64).contains(&id.len()) && id.bytes().all(known)
    };
    let id = request_id(Some(text), [7; 16]);
    assert!(is_id(&id), "{id}");
    assert_eq!(id == text, is_id(text), "{text} became {id}");
    let shown = header_text(text);
    assert!(
        shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
        "{shown}"
    );
    let back = percent_encoding::percent_decode_str(&shown).decode_utf8();
    assert_eq!(back.expect("UTF-8"), text);
    match admin_api::if_match(Some(text)) {
        Ok(Some(version)) => {
            let again = admin_api::if_match(Some(&admin_api::etag(version)));
            assert_eq!(again.expect("its own tag"), Some(version));
        }
        Ok(None) => assert_eq!(text.trim(), "*"),
        Err(refusal) => assert_eq!(refusal.status(), 422),
    }
    if let Err(refusal) = resolve("POST", text) {
        assert!(matches!(refusal.status(), 404 | 405), "{refusal:?}");
    }
}

fn times(text: &str, lines: &[String]) {
    match queue_wait_max(Some(text)) {
        Ok(None) => panic!("a header was there"),
        Ok(Some(wait)) => {
            let seconds: f64 = text.trim().parse().expect("a number");
            assert!(seconds >= 0.0);
            // Beyond this a float has no milliseconds.
            if seconds < 1e9 {
                let off = seconds - wait.as_secs_f64();
                assert!((-1e-6..0.001_001).contains(&off), "{text} became {wait:?}");
            }
        }
        Err(refusal) => assert!(matches!(refusal.status(), 400 | 422), "{refusal:?}"),
    }
    if progress::requested(Some(text), true) == Ok(true) {
        assert!(text.trim().eq_ignore_ascii_case("sse"));
    }
    let header = |name: &str| {
        let found = lines
            .iter()
            .find_map(|line| line.split_once(": ").filter(|(key, _)| *key == name));
        found.map(|(_, value)| value.to_owned())
    };
    for attempt in [0, 1, u32::MAX] {
        let pause = retry::pause(header, attempt, NOW);
        assert!((PAUSE_MIN..=PAUSE_MAX).contains(&pause), "{pause:?}");
        assert_eq!(pause.subsec_nanos() % 1_000_000, 0, "whole milliseconds");
        match retry::after_answer(429, header, attempt, 2, NOW) {
            AfterAnswer::Retry { pause: told } => assert!(attempt < 2 && told == pause),
            AfterAnswer::Pass => assert!(attempt >= 2),
        }
    }
    if let Ok(ms) = text.parse::<u32>() {
        let told = retry::pause(
            |name| (name == "retry-after-ms").then(|| ms.to_string()),
            0,
            NOW,
        );
        let asked = Duration::from_millis(u64::from(ms));
        assert_eq!(told, asked.clamp(PAUSE_MIN, PAUSE_MAX));
    }
}

fn credentials(authorization: &str, key: Option<&str>) {
    match client_key(Some(authorization), key) {
        Ok(digest) => assert_eq!(digest.to_hex().len(), 64),
        Err(refusal) => assert_eq!(refusal.status(), 401),
    }
    if authorization.len() > KEY_LEN_MAX + 16 && key.is_none() {
        assert!(client_key(Some(authorization), None).is_err(), "unbounded");
    }
    let _ = presented(Some(authorization), key, None);
    let _ = presented(None, Some(authorization), key);
    let settings = settings();
    if let Some(assertion) = Assertion::parse(authorization) {
        let access = Settings::parse(|name| match name {
            "ACCESS_TEAM_DOMAIN" => Some("team.cloudflareaccess.com".to_owned()),
            "ACCESS_AUDIENCE" => Some("a".repeat(64)),
            "ACCESS_ADMINS" => Some("a@example.com".to_owned()),
            _ => settings_value(name),
        });
        if let Some(access) = &access.access {
            assert!(
                assertion.identity(access, NOW).is_none(),
                "nobody vouches here"
            );
        }
    }
    if let Some(keys) = KeySet::parse(authorization.as_bytes()) {
        let _ = keys.key("k");
    }
    assert_eq!(gateway::auth::token_role(authorization, &settings), None);
}

fn loops(came: &str) {
    let own = InstanceId::of(&Secret::new(ENCRYPTION_KEY));
    match hops::next(Some(came), &own) {
        Ok(value) => {
            let hops: Vec<&str> = value.split(", ").collect();
            assert!(
                hops.len() <= HOPS_MAX && hops.last() == Some(&own.as_str()),
                "{value}"
            );
            assert!(
                hops::next(Some(&value), &own).is_err(),
                "a loop is not seen"
            );
        }
        Err(refusal) => assert_eq!(refusal.status(), 508, "{refusal:?}"),
    }
    if named_in_connection(Some(came), "x") {
        assert!(came.to_ascii_lowercase().contains('x'));
    }
}

fn settings_value(name: &str) -> Option<String> {
    match name {
        "ADMIN_TOKEN" => Some("admin-token-of-the-fuzz-target".to_owned()),
        "ENCRYPTION_KEY" => Some(ENCRYPTION_KEY.to_owned()),
        _ => None,
    }
}

fn settings() -> Settings {
    Settings::parse(settings_value)
}

fn sessions(header: &str, at: usize) {
    let settings = settings();
    let keyring = Keyring::new(ENCRYPTION_KEY, None).expect("a key");
    if let Some(value) = cookie_value(header) {
        assert!(header.contains(value) && !value.contains(';'));
        assert_eq!(
            Session::open(value, &keyring, &settings, NOW),
            None,
            "forged"
        );
    }
    let session = Session::beginning(Role::Admin, NOW);
    let sealed = session.seal(&keyring, &settings, [9; 12]).expect("small");
    let cookie = format!("a=b; {COOKIE}={sealed}");
    let value = cookie_value(&cookie).expect("its own cookie");
    assert_eq!(
        Session::open(value, &keyring, &settings, NOW),
        Some(session)
    );
    // Anything put in the place of a part of it closes it.
    let Some(byte) = header.chars().next() else {
        return;
    };
    let at = at % sealed.len();
    let spoiled: String = sealed
        .chars()
        .enumerate()
        .map(|(index, own)| if index == at { byte } else { own })
        .collect();
    if spoiled != sealed {
        // Base64 has bits at its end that count for nothing, but they must be zero.
        assert_eq!(
            Session::open(&spoiled, &keyring, &settings, NOW),
            None,
            "{spoiled}"
        );
    }
}

fn origins(list: &str, origin: Option<&str>) {
    let Ok(cors) = Cors::parse(list) else {
        return;
    };
    for (name, value) in cors.headers("/v1/models", origin) {
        if name == "access-control-allow-origin" {
            let is_listed = || list.split(',').any(|listed| listed.trim() == value);
            assert!(
                value == "*" || (Some(value.as_str()) == origin && is_listed()),
                "{value}"
            );
        }
    }
    assert!(
        cors.headers("/api/keys", origin).is_empty(),
        "the control plane has no other origin"
    );
}

fn collected(lines: &[String]) {
    let fields: Vec<(String, String)> = lines
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let bytes: usize = fields
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let fits = fields.len() <= HEADERS_LEN_MAX && bytes <= HEADER_BYTES_MAX;
    match RequestHeaders::collect(fields) {
        Ok(headers) => {
            assert!(fits);
            for (name, _) in headers.forwarded() {
                let stays = [
                    "authorization",
                    "cookie",
                    "app-name",
                    "x-api-key",
                    "connection",
                    "host",
                ];
                assert!(!stays.contains(&name) && !name.starts_with("cf-"), "{name}");
            }
        }
        Err(refusal) => assert!(!fits && refusal.status() == 431, "{refusal:?}"),
    }
}

fn lines_of_attempts(text: &str) {
    if let Some(attempt) = Attempt::decode(text) {
        assert_eq!(Attempt::decode(&attempt.encode()), Some(attempt));
    }
    if let Some(until) = decode_verdict(text) {
        assert_eq!(decode_verdict(&encode_verdict(Some(until))), Some(until));
    }
    let attempt = Attempt {
        address: Address::of(Some(text)),
        limit: 3,
        wrong: true,
    };
    assert_eq!(
        Attempt::decode(&attempt.encode()),
        Some(attempt),
        "an address of any text"
    );
}
