//! 整体答案：用量与 `serde_json` 所读相同，错误合成一个事件。
//!
//! Plain answers of all endpoints, of any content type, and error answers that become one event of a stream. The oracles:
//! the chunking changes nothing, no byte changes, usage is what `serde_json` reads where it is told plainly, and an
//! event is one event whatever the upstream wrote.

use gateway::endpoint::Endpoint;
use gateway::observer::{Kind, Observer, Output};
use gateway::progress;
use gateway::usage::{Observed, Usage};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use crate::input::{Input, occurs};
use crate::requests::ENDPOINTS;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let endpoint = input.choice(&ENDPOINTS);
    let size = 1 + usize::from(input.byte()) % 16;
    let body = input.rest();
    let kind = Kind::Json { endpoint };
    let whole = observed(kind, [body]);
    assert_eq!(
        observed(kind, body.chunks(size)),
        whole,
        "the chunking counts"
    );
    if let Some(usage) = plain_usage(endpoint, body) {
        assert_eq!(whole.usage, Some(usage), "other usage than serde_json's");
    }
    let event = progress::upstream_error_event(500, body, "req_1");
    let data = event
        .strip_prefix("event: error\ndata: ")
        .and_then(|rest| rest.strip_suffix("\n\n"))
        .expect("one event");
    assert!(!data.contains(['\n', '\r']), "more than one event: {data}");
    let fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(data).expect("its data is a JSON object");
    assert_ne!(fields["error"].get(), "null", "{data}");
}

fn observed<'a>(kind: Kind, chunks: impl IntoIterator<Item = &'a [u8]>) -> Observed {
    let mut observer = Observer::new(kind, None);
    for chunk in chunks {
        assert_eq!(observer.push(chunk), Output::Same);
    }
    let finish = observer.finish();
    assert!(finish.complete && finish.tail.is_empty());
    finish.observed
}

/// The usage of an answer that tells it once, plainly, in the names of its endpoint.
fn plain_usage(endpoint: Endpoint, body: &[u8]) -> Option<Usage> {
    if body.contains(&b'\\') || !occurs(body, "\"usage\"", 1) {
        return None;
    }
    let (prompt, output) = match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions => ("prompt_tokens", "completion_tokens"),
        Endpoint::Responses => ("input_tokens", "output_tokens"),
        Endpoint::Embeddings | Endpoint::Messages => return None,
    };
    let names = [prompt, output, "total_tokens"];
    let is_once = |name: &str| occurs(body, &format!("\"{name}\""), 1);
    if !names.into_iter().all(is_once) || occurs_anywhere(body, "_details") {
        return None;
    }
    let answer: Value = serde_json::from_slice(body).ok()?;
    let usage = answer.as_object()?.get("usage")?;
    let count = |name: &str| usage[name].as_u64();
    let (prompt_tokens, output, total_tokens) =
        (count(prompt)?, count(output)?, count("total_tokens")?);
    Some(Usage {
        prompt_tokens,
        completion_tokens: output.max(total_tokens.saturating_sub(prompt_tokens)),
        cached_tokens: 0,
        total_tokens,
    })
}

fn occurs_anywhere(body: &[u8], text: &str) -> bool {
    !occurs(body, text, 0)
}
