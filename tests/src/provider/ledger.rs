//! 账本：每个到达的请求，何时来，何时、怎样结束。
//!
//! Owns the record of what reached the provider, which is where limits are
//! judged: the gateway's own counters prove nothing. Entries are kept in order of
//! arrival; waiting for a state of the ledger wakes on its changes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::shape::Endpoint;

/// How a request ended, seen from the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not ended yet.
    Open,
    /// The whole answer was handed to the connection.
    Completed,
    /// The client closed the connection first.
    Aborted,
    /// The provider closed the connection in the middle, as it was asked to.
    Cut,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Completed => "completed",
            Self::Aborted => "aborted",
            Self::Cut => "cut",
        }
    }
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Entry {
    number: u64,
    /// When its headers were complete.
    pub arrived: Instant,
    /// Method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Headers in their order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The exact body (at most 32 MiB; a longer one is refused).
    pub body: Bytes,
    /// Status that it was answered with, 0 before that.
    pub status: u16,
    /// Prompt and completion tokens of the answer as the provider counts them.
    pub tokens: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// When it ended.
    pub ended: Option<Instant>,
}

impl Entry {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON, null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Whether it asked a model (and so counts against limits), as a chat or another way.
    pub fn is_chat(&self) -> bool {
        Endpoint::at(&self.path).is_some()
    }
}

#[derive(Debug)]
struct Shared {
    entries: Mutex<Vec<Entry>>,
    numbers: AtomicU64,
    started: Instant,
    changes: watch::Sender<u64>,
}

/// Record of everything that reached a provider.
#[derive(Clone, Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let (changes, _) = watch::channel(0);
        Self {
            shared: Arc::new(Shared {
                entries: Mutex::default(),
                numbers: AtomicU64::new(0),
                started: Instant::now(),
                changes,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.shared
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.shared
            .changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// All entries in order of arrival.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// The chat requests in order of arrival.
    pub fn chats(&self) -> Vec<Entry> {
        self.lock()
            .iter()
            .filter(|entry| entry.is_chat())
            .cloned()
            .collect()
    }

    /// Forgets everything that has ended; what is still open stays.
    pub fn reset(&self) {
        self.lock().retain(|entry| entry.outcome == Outcome::Open);
        self.changed();
    }

    /// Waits until `is_so` of the chat entries; fails after `bound`.
    pub async fn wait_until(
        &self,
        what: &str,
        bound: Duration,
        is_so: impl Fn(&[Entry]) -> bool,
    ) -> Vec<Entry> {
        let look = || Some(self.chats()).filter(|chats| is_so(chats));
        self.wait(what, bound, look).await
    }

    /// Looks again at every change. A busy ledger changes often, so `look` must not cost much.
    async fn wait<T>(&self, what: &str, bound: Duration, look: impl Fn() -> Option<T>) -> T {
        let mut changes = self.shared.changes.subscribe();
        let waited = tokio::time::timeout(bound, async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        });
        match waited.await.ok() {
            Some(found) => found,
            None => panic!(
                "not within {bound:?} at the provider: {what}; chats: {:#?}",
                self.brief()
            ),
        }
    }

    /// Waits until `count` chats have arrived in total.
    pub async fn wait_for_chats(&self, count: usize, bound: Duration) -> Vec<Entry> {
        let are_there = || {
            let chats = self.lock().iter().filter(|entry| entry.is_chat()).count();
            (chats >= count).then_some(())
        };
        let what = format!("{count} chat requests");
        self.wait(&what, bound, are_there).await;
        self.chats()
    }

    /// Most chat requests in any window of this length.
    pub fn most_requests_in(&self, window: Duration) -> u64 {
        largest_window(self.arrivals(), window)
    }

    /// Most chat requests in any window of this length whose last one arrived at or after `since`.
    pub fn most_requests_up_to(&self, since: Instant, window: Duration) -> u64 {
        let since = windows(self.arrivals(), window).filter(|(last, _)| *last >= since);
        since.map(|(_, sum)| sum).max().unwrap_or(0)
    }

    fn arrivals(&self) -> Vec<(Instant, u64)> {
        let entries = self.lock();
        let chats = entries.iter().filter(|entry| entry.is_chat());
        chats.map(|entry| (entry.arrived, 1)).collect()
    }

    /// Most tokens in any window of this length, each request's at its arrival.
    pub fn most_tokens_in(&self, window: Duration) -> u64 {
        largest_window(
            self.chats()
                .iter()
                .map(|entry| (entry.arrived, entry.tokens)),
            window,
        )
    }

    /// The ledger as JSON for `GET /__demo/ledger`; instants in ms since the start.
    pub fn to_json(&self, window: Duration) -> Value {
        let since_start = |at: Instant| {
            at.saturating_duration_since(self.shared.started)
                .as_millis() as u64
        };
        let entries: Vec<Value> = self
            .lock()
            .iter()
            .map(|entry| {
                json!({
                    "arrived_ms": since_start(entry.arrived),
                    "method": entry.method,
                    "path": entry.path,
                    "headers": entry.headers,
                    "body": String::from_utf8_lossy(&entry.body),
                    "status": entry.status,
                    "tokens": entry.tokens,
                    "outcome": entry.outcome.as_str(),
                    "ended_ms": entry.ended.map(since_start),
                })
            })
            .collect();
        json!({
            "entries": entries,
            "most_requests_in_window": self.most_requests_in(window),
            "most_tokens_in_window": self.most_tokens_in(window),
        })
    }

    fn brief(&self) -> Vec<String> {
        let at = |instant: Instant| instant.saturating_duration_since(self.shared.started);
        self.lock()
            .iter()
            .map(|entry| {
                let ended = entry.ended.map(at);
                format!(
                    "{} at {:?}: {} {:?} {ended:?}",
                    entry.path,
                    at(entry.arrived),
                    entry.status,
                    entry.outcome
                )
            })
            .collect()
    }

    pub(super) fn record(
        &self,
        method: String,
        path: String,
        headers: Vec<(String, String)>,
    ) -> Recording {
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed);
        let mut entries = self.lock();
        entries.push(Entry {
            number,
            arrived: Instant::now(),
            method,
            path,
            headers,
            body: Bytes::new(),
            status: 0,
            tokens: 0,
            outcome: Outcome::Open,
            ended: None,
        });
        drop(entries);
        self.changed();
        Recording {
            ledger: self.clone(),
            number,
            ended: false,
        }
    }

    fn update(&self, number: u64, change: impl FnOnce(&mut Entry)) {
        // The newest are the ones that change.
        if let Some(entry) = self.lock().iter_mut().rfind(|entry| entry.number == number) {
            change(entry);
        }
        self.changed();
    }
}

/// The open entry of one request; dropped before its end means the client left.
#[derive(Debug)]
pub(super) struct Recording {
    ledger: Ledger,
    number: u64,
    ended: bool,
}

impl Recording {
    pub(super) fn body(&self, body: Bytes) {
        self.ledger.update(self.number, |entry| entry.body = body);
    }

    pub(super) fn answered(&self, status: u16, tokens: u64) {
        self.ledger.update(self.number, |entry| {
            entry.status = status;
            entry.tokens = tokens;
        });
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.ledger.update(self.number, |entry| {
            entry.outcome = outcome;
            entry.ended = Some(Instant::now());
        });
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end(Outcome::Aborted);
    }
}

/// Largest sum of weights in any half-open window `[t, t + window)`.
///
/// The arrivals need not be in order.
pub fn largest_window(arrivals: impl IntoIterator<Item = (Instant, u64)>, window: Duration) -> u64 {
    windows(arrivals, window)
        .map(|(_, sum)| sum)
        .max()
        .unwrap_or(0)
}

/// For every arrival in order: the sum of weights in the half-open window that ends with it.
///
/// Among these windows is the fullest one that contains it as its last.
pub fn windows(
    arrivals: impl IntoIterator<Item = (Instant, u64)>,
    window: Duration,
) -> impl Iterator<Item = (Instant, u64)> {
    let mut arrivals: Vec<(Instant, u64)> = arrivals.into_iter().collect();
    arrivals.sort_by_key(|(at, _)| *at);
    let (mut sum, mut first) = (0, 0);
    (0..arrivals.len()).map(move |last| {
        let (at, weight) = arrivals[last];
        sum += weight;
        while arrivals[first].0 + window <= at {
            sum -= arrivals[first].1;
            first += 1;
        }
        (at, sum)
    })
}
