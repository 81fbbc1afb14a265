//! 金丝雀：独一无二的秘密走遍每条路，之后哪里也找不到。
//!
//! Owns the proof that no secret, prompt or answer is kept or told: every one of them has
//! a text of its own, takes every way through the gateway, failures included, and is then
//! looked for (as it is, in base64, in hexadecimal) in the gateway's output, in every file
//! of its state, and in every answer of the control plane.

mod traces;
mod ways;

use std::fs;
use std::path::{Path, PathBuf};

use gateway_tests::harness::Gateway;
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

use self::traces::Trace;
use self::ways::{Stage, Told};
use crate::state::STOPPED;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![no_secret_prompt_or_answer_is_found_anywhere]
}

/// Base64 of 32 bytes, as the others here never that of a deployment.
const ENCRYPTION_KEY: &str = "Y2FuYXJ5LWVuY3J5cHRpb24ta2V5LW9mLTMyLWJ5dGU=";
const ADMIN_TOKEN: &str = "canary-admin-9d2f6c1b7e";
const VIEWER_TOKEN: &str = "canary-viewer-4a8e0d5c3b";

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Files of the state with what they hold; one that vanishes meanwhile held nothing worth keeping.
fn contents(state: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths = Vec::new();
    files(state, &mut paths);
    paths
        .into_iter()
        .filter_map(|path| Some((path.clone(), fs::read(path).ok()?)))
        .collect()
}

/// Everything found, so that one run shows all leaks.
#[derive(Default)]
struct Leaks(Vec<String>);

impl Leaks {
    fn look(&mut self, traces: &[Trace], place: &str, bytes: &[u8]) {
        for trace in traces {
            if let Some(form) = trace.found_in(bytes) {
                self.0.push(format!("{} ({form}) in {place}", trace.what));
            }
        }
    }

    fn look_at_told(&mut self, traces: &[Trace], told: &[Told]) {
        for told in told {
            self.look(traces, &told.by, &told.bytes);
        }
    }

    fn look_at_files(&mut self, traces: &[Trace], files: &[(PathBuf, Vec<u8>)]) {
        for (path, bytes) in files {
            self.look(traces, &path.display().to_string(), bytes);
        }
    }
}

async fn no_secret_prompt_or_answer_is_found_anywhere() {
    let folder = TempDir::with_prefix("sluice-canary-").expect("a temporary directory");
    let gateway = Gateway::serve()
        .with_faults()
        .state(folder.path())
        .variable("ADMIN_TOKEN", ADMIN_TOKEN)
        .variable("VIEWER_TOKEN", VIEWER_TOKEN)
        .variable("ENCRYPTION_KEY", ENCRYPTION_KEY)
        .start()
        .await;
    let mut stage = Stage::new(&gateway).await;
    ways::data_plane(&mut stage).await;
    ways::control_plane(&mut stage).await;
    let Stage {
        secrets,
        told_to_admins,
        told_to_clients,
        requests,
        ..
    } = stage;

    let tokens = [
        ("the admin token", ADMIN_TOKEN),
        ("the viewer token", VIEWER_TOKEN),
        ("the encryption key", ENCRYPTION_KEY),
        ("a prompt", ways::PROMPT),
        ("an answer", ways::ANSWER),
    ];
    let named = |(what, text): (&str, &str)| Trace::of(what, text.as_bytes());
    let mut traces: Vec<Trace> = tokens.into_iter().map(named).collect();
    traces.push(Trace::of(
        "the bytes of the encryption key",
        b"canary-encryption-key-of-32-byte",
    ));
    let keys: Vec<Trace> = secrets
        .iter()
        .map(|(what, text)| Trace::of(what, text.as_bytes()))
        .collect();
    let log = gateway.log().clone();
    let is_last = |line: &str| line.contains(&requests.last_id).then_some(());
    let logged = log.wait_for(gateway_tests::harness::SOON, is_last).await;
    assert!(logged.is_some(), "the last request left its line");

    let mut leaks = Leaks::default();
    leaks.look_at_told(&keys, &told_to_clients);
    traces.extend(keys);
    leaks.look_at_told(&traces, &told_to_admins);
    leaks.look_at_files(&traces, &contents(folder.path()));
    let status = gateway.stop(Signal::SIGTERM, STOPPED).await;
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    let kept = contents(folder.path());
    leaks.look_at_files(&traces, &kept);
    leaks.look(&traces, "the log", &log.bytes());
    assert!(leaks.0.is_empty(), "{:#?}", leaks.0);

    // The search sees what is there: databases of the configuration and of the objects, and the lines.
    let paths = kept.iter().map(|(path, _)| path.display().to_string());
    let databases = paths.filter(|name| name.ends_with(".sqlite")).count();
    assert!(databases >= 3, "D1 and the objects: {databases} databases");
    let hint = Trace::of("a name", ways::SERVER_NAME.as_bytes());
    assert!(
        kept.iter().any(|(_, bytes)| hint.found_in(bytes).is_some()),
        "what is no secret is found on disk"
    );
    let lines = log.text();
    let count = |event: &str| {
        let field = json!(event).to_string();
        lines
            .lines()
            .filter(|line| line.contains(&format!("\"event\":{field}")))
            .count()
    };
    assert!(count("request") >= requests.sent, "{lines}");
    assert!(count("admin") > 5 && count("attempt_failed") > 2, "{lines}");
}
