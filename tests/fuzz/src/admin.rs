//! 管理接口的请求体：要么拒绝，要么样样在界内。
//!
//! Bodies of the control plane. The oracles: a refusal is 400 or 422 and names a field; what is accepted is within
//! the bounds that the document gives, a base URL is one that the WHATWG parser takes for the same host without
//! credentials, and what was accepted is accepted again.

use admission::Instant;
use gateway::admin_api::{
    Change, DatabaseFault, KeyCreate, KeyPatch, KeyRotate, Rules, ServerCreate, ServerOrder,
    ServerPatch, ServerReplace, ServerSettings, SignIn, bounds,
};
use gateway::error::GatewayError;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use url::{Host, Url};

use crate::input::Input;

/// 2026-11-23T08:00:00Z.
const NOW: Instant = Instant::from_millis(1_795_420_800_000);

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let which = input.byte();
    let flags = input.byte();
    let rules = Rules {
        allow_http_upstream: flags & 1 == 1,
        allow_private_upstream: flags & 2 == 2,
        own_url: Some("https://gateway.example.com/api/servers"),
    };
    let body = input.rest();
    match which % 8 {
        0 => {
            if let Some(server) = taken(ServerCreate::parse(body, rules)) {
                server_is_bounded(&server.settings, rules);
                let again = object_of(&server.settings, server.api_key.expose());
                let again =
                    ServerCreate::parse(again.to_string().as_bytes(), rules).expect("again");
                assert_eq!(again.settings, server.settings);
            }
        }
        1 => {
            if let Some(server) = taken(ServerReplace::parse(body, rules)) {
                server_is_bounded(&server.settings, rules);
            }
        }
        2 => {
            if let Some(patch) = taken(ServerPatch::parse(body, rules))
                && let Some(url) = patch.base_url.as_set()
            {
                url_is_allowed(url, rules);
            }
        }
        3 => {
            if let Some(order) = taken(ServerOrder::parse(body)) {
                let distinct: BTreeSet<&String> = order.ids.iter().collect();
                assert_eq!(distinct.len(), order.ids.len());
                assert!(order.ids.len() as u64 <= bounds::SERVERS_LEN_MAX);
            }
        }
        4 => {
            if let Some(key) = taken(KeyCreate::parse(body, NOW)) {
                assert!(key.expires_at.is_none_or(|at| at > NOW));
                assert!((1..=bounds::NAME_CHARS_MAX).contains(&key.name.chars().count()));
            }
        }
        5 => {
            if let Some(key) = taken(KeyPatch::parse(body))
                && let Change::Set(name) = key.name
            {
                assert!((1..=bounds::NAME_CHARS_MAX).contains(&name.chars().count()));
            }
        }
        6 => {
            if let Some(rotation) = taken(KeyRotate::parse(body)) {
                let until = rotation.previous_expires_at(NOW);
                assert_eq!(until.is_some(), rotation.grace_seconds > 0);
            }
        }
        _ => {
            if let Some(sign_in) = taken(SignIn::parse(body)) {
                assert!(!sign_in.token.expose().is_empty());
            }
            taken(DatabaseFault::parse(body));
        }
    }
}

fn taken<T>(parsed: Result<T, GatewayError>) -> Option<T> {
    match parsed {
        Ok(value) => Some(value),
        Err(refusal) => {
            assert!(matches!(refusal.status(), 400 | 422), "{refusal:?}");
            let body: Value =
                serde_json::from_str(&refusal.body("req_1")).expect("an error is JSON");
            assert!(body["error"]["message"].is_string());
            None
        }
    }
}

fn server_is_bounded(server: &ServerSettings, rules: Rules<'_>) {
    assert!((1..=bounds::NAME_CHARS_MAX).contains(&server.name.chars().count()));
    assert!((1..=bounds::MODELS_LEN_MAX).contains(&server.models.len()));
    for model in &server.models {
        assert!(
            (1..=bounds::MODEL_CHARS_MAX).contains(&model.chars().count()),
            "{model}"
        );
    }
    url_is_allowed(&server.base_url, rules);
}

fn url_is_allowed(text: &str, rules: Rules<'_>) {
    let url = Url::parse(text).expect("a URL");
    assert!(
        url.username().is_empty() && url.password().is_none(),
        "{text}"
    );
    assert!(url.query().is_none() && url.fragment().is_none(), "{text}");
    let host = url.host().expect("a host");
    let is_loopback = match &host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    };
    let may_be_http = rules.allow_http_upstream || is_loopback;
    assert!(
        url.scheme() == "https" || (url.scheme() == "http" && may_be_http),
        "{text}"
    );
    if !rules.allow_private_upstream {
        let is_private = match &host {
            Host::Domain(_) => false,
            Host::Ipv4(address) => address.is_private() || address.is_link_local(),
            Host::Ipv6(address) => address.is_unique_local() || address.is_unicast_link_local(),
        };
        assert!(!is_private, "{text} leads into a private network");
    }
    assert!(!text.ends_with('/') && !text.chars().any(|c| c.is_whitespace() || c.is_control()));
    let is_itself = url.host_str() == Some("gateway.example.com")
        && matches!(url.port_or_known_default(), Some(80 | 443));
    assert!(!is_itself, "{text} is the gateway itself");
}

fn object_of(settings: &ServerSettings, api_key: &str) -> Value {
    json!({
        "name": settings.name, "base_url": settings.base_url, "models": settings.models,
        "enabled": settings.enabled, "rpm_limit": settings.rpm_limit, "tpm_limit": settings.tpm_limit,
        "max_concurrency": settings.max_concurrency, "queue_max": settings.queue_max,
        "queue_timeout_ms": settings.queue_timeout_ms, "on_full": settings.on_full.as_str(),
        "overflow": settings.overflow, "upstream_timeout_ms": settings.upstream_timeout_ms, "api_key": api_key,
    })
}
