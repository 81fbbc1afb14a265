//! 身份：谁能用哪条路由，登录、会话与退出。
//!
//! Every route of the table with every kind of credential; sessions and what a browser of another site can
//! do with them (nothing); addresses that guess tokens; identities that Cloudflare Access vouches for.

mod access;
mod guessing;
mod routes;

use gateway::auth::Role;
use gateway::envelope::Keyring;
use gateway::session::{COOKIE, Session};
use gateway::settings::Settings;
use gateway_tests::harness::{Answer, Gateway};
use libtest_mimic::Trial;
use serde_json::json;

use crate::stage;

pub(crate) fn trials() -> Vec<Trial> {
    let own = crate::trials![
        session_signs_in_with_either_token_and_out,
        session_changes_what_its_role_may,
        session_is_useless_to_another_site,
        session_ends_with_its_token,
        session_bodies_are_checked,
    ];
    [own, routes::trials(), guessing::trials(), access::trials()]
        .into_iter()
        .flatten()
        .collect()
}

/// The `name=value` of the session that an answer begins.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").expect("a cookie");
    set.split(';').next().unwrap_or_default().to_owned()
}

async fn sign_in(gateway: &Gateway, token: &str) -> Answer {
    let body = json!({ "token": token });
    gateway
        .request("POST", "/api/session")
        .json(&body)
        .send()
        .await
}

async fn session_signs_in_with_either_token_and_out() {
    let gateway = stage::gateway().await;
    for (token, role) in [
        (gateway.admin_token(), "admin"),
        (gateway.viewer_token(), "viewer"),
    ] {
        let begun = sign_in(gateway, token).await.expect(200);
        let set = begun.header("set-cookie").expect("a cookie").to_owned();
        for attribute in [
            "HttpOnly",
            "Secure",
            "SameSite=Strict",
            "Path=/",
            "Max-Age=43200",
        ] {
            assert!(set.contains(attribute), "{set}");
        }
        assert!(!set.contains(token) && !begun.text().contains(token));
        let view = begun.json();
        assert_eq!(
            (&view["role"], &view["via"]),
            (&json!(role), &json!("session"))
        );
        let read = gateway.request("GET", "/api/session");
        let read = read.header("cookie", &cookie(&begun)).send().await;
        assert_eq!(read.expect(200).json(), view);
    }
    let by_token = gateway
        .admin("GET", "/api/session")
        .send()
        .await
        .expect(200);
    assert_eq!(
        by_token.json(),
        json!({"role": "admin", "via": "token", "email": null, "expires_at": null})
    );
    let ended = gateway.request("DELETE", "/api/session").send().await;
    let ended = ended.expect(204);
    let cleared = ended.header("set-cookie").expect("a cookie");
    assert!(cleared.starts_with(&format!("{COOKIE}=;")) && cleared.contains("Max-Age=0"));
    gateway
        .request("GET", "/api/session")
        .send()
        .await
        .expect_error(401, "unauthorized");
}

async fn session_changes_what_its_role_may() {
    let gateway = stage::gateway().await;
    let admin = cookie(&sign_in(gateway, gateway.admin_token()).await);
    let viewer = cookie(&sign_in(gateway, gateway.viewer_token()).await);
    let create = |cookie: &str| {
        gateway
            .request("POST", "/api/keys")
            .header("cookie", cookie)
            .header("sec-fetch-site", "same-origin")
            .json(&json!({"name": "by session"}))
    };
    create(&viewer).send().await.expect_error(403, "forbidden");
    let created = create(&admin).send().await.expect(201).json();
    let path = format!("/api/keys/{}", created["id"].as_str().expect("an id"));
    let read = gateway.request("GET", &path).header("cookie", &viewer);
    assert_eq!(read.send().await.expect(200).json()["name"], "by session");
    // A header is what a program means, whatever a browser adds.
    let both = gateway.request("DELETE", &path).header("cookie", &admin);
    both.token(gateway.viewer_token())
        .send()
        .await
        .expect_error(403, "forbidden");
    gateway.admin("DELETE", &path).send().await.expect(204);
}

async fn session_is_useless_to_another_site() {
    let gateway = stage::gateway().await;
    let admin = cookie(&sign_in(gateway, gateway.admin_token()).await);
    let change = || {
        gateway
            .request("POST", "/api/keys")
            .header("cookie", &admin)
            .json(&json!({"name": "by another site"}))
    };
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let refused = change().header(name, value).send().await;
        refused.expect_error(403, "forbidden");
    }
    let own = change().header("origin", gateway.base_url()).send().await;
    let created = own.expect(201).json();
    let path = format!("/api/keys/{}", created["id"].as_str().expect("an id"));
    gateway.admin("DELETE", &path).send().await.expect(204);
}

async fn session_ends_with_its_token() {
    let state = tempfile::TempDir::with_prefix("sluice-session-").expect("a temporary directory");
    let gateway = Gateway::serve().state(state.path()).start().await;
    let begun = sign_in(&gateway, gateway.admin_token()).await.expect(200);
    let cookie = cookie(&begun);
    drop(gateway);
    let again = async |start: gateway_tests::harness::Start| {
        let gateway = start.state(state.path()).start().await;
        let read = gateway.request("GET", "/api/session");
        read.header("cookie", &cookie).send().await
    };
    again(Gateway::serve()).await.expect(200);
    let other = Gateway::serve().variable("ADMIN_TOKEN", "another-admin-token-0123456789");
    again(other).await.expect_error(401, "unauthorized");
}

async fn session_bodies_are_checked() {
    let gateway = stage::gateway().await;
    for body in [
        json!({}),
        json!({"token": 1}),
        json!({"token": ""}),
        json!({"token": "x".repeat(257)}),
        json!({"token": "x", "more": 1}),
    ] {
        let sent = gateway.request("POST", "/api/session").json(&body);
        sent.send().await.expect_error(422, "invalid_field");
    }
    let plain = gateway.request("POST", "/api/session").body("token=x");
    plain
        .header("content-type", "text/plain")
        .send()
        .await
        .expect_error(415, "unsupported_media_type");
    sign_in(gateway, "neither-of-the-two-tokens")
        .await
        .expect_error(401, "unauthorized");
}

/// The cookie of a session that was real and is over.
fn expired_cookie(gateway: &Gateway) -> String {
    let keyring = Keyring::new(gateway_tests::harness::ENCRYPTION_KEY, None).expect("a key");
    let token = gateway.admin_token().to_owned();
    let settings = Settings::parse(|name| (name == "ADMIN_TOKEN").then(|| token.clone()));
    let session = Session {
        role: Role::Admin,
        expires_at: admission::Instant::from_millis(1_700_000_000_000),
    };
    let value = session
        .seal(&keyring, &settings, [9; 12])
        .expect("it seals");
    format!("{COOKIE}={value}")
}
