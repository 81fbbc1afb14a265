//! 网关守着自己的 OpenAPI 文档：schemathesis 以各种身份试它。
//!
//! Owns the runs of schemathesis, a property-based tester of APIs, with all its checks: nothing that it sends,
//! right or wrong, may get a 5xx, an undocumented status or header, an answer that its schema does not describe,
//! an acceptance of what the document forbids or a refusal of what it allows. Each run has a gateway of its own.
//! `openapi/hooks.py` supplies the test data that obeys rules between objects. `SLUICE_SEED` replays a run.

use std::process::Stdio;
use std::time::Duration;

use gateway_tests::harness::{Gateway, Key, SOON, root, within};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// One run, on a busy machine; it takes half a minute.
const RUN: Duration = Duration::from_mins(4);

/// Unless another one is asked for: a failure must be that of the last change, not of the hour.
const SEED: u64 = 20_261_123;

/// Cases that the runs as administrator and as nobody must have, each.
const CASES_MIN: u64 = 2_000;

/// Cases that the run as an application must have: two operations.
const DATA_PLANE_CASES_MIN: u64 = 700;

/// What anybody may do.
const OPEN: [&str; 2] = ["GET /health", "DELETE /api/session"];

/// Methods and paths that nobody gets an answer of success from: faults are off.
const CLOSED: [&str; 1] = ["/api/faults/"];

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        no_answer_to_an_administrator_breaks_the_document,
        no_answer_to_anybody_breaks_the_document,
        no_answer_to_an_application_breaks_the_document,
        the_document_is_served_to_everybody_and_can_be_kept_by_its_tag,
    ]
}

/// What a run says of itself.
struct Report(Value);

/// Runs all checks against the gateway. `path` is a regular expression; `examples` are cases per operation.
async fn run(
    who: &str,
    gateway: &Gateway,
    token: Option<&str>,
    path: &str,
    examples: u32,
) -> Report {
    let seed = std::env::var("SLUICE_SEED").unwrap_or_else(|_| SEED.to_string());
    let folder = TempDir::with_prefix("sluice-openapi-").expect("a temporary directory");
    let report = folder.path().join("report.json");
    let mut command = Command::new(root().join(".tools/venv/bin/schemathesis"));
    command
        .arg("run")
        .arg(format!("{}/openapi.json", gateway.base_url()))
        .args(["--checks", "all", "--seed", &seed])
        .args(["--max-examples", &examples.to_string()])
        .args(["--include-path-regex", path])
        .args(["--generation-database", "none", "--no-color"])
        .args(["--report", "json", "--report-json-path"])
        .arg(&report)
        .current_dir(folder.path())
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", root().join("tests/blackbox/openapi"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    if token == Some(gateway.admin_token()) {
        let closed = gateway
            .server("nobody-there")
            .base_url("http://127.0.0.1:9");
        let closed = closed.model("nobody-there").create().await;
        command
            .env("SLUICE_ADMIN_TOKEN", gateway.admin_token())
            .env("SLUICE_SERVER_ID", closed.id);
    }
    let output = within(RUN, "a run of schemathesis", command.output())
        .await
        .expect("schemathesis is installed by make setup");
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let report = std::fs::read(&report)
        .unwrap_or_else(|error| panic!("no report ({error}): {printed}\n{complaints}"));
    let report = Report(serde_json::from_slice(&report).expect("the report is JSON"));
    println!(
        "openapi {who}: {} cases, seed {seed} (replay with SLUICE_SEED={seed})",
        report.cases()
    );
    assert!(output.status.success(), "{who}: {printed}\n{complaints}");
    assert_eq!(report.0["complete"], true, "{who}: {printed}");
    report
}

impl Report {
    fn cases(&self) -> u64 {
        let cases = self.0["test_cases"]["generated"].as_u64();
        cases.expect("the report counts its cases")
    }

    /// How many cases of an operation, stated as `METHOD path`, were accepted.
    fn accepted(&self) -> impl Iterator<Item = (&String, u64)> {
        let operations = self.0["valid_rates"].as_object().expect("rates");
        operations.iter().map(|(operation, phases)| {
            let phases = phases.as_object().into_iter().flatten();
            let accepted = phases.filter_map(|(_, rates)| rates["accepted"].as_u64());
            (operation, accepted.sum())
        })
    }

    /// Requires so many cases.
    fn expect_cases(self, least: u64) -> Self {
        let cases = self.cases();
        assert!(cases >= least, "only {cases} cases, not {least}");
        self
    }

    /// Requires that every operation was carried out, not only refused.
    fn expect_accepted(self) {
        let mut operations = 0;
        for (operation, accepted) in self.accepted() {
            let is_closed = CLOSED.iter().any(|path| operation.contains(path));
            assert!(accepted > 0 || is_closed, "{operation} was only refused");
            operations += 1;
        }
        assert!(operations > 1, "the run tells of its operations");
    }
}

async fn no_answer_to_an_administrator_breaks_the_document() {
    let gateway = Gateway::serve().start().await;
    let token = Some(gateway.admin_token());
    let report = run("as administrator", &gateway, token, "^/(api|health)", 60).await;
    report.expect_cases(CASES_MIN).expect_accepted();
}

async fn no_answer_to_anybody_breaks_the_document() {
    let gateway = Gateway::serve().start().await;
    let report = run("as nobody", &gateway, None, "^/", 60).await;
    let report = report.expect_cases(CASES_MIN);
    for (operation, accepted) in report.accepted() {
        let is_open = OPEN.iter().any(|open| operation.contains(open));
        assert_eq!(accepted > 0, is_open, "{operation} as nobody");
    }
}

async fn no_answer_to_an_application_breaks_the_document() {
    let gateway = Gateway::serve().start().await;
    let provider = Provider::start();
    // The model that the document's own example asks for.
    gateway
        .server("demo")
        .provider(&provider)
        .model("demo-small")
        .create()
        .await;
    let key: Key = gateway.key("openapi").create().await;
    gateway.in_force().await;
    let token = Some(key.secret.as_str());
    let report = run("as an application", &gateway, token, "^/v1/", 300).await;
    report.expect_cases(DATA_PLANE_CASES_MIN).expect_accepted();
    let chats = provider.ledger().chats();
    assert!(chats.len() > 20, "only {} chats came through", chats.len());
}

async fn the_document_is_served_to_everybody_and_can_be_kept_by_its_tag() {
    let gateway = crate::stage::gateway().await;
    let answer = gateway
        .request("GET", "/openapi.json")
        .send()
        .await
        .expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let copy = std::fs::read(root().join("docs/openapi.json")).expect("the checked-in copy");
    let copy: Value = serde_json::from_slice(&copy).expect("the copy is JSON");
    assert_eq!(
        answer.json(),
        copy,
        "the checked-in document is the served one"
    );
    let tag = answer.header("etag").expect("a tag").to_owned();
    let kept = gateway
        .request("GET", "/openapi.json")
        .header("if-none-match", &tag);
    let again = within(SOON, "a short answer", kept.send())
        .await
        .expect(304);
    assert!(again.body.is_empty());
}
