//! 字段的说明：每个名字一句话。
//!
//! Owns what the OpenAPI document says about a field, for requests and answers alike: one sentence per name,
//! or per schema and name where a name means two things. A field without a sentence fails a test.

/// Sentences for a field of one schema only.
const OF_SCHEMA: &[(&str, &str, &str)] = &[
    ("AuditEntry", "id", "Number of the entry."),
    (
        "Session",
        "expires_at",
        "When the credential ends; null for a token.",
    ),
    (
        "ServerTest",
        "status",
        "HTTP status of its answer; null if there was none.",
    ),
    (
        "ServerTest",
        "models",
        "The models that it lists; null if it lists none.",
    ),
    (
        "ServerTest",
        "error",
        "What is wrong and what to do; null if `ok`.",
    ),
    (
        "Error",
        "message",
        "What is wrong and what to do next, for people.",
    ),
    (
        "Error",
        "type",
        "OpenAI's vocabulary, which its clients branch on.",
    ),
    (
        "Error",
        "code",
        "What happened, for programs; the table of codes is in docs/api.md.",
    ),
    (
        "Error",
        "param",
        "The field, header or query parameter at fault.",
    ),
    (
        "Error",
        "request_id",
        "Id of the request, as in the header `x-request-id`.",
    ),
    ("Key", "enabled", "`false`: the key is refused."),
    ("KeyCreate", "enabled", "`false`: the key is refused."),
    ("KeyPatch", "enabled", "`false`: the key is refused."),
    (
        "Key",
        "models",
        "The only models that the key may use; empty = any.",
    ),
    (
        "KeyCreate",
        "models",
        "The only models that the key may use; empty or null = any.",
    ),
    (
        "KeyPatch",
        "models",
        "The only models that the key may use; empty or null = any.",
    ),
    (
        "Key",
        "name",
        "Name for people; several keys may share one.",
    ),
    (
        "KeyCreate",
        "name",
        "Name for people; several keys may share one.",
    ),
    (
        "KeyPatch",
        "name",
        "Name for people; several keys may share one.",
    ),
    ("KeyCreated", "enabled", "`false`: the key is refused."),
    (
        "KeyCreated",
        "models",
        "The only models that the key may use; empty = any.",
    ),
    (
        "KeyCreated",
        "name",
        "Name for people; several keys may share one.",
    ),
    (
        "ConfigVersion",
        "version",
        "The configuration version that this isolate serves.",
    ),
    (
        "Ready",
        "config_version",
        "The configuration version in the database; null while it does not answer.",
    ),
    ("LogRow", "app", "The calling application."),
    (
        "LogRow",
        "status",
        "What the client was answered; 499 where it had left.",
    ),
    (
        "LogRow",
        "server_id",
        "The server that took it, or in whose queue it waited.",
    ),
    (
        "UsageRow",
        "app",
        "The calling application; null unless grouped by.",
    ),
    (
        "UsageRow",
        "server_id",
        "The server; null unless grouped by.",
    ),
    ("UsageRow", "model", "The model; null unless grouped by."),
    ("Model", "id", "What to send as `model`."),
];

/// Sentences for a field wherever it stands.
const OF_ANY: &[(&str, &str)] = &[
    (
        "journal_rows",
        "Log rows of this server that are not in the database yet.",
    ),
    (
        "journal_failures",
        "Attempts in a row to move them there that have failed; 0 as soon as one succeeds.",
    ),
    ("bucket", "Start of the hour or day."),
    (
        "server_name",
        "Name of the server; null unless grouped by, or where it was deleted.",
    ),
    ("requests", "Requests."),
    ("errors", "Requests with status 400 or above, without 499."),
    ("queue_timeouts", "Requests that waited in vain."),
    (
        "queue_evictions",
        "Requests that a newer one pushed out of the queue.",
    ),
    ("cancelled", "Requests whose client left."),
    (
        "prompt_tokens",
        "Tokens of the prompt, cached ones included.",
    ),
    (
        "completion_tokens",
        "Tokens of the answer, reasoning included.",
    ),
    (
        "cached_tokens",
        "Tokens of the prompt that the server had cached.",
    ),
    ("total_tokens", "Prompt and completion together."),
    ("queued_requests", "Requests that had to queue."),
    (
        "queue_wait_ms_sum",
        "Their waits together, in milliseconds.",
    ),
    ("queue_wait_ms_max", "The longest wait, in milliseconds."),
    (
        "latency_ms_sum",
        "Times from start to end together, in milliseconds.",
    ),
    ("latency_ms_max", "The longest of them, in milliseconds."),
    (
        "queue_wait_p50_ms",
        "Half of all requests waited no longer; estimated.",
    ),
    (
        "queue_wait_p95_ms",
        "95 % of all requests waited no longer; estimated.",
    ),
    (
        "queue_wait_p99_ms",
        "99 % of all requests waited no longer; estimated.",
    ),
    (
        "latency_p50_ms",
        "Half of all requests took no longer; estimated.",
    ),
    (
        "latency_p95_ms",
        "95 % of all requests took no longer; estimated.",
    ),
    (
        "latency_p99_ms",
        "99 % of all requests took no longer; estimated.",
    ),
    ("from", "Start of the range."),
    ("to", "End of the range, not included."),
    ("granularity", "The time that one row sums."),
    ("totals", "The figures of the whole range."),
    ("request_id", "Id of the request."),
    ("started_at", "When it arrived."),
    ("key_id", "The gateway key."),
    ("model", "The model asked for."),
    ("endpoint", "Path of the endpoint."),
    ("error_code", "The gateway's own error; else null."),
    ("stream", "Whether a stream was asked for."),
    ("usage_source", "How far the tokens can be trusted."),
    ("queue_wait_ms", "Wait in the queue, in milliseconds."),
    ("queue_position", "Place at entry; 0 = straight through."),
    (
        "ttft_ms",
        "Until the first byte of the answer; null if none came.",
    ),
    ("total_ms", "From start to end, in milliseconds."),
    ("overhead_ms", "What the gateway itself took of it."),
    ("attempts", "How often it was sent upstream."),
    (
        "colo",
        "Cloudflare's code of the location; empty elsewhere.",
    ),
    ("action", "What was done."),
    ("actor", "Who did it."),
    ("at", "When."),
    (
        "available",
        "`false`: each call of the database fails as if it did not answer.",
    ),
    ("detail", "The fields that were written, without secrets."),
    (
        "email",
        "The address that Cloudflare Access vouches for; null for other credentials.",
    ),
    (
        "grace_seconds",
        "How long the secret before goes on working; 0 = not at all.",
    ),
    (
        "latency_ms",
        "Time from the request to the end of the answer, in milliseconds.",
    ),
    (
        "missing_models",
        "Configured names that it does not list, without those that end in `*`.",
    ),
    (
        "ok",
        "The server was reached, took the key and listed its models.",
    ),
    (
        "previous_expires_at",
        "When the secret before the last rotation stops working; null if there is none.",
    ),
    ("role", "What you may do."),
    (
        "schema_version",
        "Version of the database's schema; null while it does not answer.",
    ),
    ("target_id", "Id of what was changed."),
    ("target_kind", "Kind of what was changed."),
    ("token", "The admin or the viewer token."),
    ("via", "How it was proved."),
    ("age_ms", "How long ago it was read, in milliseconds."),
    (
        "api_key",
        "The server's own API key; written, never shown. Absent in a change: stays as it is.",
    ),
    (
        "api_key_hint",
        "The last 4 characters of the key, and never more than half of it.",
    ),
    ("app", "The only app that may use the key; null = any."),
    (
        "base_url",
        "Where the server is: an absolute https URL, to which the path without `/v1` is appended. Hosts in \
        other scripts are accepted too; http only to this machine, or with ALLOW_HTTP_UPSTREAM.",
    ),
    (
        "config_version",
        "The newest configuration version that the limiter has seen.",
    ),
    ("created", "Always 0: the gateway does not know it."),
    ("created_at", "When it was created."),
    ("data", "The models."),
    ("database", "The database answers."),
    (
        "enabled",
        "`false`: takes no requests, and those that wait are refused.",
    ),
    ("error", "What went wrong."),
    (
        "expires_at",
        "From then on the key is refused; null = never. Must lie ahead when the key is created.",
    ),
    ("id", "Identifier."),
    (
        "ids",
        "The id of every server exactly once, first tried first.",
    ),
    ("in_flight", "Permits that are out."),
    ("items", "The items, in order."),
    ("key", "The secret: shown here and never again."),
    ("key_state", "Whether the stored API key can be used."),
    ("limiter", "The limiter objects answer."),
    (
        "max_concurrency",
        "Permits out at a time; null = unlimited, 0 = paused.",
    ),
    ("models", "Names of models; `*` only as the last character."),
    ("name", "Name for people; unique among servers."),
    (
        "next_cursor",
        "`cursor` of the next page; null on the last one.",
    ),
    (
        "next_grant_in_ms",
        "When the head of the queue fits, in milliseconds from now; null if nobody waits or it cannot be told.",
    ),
    ("object", "Kind of object, in OpenAI's vocabulary."),
    ("on_full", "Whom a full queue refuses."),
    (
        "overflow",
        "What a request does that would have to wait at this server.",
    ),
    ("owned_by", "Name of the server that would take it."),
    (
        "paused_until",
        "Until then nothing is granted, because the server asked for a pause; null = not paused.",
    ),
    ("position", "Place in the order, from 0."),
    (
        "prefix",
        "The first characters of the key, to recognise it by.",
    ),
    (
        "probing",
        "Grants are few until the server accepts again after a 429.",
    ),
    ("problems", "What has to be repaired, one sentence each."),
    ("queue_length", "Requests that wait."),
    ("queue_max", "Requests that may wait; 0 = nobody waits."),
    (
        "queue_oldest_wait_ms",
        "How long the oldest of them has waited, in milliseconds.",
    ),
    (
        "queue_timeout_ms",
        "Longest wait in the queue, in milliseconds.",
    ),
    (
        "rpm_limit",
        "Requests per 60 s; null = unlimited, 0 = paused, requests wait.",
    ),
    ("rpm_used", "Requests of the last 60 s."),
    ("server_id", "Id of the server."),
    ("status", "State in one word."),
    (
        "tpm_limit",
        "Tokens per 60 s; null = unlimited, 0 = paused, requests wait.",
    ),
    (
        "tpm_used",
        "Tokens of the last 60 s, reserved ones included.",
    ),
    ("updated_at", "When it was last changed."),
    (
        "upstream_timeout_ms",
        "Longest wait for the server's response headers, in milliseconds; also the silence after which a body is ended.",
    ),
    ("version", "Rises by one with each change."),
    ("wake_late_ms_max", "The latest of them, in milliseconds."),
    (
        "wake_late_ms_p99",
        "How much later than computed waiters were granted, in milliseconds: 99th percentile of the last 1,000.",
    ),
    (
        "warnings",
        "What works as configured but deserves attention.",
    ),
];

/// What the field means.
pub(super) fn of(schema: &str, field: &str) -> Option<&'static str> {
    let special = OF_SCHEMA
        .iter()
        .find(|(of, name, _)| (*of, *name) == (schema, field))
        .map(|(_, _, sentence)| *sentence);
    special.or_else(|| {
        OF_ANY
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, sentence)| *sentence)
    })
}
