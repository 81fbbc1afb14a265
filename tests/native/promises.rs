//! 文档的承诺：日志事件如实，安全保证有测试。
//!
//! What the operator's handbook says of the log is what the code can write; every test
//! that the security document names exists, in both languages the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gateway::log::{EVENTS, Level};
use gateway_tests::harness::root;

const OPERATIONS: [&str; 2] = ["docs/operations.md", "docs/zh-CN/operations.md"];
const SECURITY: [&str; 2] = ["docs/security.md", "docs/zh-CN/security.md"];

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words in backticks.
pub(crate) fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Cells of the rows of all tables.
pub(crate) fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|'))
        .map(|inner| inner.split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn every_event_and_field_of_the_log_stands_in_the_documents() {
    for path in OPERATIONS {
        let text = read(path);
        let rows = rows(&text);
        let mut known: BTreeSet<&str> = BTreeSet::new();
        for kind in EVENTS {
            let name = format!("`{}`", kind.name);
            let row = rows.iter().find(|row| row[0] == name && row.len() == 4);
            let row = row.unwrap_or_else(|| panic!("{path} has no row for {name}"));
            let level = match kind.level {
                Level::Info => "info",
                Level::Warn => "warn",
                Level::Error => "error",
            };
            assert_eq!(row[1], level, "{path}: {name}");
            assert_eq!(quoted(row[2]), kind.fields, "{path}: {name}");
            known.extend(kind.fields);
        }
        let described: BTreeSet<&str> = rows
            .iter()
            .filter(|row| row.len() == 2)
            .flat_map(|row| quoted(row[0]))
            .collect();
        assert_eq!(described, known, "{path}: fields");
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Names of all functions of the workspace: a test is one.
pub(crate) fn functions() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in ["worker", "durable", "tests"] {
        rust_files(&root().join(folder), &mut files);
    }
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("source files are UTF-8");
        for after in text.split("fn ").skip(1) {
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            names.insert(after[..end.unwrap_or(after.len())].to_owned());
        }
    }
    names
}

/// A sentence of behaviour, as names of tests are, and no name of a field or a code.
fn is_test_name(word: &str) -> bool {
    word.matches('_').count() >= 4
        && word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[test]
fn every_test_that_the_security_document_names_exists() {
    let functions = functions();
    let named = SECURITY.map(|path| {
        let text = read(path);
        let named: BTreeSet<String> = quoted(&text)
            .into_iter()
            .filter(|word| is_test_name(word))
            .map(str::to_owned)
            .collect();
        let missing: Vec<_> = named.difference(&functions).collect();
        assert!(missing.is_empty(), "{path} names no tests: {missing:#?}");
        assert!(named.len() > 20, "{path} names {} tests", named.len());
        named
    });
    assert_eq!(named[0], named[1], "both languages name the same tests");
}

#[test]
fn every_guarantee_names_a_test() {
    for path in SECURITY {
        let text = read(path);
        let guarantees = rows(&text);
        let guarantees = guarantees.iter().filter(|row| {
            row.len() == 3 && row[0].starts_with('G') && row[0][1..].parse::<u32>().is_ok()
        });
        let mut count = 0;
        for row in guarantees {
            let named = quoted(row[2]);
            assert!(
                named.iter().any(|word| is_test_name(word)),
                "{path}: {} names no test: {}",
                row[0],
                row[2]
            );
            count += 1;
        }
        assert!(count >= 20, "{path} has {count} guarantees");
    }
}
