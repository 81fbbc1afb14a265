//! 源文件守约：模块文档、长度、无机器路径。
//!
//! Owns the checks that a formatter and a linter cannot make.

use std::fs;
use std::path::{Path, PathBuf};

use gateway_tests::harness::root;

/// A file longer than this wants to be two (the reason is readers).
const LINES_MAX: usize = 500;

/// Folders that hold no text of ours, at any depth.
const FOREIGN: [&str; 9] = [
    ".git",
    ".tools",
    ".wrangler",
    ".state",
    "build",
    "dist",
    "node_modules",
    "target",
    "__pycache__",
];

/// Whether it is a Chinese character (the common block is enough for a line of prose).
pub(crate) fn is_chinese(character: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&character)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && !path.is_symlink() && !FOREIGN.contains(&name.as_str()) {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

fn rust_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root(), &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(
        found.len() > 20,
        "the walk finds the workspace: {}",
        found.len()
    );
    found
}

#[test]
fn every_source_file_begins_with_a_line_in_chinese() {
    let offenders: Vec<PathBuf> = rust_files()
        .into_iter()
        .filter(|path| {
            let text = fs::read_to_string(path).expect("source files are UTF-8");
            let first = text.lines().next().unwrap_or_default();
            !(first.starts_with("//! ") && first.chars().any(is_chinese))
        })
        .collect();
    assert!(
        offenders.is_empty(),
        "no Chinese first line: {offenders:#?}"
    );
}

#[test]
fn every_source_file_says_more_in_english() {
    let offenders: Vec<PathBuf> = rust_files()
        .into_iter()
        .filter(|path| {
            let text = fs::read_to_string(path).expect("source files are UTF-8");
            let prose = text
                .lines()
                .skip(1)
                .take_while(|line| line.starts_with("//!"));
            let words: usize = prose
                .map(|line| line.split_whitespace().skip(1).count())
                .sum();
            words < 8
        })
        .collect();
    assert!(
        offenders.is_empty(),
        "no module documentation: {offenders:#?}"
    );
}

#[test]
fn no_source_file_is_too_long() {
    let offenders: Vec<(PathBuf, usize)> = rust_files()
        .into_iter()
        .map(|path| {
            (
                fs::read_to_string(&path)
                    .expect("source files are UTF-8")
                    .lines()
                    .count(),
                path,
            )
        })
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| (path, lines))
        .collect();
    assert!(
        offenders.is_empty(),
        "more than {LINES_MAX} lines: {offenders:#?}"
    );
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    // Written in halves, or this file would be the first offender.
    let machine = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/tmp/", "t-"),
    ];
    let mut found = Vec::new();
    files(&root(), &mut found);
    let offenders: Vec<String> = found
        .iter()
        .filter_map(|path| Some((path, fs::read_to_string(path).ok()?)))
        .flat_map(|(path, text)| {
            let lines = text
                .lines()
                .enumerate()
                .filter(|(_, line)| machine.iter().any(|part| line.contains(part)));
            lines
                .map(|(number, line)| format!("{}:{}: {line}", path.display(), number + 1))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(offenders.is_empty(), "{offenders:#?}");
}
