//! 表结构与语句清单。
//!
//! The schema's own bounds, and that every statement prepares on it.

use std::collections::BTreeSet;

use super::at;
use super::database::{Database, typed};
use crate::admin_api::bounds;
use crate::sql::{
    SCHEMA_VERSION, STATEMENTS, Statement, create_server, schema_version, schema_version_read,
    snapshot,
};

#[test]
fn every_statement_prepares_on_the_real_schema() {
    let database = Database::migrated();
    for (name, sql) in STATEMENTS.iter().copied().flatten() {
        if let Err(error) = database.connection.prepare(sql) {
            panic!("{name}: {error}\n{sql}");
        }
    }
}

#[test]
fn every_statement_constant_is_in_the_list() {
    let sources = [
        include_str!("../audit.rs"),
        include_str!("../configuration.rs"),
        include_str!("../keys.rs"),
        include_str!("../servers.rs"),
        include_str!("../logs.rs"),
        include_str!("../rollup.rs"),
        include_str!("../usage.rs"),
    ];
    let written: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| {
            line.trim()
                .trim_start_matches("pub(super) ")
                .strip_prefix("const ")
        })
        .filter_map(|rest| rest.split_once(": &str =").map(|(name, _)| name))
        .collect();
    let listed: BTreeSet<&str> = STATEMENTS
        .iter()
        .copied()
        .flatten()
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(written, listed);
    assert!(listed.len() >= 16);
}

#[test]
fn lookups_and_pages_use_an_index_and_sort_nothing() {
    let database = Database::migrated();
    for (name, sql) in STATEMENTS.iter().copied().flatten() {
        if ![
            "KEY_BY_ID",
            "KEY_BY_DIGEST",
            "KEYS_PAGE",
            "SERVER_BY_ID",
            "SERVERS_PAGE",
            "RESEAL_SERVER_KEY",
            "AUDIT_PAGE",
            "AUDIT_PAGE_OF_KIND",
            "AUDIT_PAGE_OF_TARGET",
            "AUDIT_PAGE_OF_ACTOR",
            "AUDIT_PAGE_OF_ACTION",
        ]
        .contains(name)
        {
            continue;
        }
        let plan = plan(&database, sql);
        // A lookup by one of two digests searches the index of either.
        let either = |step: &str| step == "MULTI-INDEX OR" || step.starts_with("INDEX ");
        assert!(
            plan.iter().all(
                |step| step.starts_with("SEARCH") || (*name == "KEY_BY_DIGEST" && either(step))
            ),
            "{name}: {plan:?}"
        );
    }
}

#[test]
fn each_filter_of_the_audit_list_uses_its_own_index_up_to_the_time() {
    let database = Database::migrated();
    for (name, index) in [
        ("AUDIT_PAGE", "audit_by_time (at>? AND at<?)"),
        (
            "AUDIT_PAGE_OF_KIND",
            "audit_by_kind (target_kind=? AND at>? AND at<?)",
        ),
        (
            "AUDIT_PAGE_OF_TARGET",
            "audit_by_target (target_id=? AND at>? AND at<?)",
        ),
        (
            "AUDIT_PAGE_OF_ACTOR",
            "audit_by_actor (actor=? AND at>? AND at<?)",
        ),
        (
            "AUDIT_PAGE_OF_ACTION",
            "audit_by_action (action=? AND at>? AND at<?)",
        ),
    ] {
        let statements = STATEMENTS.iter().copied().flatten();
        let (_, sql) = statements
            .clone()
            .find(|(known, _)| *known == name)
            .unwrap();
        let plan = plan(&database, sql);
        assert_eq!(
            plan,
            [format!("SEARCH audit USING INDEX {index}")],
            "{name}"
        );
    }
}

fn plan(database: &Database, sql: &str) -> Vec<String> {
    let explained = format!("EXPLAIN QUERY PLAN {sql}");
    let mut prepared = database.connection.prepare(&explained).unwrap();
    let none = vec![rusqlite::types::Null; prepared.parameter_count()];
    let steps = prepared.query_map(rusqlite::params_from_iter(none), |row| row.get("detail"));
    steps.unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_schema_version_is_the_number_of_the_newest_migration() {
    let database = Database::migrated();
    let rows = typed(&database.run(&schema_version_read()).unwrap());
    assert_eq!(schema_version(Ok(rows)), Some(SCHEMA_VERSION));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let files = std::fs::read_dir(folder).unwrap();
    let numbers = files.map(|file| {
        let name = file.unwrap().file_name().into_string().unwrap();
        let (number, _) = name.split_once('_').unwrap();
        number.parse::<u64>().unwrap()
    });
    assert_eq!(numbers.max(), Some(SCHEMA_VERSION));
}

#[test]
fn a_database_before_the_second_migration_has_schema_version_one() {
    let database = Database {
        connection: rusqlite::Connection::open_in_memory().unwrap(),
    };
    let first = include_str!("../../../../../migrations/0001_init.sql");
    database.connection.execute_batch(first).unwrap();
    let error = database
        .run(&schema_version_read())
        .unwrap_err()
        .to_string();
    assert_eq!(schema_version(Err(&error)), Some(1));
    assert_eq!(schema_version(Err("no answer in time")), None);
}

#[test]
fn a_new_database_has_version_one_and_no_servers() {
    let mut database = Database::migrated();
    let results = database.batch(&snapshot()).unwrap();
    assert_eq!(results[0], [serde_json::json!({ "version": 1.0 })]);
    assert!(results[1].is_empty());
}

#[test]
fn the_configuration_version_is_a_single_row() {
    let database = Database::migrated();
    let second = "INSERT INTO config_version (id, version, updated_at) VALUES (2, 1, 0)";
    assert!(database.connection.execute(second, []).is_err());
}

#[test]
fn the_schema_has_the_bounds_of_the_rules() {
    let mut database = Database::migrated();
    database
        .batch(&create_server(
            "srv_a",
            &super::server("a"),
            &super::sealed("srv_a"),
            at(1),
        ))
        .unwrap();
    for (column, min, max) in [
        ("rpm_limit", 0, bounds::RPM_LIMIT_MAX),
        ("tpm_limit", 0, bounds::TPM_LIMIT_MAX),
        ("max_concurrency", 0, bounds::MAX_CONCURRENCY_MAX),
        ("queue_max", 0, bounds::QUEUE_MAX_MAX),
        ("queue_timeout_ms", 0, bounds::QUEUE_TIMEOUT_MS_MAX),
        (
            "upstream_timeout_ms",
            bounds::UPSTREAM_TIMEOUT_MS_MIN,
            bounds::UPSTREAM_TIMEOUT_MS_MAX,
        ),
        ("enabled", 0, 1),
    ] {
        let (min, max) = (i64::try_from(min).unwrap(), i64::try_from(max).unwrap());
        let set = |value: i64| {
            database
                .connection
                .execute(&format!("UPDATE servers SET {column} = ?1"), [value])
                .is_ok()
        };
        assert!(set(min) && set(max), "{column}");
        assert!(!set(min - 1) && !set(max + 1), "{column}");
    }
    for (column, chars_max) in [
        ("name", bounds::NAME_CHARS_MAX),
        ("base_url", bounds::BASE_URL_CHARS_MAX),
    ] {
        let set = |chars: usize| {
            let text = "字".repeat(chars);
            database
                .connection
                .execute(&format!("UPDATE servers SET {column} = ?1"), [text])
                .is_ok()
        };
        assert!(set(1) && set(chars_max), "{column}");
        assert!(!set(0) && !set(chars_max + 1), "{column}");
    }
}

#[test]
fn tables_are_strict_and_refuse_plaintext_keys_and_broken_json() {
    let mut database = Database::migrated();
    database
        .batch(&create_server(
            "srv_a",
            &super::server("a"),
            &super::sealed("srv_a"),
            at(1),
        ))
        .unwrap();
    for refused in [
        "UPDATE servers SET api_key = 'sk-plain'",
        "UPDATE servers SET models = '{}'",
        "UPDATE servers SET models = '['",
        "UPDATE servers SET queue_max = 'many'",
        "UPDATE servers SET queue_max = 1.5",
        "UPDATE servers SET on_full = 'drop'",
        "UPDATE servers SET overflow = NULL",
    ] {
        assert!(
            database.connection.execute(refused, []).is_err(),
            "{refused}"
        );
    }
}

#[test]
fn the_migrations_can_be_split_at_their_semicolons() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    for whole in [
        include_str!("../../../../../migrations/0001_init.sql"),
        include_str!("../../../../../migrations/0002_control_plane.sql"),
    ] {
        for piece in whole.split(';').filter(|piece| !piece.trim().is_empty()) {
            connection.execute(piece, []).unwrap();
        }
    }
}

#[test]
fn no_statement_has_text_where_a_parameter_belongs() {
    // A quote in a statement would be a value that was written into it.
    for (name, sql) in STATEMENTS.iter().copied().flatten() {
        assert!(!sql.contains(['\'', '"', ';']), "{name}");
    }
    let _: fn(&Statement) -> &'static str = |statement| statement.sql;
}
