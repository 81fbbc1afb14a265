//! 加固：有界、防环、跨源默认关闭、内网不可达。
//!
//! What a stranger on the public internet may try against the data plane and what an
//! administrator may enter by mistake: too much, too deep, in a circle, from another
//! origin, into a private network.

use gateway_tests::harness::{Answer, Gateway, Key, SOON};
use libtest_mimic::Trial;
use serde_json::json;

use crate::stage::{self, Stage};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        too_many_or_too_long_headers_are_refused_everywhere,
        deep_or_repeated_fields_of_admin_bodies_are_refused,
        request_that_comes_back_to_its_gateway_is_refused_after_one_charge,
        request_through_too_many_gateways_is_refused,
        private_networks_and_the_gateway_itself_are_no_servers,
        private_networks_are_allowed_by_their_variable,
        no_page_of_another_origin_may_call_by_default,
        pages_of_listed_origins_may_call_the_data_plane_only,
        bad_list_of_origins_allows_nobody_and_is_a_problem,
    ]
}

async fn too_many_or_too_long_headers_are_refused_everywhere() {
    let stage = Stage::new("hard-headers").await;
    let many = |count: usize| {
        (0..count).fold(stage.chat(), |chat, number| {
            chat.header(&format!("x-many-{number}"), "v")
        })
    };
    many(60).send().await.expect(200);
    many(150)
        .send()
        .await
        .expect_error(431, "headers_too_large");
    let long = "v".repeat(40 * 1024);
    let answer = stage.chat().header("x-long", &long).send().await;
    answer.expect_error(431, "headers_too_large");
    stage
        .chat()
        .header("x-long", &long[..24 * 1024])
        .send()
        .await
        .expect(200);
    assert_eq!(stage.provider.ledger().chats().len(), 2);
    for path in ["/v1/models", "/api/servers"] {
        let request = stage.gateway.admin("GET", path).header("x-long", &long);
        request.send().await.expect_error(431, "headers_too_large");
    }
}

async fn deep_or_repeated_fields_of_admin_bodies_are_refused() {
    let gateway = stage::gateway().await;
    let send = |body: String| {
        let request = gateway
            .admin("POST", "/api/keys")
            .header("content-type", "application/json");
        request.body(body).send()
    };
    for depth in [16, 1_000, 30_000] {
        let nested = format!("{{\"name\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        send(nested).await.expect_error(400, "invalid_json");
    }
    let repeated = r#"{"name":"a","app":"x","\u006eame":"b"}"#;
    let answer = send(repeated.to_owned()).await;
    assert_eq!(answer.json()["error"]["param"], "name");
    answer.expect_error(422, "invalid_field");
    let query = format!("/api/keys?x={}", "q".repeat(9_000));
    let answer = gateway.admin("GET", &query).send().await;
    answer.expect_error(422, "invalid_field");
    let path = format!("/api/keys/{}", "k".repeat(10_000));
    let answer = gateway.admin("GET", &path).send().await;
    answer.expect_error(404, "not_found");
}

async fn request_that_comes_back_to_its_gateway_is_refused_after_one_charge() {
    let gateway = stage::gateway().await;
    let port = gateway.address().port();
    let client = gateway.key("hard-loop-client").create().await;
    let inner = gateway.key("hard-loop-inner").create().await;
    // Another spelling than the one that the administrator's own requests use.
    let server = gateway
        .server("hard-loop")
        .base_url(&format!("http://localhost:{port}/v1"))
        .model("hard-loop")
        .rpm(10)
        .field("api_key", json!(inner.secret))
        .create()
        .await;
    gateway.in_force().await;
    let answer = gateway.chat(&client).model("hard-loop").send().await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (508, "loop_detected"),
        "{}",
        answer.text()
    );
    assert_eq!(gateway.live(&server.id).await["rpm_used"], 1);
}

async fn request_through_too_many_gateways_is_refused() {
    let stage = Stage::new("hard-hops").await;
    let hops = |count: usize| vec!["0000abcd"; count].join(",");
    let chat = |count: usize| stage.chat().header("x-sluice-hops", &hops(count));
    chat(8).send().await.expect_error(508, "loop_detected");
    chat(7).send().await.expect(200);
    let chats = stage.provider.ledger().chats();
    assert_eq!(chats.len(), 1);
    let told = chats[0].header("x-sluice-hops").unwrap_or_default();
    let own = told.rsplit(", ").next().unwrap_or_default();
    assert_eq!(told.split(", ").count(), 8, "{told}");
    assert!(
        own.len() == 8 && own != "0000abcd" && own.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{told}"
    );
}

async fn private_networks_and_the_gateway_itself_are_no_servers() {
    let stage = Stage::new("hard-private").await;
    let own = format!("{}/v1", stage.gateway.base_url());
    for base_url in [
        "https://10.0.0.1/v1",
        "https://169.254.169.254/latest/meta-data",
        "https://2852039166/",
        "https://0xa9.0xfe.0xa9.0xfe",
        "https://0251.0376.0251.0376",
        "https://192.168.257",
        "https://\u{ff11}\u{ff10}.0.0.1",
        "https://0/",
        "https://[::ffff:169.254.169.254]",
        "https://[fe80::1]",
        "https://[fd00:ec2::254]",
        "https://Metadata.Google.Internal./computeMetadata",
        "https://router.local",
        "https://x.localhost",
        "https://vllm",
        own.as_str(),
    ] {
        let patch = stage.gateway.admin("PATCH", &stage.server.path());
        let answer = patch.json(&json!({ "base_url": base_url })).send().await;
        assert_eq!(answer.json()["error"]["param"], "base_url", "{base_url}");
        answer.expect_error(422, "invalid_field");
    }
    stage.chat().send().await.expect(200);
}

async fn private_networks_are_allowed_by_their_variable() {
    let gateway = Gateway::serve()
        .variable("ALLOW_PRIVATE_UPSTREAM", "true")
        .start()
        .await;
    gateway
        .server("private")
        .base_url("https://10.0.0.1/v1")
        .model("m")
        .create()
        .await;
    let plain = gateway.server("plain").base_url("http://10.0.0.1/v1");
    let answer = gateway
        .admin("POST", "/api/servers")
        .json(&plain.model("m").body())
        .send()
        .await;
    answer.expect_error(422, "invalid_field");
    let ready = gateway.request("GET", "/health/ready").send().await;
    assert!(
        ready.expect(200).json()["warnings"]
            .to_string()
            .contains("ALLOW_PRIVATE_UPSTREAM"),
        "an open door is announced"
    );
}

const ORIGIN: &str = "https://app.example";

fn cors_headers(answer: &Answer) -> Vec<String> {
    let names = answer.headers.keys().map(ToString::to_string);
    names
        .filter(|name| name.starts_with("access-control-"))
        .collect()
}

async fn preflight(gateway: &Gateway, path: &str, origin: &str) -> Answer {
    let request = gateway
        .request("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "app-name,authorization,x-stainless-lang",
        );
    request.send().await
}

async fn no_page_of_another_origin_may_call_by_default() {
    let stage = Stage::new("hard-cors-off").await;
    let path = "/v1/chat/completions";
    let answer = preflight(stage.gateway, path, ORIGIN).await;
    let answer = answer.expect_error(405, "method_not_allowed");
    assert_eq!(cors_headers(&answer), Vec::<String>::new());
    let answer = stage.chat().header("origin", ORIGIN).send().await;
    assert_eq!(cors_headers(&answer.expect(200)), Vec::<String>::new());
}

async fn pages_of_listed_origins_may_call_the_data_plane_only() {
    let gateway = Gateway::serve()
        .variable("CORS_ORIGINS", ORIGIN)
        .start()
        .await;
    let key: Key = gateway.key("cors").create().await;
    let stage = Stage::on(&gateway, &key, "cors", |draft| draft).await;
    let chat_path = "/v1/chat/completions";
    let granted = preflight(&gateway, chat_path, ORIGIN).await.expect(204);
    assert_eq!(granted.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(granted.header("access-control-allow-methods"), Some("POST"));
    let allowed = granted
        .header("access-control-allow-headers")
        .unwrap_or_default();
    for name in [
        "authorization",
        "app-name",
        "x-queue-timeout",
        "x-stainless-lang",
    ] {
        assert!(allowed.contains(name), "{name}: {allowed}");
    }
    let other = preflight(&gateway, chat_path, "https://evil.example").await;
    let other = other.expect_error(405, "method_not_allowed");
    assert_eq!(cors_headers(&other), Vec::<String>::new());
    for path in ["/api/servers", "/api/keys", "/health/ready"] {
        let answer = preflight(&gateway, path, ORIGIN).await;
        assert_eq!(cors_headers(&answer), Vec::<String>::new(), "{path}");
        let answer = gateway.admin("GET", path).header("origin", ORIGIN);
        assert_eq!(cors_headers(&answer.send().await), Vec::<String>::new());
    }

    let quoted = json!({"headers": {"vary": "Accept", "access-control-allow-origin": "*"}});
    let asks = [
        stage.chat().demo(quoted),
        stage.chat().stream(),
        stage.chat().body("{"),
        stage.chat().header("authorization", "Bearer no"),
        stage.chat().model("absent"),
    ];
    for chat in asks {
        let from_page = chat.clone().header("origin", ORIGIN).bound(SOON);
        let answer = from_page.send().await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some(ORIGIN),
            "{}",
            answer.text()
        );
        assert!(
            answer
                .header("access-control-expose-headers")
                .is_some_and(|names| names.contains("x-queue-wait-ms"))
        );
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
        let vary = format!("{vary:?}");
        assert!(vary.contains("Origin"), "{vary}");
        let elsewhere = chat.header("origin", "https://evil.example").send().await;
        assert_eq!(cors_headers(&elsewhere), Vec::<String>::new());
    }
}

async fn bad_list_of_origins_allows_nobody_and_is_a_problem() {
    let gateway = Gateway::serve()
        .variable("CORS_ORIGINS", "https://app.example/, *")
        .start()
        .await;
    let ready = gateway.request("GET", "/health/ready").send().await;
    let problems = ready.expect(503).json()["problems"].to_string();
    assert!(problems.contains("CORS_ORIGINS"), "{problems}");
    let answer = preflight(&gateway, "/v1/chat/completions", ORIGIN).await;
    answer.expect_error(405, "method_not_allowed");
}
