//! 用量页展示什么：指标、分组、筛选，全在地址里。
//!
//! Owns what the page of statistics shows, as it is written in the query of the URL, and what has to be asked
//! of the API for it. Which stretch of time that is, is `usage_window`'s business.
//!
//! Invariant: a query that names nothing known shows the default, never a failure.

use gateway::admin_api::UsageFigures;

use crate::figures::lossy;
use crate::query::Query;
use crate::range::{Step, time};
use crate::usage_window::Window;

/// The names of the filters, as the API has them.
pub const FILTERS: [&str; 3] = ["server_id", "app", "model"];

/// What the figures are split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Not at all.
    Nothing,
    /// Server.
    Server,
    /// Calling application.
    App,
    /// Model.
    Model,
}

impl By {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::Server, Self::App, Self::Model, Self::Nothing];

    /// Its name in the query; of a group, the API's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Server => "server_id",
            Self::App => "app",
            Self::Model => "model",
        }
    }
}

/// What the chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// How many.
    Requests,
    /// What they used.
    Tokens,
    /// What went wrong.
    Errors,
    /// How long they queued.
    Wait,
    /// How long they took.
    Latency,
}

impl Subject {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 5] = [
        Self::Requests,
        Self::Tokens,
        Self::Errors,
        Self::Wait,
        Self::Latency,
    ];

    /// Its name in the query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Errors => "errors",
            Self::Wait => "wait",
            Self::Latency => "latency",
        }
    }

    /// What there is to choose of it, the usual one first.
    #[must_use]
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Requests => &[Kind::Requests, Kind::Queued],
            Self::Tokens => &[
                Kind::TotalTokens,
                Kind::PromptTokens,
                Kind::CompletionTokens,
                Kind::CachedTokens,
            ],
            Self::Errors => &[
                Kind::Errors,
                Kind::Timeouts,
                Kind::Evictions,
                Kind::Cancelled,
            ],
            Self::Wait => &[Kind::WaitP95, Kind::WaitP50, Kind::WaitP99],
            Self::Latency => &[Kind::LatencyP95, Kind::LatencyP50, Kind::LatencyP99],
        }
    }

    /// Whether it is a span of time, whose percentiles cannot be added.
    #[must_use]
    pub const fn is_span(self) -> bool {
        matches!(self, Self::Wait | Self::Latency)
    }
}

/// One figure of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the figures")]
pub enum Kind {
    Requests,
    Queued,
    TotalTokens,
    PromptTokens,
    CompletionTokens,
    CachedTokens,
    Errors,
    Timeouts,
    Evictions,
    Cancelled,
    WaitP50,
    WaitP95,
    WaitP99,
    LatencyP50,
    LatencyP95,
    LatencyP99,
}

impl Kind {
    /// Its name in the query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests | Self::TotalTokens | Self::Errors => "all",
            Self::Queued => "queued",
            Self::PromptTokens => "prompt",
            Self::CompletionTokens => "completion",
            Self::CachedTokens => "cached",
            Self::Timeouts => "timeouts",
            Self::Evictions => "evictions",
            Self::Cancelled => "cancelled",
            Self::WaitP50 | Self::LatencyP50 => "p50",
            Self::WaitP95 | Self::LatencyP95 => "p95",
            Self::WaitP99 | Self::LatencyP99 => "p99",
        }
    }

    /// Its value in a row; a percentile of no requests is none.
    #[must_use]
    pub fn value(self, figures: &UsageFigures) -> Option<f64> {
        let value = match self {
            Self::Requests => Some(figures.requests),
            Self::Queued => Some(figures.queued_requests),
            Self::TotalTokens => Some(figures.total_tokens),
            Self::PromptTokens => Some(figures.prompt_tokens),
            Self::CompletionTokens => Some(figures.completion_tokens),
            Self::CachedTokens => Some(figures.cached_tokens),
            Self::Errors => Some(figures.errors),
            Self::Timeouts => Some(figures.queue_timeouts),
            Self::Evictions => Some(figures.queue_evictions),
            Self::Cancelled => Some(figures.cancelled),
            Self::WaitP50 => figures.queue_wait_p50_ms,
            Self::WaitP95 => figures.queue_wait_p95_ms,
            Self::WaitP99 => figures.queue_wait_p99_ms,
            Self::LatencyP50 => figures.latency_p50_ms,
            Self::LatencyP95 => figures.latency_p95_ms,
            Self::LatencyP99 => figures.latency_p99_ms,
        };
        value.map(lossy)
    }
}

/// What the page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Split by what.
    pub by: By,
    /// In the chart.
    pub subject: Subject,
    /// Which figure of it.
    pub kind: Kind,
    /// The step that was asked for; else the page chooses.
    pub step: Option<Step>,
}

impl Shown {
    /// What a query says.
    #[must_use]
    pub fn of_query(query: &Query) -> Self {
        let by = By::ALL
            .into_iter()
            .find(|by| Some(by.name()) == query.get("group_by"));
        let subject = Subject::ALL
            .into_iter()
            .find(|subject| Some(subject.name()) == query.get("measure"));
        let subject = subject.unwrap_or(Subject::Requests);
        let kinds = subject.kinds().iter().copied();
        let usual = subject.kinds().first().copied().unwrap_or(Kind::Requests);
        let kind = kinds
            .into_iter()
            .find(|kind| Some(kind.name()) == query.get("kind"));
        let step = [Step::Hour, Step::Day]
            .into_iter()
            .find(|step| Some(step.name()) == query.get("granularity"));
        Self {
            by: by.unwrap_or(By::Server),
            subject,
            kind: kind.unwrap_or(usual),
            step,
        }
    }
}

/// The query of the API for a window of time: its rows, or with `by` = [`By::Nothing`] sums of all. Filters come
/// from the query of the page.
#[must_use]
pub fn asked(page: &Query, window: Window, by: By) -> Query {
    let mut query = Query::default()
        .with("granularity", Some(window.step.name()))
        .with("from", Some(&time(window.bounds.from_ms)))
        .with("to", Some(&time(window.bounds.to_ms)));
    if by != By::Nothing {
        query = query.with("group_by", Some(by.name()));
    }
    for name in FILTERS {
        query = query.with(name, page.get(name));
    }
    query
}

/// The names in a `hide` of the query: series that are switched off.
#[must_use]
pub fn hidden(page: &Query) -> Vec<String> {
    let text = page.get("hide").unwrap_or_default();
    let names = text.split(',').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// Switches one off, or on again: what `hide` has to say then.
#[must_use]
pub fn toggled(mut hidden: Vec<String>, name: &str) -> String {
    match hidden.iter().position(|one| one == name) {
        Some(place) => drop(hidden.remove(place)),
        None => hidden.push(name.to_owned()),
    }
    hidden.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::{Preset, Range};

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn a_query_is_read_and_what_it_does_not_know_is_the_default() {
        let shown = |text: &str| Shown::of_query(&Query::parse(text));
        assert_eq!(
            shown("?group_by=model&measure=tokens&kind=cached&granularity=day"),
            Shown {
                by: By::Model,
                subject: Subject::Tokens,
                kind: Kind::CachedTokens,
                step: Some(Step::Day),
            }
        );
        let plain = Shown {
            by: By::Server,
            subject: Subject::Requests,
            kind: Kind::Requests,
            step: None,
        };
        assert_eq!(shown(""), plain);
        assert_eq!(
            shown("?group_by=x&measure=y&kind=p95&granularity=minute"),
            plain
        );
        assert_eq!(shown("?measure=wait").kind, Kind::WaitP95);
        assert_eq!(shown("?measure=latency&kind=p50").kind, Kind::LatencyP50);
    }

    #[test]
    fn every_choice_is_found_by_its_name() {
        for by in By::ALL {
            for subject in Subject::ALL {
                for kind in subject.kinds() {
                    let query = Query::default()
                        .with("group_by", Some(by.name()))
                        .with("measure", Some(subject.name()))
                        .with("kind", Some(kind.name()));
                    let shown = Shown::of_query(&query);
                    assert_eq!((shown.by, shown.subject, shown.kind), (by, subject, *kind));
                }
            }
        }
    }

    #[test]
    fn the_api_is_asked_for_exactly_what_is_shown() {
        let window = Window::new(Range::Preset(Preset::Day), None, NOW);
        let page = Query::parse("?range=24h&app=a%26b&model=&measure=tokens&sort=-errors");
        assert_eq!(
            asked(&page, window, By::Model).to_text(),
            "?granularity=hour&from=2023-11-13T23:00:00.000Z&to=2023-11-14T23:00:00.000Z&group_by=model&app=a%26b"
        );
        assert!(
            !asked(&page, window, By::Nothing)
                .to_text()
                .contains("group_by")
        );
    }

    #[test]
    fn series_are_switched_off_and_on_by_name() {
        let page = |text: &str| Query::default().with("hide", Some(text));
        assert_eq!(hidden(&page("")), Vec::<String>::new());
        assert_eq!(toggled(hidden(&page("")), "a"), "a");
        assert_eq!(toggled(hidden(&page("a,b")), "c"), "a,b,c");
        assert_eq!(toggled(hidden(&page("a,b")), "a"), "b");
    }
}
