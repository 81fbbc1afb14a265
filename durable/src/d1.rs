//! D1 的参数绑定：整数以浮点数传递。
//!
//! Binds a statement of [`gateway::sql`] for D1, in the Worker and in the object alike. Runs nothing.

use gateway::sql::{Statement, Value};
use wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement, Result};

/// The statement with its parameters.
pub fn prepare(db: &D1Database, statement: &Statement) -> Result<D1PreparedStatement> {
    let values: Vec<JsValue> = statement.params.iter().map(bind).collect();
    db.prepare(statement.sql).bind(&values)
}

/// D1 rejects `BigInt` and `undefined`: integers travel as floats, which are exact below 2^53.
fn bind(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        #[expect(
            clippy::cast_precision_loss,
            reason = "all stored integers are below 2^53"
        )]
        Value::Integer(integer) => JsValue::from_f64(*integer as f64),
        Value::Text(text) => JsValue::from_str(text),
    }
}
