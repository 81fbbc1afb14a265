//! 服务器表的行为。
//!
//! What the statements of servers do to the table, the audit trail and the version.

use serde_json::json;

use super::database::{Database, typed};
use super::{SERVER_SECRET, at, keyring, patch, replace, sealed, server};
use crate::admin_api::bounds::SERVERS_LEN_MAX;
use crate::admin_api::{KeyState, List, Page, ServerOrder};
use crate::envelope::Keyring;
use crate::error::ErrorCode;
use crate::sql::{
    CHANGED, ServerRow, changed, constraint_error, create_server, created, delete_server,
    reorder_servers, reordered, server_by_id, servers_page, snapshot, update_server,
};

fn with_servers(ids: &[&str]) -> Database {
    let mut database = Database::migrated();
    for id in ids {
        let (rows, _) = database.write(&create_server(id, &server(id), &sealed(id), at(1_000)));
        created(rows).unwrap();
    }
    database
}

fn stored(database: &Database, id: &str) -> ServerRow {
    typed::<ServerRow>(&database.run(&server_by_id(id)).unwrap()).remove(0)
}

fn order(ids: &[&str]) -> ServerOrder {
    ServerOrder {
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    }
}

#[test]
fn created_server_reads_back_with_its_defaults_and_the_next_position() {
    let database = with_servers(&["a", "b"]);
    let view = stored(&database, "b").into_view(Some(&keyring()));
    assert_eq!(
        serde_json::to_value(view).unwrap(),
        json!({
            "id": "b", "name": "b", "base_url": "https://api.example.com/v1", "models": ["gpt-*"],
            "enabled": true, "position": 1, "rpm_limit": 10, "tpm_limit": null, "max_concurrency": 3,
            "queue_max": 100, "queue_timeout_ms": 60000, "on_full": "evict_oldest", "overflow": "wait",
            "upstream_timeout_ms": 600_000, "api_key_hint": "1234", "key_state": "ok", "version": 1,
            "created_at": "1970-01-01T00:00:01.000Z", "updated_at": "1970-01-01T00:00:01.000Z"
        })
    );
}

#[test]
fn every_write_leaves_one_audit_row_and_raises_the_configuration_version() {
    let mut database = with_servers(&["a", "b"]);
    assert_eq!(database.audited_and_version(), (2, 3));
    database.write(&update_server(
        "a",
        &patch(r#"{"rpm_limit":5}"#),
        None,
        None,
        at(2_000),
    ));
    assert_eq!(database.audited_and_version(), (3, 4));
    database.write(&reorder_servers(&order(&["b", "a"]), at(3_000)));
    assert_eq!(database.audited_and_version(), (4, 5));
    database.write(&delete_server("b", None, at(4_000)));
    assert_eq!(database.audited_and_version(), (5, 6));
    let audit =
        database.query("SELECT actor, action, target_kind, target_id, at FROM audit WHERE id = 3");
    let expected = json!({ "actor": "admin", "action": "update", "target_kind": "server", "target_id": "a", "at": 2000.0 });
    assert_eq!(audit, [expected]);
}

#[test]
fn update_with_an_old_version_conflicts_and_changes_nothing() {
    let mut database = with_servers(&["a"]);
    let before = database.query("SELECT * FROM servers");
    let (rows, current) = database.write(&update_server(
        "a",
        &patch(r#"{"rpm_limit":5}"#),
        None,
        Some(9),
        at(2_000),
    ));
    assert_eq!(
        changed(rows, &current).unwrap_err().code,
        ErrorCode::VersionConflict
    );
    assert_eq!(database.query("SELECT * FROM servers"), before);
    assert_eq!(database.audited_and_version(), (1, 2));
}

#[test]
fn of_two_updates_with_the_same_version_the_second_conflicts() {
    let mut database = with_servers(&["a"]);
    let edit = update_server("a", &patch(r#"{"queue_max":5}"#), None, Some(1), at(2_000));
    let (rows, current) = database.write(&edit);
    let row = changed(rows, &current).unwrap();
    assert_eq!(
        (row.version, row.queue_max, row.updated_at, row.created_at),
        (2, 5, 2_000, 1_000)
    );
    let (rows, current) = database.write(&edit);
    assert_eq!(
        changed(rows, &current).unwrap_err().code,
        ErrorCode::VersionConflict
    );
}

#[test]
fn writes_to_an_unknown_id_are_not_found_and_leave_no_trace() {
    let mut database = with_servers(&["a"]);
    for write in [
        update_server("x", &patch("{}"), None, None, at(2_000)),
        update_server("x", &patch("{}"), None, Some(1), at(2_000)),
        delete_server("x", None, at(2_000)),
    ] {
        let (rows, current) = database.write(&write);
        assert_eq!(
            changed(rows, &current).unwrap_err().code,
            ErrorCode::NotFound
        );
    }
    assert_eq!(database.audited_and_version(), (1, 2));
}

#[test]
fn patch_keeps_what_is_absent_and_clears_what_is_null() {
    let mut database = with_servers(&["a"]);
    let before = stored(&database, "a");
    database.write(&update_server(
        "a",
        &patch(r#"{"rpm_limit":null}"#),
        None,
        None,
        at(2_000),
    ));
    let after = stored(&database, "a");
    assert_eq!(
        after,
        ServerRow {
            rpm_limit: None,
            version: 2,
            updated_at: 2_000,
            ..before
        }
    );
}

#[test]
fn replacement_resets_what_is_absent_but_keeps_the_stored_key() {
    let mut database = with_servers(&["a"]);
    let body = r#"{"name":"n","base_url":"https://x.example","models":["m"],"on_full":"reject_newest",
                   "overflow":"next_server","enabled":false,"tpm_limit":7}"#;
    database.write(&update_server("a", &replace(body), None, None, at(2_000)));
    let server = stored(&database, "a").into_server(Some(&keyring()));
    assert_eq!(
        (server.rpm_limit, server.tpm_limit, server.max_concurrency),
        (None, Some(7), None)
    );
    assert_eq!(
        (server.name.as_str(), server.enabled, server.version),
        ("n", false, 2)
    );
    assert_eq!(server.overflow, crate::config::Overflow::NextServer);
    assert_eq!(server.on_full, admission::protocol::OnFull::RejectNewest);
    assert_eq!(server.api_key.unwrap().expose(), SERVER_SECRET);
}

#[test]
fn a_new_key_replaces_the_stored_one_and_its_hint() {
    let mut database = with_servers(&["a"]);
    let key = keyring()
        .seal_server_key("a", &crate::config::Secret::new("sk-second-5678"), [9; 12])
        .unwrap();
    let edit = update_server(
        "a",
        &patch(r#"{"api_key":"sk-second-5678"}"#),
        Some(&key),
        None,
        at(2_000),
    );
    let (rows, current) = database.write(&edit);
    let row = changed(rows, &current).unwrap();
    assert_eq!(row.api_key_hint, "5678");
    assert_eq!(
        row.into_server(Some(&keyring())).api_key.unwrap().expose(),
        "sk-second-5678"
    );
}

#[test]
fn a_name_that_is_taken_is_an_error_of_that_field_and_changes_nothing() {
    let mut database = with_servers(&["a", "b"]);
    for write in [
        create_server("c", &server("a"), &sealed("c"), at(2_000)),
        update_server("b", &patch(r#"{"name":"a"}"#), None, None, at(2_000)),
    ] {
        let error = constraint_error(&database.batch(&write).unwrap_err());
        assert_eq!(
            (error.code, error.param.as_deref()),
            (ErrorCode::InvalidField, Some("name"))
        );
    }
    assert_eq!(database.audited_and_version(), (2, 3));
    assert_eq!(
        constraint_error("CHECK constraint failed: enabled").code,
        ErrorCode::InternalError
    );
}

#[test]
fn reordering_moves_servers_without_raising_their_versions() {
    let mut database = with_servers(&["a", "b", "c"]);
    let wanted = order(&["c", "a", "b"]);
    let (rows, current) = database.write(&reorder_servers(&wanted, at(2_000)));
    assert_eq!(rows.len(), 3);
    let rows = reordered(&wanted, current).unwrap();
    let places: Vec<_> = rows
        .iter()
        .map(|row| (row.id.as_str(), row.position, row.version))
        .collect();
    assert_eq!(places, [("c", 0, 1), ("a", 1, 1), ("b", 2, 1)]);
}

#[test]
fn reordering_into_the_same_order_changes_nothing() {
    let mut database = with_servers(&["a", "b"]);
    let wanted = order(&["a", "b"]);
    let (rows, current) = database.write(&reorder_servers(&wanted, at(2_000)));
    assert!(rows.is_empty());
    assert_eq!(reordered(&wanted, current).unwrap().len(), 2);
    assert_eq!(database.audited_and_version(), (2, 3));
}

#[test]
fn an_order_that_is_not_of_all_servers_is_refused_and_changes_nothing() {
    let mut database = with_servers(&["a", "b"]);
    for ids in [&["b"][..], &["b", "x"], &["b", "a", "x"], &[]] {
        let wanted = order(ids);
        let (rows, current) = database.write(&reorder_servers(&wanted, at(2_000)));
        assert!(rows.is_empty(), "{ids:?}");
        let error = reordered(&wanted, current).unwrap_err();
        assert_eq!(
            (error.code, error.param.as_deref()),
            (ErrorCode::InvalidField, Some("ids")),
            "{ids:?}"
        );
    }
    assert_eq!(stored(&database, "a").position, 0);
    assert_eq!(database.audited_and_version(), (2, 3));
}

#[test]
fn a_deleted_server_is_answered_as_it_was() {
    let mut database = with_servers(&["a", "b"]);
    let (rows, current) = database.write(&delete_server("a", Some(7), at(2_000)));
    assert_eq!(
        changed(rows, &current).unwrap_err().code,
        ErrorCode::VersionConflict
    );
    let (rows, current) = database.write(&delete_server("a", Some(1), at(2_000)));
    assert_eq!(changed(rows, &current).unwrap().id, "a");
    assert!(database.run(&server_by_id("a")).unwrap().is_empty());
    let (rows, _) = database.write(&create_server("c", &server("c"), &sealed("c"), at(3_000)));
    assert_eq!(
        created(rows).unwrap().position,
        2,
        "after the last one, whatever gaps there are"
    );
}

#[test]
fn servers_cannot_be_created_without_end() {
    let mut database = with_servers(&["a"]);
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
        INSERT INTO servers SELECT 's' || i, 's' || i, base_url, models, enabled, i, rpm_limit, tpm_limit,
        max_concurrency, queue_max, queue_timeout_ms, on_full, overflow, upstream_timeout_ms, api_key,
        api_key_hint, version, created_at, updated_at FROM n, servers WHERE id = 'a'";
    let filled = database
        .connection
        .execute(fill, [i64::try_from(SERVERS_LEN_MAX).unwrap()])
        .unwrap();
    assert_eq!(filled, 999);
    let (rows, _) = database.write(&create_server("z", &server("z"), &sealed("z"), at(2_000)));
    assert_eq!(created(rows).unwrap_err().code, ErrorCode::InvalidField);
    assert_eq!(database.audited_and_version(), (1, 2));
}

#[test]
fn pages_show_every_server_once_and_in_order() {
    let ids = ["a", "b", "c", "d", "e"];
    let database = with_servers(&ids);
    // Equal positions cannot come from the API, but must not hide anybody either.
    database
        .connection
        .execute("UPDATE servers SET position = 1 WHERE id IN ('b', 'c')", [])
        .unwrap();
    let mut seen = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let page = Page::parse(&query).unwrap();
        let rows = typed::<ServerRow>(&database.run(&servers_page(&page)).unwrap());
        let list = List::of_rows(&page, rows, ServerRow::place, |row| row.id);
        assert!(list.items.len() <= 2);
        seen.extend(list.items);
        let Some(cursor) = list.next_cursor else {
            break;
        };
        query = format!("limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ids);
}

#[test]
fn a_key_that_cannot_be_decrypted_costs_one_server_its_key_and_nothing_else() {
    let mut database = with_servers(&["a", "b"]);
    database
        .connection
        .execute(
            "UPDATE servers SET api_key = 'v1.broken' WHERE id = 'a'",
            [],
        )
        .unwrap();
    let results = database.batch(&snapshot()).unwrap();
    let rows = typed::<ServerRow>(&results[1]);
    let states: Vec<_> = rows
        .iter()
        .map(|row| row.clone().into_view(Some(&keyring())).key_state)
        .collect();
    assert_eq!(states, [KeyState::MustBeEnteredAgain, KeyState::Ok]);
    let keys: Vec<_> = rows
        .iter()
        .map(|row| row.clone().into_server(Some(&keyring())).api_key)
        .collect();
    assert!(keys[0].is_none() && keys[1].is_some());
    assert!(
        rows[1].clone().into_server(None).api_key.is_none(),
        "no key is configured"
    );
}

#[test]
fn an_envelope_that_was_moved_to_another_row_does_not_open() {
    let database = with_servers(&["a", "b"]);
    let swap =
        "UPDATE servers SET api_key = (SELECT api_key FROM servers WHERE id = 'a') WHERE id = 'b'";
    database.connection.execute(swap, []).unwrap();
    assert!(
        stored(&database, "b")
            .into_server(Some(&keyring()))
            .api_key
            .is_none()
    );
}

#[test]
fn a_row_sealed_with_the_previous_key_still_opens() {
    let database = with_servers(&["a"]);
    let rotated = Keyring::new(
        "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
        Some(super::ENCRYPTION_KEY),
    )
    .unwrap();
    assert!(
        stored(&database, "a")
            .into_server(Some(&rotated))
            .api_key
            .is_some()
    );
}

#[test]
fn neither_rows_nor_audit_contain_the_api_key() {
    let mut database = with_servers(&["a"]);
    let edit = patch(&format!(r#"{{"api_key":"{SERVER_SECRET}","name":"n"}}"#));
    database.write(&update_server(
        "a",
        &edit,
        Some(&sealed("a")),
        None,
        at(2_000),
    ));
    let everything = format!(
        "{:?}{:?}",
        database.query("SELECT * FROM servers"),
        database.query("SELECT * FROM audit")
    );
    assert!(!everything.contains("upstream-canary"));
    let detail = database.query("SELECT detail FROM audit WHERE id = 2");
    assert_eq!(
        detail,
        [json!({ "detail": r#"{"api_key":"replaced","name":"n"}"# })]
    );
}

#[test]
fn only_the_changed_rows_are_in_the_first_result() {
    let mut database = with_servers(&["a", "b"]);
    let results = database
        .batch(&update_server(
            "a",
            &patch(r#"{"enabled":false}"#),
            None,
            None,
            at(2_000),
        ))
        .unwrap();
    assert_eq!(results[CHANGED].len(), 1);
    assert_eq!(results[crate::sql::BUMPED], [json!({ "version": 4.0 })]);
    assert!(results[crate::sql::AUDITED].is_empty());
}
