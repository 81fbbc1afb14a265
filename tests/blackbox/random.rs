//! 一千个胡来的请求：没有 5xx，没有卡死。
//!
//! Random and mutated requests over bare connections, at the data plane and at
//! the admin API. The provider behind answers everything, so a 5xx can only be
//! the gateway's own.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_tests::harness::random::Random;
use gateway_tests::harness::raw::Connection;
use gateway_tests::harness::{APP, Gateway, SOON, within};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;

const REQUESTS: usize = 1000;

/// So many go on at once, so that they also meet one another.
const AT_ONCE: usize = 8;

/// An answer of any kind must come within this.
const ANSWERED: Duration = SOON;

/// What most requests aim at; the chat often, since it has the most to get wrong.
const TARGETS: [(&str, &str); 22] = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/chat/completions?x=%00"),
    ("POST", "/v1/%63hat/completions"),
    ("GET", "/v1/models"),
    ("GET", "/health"),
    ("POST", "/api/servers"),
    ("POST", "/api/servers"),
    ("POST", "/api/keys"),
    ("POST", "/api/keys"),
    ("PUT", "/api/servers/order"),
    ("PUT", "/api/servers/srv_0"),
    ("PATCH", "/api/keys/key_0"),
    ("DELETE", "/api/servers/srv_0"),
    ("GET", "/api/servers/../keys"),
    ("GET", "/api/keys?limit=99999&cursor=AAAA"),
    ("GET", "/api/live"),
    ("GET", "/api/config/version"),
];

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

const BODIES: [&str; 10] = [
    r#"{"model":"m","messages":[{"role":"user","content":"Hi \u00e9"}],"stream":true,"stream_options":{"include_usage":false}}"#,
    r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":5,"n":2}"#,
    r#"{"model":"m","max_completion_tokens":18446744073709551616,"n":-1,"stream":"yes"}"#,
    r#"{"model":"m","stream":true,"stream_options":null,"x":[1.0E+999,{"model":"m"}]}"#,
    r#"{"mod\u0065l":"m","model":"m"}"#,
    r#"{"name":"fuzz","base_url":"https://example.invalid","models":["never"],"api_key":"k","rpm_limit":0}"#,
    r#"{"name":"fuzz","app":"a","models":[],"expires_at":"2999-01-01T00:00:00Z"}"#,
    r#"{"ids":["a","b"]}"#,
    r"{}",
    r"",
];

const HEADERS: [(&str, &str); 12] = [
    ("x-queue-timeout", "0"),
    ("x-queue-timeout", "-1e99"),
    ("x-request-id", "\u{e9}"),
    ("x-api-key", "\u{1f600}"),
    ("if-match", "\"99999999999999999999\""),
    ("content-type", "text/plain"),
    ("content-encoding", "gzip"),
    ("connection", "close, authorization, content-type"),
    ("accept-encoding", "br;q=9"),
    ("x-queue-progress", "sse"),
    ("cookie", "a=b; =;;"),
    ("range", "bytes=0-"),
];

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![a_thousand_odd_requests_cause_no_5xx_and_no_hang]
}

/// Changes text where it hurts: bytes flipped, cut out, doubled, put in.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = random.bits() as u8,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, *random.pick(b"\"{}[]\\,:\0\xff0e-")),
            3 => {
                let tail = bytes[at..].to_vec();
                bytes.extend_from_slice(&tail);
            }
            4 => {
                let noise = random.below(64);
                let noise = random.bytes(noise);
                bytes.splice(at..at, noise);
            }
            _ if at < bytes.len() => {
                bytes.remove(at);
            }
            _ => {}
        }
    }
}

fn request(random: &mut Random, address: SocketAddr, tokens: [&str; 2]) -> (Vec<u8>, bool) {
    let (mut method, path) = *random.pick(&TARGETS);
    if random.one_in(12) {
        method = *random.pick(&METHODS);
    }
    let mut path = path.to_owned();
    if random.one_in(15) {
        let cut = random.below(path.len()) + 1;
        path.truncate(cut);
    }
    let mut body = random.pick(&BODIES).as_bytes().to_vec();
    mutate(random, &mut body);
    if random.one_in(20) {
        let noise = random.below(5000);
        body = random.bytes(noise);
    }
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    let token = if path.starts_with("/api") {
        tokens[1]
    } else {
        tokens[0]
    };
    match random.below(12) {
        0 => {}
        1 => head.push_str("authorization: Bearer\r\n"),
        2 => head.push_str("authorization: Bearer wrong wrong\r\n"),
        _ => head.extend(["authorization: Bearer ", token, "\r\n"]),
    }
    if !random.one_in(10) {
        head.extend(["app-name: ", APP, "\r\n"]);
    }
    if !path.starts_with("/api") || !random.one_in(4) {
        head.push_str("content-type: application/json\r\n");
    }
    for _ in 0..random.below(3) {
        let (name, value) = *random.pick(&HEADERS);
        if name != "connection" {
            head.extend([name, ": ", value, "\r\n"]);
        }
    }
    let mut bytes = head.into_bytes();
    if random.one_in(3) {
        bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        if !body.is_empty() {
            bytes.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(&body);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
    } else {
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(&body);
    }
    // Some clients leave without waiting for the answer.
    (bytes, random.one_in(25))
}

async fn a_thousand_odd_requests_cause_no_5xx_and_no_hang() {
    let gateway = Gateway::serve().start().await;
    let provider = Provider::start();
    let server = gateway
        .server("random")
        .provider(&provider)
        .model("m")
        .create()
        .await;
    let key = gateway.key("random").create().await;
    gateway.in_force().await;
    let mut random = Random::announced("a_thousand_odd_requests_cause_no_5xx_and_no_hang");
    let address = gateway.address();
    let tokens = [key.secret.as_str(), gateway.admin_token()];
    let requests: Vec<(usize, Vec<u8>, bool)> = (0..REQUESTS)
        .map(|number| {
            let (bytes, leaves) = request(&mut random, address, tokens);
            (number, bytes, leaves)
        })
        .collect();
    let mut statuses = std::collections::BTreeMap::new();
    let mut lanes: Vec<_> = (0..AT_ONCE).map(|_| Vec::new()).collect();
    for request in requests {
        let lane = request.0 % AT_ONCE;
        lanes[lane].push(request);
    }
    let lanes: Vec<_> = lanes
        .into_iter()
        .map(|lane| tokio::spawn(send_all(address, lane)))
        .collect();
    for lane in lanes {
        for status in lane.await.expect("no request failed") {
            *statuses.entry(status).or_insert(0_usize) += 1;
        }
    }
    println!("statuses of {REQUESTS} odd requests (0 = the client left): {statuses:?}");
    assert!(
        statuses.contains_key(&200) && statuses.contains_key(&400),
        "both sides are met: {statuses:?}"
    );
    // It is as well as before: served, listed, and nothing stuck.
    gateway.chat(&key).model("m").send().await.expect(200);
    gateway
        .admin("GET", "/api/servers?limit=500")
        .send()
        .await
        .expect(200);
    gateway
        .live_until(&server.id, "nothing in flight", |live| {
            live["in_flight"] == 0
        })
        .await;
}

async fn send_all(address: SocketAddr, requests: Vec<(usize, Vec<u8>, bool)>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for (number, bytes, leaves) in requests {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let mut connection = Connection::open(address)
            .await
            .expect("the gateway listens");
        connection.send(&bytes).await.expect("the gateway reads");
        if leaves {
            connection.reset();
            statuses.push(0);
            continue;
        }
        let reply = within(
            ANSWERED,
            &format!("an answer to request {number}: {shown}"),
            connection.reply(false),
        )
        .await;
        let reply = reply.unwrap_or_else(|error| panic!("request {number}: {error}: {shown}"));
        let reply =
            reply.unwrap_or_else(|| panic!("request {number}: closed without an answer: {shown}"));
        let status = reply.head.status;
        assert!(
            status < 500,
            "request {number}: {status}: {shown}\n{}",
            String::from_utf8_lossy(&reply.body)
        );
        statuses.push(status);
    }
    statuses
}
