//! 各字段的上下限与默认值，以及理由。
//!
//! Every bound of the control plane with its unit last and its reason. `migrations/` repeats those
//! of stored fields as CHECK constraints; a test compares the two.

/// Longest body of an admin request. The largest legal one, 1,000 ids or 256 models, needs 40 KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Longest name of a server or key: fits a table cell and a response header.
pub const NAME_CHARS_MAX: usize = 64;

/// Longest base URL: the shortest limit that proxies commonly put on a URL.
pub const BASE_URL_CHARS_MAX: usize = 2_048;

/// Most models of one server or key: every isolate keeps all of them in memory.
pub const MODELS_LEN_MAX: usize = 256;

/// Longest model name; the longest public ones have about 80 characters.
pub const MODEL_CHARS_MAX: usize = 128;

/// Highest requests per minute: sixteen times what one Durable Object can admit.
pub const RPM_LIMIT_MAX: u64 = 1_000_000;

/// Highest tokens per minute: ten times the largest quota that providers sell.
pub const TPM_LIMIT_MAX: u64 = 1_000_000_000;

/// Highest concurrency: a hundred times the clients of SC-002.
pub const MAX_CONCURRENCY_MAX: u64 = 100_000;

/// Longest queue: each waiter holds a connection and about a kilobyte in an object of 128 MB.
pub const QUEUE_MAX_MAX: u64 = 100_000;

/// Queue length unless configured (PRODUCT.md section 2).
pub const QUEUE_MAX_DEFAULT: u64 = 100;

/// Longest wait in the queue: ten minutes, when the clients of both SDKs give up by themselves.
pub const QUEUE_TIMEOUT_MS_MAX: u64 = 600_000;

/// Wait in the queue unless configured (PRODUCT.md section 2).
pub const QUEUE_TIMEOUT_MS_DEFAULT: u64 = 60_000;

/// Shortest wait for an upstream's headers: less is a misread unit.
pub const UPSTREAM_TIMEOUT_MS_MIN: u64 = 1_000;

/// Longest wait for an upstream's headers: an hour, for batch-like answers of local models.
pub const UPSTREAM_TIMEOUT_MS_MAX: u64 = 3_600_000;

/// Wait for an upstream's headers unless configured. A plain answer sends them only when it is
/// complete, which takes minutes for a reasoning model; ten minutes is also the default of the
/// official clients, so that the gateway is never the first to give up.
pub const UPSTREAM_TIMEOUT_MS_DEFAULT: u64 = 600_000;

/// Longest API key of a server: long enough for tokens that are signed documents.
pub const API_KEY_CHARS_MAX: usize = 512;

/// Most servers: every isolate keeps all of them in memory, and one request may look at each.
pub const SERVERS_LEN_MAX: u64 = 1_000;

/// Most gateway keys: counted when one is created, and D1 bills rows read.
pub const KEYS_LEN_MAX: u64 = 100_000;

/// Items of a page unless asked otherwise (PRODUCT.md section 7).
pub const PAGE_LEN_DEFAULT: u32 = 50;

/// Most items of a page (PRODUCT.md section 7).
pub const PAGE_LEN_MAX: u32 = 500;

/// Longest cursor that is looked at: 16 digits, a dot and 64 characters of id.
pub const CURSOR_CHARS_MAX: usize = 81;

/// Longest query of a URL: that of the audit trail with every filter at its longest, each character
/// percent-encoded in twelve bytes, needs 5 KiB.
pub const QUERY_BYTES_MAX: usize = 8_192;

/// Longest id of any row.
pub const ID_CHARS_MAX: usize = 64;

/// Longest grace of a rotated gateway key: thirty days. A secret that works longer than that was not
/// rotated.
pub const GRACE_SECONDS_MAX: u64 = 2_592_000;

/// Grace of a rotated gateway key unless asked otherwise: a day, so that each time zone has its morning.
pub const GRACE_SECONDS_DEFAULT: u64 = 86_400;

/// Longest name of who made a change, as the audit trail keeps it.
pub const ACTOR_CHARS_MAX: usize = 256;

/// Longest name of what was done, as the audit trail keeps it.
pub const ACTION_CHARS_MAX: usize = 64;

/// Largest integer that D1 stores without loss, since it binds numbers as floats.
pub const STORED_INTEGER_MAX: u64 = (1 << 53) - 1;
