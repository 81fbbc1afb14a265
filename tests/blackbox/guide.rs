//! 指南里的每段代码都真的运行，输出与文中一致。
//!
//! Runs the shell, Python and JavaScript blocks of `docs/guide.md` against a gateway, in their order, as a
//! reader would, and compares what they print with the block under each. Owns no snippet: the document does.

use std::process::Stdio;
use std::time::Duration;

use gateway_tests::harness::{Gateway, root, within};
use gateway_tests::provider::{Options, Provider};
use libtest_mimic::Trial;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Start-up of an interpreter with its packages, on a busy machine.
const SNIPPET: Duration = Duration::from_mins(2);

/// Fewer would mean that the document, or the way it is read, has changed.
const RUN_MIN: usize = 14;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        every_snippet_of_the_guide_runs_and_prints_what_the_guide_says,
        both_languages_of_the_guide_have_the_same_snippets,
    ]
}

/// One fenced block.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    language: String,
    text: String,
    is_run: bool,
}

fn blocks(path: &str) -> Vec<Block> {
    let document = std::fs::read_to_string(root().join(path)).expect("the guide");
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    let mut before = "";
    for line in document.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                    is_run: !before.starts_with("<!-- not run:"),
                });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => before = line,
        }
    }
    found
}

/// The interpreter of a language; it reads the snippet from its standard input.
fn interpreter(language: &str) -> Option<&'static str> {
    match language {
        "sh" => Some("bash -euo pipefail -s"),
        "python" => Some("\"$TOOLS/venv/bin/python\" -"),
        "js" => Some("node --input-type=module -"),
        _ => None,
    }
}

async fn printed_by(block: &Block, environment: &[(&str, &str)]) -> String {
    let program = interpreter(&block.language).expect("a language that runs");
    let mut child = Command::new("bash")
        .args(["-c", &format!(". .make/env; exec {program}")])
        .current_dir(root())
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("bash starts");
    let mut input = child.stdin.take().expect("a pipe");
    input
        .write_all(block.text.as_bytes())
        .await
        .expect("a reader");
    drop(input);
    let output = within(SNIPPET, "a snippet", child.wait_with_output())
        .await
        .expect("an end");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{complaints}", block.text);
    String::from_utf8_lossy(&output.stdout).replace('\r', "")
}

/// Whether a line that was printed is the one of the document, in which `…` stands for anything.
fn fits(pattern: &str, line: &str) -> bool {
    let parts: Vec<&str> = pattern.split('…').collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return false;
    };
    if parts.len() == 1 {
        return line == pattern;
    }
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    for part in &parts[1..parts.len() - 1] {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

async fn every_snippet_of_the_guide_runs_and_prints_what_the_guide_says() {
    let gateway = Gateway::serve()
        .variable("APP_NAME", "from-key")
        .start()
        .await;
    let provider = Provider::start_with(Options::default()).expect("a loopback port is free");
    let draft = gateway.server("demo").provider(&provider);
    draft.model("demo-small").create().await;
    let key = gateway.key("guide").create().await;
    gateway.in_force().await;
    let environment = [
        ("SLUICE_URL", gateway.base_url()),
        ("SLUICE_KEY", key.secret.as_str()),
        ("ADMIN_TOKEN", gateway.admin_token()),
    ];
    let blocks = blocks("docs/guide.md");
    let mut run = 0;
    for (place, block) in blocks.iter().enumerate() {
        if !block.is_run || interpreter(&block.language).is_none() {
            continue;
        }
        let expected = blocks
            .get(place + 1)
            .filter(|next| next.language == "text")
            .unwrap_or_else(|| panic!("no output stands under this block:\n{}", block.text));
        let printed = printed_by(block, &environment).await;
        let mut lines = printed.lines();
        for pattern in expected.text.lines() {
            // Headers come in an order of their own.
            let is_header = block.text.contains("-D -");
            let is_there = if is_header {
                printed.lines().any(|line| fits(pattern, line))
            } else {
                lines.any(|line| fits(pattern, line))
            };
            assert!(
                is_there,
                "{}\nprinted\n{printed}\nnot {pattern}",
                block.text
            );
        }
        run += 1;
    }
    assert!(run >= RUN_MIN, "{run} snippets were run");
}

async fn both_languages_of_the_guide_have_the_same_snippets() {
    let (english, chinese) = (blocks("docs/guide.md"), blocks("docs/zh-CN/guide.md"));
    assert!(english.len() >= 2 * RUN_MIN, "{}", english.len());
    assert_eq!(english, chinese);
}
