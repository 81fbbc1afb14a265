//! 事件流：切分事件、认出结束、取出用量、去掉只有用量的块。
//!
//! Owns how a stream of server-sent events is cut into events at any chunking, and what the gateway looks for
//! in them: the end of the stream, usage, and how much text came. How an endpoint's events tell it, says
//! [`crate::endpoint`]. Events themselves are forwarded byte for byte, and parsed only where they can carry usage.
//!
//! Lines end with LF, CRLF or CR and an empty line ends an event (HTML standard, section 9.2.6).
//!
//! Invariant: output, usage and completeness do not depend on how the stream was cut into chunks.

use std::borrow::Cow;

use memchr::{memchr2, memmem::Finder};

use crate::{
    endpoint::{self, Endpoint, EventMeaning, StreamForm, UsageShape},
    observer::Output,
    usage::{self, Observed, TextMeter, Told, UsageScanner},
};

/// Longest event that is looked into. A longer one is passed on unread, in bounded memory.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Follows one event stream.
#[derive(Debug)]
pub(crate) struct EventStream {
    form: StreamForm,
    shape: UsageShape,
    /// Remove usage-only events; events are then held back until they are complete.
    strip_usage: bool,
    /// The beginning of an event whose end has not come yet.
    partial: Vec<u8>,
    boundary: Boundary,
    /// The current event is too long to be read; its beginning has been forwarded.
    oversize: bool,
    /// Looks for the usage of an event that is too long to be held, but may be the last one.
    long_end: Option<LongEnd>,
    done: bool,
    told: Told,
    text: TextMeter,
    usage_key: Finder<'static>,
}

/// An event that is not held and may be the last one.
#[derive(Debug)]
struct LongEnd {
    scanner: UsageScanner,
    /// It is the last one by its name.
    is_named: bool,
}

/// What is left to do at the end of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StreamEnd {
    pub(crate) tail: Vec<u8>,
    /// The stream ended inside an event.
    pub(crate) inside_event: bool,
    pub(crate) done: bool,
    pub(crate) observed: Observed,
}

impl EventStream {
    /// `None` for an endpoint that has no streams.
    pub(crate) fn new(endpoint: Endpoint, strip_usage: bool) -> Option<Self> {
        Some(Self {
            form: endpoint.stream_form()?,
            shape: endpoint.usage_shape(),
            strip_usage,
            partial: Vec::new(),
            boundary: Boundary::default(),
            oversize: false,
            long_end: None,
            done: false,
            told: Told::default(),
            text: TextMeter::new(endpoint.stream_text_keys()),
            usage_key: Finder::new("\"usage\""),
        })
    }

    /// What to forward for this chunk.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Output {
        if self.partial.is_empty() && !self.oversize {
            let Events { removed, end } = self.whole_events(chunk);
            self.partial
                .extend_from_slice(chunk.get(end..).unwrap_or_default());
            if !self.strip_usage || (removed.is_empty() && end == chunk.len()) {
                self.shed_oversize();
                return Output::Same;
            }
            let mut out = without(chunk.get(..end).unwrap_or(chunk), &removed);
            out.extend(self.shed_oversize());
            return Output::Replace(out);
        }
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(chunk);
        let Events { removed, end } = self.whole_events(&joined);
        let mut out = Vec::new();
        if self.strip_usage {
            out = without(joined.get(..end).unwrap_or(&joined), &removed);
        }
        joined.drain(..end.min(joined.len()));
        self.partial = joined;
        out.extend(self.shed_oversize());
        if self.strip_usage {
            Output::Replace(out)
        } else {
            Output::Same
        }
    }

    /// The end of the stream. Without a final empty line the last event still counts.
    pub(crate) fn finish(&mut self) -> StreamEnd {
        let last = std::mem::take(&mut self.partial);
        let is_over = self.boundary.ends_event(&last);
        let inside = (self.oversize || !last.is_empty()) && !is_over;
        let is_readable = !last.is_empty() && (is_over || !self.oversize);
        let removed = is_readable && self.observe(&last, is_over) && self.strip_usage;
        StreamEnd {
            tail: if self.strip_usage && !removed {
                last
            } else {
                Vec::new()
            },
            inside_event: inside && !removed,
            done: self.done,
            observed: self.observed(),
        }
    }

    /// Whether what has been forwarded ends with a whole event, so that something may be put in.
    pub(crate) const fn is_between_events(&self) -> bool {
        !self.oversize && (self.strip_usage || self.partial.is_empty())
    }

    /// What is known of the cost by now.
    pub(crate) fn observed(&self) -> Observed {
        Observed::new(self.shape, self.told, self.text.bytes())
    }

    /// Looks into every complete event of `bytes`, which begin where an event begins or goes on.
    fn whole_events(&mut self, bytes: &[u8]) -> Events {
        let mut events = Events {
            removed: Vec::new(),
            end: 0,
        };
        while let Some(rest) = bytes.get(events.end..)
            && let Some(len) = self.boundary.event_end(rest)
        {
            let event = rest.get(..len).unwrap_or(rest);
            let next = events.end.saturating_add(len);
            if self.observe(event, true) && self.strip_usage {
                events.removed.push((events.end, next));
            }
            events.end = next;
        }
        events
    }

    /// Takes from one event what the gateway wants to know; answers whether it is usage-only. `is_over` unless
    /// the stream ended within it.
    fn observe(&mut self, event: &[u8], is_over: bool) -> bool {
        if std::mem::take(&mut self.oversize) {
            self.end_long_event(event);
            return false;
        }
        if event.len() > EVENT_BYTES_MAX {
            self.begin_long_event(event);
            self.end_long_event(&[]);
            return false;
        }
        let data = data(event);
        self.text.begin();
        self.text.push(&data);
        match self.form {
            StreamForm::Chunks => self.observe_chunk(event, &data),
            StreamForm::Named(events) => {
                let is_whole = || is_over || usage::type_of(&data).is_some();
                if let Some(meaning) = meaning(events, event, &data)
                    && is_whole()
                {
                    self.observe_named(meaning, event, &data);
                }
                false
            }
        }
    }

    fn observe_chunk(&mut self, event: &[u8], data: &[u8]) -> bool {
        self.done |= data == b"[DONE]";
        if !self.mentions_usage(event) {
            return false;
        }
        let Some(found) = usage::of_event(self.shape, data) else {
            return false;
        };
        // Some providers repeat a running total in every chunk: the last one counts.
        self.told.all(found.counts);
        found.usage_only
    }

    fn observe_named(&mut self, meaning: EventMeaning, event: &[u8], data: &[u8]) {
        self.done |= meaning == EventMeaning::End;
        if !self.mentions_usage(event) {
            return;
        }
        let found = usage::of_event(self.shape, data);
        if let Some(counts) = found.and_then(|found| found.counts) {
            // Later counts are totals up to there; what they leave out stands as it was told before.
            let before = self.told.counts.unwrap_or_default();
            self.told = Told {
                counts: Some(counts.or(before)),
                is_final: self.told.is_final || meaning != EventMeaning::Begin,
            };
        }
    }

    /// The last event of a response repeats all of its output, so it may be longer than what is held.
    fn begin_long_event(&mut self, beginning: &[u8]) {
        let StreamForm::Named(events) = self.form else {
            return;
        };
        let name = last_field(beginning, b"event");
        let is_end = name.map(|name| endpoint::meaning(events, name) == Some(EventMeaning::End));
        // Without a name only the usage in it can tell.
        if self.shape == UsageShape::Response && is_end.unwrap_or(true) {
            let mut scanner = UsageScanner::of_response_event();
            scanner.push(beginning);
            self.long_end = Some(LongEnd {
                scanner,
                is_named: name.is_some(),
            });
        }
    }

    fn end_long_event(&mut self, rest: &[u8]) {
        let Some(LongEnd {
            mut scanner,
            is_named,
        }) = self.long_end.take()
        else {
            return;
        };
        scanner.push(rest);
        let counts = scanner.counts();
        self.done |= is_named || counts.is_some();
        self.told.all(counts);
    }

    /// Whether a parse is worth it. With `include_usage` OpenAI puts `"usage":null` into every other chunk.
    fn mentions_usage(&self, event: &[u8]) -> bool {
        self.usage_key.find_iter(event).any(|at| {
            let after = event
                .get(at.saturating_add(self.usage_key.needle().len())..)
                .unwrap_or_default();
            let value = after
                .trim_ascii_start()
                .strip_prefix(b":")
                .unwrap_or_default();
            !value.trim_ascii_start().starts_with(b"null")
        })
    }

    /// Gives up holding an event that has grown too long. Answers the bytes that need not be held any more.
    fn shed_oversize(&mut self) -> Vec<u8> {
        if !self.oversize && self.partial.len() <= EVENT_BYTES_MAX {
            return Vec::new();
        }
        let begins = !std::mem::replace(&mut self.oversize, true);
        let kept = self
            .partial
            .split_off(self.boundary.forget_searched().min(self.partial.len()));
        let shed = std::mem::replace(&mut self.partial, kept);
        if begins {
            self.begin_long_event(&shed);
        } else if let Some(long) = &mut self.long_end {
            long.scanner.push(&shed);
        }
        if self.strip_usage { shed } else { Vec::new() }
    }
}

/// The complete events at the beginning of some bytes.
struct Events {
    /// From and to of the events to leave out.
    removed: Vec<(usize, usize)>,
    /// Where the first incomplete event begins.
    end: usize,
}

fn without(bytes: &[u8], removed: &[(usize, usize)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for (start, end) in removed {
        out.extend_from_slice(bytes.get(from..*start).unwrap_or_default());
        from = *end;
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
    out
}

/// Where the current event ends. Remembers how far it has looked, so that no byte is searched twice.
#[derive(Debug)]
struct Boundary {
    /// Where the current line begins; `None` = before the bytes at hand.
    line_start: Option<usize>,
    searched: usize,
}

impl Default for Boundary {
    fn default() -> Self {
        Self {
            line_start: Some(0),
            searched: 0,
        }
    }
}

impl Boundary {
    /// The length of the first event in `bytes`, its empty line included.
    fn event_end(&mut self, bytes: &[u8]) -> Option<usize> {
        loop {
            let Some(offset) = memchr2(b'\n', b'\r', bytes.get(self.searched..)?) else {
                self.searched = bytes.len();
                return None;
            };
            let at = self.searched.saturating_add(offset);
            let next = match (bytes.get(at), bytes.get(at.saturating_add(1))) {
                (Some(b'\r'), Some(b'\n')) => at.saturating_add(2),
                (Some(b'\r'), None) => {
                    // The line feed of a CRLF may still come, and belongs to this event.
                    self.searched = at;
                    return None;
                }
                _ => at.saturating_add(1),
            };
            if self.line_start == Some(at) {
                *self = Self::default();
                return Some(next);
            }
            self.line_start = Some(next);
            self.searched = next;
        }
    }

    /// Whether the event is over after all, because no line feed follows its last carriage return.
    fn ends_event(&self, bytes: &[u8]) -> bool {
        self.line_start == Some(self.searched) && bytes.get(self.searched) == Some(&b'\r')
    }

    /// Makes the first byte not yet searched the first one at hand; answers how many are left behind.
    fn forget_searched(&mut self) -> usize {
        let searched = std::mem::take(&mut self.searched);
        self.line_start = (self.line_start == Some(searched)).then_some(0);
        searched
    }
}

/// What a named event means: by its name or, where a provider leaves the names out, by the type in its data.
fn meaning(
    events: &[(&'static str, EventMeaning)],
    event: &[u8],
    data: &[u8],
) -> Option<EventMeaning> {
    if let Some(name) = last_field(event, b"event") {
        return endpoint::meaning(events, name);
    }
    if !endpoint::mentions(events, data) {
        return None;
    }
    endpoint::meaning(events, usage::type_of(data)?)
}

/// The data of an event: its `data` fields, joined by line feeds.
fn data(event: &[u8]) -> Cow<'_, [u8]> {
    let mut values = fields(event, b"data");
    let first = values.next().unwrap_or_default();
    let Some(second) = values.next() else {
        return Cow::Borrowed(first);
    };
    // One buffer: an event of a mebibyte may have as many fields as fit into it.
    let mut joined = Vec::with_capacity(event.len());
    joined.extend_from_slice(first);
    for value in std::iter::once(second).chain(values) {
        joined.push(b'\n');
        joined.extend_from_slice(value);
    }
    Cow::Owned(joined)
}

/// The value that counts of a field that should come once.
fn last_field<'a>(event: &'a [u8], name: &'static [u8]) -> Option<&'a [u8]> {
    fields(event, name).last()
}

/// The values of a field, in order.
fn fields<'a>(event: &'a [u8], name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = event;
    let mut next_line = move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = after.get(1..).unwrap_or_default();
        Some(line)
    };
    std::iter::from_fn(move || {
        loop {
            let Some(after_name) = next_line()?.strip_prefix(name) else {
                continue;
            };
            match after_name.split_first() {
                None => return Some(after_name),
                Some((b':', value)) => return Some(value.strip_prefix(b" ").unwrap_or(value)),
                Some(_) => {}
            }
        }
    })
}
