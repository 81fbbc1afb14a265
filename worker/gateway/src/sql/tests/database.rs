//! 测试用数据库：真实迁移，像 D1 一样绑定与读取。
//!
//! The database of the tests: the real migrations, bound and read as D1 does it.

use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{Connection, ToSql};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

use crate::sql::{CHANGED, CURRENT, ServerRow, Statement, Value};

pub(super) struct Database {
    pub(super) connection: Connection,
}

impl Database {
    /// An empty database after all migrations, in the order of their names.
    pub(super) fn migrated() -> Self {
        Self::migrate(Connection::open_in_memory().unwrap())
    }

    /// The same on this connection.
    pub(super) fn migrate(connection: Connection) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty());
        for file in files {
            connection
                .execute_batch(&std::fs::read_to_string(file).unwrap())
                .unwrap();
        }
        Self { connection }
    }

    /// Runs one statement and gives its rows.
    pub(super) fn run(&self, statement: &Statement) -> Result<Vec<Json>, rusqlite::Error> {
        let mut prepared = self.connection.prepare(statement.sql)?;
        assert_eq!(
            prepared.parameter_count(),
            statement.params.len(),
            "{}",
            statement.sql
        );
        assert!(statement.params.len() <= 100, "D1 allows 100 parameters");
        let names: Vec<String> = prepared.column_names().map(str::to_owned).collect();
        let mut rows = prepared.query(rusqlite::params_from_iter(&statement.params))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let mut object = Map::new();
            for (index, name) in names.iter().enumerate() {
                object.insert(name.clone(), json_of(row.get_ref(index)?));
            }
            found.push(Json::Object(object));
        }
        Ok(found)
    }

    /// How a statement would be carried out, one line a step.
    pub(super) fn plan(&self, statement: &Statement) -> Vec<String> {
        let explained = format!("EXPLAIN QUERY PLAN {}", statement.sql);
        let mut prepared = self.connection.prepare(&explained).unwrap();
        prepared
            .query_map(rusqlite::params_from_iter(&statement.params), |row| {
                row.get("detail")
            })
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    /// Runs statements as one transaction: all of them or none.
    pub(super) fn batch(&mut self, statements: &[Statement]) -> Result<Vec<Vec<Json>>, String> {
        self.connection.execute_batch("BEGIN").unwrap();
        let results: Result<Vec<_>, _> = statements
            .iter()
            .map(|statement| self.run(statement))
            .collect();
        self.connection
            .execute_batch(if results.is_ok() {
                "COMMIT"
            } else {
                "ROLLBACK"
            })
            .unwrap();
        results.map_err(|error| error.to_string())
    }

    /// Runs a write of a server as the shell does, and gives what changed and what is stored.
    pub(super) fn write(&mut self, statements: &[Statement]) -> (Vec<ServerRow>, Vec<ServerRow>) {
        let results = self.batch(statements).unwrap();
        let current = results
            .get(CURRENT)
            .map(|rows| typed(rows))
            .unwrap_or_default();
        (typed(&results[CHANGED]), current)
    }

    /// The rows of a query that is no statement of the gateway.
    pub(super) fn query(&self, sql: &'static str) -> Vec<Json> {
        self.run(&Statement {
            sql,
            params: Vec::new(),
        })
        .unwrap()
    }

    /// How many audit rows there are, and the configuration version.
    pub(super) fn audited_and_version(&self) -> (i64, i64) {
        let count = |sql| {
            self.connection
                .query_row(sql, [], |row| row.get(0))
                .unwrap()
        };
        (
            count("SELECT count(*) FROM audit"),
            count("SELECT version FROM config_version"),
        )
    }
}

pub(super) fn typed<T: DeserializeOwned>(rows: &[Json]) -> Vec<T> {
    rows.iter()
        .map(|row| serde_json::from_value(row.clone()).unwrap())
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "that is what D1 does")]
fn json_of(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(integer) => json!(integer as f64),
        ValueRef::Real(real) => json!(real),
        ValueRef::Text(text) => json!(str::from_utf8(text).unwrap()),
        ValueRef::Blob(_) => panic!("no column is a blob"),
    }
}

impl ToSql for Value {
    #[expect(clippy::cast_precision_loss, reason = "that is what D1 does")]
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(match self {
            Self::Null => SqlValue::Null,
            Self::Integer(integer) => SqlValue::Real(*integer as f64),
            Self::Text(text) => SqlValue::Text(text.clone()),
        }))
    }
}
