//! 指标：Prometheus 文本，每台服务器的计数与现状。
//!
//! Owns the names, the meaning and the text of what `GET /metrics` answers, in the text exposition format
//! 0.0.4 of Prometheus. Cardinality is bounded by design: every series is of one server or of this location,
//! and no label comes from a request (no model, application, key or status that a caller may choose).
//! Measures nothing: counts come from the limiter objects ([`Counters`]), gauges from the same objects.
//!
//! Invariant: a counter never decreases while its object has its database, and a server whose object does not
//! answer shows `sluice_limiter_up 0` and no stale figure.

mod counters;
mod text;

pub use counters::{Counters, Outcome};
pub use text::CONTENT_TYPE;

use std::time::Duration;

use admission::protocol::Live;
use admission::time::Instant;

use crate::config::Server;
use counters::{Histogram, OVERHEAD_BOUNDS_MS};
use text::{Seconds, Text};

use crate::histogram::BOUNDS_MS;
use crate::log_row::UsageSource;

/// What this location knows of itself.
#[derive(Clone, Copy, Debug)]
pub struct Location {
    /// The configuration that it serves.
    pub config_version: u64,
    /// How long ago that was known to be the newest, in milliseconds.
    pub config_age_ms: u64,
    /// The present time.
    pub now: Instant,
}

/// One server; `said` is what its object answered, if it did.
#[derive(Debug)]
pub struct Scraped<'a> {
    /// As configured.
    pub server: &'a Server,
    /// Its gauges and its counts.
    pub said: Option<(Live, Counters)>,
}

type LimitOf = fn(&Server) -> Option<u64>;
type CountOf = fn(&Live) -> u64;
type SpanOf<'a> = &'a dyn Fn(&Live) -> Option<Duration>;
type HistogramOf = fn(&Counters) -> &Histogram;

/// The answer of `GET /metrics`.
#[must_use]
pub fn render(location: Location, servers: &[Scraped<'_>]) -> String {
    let mut text = Text::default();
    text.gauge("sluice_build_info", "The version that answers; always 1.")
        .value(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.gauge(
        "sluice_config_version",
        "Version of the configuration that this location serves.",
    )
    .value(&[], location.config_version);
    text.gauge(
        "sluice_config_age_seconds",
        "How long ago that configuration was known to be the newest.",
    )
    .value(&[], Seconds(Duration::from_millis(location.config_age_ms)));
    of_configuration(&mut text, servers);
    let said: Vec<(&str, &Live, &Counters)> = servers
        .iter()
        .filter_map(|scraped| {
            let (live, counters) = scraped.said.as_ref()?;
            Some((scraped.server.id.as_str(), live, counters))
        })
        .collect();
    of_now(&mut text, &said, location.now);
    of_requests(&mut text, &said);
    text.finish()
}

fn of_configuration(text: &mut Text, servers: &[Scraped<'_>]) {
    let mut info = text.gauge(
        "sluice_server_info",
        "Name of each server; always 1. Join on `server`.",
    );
    for Scraped { server, .. } in servers {
        info.value(&[("server", &server.id), ("name", &server.name)], 1);
    }
    let mut enabled = text.gauge("sluice_server_enabled", "1 if the server takes requests.");
    for Scraped { server, .. } in servers {
        enabled.value(&[("server", &server.id)], u64::from(server.enabled));
    }
    let mut up = text.gauge(
        "sluice_limiter_up",
        "1 if the server's limiter object answered this scrape.",
    );
    for Scraped { server, said } in servers {
        up.value(&[("server", &server.id)], u64::from(said.is_some()));
    }
    let limits: [(&str, &str, LimitOf); 3] = [
        (
            "sluice_limit_requests_per_minute",
            "Configured RPM limit; absent where unlimited.",
            |server| server.rpm_limit,
        ),
        (
            "sluice_limit_tokens_per_minute",
            "Configured TPM limit; absent where unlimited.",
            |server| server.tpm_limit,
        ),
        (
            "sluice_limit_concurrency",
            "Configured limit of requests in flight; absent where unlimited.",
            |server| server.max_concurrency,
        ),
    ];
    for (name, help, limit) in limits {
        let mut gauge = text.gauge(name, help);
        for Scraped { server, .. } in servers {
            if let Some(limit) = limit(server) {
                gauge.value(&[("server", &server.id)], limit);
            }
        }
    }
}

fn of_now(text: &mut Text, said: &[(&str, &Live, &Counters)], now: Instant) {
    let counts: [(&str, &str, CountOf); 7] = [
        ("sluice_queue_length", "Requests that wait.", |live| {
            live.queue_length
        }),
        (
            "sluice_requests_in_flight",
            "Permits that are granted and not settled.",
            |live| live.in_flight,
        ),
        (
            "sluice_window_requests",
            "Requests that count in the sliding window of 60 s.",
            |live| live.rpm_used,
        ),
        (
            "sluice_window_tokens",
            "Tokens that count in the sliding window of 60 s; above the limit while there is debt.",
            |live| live.tpm_used,
        ),
        (
            "sluice_journal_rows",
            "Log rows that are not in the database yet.",
            |live| live.journal_rows,
        ),
        (
            "sluice_journal_failures",
            "Attempts in a row to move them there that have failed.",
            |live| live.journal_failures,
        ),
        (
            "sluice_probing",
            "1 while grants are few after a refusal by the upstream.",
            |live| u64::from(live.probing),
        ),
    ];
    for (name, help, count) in counts {
        let mut gauge = text.gauge(name, help);
        for (server, live, _) in said {
            gauge.value(&[("server", server)], count(live));
        }
    }
    let spans: [(&str, &str, SpanOf<'_>); 5] = [
        (
            "sluice_queue_oldest_wait_seconds",
            "How long the oldest waiting request has waited; 0 when nobody waits.",
            &|live| Some(live.queue_oldest_wait),
        ),
        (
            "sluice_next_grant_seconds",
            "When the first waiting request will fit; absent when nobody waits or only the end of another request can tell.",
            &|live| live.next_grant_in,
        ),
        (
            "sluice_paused_seconds",
            "How much longer the server is paused after a refusal by the upstream.",
            &|live| {
                Some(
                    live.paused_until
                        .map_or(Duration::ZERO, |until| until.saturating_since(now)),
                )
            },
        ),
        (
            "sluice_grant_lateness_p99_seconds",
            "How much later than computed waiting requests were granted: 99th percentile of the last 1,000.",
            &|live| Some(Duration::from_millis(live.wake_late_ms_p99)),
        ),
        (
            "sluice_grant_lateness_max_seconds",
            "The greatest of them.",
            &|live| Some(Duration::from_millis(live.wake_late_ms_max)),
        ),
    ];
    for (name, help, span) in spans {
        let mut gauge = text.gauge(name, help);
        for (server, live, _) in said {
            if let Some(span) = span(live) {
                gauge.value(&[("server", server)], Seconds(span));
            }
        }
    }
}

fn of_requests(text: &mut Text, said: &[(&str, &Live, &Counters)]) {
    let mut requests = text.counter(
        "sluice_requests_total",
        "Requests that are over, by how they ended: one for each row of the log.",
    );
    for (server, _, counters) in said {
        for outcome in Outcome::ALL {
            requests.value(
                &[("server", server), ("outcome", outcome.as_str())],
                counters.requests(outcome),
            );
        }
    }
    let mut sources = text.counter(
        "sluice_usage_rows_total",
        "Rows of the log, by how far their tokens can be trusted.",
    );
    for (server, _, counters) in said {
        for source in UsageSource::ALL {
            sources.value(
                &[("server", server), ("source", source.as_str())],
                counters.rows(source),
            );
        }
    }
    let mut tokens = text.counter(
        "sluice_tokens_total",
        "Tokens used. Cached ones are part of the prompt's.",
    );
    for (server, _, counters) in said {
        for (kind, count) in counters.tokens() {
            tokens.value(&[("server", server), ("kind", kind)], count);
        }
    }
    let mut attempts = text.counter(
        "sluice_upstream_attempts_total",
        "How often requests were sent to the upstream.",
    );
    for (server, _, counters) in said {
        attempts.value(&[("server", server)], counters.attempts());
    }
    let histograms: [(&str, &str, &[u64], HistogramOf); 4] = [
        (
            "sluice_queue_wait_seconds",
            "Wait in the queue.",
            &BOUNDS_MS,
            Counters::queue_wait,
        ),
        (
            "sluice_time_to_first_token_seconds",
            "From the arrival to the first byte of the answer, where one came.",
            &BOUNDS_MS,
            Counters::time_to_first_token,
        ),
        (
            "sluice_request_duration_seconds",
            "From the arrival to the end.",
            &BOUNDS_MS,
            Counters::duration,
        ),
        (
            "sluice_overhead_seconds",
            "Of it, what the gateway itself took: neither the queue nor the upstream.",
            &OVERHEAD_BOUNDS_MS,
            Counters::overhead,
        ),
    ];
    for (name, help, bounds, histogram) in histograms {
        let mut family = text.histogram(name, help);
        for (server, _, counters) in said {
            let histogram = histogram(counters);
            family.distribution(
                &[("server", server)],
                bounds,
                histogram.counts(),
                histogram.sum_ms(),
            );
        }
    }
}

#[cfg(test)]
mod tests;
