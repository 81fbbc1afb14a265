//! 换加密密钥后重新封存各行。
//!
//! What the statements that seal keys again do to rows, and to which of them.

use super::database::{Database, typed};
use super::{ENCRYPTION_KEY, SERVER_SECRET, at, keyring, patch, sealed, server};
use crate::admin_api::KeyState;
use crate::envelope::Keyring;
use crate::sql::{
    RESEAL_ROWS_MAX, ServerRow, create_server, reseal_server_keys, snapshot, update_server,
};

/// Base64 of 32 bytes that are all 2.
const NEW_KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn rotated() -> Keyring {
    Keyring::new(NEW_KEY, Some(ENCRYPTION_KEY)).unwrap()
}

fn with_servers(count: usize) -> Database {
    let mut database = Database::migrated();
    for number in 0..count {
        let id = format!("srv_{number}");
        let create = create_server(&id, &server(&id), &sealed(&id), at(1_000));
        database.batch(&create).unwrap();
    }
    database
}

fn rows(database: &mut Database) -> Vec<ServerRow> {
    typed(&database.batch(&snapshot()).unwrap()[1])
}

fn reseal(database: &mut Database, keyring: &Keyring) -> usize {
    let rows = rows(database);
    let mut nonces = (0..=u8::MAX).map(|byte| [byte; 12]);
    let statements = reseal_server_keys(&rows, Some(keyring), || nonces.next());
    database.batch(&statements).unwrap();
    statements.len()
}

fn states(database: &mut Database, keyring: &Keyring) -> Vec<KeyState> {
    let rows = rows(database).into_iter();
    rows.map(|row| row.into_view(Some(keyring)).key_state)
        .collect()
}

#[test]
fn rows_of_the_previous_key_are_sealed_with_the_present_one_and_nothing_else_changes() {
    let mut database = with_servers(2);
    let (before, counts) = (rows(&mut database), database.audited_and_version());
    assert_eq!(
        states(&mut database, &rotated()),
        [KeyState::ToBeReencrypted; 2]
    );
    assert_eq!(reseal(&mut database, &rotated()), 2);
    let after = rows(&mut database);
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before.api_key, after.api_key);
        let same = ServerRow {
            api_key: before.api_key.clone(),
            ..after.clone()
        };
        assert_eq!(&same, before, "neither version nor time");
    }
    assert_eq!(database.audited_and_version(), counts);
    let only_new = Keyring::new(NEW_KEY, None).unwrap();
    assert_eq!(states(&mut database, &only_new), [KeyState::Ok; 2]);
    let opened = after[0].open_key(Some(&only_new)).unwrap();
    assert_eq!(opened.secret.expose(), SERVER_SECRET);
    assert_eq!(
        reseal(&mut database, &rotated()),
        0,
        "there is nothing left to do"
    );
}

#[test]
fn many_rows_take_several_batches() {
    let mut database = with_servers(RESEAL_ROWS_MAX + 3);
    assert_eq!(reseal(&mut database, &rotated()), RESEAL_ROWS_MAX);
    assert_eq!(reseal(&mut database, &rotated()), 3);
    assert_eq!(reseal(&mut database, &rotated()), 0);
}

#[test]
fn a_key_that_was_entered_meanwhile_is_not_overwritten() {
    let mut database = with_servers(1);
    let late = rows(&mut database);
    let statements = reseal_server_keys(&late, Some(&rotated()), || Some([9; 12]));
    let entered = keyring()
        .seal_server_key(
            "srv_0",
            &crate::config::Secret::new("sk-entered-meanwhile"),
            [5; 12],
        )
        .unwrap();
    let change = patch(r#"{"api_key":"sk-entered-meanwhile"}"#);
    database
        .batch(&update_server(
            "srv_0",
            &change,
            Some(&entered),
            None,
            at(2_000),
        ))
        .unwrap();
    database.batch(&statements).unwrap();
    let opened = rows(&mut database)[0].open_key(Some(&keyring())).unwrap();
    assert_eq!(opened.secret.expose(), "sk-entered-meanwhile");
}

#[test]
fn what_nothing_opens_is_left_alone_and_keeps_no_other_row_waiting() {
    let mut database = with_servers(3);
    let damage = "UPDATE servers SET api_key = 'v1.damaged' WHERE id = 'srv_1'";
    database.connection.execute(damage, []).unwrap();
    assert_eq!(reseal(&mut database, &rotated()), 2);
    assert_eq!(
        states(&mut database, &rotated()),
        [KeyState::Ok, KeyState::MustBeEnteredAgain, KeyState::Ok]
    );
    let rows = rows(&mut database);
    assert!(reseal_server_keys(&rows, None, || Some([1; 12])).is_empty());
    assert!(reseal_server_keys(&rows, Some(&keyring()), || None).is_empty());
}
