//! 用量的数列与分组：图里的线、表里的行。
//!
//! Owns the way from rows of statistics to the series of the chart and the groups of the table. Counts are added;
//! percentiles cannot be, so a group has none until the API was asked for its own. Colours are named here so that
//! a group has the same in the chart, in the legend and in the table.
//!
//! Invariant: the series of a count add up to its total, whatever was put together as "others".

use std::collections::BTreeMap;

use gateway::admin_api::{UsageFigures, UsageView};

use crate::figures::lossy;
use crate::i18n::usage as words;
use crate::range::milliseconds;
use crate::series::filled;
use crate::series::sort_by;
use crate::usage_view::{By, Kind, Shown, Subject};

/// So many groups have a colour of their own.
pub const GROUPS_MAX: usize = 7;
/// The name of what is put together; no name of a group is written so in the query.
pub const OTHERS: &str = "*";
const TONES: [&str; GROUPS_MAX] = ["1", "2", "3", "4", "5", "6", "7"];

/// What the rows of one server, app or model add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Server id, app or model.
    pub id: String,
    /// What it is called.
    pub label: String,
    /// The sums. Percentiles are none.
    pub figures: UsageFigures,
}

/// One series of the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its name in the query.
    pub name: String,
    /// Its name in the legend.
    pub label: String,
    /// The name of its colour.
    pub tone: &'static str,
    /// One value per bucket.
    pub values: Vec<Option<f64>>,
    /// The sum of a count; none of a percentile.
    pub sum: Option<f64>,
}

/// Nothing.
#[must_use]
pub const fn zero() -> UsageFigures {
    UsageFigures {
        requests: 0,
        errors: 0,
        queue_timeouts: 0,
        queue_evictions: 0,
        cancelled: 0,
        prompt_tokens: 0,
        completion_tokens: 0,
        cached_tokens: 0,
        total_tokens: 0,
        queued_requests: 0,
        queue_wait_ms_sum: 0,
        queue_wait_ms_max: 0,
        latency_ms_sum: 0,
        latency_ms_max: 0,
        queue_wait_p50_ms: None,
        queue_wait_p95_ms: None,
        queue_wait_p99_ms: None,
        latency_p50_ms: None,
        latency_p95_ms: None,
        latency_p99_ms: None,
    }
}

fn add(sum: &mut UsageFigures, row: &UsageFigures) {
    let pairs = [
        (&mut sum.requests, row.requests),
        (&mut sum.errors, row.errors),
        (&mut sum.queue_timeouts, row.queue_timeouts),
        (&mut sum.queue_evictions, row.queue_evictions),
        (&mut sum.cancelled, row.cancelled),
        (&mut sum.prompt_tokens, row.prompt_tokens),
        (&mut sum.completion_tokens, row.completion_tokens),
        (&mut sum.cached_tokens, row.cached_tokens),
        (&mut sum.total_tokens, row.total_tokens),
        (&mut sum.queued_requests, row.queued_requests),
        (&mut sum.queue_wait_ms_sum, row.queue_wait_ms_sum),
        (&mut sum.latency_ms_sum, row.latency_ms_sum),
    ];
    for (sum, more) in pairs {
        *sum = sum.saturating_add(more);
    }
    sum.queue_wait_ms_max = sum.queue_wait_ms_max.max(row.queue_wait_ms_max);
    sum.latency_ms_max = sum.latency_ms_max.max(row.latency_ms_max);
}

fn group_of(row: &UsageView, by: By) -> &str {
    let id = match by {
        By::Nothing => None,
        By::Server => row.server_id.as_deref(),
        By::App => row.app.as_deref(),
        By::Model => row.model.as_deref(),
    };
    id.unwrap_or_default()
}

/// The groups of the rows, the largest by requests first.
#[must_use]
pub fn groups(rows: &[UsageView], by: By) -> Vec<Group> {
    let mut found: BTreeMap<&str, Group> = BTreeMap::new();
    for row in rows {
        let id = group_of(row, by);
        let group = found.entry(id).or_insert_with(|| Group {
            id: id.to_owned(),
            label: match (by, &row.server_name) {
                (By::Server, Some(name)) => name.clone(),
                (By::Server, None) => words::deleted_server(id),
                _ => id.to_owned(),
            },
            figures: zero(),
        });
        add(&mut group.figures, &row.figures);
    }
    let mut groups: Vec<Group> = found.into_values().collect();
    sort_by(&mut groups, &|a, b| {
        let requests = b.figures.requests.cmp(&a.figures.requests);
        requests.then_with(|| a.label.cmp(&b.label))
    });
    groups
}

/// The colour of a group, by its place among [`groups`].
#[must_use]
pub fn tone(place: usize) -> &'static str {
    TONES.get(place).copied().unwrap_or("neutral")
}

/// The colours of the series that the chart shows, in their order.
#[must_use]
pub const fn tones(shown: Shown) -> &'static [&'static str] {
    match (shown.by, shown.subject) {
        (By::Nothing, Subject::Requests) => &["accent", "neutral", "bad"],
        (By::Nothing, Subject::Tokens) => &["1", "8", "2"],
        (By::Nothing, Subject::Errors) => &["bad", "warning", "6"],
        (By::Nothing, Subject::Wait | Subject::Latency) => &["1", "2", "neutral"],
        _ => &["1", "2", "3", "4", "5", "6", "7", "neutral"],
    }
}

/// The series that the chart shows of the rows.
#[must_use]
pub fn lines(rows: &[UsageView], groups: &[Group], buckets: &[u64], shown: Shown) -> Vec<Line> {
    if shown.by == By::Nothing {
        return parts(shown.subject)
            .iter()
            .map(|part| part.line(rows, buckets, shown.subject))
            .collect();
    }
    let mut lines: Vec<Line> = groups
        .iter()
        .take(GROUPS_MAX)
        .enumerate()
        .map(|(place, group)| {
            let mine = |row: &&UsageView| group_of(row, shown.by) == group.id;
            Line {
                name: written(&group.id),
                label: group.label.clone(),
                tone: tone(place),
                values: values(rows.iter().filter(mine), buckets, shown),
                sum: sum(&group.figures, shown),
            }
        })
        .collect();
    let rest = groups.get(GROUPS_MAX..).unwrap_or_default();
    // Percentiles of several groups together are known to nobody here.
    if !rest.is_empty() && !shown.subject.is_span() {
        let theirs = |row: &&UsageView| {
            let id = group_of(row, shown.by);
            rest.iter().any(|group| group.id == id)
        };
        let mut figures = zero();
        for group in rest {
            add(&mut figures, &group.figures);
        }
        lines.push(Line {
            name: OTHERS.to_owned(),
            label: words::others(&rest.len().to_string()),
            tone: "neutral",
            values: values(rows.iter().filter(theirs), buckets, shown),
            sum: sum(&figures, shown),
        });
    }
    lines
}

fn sum(figures: &UsageFigures, shown: Shown) -> Option<f64> {
    (!shown.subject.is_span())
        .then(|| shown.kind.value(figures))
        .flatten()
}

fn values<'r>(
    rows: impl Iterator<Item = &'r UsageView>,
    buckets: &[u64],
    shown: Shown,
) -> Vec<Option<f64>> {
    let rows =
        rows.filter_map(|row| Some((milliseconds(&row.bucket)?, shown.kind.value(&row.figures)?)));
    if shown.subject.is_span() {
        with_gaps(buckets, rows)
    } else {
        filled(buckets, rows).into_iter().map(Some).collect()
    }
}

/// Where nothing was asked, nothing took any time.
fn with_gaps(buckets: &[u64], rows: impl Iterator<Item = (u64, f64)>) -> Vec<Option<f64>> {
    let mut known: BTreeMap<u64, f64> = BTreeMap::new();
    known.extend(rows);
    buckets
        .iter()
        .map(|bucket| known.get(bucket).copied())
        .collect()
}

/// A part of a subject that is not split by anything else.
struct Part {
    name: &'static str,
    label: fn() -> &'static str,
    tone: &'static str,
    value: fn(&UsageFigures) -> Option<f64>,
}

impl Part {
    fn line(&self, rows: &[UsageView], buckets: &[u64], subject: Subject) -> Line {
        let rows = rows
            .iter()
            .filter_map(|row| Some((milliseconds(&row.bucket)?, (self.value)(&row.figures)?)));
        let values = if subject.is_span() {
            with_gaps(buckets, rows)
        } else {
            filled(buckets, rows).into_iter().map(Some).collect()
        };
        let sum = values.iter().flatten().sum();
        Line {
            name: self.name.to_owned(),
            label: (self.label)().to_owned(),
            tone: self.tone,
            sum: (!subject.is_span()).then_some(sum),
            values,
        }
    }
}

fn rest(whole: u64, parts: &[u64]) -> f64 {
    let rest = parts
        .iter()
        .fold(whole, |rest, part| rest.saturating_sub(*part));
    lossy(rest)
}

const fn part(
    name: &'static str,
    label: fn() -> &'static str,
    tone: &'static str,
    value: fn(&UsageFigures) -> Option<f64>,
) -> Part {
    Part {
        name,
        label,
        tone,
        value,
    }
}

/// What a subject consists of; the parts of a count add up to it.
const fn parts(subject: Subject) -> [Part; 3] {
    match subject {
        Subject::Requests => [
            part("served", words::served, "accent", |of| {
                Some(rest(of.requests, &[of.errors, of.cancelled]))
            }),
            part("cancelled", words::cancelled, "neutral", |of| {
                Kind::Cancelled.value(of)
            }),
            part("errors", words::errors, "bad", |of| Kind::Errors.value(of)),
        ],
        Subject::Tokens => [
            part("prompt", words::prompt_new, "1", |of| {
                Some(rest(of.prompt_tokens, &[of.cached_tokens]))
            }),
            part("cached", words::cached, "8", |of| {
                Kind::CachedTokens.value(of)
            }),
            part("completion", words::completion, "2", |of| {
                Kind::CompletionTokens.value(of)
            }),
        ],
        Subject::Errors => [
            part("errors", words::other_errors, "bad", |of| {
                Some(rest(of.errors, &[of.queue_timeouts, of.queue_evictions]))
            }),
            part("timeouts", words::timeouts, "warning", |of| {
                Kind::Timeouts.value(of)
            }),
            part("evictions", words::evictions, "6", |of| {
                Kind::Evictions.value(of)
            }),
        ],
        Subject::Wait => [
            part("p50", words::p50, "1", |of| Kind::WaitP50.value(of)),
            part("p95", words::p95, "2", |of| Kind::WaitP95.value(of)),
            part("p99", words::p99, "neutral", |of| Kind::WaitP99.value(of)),
        ],
        Subject::Latency => [
            part("p50", words::p50, "1", |of| Kind::LatencyP50.value(of)),
            part("p95", words::p95, "2", |of| Kind::LatencyP95.value(of)),
            part("p99", words::p99, "neutral", |of| {
                Kind::LatencyP99.value(of)
            }),
        ],
    }
}

/// A name as it stands in a list of the query: without commas, and never the name of the others.
#[must_use]
pub fn written(name: &str) -> String {
    name.replace('%', "%25")
        .replace(',', "%2C")
        .replace('*', "%2A")
}

/// How much more than before, 0.5 is half as much again; none where there was nothing.
#[must_use]
pub fn change(now: f64, before: f64) -> Option<f64> {
    (before > 0.0).then(|| (now - before) / before)
}

#[cfg(test)]
mod tests;
