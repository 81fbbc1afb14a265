//! 平台时钟。
//!
//! The only place of this crate that reads a clock. Cloudflare's clock stands still while code
//! runs and moves on after I/O.

use admission::Instant;

pub(crate) fn now() -> Instant {
    Instant::from_millis(worker::Date::now().as_millis())
}
