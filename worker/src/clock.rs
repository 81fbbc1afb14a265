//! 平台时钟。
//!
//! The only place of this crate that reads a clock. Cloudflare's clock stands still while code
//! runs and moves on after I/O.

use admission::Instant;

pub(crate) fn now() -> Instant {
    // Not by way of a `Date` object: it is asked for a dozen times a request.
    let millis = js_sys::Date::now();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole milliseconds since the Unix epoch, far below 2^53"
    )]
    Instant::from_millis(millis as u64)
}
