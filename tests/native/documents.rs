//! 中英文档同构，文件齐全。
//!
//! Each document exists in both languages with the same headings at the same
//! levels; what they say is judged by readers.

use std::fs;
use std::path::Path;

use gateway_tests::harness::root;

/// Levels of the headings in order; lines inside fenced code are no headings.
fn heading_levels(path: &Path) -> Vec<usize> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut levels = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let level = line
            .chars()
            .take_while(|&character| character == '#')
            .count();
        if !fenced && level > 0 && line[level..].starts_with(' ') {
            levels.push(level);
        }
    }
    levels
}

fn documents(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("a readable folder")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "md")
        })
        .collect();
    names.sort();
    names
}

#[test]
fn readme_has_the_same_headings_in_both_languages() {
    let english = heading_levels(&root().join("README.md"));
    assert!(english.len() > 1, "the landing page has sections");
    assert_eq!(english, heading_levels(&root().join("README.zh-CN.md")));
}

#[test]
fn every_document_has_a_chinese_twin_with_the_same_headings() {
    let (english, chinese) = (root().join("docs"), root().join("docs/zh-CN"));
    assert_eq!(
        documents(&english),
        documents(&chinese),
        "the same files in docs and docs/zh-CN"
    );
    for name in documents(&english) {
        assert_eq!(
            heading_levels(&english.join(&name)),
            heading_levels(&chinese.join(&name)),
            "{name}"
        );
    }
}

#[test]
fn chinese_documents_are_chinese() {
    let folder = root().join("docs/zh-CN");
    let paths = documents(&folder)
        .into_iter()
        .map(|name| folder.join(name))
        .chain([root().join("README.zh-CN.md")]);
    for path in paths {
        let text = fs::read_to_string(&path).expect("listed above");
        assert!(
            text.chars().any(super::sources::is_chinese),
            "{}",
            path.display()
        );
    }
}

#[test]
fn readme_names_the_two_commands() {
    for name in ["README.md", "README.zh-CN.md"] {
        let text =
            fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            text.contains("make dev") && text.contains("make test"),
            "{name}"
        );
    }
}
