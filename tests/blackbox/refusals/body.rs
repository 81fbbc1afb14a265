//! 请求体：太大、不是 JSON、没有模型。
//!
//! Check 3 of the data plane, with every body that it must refuse and the largest
//! that it must take.

use gateway_tests::harness::raw::{Connection, Reply};
use gateway_tests::harness::{APP, SOON, within};
use libtest_mimic::Trial;

use crate::stage::Stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        body_above_the_bound_is_too_large,
        body_that_is_no_json_object_is_invalid_json,
        request_without_a_model_is_missing_model
    ]
}

/// The default of the variable of this name.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Levels that a body may nest, itself included.
const DEPTH_MAX: usize = 128;

/// Sends a body over a bare connection and reads the answer.
///
/// The gateway may answer before it has read everything and close; a client has to look for the
/// answer even when it can not write on, and not every library does.
async fn answer_to(stage: &Stage<'_>, body: &[u8], chunked: bool) -> Reply {
    let address = stage.gateway.address();
    let mut connection = Connection::open(address)
        .await
        .expect("the gateway listens");
    let framing = if chunked {
        format!("transfer-encoding: chunked\r\n\r\n{:x}", body.len())
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
         app-name: {APP}\r\n{framing}\r\n",
        stage.key.secret
    );
    connection
        .send(head.as_bytes())
        .await
        .expect("the gateway reads");
    let _ = connection.send(body).await;
    if chunked {
        let _ = connection.send(b"\r\n0\r\n\r\n").await;
    }
    within(SOON, "an answer", connection.reply(false))
        .await
        .expect("open")
        .expect("an answer")
}

async fn body_above_the_bound_is_too_large() {
    let stage = Stage::new("refuse-large").await;
    let body = |bytes: usize| {
        let start = format!(
            "{{\"model\":\"{}\",\"sluice_demo\":{{\"chunks\":1}},\"x\":\"",
            stage.model
        );
        let pad = "p".repeat(bytes - start.len() - 2);
        format!("{start}{pad}\"}}").into_bytes()
    };
    for chunked in [false, true] {
        let largest = answer_to(&stage, &body(BODY_BYTES_MAX), chunked).await;
        assert_eq!(
            largest.head.status,
            200,
            "{}",
            String::from_utf8_lossy(&largest.body)
        );
        let larger = answer_to(&stage, &body(BODY_BYTES_MAX + 1), chunked).await;
        let text = String::from_utf8_lossy(&larger.body);
        assert_eq!(larger.head.status, 413, "chunked: {chunked}: {text}");
        assert!(
            text.contains("\"body_too_large\""),
            "chunked: {chunked}: {text}"
        );
    }
    assert_eq!(
        stage.provider.ledger().chats().len(),
        2,
        "only the allowed ones went upstream"
    );
}

async fn body_that_is_no_json_object_is_invalid_json() {
    let stage = Stage::new("refuse-json").await;
    let model = format!("\"model\":\"{}\"", stage.model);
    let with_model = |rest: &str| format!("{{{model}{rest}").into_bytes();
    let deep = |depth: usize| {
        with_model(&format!(
            ",\"x\":{}{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        ))
    };
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b" ".to_vec(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"text\"".to_vec(),
        b"12".to_vec(),
        b"model=gpt".to_vec(),
        with_model(""),
        with_model(",}"),
        with_model("}}"),
        with_model("} {}"),
        with_model("} x"),
        with_model(",\"x\":01}"),
        with_model(",\"x\":1.}"),
        with_model(",\"x\":.5}"),
        with_model(",\"x\":+1}"),
        with_model(",\"x\":NaN}"),
        with_model(",\"x\":Infinity}"),
        with_model(",\"x\":'single'}"),
        with_model(",x:1}"),
        with_model(",\"x\":\"line\nbreak\"}"),
        with_model(",\"x\":\"\\x41\"}"),
        with_model(",\"x\":\"\\u12\"}"),
        with_model(",\"x\":tru}"),
        with_model(" // comment\n}"),
        with_model(&format!(",{model}}}")),
        with_model(",\"\\u006dodel\":\"other\"}"),
        with_model(",\"mod\\u0065l\":1}"),
        [b"\xef\xbb\xbf".as_slice(), &with_model("}")].concat(),
        [with_model(",\"x\":\"").as_slice(), b"\xff\xfe\"}"].concat(),
        [with_model(",\"x\":\"").as_slice(), b"\xed\xa0\x80\"}"].concat(),
        vec![0; 64],
        b"[".repeat(200_000),
        b"{\"a\":".repeat(100_000),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let answer = stage.chat().body(body).send().await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_json"),
            "{shown:?}: {}",
            answer.text()
        );
        answer.expect_error(400, "invalid_json");
    }
    assert!(stage.provider.ledger().entries().is_empty());
    // Closed but deep: what lies in the object is a level below it.
    for depth in [DEPTH_MAX, 100_000, 3_000_000] {
        let answer = stage.chat().body(deep(depth)).send().await;
        answer.expect_error(400, "invalid_json");
    }
    stage
        .chat()
        .body(deep(DEPTH_MAX - 1))
        .send()
        .await
        .expect(200);
}

async fn request_without_a_model_is_missing_model() {
    let stage = Stage::new("refuse-model").await;
    for body in [
        "{}",
        "{\"model\":null}",
        "{\"model\":7}",
        "{\"model\":[\"m\"]}",
        "{\"model\":{}}",
        "{\"model\":\"\"}",
        "{\"Model\":\"m\"}",
        "{\"x\":{\"model\":\"m\"}}",
    ] {
        let answer = stage.chat().body(body).send().await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "missing_model"),
            "{body}: {}",
            answer.text()
        );
        answer.expect_error(400, "missing_model");
    }
}
