//! 边缘外壳：Cloudflare Worker 的入口。
//!
//! The edge shell: it knows Workers and decides nothing. A fetch event becomes a route
//! ([`gateway::routes`]), a route becomes a handler, and every rule that a handler applies lives in
//! the pure crates `gateway` and `admission`.

mod access;
mod admin;
mod admission_client;
mod body;
mod client;
mod clock;
mod cron;
mod exchange;
mod fields;
mod http;
mod identity;
mod isolate;
mod lateness;
mod log;
mod proxy;
mod random;
mod reply;
mod snapshot;
mod store;
mod stream;
mod tail;
mod upstream;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// The Durable Object class must be reachable from this cdylib to be exported.
pub use gateway_durable::Limiter;

use gateway::error::GatewayError;
use worker::{Context, Env, Result, ScheduleContext, ScheduledEvent, event, web_sys};

/// Entry of every HTTP request.
#[event(fetch)]
async fn fetch(req: web_sys::Request, env: Env, ctx: Context) -> Result<web_sys::Response> {
    http::handle(req, env, ctx).await
}

/// Entry of the cron trigger.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _ctx: ScheduleContext) {
    if let Err(error) = cron::run(&env).await {
        log::failed("cron", &GatewayError::internal(error.to_string()));
    }
}
