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
        first_matching_server_is_used_and_reordering_changes_it,
        private_headers_stay_here_and_others_go_upstream,
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

async fn only_chat(stage: &Stage<'_>) -> Entry {
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
