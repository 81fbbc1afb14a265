//! 请求的种类：问什么、要上游做什么、客户端何时离开。
//!
//! The kinds of requests, in which share they come, and the servers that they go to. What becomes of them is told
//! by the clients and judged elsewhere.

use gateway_tests::harness::{Chat, Gateway, ServerDraft};
use gateway_tests::provider::Provider;
use serde_json::{Value, json};

/// A server and its model, named alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// No limits.
    Wide,
    /// A few at a time; a short queue.
    Narrow,
    /// Lets nobody through; its waiters run out of time.
    Closed,
    /// Lets nobody through; its waiters push each other out.
    Crowded,
    /// Does not wait long for its upstream.
    Brief,
    /// Its upstream refuses with 429 now and then. Several, because a server that is refused often is asked
    /// less and less.
    Moody(usize),
}

const MOODY: usize = 16;

impl Place {
    pub(super) fn all() -> Vec<Self> {
        let moody = (0..MOODY).map(Self::Moody);
        let others = [
            Self::Wide,
            Self::Narrow,
            Self::Closed,
            Self::Crowded,
            Self::Brief,
        ];
        others.into_iter().chain(moody).collect()
    }

    fn name(self) -> String {
        match self {
            Self::Wide => "ledger-wide".to_owned(),
            Self::Narrow => "ledger-narrow".to_owned(),
            Self::Closed => "ledger-closed".to_owned(),
            Self::Crowded => "ledger-crowded".to_owned(),
            Self::Brief => "ledger-brief".to_owned(),
            Self::Moody(number) => format!("ledger-moody-{number}"),
        }
    }

    pub(super) fn server<'g>(self, gateway: &'g Gateway, provider: &Provider) -> ServerDraft<'g> {
        let fields = match self {
            Self::Wide => json!({}),
            Self::Moody(_) => json!({"queue_timeout_ms": 3_000}),
            Self::Narrow => {
                json!({"max_concurrency": 1, "queue_max": 8, "queue_timeout_ms": 5_000})
            }
            Self::Closed => json!({"rpm_limit": 0, "queue_max": 1_000, "queue_timeout_ms": 700}),
            Self::Crowded => json!({"rpm_limit": 0, "queue_max": 2, "queue_timeout_ms": 3_000}),
            Self::Brief => json!({"upstream_timeout_ms": 1_000}),
        };
        let name = self.name();
        let draft = gateway.server(&name).provider(provider).model(&name);
        let fields = fields.as_object().into_iter().flatten();
        fields.fold(draft, |draft, (name, value)| {
            draft.field(name, value.clone())
        })
    }
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Streamed,
    /// Its id is that of others.
    Twin,
    ClientError,
    ServerError,
    NoUsage,
    NoUsageStreamed,
    /// The upstream breaks its stream off.
    Truncated,
    /// The client leaves when the first word has come.
    LeavesStream,
    /// Refused by the upstream once.
    Absorbed,
    /// Refused by the upstream each time.
    Refused,
    /// The upstream drops the first connection.
    Reconnected,
    /// The upstream drops each connection.
    Unreachable,
    /// The upstream does not answer.
    Hangs,
    /// It may have to wait, or be pushed out.
    Queued,
    /// It waits until its time is over.
    Impatient,
    /// It waits until others push it out.
    PushedOut,
    /// The client leaves when it has seen itself in the queue.
    LeavesQueue,
}

/// Kinds and their shares, which add up to 100.
const MIX: [(Kind, usize); 18] = [
    (Kind::Plain, 28),
    (Kind::Streamed, 20),
    (Kind::Twin, 4),
    (Kind::ClientError, 4),
    (Kind::ServerError, 4),
    (Kind::NoUsage, 3),
    (Kind::NoUsageStreamed, 3),
    (Kind::Truncated, 4),
    (Kind::LeavesStream, 6),
    (Kind::Absorbed, 3),
    (Kind::Refused, 1),
    (Kind::Reconnected, 2),
    (Kind::Unreachable, 1),
    (Kind::Hangs, 1),
    (Kind::Queued, 6),
    (Kind::Impatient, 3),
    (Kind::PushedOut, 4),
    (Kind::LeavesQueue, 3),
];

/// Shares no factor with 100, so that kinds alternate and none is left out.
const STRIDE: usize = 37;

impl Kind {
    /// The kind of a request by its number.
    pub(super) fn of(number: usize) -> Self {
        let mut at = number.wrapping_mul(STRIDE) % 100;
        for (kind, share) in MIX {
            match at.checked_sub(share) {
                Some(less) => at = less,
                None => return kind,
            }
        }
        unreachable!("the shares add up to 100")
    }

    fn place(self, number: usize) -> Place {
        match self {
            Self::Queued => Place::Narrow,
            Self::Impatient | Self::LeavesQueue => Place::Closed,
            Self::PushedOut => Place::Crowded,
            Self::Hangs => Place::Brief,
            Self::Absorbed | Self::Refused => Place::Moody(number / 7 % MOODY),
            _ => Place::Wide,
        }
    }

    pub(super) fn leaves(self) -> bool {
        matches!(self, Self::LeavesStream | Self::LeavesQueue)
    }

    /// What the provider is to do besides counting.
    fn wishes(self, number: usize) -> Value {
        let pick = |statuses: [u16; 4]| json!(statuses[number % 4]);
        match self {
            Self::ClientError => json!({"status": pick([400, 401, 404, 422])}),
            Self::ServerError => json!({"status": pick([500, 502, 503, 529])}),
            Self::NoUsage | Self::NoUsageStreamed => json!({"no_usage": true}),
            Self::Truncated if number.is_multiple_of(2) => json!({"cut_after": 1}),
            Self::Truncated => json!({"end_after": 1}),
            // More never comes, so it is the client who ends it.
            Self::LeavesStream => json!({"stall_after": 1}),
            Self::Absorbed => {
                json!({"status": 429, "headers": {"retry-after-ms": "50"}, "only_first": 1})
            }
            Self::Refused => json!({"status": 429, "headers": {"retry-after-ms": "50"}}),
            Self::Reconnected => json!({"drop_connection": true, "only_first": 1}),
            Self::Unreachable => json!({"drop_connection": true}),
            Self::Hangs => json!({"hang": true}),
            Self::Queued => json!({"header_delay_ms": 300}),
            _ => json!({}),
        }
    }

    /// The request, which the ledger knows by its number and the log by its app.
    pub(super) fn chat(self, chat: &Chat, number: usize) -> Chat {
        let id = match self {
            Self::Twin => format!("twin-{}", number % 3),
            _ => format!("request-{number}"),
        };
        let mut demo = self.wishes(number);
        let tokens = Tokens::of(number);
        demo["prompt_tokens"] = json!(tokens.prompt);
        demo["chunks"] = json!(tokens.completion);
        demo["cached_tokens"] = json!(tokens.cached);
        let chat = chat
            .clone()
            .model(&self.place(number).name())
            .app(&app(number))
            .header("x-request-id", &id)
            .field("user", json!(number.to_string()))
            .demo(demo);
        match self {
            Self::Streamed | Self::NoUsageStreamed | Self::Truncated | Self::LeavesStream => {
                chat.stream()
            }
            Self::Queued if number.is_multiple_of(2) => chat.stream(),
            Self::LeavesQueue => chat.stream().header("x-queue-progress", "sse"),
            _ => chat,
        }
    }
}

/// The app of a request, which no other has.
fn app(number: usize) -> String {
    format!("ledger-{number}")
}

/// The request of a row of the log.
pub(super) fn number_of(row: &Value) -> Option<usize> {
    row["app"].as_str()?.strip_prefix("ledger-")?.parse().ok()
}

/// What the provider is told to report for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) prompt: u64,
    pub(super) completion: u64,
    pub(super) cached: u64,
}

impl Tokens {
    pub(super) fn of(number: usize) -> Self {
        let number = number as u64;
        Self {
            prompt: 50 + number % 1_009,
            completion: 2 + number % 7,
            cached: number % 47,
        }
    }
}
