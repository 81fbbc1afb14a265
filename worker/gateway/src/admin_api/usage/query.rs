//! 统计的查询：范围、粒度、分组、过滤、分页。
//!
//! Owns which statistics can be asked for. A range consists of whole hours or whole days in UTC, because that
//! is what is stored, and has a longest length, because a page that reads years of hours would be slow for all.
//!
//! Groups come by time, then by server, app and model as far as they are grouped by; only where it is grouped by
//! model and not by app too, the model comes before the server.

use admission::time::Instant;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::admin_api::bounds::ID_CHARS_MAX;
use crate::admin_api::object::invalid_field;
use crate::admin_api::query::{Parameters, check_range};
use crate::admin_api::{Page, rfc3339};
use crate::error::GatewayError;

/// As many as the schema of the log has.
const MODEL_CHARS_MAX: usize = 256;

/// Longest cursor: two names of 64 bytes and a model of 256 characters, in JSON, in base64.
const CURSOR_CHARS_MAX: usize = 4_096;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

const FILTERS: [&str; 7] = [
    "from",
    "to",
    "granularity",
    "group_by",
    "server_id",
    "app",
    "model",
];

/// How long the time is that one row sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "nothing to add")]
pub enum Granularity {
    Hour,
    Day,
}

/// What rows are kept apart by, besides the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of a row")]
pub struct Grouping {
    pub server_id: bool,
    pub app: bool,
    pub model: bool,
}

/// What requests have in common; None is anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of a row")]
pub struct UsageFilter {
    pub server_id: Option<String>,
    pub app: Option<String>,
    pub model: Option<String>,
}

/// The place of a group in the order of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsagePlace {
    /// Start of its hour or day, in milliseconds.
    pub bucket: u64,
    /// What it is grouped by, in the order of the groups.
    pub keys: Vec<String>,
}

/// Which statistics are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// Requests that started then or later; a whole hour or day.
    pub from: Instant,
    /// Requests that started before; a whole hour or day.
    pub to: Instant,
    /// See there.
    pub granularity: Granularity,
    /// See there.
    pub grouping: Grouping,
    /// See there.
    pub filter: UsageFilter,
    /// Most rows to answer with.
    pub limit: u32,
    /// The last group that was shown.
    pub after: Option<UsagePlace>,
}

impl Granularity {
    /// Length of a row's time.
    #[must_use]
    pub const fn millis(self) -> u64 {
        match self {
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
        }
    }

    /// The word in a query.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Longest range, in milliseconds: a month of hours, a leap year of days.
    const fn range_max(self) -> u64 {
        match self {
            Self::Hour => 31 * DAY_MS,
            Self::Day => 366 * DAY_MS,
        }
    }

    /// What a query without a range gets, in milliseconds.
    const fn range_default(self) -> u64 {
        match self {
            Self::Hour => DAY_MS,
            Self::Day => 30 * DAY_MS,
        }
    }

    fn parse(text: Option<&str>) -> Result<Self, GatewayError> {
        match text {
            None | Some("hour") => Ok(Self::Hour),
            Some("day") => Ok(Self::Day),
            Some(_) => Err(invalid_field(
                "granularity",
                "`granularity` must be `hour` or `day`.".to_owned(),
            )),
        }
    }

    fn check(self, name: &'static str, time: Instant) -> Result<(), GatewayError> {
        let beyond = time.as_millis().checked_rem(self.millis()).unwrap_or(0);
        if beyond == 0 {
            return Ok(());
        }
        let whole = rfc3339(Instant::from_millis(
            time.as_millis().saturating_sub(beyond),
        ));
        let unit = self.as_str();
        Err(invalid_field(
            name,
            format!("`{name}` must be a whole {unit} in UTC; the one before it is {whole}."),
        ))
    }
}

impl Grouping {
    fn parse(text: Option<&str>) -> Result<Self, GatewayError> {
        let mut grouping = Self::default();
        for name in text.into_iter().flat_map(|text| text.split(',')) {
            let flag = match name {
                "server_id" => &mut grouping.server_id,
                "app" => &mut grouping.app,
                "model" => &mut grouping.model,
                _ => return Err(Self::refused()),
            };
            if std::mem::replace(flag, true) {
                return Err(Self::refused());
            }
        }
        Ok(grouping)
    }

    fn refused() -> GatewayError {
        let message = "`group_by` must be a list of `server_id`, `app` and `model`, each once, with commas between.";
        invalid_field("group_by", message.to_owned())
    }

    /// How many names a group has.
    #[must_use]
    pub fn len(self) -> usize {
        [self.server_id, self.app, self.model]
            .into_iter()
            .filter(|is_so| *is_so)
            .count()
    }

    /// Whether everything of one time is one group.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The names of a group in the order of groups.
    pub(super) fn keys(
        self,
        server_id: Option<&String>,
        app: Option<&String>,
        model: Option<&String>,
    ) -> Vec<String> {
        let order = if self.model && !self.app {
            [model, server_id, None]
        } else {
            [server_id, app, model]
        };
        order.into_iter().flatten().cloned().collect()
    }
}

impl UsagePlace {
    /// The text that a client sends back unchanged.
    #[must_use]
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::json!([self.bucket, self.keys]).to_string())
    }

    fn decode(
        text: &str,
        grouping: Grouping,
        range: std::ops::Range<u64>,
    ) -> Result<Self, GatewayError> {
        let read = || {
            if text.len() > CURSOR_CHARS_MAX {
                return None;
            }
            let (bucket, keys) =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let place = Self { bucket, keys };
            (place.keys.len() == grouping.len() && range.contains(&place.bucket)).then_some(place)
        };
        read().ok_or_else(|| {
            invalid_field(
                "cursor",
                "`cursor` is not one that this query was answered with.".to_owned(),
            )
        })
    }
}

impl UsageQuery {
    /// Reads the query of a page, which also takes `limit` and `cursor`.
    pub fn parse(query: &str, now: Instant) -> Result<Self, GatewayError> {
        let mut known = FILTERS.to_vec();
        known.extend(["limit", "cursor"]);
        let mut parameters = Parameters::parse(query, &known)?;
        let cursor = parameters.take("cursor");
        // A cursor of ours says more than those that `Page` knows.
        let limit = parameters
            .take("limit")
            .map(|limit| Page::parse(&format!("limit={limit}")));
        let limit = limit
            .transpose()?
            .map_or(super::super::bounds::PAGE_LEN_DEFAULT, |page| page.limit);
        let mut usage = Self::read(parameters, now, limit)?;
        if let Some(text) = cursor {
            let range = usage.from.as_millis()..usage.to.as_millis();
            usage.after = Some(UsagePlace::decode(&text, usage.grouping, range)?);
        }
        Ok(usage)
    }

    /// Reads the query of an export, whose pages have `limit` rows.
    pub fn parse_export(query: &str, now: Instant, limit: u32) -> Result<Self, GatewayError> {
        Self::read(Parameters::parse(query, &FILTERS)?, now, limit)
    }

    fn read(mut parameters: Parameters, now: Instant, limit: u32) -> Result<Self, GatewayError> {
        let granularity = Granularity::parse(parameters.take("granularity").as_deref())?;
        let grouping = Grouping::parse(parameters.take("group_by").as_deref())?;
        let span = granularity.millis();
        // The end of the hour or day that it is now.
        let coming = now
            .as_millis()
            .checked_div(span)
            .unwrap_or(0)
            .saturating_add(1)
            .saturating_mul(span);
        let to = parameters
            .time("to")?
            .unwrap_or(Instant::from_millis(coming));
        granularity.check("to", to)?;
        let earliest = to.as_millis().saturating_sub(granularity.range_default());
        let from = parameters
            .time("from")?
            .unwrap_or(Instant::from_millis(earliest));
        granularity.check("from", from)?;
        check_range(from, to)?;
        if to.as_millis().saturating_sub(from.as_millis()) > granularity.range_max() {
            let days = granularity.range_max().checked_div(DAY_MS).unwrap_or(0);
            let unit = granularity.as_str();
            let message = format!(
                "A range by {unit} may have {days} days at most; ask for less of it, or by day."
            );
            return Err(invalid_field("from", message));
        }
        Ok(Self {
            from,
            to,
            granularity,
            grouping,
            filter: UsageFilter {
                server_id: parameters.text("server_id", ID_CHARS_MAX)?,
                app: parameters.text("app", ID_CHARS_MAX)?,
                model: parameters.text("model", MODEL_CHARS_MAX)?,
            },
            limit,
            after: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T08:30:00Z.
    const NOW: Instant = Instant::from_millis(1_795_420_800_000 + HOUR_MS / 2);

    fn parse(query: &str) -> UsageQuery {
        UsageQuery::parse(query, NOW).unwrap()
    }

    fn range(query: &UsageQuery) -> (String, String) {
        (rfc3339(query.from), rfc3339(query.to))
    }

    #[test]
    fn without_parameters_the_last_day_by_hour_is_asked_for() {
        let query = parse("");
        assert_eq!(query.granularity, Granularity::Hour);
        assert!(query.grouping.is_empty());
        assert_eq!(
            range(&query),
            (
                "2026-11-22T09:00:00.000Z".to_owned(),
                "2026-11-23T09:00:00.000Z".to_owned()
            )
        );
        let days = range(&parse("granularity=day"));
        assert_eq!(
            days,
            (
                "2026-10-25T00:00:00.000Z".to_owned(),
                "2026-11-24T00:00:00.000Z".to_owned()
            )
        );
    }

    #[test]
    fn a_range_may_be_told_with_any_offset() {
        let query = parse("from=2026-11-23T00:00:00%2B08:00&to=2026-11-24T00:00:00%2B08:00");
        assert_eq!(
            range(&query),
            (
                "2026-11-22T16:00:00.000Z".to_owned(),
                "2026-11-23T16:00:00.000Z".to_owned()
            )
        );
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_name_and_reason() {
        let day = "granularity=day";
        for (query, name, reason) in [
            ("granularity=minute".to_owned(), "granularity", "hour"),
            ("group_by=key_id".to_owned(), "group_by", "server_id"),
            ("group_by=app,app".to_owned(), "group_by", "once"),
            ("group_by=".to_owned(), "group_by", "commas"),
            (
                "from=2026-11-23T08:15:00Z".to_owned(),
                "from",
                "2026-11-23T08:00:00.000Z",
            ),
            ("to=2026-11-23T08:00:00.001Z".to_owned(), "to", "whole hour"),
            (
                format!("{day}&from=2026-11-01T01:00:00Z"),
                "from",
                "2026-11-01T00:00:00.000Z",
            ),
            (
                "from=2026-11-23T08:00:00Z&to=2026-11-23T07:00:00Z".to_owned(),
                "from",
                "before",
            ),
            (
                "from=2026-11-23T08:00:00Z&to=2026-11-23T08:00:00Z".to_owned(),
                "from",
                "before",
            ),
            (
                "from=2026-01-01T00:00:00Z&to=2026-02-01T01:00:00Z".to_owned(),
                "from",
                "31 days",
            ),
            (
                format!("{day}&from=2025-01-01T00:00:00Z&to=2026-01-03T00:00:00Z"),
                "from",
                "366 days",
            ),
            ("limit=501".to_owned(), "limit", "500"),
            ("cursor=x".to_owned(), "cursor", "query"),
            ("groupby=app".to_owned(), "groupby", "group_by"),
            ("model=".to_owned(), "model", "1 to 256"),
        ] {
            let error = UsageQuery::parse(&query, NOW).unwrap_err();
            assert_eq!(
                (error.status(), error.param.as_deref()),
                (422, Some(name)),
                "{query}"
            );
            assert!(error.message.contains(reason), "{query}: {}", error.message);
        }
        assert!(
            UsageQuery::parse("from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", NOW).is_ok()
        );
    }

    #[test]
    fn a_cursor_reads_back_and_belongs_to_its_query() {
        let place = UsagePlace {
            bucket: 1_795_420_800_000,
            keys: vec![
                "srv_a".to_owned(),
                "the app".to_owned(),
                "模型\u{1}".repeat(64),
            ],
        };
        let cursor = place.encode();
        assert!(cursor.len() <= CURSOR_CHARS_MAX);
        let all = "group_by=server_id,app,model";
        assert_eq!(parse(&format!("{all}&cursor={cursor}")).after, Some(place));
        for query in [
            "",
            "group_by=app",
            "group_by=server_id,app,model&to=2026-11-23T08:00:00Z",
        ] {
            let error = UsageQuery::parse(&format!("{query}&cursor={cursor}"), NOW).unwrap_err();
            assert_eq!(error.param.as_deref(), Some("cursor"), "{query}");
        }
    }

    #[test]
    fn an_export_has_neither_limit_nor_cursor() {
        assert!(UsageQuery::parse_export("limit=5", NOW, 9).is_err());
        assert_eq!(
            UsageQuery::parse_export("group_by=model,server_id", NOW, 9)
                .unwrap()
                .grouping
                .len(),
            2
        );
    }
}
