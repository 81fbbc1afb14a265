//! 控制台：管理员的网页，编译为 WebAssembly。
//!
//! The administrator's pages: what waits, how long and why. Rules that can be judged without a browser
//! (places, queries, ranges, formats, checks of what is typed, series of a chart) are modules of their own
//! that compile anywhere and have tests; what draws exists on wasm32 only. The console owns no rule of the
//! gateway: it shows what the API answers and sends what the API checks.
//!
//! Invariant: nothing that is typed is lost by an answer, and nothing is asked of another origin.

#![allow(
    clippy::must_use_candidate,
    clippy::needless_pass_by_value,
    reason = "components return views, and handlers are given their events"
)]

pub mod attention;
pub mod audit_detail;
pub mod errors;
pub mod figures;
pub mod i18n;
pub mod icons;
pub mod keys_form;
pub mod keys_snippets;
pub mod logs_query;
pub mod logs_timeline;
pub mod playground_answer;
pub mod playground_events;
pub mod playground_request;
pub mod query;
pub mod range;
pub mod route;
pub mod series;
pub mod server_form;
pub mod usage_series;
pub mod usage_table;
pub mod usage_view;
pub mod usage_window;

#[cfg(target_arch = "wasm32")]
pub mod api;
#[cfg(target_arch = "wasm32")]
pub mod app;
#[cfg(target_arch = "wasm32")]
pub mod browser;
#[cfg(target_arch = "wasm32")]
pub mod components;
#[cfg(target_arch = "wasm32")]
pub mod intl;
#[cfg(target_arch = "wasm32")]
pub mod navigation;
#[cfg(target_arch = "wasm32")]
pub mod pages;
#[cfg(target_arch = "wasm32")]
pub mod preferences;
#[cfg(target_arch = "wasm32")]
pub mod reactive;
#[cfg(target_arch = "wasm32")]
pub mod remote;
#[cfg(target_arch = "wasm32")]
pub mod session;
#[cfg(target_arch = "wasm32")]
pub mod shell;
#[cfg(target_arch = "wasm32")]
pub mod task;
