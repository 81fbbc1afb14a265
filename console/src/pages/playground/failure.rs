//! 请求为何失败：用自己的话说。
//!
//! Owns the sentences for the gateway's codes, as somebody who sent the request would put them; for what is
//! none of them, whose failure it is.

use crate::errors::Failure;
use crate::i18n::playground;

/// A failure in one sentence.
#[must_use]
pub fn why(failure: &Failure) -> String {
    let told = match failure.code.as_str() {
        "queue_timeout" => playground::why_queue_timeout(),
        "queue_evicted" => playground::why_queue_evicted(),
        "queue_full" => playground::why_queue_full(),
        "deadline_unreachable" => playground::why_deadline(),
        "invalid_api_key" | "unsendable" => playground::why_key(),
        "app_not_allowed" => playground::why_app(),
        "missing_app_name" | "invalid_app_name" => playground::why_app_missing(),
        "model_not_found" | "missing_model" => playground::why_model(),
        "upstream_unreachable" => playground::why_upstream(),
        "upstream_timeout" => playground::why_upstream_slow(),
        "upstream_stream_truncated" => playground::why_truncated(),
        "server_overloaded" => playground::why_overloaded(),
        _ if failure.status == 0 && failure.message.is_empty() => playground::why_offline(),
        _ if failure.status >= 400 && failure.request_id.is_none() => {
            return playground::why_server(&failure.status.to_string());
        }
        _ => playground::why_other(),
    };
    told.to_owned()
}
