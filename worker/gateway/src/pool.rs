//! 许可存货：预授的许可怎样要来、发出、归还。
//!
//! What one isolate holds of permits that were granted ahead ([`admission::protocol::Block`]): by the kind of
//! request that they are for, because that is what their rows will say if the isolate dies.
//!
//! Owns when to ask for more and how many, who may use one, and what is told the object of those that nobody
//! used ([`USABLE`]) or that are in use for long ([`REPORT_AFTER`]). Sends nothing, and knows no limits but
//! their version.
//!
//! Invariant: each permit is handed out once, told to be unused once, or neither; never both. A request uses
//! one only if it cannot need more tokens than the permit has reserved.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use admission::Instant;
use admission::protocol::{
    AHEAD_LEN_MAX, Ask, Block, BlockId, Grant, Limits, MODEL_LEN_MAX, TicketId, Unused,
    WORDS_LEN_MAX, bounded,
};

use crate::journal::Asked;

/// How long a permit may be used after its block has come. With the way from the object it stays within what
/// the window's guard allows between grant and sending; where it does not, the sending is reported as late.
pub const USABLE: Duration = Duration::from_millis(100);

/// How long after its block has come a permit that is in use is reported: most requests are over by then, and
/// their settlements say so.
pub const REPORT_AFTER: Duration = Duration::from_secs(1);

/// What is asked for is what so much time needs: settlements, which carry the question, go every 20 ms, and
/// its answer takes a write to disk.
const HORIZON: Duration = Duration::from_millis(40);

/// Arrivals are counted in slots of this length.
const SLOT: Duration = Duration::from_millis(50);

/// Traffic that needs fewer within the horizon is not dense.
const NEED_MIN: u64 = 8;

/// How long nothing is asked for after the object has granted none.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);

/// A question that is open for longer has died with its request.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// Kinds of requests that are told apart; others ask for each permit.
const KINDS_LEN_MAX: usize = 64;

/// Blocks of one kind that may be held: more than come within [`REPORT_AFTER`].
const BLOCKS_LEN_MAX: usize = 64;

/// Requests that differ in nothing that a log row says of them before they are answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The server that they go to.
    pub server_id: String,
    /// The calling application.
    pub app: String,
    /// The gateway key.
    pub key_id: String,
    /// The model asked for.
    pub model: String,
    /// Path of the endpoint.
    pub endpoint: &'static str,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Location of the Worker.
    pub colo: String,
}

/// What a request's reservation depends on beside its model. It grows with both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes of its body.
    pub prompt_bytes: u64,
    /// Most output tokens that it allows; `None` = any number.
    pub output_tokens_max: Option<u64>,
}

/// A permit that is not needed any more is told by these, as is one that is in use for long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Used by requests that have left late.
    pub late: Vec<TicketId>,
    /// In use.
    pub uses: Vec<TicketId>,
    /// Not used, and not to be used.
    pub unused: Vec<Unused>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Pool {
    stocks: BTreeMap<Kind, Stock>,
    /// What could not be told, by server.
    untold: BTreeMap<String, Words>,
}

/// What is held for one kind of requests.
#[derive(Debug)]
struct Stock {
    rate: Rate,
    /// The largest request since the last question that went without one.
    largest: Size,
    limits: Limits,
    asked: Option<Question>,
    quiet_until: Instant,
    blocks: Vec<Held>,
}

#[derive(Clone, Debug)]
struct Question {
    block: BlockId,
    count: u64,
    size: Size,
    version: u64,
    at: Instant,
}

/// A block that is here.
#[derive(Debug)]
struct Held {
    id: BlockId,
    /// Until it is given back.
    block: Option<Block>,
    size: Size,
    version: u64,
    came_at: Instant,
    usable_until: Instant,
    /// Permits in use that nobody was told of.
    uses: BTreeSet<TicketId>,
}

/// Arrivals of this slot and the one before it.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    slot: u64,
    current: u64,
    before: u64,
}

impl Size {
    const NOTHING: Self = Self {
        prompt_bytes: 0,
        output_tokens_max: Some(0),
    };

    fn covers(self, other: Self) -> bool {
        let covers_output = match (self.output_tokens_max, other.output_tokens_max) {
            (None, _) => true,
            (Some(own), Some(other)) => own >= other,
            (Some(_), None) => false,
        };
        self.prompt_bytes >= other.prompt_bytes && covers_output
    }

    fn or_larger(self, other: Self) -> Self {
        let both = self.output_tokens_max.zip(other.output_tokens_max);
        Self {
            prompt_bytes: self.prompt_bytes.max(other.prompt_bytes),
            output_tokens_max: both.map(|(own, other)| own.max(other)),
        }
    }
}

impl Rate {
    fn slot_of(now: Instant) -> u64 {
        now.as_millis()
            .checked_div(millis(SLOT))
            .unwrap_or_default()
    }

    fn arrived(&mut self, now: Instant) {
        let slot = Self::slot_of(now);
        if slot != self.slot {
            let follows = slot == self.slot.saturating_add(1);
            self.before = if follows { self.current } else { 0 };
            self.current = 0;
            self.slot = slot;
        }
        self.current = self.current.saturating_add(1);
    }

    /// How many come within the horizon, if it goes on like this.
    fn need(self, now: Instant) -> u64 {
        let recent = match Self::slot_of(now).saturating_sub(self.slot) {
            0 => self.current.max(self.before),
            1 => self.current,
            _ => 0,
        };
        let needed = recent.saturating_mul(millis(HORIZON));
        needed.div_ceil(millis(SLOT)).min(AHEAD_LEN_MAX)
    }
}

impl Held {
    fn left(&self, now: Instant) -> u64 {
        let block = self.block.as_ref().filter(|_| now < self.usable_until);
        block.map_or(0, Block::left)
    }

    /// When something is to be told of it; `None` = never again.
    fn due(&self) -> Option<Instant> {
        let unused = self.block.as_ref().filter(|block| block.left() > 0);
        let returned = unused.map(|_| self.usable_until);
        let reported = self.came_at.saturating_add(REPORT_AFTER);
        let reported = (!self.uses.is_empty()).then_some(reported);
        [returned, reported].into_iter().flatten().min()
    }
}

impl Stock {
    /// How many more are wanted, if that is worth a question.
    fn want(&self, now: Instant) -> Option<u64> {
        let is_open = |asked: &Question| now.saturating_since(asked.at) < ANSWER_WAIT_MAX;
        let need = self.rate.need(now);
        let held = self.blocks.iter().map(|held| held.left(now));
        let want = need.saturating_sub(held.fold(0, u64::saturating_add));
        let is_worth = need >= NEED_MIN && want.saturating_mul(2) >= need;
        let is_free = !self.asked.as_ref().is_some_and(is_open)
            && now >= self.quiet_until
            && self.blocks.len() < BLOCKS_LEN_MAX;
        (is_worth && is_free).then_some(want)
    }

    fn ask(&mut self, kind: &Kind, count: u64, size: Size, random: [u8; 16], now: Instant) -> Ask {
        let note = Asked {
            request_id: String::new(),
            started_at: now.as_millis(),
            app: kind.app.clone(),
            key_id: kind.key_id.clone(),
            server_id: kind.server_id.clone(),
            model: bounded(&kind.model, MODEL_LEN_MAX).to_owned(),
            endpoint: kind.endpoint.to_owned(),
            stream: kind.stream,
            colo: kind.colo.clone(),
            held: None,
        };
        let ask = Ask {
            block: BlockId::generated(random),
            count,
            note: note.note(),
            model: kind.model.clone(),
            prompt_bytes: size.prompt_bytes,
            output_tokens_max: size.output_tokens_max,
            limits: self.limits,
        };
        self.asked = Some(Question {
            block: ask.block.clone(),
            count,
            size,
            version: self.limits.version,
            at: now,
        });
        ask
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.blocks.is_empty() && self.asked.is_none() && self.rate.need(now) == 0
    }
}

impl Pool {
    /// A permit for a request of this kind and size, if one is here. Whether or not, the request counts as one
    /// that needs a permit.
    pub fn take(
        &mut self,
        kind: &Kind,
        size: Size,
        limits: &Limits,
        now: Instant,
    ) -> Option<Grant> {
        let stock = self.stock(kind, now)?;
        stock.rate.arrived(now);
        stock.limits = *limits;
        let fits = |held: &&mut Held| {
            held.left(now) > 0 && held.version == limits.version && held.size.covers(size)
        };
        let granted = stock.blocks.iter_mut().find(fits).and_then(|held| {
            let grant = held.block.as_mut()?.take()?;
            held.uses.insert(grant.permit.ticket().clone());
            Some(grant)
        });
        stock.largest = stock.largest.or_larger(size);
        granted
    }

    /// What a request that got none asks for with its own message, for itself and those like it.
    pub fn ask_with(
        &mut self,
        kind: &Kind,
        size: Size,
        random: [u8; 16],
        now: Instant,
    ) -> Option<Ask> {
        let stock = self.stocks.get_mut(kind)?;
        // Its own permit is one of those that are needed.
        let count = stock.want(now)?.saturating_sub(1);
        (count > 0).then(|| stock.ask(kind, count, size, random, now))
    }

    /// Whether more permits of some kind are wanted so soon that the question should not wait for anything.
    #[must_use]
    pub fn is_low(&self, now: Instant) -> bool {
        let mut stocks = self.stocks.values();
        stocks.any(|stock| stock.largest.prompt_bytes > 0 && stock.want(now).is_some())
    }

    /// What is asked for with the settlements of a server: for the kind that needs most.
    pub fn ask_of(
        &mut self,
        server_id: &str,
        random: [u8; 16],
        now: Instant,
    ) -> Option<(Kind, Ask)> {
        let of_server = self.stocks.iter_mut();
        let of_server = of_server
            .filter(|(kind, stock)| kind.server_id == server_id && stock.largest.prompt_bytes > 0);
        let wanted = of_server.filter_map(|(kind, stock)| Some((stock.want(now)?, kind, stock)));
        let (count, kind, stock) = wanted.max_by_key(|(count, ..)| *count)?;
        let size = std::mem::replace(&mut stock.largest, Size::NOTHING);
        let ask = stock.ask(kind, count, size, random, now);
        Some((kind.clone(), ask))
    }

    /// The question for a block is answered, or given up. `was_repeated` says that an earlier call may have
    /// been heard: what it was granted and this answer does not bring is given back. False if nothing came.
    pub fn answered(
        &mut self,
        kind: &Kind,
        ask: &BlockId,
        block: Option<Block>,
        was_repeated: bool,
        now: Instant,
    ) -> bool {
        let Some(stock) = self.stocks.get_mut(kind) else {
            return false;
        };
        let Some(asked) = stock.asked.take_if(|asked| asked.block == *ask) else {
            // Given up before: what comes now is not used.
            let all = Unused {
                block: ask.clone(),
                first: 0,
                count: AHEAD_LEN_MAX,
            };
            let is_out = block.is_some() || was_repeated;
            let untold = self.untold(&kind.server_id);
            untold.unused.extend(is_out.then_some(all));
            return false;
        };
        let came = block.as_ref().map_or(0, Block::count);
        if was_repeated && came < asked.count {
            let lost = Unused {
                block: asked.block.clone(),
                first: came,
                count: asked.count.saturating_sub(came),
            };
            self.untold(&kind.server_id).unused.push(lost);
        }
        let Some(stock) = self.stocks.get_mut(kind) else {
            return false;
        };
        let Some(block) = block else {
            stock.quiet_until = now.saturating_add(REFUSED_PAUSE);
            return false;
        };
        stock.blocks.push(Held {
            id: asked.block,
            block: Some(block),
            size: asked.size,
            version: asked.version,
            came_at: now,
            usable_until: now.saturating_add(USABLE),
            uses: BTreeSet::new(),
        });
        true
    }

    /// A request that used a permit is over, or has it no more.
    pub fn ended(&mut self, kind: &Kind, ticket: &TicketId) {
        if let Some(stock) = self.stocks.get_mut(kind) {
            let mut blocks = stock.blocks.iter_mut();
            if let Some(held) = blocks.find(|held| held.id.number(ticket).is_some()) {
                held.uses.remove(ticket);
            }
            stock.blocks.retain(|held| held.due().is_some());
        }
    }

    /// A request that used a permit has left late; its server is told with what else there is to tell.
    pub fn left_late(&mut self, server_id: &str, ticket: TicketId) {
        self.untold(server_id).late.push(ticket);
    }

    /// Requests of this server have to wait, or it wants a pause: nobody goes ahead of them any more.
    pub fn close(&mut self, server_id: &str, now: Instant) {
        let of_server = self.stocks.iter_mut();
        for (_, stock) in of_server.filter(|(kind, _)| kind.server_id == server_id) {
            stock.quiet_until = now.saturating_add(REFUSED_PAUSE);
            for held in &mut stock.blocks {
                held.usable_until = held.usable_until.min(now);
            }
        }
    }

    /// Servers that are to be told something by now.
    #[must_use]
    pub fn servers_due(&self, now: Instant) -> BTreeSet<String> {
        let is_due = |stock: &Stock| {
            let mut blocks = stock.blocks.iter();
            blocks.any(|held| held.due().is_some_and(|due| due <= now))
        };
        let stocks = self.stocks.iter().filter(|(_, stock)| is_due(stock));
        let untold = self.untold.keys().cloned();
        let due = stocks.map(|(kind, _)| kind.server_id.clone());
        due.chain(untold).collect()
    }

    /// When something is to be told of a block; `None` = never again.
    #[must_use]
    pub fn due(&self, kind: &Kind, id: &BlockId) -> Option<Instant> {
        let mut blocks = self.stocks.get(kind)?.blocks.iter();
        blocks.find(|held| held.id == *id)?.due()
    }

    /// What a server is to be told by now, at most what one message takes; it is told once.
    pub fn words(&mut self, server_id: &str, now: Instant) -> Words {
        let mut words = self.untold.remove(server_id).unwrap_or_default();
        for (kind, stock) in &mut self.stocks {
            if kind.server_id != server_id {
                continue;
            }
            for held in &mut stock.blocks {
                let is_over = held.usable_until <= now;
                if is_over && let Some(block) = held.block.take() {
                    words.unused.extend(block.into_unused());
                }
                if held.came_at.saturating_add(REPORT_AFTER) <= now {
                    words.uses.extend(std::mem::take(&mut held.uses));
                }
            }
            stock.blocks.retain(|held| held.due().is_some());
        }
        let part = WORDS_LEN_MAX / 3;
        let rest = Words {
            late: words.late.split_off(part.min(words.late.len())),
            uses: words.uses.split_off(part.min(words.uses.len())),
            unused: words.unused.split_off(part.min(words.unused.len())),
        };
        self.put_back(server_id, rest);
        words
    }

    /// What could not be told is told later.
    pub fn put_back(&mut self, server_id: &str, words: Words) {
        if words != Words::default() {
            let untold = self.untold(server_id);
            untold.late.extend(words.late);
            untold.uses.extend(words.uses);
            untold.unused.extend(words.unused);
        }
    }

    fn untold(&mut self, server_id: &str) -> &mut Words {
        self.untold.entry(server_id.to_owned()).or_default()
    }

    fn stock(&mut self, kind: &Kind, now: Instant) -> Option<&mut Stock> {
        if !self.stocks.contains_key(kind) {
            if self.stocks.len() >= KINDS_LEN_MAX {
                self.stocks.retain(|_, stock| !stock.is_idle(now));
            }
            if self.stocks.len() >= KINDS_LEN_MAX {
                return None;
            }
            let stock = Stock {
                rate: Rate::default(),
                largest: Size::NOTHING,
                limits: Limits::default(),
                asked: None,
                quiet_until: Instant::default(),
                blocks: Vec::new(),
            };
            self.stocks.insert(kind.clone(), stock);
        }
        self.stocks.get_mut(kind)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
