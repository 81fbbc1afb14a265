//! 在真实的 `SQLite` 与真实的迁移上检验每条语句。
//!
//! Integers are bound as floats and read back as floats, as D1 does it.

mod audit;
mod database;
mod journal;
mod keys;
mod limiter;
mod log_pages;
mod logs;
mod reseal;
mod rollup;
mod schema;
mod servers;
mod usage;
mod usage_scale;

use admission::time::Instant;

use super::Edit;
use crate::admin_api::{KeyCreate, NewKey, Rules, ServerCreate, ServerPatch, ServerReplace};
use crate::envelope::{Keyring, SealedKey};

const SERVER_SECRET: &str = "sk-upstream-canary-1234";

/// Base64 of 32 bytes that are all 1.
const ENCRYPTION_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn at(millis: u64) -> Edit<'static> {
    Edit {
        actor: "admin",
        at: Instant::from_millis(millis),
    }
}

fn keyring() -> Keyring {
    Keyring::new(ENCRYPTION_KEY, None).unwrap()
}

fn sealed(server_id: &str) -> SealedKey {
    keyring()
        .seal_server_key(
            server_id,
            &crate::config::Secret::new(SERVER_SECRET),
            [7; 12],
        )
        .unwrap()
}

fn server(name: &str) -> ServerCreate {
    let body = format!(
        r#"{{"name":"{name}","base_url":"https://api.example.com/v1","models":["gpt-*"],
            "rpm_limit":10,"max_concurrency":3,"api_key":"{SERVER_SECRET}"}}"#
    );
    ServerCreate::parse(body.as_bytes(), Rules::default()).unwrap()
}

fn patch(body: &str) -> ServerPatch {
    ServerPatch::parse(body.as_bytes(), Rules::default()).unwrap()
}

fn replace(body: &str) -> ServerPatch {
    ServerReplace::parse(body.as_bytes(), Rules::default())
        .unwrap()
        .into()
}

fn key(body: &str) -> KeyCreate {
    KeyCreate::parse(body.as_bytes(), Instant::from_millis(0)).unwrap()
}

fn new_key(byte: u8) -> NewKey {
    NewKey::from_random([byte; 32])
}
