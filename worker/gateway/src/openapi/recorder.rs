//! 记录器：解析函数问了哪些字段，文档就写哪些字段。
//!
//! Owns the list of fields that a parser of `admin_api` asks for, in the order in which it asks. The parser
//! itself is what is described, so that no field can be read and not be documented. Decides nothing.

use std::cell::RefCell;

use serde_json::{Value, json};

/// A field that a body may have.
pub(super) struct Asked {
    pub(super) name: &'static str,
    pub(super) schema: Value,
}

thread_local! {
    static ASKED: RefCell<Vec<Asked>> = const { RefCell::new(Vec::new()) };
}

/// Called by the reader of bodies for each field that it is asked for.
pub(crate) fn takes(name: &'static str, schema: Value) {
    ASKED.with_borrow_mut(|asked| asked.push(Asked { name, schema }));
}

/// Called by the reader of bodies for each field that it is told not to mind.
pub(crate) fn ignores(name: &'static str) {
    takes(
        name,
        json!({"description": "Set by the gateway; accepted and ignored here."}),
    );
}

/// What is asked for while `parse` runs.
pub(super) fn during(parse: impl FnOnce()) -> Vec<Asked> {
    ASKED.take();
    parse();
    ASKED.take()
}
