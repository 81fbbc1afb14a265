//! 网关的规则：纯函数与纯数据，不知道 Cloudflare。
//!
//! Every decision of the edge gateway: who may call, what a request says, which server takes it, what goes
//! upstream, what comes back and what it cost. The crate owns no socket, clock, random source or storage;
//! time and randomness are arguments, effects are returned as data, and the Worker carries them out.
//!
//! Invariant: nothing here depends on a platform crate and nothing here panics on any input.

pub mod access;
pub mod admin_api;
pub mod attempts;
pub mod auth;
pub mod config;
pub mod cors;
pub mod csv;
pub mod depth;
pub mod endpoint;
pub mod envelope;
pub mod error;
pub mod export;
pub mod faults;
pub mod hardening;
pub mod headers;
pub mod histogram;
pub mod hops;
pub mod identity;
pub mod inference;
pub mod journal;
pub mod log;
pub mod log_row;
pub mod metrics;
pub mod observer;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod overflow;
pub mod pool;
pub mod progress;
pub mod redact;
pub mod retry;
pub mod rollup;
pub mod route;
pub mod routes;
pub mod server_test;
pub mod session;
pub mod settings;
pub mod settlement;
pub mod sql;
pub mod sse;
pub mod tail;
pub mod upstream;
pub mod usage;
