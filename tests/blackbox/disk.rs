//! 停机时磁盘上的数据库。
//!
//! Owns the look into the files behind `DB` while no gateway runs on them: what an
//! outsider with the disk would read, and damage that no interface of the gateway does.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// Files of the database in a gateway's state directory.
fn files(state: &Path) -> Vec<PathBuf> {
    let folder = state.join("storage/sluice-d1");
    let entries = std::fs::read_dir(&folder).expect("the database has a folder");
    let files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    assert!(!files.is_empty(), "the database has files");
    files
}

/// Everything in them, as far as it is text.
pub(crate) fn text(state: &Path) -> String {
    let read = |path: PathBuf| std::fs::read(path).expect("a readable file");
    let bytes: Vec<u8> = files(state).into_iter().flat_map(read).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Changes one row, or the schema.
pub(crate) fn change(state: &Path, sql: &str, params: &[&str]) {
    let done = files(state)
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "sqlite"))
        .filter_map(|path| Connection::open(path).ok())
        // The runtime's own file of metadata has no such table.
        .filter_map(|database| {
            let changed = database.execute(sql, rusqlite::params_from_iter(params));
            changed.ok()
        })
        .collect::<Vec<usize>>();
    assert!(matches!(done[..], [0 | 1]), "{sql}: {done:?}");
}
