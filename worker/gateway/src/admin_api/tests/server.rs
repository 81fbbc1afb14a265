//! 服务器对象：上下限、缺省、只读字段。
//!
//! Bounds and defaults of a server's fields, and that the read-only ones are refused or ignored.

use serde_json::{Value, json};

use super::super::*;
use super::{HTTPS_ONLY, create, patch, refused, replace, server, with};

#[test]
fn a_server_needs_four_fields_and_gets_defaults_for_the_rest() {
    let created = create(&server()).unwrap();
    assert_eq!(
        serde_json::to_value(&created.settings).unwrap(),
        json!({
            "name": "openai", "base_url": "https://api.openai.com/v1", "models": ["gpt-*"], "enabled": true,
            "rpm_limit": null, "tpm_limit": null, "max_concurrency": null, "queue_max": 100,
            "queue_timeout_ms": 60000, "on_full": "evict_oldest", "overflow": "wait",
            "upstream_timeout_ms": 600_000
        })
    );
    assert_eq!(created.api_key.expose(), "sk-1");
    for required in ["name", "base_url", "models", "api_key"] {
        refused(
            create(&with(server(), &json!({ required: "<absent>" }))),
            required,
        );
    }
}

/// Every way to write a server takes the good values of a field and refuses the bad ones alike.
#[track_caller]
fn check_field(field: &str, good: &Value, bad: &Value) {
    for value in good.as_array().unwrap() {
        let changed = json!({ field: value });
        assert!(create(&with(server(), &changed)).is_ok(), "{field} {value}");
        assert!(
            replace(&with(server(), &changed)).is_ok(),
            "{field} {value}"
        );
        assert!(patch(&changed).is_ok(), "{field} {value}");
    }
    for value in bad.as_array().unwrap() {
        let changed = json!({ field: value });
        let message = refused(create(&with(server(), &changed)), field);
        assert_eq!(refused(replace(&with(server(), &changed)), field), message);
        assert_eq!(refused(patch(&changed), field), message);
    }
}

#[test]
fn texts_are_within_their_bounds() {
    check_field(
        "name",
        &json!(["a", "字".repeat(64)]),
        &json!(["", "x".repeat(65), " a", "a ", "a\nb", "a\u{7f}", null, 1]),
    );
    check_field(
        "models",
        &json!([["*"], ["a*"], ["m".repeat(128)]]),
        &json!([
            [],
            [""],
            ["m".repeat(129)],
            ["a*b"],
            ["**"],
            ["a", "a"],
            ["a\t"],
            [1],
            [null],
            "gpt",
            null,
            {}
        ]),
    );
    check_field(
        "api_key",
        &json!(["a", "~".repeat(512)]),
        &json!(["", "~".repeat(513), "a b", "a\n", "ключ", null, 1]),
    );
    check_field(
        "base_url",
        &json!(["https://a.example", "http://127.0.0.1:1"]),
        &json!([
            "",
            "http://a.example",
            "https://u:p@a.example",
            "https://a.example?x",
            "https://a.example#x",
            null,
            []
        ]),
    );
}

#[test]
fn numbers_are_integers_within_their_bounds() {
    for (field, good, bad) in [
        (
            "rpm_limit",
            json!([null, 0, 1_000_000, 60.0, 1e3]),
            json!([1_000_001, -1, 1.5, 1e300, "10", true, []]),
        ),
        (
            "tpm_limit",
            json!([null, 0, 1_000_000_000]),
            json!([1_000_000_001, -1, -0.5]),
        ),
        (
            "max_concurrency",
            json!([null, 0, 100_000]),
            json!([100_001, -1]),
        ),
        (
            "queue_max",
            json!([0, 100_000]),
            json!([100_001, -1, null, u64::MAX]),
        ),
        (
            "queue_timeout_ms",
            json!([0, 600_000]),
            json!([600_001, -1, null]),
        ),
        (
            "upstream_timeout_ms",
            json!([1_000, 3_600_000]),
            json!([999, 3_600_001, null]),
        ),
    ] {
        check_field(field, &good, &bad);
    }
}

#[test]
fn flags_and_choices_take_nothing_that_resembles_them() {
    for (field, good, bad) in [
        ("enabled", json!([true, false]), json!([0, 1, "true", null])),
        (
            "on_full",
            json!(["evict_oldest", "reject_newest"]),
            json!(["EvictOldest", "", null, 0]),
        ),
        (
            "overflow",
            json!(["wait", "next_server"]),
            json!(["none", null, false]),
        ),
    ] {
        check_field(field, &good, &bad);
    }
}

#[test]
fn a_server_has_at_most_256_models() {
    let models =
        |count: usize| json!({"models": (0..count).map(|n| n.to_string()).collect::<Vec<_>>()});
    assert!(patch(&models(256)).is_ok());
    refused(patch(&models(257)), "models");
}

#[test]
fn a_message_says_what_was_expected_and_what_came() {
    for (field, value, message) in [
        (
            "rpm_limit",
            json!(1.5),
            "`rpm_limit` must be an integer from 0 to 1000000 or null, but it is the number 1.5.",
        ),
        (
            "queue_max",
            json!("10"),
            "`queue_max` must be an integer from 0 to 100000, but it is a text of 2 characters.",
        ),
        (
            "overflow",
            json!(null),
            "`overflow` must be \"wait\" or \"next_server\", but it is null.",
        ),
        (
            "models",
            json!(["a", "a*b"]),
            "`models` has at index 1 a name with `*` elsewhere than at its end.",
        ),
        (
            "base_url",
            json!("https://a.example?q"),
            "`base_url` must not contain a query.",
        ),
    ] {
        assert_eq!(refused(patch(&json!({ field: value })), field), message);
    }
}

#[test]
fn fields_that_the_gateway_sets_are_refused_except_in_a_replacement() {
    for field in [
        "id",
        "position",
        "version",
        "created_at",
        "updated_at",
        "api_key_hint",
        "key_state",
    ] {
        let message = refused(patch(&json!({ field: 1 })), field);
        assert!(message.contains("set by the gateway"));
        refused(create(&with(server(), &json!({ field: 1 }))), field);
        assert!(replace(&with(server(), &json!({ field: 1 }))).is_ok());
    }
}

#[test]
fn what_get_answers_can_be_put_back_and_keeps_the_stored_key() {
    let mut body = with(server(), &json!({"api_key": "<absent>", "rpm_limit": 5}));
    for (field, value) in [
        ("id", "srv_1"),
        ("api_key_hint", "1234"),
        ("created_at", "2026-11-23T08:00:00.000Z"),
    ] {
        body[field] = json!(value);
    }
    let replaced = replace(&body).unwrap();
    assert!(replaced.api_key.is_none());
    assert_eq!(ServerPatch::from(replaced).rpm_limit, Change::Set(Some(5)));
}

#[test]
fn http_upstreams_need_the_rule_that_allows_them() {
    let body = json!({"base_url": "http://llm.example:8000"}).to_string();
    let parse = |allow_http_upstream| {
        let rules = Rules {
            allow_http_upstream,
            ..HTTPS_ONLY
        };
        ServerPatch::parse(body.as_bytes(), rules)
    };
    assert!(parse(true).is_ok());
    assert!(refused(parse(false), "base_url").contains("ALLOW_HTTP_UPSTREAM"));
}

#[test]
fn private_upstreams_and_the_gateway_itself_are_refused_for_every_way_to_write_a_server() {
    for (base_url, reason) in [
        ("https://169.254.169.254/latest", "ALLOW_PRIVATE_UPSTREAM"),
        ("https://gw.example/v1", "this gateway"),
    ] {
        let rules = Rules {
            own_url: Some("https://gw.example/api/servers"),
            ..HTTPS_ONLY
        };
        let changed = json!({ "base_url": base_url });
        let whole = with(server(), &changed).to_string();
        for message in [
            refused(ServerCreate::parse(whole.as_bytes(), rules), "base_url"),
            refused(ServerReplace::parse(whole.as_bytes(), rules), "base_url"),
            refused(
                ServerPatch::parse(changed.to_string().as_bytes(), rules),
                "base_url",
            ),
        ] {
            assert!(message.contains(reason), "{message}");
        }
    }
}

#[test]
fn an_empty_patch_changes_nothing() {
    assert_eq!(
        serde_json::to_value(patch(&json!({})).unwrap()).unwrap(),
        json!({})
    );
}

#[test]
fn a_serialized_patch_has_what_was_set_and_no_api_key() {
    let patch = patch(&json!({"rpm_limit": null, "queue_max": 3, "api_key": "sk-canary"})).unwrap();
    assert_eq!(
        serde_json::to_value(&patch).unwrap(),
        json!({"rpm_limit": null, "queue_max": 3})
    );
    assert!(!format!("{patch:?}").contains("canary"));
}

#[test]
fn an_order_is_an_array_of_distinct_ids() {
    let parse = |body: Value| ServerOrder::parse(body.to_string().as_bytes());
    assert_eq!(parse(json!({"ids": ["b", "a"]})).unwrap().ids, ["b", "a"]);
    let too_many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    for bad in [
        json!(["a", "a"]),
        json!([1]),
        json!("a"),
        json!(null),
        json!(too_many),
    ] {
        refused(parse(json!({ "ids": bad })), "ids");
    }
    refused(parse(json!({})), "ids");
    refused(parse(json!({"ids": [], "id": 1})), "id");
}
