//! 日志查询：过滤、范围、分页；一行的视图与 CSV。
//!
//! Owns what `GET /api/logs` and its CSV take and show. Every filter is an exact match. Pages go by time and,
//! where that is equal, by the order of storage, newest first.

use admission::time::Instant;
use serde::{Deserialize, Serialize};

use super::bounds::{ID_CHARS_MAX, STORED_INTEGER_MAX};
use super::query::{Parameters, check_range};
use super::{Cursor, List, Page, rfc3339};
use crate::error::GatewayError;
use crate::log_row::UsageSource;

/// Names that a filter may have: those of the schema.
const MODEL_CHARS_MAX: usize = 256;
const REQUEST_ID_CHARS_MAX: usize = 192;

/// Beyond every time that is stored.
const END_OF_TIME: Instant = Instant::from_millis(253_402_300_800_000);

/// Names of the filters, as they stand in a query.
pub(crate) const FILTERS: [&str; 9] = [
    "from",
    "to",
    "server_id",
    "app",
    "model",
    "key_id",
    "status",
    "error_code",
    "request_id",
];

/// Which rows of the log are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Requests that started then or later.
    pub from: Instant,
    /// Requests that started before.
    pub to: Instant,
    /// What they have in common.
    pub filter: LogFilter,
    /// Most rows to answer with.
    pub limit: u32,
    /// Time and sequence of the last row that was shown.
    pub after: Option<(u64, u64)>,
    /// Time and sequence of the last row to look at, where there are more than a page looks through.
    pub until: Option<(u64, u64)>,
}

/// What rows have in common; None is anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the log row")]
pub struct LogFilter {
    pub server_id: Option<String>,
    pub app: Option<String>,
    pub model: Option<String>,
    pub key_id: Option<String>,
    pub status: Option<u16>,
    pub error_code: Option<String>,
    pub request_id: Option<String>,
}

/// A stored row, in the order of the statement that reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the log row")]
pub struct LogEntry {
    /// Its place in the order of storage.
    pub sequence: u64,
    pub request_id: String,
    pub started_at: u64,
    pub app: String,
    pub key_id: String,
    pub server_id: String,
    pub model: String,
    pub endpoint: String,
    pub status: u16,
    pub error_code: Option<String>,
    /// 0 or 1.
    pub stream: u8,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub cached_tokens: u64,
    pub total_tokens: u64,
    pub usage_source: UsageSource,
    pub queue_wait_ms: u64,
    pub queue_position: u64,
    pub ttft_ms: Option<u64>,
    pub total_ms: u64,
    pub overhead_ms: u64,
    pub attempts: u64,
    pub colo: String,
}

/// A row as the admin API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "LogRow"))]
#[expect(missing_docs, reason = "the fields are those of the log row")]
pub struct LogView {
    pub request_id: String,
    pub started_at: String,
    pub app: String,
    pub key_id: String,
    pub server_id: String,
    pub model: String,
    pub endpoint: String,
    pub status: u16,
    pub error_code: Option<String>,
    pub stream: bool,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub cached_tokens: u64,
    pub total_tokens: u64,
    pub usage_source: UsageSource,
    pub queue_wait_ms: u64,
    pub queue_position: u64,
    pub ttft_ms: Option<u64>,
    pub total_ms: u64,
    pub overhead_ms: u64,
    pub attempts: u64,
    pub colo: String,
}

impl LogQuery {
    /// Reads the query of a page, which also takes `limit` and `cursor`.
    pub fn parse(query: &str) -> Result<Self, GatewayError> {
        let mut known = FILTERS.to_vec();
        known.extend(["limit", "cursor"]);
        let parameters = Parameters::parse(query, &known)?;
        let page = Page::parse(query)?;
        let after = page.cursor.as_ref().map(place).transpose()?;
        Self::read(parameters, page.limit, after)
    }

    /// Reads the query of an export, whose pages have `limit` rows.
    pub fn parse_export(query: &str, limit: u32) -> Result<Self, GatewayError> {
        Self::read(Parameters::parse(query, &FILTERS)?, limit, None)
    }

    fn read(
        mut parameters: Parameters,
        limit: u32,
        after: Option<(u64, u64)>,
    ) -> Result<Self, GatewayError> {
        let from = parameters.time("from")?.unwrap_or_default();
        let to = parameters.time("to")?.unwrap_or(END_OF_TIME);
        check_range(from, to)?;
        Ok(Self {
            from,
            to,
            filter: LogFilter {
                server_id: parameters.text("server_id", ID_CHARS_MAX)?,
                app: parameters.text("app", ID_CHARS_MAX)?,
                model: parameters.text("model", MODEL_CHARS_MAX)?,
                key_id: parameters.text("key_id", ID_CHARS_MAX)?,
                status: parameters.status("status")?,
                error_code: parameters.text("error_code", ID_CHARS_MAX)?,
                request_id: parameters.text("request_id", REQUEST_ID_CHARS_MAX)?,
            },
            limit,
            after,
            until: None,
        })
    }

    /// The page that these rows are, which were read with one more than the limit. Where it stopped looking, the
    /// next page begins, even if this one is not full.
    #[must_use]
    pub fn list(&self, entries: Vec<LogEntry>) -> List<LogView> {
        let page = Page {
            limit: self.limit,
            cursor: None,
        };
        let mut list = List::of_rows(&page, entries, LogEntry::place, LogEntry::into_view);
        if list.next_cursor.is_none() {
            list.next_cursor = self
                .until
                .map(|(started_at, sequence)| cursor(started_at, sequence).encode());
        }
        list
    }
}

impl LogFilter {
    /// How many filters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let texts = [
            &self.server_id,
            &self.app,
            &self.model,
            &self.key_id,
            &self.error_code,
            &self.request_id,
        ];
        let texts = texts.into_iter().filter(|text| text.is_some()).count();
        texts.saturating_add(usize::from(self.status.is_some()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn cursor(started_at: u64, sequence: u64) -> Cursor {
    Cursor {
        sort_key: started_at,
        id: sequence.to_string(),
    }
}

/// The place that a cursor of this list means; those of other lists have ids that are no numbers.
fn place(cursor: &Cursor) -> Result<(u64, u64), GatewayError> {
    let sequence = cursor.id.parse().ok();
    let sequence = sequence.filter(|sequence| *sequence <= STORED_INTEGER_MAX);
    sequence
        .map(|sequence| (cursor.sort_key, sequence))
        .ok_or_else(Cursor::unknown)
}

impl LogEntry {
    /// Its place in the log.
    #[must_use]
    pub fn place(&self) -> Cursor {
        cursor(self.started_at, self.sequence)
    }

    /// The row as the admin API shows it.
    #[must_use]
    pub fn into_view(self) -> LogView {
        LogView {
            request_id: self.request_id,
            started_at: rfc3339(Instant::from_millis(self.started_at)),
            app: self.app,
            key_id: self.key_id,
            server_id: self.server_id,
            model: self.model,
            endpoint: self.endpoint,
            status: self.status,
            error_code: self.error_code,
            stream: self.stream != 0,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cached_tokens: self.cached_tokens,
            total_tokens: self.total_tokens,
            usage_source: self.usage_source,
            queue_wait_ms: self.queue_wait_ms,
            queue_position: self.queue_position,
            ttft_ms: self.ttft_ms,
            total_ms: self.total_ms,
            overhead_ms: self.overhead_ms,
            attempts: self.attempts,
            colo: self.colo,
        }
    }
}

impl LogView {
    /// The header of its CSV: the fields in their order.
    pub const CSV_HEADER: [&'static str; 22] = [
        "request_id",
        "started_at",
        "app",
        "key_id",
        "server_id",
        "model",
        "endpoint",
        "status",
        "error_code",
        "stream",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "total_tokens",
        "usage_source",
        "queue_wait_ms",
        "queue_position",
        "ttft_ms",
        "total_ms",
        "overhead_ms",
        "attempts",
        "colo",
    ];

    /// Its cells; what is null is empty.
    #[must_use]
    pub fn csv_cells(&self) -> [String; 22] {
        [
            self.request_id.clone(),
            self.started_at.clone(),
            self.app.clone(),
            self.key_id.clone(),
            self.server_id.clone(),
            self.model.clone(),
            self.endpoint.clone(),
            self.status.to_string(),
            self.error_code.clone().unwrap_or_default(),
            self.stream.to_string(),
            self.prompt_tokens.to_string(),
            self.completion_tokens.to_string(),
            self.cached_tokens.to_string(),
            self.total_tokens.to_string(),
            self.usage_source.as_str().to_owned(),
            self.queue_wait_ms.to_string(),
            self.queue_position.to_string(),
            self.ttft_ms.map(|ms| ms.to_string()).unwrap_or_default(),
            self.total_ms.to_string(),
            self.overhead_ms.to_string(),
            self.attempts.to_string(),
            self.colo.clone(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(query: &str) -> String {
        let error = LogQuery::parse(query).unwrap_err();
        assert_eq!(error.status(), 422, "{query}");
        error.param.unwrap().into_owned()
    }

    #[test]
    fn without_parameters_the_newest_of_all_rows_are_asked_for() {
        let query = LogQuery::parse("").unwrap();
        assert_eq!((query.from, query.to), (Instant::default(), END_OF_TIME));
        assert_eq!((query.limit, query.after), (50, None));
        assert_eq!(query.filter, LogFilter::default());
    }

    #[test]
    fn every_filter_is_read() {
        let query = "from=2026-11-23T08:00:00Z&to=2026-11-23T17:00:00%2B08:00&server_id=srv_1&app=a%20b&model=gpt-4&\
                     key_id=key_1&status=504&error_code=queue_timeout&request_id=r.1&limit=7";
        let query = LogQuery::parse(query).unwrap();
        assert_eq!(query.from.as_millis(), 1_795_420_800_000);
        assert_eq!(query.to.as_millis(), 1_795_420_800_000 + 3_600_000);
        assert_eq!(query.filter.app.as_deref(), Some("a b"));
        assert_eq!(query.filter.status, Some(504));
        assert_eq!(query.limit, 7);
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_name() {
        for (query, name) in [
            ("limit=0", "limit"),
            ("cursor=x", "cursor"),
            ("from=yesterday", "from"),
            ("to=2026-11-23", "to"),
            ("from=2026-11-23T08:00:00Z&to=2026-11-23T08:00:00Z", "from"),
            ("from=2026-11-23T09:00:00Z&to=2026-11-23T08:00:00Z", "from"),
            ("status=99", "status"),
            ("status=ok", "status"),
            ("app=", "app"),
            ("sever_id=x", "sever_id"),
            ("app=a&app=b", "app"),
        ] {
            assert_eq!(param(query), name, "{query}");
        }
        assert_eq!(param(&format!("app={}", "a".repeat(65))), "app");
        assert_eq!(param(&format!("app={}", "a".repeat(8_192))), "query");
        let foreign = Cursor {
            sort_key: 1,
            id: "srv_a".to_owned(),
        };
        assert_eq!(param(&format!("cursor={}", foreign.encode())), "cursor");
        assert_eq!(
            LogQuery::parse_export("limit=5", 10)
                .unwrap_err()
                .param
                .unwrap(),
            "limit"
        );
    }

    #[test]
    fn the_csv_has_the_fields_of_the_view_in_their_order() {
        let row = r#"[7,"r",1795420800123,"a","k","s","m","/v1/chat/completions",200,null,1,1,2,3,4,"exact",5,6,null,8,9,10,"FRA"]"#;
        let entry: LogEntry = serde_json::from_str(row).unwrap();
        assert_eq!(
            entry.place(),
            Cursor {
                sort_key: 1_795_420_800_123,
                id: "7".to_owned()
            }
        );
        let view = entry.into_view();
        let text = serde_json::to_string(&view).unwrap();
        let mut rest = text.as_str();
        for name in LogView::CSV_HEADER {
            let (_, after) = rest.split_once(&format!("\"{name}\":")).expect(name);
            rest = after;
        }
        assert_eq!(
            view.csv_cells().join(","),
            "r,2026-11-23T08:00:00.123Z,a,k,s,m,/v1/chat/completions,200,,true,1,2,3,4,exact,5,6,,8,9,10,FRA"
        );
    }
}
