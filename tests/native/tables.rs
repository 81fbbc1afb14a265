//! 文档里的表与代码里的表一致。
//!
//! The tables of errors and of variables are constants of the rules; the
//! documents that users read must have the same rows in both languages.

use std::fs;

use gateway::error::ErrorCode;
use gateway::settings::VARIABLES;
use gateway_tests::harness::root;

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Rows of all tables whose first cell is a name in backticks: name and the other cells.
pub(crate) fn rows(text: &str) -> Vec<(String, Vec<String>)> {
    text.lines()
        .filter_map(|line| {
            let mut cells = line
                .trim()
                .strip_prefix('|')?
                .strip_suffix('|')?
                .split('|')
                .map(str::trim);
            let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            Some((name.to_owned(), cells.map(str::to_owned).collect()))
        })
        .collect()
}

#[test]
fn every_error_code_stands_in_the_documents_with_its_status() {
    for path in ["docs/api.md", "docs/zh-CN/api.md"] {
        let rows = rows(&read(path));
        for code in ErrorCode::ALL {
            let row = rows.iter().find(|(name, _)| name == code.as_str());
            let (_, cells) =
                row.unwrap_or_else(|| panic!("{path} has no row for `{}`", code.as_str()));
            // An error inside a stream has no status of its own to show.
            let in_band = *code == ErrorCode::UpstreamStreamTruncated;
            assert!(
                in_band || cells[0].contains(&code.status().to_string()),
                "{path}: {}: {cells:?}",
                code.as_str()
            );
        }
    }
}

#[test]
fn every_variable_stands_in_the_documents() {
    for path in ["docs/configuration.md", "docs/zh-CN/configuration.md"] {
        let rows = rows(&read(path));
        for variable in VARIABLES {
            let row = rows.iter().find(|(name, _)| name == variable.name);
            assert!(row.is_some(), "{path} has no row for `{}`", variable.name);
        }
        let known = |name: &str| VARIABLES.iter().any(|variable| variable.name == name);
        for (name, _) in rows {
            let is_variable =
                name.len() > 1 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            assert!(
                !is_variable || known(&name),
                "{path} documents `{name}`, which nothing reads"
            );
        }
    }
}

#[test]
fn bindings_of_the_code_are_those_of_the_deployment() {
    let deployment = read("wrangler.toml");
    let code = read("worker/src/isolate.rs");
    for call in ["env.d1(\"", "env.durable_object(\""] {
        let (_, rest) = code
            .split_once(call)
            .unwrap_or_else(|| panic!("the code calls {call}…"));
        let binding = rest.split('"').next().unwrap_or_default();
        let declared = ["binding", "name"].iter().any(|key| {
            deployment.lines().any(|line| {
                line.replace(' ', "")
                    .contains(&format!("{key}=\"{binding}\""))
            })
        });
        assert!(declared, "wrangler.toml declares no binding {binding}");
    }
}
