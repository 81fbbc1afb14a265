//! 忠实：请求与应答的字节原样往返。
//!
//! What must arrive unchanged, what must not arrive at all, and which server is
//! asked. Judged at the provider.

use gateway_tests::harness::{Gateway, SOON};
use gateway_tests::provider::{Entry, Provider};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::stage::Stage;

const MEBIBYTE: usize = 1024 * 1024;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        odd_body_of_a_mebibyte_arrives_byte_for_byte,
        streaming_body_gets_only_the_documented_insertion,
        upstream_statuses_and_bodies_come_back_unchanged,
        first_matching_server_is_used_and_reordering_changes_it,
        private_headers_stay_here_and_others_go_upstream,
        upstream_headers_that_are_the_gateways_are_replaced,
        redirect_is_passed_on_and_not_followed,
        server_key_quoted_by_the_upstream_is_redacted,
        answers_carry_the_gateways_headers,
        path_below_the_base_url_is_kept,
        models_list_has_openai_shape_and_no_patterns,
    ]
}

/// Everything about JSON text that a careless proxy would normalise.
fn odd_body(model: &str, more: &str, bytes: usize) -> Vec<u8> {
    let mut body = format!(
        "\r\n{{ \"x_first\" :\t[ ],\n \"model\"\t: \"{model}\",{more}\n\
         \"messages\": [ {{ \"role\":\"user\" , \"content\":\"caf\\u00e9 \\ud83d\\ude00 \\/ caf\u{e9} \u{1f600}\" }} ],\n\
         \"x_big\": 123456789012345678901234567890.000000000000000000001, \"x_exp\":1.0E+400, \"x_minus\": -0,\n\
         \"x_escapes\": \"\\u0000\\u001F\\b\\f\\n\\r\\t\\\"\\\\ \\ud800\", \"\\u0078_name\": null,\n\
         \"x_twice\": 1, \"x_twice\": 2, \"x_nested\": {{\"model\": \"inner\", \"stream\": true, \"a\":[[[{{}}]]]}},\n\
         \"sluice_demo\": {{\"chunks\": 1}},\n \"x_pad\": \""
    )
    .into_bytes();
    let end = b"\" }\n \t";
    body.resize(bytes - end.len(), b'p');
    body.extend_from_slice(end);
    body
}

async fn only_chat(stage: &Stage) -> Entry {
    let mut chats = stage.provider.ledger().wait_for_chats(1, SOON).await;
    stage.provider.ledger().reset();
    assert_eq!(chats.len(), 1);
    chats.remove(0)
}

async fn odd_body_of_a_mebibyte_arrives_byte_for_byte() {
    let stage = Stage::new("fidelity-body").await;
    for more in [
        "",
        " \"stream\" : false,",
        "\"stream\":true,\"stream_options\":{\"include_usage\" : true },",
    ] {
        let body = odd_body(&stage.model, more, MEBIBYTE);
        assert_eq!(body.len(), MEBIBYTE);
        stage.chat().body(body.clone()).send().await.expect(200);
        let arrived = only_chat(&stage).await;
        assert!(arrived.body == body, "the body changed on its way ({more})");
        assert_eq!(arrived.header("content-type"), Some("application/json"));
    }
}

/// What stands in `original` and in `changed` between their common beginning and end.
fn difference<'a>(original: &'a [u8], changed: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let shorter = original.len().min(changed.len());
    let head = original
        .iter()
        .zip(changed)
        .take_while(|(a, b)| a == b)
        .count();
    let tail = original
        .iter()
        .rev()
        .zip(changed.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let tail = tail.min(shorter - head);
    (
        &original[head..original.len() - tail],
        &changed[head..changed.len() - tail],
    )
}

async fn streaming_body_gets_only_the_documented_insertion() {
    let stage = Stage::new("fidelity-insertion").await;
    // What replaces or joins what: the longest text of the original that may be gone.
    for (options, replaced) in [
        ("", ""),
        (" \"stream_options\" : null,", "null"),
        ("\"stream_options\":{},", ""),
        ("\"stream_options\": { \t },", ""),
        ("\"stream_options\":{ \"x_other\" : [1.0E+5] },", ""),
        (
            "\"stream_options\":{\"x_other\":1, \"include_usage\" : false},",
            "false",
        ),
        ("\"stream_options\":{\"include_usage\":null},", "null"),
    ] {
        let body = odd_body(
            &stage.model,
            &format!("\"stream\" :true,{options}"),
            MEBIBYTE / 4,
        );
        stage.chat().body(body.clone()).send().await.expect(200);
        let arrived = only_chat(&stage).await;
        let (gone, come) = difference(&body, &arrived.body);
        let (gone, come) = (String::from_utf8_lossy(gone), String::from_utf8_lossy(come));
        assert!(
            replaced.contains(gone.as_ref()),
            "{options}: {gone} became {come}"
        );
        assert!(come.len() < 64, "{options}: {} bytes came", come.len());
        let text = String::from_utf8_lossy(&arrived.body).into_owned();
        let at = text
            .find("\"stream_options\"")
            .unwrap_or_else(|| panic!("{options}: no stream_options"));
        let value = text[at..]
            .split_once(':')
            .map(|(_, value)| value)
            .unwrap_or_default();
        let value: Option<Result<Value, _>> =
            serde_json::Deserializer::from_str(value).into_iter().next();
        assert_eq!(
            value.expect("a value").expect("JSON")["include_usage"],
            true,
            "{options}"
        );
        assert_eq!(text.matches("\"stream_options\"").count(), 1, "{options}");
    }
}

async fn upstream_statuses_and_bodies_come_back_unchanged() {
    let stage = Stage::new("fidelity-statuses").await;
    let bodies = [
        (
            "application/json",
            "{\"error\" : {\"message\":\"no\u{e9}\",\"code\":\"odd\"} }\n",
        ),
        ("application/problem+json; charset=utf-8", "{ }"),
        ("text/html", "<h1>Bad</h1>\r\n"),
        ("text/plain; charset=iso-8859-1", "plain text, no JSON"),
    ];
    for status in [400, 401, 404, 429, 500, 503] {
        for (content_type, body) in bodies {
            for streaming in [false, true] {
                let wish = json!({"status": status, "body": body, "content_type": content_type});
                let chat = stage.chat().demo(wish).field("stream", json!(streaming));
                let answer = chat.send().await.expect(status);
                assert_eq!(answer.text(), body);
                assert_eq!(answer.header("content-type"), Some(content_type));
                assert_eq!(answer.header("x-gateway-server"), Some("fidelity-statuses"));
            }
        }
    }
    let wish =
        json!({"status": 429, "retry_after": "7", "headers": {"openai-processing-ms": "12"}});
    let answer = stage.chat().demo(wish).send().await.expect(429);
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.header("openai-processing-ms"), Some("12"));
}

async fn first_matching_server_is_used_and_reordering_changes_it() {
    let gateway = Gateway::serve().start().await;
    let (one, two) = (Provider::start(), Provider::start());
    let first = gateway
        .server("first")
        .provider(&one)
        .model("shared")
        .model("only-first")
        .create()
        .await;
    let second = gateway
        .server("second")
        .provider(&two)
        .model("sha*")
        .create()
        .await;
    let key = gateway.key("order").create().await;
    gateway.in_force().await;
    let ask = || gateway.chat(&key).model("shared").send();
    assert_eq!(
        ask().await.expect(200).header("x-gateway-server"),
        Some("first")
    );
    assert_eq!(
        (one.ledger().chats().len(), two.ledger().chats().len()),
        (1, 0)
    );

    let order = json!({"ids": [second.id, first.id]});
    let answer = gateway
        .admin("PUT", "/api/servers/order")
        .json(&order)
        .send()
        .await;
    assert!((200..300).contains(&answer.status), "{}", answer.text());
    gateway.in_force().await;
    assert_eq!(
        ask().await.expect(200).header("x-gateway-server"),
        Some("second")
    );
    assert_eq!(
        (one.ledger().chats().len(), two.ledger().chats().len()),
        (1, 1)
    );
    let listed = gateway
        .admin("GET", "/api/servers")
        .send()
        .await
        .expect(200)
        .json();
    let names: Vec<&str> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|s| s["name"].as_str())
        .collect();
    assert_eq!(names, ["second", "first"], "the list is in order");
    gateway
        .chat(&key)
        .model("only-first")
        .send()
        .await
        .expect(200);
    assert_eq!(
        one.ledger().chats().len(),
        2,
        "a model that the earlier server lacks goes to the next"
    );

    let disable = json!({"enabled": false});
    gateway
        .admin("PATCH", &second.path())
        .json(&disable)
        .send()
        .await
        .expect(200);
    gateway.in_force().await;
    assert_eq!(
        ask().await.expect(200).header("x-gateway-server"),
        Some("first"),
        "disabled servers are passed over"
    );
}

async fn private_headers_stay_here_and_others_go_upstream() {
    let stage = Stage::new("fidelity-headers").await;
    let private = [
        ("cookie", "session=1"),
        ("cf-connecting-ip", "192.0.2.1"),
        ("cf-anything", "1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "http"),
        ("x-api-key", "leaked-key"),
        ("x-queue-timeout", "30"),
        ("proxy-authorization", "Basic eA=="),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
    ];
    let public = [
        ("openai-organization", "org-1"),
        ("openai-beta", "x=1"),
        ("user-agent", "tests/1"),
        ("x-stainless-lang", "js"),
    ];
    let mut chat = stage.chat();
    for (name, value) in private.into_iter().chain(public) {
        chat = chat.header(name, value);
    }
    chat.send().await.expect(200);
    let arrived = only_chat(&stage).await;
    for (name, value) in private {
        // Each hop has a connection header of its own; the client's must not be it.
        let kept = arrived
            .header(name)
            .is_some_and(|found| name != "connection" || found.contains(value));
        assert!(!kept, "{name} went upstream: {:?}", arrived.headers);
    }
    assert_eq!(arrived.header("app-name"), None);
    for (name, value) in public {
        assert_eq!(arrived.header(name), Some(value), "{name}");
    }
    let authorization = format!("Bearer {}", stage.server.api_key);
    assert_eq!(
        arrived.header("authorization"),
        Some(authorization.as_str())
    );
    let secret = &stage.key.secret;
    assert!(
        !arrived
            .headers
            .iter()
            .any(|(_, value)| value.contains(secret)),
        "the gateway key went upstream"
    );
}

async fn upstream_headers_that_are_the_gateways_are_replaced() {
    let stage = Stage::with("fidelity-replaced", |server| server.rpm(1000)).await;
    let theirs = json!({
        "set-cookie": "a=b",
        "x-request-id": "theirs",
        "x-gateway-server": "theirs",
        "x-ratelimit-limit-requests": "1",
        "x-ratelimit-limit-tokens": "1",
        "x-queue-wait-ms": "99999",
        "x-custom": "kept",
    });
    let answer = stage
        .chat()
        .demo(json!({"headers": theirs}))
        .send()
        .await
        .expect(200);
    assert_eq!(answer.header("set-cookie"), None);
    assert_ne!(answer.header("x-request-id"), Some("theirs"));
    assert_eq!(answer.header("x-gateway-server"), Some("fidelity-replaced"));
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("1000"));
    assert_ne!(answer.header("x-ratelimit-limit-tokens"), Some("1"));
    assert!(answer.number("x-queue-wait-ms") < 99_999);
    assert_eq!(answer.header("x-custom"), Some("kept"));
}

async fn redirect_is_passed_on_and_not_followed() {
    let stage = Stage::new("fidelity-redirect").await;
    let elsewhere = Provider::start();
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/chat/completions", elsewhere.base_url());
        let wish = json!({"status": status, "body": "moved", "headers": {"location": location}});
        let answer = stage.chat().demo(wish).send().await.expect(status);
        assert_eq!(answer.header("location"), Some(location.as_str()));
        assert_eq!(answer.text(), "moved");
    }
    assert!(
        elsewhere.ledger().entries().is_empty(),
        "the key must not travel to where a redirect points"
    );
}

async fn server_key_quoted_by_the_upstream_is_redacted() {
    let stage = Stage::new("fidelity-redacted").await;
    let secret = stage.server.api_key.clone();
    for (stream, behaviour) in [
        (false, json!({"quote_authorization": true})),
        (false, json!({"quote_authorization": true, "status": 401})),
        (true, json!({"quote_authorization": true})),
        (true, json!({"quote_authorization": true, "split_bytes": 1})),
        (
            true,
            json!({"quote_authorization": true, "split_bytes": 11, "crlf": true}),
        ),
        (true, json!({"quote_authorization": true, "cut_after": 3})),
    ] {
        let answer = stage
            .chat()
            .field("stream", json!(stream))
            .demo(behaviour.clone())
            .send()
            .await;
        let text = answer.text();
        assert!(
            !text.contains(&secret),
            "{behaviour}: the key came out: {text}"
        );
        assert!(text.contains("[redacted]"), "{behaviour}: {text}");
        if stream {
            let quoted = answer.events()[0].json()["choices"][0]["delta"]["content"].clone();
            assert_eq!(
                quoted, "you sent Bearer [redacted]",
                "the rest of the event stays"
            );
        }
    }
}

async fn answers_carry_the_gateways_headers() {
    let stage = Stage::with("fidelity-answer", |server| server.rpm(1000).tpm(1_000_000)).await;
    for streaming in [false, true] {
        let chat = stage
            .chat()
            .field("stream", json!(streaming))
            .header("x-request-id", "my.request_id-1");
        let answer = chat.send().await.expect(200);
        assert_eq!(answer.header("x-request-id"), Some("my.request_id-1"));
        assert_eq!(answer.header("x-gateway-server"), Some("fidelity-answer"));
        assert_eq!(answer.number("x-queue-position"), 0);
        assert_eq!(answer.number("x-queue-wait-ms"), 0);
        assert!(answer.number("x-config-version") > 0);
        answer.number("x-gateway-overhead-ms");
        assert_eq!(answer.number("x-ratelimit-limit-requests"), 1000);
        assert!(answer.number("x-ratelimit-remaining-requests") < 1000);
        assert_eq!(answer.number("x-ratelimit-limit-tokens"), 1_000_000);
        assert!(answer.number("x-ratelimit-remaining-tokens") < 1_000_000);
        for name in ["x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"] {
            let reset = answer.header(name).unwrap_or_else(|| panic!("no {name}"));
            assert!(
                reset.ends_with('s') && reset.starts_with(|c: char| c.is_ascii_digit()),
                "{name}: {reset}"
            );
        }
    }
    let long = "x".repeat(65);
    for odd in ["", "has space", "semi;colon", long.as_str()] {
        let answer = stage
            .chat()
            .header("x-request-id", odd)
            .send()
            .await
            .expect(200);
        let id = answer.header("x-request-id").expect("an id");
        assert!(
            id != odd && !id.is_empty() && id.len() <= 64,
            "{odd:?} became {id:?}"
        );
    }
    let refused = stage
        .chat()
        .model("no-such-model")
        .header("x-request-id", "mine")
        .send()
        .await;
    let refused = refused.expect_error(404, "model_not_found");
    assert_eq!(refused.header("x-request-id"), Some("mine"));
    refused.number("x-gateway-overhead-ms");
    refused.number("x-config-version");
}

async fn path_below_the_base_url_is_kept() {
    let provider = Provider::start();
    let below = format!("{}/v1", provider.base_url());
    let stage = Stage::with("fidelity-path", |server| server.base_url(&below)).await;
    stage.chat().send().await.expect(200);
    assert_eq!(provider.ledger().chats()[0].path, "/v1/chat/completions");
    let stage = Stage::new("fidelity-root").await;
    stage.chat().send().await.expect(200);
    assert_eq!(only_chat(&stage).await.path, "/chat/completions");
}

async fn models_list_has_openai_shape_and_no_patterns() {
    let stage = Stage::with("fidelity-models", |server| {
        server.model("fidelity-models-*").model("fidelity-models-2")
    })
    .await;
    let restricted = stage
        .gateway
        .key("models")
        .models(&["fidelity-models-2"])
        .create()
        .await;
    let answer = stage.gateway.models(&restricted).await.expect(200);
    let list = answer.json();
    assert_eq!(list["object"], "list");
    let data = list["data"].as_array().expect("data");
    let ids: Vec<&str> = data
        .iter()
        .filter_map(|model| model["id"].as_str())
        .collect();
    assert_eq!(ids, ["fidelity-models-2"]);
    assert_eq!(data[0]["object"], "model");
    assert!(
        data[0]["owned_by"].is_string() && data[0]["created"].is_u64(),
        "{list}"
    );
    assert!(answer.header("x-request-id").is_some());
    stage
        .gateway
        .chat(&restricted)
        .model("fidelity-models")
        .send()
        .await
        .expect_error(404, "model_not_found");
    let all = stage.gateway.models(stage.key).await.expect(200).text();
    assert!(
        all.contains("fidelity-models-2") && !all.contains('*'),
        "{all}"
    );
    stage
        .chat()
        .model("fidelity-models-anything")
        .send()
        .await
        .expect(200);
}
