//! 五个端点：同一条路，各自的形状。
//!
//! Each endpoint plain and streamed through the gateway: what arrives at the provider, what comes back, what the
//! log says and what the limiter has charged. Judged at the provider; that official clients understand the
//! answers is judged in `clients`.

use gateway_tests::harness::{Chat, SOON, sse_events};
use gateway_tests::provider::{Entry, completion_text};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::journal::rows;
use crate::stage::Stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        every_endpoint_passes_bytes_on_and_leaves_an_exact_row,
        what_the_provider_does_not_count_is_estimated_and_says_so,
        stream_without_its_own_end_marker_is_told,
        streamed_completion_is_counted_and_its_client_sees_no_usage,
        messages_carry_the_servers_key_as_their_servers_expect_it,
        refusals_have_one_shape_at_every_endpoint,
    ]
}

/// An endpoint: its path, how it is asked, and the tokens of that prompt.
struct Endpoint {
    path: &'static str,
    /// With white space and escapes that a careless proxy would lose.
    asks: &'static str,
    prompt_tokens: u64,
    has_stream: bool,
}

const ENDPOINTS: [Endpoint; 5] = [
    Endpoint {
        path: "/v1/chat/completions",
        asks: r#""messages" : [{"role":"user","content":"How does a sluice work?"}]"#,
        prompt_tokens: 6,
        has_stream: true,
    },
    Endpoint {
        path: "/v1/completions",
        asks: r#""prompt": ["A sluice ", "is \u0061 gate"]"#,
        prompt_tokens: 5,
        has_stream: true,
    },
    Endpoint {
        path: "/v1/embeddings",
        asks: r#""input":[[1,2,3] ,[4]],"encoding_format":"float""#,
        prompt_tokens: 4,
        has_stream: false,
    },
    Endpoint {
        path: "/v1/responses",
        asks: r#""input" :"How does a sluice work?", "max_output_tokens":100"#,
        prompt_tokens: 6,
        has_stream: true,
    },
    Endpoint {
        path: "/v1/messages",
        asks: r#""max_tokens": 100,"messages":[{"role":"user","content":[{"type":"text","text":"How?"}]}]"#,
        prompt_tokens: 1,
        has_stream: true,
    },
];

impl Endpoint {
    fn name(&self) -> &'static str {
        self.path.trim_start_matches("/v1")
    }

    /// Plain and, where there are streams, streamed.
    fn ways(&self) -> &'static [bool] {
        if self.has_stream {
            &[false, true]
        } else {
            &[false]
        }
    }

    fn output_tokens(&self, chunks: u64) -> u64 {
        if self.has_stream { chunks } else { 0 }
    }

    fn ask(&self, stage: &Stage<'_>, stream: bool, demo: &Value) -> Chat {
        // Streams of chunks tell their usage only where they are asked for it.
        let stream = if stream {
            "\"stream\":\ttrue ,\"stream_options\":{\"include_usage\":true},"
        } else {
            ""
        };
        let body = format!(
            "\n{{ \"model\":\"{}\",{stream}{},\r\n\"x\":1.50e+1,\"sluice_demo\":{demo} }} ",
            stage.model, self.asks
        );
        stage.chat().to(self.path).body(body)
    }
}

async fn only_entry(stage: &Stage<'_>) -> Entry {
    let mut entries = stage.provider.ledger().wait_for_chats(1, SOON).await;
    stage.provider.ledger().reset();
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

async fn every_endpoint_passes_bytes_on_and_leaves_an_exact_row() {
    let stage = Stage::with("endpoints", |server| {
        server
            .field("rpm_limit", json!(1_000))
            .field("tpm_limit", json!(1_000_000))
    })
    .await;
    let mut expected = Vec::new();
    let mut charged = 0;
    for endpoint in ENDPOINTS {
        for stream in endpoint.ways() {
            let demo = json!({"chunks": 5, "cached_tokens": 1, "split_bytes": 7});
            let ask = endpoint.ask(&stage, *stream, &demo);
            let (sent, id) = (ask.bytes(), format!("ep-{}", expected.len()));
            let answer = ask.header("x-request-id", &id).send().await.expect(200);
            for header in ["x-ratelimit-remaining-requests", "x-ratelimit-limit-tokens"] {
                assert!(
                    answer.header(header).is_some(),
                    "{header} {}",
                    endpoint.path
                );
            }
            let entry = only_entry(&stage).await;
            assert_eq!(entry.path, endpoint.name());
            assert!(entry.body == sent, "{} {stream}", endpoint.path);
            if *stream {
                assert!(answer.text().contains("\"usage\""), "{}", answer.text());
            } else {
                let told = &answer.json()["usage"];
                assert!(told.is_object(), "{}", answer.text());
            }
            let output = endpoint.output_tokens(5);
            charged += endpoint.prompt_tokens + output;
            expected.push((id, endpoint.path, *stream, endpoint.prompt_tokens, output));
        }
    }
    let used = |live: &Value| live["tpm_used"] == charged && live["in_flight"] == 0;
    stage
        .live_until(&format!("{charged} tokens are charged"), used)
        .await;
    let rows = rows(stage.gateway, &stage.server.id, expected.len()).await;
    assert_eq!(rows.len(), expected.len());
    for (id, path, stream, prompt, output) in expected {
        let row = rows.iter().find(|row| row["request_id"] == id);
        let row = row.unwrap_or_else(|| panic!("no row of {id}"));
        let cached = u64::from(path != "/v1/embeddings");
        for (field, value) in [
            ("endpoint", json!(path)),
            ("stream", json!(stream)),
            ("status", json!(200)),
            ("prompt_tokens", json!(prompt)),
            ("completion_tokens", json!(output)),
            ("cached_tokens", json!(cached)),
            ("total_tokens", json!(prompt + output)),
            ("usage_source", json!("exact")),
        ] {
            assert_eq!(row[field], value, "{field}: {row}");
        }
    }
}

async fn what_the_provider_does_not_count_is_estimated_and_says_so() {
    let stage = Stage::new("endpoints-uncounted").await;
    let mut expected = Vec::new();
    for endpoint in ENDPOINTS {
        for stream in endpoint.ways() {
            let ask = endpoint.ask(&stage, *stream, &json!({"chunks": 6, "no_usage": true}));
            let (bytes, id) = (ask.bytes().len() as u64, format!("un-{}", expected.len()));
            ask.header("x-request-id", &id).send().await.expect(200);
            expected.push((id, bytes.div_ceil(4), endpoint.output_tokens(6)));
        }
    }
    let text_tokens = (completion_text(6).len() as u64).div_ceil(4);
    let rows = rows(stage.gateway, &stage.server.id, expected.len()).await;
    for (id, prompt, output) in expected {
        let row = rows.iter().find(|row| row["request_id"] == id);
        let row = row.unwrap_or_else(|| panic!("no row of {id}"));
        let completion = if output == 0 { 0 } else { text_tokens };
        assert_eq!(row["usage_source"], "estimated", "{row}");
        assert_eq!(row["completion_tokens"], completion, "{row}");
        assert_eq!(row["prompt_tokens"], prompt, "{row}");
        assert_eq!(row["total_tokens"], prompt + completion, "{row}");
    }
}

async fn stream_without_its_own_end_marker_is_told() {
    let stage = Stage::new("endpoints-cut").await;
    let mut asked = 0;
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.has_stream) {
        for demo in [json!({"end_after": 2}), json!({"cut_after": 2})] {
            let answer = endpoint.ask(&stage, true, &demo).send().await.expect(200);
            let events = sse_events(&answer.body);
            let last = events.last().expect("events");
            assert_eq!(last.name, "error", "{}", answer.text());
            assert_eq!(last.json()["error"]["code"], "upstream_stream_truncated");
            asked += 1;
        }
    }
    let rows = rows(stage.gateway, &stage.server.id, asked).await;
    assert_eq!(rows.len(), asked);
    for row in &rows {
        assert_eq!(
            (&row["status"], &row["usage_source"]),
            (&json!(502), &json!("estimated")),
            "{row}"
        );
        // A message tells its prompt before its answer; of the others it is estimated by their size.
        let is_message = row["endpoint"] == "/v1/messages";
        assert_eq!(row["prompt_tokens"] == 1, is_message, "{row}");
        assert_eq!(
            row["completion_tokens"],
            (completion_text(2).len() as u64).div_ceil(4),
            "{row}"
        );
    }
}

async fn streamed_completion_is_counted_and_its_client_sees_no_usage() {
    let stage = Stage::new("endpoints-insertion").await;
    let body = format!(
        "{{\"model\":\"{}\",\"stream\":true,\"prompt\":\"How?\"}}",
        stage.model
    );
    let ask = stage.chat().to("/v1/completions").body(body.clone());
    let answer = ask.send().await.expect(200);
    assert!(!answer.text().contains("_tokens"), "{}", answer.text());
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    let arrived = only_entry(&stage).await.body;
    let inserted = String::from_utf8_lossy(&arrived)
        .replace("\"stream_options\":{\"include_usage\":true},", "");
    assert!(arrived.len() > body.len() && inserted == body, "{inserted}");
    let row = &rows(stage.gateway, &stage.server.id, 1).await[0];
    assert_eq!(
        (&row["usage_source"], &row["total_tokens"]),
        (&json!("exact"), &json!(9))
    );
}

async fn messages_carry_the_servers_key_as_their_servers_expect_it() {
    let own_key = "sk-ant-api03-blackbox-0123456789";
    for (name, key) in [
        ("endpoints-key", None),
        ("endpoints-anthropic", Some(own_key)),
    ] {
        let stage = Stage::with(name, |server| match key {
            Some(key) => server.field("api_key", json!(key)),
            None => server,
        })
        .await;
        let expected = key.unwrap_or(&stage.server.api_key);
        let messages = &ENDPOINTS[4];
        let ask = messages.ask(&stage, false, &json!({"quote_authorization": true}));
        let answer = ask
            .without("authorization")
            .header("x-api-key", &stage.key.secret)
            .header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", "a-2025-01-01,b")
            .send()
            .await
            .expect(200);
        assert!(answer.text().contains("[redacted]"), "{}", answer.text());
        assert!(!answer.text().contains(expected), "{}", answer.text());
        let entry = only_entry(&stage).await;
        assert_eq!(entry.header("x-api-key"), Some(expected));
        let bearer = format!("Bearer {expected}");
        // Anthropic refuses its keys as bearer tokens; others look for nothing else.
        let sent = key.is_none().then_some(bearer.as_str());
        assert_eq!(entry.header("authorization"), sent);
        assert_eq!(entry.header("anthropic-version"), Some("2023-06-01"));
        assert_eq!(entry.header("anthropic-beta"), Some("a-2025-01-01,b"));
        ENDPOINTS[3]
            .ask(&stage, false, &json!({}))
            .send()
            .await
            .expect(200);
        let entry = only_entry(&stage).await;
        assert_eq!(entry.header("authorization"), Some(bearer.as_str()));
        assert_eq!(entry.header("x-api-key"), None);
    }
}

async fn refusals_have_one_shape_at_every_endpoint() {
    let stage = Stage::new("endpoints-refused").await;
    for endpoint in ENDPOINTS {
        let ask = |body: &str| stage.chat().to(endpoint.path).body(body.to_owned());
        let unknown = "{\"model\":\"endpoints-absent\"}";
        ask(unknown)
            .send()
            .await
            .expect_error(404, "model_not_found");
        ask("{").send().await.expect_error(400, "invalid_json");
        ask("{}").send().await.expect_error(400, "missing_model");
        let keyless = ask(unknown).without("authorization").send().await;
        keyless.expect_error(401, "invalid_api_key");
        let nameless = ask(unknown).without("app-name").send().await;
        nameless.expect_error(400, "missing_app_name");
    }
    assert!(stage.provider.ledger().chats().is_empty());
}
