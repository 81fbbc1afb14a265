//! 种子：每个目标从几个像样的输入开始。
//!
//! Owns the inputs that runs begin with: one or more of each shape that a target reads, so that mutation need not find the
//! shapes by itself. Nothing depends on which they are.

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn requests() -> Vec<Vec<u8>> {
    bytes(&[
        r#"0{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}"#,
        r#"0{"model":"m","stream":true,"stream_options":{"include_usage":false},"max_tokens":7,"n":2}"#,
        r#"0{"stream_options":null,"stream":true,"model":"\u006d","a":{"b":[1e3,-0,null]}}"#,
        r#"1{"model":"m","prompt":["a","b"],"best_of":3,"max_tokens":5,"stream":true}"#,
        r#"2{"model":"m","input":["a",[1,2]]}"#,
        r#"3{"model":"m","input":"a","max_output_tokens":9,"stream":true}"#,
        r#"4{"model":"m","max_tokens":9,"messages":[],"stream":true,"system":"\"\\"}"#,
    ])
}

pub(crate) fn streams() -> Vec<Vec<u8>> {
    bytes(&[
        "011data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\ndata: [DONE]\n\n",
        "002: comment\r\n\r\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":5}}\r\n\r\ndata:[DONE]\r\n\r\n",
        "033data: sk-abcab sk-absk-abcab\n\ndata: [DONE]\n\n",
        "114data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\": [ ],\n\ndata\ndata: x\ndata: \"usage\":{\"total_tokens\":1}}\n\n",
        "305event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":2,\"total_tokens\":7}}}\n\n",
        "406event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\nevent: message_delta\ndata: {\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ])
}

pub(crate) fn answers() -> Vec<Vec<u8>> {
    bytes(&[
        r#"01{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#,
        r#"02{"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":9,"prompt_tokens_details":{"cached_tokens":1}}}"#,
        r#"23{"data":[{"embedding":[0.5]}],"usage":{"prompt_tokens":5,"total_tokens":5}}"#,
        r#"34{"output":[{"content":[{"text":"a"}]}],"usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7}}"#,
        r#"45{"content":[{"text":"a"}],"usage":{"input_tokens":5,"cache_read_input_tokens":1,"output_tokens":2}}"#,
        r#"06{"error":{"message":"no","code":null,"type":"x"},"status":"odd"}"#,
        "07<html>\n<h1>502</h1>\r\n",
    ])
}

pub(crate) fn headers() -> Vec<Vec<u8>> {
    bytes(&[
        "0my.request_id-1",
        "0\u{5b57} %41",
        "0\"5\"",
        "0W/\"17\"",
        "0/api/servers/abc",
        "130.5",
        "10",
        "1sse\nretry-after: 5",
        "11500\nretry-after: Fri, 31 Dec 1999 23:59:59 GMT\nretry-after-ms: 20",
        "1x\nx-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 6m0.5s",
        "1x\nanthropic-ratelimit-requests-remaining: 0\nanthropic-ratelimit-requests-reset: 2026-11-23T08:00:05Z",
        "2Bearer sk-sluice-abc\nkey",
        "2{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"AQ\",\"e\":\"AQAB\"}]}",
        "2eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJhdWQiOiJhIiwiZXhwIjo5OTk5OTk5OTk5LCJuYmYiOjAsImlzcyI6ImkiLCJlbWFpbCI6ImFAZXhhbXBsZS5jb20ifQ.AAAA",
        "30a1b2c3d, deadbeef",
        "4a=b; __Host-sluice_session=v1.k.AAAA.BBBB; c=d",
        "5https://a.example,http://localhost:3000\nhttps://a.example",
        "5*\nnull",
        "6authorization: Bearer x\nx-custom: 1\nconnection: x-custom\ncf-ray: 1",
        "73,1,203.0.113.7",
        "71795420800000",
    ])
}

const ACQUIRE: &str = "v=1&t=ticket-1&a=app&k=key&m=model&b=400&o=50&w=30000&n=0&c=7&lv=3&le=true&lr=2&lt=1000&lc=1&lq=3&lw=60000&lf=evict_oldest&ll=600000";

pub(crate) fn protocol() -> Vec<Vec<u8>> {
    let second = ACQUIRE.replace("ticket-1", "ticket-2");
    let again = second.replace("n=0", "n=1&z=5000&i=1795420800000");
    let unlimited = "v=1&t=t3&lv=4&j=%7B%22r%22%3A%22x%22%7D";
    let settle = "v=1&t=ticket-1&k=70&p=50&c=20&o=completed";
    let refused = "v=1&t=ticket-2&o=upstream_refused&z=1000";
    vec![
        format!("{ACQUIRE}\n{second}\n{settle}\nlater\n{refused}").into_bytes(),
        format!("{ACQUIRE}\n{second}\n{again}\nv=1&lv=5&lr=0\nzzzzzzzz\n<back\nv=1&lv=9&le=false")
            .into_bytes(),
        format!("{unlimited}\n{unlimited}\nv=1&t=t3").into_bytes(),
        b"v=1&g=permit&t=t1&r=10&p=0&w=0".to_vec(),
    ]
}

pub(crate) fn rows() -> Vec<Vec<u8>> {
    // The first byte of a line chooses the kind: `r` is a state, `s` a bucket, `t` a lease, `u` a waiter, `v` a model.
    bytes(&[
        "r{\"only\":1,\"row\":{\"instant_ms\":1795420799000,\"entered\":5,\"config_version\":3,\"limits\":{\"version\":3,\"enabled\":true,\"rpm\":2,\"queue_max\":5,\"queue_timeout_ms\":60000,\"lease_ms\":600000}}}\ns{\"bucket\":17954207990,\"requests\":1,\"tokens\":70}\nt{\"ticket\":\"a\",\"granted_at_ms\":1795420799000,\"expires_at_ms\":1795421399000,\"bucket\":17954207990,\"reserved_tokens\":70}\nu{\"ticket\":\"b\",\"arrival_ms\":1795420799500,\"sequence\":2,\"deadline_ms\":1795420859500,\"tokens\":10,\"model\":\"m\"}\nv{\"model\":\"m\",\"used\":4,\"epochs\":2,\"prompt_mean\":16384,\"output_mean\":25600}",
        "{\"r\":\"req_1\",\"s\":1795420800000,\"a\":\"app\",\"k\":\"key\",\"e\":\"/v1/chat/completions\",\"h\":{\"s\":429}}\n{\"s\":200,\"p\":5,\"o\":2,\"u\":\"exact\",\"t\":20,\"n\":1}",
        "{\"requests\":[1,0],\"prompt_tokens\":5}",
    ])
}

pub(crate) fn admin() -> Vec<Vec<u8>> {
    let server = r#"{"name":"a","base_url":"https://api.example.com/v1","models":["m","n*"],"api_key":"sk-1234567","rpm_limit":60,"tpm_limit":null,"max_concurrency":4,"queue_max":9,"queue_timeout_ms":1000,"on_full":"reject_newest","overflow":"next_server","upstream_timeout_ms":5000,"enabled":false}"#;
    let urls = [
        "http://127.0.0.1:8080",
        "http://[::1]/v1",
        "https://[::ffff:127.0.0.1]/",
        "https://0x7f.1/v1",
        "https://10.0.0.1",
        "https://user:pass@host",
        "https://a.b?c#d",
        "https://gateway.example.com:443/v1",
        "https://x\u{ff0e}y/",
        "http://localhost./",
    ];
    let mut seeds = vec![
        format!("00{server}").into_bytes(),
        format!("11{server}").into_bytes(),
    ];
    for url in urls {
        seeds.push(format!(r#"2{}{{"base_url":"{url}"}}"#, url.len() % 4).into_bytes());
    }
    seeds.extend(bytes(&[
        r#"30{"ids":["srv_1","srv_2"]}"#,
        r#"40{"name":"k","app":"app","models":["m"],"expires_at":"2027-01-01T00:00:00Z","enabled":true}"#,
        r#"50{"name":"k","app":null,"models":null,"expires_at":null}"#,
        r#"60{"grace_seconds":60}"#,
        r#"70{"token":"admin-admin-admin"}"#,
        r#"70{"available":false}"#,
    ]));
    seeds
}

pub(crate) fn queries() -> Vec<Vec<u8>> {
    bytes(&[
        "limit=50&cursor=1795420800000.key_A-9",
        "from=2026-11-22T08:00:00Z&to=2026-11-23T08:00:00Z&server_id=s&app=a&model=m%20n&key_id=k&status=200&error_code=queue_timeout&request_id=r.1&limit=2&cursor=1795420800000.17",
        "granularity=hour&group_by=server_id,app&from=2026-11-22T08:00:00Z&to=2026-11-23T08:00:00Z&cursor=WzE3OTU0MTAwMDAwMDAsWyJzIiwiYSJdXQ",
        "granularity=day&group_by=model&from=2026-11-01T00:00:00Z&to=2026-11-23T00:00:00Z",
        "target_kind=server&target_id=s&actor=admin&action=create&from=2026-11-22T08:00:00.5Z",
        "status=error",
        "2026-11-23T08:00:00.123456Z",
        "2026-11-23T08:00:00+02:00",
        "limit=0",
        "a=%ff&b=%zz",
    ])
}

pub(crate) fn texts() -> Vec<Vec<u8>> {
    let variables = |values: &[(usize, &str)]| {
        let mut parts: Vec<&[u8]> = vec![b""; 24];
        for (at, value) in values {
            parts[*at] = value.as_bytes();
        }
        [b"2".as_slice(), &parts.join(&0xff)].concat()
    };
    let mut seeds = vec![
        b"0=1+1\xffa,b\xff\"q\"\xfftwo\r\nlines\xff\xe5\xad\x97".to_vec(),
        b"3-2\xff'\xff\tx\xff@".to_vec(),
        b"1sk-upstream-1\xffsrv_9".to_vec(),
        b"4v1.abcd.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAA\xffx".to_vec(),
        b"7AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_vec(),
    ];
    for (at, variable) in gateway::settings::VARIABLES.iter().enumerate() {
        let sample = variable.default.unwrap_or("0123456789abcdef");
        seeds.push(variables(&[(at.min(23), sample)]));
        seeds.push(variables(&[(at.min(23), " on "), (0, "test")]));
    }
    seeds
}
