//! 对账：日志、上游账本、客户端所见，三方逐一相比。
//!
//! Compares the three books of a run: the log, the provider's ledger, what the clients were told. Prints how many
//! requests ended in which way and every difference; fails on a difference and on an ending that did not occur.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gateway_tests::criteria::{self, ACCURATE_PERCENT_MIN, percent};
use gateway_tests::provider::Entry;
use serde_json::{Value, json};

use super::clients::{Saw, Told};
use super::kinds::{Kind, Tokens, number_of};

/// A request that ended this long before a kill may have been settled in vain.
const BEFORE_KILL: Duration = Duration::from_secs(1);

/// Differences that are printed one by one.
const PRINTED_MAX: usize = 40;

/// Endings that a run must have had.
const ENDINGS: [&str; 18] = [
    "plain, 200",
    "streamed, 200",
    "same id as another, renamed",
    "upstream answered 4xx",
    "upstream answered 5xx",
    "usage missing, plain",
    "usage missing, streamed",
    "stream truncated",
    "client left in mid-stream",
    "429 absorbed, then 200",
    "429 passed on",
    "connection lost, then 200",
    "upstream unreachable",
    "upstream timeout",
    "waited, then 200",
    "queue timeout",
    "evicted",
    "client left the queue",
];

/// The three books, and when the process was killed.
pub(super) struct Books {
    pub(super) told: Vec<Told>,
    pub(super) kills: Vec<Instant>,
    pub(super) seen: Vec<Entry>,
    pub(super) rows: Vec<Value>,
}

/// What the provider has of one request.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    times: u64,
    tokens: u64,
}

impl Books {
    /// Prints the comparison; panics on any difference.
    pub(super) fn judge(&self) {
        let mut seen: BTreeMap<usize, Seen> = BTreeMap::new();
        for entry in &self.seen {
            let body = entry.json();
            let number = body["user"].as_str().and_then(|user| user.parse().ok());
            let of = seen.entry(number.expect("a numbered request")).or_default();
            of.times += 1;
            of.tokens += entry.tokens;
        }
        let mut rows: BTreeMap<Option<usize>, Vec<&Value>> = BTreeMap::new();
        for row in &self.rows {
            rows.entry(number_of(row)).or_default().push(row);
        }
        let mut account = Account::default();
        for told in &self.told {
            let rows = rows.remove(&Some(told.number)).unwrap_or_default();
            let seen = seen.get(&told.number).copied().unwrap_or_default();
            let caught = self.is_caught(told);
            for fault in account.add(told, caught, seen, &rows) {
                account.differences.push(format!(
                    "{fault}: {told:?}, caught by a kill: {caught}, {seen:?}, rows {rows:#?}"
                ));
            }
        }
        for (number, rows) in rows {
            account
                .differences
                .push(format!("rows of nobody's request ({number:?}): {rows:#?}"));
        }
        let ids: BTreeSet<&str> = self
            .rows
            .iter()
            .filter_map(|row| row["request_id"].as_str())
            .collect();
        if ids.len() != self.rows.len() {
            account
                .differences
                .push(format!("{} ids of {} rows", ids.len(), self.rows.len()));
        }
        account.print(self);
        let missing: Vec<_> = ENDINGS
            .iter()
            .filter(|ending| !account.endings.contains_key(*ending))
            .collect();
        assert!(missing.is_empty(), "did not occur: {missing:?}");
        assert!(
            account.differences.is_empty(),
            "{} differences",
            account.differences.len()
        );
    }

    /// Whether a kill came while it was under way, or within a second of its end.
    fn is_caught(&self, told: &Told) -> bool {
        let kill = self.kills.get(told.life);
        kill.is_some_and(|kill| told.ended + BEFORE_KILL > *kill)
    }
}

/// What was counted.
#[derive(Default)]
struct Account {
    endings: BTreeMap<&'static str, usize>,
    sources: BTreeMap<String, usize>,
    exact_tokens: u64,
    caught: usize,
    caught_without_row: usize,
    reached: usize,
    differences: Vec<String>,
}

impl Account {
    /// Counts one request; what is wrong with it.
    fn add(&mut self, told: &Told, caught: bool, seen: Seen, rows: &[&Value]) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_owned());
            }
        };
        self.caught += usize::from(caught);
        self.reached += usize::from(seen.times > 0);
        check(rows.len() <= 1, "more than one row");
        let Some(row) = rows.first() else {
            // Each kind here leaves a row, unless the process died before it was let in or had waited.
            check(seen.times == 0, "at the provider, and no row");
            check(
                caught && matches!(told.saw, Saw::Break | Saw::OwnLeaving),
                "no row",
            );
            self.caught_without_row += usize::from(caught);
            return faults;
        };
        let source = row["usage_source"].as_str().unwrap_or_default();
        *self.sources.entry(source.to_owned()).or_default() += 1;
        match source {
            "exact" => {
                check(
                    row["total_tokens"] == seen.tokens,
                    "exact, and not what the ledger says",
                );
                self.exact_tokens += seen.tokens;
            }
            "reserved" => check(caught, "reserved, and no kill caught it"),
            _ => {}
        }
        let sum = |parts: [&str; 2]| {
            parts
                .iter()
                .filter_map(|part| row[part].as_u64())
                .sum::<u64>()
        };
        check(
            row["total_tokens"] == sum(["prompt_tokens", "completion_tokens"]),
            "the sum is wrong",
        );
        if caught {
            if let Saw::Answer { status, code } = &told.saw
                && (code == "queue_timeout" || code == "queue_evicted")
            {
                check(
                    (&row["status"], &row["error_code"]) == (&json!(status), &json!(code)),
                    "refused, and another row",
                );
            }
            return faults;
        }
        check(
            row["attempts"] == seen.times,
            "other attempts than the ledger has",
        );
        let expected = match &told.saw {
            Saw::Break => {
                check(false, "the connection broke");
                return faults;
            }
            Saw::OwnLeaving => (499, Value::Null),
            Saw::Answer { .. } if told.kind == Kind::Truncated => {
                (502, json!("upstream_stream_truncated"))
            }
            Saw::Answer { status, code } if code.is_empty() => (*status, Value::Null),
            Saw::Answer { status, code } => (*status, json!(code)),
        };
        check(
            (&row["status"], &row["error_code"]) == (&json!(expected.0), &expected.1),
            "not what its client saw",
        );
        check(
            source == expected_source(told, seen),
            "another usage source than expected",
        );
        let tokens = Tokens::of(told.number);
        if expected.0 == 200 && source == "exact" && seen.times == 1 {
            let parts = (
                &row["prompt_tokens"],
                &row["completion_tokens"],
                &row["cached_tokens"],
            );
            let told = (
                &json!(tokens.prompt),
                &json!(tokens.completion),
                &json!(tokens.cached),
            );
            check(parts == told, "not the parts that the provider reported");
        }
        match ending(told, row) {
            Some(ending) => *self.endings.entry(ending).or_default() += 1,
            None => check(false, "an ending that this kind does not have"),
        }
        faults
    }

    fn print(&self, books: &Books) {
        println!(
            "{} requests, {} of them at the provider ({} times); {} kills; {} rows: {:?}; tokens of exact rows: {}",
            books.told.len(),
            self.reached,
            books.seen.len(),
            books.kills.len(),
            books.rows.len(),
            self.sources,
            self.exact_tokens,
        );
        println!(
            "{} requests were caught by a kill; {} of them were not let in and have no row",
            self.caught, self.caught_without_row
        );
        for ending in ENDINGS {
            println!(
                "  {:>6} {ending}",
                self.endings.get(ending).copied().unwrap_or(0)
            );
        }
        println!("differences: {}", self.differences.len());
        let requests = books.told.len();
        let accurate = percent(requests.saturating_sub(self.differences.len()), requests);
        let figure = format!(
            "{accurate:.3} % of {requests} requests accounted for as the provider and the client saw them (at least {ACCURATE_PERCENT_MIN} %), {} kills",
            books.kills.len()
        );
        criteria::said(5, accurate >= ACCURATE_PERCENT_MIN, &figure);
        for difference in self.differences.iter().take(PRINTED_MAX) {
            println!("  {difference}");
        }
    }
}

/// How far the tokens of a request that no kill caught are known.
fn expected_source(told: &Told, seen: Seen) -> &'static str {
    let succeeded = matches!(told.saw, Saw::Answer { status: 200, .. });
    let is_known = match told.kind {
        Kind::NoUsage
        | Kind::NoUsageStreamed
        | Kind::Truncated
        | Kind::LeavesStream
        | Kind::Unreachable
        | Kind::Hangs => false,
        Kind::Reconnected => succeeded,
        _ => true,
    };
    // Who was not let in has used nothing, and that is known.
    if is_known || seen.times == 0 {
        "exact"
    } else {
        "estimated"
    }
}

/// The name of how a request ended; `None` if its kind does not end so.
fn ending(told: &Told, row: &Value) -> Option<&'static str> {
    let code = row["error_code"].as_str().unwrap_or_default();
    let status = row["status"].as_u64()?;
    let ending = match (told.kind, status, code) {
        (_, 503, "queue_evicted") => "evicted",
        (_, 504, "queue_timeout") => "queue timeout",
        (Kind::Streamed, 200, "") => "streamed, 200",
        (Kind::Twin, 200, "") if row["request_id"].as_str()?.contains('~') => {
            "same id as another, renamed"
        }
        (Kind::ClientError, 400..=499, "") => "upstream answered 4xx",
        (Kind::ServerError, 500..=599, "") => "upstream answered 5xx",
        (Kind::NoUsage, 200, "") => "usage missing, plain",
        (Kind::NoUsageStreamed, 200, "") => "usage missing, streamed",
        (Kind::Truncated, 502, "upstream_stream_truncated") => "stream truncated",
        (Kind::LeavesStream, 499, "") => "client left in mid-stream",
        (Kind::Absorbed, 200, "") => "429 absorbed, then 200",
        (Kind::Absorbed | Kind::Refused, 429, "") => "429 passed on",
        (Kind::Reconnected, 200, "") => "connection lost, then 200",
        (Kind::Unreachable, 502, "upstream_unreachable") => "upstream unreachable",
        (Kind::Hangs, 504, "upstream_timeout") => "upstream timeout",
        (Kind::Queued, 200, "") if row["queue_position"] != 0 => "waited, then 200",
        (Kind::Plain | Kind::Twin | Kind::Queued, 200, "") => "plain, 200",
        (Kind::LeavesQueue, 499, "") => "client left the queue",
        _ => return None,
    };
    Some(ending)
}
