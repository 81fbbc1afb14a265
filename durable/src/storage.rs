//! 对象的 SQLite：写入变更，启动时读回。
//!
//! Runs the statements of [`gateway::sql`] on the object's own database. `exec` is synchronous, and
//! what one turn writes commits together; the platform holds back the object's answers until it is
//! durable.

use admission::{Changes, State};
use gateway::sql::{self, AdmissionRow, Statement, Value};
use worker::{Result, SqlStorage, SqlStorageValue};

/// The database of one object.
pub(crate) struct Storage {
    sql: SqlStorage,
}

impl Storage {
    /// Opens it; makes the table in a new object.
    pub(crate) fn open(sql: SqlStorage) -> Result<Self> {
        let storage = Self { sql };
        storage.run(&sql::create_admission_rows())?;
        Ok(storage)
    }

    /// What was stored, and how many rows could not be read.
    pub(crate) fn load(&self) -> Result<(State, usize)> {
        let statement = sql::all_admission_rows();
        let rows: Vec<AdmissionRow> = self.sql.exec(statement.sql, None)?.to_array()?;
        Ok(sql::admission_state(rows))
    }

    /// Writes all of the changes, in this turn.
    pub(crate) fn write(&self, changes: &Changes) -> Result<()> {
        for statement in sql::write_admission_changes(changes)? {
            self.run(&statement)?;
        }
        Ok(())
    }

    fn run(&self, statement: &Statement) -> Result<()> {
        let bindings: Vec<_> = statement.params.iter().map(bind).collect();
        self.sql.exec(statement.sql, bindings).map(drop)
    }
}

fn bind(value: &Value) -> SqlStorageValue {
    match value {
        Value::Null => SqlStorageValue::Null,
        Value::Integer(integer) => SqlStorageValue::Integer(*integer),
        Value::Text(text) => SqlStorageValue::String(text.clone()),
    }
}
