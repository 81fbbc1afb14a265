//! 上游请求与头部规则的测试。
//!
//! Tests of what goes upstream and what comes back.

use admission::protocol::AcquireAnswer;

use super::*;
use crate::config::tests::server;

/// Permits come only from the core or from its answer.
fn permit() -> Permit {
    match AcquireAnswer::decode("s=g&t=req-1&k=10&g=5") {
        Ok(AcquireAnswer::Granted(grant)) => grant.permit,
        other => panic!("not a grant: {other:?}"),
    }
}

#[test]
fn url_is_base_url_and_path_without_v1() {
    for (base, path, expected) in [
        (
            "https://a.example/v1",
            "/v1/chat/completions",
            "https://a.example/v1/chat/completions",
        ),
        (
            "https://a.example/x/",
            "/v1/chat/completions",
            "https://a.example/x/chat/completions",
        ),
        (
            "https://a.example",
            "/v1/models?limit=1",
            "https://a.example/models?limit=1",
        ),
        (
            "https://a.example",
            "/v1beta/x",
            "https://a.example/v1beta/x",
        ),
    ] {
        assert_eq!(url(base, path), expected);
    }
}

#[test]
fn upstream_request_carries_the_servers_own_key_and_timeout() {
    let mut server = server("a", 1, &["m"]);
    let request = UpstreamRequest::new(
        &permit(),
        &server,
        Endpoint::ChatCompletions,
        Cow::Borrowed(b"{}"),
    );
    assert_eq!(request.url, "https://llm.example/v1/chat/completions");
    let bearer = (
        "authorization",
        Secret::new("Bearer sk-upstream-0123456789"),
    );
    assert_eq!(request.credentials, std::slice::from_ref(&bearer));
    let messages =
        UpstreamRequest::new(&permit(), &server, Endpoint::Messages, Cow::Borrowed(b"{}"));
    assert_eq!(messages.url, "https://llm.example/v1/messages");
    let key = ("x-api-key", Secret::new("sk-upstream-0123456789"));
    assert_eq!(messages.credentials, [key, bearer]);
    assert_eq!(request.timeout, Duration::from_secs(30));
    server.api_key = None;
    let without = UpstreamRequest::new(&permit(), &server, Endpoint::Messages, Cow::Borrowed(b""));
    assert_eq!(without.credentials, []);
}

#[test]
fn credentials_gateway_headers_and_hop_headers_never_go_upstream() {
    for name in [
        "Authorization",
        "x-api-key",
        "api-key",
        "App-Name",
        "cookie",
        "cf-ray",
        "CF-Connecting-IP",
        "cf-access-jwt-assertion",
        "x-forwarded-for",
        "X-Forwarded-Proto",
        "x-real-ip",
        "forwarded",
        "true-client-ip",
        "via",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-authorization",
        "proxy-connection",
        "host",
        "content-length",
        "accept-encoding",
        "x-request-id",
        "x-queue-timeout",
        "x-queue-progress",
        "origin",
        "referer",
        "sec-fetch-mode",
    ] {
        assert!(!forwards_request_header(name), "{name}");
    }
    for name in [
        "content-type",
        "accept",
        "user-agent",
        "openai-organization",
        "openai-project",
        "openai-beta",
        "anthropic-version",
        "x-stainless-lang",
        "idempotency-key",
        "traceparent",
        "x-custom",
        "content-encoding",
    ] {
        assert!(forwards_request_header(name), "{name}");
    }
}

#[test]
fn headers_of_the_hop_and_of_the_gateway_do_not_come_back() {
    for name in [
        "Set-Cookie",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "x-request-id",
        "X-RateLimit-Remaining-Requests",
        "alt-svc",
        "server-timing",
        "cf-ray",
        "x-gateway-server",
        "x-queue-wait-ms",
        "x-config-version",
        "access-control-allow-origin",
        "clear-site-data",
    ] {
        assert!(!returns_response_header(name), "{name}");
    }
    for name in [
        "content-type",
        "retry-after",
        "openai-processing-ms",
        "openai-version",
        "cache-control",
        "location",
        "x-should-retry",
    ] {
        assert!(returns_response_header(name), "{name}");
    }
}

#[test]
fn connection_header_names_further_hop_headers() {
    assert!(named_in_connection(
        Some("keep-alive, X-Private"),
        "x-private"
    ));
    assert!(!named_in_connection(Some("keep-alive"), "x-private"));
    assert!(!named_in_connection(None, "x-private"));
}

#[test]
fn resets_are_written_as_openai_writes_them() {
    for (ms, expected) in [
        (0, "0s"),
        (20, "20ms"),
        (1_000, "1s"),
        (7_660, "7.66s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (90_500, "1m30.5s"),
        (360_000, "6m0s"),
        (3_602_000, "1h0m2s"),
    ] {
        assert_eq!(reset_text(Duration::from_millis(ms)), expected);
    }
}

#[test]
fn rate_limit_headers_tell_both_budgets_and_omit_an_unlimited_one() {
    let facts = AdmissionFacts {
        requests: Some(Budget {
            limit: 10,
            remaining: 9,
            reset: Duration::from_secs(6),
        }),
        ..AdmissionFacts::default()
    };
    assert_eq!(
        rate_limit_headers(&facts),
        [
            ("x-ratelimit-limit-requests", "10".to_owned()),
            ("x-ratelimit-remaining-requests", "9".to_owned()),
            ("x-ratelimit-reset-requests", "6s".to_owned())
        ]
    );
    let facts = AdmissionFacts {
        tokens: facts.requests,
        ..facts
    };
    assert_eq!(rate_limit_headers(&facts).len(), 6);
    assert!(rate_limit_headers(&AdmissionFacts::default()).is_empty());
}

#[test]
fn each_refusal_has_its_code_and_says_when_to_come_back() {
    for (reason, code) in [
        (RefusalReason::QueueTimeout, ErrorCode::QueueTimeout),
        (RefusalReason::QueueEvicted, ErrorCode::QueueEvicted),
        (RefusalReason::QueueFull, ErrorCode::QueueFull),
        (
            RefusalReason::DeadlineUnreachable,
            ErrorCode::DeadlineUnreachable,
        ),
        (RefusalReason::Overloaded, ErrorCode::ServerOverloaded),
        (RefusalReason::Disabled, ErrorCode::ModelNotFound),
        (RefusalReason::Cancelled, ErrorCode::InternalError),
    ] {
        let retry_after = Duration::from_secs(3);
        let error = queue_error(
            &Refusal {
                reason,
                retry_after,
                admission: AdmissionFacts::default(),
            },
            "s",
        );
        assert_eq!(error.code, code);
        let comes_back = !matches!(reason, RefusalReason::Disabled | RefusalReason::Cancelled);
        assert_eq!(
            error.retry_after,
            comes_back.then_some(retry_after),
            "{reason:?}"
        );
    }
}

#[test]
fn failures_of_the_upstream_have_their_codes_and_hide_details() {
    let error = unreachable("s", "connection refused by 10.0.0.1");
    assert_eq!(error.code, ErrorCode::UpstreamUnreachable);
    assert!(!error.body("r").contains("10.0.0.1"));
    assert!(
        timed_out(&server("a", 1, &["m"]))
            .message
            .contains("30000 ms")
    );
    assert_eq!(truncated("s").code, ErrorCode::UpstreamStreamTruncated);
}

#[test]
fn a_name_of_any_script_becomes_a_header_value_that_can_be_read_back() {
    assert_eq!(header_text("primary (eu)"), "primary (eu)");
    assert_eq!(
        header_text("主服务器"),
        "%E4%B8%BB%E6%9C%8D%E5%8A%A1%E5%99%A8"
    );
    assert_eq!(header_text("100% a\r\nb"), "100%25 a%0D%0Ab");
}

#[test]
fn a_request_is_late_when_its_grant_is_older_than_the_guard_has_room_for() {
    let (permit, limited) = (permit(), server("a", 1, &["m"]));
    let at = |delay| permit.granted_at().saturating_add(delay);
    let late = at(SEND_DELAY_MAX + Duration::from_millis(1));
    assert!(!is_sent_late(&permit, &limited, at(SEND_DELAY_MAX)));
    assert!(is_sent_late(&permit, &limited, late));
    let unlimited = Server {
        rpm_limit: None,
        tpm_limit: None,
        ..limited
    };
    assert!(!is_sent_late(&permit, &unlimited, late));
    assert!(
        SENDING_WATCHED < SEND_DELAY_MAX,
        "an idle isolate is never late"
    );
}
