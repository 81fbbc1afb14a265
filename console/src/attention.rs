//! 需要关注的事：从配置、实时状态与最近的错误里看出来。
//!
//! Owns what an administrator should look at, judged from the configuration, the live figures and the errors
//! of the last hours. Says what is the matter as data; the words are the page's. Knows no clock: now is an
//! argument.

use gateway::admin_api::{KeyState, LiveView, ServerView};

use crate::figures::ratio;
use crate::series::sort_by;

/// From this share of errors on a server is failing.
const FAILING_RATIO: f64 = 0.05;
/// Fewer requests say nothing about a share.
const FAILING_REQUESTS_MIN: u64 = 20;
/// So many attempts to move rows have failed in a row that somebody should look.
const JOURNAL_FAILURES_MIN: u64 = 3;

/// What is the matter with a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Matter {
    /// Its API key cannot be decrypted.
    KeyUnreadable,
    /// This share of its requests failed.
    Failing {
        /// 0 to 1
        ratio: f64,
    },
    /// Rows of its log cannot be moved to the database.
    JournalStuck {
        /// That wait.
        rows: u64,
    },
    /// A limit is 0: everything waits.
    Paused,
    /// The provider asked for a pause until then.
    BackingOff {
        /// Milliseconds since 1970.
        until_ms: u64,
    },
    /// Its oldest waiter has waited more than half of what it may.
    Slow {
        /// So far.
        waited_ms: u64,
        /// At most.
        timeout_ms: u64,
    },
}

impl Matter {
    /// Whether requests are lost by it, or only wait.
    #[must_use]
    pub const fn is_grave(self) -> bool {
        matches!(self, Self::KeyUnreadable | Self::Failing { .. })
    }
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Of the server.
    pub server_id: String,
    /// Of the server.
    pub server_name: String,
    /// What is the matter.
    pub matter: Matter,
}

/// Requests and errors of a server in the last hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Of the server.
    pub server_id: String,
    /// All.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
}

/// What to look at, gravest first, else in the order of the servers. Servers that are switched off are none.
#[must_use]
pub fn notices(
    servers: &[ServerView],
    live: &[LiveView],
    recent: &[Recent],
    now_ms: u64,
) -> Vec<Notice> {
    let mut notices: Vec<Notice> = Vec::new();
    for server in servers.iter().filter(|server| server.enabled) {
        let present = live.iter().find(|live| live.server_id == server.id);
        let recent = recent.iter().find(|recent| recent.server_id == server.id);
        let matters = [
            (server.key_state == KeyState::MustBeEnteredAgain).then_some(Matter::KeyUnreadable),
            recent.and_then(failing),
            present.and_then(journal_stuck),
            is_paused(server).then_some(Matter::Paused),
            present.and_then(|live| backing_off(live, now_ms)),
            present.and_then(|live| slow(server, live)),
        ];
        notices.extend(matters.into_iter().flatten().map(|matter| Notice {
            server_id: server.id.clone(),
            server_name: server.name.clone(),
            matter,
        }));
    }
    sort_by(&mut notices, &|a, b| {
        b.matter.is_grave().cmp(&a.matter.is_grave())
    });
    notices
}

/// Whether a limit of 0 keeps everything waiting.
#[must_use]
pub fn is_paused(server: &ServerView) -> bool {
    [server.rpm_limit, server.tpm_limit, server.max_concurrency].contains(&Some(0))
}

/// The end of a pause that the provider asked for, if it lies ahead.
#[must_use]
pub fn backing_off(live: &LiveView, now_ms: u64) -> Option<Matter> {
    let until_ms = crate::range::milliseconds(live.paused_until.as_deref()?)?;
    (until_ms > now_ms).then_some(Matter::BackingOff { until_ms })
}

/// One failure is nothing: the next attempt comes soon.
fn journal_stuck(live: &LiveView) -> Option<Matter> {
    let rows = live.journal_rows;
    (live.journal_failures >= JOURNAL_FAILURES_MIN && rows > 0)
        .then_some(Matter::JournalStuck { rows })
}

fn failing(recent: &Recent) -> Option<Matter> {
    let ratio = ratio(recent.errors, recent.requests);
    let is_failing = recent.requests >= FAILING_REQUESTS_MIN && ratio >= FAILING_RATIO;
    is_failing.then_some(Matter::Failing { ratio })
}

fn slow(server: &ServerView, live: &LiveView) -> Option<Matter> {
    let waited_ms = live.queue_oldest_wait_ms;
    let timeout_ms = server.queue_timeout_ms;
    // What a pause keeps waiting is told by the pause.
    let is_slow = live.queue_length > 0 && waited_ms > timeout_ms / 2 && !is_paused(server);
    is_slow.then_some(Matter::Slow {
        waited_ms,
        timeout_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_446_123_456;

    fn server(id: &str) -> ServerView {
        let json = serde_json::json!({
            "id": id, "name": id, "base_url": "https://a.example/v1", "models": ["m"], "enabled": true, "position": 1,
            "rpm_limit": 10, "tpm_limit": null, "max_concurrency": null, "queue_max": 100, "queue_timeout_ms": 60_000,
            "on_full": "evict_oldest", "overflow": "wait", "upstream_timeout_ms": 600_000, "api_key_hint": "…abcd",
            "key_state": "ok", "version": 1, "created_at": "2026-11-23T00:00:00Z", "updated_at": "2026-11-23T00:00:00Z",
        });
        serde_json::from_value(json).unwrap()
    }

    fn live(id: &str) -> LiveView {
        let json = serde_json::json!({
            "server_id": id, "name": id, "enabled": true, "queue_length": 0, "queue_oldest_wait_ms": 0, "in_flight": 0,
            "rpm_used": 0, "rpm_limit": 10, "tpm_used": 0, "tpm_limit": null, "max_concurrency": null,
            "next_grant_in_ms": null, "paused_until": null, "journal_rows": 0, "journal_failures": 0, "config_version": 1, "probing": false,
            "wake_late_ms_p99": 0, "wake_late_ms_max": 0,
        });
        serde_json::from_value(json).unwrap()
    }

    fn matters(server: &ServerView, live: &LiveView, recent: &[Recent]) -> Vec<Matter> {
        let notices = notices(
            std::slice::from_ref(server),
            std::slice::from_ref(live),
            recent,
            NOW,
        );
        notices.into_iter().map(|notice| notice.matter).collect()
    }

    #[test]
    fn a_server_that_works_is_no_matter_and_neither_is_one_that_is_switched_off() {
        let mut off = server("a");
        assert_eq!(matters(&off, &live("a"), &[]), []);
        (off.enabled, off.rpm_limit, off.key_state) =
            (false, Some(0), KeyState::MustBeEnteredAgain);
        assert_eq!(matters(&off, &live("a"), &[]), []);
    }

    #[test]
    fn what_loses_requests_comes_before_what_lets_them_wait() {
        let (mut paused, mut unreadable) = (server("a"), server("b"));
        paused.tpm_limit = Some(0);
        unreadable.key_state = KeyState::MustBeEnteredAgain;
        let found = notices(&[paused, unreadable], &[], &[], NOW);
        let told: Vec<_> = found
            .iter()
            .map(|notice| (notice.server_id.as_str(), notice.matter))
            .collect();
        assert_eq!(told, [("b", Matter::KeyUnreadable), ("a", Matter::Paused)]);
    }

    #[test]
    fn a_share_of_errors_counts_only_with_enough_requests() {
        let recent = |requests, errors| {
            [Recent {
                server_id: "a".to_owned(),
                requests,
                errors,
            }]
        };
        let of = |recent: &[Recent]| matters(&server("a"), &live("a"), recent);
        assert_eq!(of(&recent(100, 5)), [Matter::Failing { ratio: 0.05 }]);
        assert_eq!(of(&recent(100, 4)), []);
        assert_eq!(of(&recent(19, 19)), []);
    }

    #[test]
    fn a_journal_that_cannot_be_moved_counts_from_the_third_attempt_on() {
        let mut present = live("a");
        (present.journal_rows, present.journal_failures) = (7, 2);
        assert_eq!(matters(&server("a"), &present, &[]), []);
        present.journal_failures = 3;
        assert_eq!(
            matters(&server("a"), &present, &[]),
            [Matter::JournalStuck { rows: 7 }]
        );
    }

    #[test]
    fn a_pause_of_the_provider_counts_until_it_ends_and_a_wait_from_half_of_its_bound() {
        let mut present = live("a");
        present.paused_until = Some(crate::range::time(NOW + 5_000));
        assert_eq!(
            matters(&server("a"), &present, &[]),
            [Matter::BackingOff {
                until_ms: NOW + 5_000
            }]
        );
        present.paused_until = Some(crate::range::time(NOW - 1));
        (present.queue_length, present.queue_oldest_wait_ms) = (1, 30_001);
        let slow = Matter::Slow {
            waited_ms: 30_001,
            timeout_ms: 60_000,
        };
        assert_eq!(matters(&server("a"), &present, &[]), [slow]);
        present.queue_oldest_wait_ms = 30_000;
        assert_eq!(matters(&server("a"), &present, &[]), []);
    }
}
