//! 审计列表：筛选、分页、每条恰好一次。
//!
//! What the audit list shows of a trail that was written by the changes themselves.

use serde_json::json;

use super::database::{Database, typed};
use super::{key, new_key, patch, sealed, server};
use crate::admin_api::{AuditQuery, AuditView, List};
use crate::sql::{AuditRow, Edit, audit_page, create_key, create_server, update_server};
use admission::time::Instant;

/// Seven entries: a server and a key each second for three seconds, then a change by another actor.
fn trail() -> Database {
    let mut database = Database::migrated();
    for number in 1..=3_u8 {
        let (server_id, key_id) = (format!("srv_{number}"), format!("key_{number}"));
        let edit = at("admin", u64::from(number) * 1_000);
        let statements = create_server(&server_id, &server(&server_id), &sealed(&server_id), edit);
        database.batch(&statements).unwrap();
        let create = create_key(&key_id, &key(r#"{"name":"n"}"#), &new_key(number), edit);
        database.batch(&create).unwrap();
    }
    let change = patch(r#"{"rpm_limit":5,"api_key":"sk-canary-0123456789"}"#);
    let sealed = sealed("srv_2");
    let edit = at("someone@example.com", 3_000);
    database
        .batch(&update_server("srv_2", &change, Some(&sealed), None, edit))
        .unwrap();
    database
}

fn at(actor: &'static str, millis: u64) -> Edit<'static> {
    Edit {
        actor,
        at: Instant::from_millis(millis),
    }
}

fn list(database: &Database, query: &str) -> List<AuditView> {
    let query = AuditQuery::parse(query).unwrap();
    let rows = typed::<AuditRow>(&database.run(&audit_page(&query)).unwrap());
    List::of_rows(&query.page, rows, AuditRow::place, AuditRow::into_view)
}

fn ids(database: &Database, query: &str) -> Vec<u64> {
    let list = list(database, query);
    list.items.into_iter().map(|entry| entry.id).collect()
}

#[test]
fn the_newest_entry_comes_first_and_tells_what_was_changed() {
    let database = trail();
    let whole = list(&database, "");
    let ids: Vec<u64> = whole.items.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(
        serde_json::to_value(&whole.items[0]).unwrap(),
        json!({
            "id": 7, "at": "1970-01-01T00:00:03.000Z", "actor": "someone@example.com", "action": "update",
            "target_kind": "server", "target_id": "srv_2", "detail": {"rpm_limit": 5, "api_key": "replaced"}
        })
    );
    assert!(!serde_json::to_string(&whole).unwrap().contains("canary"));
}

#[test]
fn every_filter_and_any_two_of_them_leave_what_fits() {
    let database = trail();
    for (query, expected) in [
        ("target_kind=server", vec![7, 5, 3, 1]),
        ("target_kind=key", vec![6, 4, 2]),
        ("target_id=srv_2", vec![7, 3]),
        ("target_id=srv_2&target_kind=key", vec![]),
        ("target_id=srv_2&actor=admin", vec![3]),
        ("actor=someone@example.com", vec![7]),
        ("actor=someone", vec![]),
        ("action=create&target_kind=key", vec![6, 4, 2]),
        ("action=update", vec![7]),
        ("from=1970-01-01T00:00:02Z", vec![7, 6, 5, 4, 3]),
        ("to=1970-01-01T00:00:02Z", vec![2, 1]),
        (
            "from=1970-01-01T00:00:02Z&to=1970-01-01T00:00:03Z",
            vec![4, 3],
        ),
        ("from=1970-01-01T00:00:02Z&to=1970-01-01T00:00:02Z", vec![]),
        (
            "from=1970-01-01T00:00:02Z&action=create&target_kind=server",
            vec![5, 3],
        ),
    ] {
        assert_eq!(ids(&database, query), expected, "{query}");
    }
}

#[test]
fn pages_show_each_entry_once_also_while_others_are_written() {
    let mut database = trail();
    for filter in [
        "",
        "&target_kind=server",
        "&actor=admin",
        "&to=1970-01-01T00:00:03Z",
    ] {
        let whole = ids(&database, filter);
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = list(&database, &format!("limit=2{filter}{cursor}"));
            seen.extend(page.items.iter().map(|entry| entry.id));
            let edit = at("admin", 9_000);
            let change = update_server("srv_1", &patch("{}"), None, None, edit);
            database.batch(&change).unwrap();
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, whole, "{filter}");
    }
}

#[test]
fn a_detail_that_is_no_json_is_an_error_and_no_default() {
    let row = |detail: &str| {
        serde_json::from_value::<AuditRow>(json!({
            "id": 1.0, "at": 2.0, "actor": "a", "action": "b", "target_kind": "key", "target_id": "", "detail": detail
        }))
    };
    assert_eq!(row("{}").unwrap().detail, json!({}));
    assert!(row("{").is_err());
}
