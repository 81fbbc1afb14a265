//! CSV 导出：流式、齐全、公式无害。
//!
//! What the files contain, read as RFC 4180 says, and that a large one is streamed. `USAGE_CSV_ROWS` makes the log
//! larger; the memory that workerd took is printed. `USAGE_CSV_FILE` keeps the file, to open it in other programs.

use std::collections::BTreeMap;
use std::io::Write as _;

use gateway::log_row::LogRow;
use gateway_tests::harness::Gateway;
use libtest_mimic::Trial;

use super::{get, now, row, state_with, this_hour, time, walk};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![export_streams_every_row]
}

/// The file of statistics has the rows of the API.
pub(super) async fn statistics_are_those_of_the_api(gateway: &Gateway) {
    let lines = csv(gateway, "/api/stats/usage.csv?granularity=day&group_by=app").await;
    let items = walk(gateway, "/api/stats/usage?granularity=day&group_by=app").await;
    assert_eq!(lines.len(), items.len());
    for (line, item) in lines.iter().zip(&items) {
        assert_eq!(line["bucket"], item["bucket"].as_str().unwrap_or_default());
        assert_eq!(line["total_tokens"], item["total_tokens"].to_string());
        assert_eq!(
            line["app"].trim_start_matches('\''),
            item["app"].as_str().unwrap_or_default()
        );
        assert!(!line["app"].starts_with('='), "no formula: {line:?}");
    }
}

/// Names that spreadsheets take for formulas, and others.
fn model(number: u64) -> &'static str {
    const MODELS: [&str; 9] = [
        "gpt",
        "模型, \"one\"",
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "a=b-c",
    ];
    MODELS[(number / 7 % 9) as usize]
}

async fn export_streams_every_row() {
    let count =
        std::env::var("USAGE_CSV_ROWS").map_or(9_001, |rows| rows.parse().expect("a number"));
    let hour = this_hour();
    // Many rows share a millisecond, also across the ends of pages.
    let rows: Vec<LogRow> = (0..count)
        .map(|number| LogRow {
            model: model(number).to_owned(),
            ..row(number, hour - number / 1_500)
        })
        .collect();
    let state = state_with(&rows, now()).await;
    let gateway = Gateway::serve().state(state.path()).start().await;
    let memory = |name: &str| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.workerd_id()));
        let status = status.unwrap_or_default();
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
            .to_owned();
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse::<u64>().ok())
            .unwrap_or_default()
            / 1_024
    };
    let path = format!("/api/logs.csv?app=chat&from={}", time(hour - 1));
    let lines = csv(&gateway, &path).await;
    assert_eq!(
        lines.len() as u64,
        count.min(3_000).div_ceil(3),
        "two milliseconds of rows"
    );
    for line in &lines {
        let number = line["request_id"].strip_prefix("req-");
        let model = model(number.expect("an id").parse().expect("a number"));
        let is_formula = model.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let expected = format!("{}{model}", if is_formula { "'" } else { "" });
        assert_eq!(line["model"], expected);
    }
    let mut kept = std::env::var_os("USAGE_CSV_FILE")
        .map(|path| std::fs::File::create(path).expect("a writable file"));
    let before = memory("VmRSS");
    let began = std::time::Instant::now();
    let request = reqwest::Client::new().get(format!("{}/api/logs.csv", gateway.base_url()));
    let request = request.bearer_auth(gateway.viewer_token());
    let mut answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let (mut bytes, mut ends) = (0, 0);
    let mut unfinished: Vec<u8> = Vec::new();
    let mut next: Option<u64> = None;
    let mut seen = vec![false; count as usize];
    while let Some(chunk) = answer.chunk().await.expect("the stream does not break off") {
        bytes += chunk.len();
        if let Some(file) = &mut kept {
            file.write_all(&chunk).expect("room on the disk");
        }
        unfinished.extend_from_slice(&chunk);
        let whole = unfinished
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let lines: Vec<u8> = unfinished.drain(..whole).collect();
        for line in String::from_utf8_lossy(&lines).split_terminator("\r\n") {
            ends += 1;
            let Some(number) = line
                .strip_prefix("req-")
                .and_then(|rest| rest.split(',').next())
            else {
                continue;
            };
            let number: usize = number.parse().expect("a number");
            assert!(
                !std::mem::replace(&mut seen[number], true),
                "req-{number} twice"
            );
            next = next.max(Some(number as u64));
        }
    }
    assert_eq!(
        (ends, unfinished.len()),
        (count + 1, 0),
        "a header and every row"
    );
    assert!(seen.iter().all(|is_so| *is_so) && next == Some(count - 1));
    println!(
        "{count} rows, {bytes} bytes in {:?}; workerd had {before} MiB, has {} MiB, had at most {} MiB",
        began.elapsed(),
        memory("VmRSS"),
        memory("VmHWM")
    );
    // A client that leaves in the middle harms nobody.
    let left = reqwest::Client::new().get(format!("{}/api/logs.csv", gateway.base_url()));
    let mut left = left
        .bearer_auth(gateway.viewer_token())
        .send()
        .await
        .expect("an answer");
    assert!(left.chunk().await.expect("its beginning").is_some());
    drop(left);
    get(&gateway, "/api/logs?limit=1").await;
}

async fn csv(gateway: &Gateway, path: &str) -> Vec<BTreeMap<String, String>> {
    let request = gateway.request("GET", path).token(gateway.viewer_token());
    let answer = request.send().await.expect(200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    let disposition = answer.header("content-disposition").unwrap_or_default();
    assert!(
        disposition.starts_with("attachment; filename=\"sluice-"),
        "{disposition}"
    );
    let mut lines = table(&answer.text()).into_iter();
    let header = lines.next().expect("a header");
    lines
        .map(|cells| {
            assert_eq!(cells.len(), header.len(), "{cells:?}");
            header.iter().cloned().zip(cells).collect()
        })
        .collect()
}

/// Reads CSV as RFC 4180 says.
fn table(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut cells, mut cell, mut quoted) =
        (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => cell.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {
                assert_eq!(characters.next(), Some('\n'), "lines end in CRLF");
                cells.push(std::mem::take(&mut cell));
                lines.push(std::mem::take(&mut cells));
            }
            other => cell.push(other),
        }
    }
    assert!(
        cells.is_empty() && cell.is_empty(),
        "the last line is whole"
    );
    lines
}
