//! 各条路：数据面与控制面的每种成败。
//!
//! Owns the ways that the secrets take: every outcome of a request of the data plane, and
//! every kind of answer of the admin API. What was answered is kept for the search.

use gateway_tests::harness::raw::Connection;
use gateway_tests::harness::{Answer, Chat, Gateway, Key, SOON, Server, within};
use gateway_tests::provider::Provider;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Text of a prompt that is in nothing else.
pub(super) const PROMPT: &str = "canary-prompt-5b1f0e7a93";
/// Text of an answer that is in nothing else.
pub(super) const ANSWER: &str = "canary-answer-7c03be94d1";
/// No secret: it shows that the search finds what is there.
pub(super) const SERVER_NAME: &str = "canary-main-server";

/// An answer, for the search.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) by: String,
    pub(super) bytes: Vec<u8>,
}

impl Told {
    fn new(by: &str, answer: &Answer) -> Self {
        let mut bytes = format!("{:?}\n", answer.headers).into_bytes();
        bytes.extend_from_slice(&answer.body);
        Self {
            by: format!("the answer {} to {by}", answer.status),
            bytes,
        }
    }
}

/// How many requests of the data plane leave a line, and the id of the last.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) sent: usize,
    pub(super) last_id: String,
}

/// One gateway with a few servers, and what is collected on the way.
pub(super) struct Stage<'g> {
    gateway: &'g Gateway,
    provider: Provider,
    main: Server,
    key: Key,
    pub(super) secrets: Vec<(String, String)>,
    pub(super) told_to_clients: Vec<Told>,
    pub(super) told_to_admins: Vec<Told>,
    pub(super) requests: Requests,
}

impl<'g> Stage<'g> {
    pub(super) async fn new(gateway: &'g Gateway) -> Self {
        let provider = Provider::start();
        let main = gateway
            .server(SERVER_NAME)
            .provider(&provider)
            .model("m")
            .field("upstream_timeout_ms", json!(1_000))
            .create()
            .await;
        let crowded = gateway.server("canary-crowded").provider(&provider);
        let crowded = crowded.model("crowded").rpm(0);
        let crowded = crowded.field("queue_max", json!(1)).create().await;
        let gone = Provider::start().base_url();
        let broken = gateway.server("canary-broken").base_url(&gone);
        let broken = broken.model("broken").create().await;
        let key = gateway.key("canary").create().await;
        gateway.in_force().await;
        let mut secrets = vec![("a gateway key".to_owned(), key.secret.clone())];
        for server in [&main, &crowded, &broken] {
            secrets.push((
                format!("the key of {}", server.name),
                server.api_key.clone(),
            ));
        }
        Self {
            gateway,
            provider,
            main,
            key,
            secrets,
            told_to_clients: Vec::new(),
            told_to_admins: Vec::new(),
            requests: Requests::default(),
        }
    }

    fn chat(&mut self, model: &str) -> Chat {
        self.requests.sent += 1;
        let messages = json!([{"role": "user", "content": PROMPT}]);
        let chat = self.gateway.chat(&self.key).model(model);
        chat.field("messages", messages)
            .field("metadata", json!({"note": ANSWER}))
    }

    fn keep(&mut self, by: &str, answer: Answer) -> Answer {
        self.told_to_clients.push(Told::new(by, &answer));
        answer
    }

    async fn expect(&mut self, by: &str, chat: Chat, status: u16) -> Answer {
        let answer = chat.send().await.expect(status);
        self.keep(by, answer)
    }

    /// An answer of the admin API, whatever it is.
    async fn admin(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = self.gateway.admin(method, path);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await;
        let by = format!("{method} {path}");
        self.told_to_admins.push(Told::new(&by, &answer));
        answer
    }

    /// An answer that shows a new secret, which then is one more to look for.
    async fn shows_secret(&mut self, method: &str, path: &str, body: &Value) {
        let answer = self.gateway.admin(method, path).json(body).send().await;
        let object = answer.json();
        let secret = object["key"].as_str();
        let secret = secret.unwrap_or_else(|| panic!("{method} {path}: {object}"));
        let what = format!("the key that {method} {path} showed");
        self.secrets.push((what, secret.to_owned()));
    }
}

/// Every outcome of a request of the data plane.
pub(super) async fn data_plane(stage: &mut Stage<'_>) {
    answers_of_the_server(stage).await;
    failures_of_the_server(stage).await;
    refusals(stage).await;
    departures(stage).await;
    let last = stage.chat("m");
    let answer = stage.expect("the last chat", last, 200).await;
    let id = answer.header("x-request-id").unwrap_or_default();
    id.clone_into(&mut stage.requests.last_id);
}

async fn answers_of_the_server(stage: &mut Stage<'_>) {
    let answer =
        json!({"choices": [{"message": {"content": ANSWER}}], "usage": {"total_tokens": 3}});
    let plain = stage.chat("m");
    let plain = plain.demo(json!({"body": answer.to_string()}));
    let told = stage.expect("a chat", plain, 200).await;
    assert!(told.text().contains(ANSWER), "the answer took this way");
    let events = format!("data: {answer}\n\ndata: [DONE]\n\n");
    let wish = json!({"body": events, "content_type": "text/event-stream"});
    let streamed = stage.chat("m").stream().demo(wish);
    let told = stage.expect("a stream", streamed, 200).await;
    assert!(told.text().contains(ANSWER), "the answer took this way");
    for split in [1, 7, 4_096] {
        let wish = json!({"quote_authorization": true, "split_bytes": split});
        let quoting = stage.chat("m").stream().demo(wish);
        let told = stage
            .expect("a stream that quotes the key", quoting, 200)
            .await;
        assert!(told.text().contains("[redacted]"), "{}", told.text());
    }
    for status in [400, 401, 500, 503] {
        let wish = json!({"status": status, "quote_authorization": true});
        let quoting = stage.chat("m").demo(wish);
        let by = "an error that quotes the key";
        let told = stage.expect(by, quoting, status).await;
        assert!(told.text().contains("[redacted]"), "{}", told.text());
    }
    let wish = json!({"headers": {"x-quoted": stage.main.api_key, "location": format!("https://a.example/?{ANSWER}")}, "status": 302});
    let redirect = stage.chat("m").demo(wish);
    let answer = stage
        .expect("headers that quote the key", redirect, 302)
        .await;
    assert_eq!(answer.header("x-quoted"), Some("[redacted]"));
    assert!(
        answer.header("location").is_some(),
        "a redirect is not followed"
    );
}

async fn failures_of_the_server(stage: &mut Stage<'_>) {
    let again =
        json!({"status": 429, "retry_after": "0", "only_first": 1, "quote_authorization": true});
    let repeated = stage.chat("m").demo(again);
    let told = stage.expect("a repeated chat", repeated, 200).await;
    assert_eq!(told.header("x-gateway-attempts"), Some("2"));
    let refused = json!({"status": 429, "retry_after": "0", "quote_authorization": true});
    let refused = stage.chat("m").demo(refused);
    stage
        .expect("a chat that is refused to the end", refused, 429)
        .await;
    let dropped = stage.chat("m").demo(json!({"drop_connection": true}));
    stage.expect("a dropped connection", dropped, 502).await;
    let broken = stage.chat("broken");
    stage.expect("no connection", broken, 502).await;
    let hanging = stage.chat("m").demo(json!({"hang": true}));
    stage.expect("a server that hangs", hanging, 504).await;
    let cut = stage.chat("m").stream().demo(json!({"cut_after": 1}));
    let told = stage.expect("a cut stream", cut, 200).await;
    assert!(told.text().contains("upstream_stream_truncated"));
    let stalled = stage.chat("m").stream().demo(json!({"stall_after": 1}));
    stage.expect("a stalled stream", stalled, 200).await;
}

async fn refusals(stage: &mut Stage<'_>) {
    let absent = stage.chat("absent-model");
    stage.expect("an unknown model", absent, 404).await;
    for body in [
        format!("{{\"model\":\"m\",\"x\":\"{PROMPT}"),
        format!("{{\"model\":\"m\",\"model\":\"{PROMPT}\"}}"),
        format!("\"{PROMPT}\""),
        format!("{{\"messages\":\"{PROMPT}\"}}"),
        format!(
            "{{\"x\":{}\"{PROMPT}\"{}}}",
            "[".repeat(200),
            "]".repeat(200)
        ),
    ] {
        let chat = stage.chat("m").body(body);
        stage.expect("a bad body", chat, 400).await;
    }
    let wrong = stage
        .chat("m")
        .header("authorization", &format!("Bearer sk-sluice-{PROMPT}"));
    stage.expect("a wrong key", wrong, 401).await;
    let nameless = stage.chat("m").without("app-name");
    stage.expect("no app", nameless, 400).await;
    let progress = stage.chat("m").stream().header("x-queue-progress", PROMPT);
    stage.expect("a bad header", progress, 422).await;
    let long = stage.chat("m").header("x-long", &PROMPT.repeat(2_000));
    stage.expect("a long header", long, 431).await;

    let timed = stage.chat("crowded").header("x-queue-timeout", "0.2");
    stage.expect("a queue timeout", timed, 504).await;
    let impatient = stage.chat("crowded").header("x-queue-timeout", "0");
    stage
        .expect("a deadline that cannot be kept", impatient, 429)
        .await;
    let evicted = stage.chat("crowded").spawn();
    let crowded = stage.gateway.admin("GET", "/api/live").send().await.json();
    let id = crowded["items"]
        .as_array()
        .and_then(|items| items.iter().find(|item| item["name"] == "canary-crowded"))
        .and_then(|item| item["server_id"].as_str())
        .expect("the crowded server")
        .to_owned();
    let one_waits = |live: &Value| live["queue_length"] == 1;
    stage.gateway.live_until(&id, "one waits", one_waits).await;
    let newer = stage
        .chat("crowded")
        .stream()
        .header("x-queue-progress", "sse")
        .header("x-queue-timeout", "3");
    let newer = newer.spawn();
    let answer = evicted.await.expect("an answer");
    stage.keep("an evicted waiter", answer.expect(503));
    // It has waited through a reset of the object when its time is over.
    stage.gateway.live_until(&id, "one waits", one_waits).await;
    stage.gateway.reset_limiter(&id).await;
    let answer = newer.await.expect("an answer");
    stage.keep("a waiter that watched", answer.expect(200));
}

async fn departures(stage: &mut Stage<'_>) {
    let address = stage.gateway.address();
    let waiting = stage.chat("crowded").connect(address).await;
    let waiting: Connection = waiting.expect("the gateway listens");
    let live = stage.gateway.admin("GET", "/api/live").send().await.json();
    let crowded = live["items"].as_array().into_iter().flatten();
    let crowded = crowded
        .filter(|item| item["name"] == "canary-crowded")
        .find_map(|item| item["server_id"].as_str())
        .expect("the crowded server")
        .to_owned();
    let length = |expected: u64| move |live: &Value| live["queue_length"] == expected;
    let gateway = stage.gateway;
    gateway.live_until(&crowded, "one waits", length(1)).await;
    waiting.reset();
    gateway
        .live_until(&crowded, "nobody waits", length(0))
        .await;

    let stream = stage.chat("m").stream();
    let stream = stream.demo(json!({"chunk_gate": "never"}));
    let mut leaving = stream.connect(address).await.expect("the gateway listens");
    let head = within(SOON, "headers", leaving.head()).await;
    assert_eq!(head.expect("open").expect("headers").status, 200);
    leaving.reset();
    let idle = |live: &Value| live["in_flight"] == 0;
    gateway
        .live_until(&stage.main.id, "nothing in flight", idle)
        .await;
    assert!(!stage.provider.ledger().chats().is_empty());
}

/// Every kind of answer of the admin API.
pub(super) async fn control_plane(stage: &mut Stage<'_>) {
    let main = stage.main.path();
    let replaced = "sk-upstream-canary-replaced-77";
    let refused = "sk-upstream-canary-refused 88";
    for (what, text) in [("a replaced key", replaced), ("a refused key", refused)] {
        stage.secrets.push((what.to_owned(), text.to_owned()));
    }
    let draft = json!({"name": "canary-more", "base_url": "https://a.example", "models": ["x"], "api_key": replaced});
    let created = stage
        .admin("POST", "/api/servers", Some(&draft))
        .await
        .expect(201);
    let more = format!(
        "/api/servers/{}",
        created.json()["id"].as_str().expect("an id")
    );
    let mut whole = created.json();
    whole["api_key"] = json!(replaced);
    stage.admin("PUT", &more, Some(&whole)).await.expect(200);
    for (status, body) in [
        (200, json!({"api_key": replaced})),
        (422, json!({"api_key": refused})),
        (422, json!({"name": {"api_key": refused}})),
        (
            422,
            json!({"base_url": format!("https://u:{refused}@a.example")}),
        ),
        (
            422,
            json!({"base_url": format!("https://a.example?key={replaced}")}),
        ),
        (
            422,
            json!({"models": [refused, {"x": replaced}], "nmae": replaced}),
        ),
        (422, json!({"rpm_limit": replaced})),
    ] {
        stage
            .admin("PATCH", &main, Some(&body))
            .await
            .expect(status);
    }
    stage
        .admin("POST", "/api/servers", Some(&draft))
        .await
        .expect(422);
    stage
        .admin(
            "PUT",
            "/api/servers/order",
            Some(&json!({"ids": [replaced]})),
        )
        .await
        .expect(422);
    let half = stage
        .gateway
        .admin("PATCH", &main)
        .header("content-type", "application/json");
    let half = half
        .body(format!("{{\"api_key\":\"{replaced}"))
        .send()
        .await
        .expect(400);
    stage.told_to_admins.push(Told::new("half a body", &half));
    let key_path = format!("/api/keys/{}", stage.key.id);
    stage
        .admin("PATCH", &key_path, Some(&json!({"app": "other"})))
        .await
        .expect(200);
    stage
        .admin(
            "PATCH",
            &key_path,
            Some(&json!({"models": stage.key.secret})),
        )
        .await
        .expect(422);
    stage
        .shows_secret("POST", "/api/keys", &json!({"name": "canary-two"}))
        .await;
    stage
        .shows_secret("POST", &format!("{key_path}/rotate"), &json!({}))
        .await;
    for (method, path) in [
        ("GET", "/api/servers"),
        ("GET", "/api/keys"),
        ("GET", "/api/live"),
        ("GET", "/api/audit"),
        ("GET", "/api/logs"),
        ("GET", "/api/logs.csv"),
        ("GET", "/api/stats/usage"),
        ("GET", "/api/config/version"),
        ("GET", "/api/session"),
        ("GET", "/health"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", &main),
        ("GET", &key_path),
        ("DELETE", &more),
    ] {
        stage.admin(method, path, None).await;
    }
    server_tests(stage).await;
    credentials(stage).await;
}

/// Tests of a server that answers, and of one that quotes its key wherever it can.
async fn server_tests(stage: &mut Stage<'_>) {
    let path = format!("{}/test", stage.main.path());
    stage.admin("POST", &path, None).await.expect(200);
    let quoting = MockServer::start().await;
    let server = stage.gateway.server("canary-quoting");
    let server = server.base_url(&quoting.uri()).model("q").create().await;
    let what = "the key of a server under test".to_owned();
    stage.secrets.push((what, server.api_key.clone()));
    let models = json!({"data": [{"id": server.api_key}, {"id": format!("x/{}", server.api_key)}]});
    for answer in [
        ResponseTemplate::new(200).set_body_json(&models),
        ResponseTemplate::new(200).set_body_string(server.api_key.clone()),
        ResponseTemplate::new(401).set_body_string(format!("no: Bearer {}", server.api_key)),
        ResponseTemplate::new(302).insert_header("location", format!("/{}", server.api_key)),
    ] {
        quoting.reset().await;
        let asked = Mock::given(wiremock::matchers::any()).respond_with(answer);
        asked.mount(&quoting).await;
        let path = format!("{}/test", server.path());
        stage.admin("POST", &path, None).await.expect(200);
    }
}

/// Right and wrong credentials of the control plane.
async fn credentials(stage: &mut Stage<'_>) {
    let gateway = stage.gateway;
    for token in [
        super::ADMIN_TOKEN,
        super::VIEWER_TOKEN,
        super::ENCRYPTION_KEY,
    ] {
        let body = json!({ "token": token });
        let answer = gateway
            .request("POST", "/api/session")
            .json(&body)
            .send()
            .await;
        let cookie = answer.header("set-cookie").and_then(|cookie| {
            let (_, value) = cookie.split(';').next()?.split_once('=')?;
            (value.len() >= 16).then(|| value.to_owned())
        });
        let Some(cookie) = cookie else {
            stage.told_to_admins.push(Told::new("a sign-in", &answer));
            continue;
        };
        let sent = format!("__Host-sluice_session={cookie}");
        for (method, path) in [("GET", "/api/session"), ("POST", "/api/servers")] {
            let request = gateway.request(method, path).header("cookie", &sent);
            let answer = request.json(&json!({})).send().await;
            let by = format!("{method} {path} with a session");
            stage.told_to_admins.push(Told::new(&by, &answer));
        }
        // The answer to the sign-in is the one that may hold it.
        stage.secrets.push(("a session".to_owned(), cookie));
    }
    let secret = stage.key.secret.clone();
    for token in [
        super::VIEWER_TOKEN,
        secret.as_str(),
        &super::ADMIN_TOKEN[1..],
        super::ENCRYPTION_KEY,
    ] {
        for (method, path) in [("POST", "/api/servers"), ("GET", "/api/keys")] {
            let request = gateway.request(method, path).token(token);
            let answer = request.json(&json!({"api_key": token})).send().await;
            let by = format!("{method} {path} with other credentials");
            stage.told_to_admins.push(Told::new(&by, &answer));
        }
    }
}
