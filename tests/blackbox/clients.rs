//! 官方客户端：只改地址、密钥与 App-Name。
//!
//! The official `openai` packages for Python and Node and Anthropic's for Node, as
//! users install them, run as scripts against `make serve`.

use std::process::Stdio;
use std::time::Duration;

use gateway_tests::harness::{root, within};
use gateway_tests::provider::completion_text;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::stage::Stage;

/// Start-up of an interpreter with its packages, on a busy machine.
const SCRIPT: Duration = Duration::from_mins(1);

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        python_client_completes_plain_and_streaming_chats,
        node_client_completes_plain_and_streaming_chats,
        node_client_completes_embeds_and_responds,
        client_of_anthropic_gets_messages_and_its_own_classes_of_error,
    ]
}

/// Runs the script with the project's own tools and reads what it printed.
async fn run(stage: &Stage<'_>, command_line: &str) -> Value {
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!(". .make/env; exec {command_line}")])
        .current_dir(root())
        .env("SLUICE_URL", stage.gateway.base_url())
        .env("SLUICE_KEY", &stage.key.secret)
        .env("SLUICE_MODEL", &stage.model)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = within(SCRIPT, command_line, command.output())
        .await
        .expect("bash starts");
    let (printed, complaints) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command_line}: {complaints}");
    serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("{command_line} printed {printed} ({error})"))
}

async fn client_completes_chats(name: &str, app: &str, command_line: &str) {
    let stage = Stage::new(name).await;
    let result = run(&stage, command_line).await;
    let text = completion_text(8);
    // 23 bytes of prompt are 6 tokens, and the answer has 8 words.
    assert_eq!(result["plain"], json!({"text": text, "usage": 14}));
    assert_eq!(
        result["stream"],
        json!({"text": text, "usage": null, "bare_chunks": 0}),
        "usage was not asked for"
    );
    assert_eq!(
        result["stream_with_usage"],
        json!({"text": text, "usage": 14, "bare_chunks": 1})
    );
    let models = result["models"].as_array().expect("a list of models");
    assert!(models.contains(&json!(stage.model)), "{models:?}");
    let chats = stage.provider.ledger().chats();
    assert_eq!(chats.len(), 3);
    for chat in &chats {
        let expected = format!("Bearer {}", stage.server.api_key);
        assert_eq!(
            chat.header("authorization"),
            Some(expected.as_str()),
            "the server's own key goes upstream"
        );
        assert!(
            !chat.headers.iter().any(|(_, value)| value.contains(app)),
            "App-Name stays here: {:?}",
            chat.headers
        );
    }
}

async fn python_client_completes_plain_and_streaming_chats() {
    let script = "\"$TOOLS/venv/bin/python\" tests/blackbox/clients/chat.py";
    client_completes_chats("client-python", "python-client", script).await;
}

async fn node_client_completes_plain_and_streaming_chats() {
    client_completes_chats(
        "client-node",
        "node-client",
        "node tests/blackbox/clients/chat.mjs",
    )
    .await;
}

async fn node_client_completes_embeds_and_responds() {
    let stage = Stage::new("client-endpoints").await;
    let result = run(&stage, "node tests/blackbox/clients/endpoints.mjs").await;
    let told = json!({"text": completion_text(8), "usage": 14});
    assert_eq!(
        result["completions"],
        json!({"plain": told, "stream": told})
    );
    assert_eq!(
        result["embeddings"],
        json!({"one": {"vectors": 1, "usage": 6}, "tokens": {"vectors": 2, "usage": 3}})
    );
    let mut streamed = told.clone();
    streamed["last"] = json!("response.completed");
    assert_eq!(
        result["responses"],
        json!({"plain": told, "stream": streamed, "helped": told})
    );
    assert_eq!(
        result["broken"],
        json!({"kind": true, "code": "upstream_stream_truncated"})
    );
}

async fn client_of_anthropic_gets_messages_and_its_own_classes_of_error() {
    let stage = Stage::new("client-messages").await;
    let result = run(&stage, "node tests/blackbox/clients/messages.mjs").await;
    let text = completion_text(8);
    let told = json!({"text": text, "stop": "end_turn", "input": 1, "read": 3, "output": 8});
    assert_eq!((&result["plain"], &result["helped"]), (&told, &told));
    assert_eq!(result["by_token"], text);
    let types = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(result["events"], json!({"text": text, "types": types}));
    assert_eq!(
        result["failures"],
        json!({
            "key": ["AuthenticationError", 401, "invalid_api_key"],
            "model": ["NotFoundError", 404, "model_not_found"],
            "app": ["BadRequestError", 400, "missing_app_name"],
            "upstream": ["OverloadedError", 529, null],
            "unreachable": ["InternalServerError", 502, "upstream_unreachable"],
            "cut": ["APIError", null, "upstream_stream_truncated"],
        })
    );
    let chats = stage.provider.ledger().chats();
    assert!(chats.iter().all(|chat| chat.path == "/messages"));
    let versions = chats.iter().map(|chat| chat.header("anthropic-version"));
    assert!(versions.into_iter().all(|version| version.is_some()));
    for chat in &chats {
        let leaked =
            |value: &str| value.contains("anthropic-client") || value.contains(&stage.key.secret);
        assert!(
            !chat.headers.iter().any(|(_, value)| leaked(value)),
            "{:?}",
            chat.headers
        );
    }
}
