//! 限流对象自己的表。
//!
//! What the statements of the limiter object's own database keep, and that they prepare on its schema.

use admission::{BucketRow, Changes, LeaseRow, ModelRow, State, StateRow, WaiterRow};
use rusqlite::Connection;

use super::database::Database;
use crate::sql::limiter::STATEMENTS;
use crate::sql::{
    AdmissionRow, admission_state, all_admission_rows, create_admission_rows,
    write_admission_changes,
};

fn object() -> Database {
    let database = Database {
        connection: Connection::open_in_memory().unwrap(),
    };
    database.run(&create_admission_rows()).unwrap();
    database
}

fn stored(database: &Database) -> (State, usize) {
    let rows = database.run(&all_admission_rows()).unwrap();
    let rows = rows
        .into_iter()
        .map(|row| serde_json::from_value::<AdmissionRow>(row).unwrap());
    admission_state(rows.collect())
}

fn write(database: &Database, changes: &Changes) {
    for statement in write_admission_changes(changes).unwrap() {
        database.run(&statement).unwrap();
    }
}

fn changes() -> Changes {
    Changes {
        state: Some(StateRow {
            instant_ms: 1_700_000_000_123,
            ..StateRow::default()
        }),
        buckets: vec![BucketRow {
            bucket: 17_000_000_001,
            requests: 3,
            tokens: 900,
            ..BucketRow::default()
        }],
        leases: vec![LeaseRow {
            ticket: "t-1".to_owned(),
            model: "gpt \"quoted\" 模型".to_owned(),
            ..LeaseRow::default()
        }],
        waiters: vec![WaiterRow {
            ticket: "123".to_owned(),
            arrival_ms: 5,
            ..WaiterRow::default()
        }],
        models: vec![ModelRow {
            model: "m".to_owned(),
            ..ModelRow::default()
        }],
        ..Changes::default()
    }
}

#[test]
fn every_statement_prepares_on_the_objects_schema() {
    let database = object();
    for (name, sql) in STATEMENTS {
        if let Err(error) = database.connection.prepare(sql) {
            panic!("{name}: {error}\n{sql}");
        }
    }
}

#[test]
fn what_is_written_is_read_back_and_a_second_start_keeps_it() {
    let database = object();
    let changes = changes();
    write(&database, &changes);
    database.run(&create_admission_rows()).unwrap();
    let (state, unreadable) = stored(&database);
    assert_eq!(unreadable, 0);
    assert_eq!(state.state, changes.state);
    assert_eq!(state.buckets, changes.buckets);
    assert_eq!(state.leases, changes.leases);
    assert_eq!(state.waiters, changes.waiters);
    assert_eq!(state.models, changes.models);
}

#[test]
fn a_row_with_the_same_key_is_replaced_and_a_removed_one_is_gone() {
    let database = object();
    write(&database, &changes());
    let mut next = changes();
    next.buckets[0].requests = 4;
    next.leases.clear();
    next.waiters.clear();
    next.models.clear();
    next.leases_removed = vec!["t-1".to_owned()];
    next.waiters_removed = vec!["123".to_owned()];
    next.models_removed = vec!["m".to_owned()];
    write(&database, &next);
    let (state, _) = stored(&database);
    assert_eq!(state.buckets, next.buckets);
    assert!(state.leases.is_empty() && state.waiters.is_empty() && state.models.is_empty());
    let last = Changes {
        buckets_removed: vec![17_000_000_001],
        ..Changes::default()
    };
    write(&database, &last);
    assert!(stored(&database).0.buckets.is_empty());
}

#[test]
fn nothing_changed_needs_no_statement() {
    assert!(
        write_admission_changes(&Changes::default())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn rows_that_cannot_be_read_are_counted_and_cost_no_other_row() {
    let row = |kind: &str, row: &str| AdmissionRow {
        kind: kind.to_owned(),
        row: row.to_owned(),
    };
    let (state, unreadable) = admission_state(vec![
        row("bucket", "7"),
        row("unknown", "{}"),
        row("state", "{}"),
        row(
            "bucket",
            r#"{"bucket":1,"requests":2,"tokens":3,"refused":0}"#,
        ),
    ]);
    assert_eq!((state.buckets.len(), unreadable), (1, 3));
}
