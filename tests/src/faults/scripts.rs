//! 剧本：一个个坏答案的字节。
//!
//! Owns the bytes of answers that no HTTP server writes by itself. What is expected of the gateway then stands in the
//! catalogue.

use crate::provider::Act;

const PLAIN: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const WORD: &str = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\n";

/// Bytes of a header that is too long for any client.
const HUGE: usize = 4 * 1024 * 1024;

fn send(text: impl Into<String>) -> Act {
    Act::Send(text.into().into_bytes())
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn whole(headers: &str, body: &str) -> Vec<Act> {
    vec![send(format!(
        "{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    ))]
}

fn stream_of(events: &[&str]) -> Vec<Act> {
    let chunks: String = events.iter().map(|event| chunk(event)).collect();
    vec![send(format!("{STREAM}{chunks}0\r\n\r\n"))]
}

pub(super) fn reset_before_headers() -> Vec<Act> {
    vec![Act::Reset]
}

pub(super) fn half_a_header() -> Vec<Act> {
    vec![send("HTTP/1.1 200 OK\r\ncontent-ty")]
}

pub(super) fn garbage() -> Vec<Act> {
    vec![send("\u{0}\u{1}SSH-2.0-not-http\r\n\r\n\r\n")]
}

pub(super) fn huge_header() -> Vec<Act> {
    vec![
        send("HTTP/1.1 200 OK\r\nx-huge: "),
        Act::Flood(vec![b'x'; 4096], (HUGE / 4096) as u64),
        send("\r\ncontent-length: 2\r\n\r\n{}"),
    ]
}

pub(super) fn headers_too_slow() -> Vec<Act> {
    let slow = format!(
        "HTTP/1.1 200 OK\r\nx-slow: {}\r\ncontent-length: 2\r\n\r\n{{}}",
        "x".repeat(2_000)
    );
    vec![Act::Drip(slow.into_bytes())]
}

pub(super) fn headers_slow_but_in_time() -> Vec<Act> {
    vec![
        Act::Drip(b"HTTP/1.1 200 OK\r\n".to_vec()),
        send("content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"),
    ]
}

pub(super) fn headers_and_the_end() -> Vec<Act> {
    vec![send(format!("{PLAIN}content-length: 100\r\n\r\n"))]
}

pub(super) fn stream_headers_and_the_end() -> Vec<Act> {
    vec![send(STREAM)]
}

pub(super) fn length_longer_than_the_body() -> Vec<Act> {
    vec![send(format!(
        "{PLAIN}content-length: 100\r\n\r\n{{\"choices\":[]}}"
    ))]
}

pub(super) fn body_longer_than_its_length() -> Vec<Act> {
    vec![send(format!(
        "{PLAIN}content-length: 2\r\n\r\n{{}}HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsmuggle"
    ))]
}

pub(super) fn stall_in_the_body() -> Vec<Act> {
    vec![
        send(format!("{PLAIN}content-length: 100\r\n\r\n{{\"choices\":")),
        Act::Stall,
    ]
}

pub(super) fn reset_in_mid_stream() -> Vec<Act> {
    vec![
        send(format!("{STREAM}{}", chunk(WORD))),
        Act::Drip(b"1".to_vec()),
        Act::Reset,
    ]
}

pub(super) fn empty_answer() -> Vec<Act> {
    whole(PLAIN, "")
}

pub(super) fn empty_stream() -> Vec<Act> {
    stream_of(&[])
}

pub(super) fn no_content() -> Vec<Act> {
    vec![send("HTTP/1.1 204 No Content\r\n\r\n")]
}

pub(super) fn informational_first() -> Vec<Act> {
    vec![
        send("HTTP/1.1 102 Processing\r\n\r\n"),
        whole(PLAIN, "{}").remove(0),
    ]
}

pub(super) fn broken_json() -> Vec<Act> {
    whole(
        PLAIN,
        "{\"choices\":[{\"message\":{\"content\":\"half an ans",
    )
}

pub(super) fn broken_sse() -> Vec<Act> {
    stream_of(&[
        "data {\"choices\"\n\n",
        "\u{0}: :data:\n\n",
        "data: {\"choices\":[}\n\n",
    ])
}

pub(super) fn broken_sse_with_its_end() -> Vec<Act> {
    stream_of(&[
        "data {\"choices\"\n\n",
        "data: {\"choices\":[}\n\n",
        "data: [DONE]\n\n",
    ])
}

pub(super) fn broken_chunks() -> Vec<Act> {
    vec![send(format!("{STREAM}{}zz\r\nnonsense", chunk(WORD)))]
}

pub(super) fn broken_gzip() -> Vec<Act> {
    whole(
        &format!("{PLAIN}content-encoding: gzip\r\n"),
        "this was never compressed",
    )
}

pub(super) fn stream_called_html() -> Vec<Act> {
    whole("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n", WORD)
}

pub(super) fn answer_called_a_stream() -> Vec<Act> {
    whole(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n",
        "{\"choices\":[]}",
    )
}

pub(super) fn refusal_that_stalls() -> Vec<Act> {
    vec![
        send(
            "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after-ms: 60\r\ncontent-length: 100\r\n\r\n{",
        ),
        Act::Stall,
    ]
}

pub(super) fn refusal_that_floods() -> Vec<Act> {
    vec![
        send(
            "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after-ms: 60\r\nconnection: close\r\n\r\n",
        ),
        Act::Flood(vec![b'x'; 65_536], 256),
    ]
}
