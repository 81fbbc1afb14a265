//! 服务器表单规则的测试。
//!
//! The rules of the form of a server: faults of each field, what is sent, what saving would do, and the order
//! of a list. The body of a draft is judged by the gateway's own parser.

use super::*;

fn draft() -> Draft {
    Draft {
        name: "a".to_owned(),
        base_url: "https://api.example.com/v1".to_owned(),
        api_key: "sk-1".to_owned(),
        models: vec!["gpt-*".to_owned()],
        ..Draft::default()
    }
}

#[test]
fn a_complete_draft_has_no_fault_and_the_gateway_takes_its_body() {
    assert_eq!(draft().first_fault(true), None);
    let body = serde_json::to_vec(&draft().body()).unwrap();
    let read = gateway::admin_api::ServerCreate::parse(&body, gateway::admin_api::Rules::default())
        .unwrap();
    assert_eq!(
        (read.settings.queue_timeout_ms, read.settings.rpm_limit),
        (60_000, None)
    );
}

#[test]
fn each_field_tells_what_is_wrong_with_it() {
    let of = |field: &str, change: &dyn Fn(&mut Draft)| {
        let mut draft = draft();
        change(&mut draft);
        draft.fault(field, true)
    };
    assert_eq!(
        of("name", &|draft| draft.name = " ".to_owned()),
        Some(Fault::Missing)
    );
    assert_eq!(
        of("name", &|draft| draft.name = "甲".repeat(65)),
        Some(Fault::Long(64))
    );
    for bad in ["api.example.com", "https://", "ftp://a", "https://a b"] {
        assert_eq!(
            of("base_url", &|draft| draft.base_url = bad.to_owned()),
            Some(Fault::Url),
            "{bad}"
        );
    }
    for bad in ["https://u:p@a/v1", "https://a/v1?x=1", "https://a#b"] {
        assert_eq!(
            of("base_url", &|draft| draft.base_url = bad.to_owned()),
            Some(Fault::UrlExtra),
            "{bad}"
        );
    }
    assert_eq!(
        of("api_key", &|draft| draft.api_key.clear()),
        Some(Fault::Missing)
    );
    assert_eq!(
        of("api_key", &|draft| draft.api_key = "钥匙".to_owned()),
        Some(Fault::Key)
    );
    assert_eq!(
        of("models", &|draft| draft.models.clear()),
        Some(Fault::Missing)
    );
    assert_eq!(
        of("models", &|draft| draft.models = vec!["a*b".to_owned()]),
        Some(Fault::Star("a*b".to_owned()))
    );
    assert_eq!(
        of("rpm_limit", &|draft| draft.rpm_limit = "1.5".to_owned()),
        Some(Fault::Number)
    );
    assert_eq!(
        of("rpm_limit", &|draft| draft.rpm_limit =
            "1,000,001".to_owned()),
        Some(Fault::Range(0, 1_000_000))
    );
    assert_eq!(
        of("queue_timeout_ms", &|draft| draft.queue_timeout =
            "601".to_owned()),
        Some(Fault::Range(0, 600))
    );
    assert_eq!(
        of("upstream_timeout_ms", &|draft| draft.upstream_timeout =
            "0".to_owned()),
        Some(Fault::Range(1, 3_600))
    );
}

#[test]
fn only_what_was_changed_is_sent_and_an_empty_limit_is_none() {
    let stored = Draft {
        api_key: String::new(),
        rpm_limit: "10".to_owned(),
        ..draft()
    };
    let typed = Draft {
        rpm_limit: " ".to_owned(),
        tpm_limit: "60 000".to_owned(),
        ..stored.clone()
    };
    let changes = typed.changes(&stored);
    assert_eq!(
        Value::Object(changes),
        json!({ "rpm_limit": null, "tpm_limit": 60_000 })
    );
    assert!(stored.changes(&stored).is_empty());
    let key = Draft {
        api_key: "new".to_owned(),
        ..stored.clone()
    };
    assert_eq!(
        Value::Object(key.changes(&stored)),
        json!({ "api_key": "new" })
    );
}

#[test]
fn what_was_typed_stays_on_what_somebody_else_stored() {
    let base = draft();
    let mine = Draft {
        rpm_limit: "5".to_owned(),
        ..base.clone()
    };
    let theirs = Draft {
        tpm_limit: "9".to_owned(),
        rpm_limit: "7".to_owned(),
        ..base.clone()
    };
    let joined = mine.onto(&base, &theirs);
    assert_eq!(
        (joined.rpm_limit.as_str(), joined.tpm_limit.as_str()),
        ("5", "9")
    );
    assert_eq!(
        Value::Object(joined.changes(&theirs)),
        json!({ "rpm_limit": 5 })
    );
}

#[test]
fn a_limit_tells_what_saving_it_would_do() {
    assert_eq!(effect("10", Some(10), 50, 5), Effect::None);
    assert_eq!(effect("0", Some(10), 3, 0), Effect::Pause);
    assert_eq!(effect("5", Some(10), 7, 0), Effect::Over);
    assert_eq!(effect("20", Some(10), 10, 4), Effect::Release);
    assert_eq!(effect("", Some(10), 10, 4), Effect::Release);
    assert_eq!(effect("", Some(10), 10, 0), Effect::None);
    assert_eq!(effect("x", Some(10), 10, 4), Effect::None);
}

#[test]
fn one_is_moved_and_the_others_keep_their_order() {
    let ids = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
    assert_eq!(moved(&ids("abcd"), "a", 2), ids("bcad"));
    assert_eq!(moved(&ids("abcd"), "d", 0), ids("dabc"));
    assert_eq!(moved(&ids("abcd"), "b", 9), ids("acdb"));
    assert_eq!(moved(&ids("abcd"), "x", 1), ids("abcd"));
}
