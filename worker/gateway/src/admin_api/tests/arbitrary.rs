//! 任意输入：校验从不恐慌，拒绝总有理由。
//!
//! Arbitrary input never makes validation panic, and a refusal names its reason.

use admission::time::Instant;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use super::{HTTPS_ONLY, patch};
use crate::error::ErrorCode;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
        "https?://[a-z0-9.:@/?#\\\\\\[\\]%]{0,40}".prop_map(Value::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.Z+-]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..6)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

fn any_object() -> impl Strategy<Value = Value> {
    let known = prop::sample::select(vec![
        "name",
        "base_url",
        "models",
        "enabled",
        "rpm_limit",
        "tpm_limit",
        "max_concurrency",
        "queue_max",
        "queue_timeout_ms",
        "on_full",
        "overflow",
        "upstream_timeout_ms",
        "api_key",
        "app",
        "expires_at",
        "ids",
        "id",
    ]);
    let name = prop_oneof![9 => known.prop_map(str::to_owned), 1 => ".{0,12}"];
    prop::collection::vec((name, any_json()), 0..8).prop_map(|fields| fields.into_iter().collect())
}

/// Parses the body as everything it could be meant for; what is refused has a message.
fn parse_as_everything(body: &[u8]) {
    let now = Instant::from_millis(1);
    let errors = [
        ServerCreate::parse(body, HTTPS_ONLY).err(),
        ServerReplace::parse(
            body,
            Rules {
                allow_http_upstream: true,
                allow_private_upstream: true,
                own_url: None,
            },
        )
        .err(),
        ServerPatch::parse(body, HTTPS_ONLY).err(),
        ServerOrder::parse(body).err(),
        KeyCreate::parse(body, now).err(),
        KeyPatch::parse(body).err(),
    ];
    for error in errors.into_iter().flatten() {
        let known = [
            ErrorCode::InvalidField,
            ErrorCode::InvalidJson,
            ErrorCode::BodyTooLarge,
        ];
        assert!(known.contains(&error.code), "{error:?}");
        assert!(error.message.len() < 400, "{error:?}");
    }
}

proptest! {
    #[test]
    fn no_json_makes_validation_panic(object in any_object(), other in any_json()) {
        parse_as_everything(object.to_string().as_bytes());
        parse_as_everything(other.to_string().as_bytes());
    }

    #[test]
    fn no_bytes_make_validation_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        parse_as_everything(&bytes);
    }

    #[test]
    fn no_query_or_header_makes_parsing_panic(text in ".{0,100}") {
        let _ = Page::parse(&text);
        let _ = Page::parse(&format!("cursor={text}&limit={text}"));
        let _ = if_match(Some(&text));
        let _ = check_content_type(Some(&text));
        let _ = parse_rfc3339(&text);
    }

    #[test]
    fn whatever_is_accepted_as_a_base_url_is_parsed_alike_by_the_url_standard(text in "https?://[a-z0-9.:/%@?#-]{1,30}") {
        if let Ok(patch) = patch(&json!({"base_url": text})) {
            let stored = patch.base_url.into_set().unwrap();
            let url = url::Url::parse(&format!("{stored}/chat/completions")).unwrap();
            prop_assert!(url.host_str().is_some_and(|host| !host.is_empty()));
            prop_assert!(url.username().is_empty() && url.password().is_none());
            prop_assert!(url.query().is_none() && url.fragment().is_none());
            prop_assert!(url.path().ends_with("/chat/completions"));
        }
    }
}
