//! 逐条走遍路由表：每种凭据得到表上所写的结果。
//!
//! The table of routes is the code's own. What is not in it does not exist, whoever asks.

use gateway::routes::{Access, ENDPOINTS};
use gateway_tests::harness::{APP, Gateway};
use libtest_mimic::Trial;

use super::{cookie, expired_cookie, sign_in};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        every_route_answers_every_credential_as_the_table_says,
        what_is_not_in_the_table_does_not_exist
    ]
}

/// A kind of caller: what he sends, and what he may use.
struct Caller {
    name: &'static str,
    header: Option<(&'static str, String)>,
    may: fn(Access) -> bool,
    /// The status of what he may not use.
    refused: fn(Access) -> (u16, &'static str),
}

fn unknown(access: Access) -> (u16, &'static str) {
    match access {
        Access::Client => (401, "invalid_api_key"),
        Access::Public | Access::Viewer | Access::Admin => (401, "unauthorized"),
    }
}

fn forbidden_or_unknown(access: Access) -> (u16, &'static str) {
    match access {
        Access::Admin => (403, "forbidden"),
        other => unknown(other),
    }
}

async fn callers(gateway: &Gateway) -> Vec<Caller> {
    let key = gateway.key("walk").create().await;
    let bearer = |token: &str| Some(("authorization", format!("Bearer {token}")));
    let session = async |token: &str| {
        let begun = sign_in(gateway, token).await.expect(200);
        Some(("cookie", cookie(&begun)))
    };
    let caller = |name, header, may, refused| Caller {
        name,
        header,
        may,
        refused,
    };
    let reads: fn(Access) -> bool = |access| matches!(access, Access::Public | Access::Viewer);
    let rules: fn(Access) -> bool = |access| access != Access::Client;
    let nothing: fn(Access) -> bool = |access| access == Access::Public;
    let admin = gateway.admin_token();
    let viewer = gateway.viewer_token();
    vec![
        caller("nobody", None, nothing, unknown),
        caller(
            "a gateway key",
            bearer(&key.secret),
            |access| matches!(access, Access::Public | Access::Client),
            unknown,
        ),
        caller("the viewer", bearer(viewer), reads, forbidden_or_unknown),
        caller("the admin", bearer(admin), rules, unknown),
        caller(
            "the viewer's session",
            session(viewer).await,
            reads,
            forbidden_or_unknown,
        ),
        caller("the admin's session", session(admin).await, rules, unknown),
        caller(
            "an expired session",
            Some(("cookie", expired_cookie(gateway))),
            nothing,
            unknown,
        ),
        caller(
            "a forged session",
            Some((
                "cookie",
                format!("{}=v1.00000000.AAAA.AAAA", gateway::session::COOKIE),
            )),
            nothing,
            unknown,
        ),
    ]
}

async fn every_route_answers_every_credential_as_the_table_says() {
    let gateway = Gateway::serve().with_faults().start().await;
    let callers = callers(&gateway).await;
    let mut outcomes = 0;
    for endpoint in ENDPOINTS {
        let path = endpoint.pattern.replace("{id}", "none");
        let access = endpoint.access();
        for caller in &callers {
            let mut request = gateway
                .request(endpoint.method, &path)
                .header("app-name", APP)
                .header("content-type", "application/json");
            if endpoint.method != "GET" {
                request = request.body("{}");
            }
            if let Some((name, value)) = &caller.header {
                request = request.header(name, value);
            }
            let answer = request.send().await;
            let (name, method) = (caller.name, endpoint.method);
            let seen = (answer.status, answer.code_if_error());
            let (status, code) = (caller.refused)(access);
            if (caller.may)(access) {
                // Let in: what comes then (a missing object, an empty body) is another rule's business.
                assert_ne!(seen.1, code, "{name}: {method} {path}: {seen:?}");
                assert!(seen.0 < 500, "{name}: {method} {path}: {seen:?}");
                assert_ne!(seen.0, 403, "{name}: {method} {path}: {seen:?}");
            } else {
                let expected = (status, code.to_owned());
                assert_eq!(seen, expected, "{name}: {method} {path}");
            }
            outcomes += 1;
        }
    }
    println!("{outcomes} outcomes of {} routes", ENDPOINTS.len());
    assert_eq!(outcomes, ENDPOINTS.len() * callers.len());
}

async fn what_is_not_in_the_table_does_not_exist() {
    let gateway = Gateway::serve().start().await;
    for path in [
        "/api",
        "/api/",
        "/api/admin",
        "/api/servers/",
        "/api//servers",
        "/api/servers/none/secret",
        "/api/servers/none/live/more",
        "/api/servers/a%2Fb",
        "/API/servers",
        "/api/session/none",
        "/api/faults/limiter/none/reset",
        "/v1",
        "/v1/",
        "/v1/engines",
        "/v1/chat",
        "/v1/chat/completions/",
        "/v1/../api/servers/x/../y/z",
        "/health/live",
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let answer = gateway.admin(method, path).send().await;
            assert!(
                matches!(answer.status, 404 | 405),
                "{method} {path}: {answer:?}"
            );
        }
    }
    for endpoint in ENDPOINTS {
        let path = endpoint.pattern.replace("{id}", "none");
        for method in ["OPTIONS", "PROPFIND"] {
            let answer = gateway.admin(method, &path).send().await;
            assert!(
                matches!(answer.status, 404 | 405),
                "{method} {path}: {answer:?}"
            );
        }
    }
}
