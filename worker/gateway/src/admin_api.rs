//! 管理接口的请求与应答：解析、校验、视图。
//!
//! Owns the objects of PRODUCT.md section 3 as a client sees them, and every rule about their
//! fields. The shell hands over the bytes of a body and gets either a value that cannot be wrong
//! or the error to answer with. Knows no table, no role and no HTTP.
//!
//! One description of each field (in `fields`) serves create, replace and patch alike. The first
//! field that fails answers, in the order of the object in PRODUCT.md; then a field that does not
//! exist; then a required one that is missing.
//!
//! Invariant: no view contains a secret, except [`KeyCreated`], which exists to show one once.

mod audit;
pub(crate) mod base_url;
mod body;
pub mod bounds;
mod change;
mod described;
mod fault;
mod fields;
mod key;
mod live;
mod logs;
mod object;
mod page;
mod private_host;
mod query;
mod server;
mod sign_in;
mod time;
mod usage;
mod version;

pub use audit::{AuditQuery, AuditView, TargetKind};
pub use body::{check_content_type, check_length};
pub use change::Change;
pub use fault::DatabaseFault;
pub use key::{
    KEY_ID_RANDOM_BYTES, KEY_RANDOM_BYTES, KeyCreate, KeyCreated, KeyPatch, KeyRotate, KeyView,
    NewKey, gateway_key_id,
};
pub use live::{LiveView, ReadyView};
#[cfg(feature = "openapi")]
pub(crate) use logs::FILTERS as LOG_FILTERS;
pub use logs::{LogEntry, LogFilter, LogQuery, LogView};
pub use page::{Cursor, List, Page};
pub use server::{
    KeyState, SERVER_ID_RANDOM_BYTES, ServerCreate, ServerOrder, ServerPatch, ServerReplace,
    ServerSettings, ServerView, server_id,
};
pub use sign_in::SignIn;
pub use time::{parse_rfc3339, rfc3339};
pub use usage::{
    Granularity, Grouping, UsageFigures, UsageFilter, UsageLine, UsagePlace, UsageQuery,
    UsageReport, UsageSums, UsageView,
};
pub use version::{ConfigVersionView, etag, if_match};

/// What the deployment allows beyond the fixed rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules<'a> {
    /// Variable `ALLOW_HTTP_UPSTREAM`: plain http also to hosts other than this machine.
    pub allow_http_upstream: bool,
    /// Variable `ALLOW_PRIVATE_UPSTREAM`: also hosts of private networks.
    pub allow_private_upstream: bool,
    /// The URL of the admin request itself: a server there would be a loop.
    pub own_url: Option<&'a str>,
}

#[cfg(test)]
mod tests;
