//! Cloudflare Access：签名为真、声明为我、地址在册，才算数。
//!
//! A team of the test's own publishes its keys over HTTP and signs assertions; the gateway fetches the keys
//! and believes what is signed by the team, for this application, and names an address on a list.

use std::time::{SystemTime, UNIX_EPOCH};

use gateway_tests::harness::{Gateway, SOON, root, within};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::process::Command;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![identity_of_access_has_the_role_of_its_address]
}

const AUDIENCE: &str = "audience-of-this-gateway";

/// A key set and a token for each of the claims.
async fn signed(claims: &[Value]) -> (Value, Vec<String>) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), json!(claims).to_string()).expect("it is writable");
    let mut command = Command::new(root().join("node_modules/.bin/node"));
    command
        .arg(root().join("tests/blackbox/identity/sign.mjs"))
        .arg(file.path())
        .kill_on_drop(true);
    let output = within(
        SOON * 4,
        "keys are made and claims signed",
        command.output(),
    )
    .await;
    let output = output.expect("node starts");
    assert!(output.status.success(), "{output:?}");
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let tokens = printed["tokens"].as_array().expect("tokens").iter();
    let tokens = tokens.filter_map(|token| token.as_str().map(str::to_owned));
    (printed["jwks"].clone(), tokens.collect())
}

fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    i64::try_from(now).expect("before the end of time") + seconds
}

async fn identity_of_access_has_the_role_of_its_address() {
    let team = MockServer::start().await;
    let claims = |email: &str| {
        json!({
            "iss": team.uri(), "aud": [AUDIENCE], "email": email, "type": "app",
            "iat": seconds_from_now(-10), "nbf": seconds_from_now(-10), "exp": seconds_from_now(600),
        })
    };
    let changed = |name: &str, value: Value| {
        let mut claims = claims("root@example.com");
        claims[name] = value;
        json!({ "claims": claims })
    };
    let (key_set, tokens) = signed(&[
        json!({"claims": claims("root@example.com")}),
        json!({"claims": claims("someone@viewers.example.com")}),
        json!({"claims": claims("stranger@example.org")}),
        json!({"claims": claims("root@example.com"), "key": "theirs"}),
        changed("exp", json!(seconds_from_now(-1))),
        changed("aud", json!(["another-application"])),
        changed("iss", json!("https://other.cloudflareaccess.com")),
    ])
    .await;
    Mock::given(method("GET"))
        .and(path("/cdn-cgi/access/certs"))
        .respond_with(ResponseTemplate::new(200).set_body_json(&key_set))
        .expect(1)
        .mount(&team)
        .await;
    let gateway = Gateway::serve()
        .variable("ACCESS_TEAM_DOMAIN", &team.uri())
        .variable("ACCESS_AUDIENCE", AUDIENCE)
        .variable("ADMIN_EMAILS", "Root@Example.com")
        .variable("VIEWER_EMAILS", "*@viewers.example.com")
        .start()
        .await;
    let ask = |verb: &str, path: &str, token: &str| {
        let request = gateway.request(verb, path);
        request.header("cf-access-jwt-assertion", token)
    };
    let who = ask("GET", "/api/session", &tokens[0]).send().await;
    let who = who.expect(200).json();
    assert_eq!(
        (&who["role"], &who["via"], &who["email"]),
        (
            &json!("admin"),
            &json!("access"),
            &json!("root@example.com")
        )
    );
    let draft = json!({"name": "by Access"});
    let create = |token: &str| ask("POST", "/api/keys", token).json(&draft);
    create(&tokens[0]).send().await.expect(201);
    let cross = create(&tokens[0]).header("sec-fetch-site", "cross-site");
    cross.send().await.expect_error(403, "forbidden");
    let viewer = ask("GET", "/api/keys", &tokens[1]).send().await;
    viewer.expect(200);
    create(&tokens[1])
        .send()
        .await
        .expect_error(403, "forbidden");
    for token in &tokens[2..] {
        let refused = ask("GET", "/api/keys", token).send().await;
        refused.expect_error(401, "unauthorized");
    }
    let nonsense = ask("GET", "/api/keys", "a.b.c").send().await;
    nonsense.expect_error(401, "unauthorized");
    // The keys were fetched once for all of them: the mock insists on it when it is dropped.
    team.verify().await;
}
