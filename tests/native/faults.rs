//! 故障表如实：每行一个测试，每个测试一行。
//!
//! `docs/faults.md` and the fault suite tell the same: each row of a table names tests that exist, each test of the suite is
//! in a table, rows of providers are those of the catalogue, shares those of the mix, targets those that are fuzzed.

use std::collections::BTreeSet;

use gateway_tests::faults::{Charge, PROVIDER_FAULTS, SHARES, Saw};

use crate::promises::{functions, quoted, read, rows};

/// The documents, each with its words for what becomes of tokens.
const DOCUMENTS: [(&str, [&str; 3]); 2] = [
    ("docs/faults.md", ["kept", "given back", "moved to "]),
    ("docs/zh-CN/faults.md", ["保留", "退还", "改为 "]),
];

/// Tests that the suite's own files list, and those of the catalogue.
fn suite() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = PROVIDER_FAULTS
        .iter()
        .map(|fault| fault.name.to_owned())
        .collect();
    assert_eq!(names.len(), PROVIDER_FAULTS.len(), "each fault once");
    for part in ["clients", "database", "floods", "limiter"] {
        let text = read(&format!("tests/blackbox/faults/{part}.rs"));
        let list = text
            .split("crate::trials![")
            .nth(1)
            .expect("a list of trials");
        let list = list.split(']').next().expect("its end");
        names.extend(list.split(',').map(|name| name.trim().to_owned()));
    }
    let clock = read("durable/admission/src/admission_test/clock.rs");
    let tests = clock.split("#[test]\nfn ").skip(1);
    names.extend(tests.filter_map(|test| test.split('(').next().map(str::to_owned)));
    names.remove("");
    names
}

#[test]
fn every_fault_is_a_row_that_names_its_tests() {
    let (functions, suite) = (functions(), suite());
    let known: BTreeSet<&str> = PROVIDER_FAULTS.iter().map(|fault| fault.name).collect();
    let named = DOCUMENTS.map(|(path, _)| {
        let text = read(path);
        let mut named = BTreeSet::new();
        for row in rows(&text).iter().filter(|row| row.len() == 5).skip(1) {
            let tests = quoted(row[4]);
            let is_head = row.iter().all(|cell| !cell.contains('`'));
            assert!(is_head || !tests.is_empty(), "{path}: no test in {row:?}");
            for test in tests {
                let exists = functions.contains(test) || known.contains(test);
                assert!(exists, "{path} names no test: {test}");
                named.insert(test.to_owned());
            }
        }
        let missing: Vec<_> = suite.difference(&named).collect();
        assert!(missing.is_empty(), "{path} has no row for {missing:#?}");
        named
    });
    assert_eq!(named[0], named[1], "both languages name the same tests");
}

#[test]
fn rows_of_providers_say_what_the_catalogue_expects() {
    for (path, [kept, given, moved]) in DOCUMENTS {
        let text = read(path);
        let rows = rows(&text);
        for fault in PROVIDER_FAULTS {
            let name = format!("`{}`", fault.name);
            let row = rows.iter().find(|row| row.len() == 5 && row[4] == name);
            let row = row.unwrap_or_else(|| panic!("{path} has no row for {name}"));
            assert_eq!(row[2], fault.row(), "{path}: {name}");
            let charge = match fault.charge {
                Charge::Kept => kept.to_owned(),
                Charge::Given => given.to_owned(),
                Charge::Moved(tokens) => format!("{moved}{tokens}"),
            };
            assert_eq!(row[3], charge, "{path}: {name}");
            let (status, code) = match fault.saw {
                Saw::Whole(status) => (status.to_string(), ""),
                Saw::Error(status, code) => (status.to_string(), code),
                Saw::InBand => ("200".to_owned(), "upstream_stream_truncated"),
                Saw::Broken => (String::new(), ""),
            };
            assert!(row[1].starts_with(&status), "{path}: {name}: {}", row[1]);
            assert_eq!(quoted(row[1]).concat(), code, "{path}: {name}");
        }
    }
}

#[test]
fn shares_of_the_mix_and_fuzz_targets_are_those_of_the_code() {
    assert_eq!(SHARES.iter().map(|(_, share)| share).sum::<usize>(), 100);
    let fuzz = read("tests/fuzz/src/lib.rs");
    let targets: Vec<&str> = fuzz
        .lines()
        .filter_map(|line| line.trim().strip_prefix("name: \"")?.strip_suffix("\","))
        .collect();
    assert!(targets.len() > 5, "{targets:?}");
    for (path, _) in DOCUMENTS {
        let text = read(path);
        let rows: Vec<Vec<&str>> = rows(&text)
            .into_iter()
            .filter(|row| row.len() == 3)
            .collect();
        for (name, share) in SHARES {
            let share = format!("{share} %");
            let is_told = rows.iter().any(|row| row[0] == name && row[1] == share);
            assert!(is_told, "{path}: {name} {share}");
        }
        for target in &targets {
            assert!(rows.iter().any(|row| row[0] == *target), "{path}: {target}");
        }
    }
}
