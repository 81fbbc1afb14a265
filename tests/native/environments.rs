//! 每个部署环境与顶层配置一致。
//!
//! `wrangler.toml` repeats for each environment what Cloudflare does not inherit; the check lives here and reads
//! the file as text, one table at a time. An environment lacks nothing that the top level binds, and every
//! environment has a name and a database of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::tables::read;

/// Tables that an environment must repeat, because wrangler inherits none of them.
const REPEATED: [&str; 2] = ["d1_databases", "durable_objects.bindings"];
/// Tables that it inherits: it may leave them out, but not say something else.
const INHERITED: [&str; 5] = ["build", "migrations", "triggers", "assets", "observability"];
/// The one value of the repeated tables that must differ.
const OWN: &str = "database_name";

/// Name of a table (that before the first header is empty) to its settings, as they are written.
type Tables = BTreeMap<String, BTreeMap<String, String>>;

fn parse(text: &str) -> Tables {
    let mut tables = Tables::new();
    let mut table = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            header.trim_matches(['[', ']']).clone_into(&mut table);
            tables.entry(table.clone()).or_default();
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let settings = tables.entry(table.clone()).or_default();
            settings.insert(key.trim().to_owned(), value.trim().to_owned());
        }
    }
    tables
}

/// What is wrong with the environments, one sentence each.
fn problems(text: &str) -> Vec<String> {
    let tables = parse(text);
    let mut problems = Vec::new();
    for environment in ["staging", "production"] {
        let own = |name: &str| tables.get(&format!("env.{environment}.{name}"));
        for name in REPEATED {
            let mut expected = tables.get(name).cloned().unwrap_or_default();
            let mut found = own(name).cloned().unwrap_or_default();
            expected.remove(OWN);
            found.remove(OWN);
            if expected.is_empty() || found != expected {
                problems.push(format!(
                    "{environment}: {name} is not that of the top level"
                ));
            }
        }
        for name in INHERITED {
            let expected = tables.get(name);
            if expected.is_none_or(BTreeMap::is_empty)
                || own(name).is_some_and(|found| Some(found) != expected)
            {
                problems.push(format!(
                    "{environment}: {name} is missing or not that of the top level"
                ));
            }
        }
        let keys = tables.get(&format!("env.{environment}"));
        if keys.is_none_or(|keys| keys.keys().ne(["name"])) {
            problems.push(format!(
                "{environment}: it needs its own name and nothing else"
            ));
        }
        let purpose = own("vars").and_then(|vars| vars.get("ENVIRONMENT"));
        let expected = if environment == "production" {
            "\"production\""
        } else {
            "\"test\""
        };
        if purpose.map(String::as_str) != Some(expected) {
            problems.push(format!("{environment}: ENVIRONMENT must be {expected}"));
        }
    }
    for (kind, places) in [
        ("name", ["", "env.staging", "env.production"]),
        (
            OWN,
            [
                "d1_databases",
                "env.staging.d1_databases",
                "env.production.d1_databases",
            ],
        ),
    ] {
        let values: BTreeSet<_> = places
            .iter()
            .filter_map(|place| tables.get(*place)?.get(kind))
            .collect();
        if values.len() != places.len() {
            problems.push(format!("{kind} is missing or used twice"));
        }
    }
    problems
}

#[test]
fn environments_have_every_binding_migration_and_cron_of_the_top_level() {
    assert_eq!(problems(&read("wrangler.toml")), Vec::<String>::new());
}

#[test]
fn an_environment_that_lacks_anything_is_noticed() {
    let whole = read("wrangler.toml");
    let changes = [
        (
            "[[env.production.durable_objects.bindings]]\nname = \"LIMITER\"",
            "[[env.production.durable_objects.bindings]]",
        ),
        (
            "[[env.staging.d1_databases]]\nbinding = \"DB\"",
            "[[env.staging.d1_databases]]",
        ),
        (
            "database_name = \"sluice-staging\"\nmigrations_dir = \"migrations\"",
            "database_name = \"sluice-staging\"",
        ),
        (
            "database_name = \"sluice-production\"",
            "database_name = \"sluice-staging\"",
        ),
        (
            "name = \"sluice-production\"\n\n",
            "name = \"sluice-staging\"\n\n",
        ),
        ("crons = [\"* * * * *\"]", ""),
        (
            "new_sqlite_classes = [\"Limiter\"]",
            "\n[env.staging.migrations]\n",
        ),
        (
            "[env.production.vars]\nENVIRONMENT = \"production\"",
            "[env.production.vars]\nENVIRONMENT = \"test\"",
        ),
        (
            "[env.staging.vars]",
            "[env.staging.triggers]\ncrons = []\n[env.staging.vars]",
        ),
        ("[env.staging]\n", "[env.staging]\nmain = \"other.js\"\n"),
    ];
    for (there, instead) in changes {
        assert!(whole.contains(there), "wrangler.toml has: {there}");
        let broken = whole.replacen(there, instead, 1);
        assert!(!problems(&broken).is_empty(), "nobody notices: {there}");
    }
}
