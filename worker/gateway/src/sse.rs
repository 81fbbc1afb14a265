//! 事件流：切分事件、认出结束、取出用量、去掉只有用量的块。
//!
//! Owns how a stream of server-sent events is cut into events at any chunking, and what the gateway looks for
//! in them: the end marker `[DONE]` and usage. Events themselves are forwarded byte for byte.
//!
//! Lines end with LF, CRLF or CR and an empty line ends an event (HTML standard, section 9.2.6).
//!
//! Invariant: output, usage and completeness do not depend on how the stream was cut into chunks.

use std::borrow::Cow;

use memchr::{memchr2, memmem::Finder};

use crate::{
    observer::Output,
    usage::{self, Usage},
};

/// Longest event that is looked into. A longer one is passed on unread, in bounded memory.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Follows one event stream.
#[derive(Debug)]
pub(crate) struct EventStream {
    /// Remove usage-only events; events are then held back until they are complete.
    strip_usage: bool,
    /// The beginning of an event whose end has not come yet.
    partial: Vec<u8>,
    boundary: Boundary,
    /// The current event is too long to be read; its beginning has been forwarded.
    oversize: bool,
    done: bool,
    usage: Option<Usage>,
    finders: Finders,
}

#[derive(Debug)]
struct Finders {
    done: Finder<'static>,
    usage: Finder<'static>,
}

/// What is left to do at the end of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StreamEnd {
    pub(crate) tail: Vec<u8>,
    /// The stream ended inside an event.
    pub(crate) inside_event: bool,
    pub(crate) done: bool,
    pub(crate) usage: Option<Usage>,
}

impl EventStream {
    pub(crate) fn new(strip_usage: bool) -> Self {
        Self {
            strip_usage,
            partial: Vec::new(),
            boundary: Boundary::default(),
            oversize: false,
            done: false,
            usage: None,
            finders: Finders {
                done: Finder::new("[DONE]"),
                usage: Finder::new("\"usage\""),
            },
        }
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
        let inside = (self.oversize || !last.is_empty()) && !self.boundary.ends_event(&last);
        let removed = !last.is_empty() && self.observe(&last) && self.strip_usage;
        StreamEnd {
            tail: if self.strip_usage && !removed {
                last
            } else {
                Vec::new()
            },
            inside_event: inside && !removed,
            done: self.done,
            usage: self.usage,
        }
    }

    /// Whether what has been forwarded ends with a whole event, so that something may be put in.
    pub(crate) const fn is_between_events(&self) -> bool {
        !self.oversize && (self.strip_usage || self.partial.is_empty())
    }

    pub(crate) const fn usage(&self) -> Option<Usage> {
        self.usage
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
            if self.observe(event) && self.strip_usage {
                events.removed.push((events.end, next));
            }
            self.oversize = false;
            events.end = next;
        }
        events
    }

    /// Takes from one event what the gateway wants to know; answers whether it is usage-only.
    fn observe(&mut self, event: &[u8]) -> bool {
        if self.oversize || event.len() > EVENT_BYTES_MAX {
            return false;
        }
        if self.finders.done.find(event).is_some() && data(event).as_ref() == b"[DONE]" {
            self.done = true;
        }
        if !self.mentions_usage(event) {
            return false;
        }
        let Some(found) = usage::of_event(&data(event)) else {
            return false;
        };
        // Some providers repeat a running total in every chunk: the last one counts.
        self.usage = found.usage.or(self.usage);
        found.usage_only
    }

    /// Whether a parse is worth it. With `include_usage` OpenAI puts `"usage":null` into every other chunk.
    fn mentions_usage(&self, event: &[u8]) -> bool {
        self.finders.usage.find_iter(event).any(|at| {
            let after = event
                .get(at.saturating_add(self.finders.usage.needle().len())..)
                .unwrap_or_default();
            let value = after
                .trim_ascii_start()
                .strip_prefix(b":")
                .unwrap_or_default();
            !value.trim_ascii_start().starts_with(b"null")
        })
    }

    /// Gives up reading an event that has grown too long. Answers the bytes that need not be held any more.
    fn shed_oversize(&mut self) -> Vec<u8> {
        if !self.oversize && self.partial.len() <= EVENT_BYTES_MAX {
            return Vec::new();
        }
        self.oversize = true;
        let kept = self
            .partial
            .split_off(self.boundary.forget_searched().min(self.partial.len()));
        let shed = std::mem::replace(&mut self.partial, kept);
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

/// The data of an event: its `data` fields, joined by line feeds.
fn data(event: &[u8]) -> Cow<'_, [u8]> {
    let mut joined: Option<Cow<[u8]>> = None;
    let mut rest = event;
    while !rest.is_empty() {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = after.get(1..).unwrap_or_default();
        let value = match line.strip_prefix(b"data:") {
            Some(value) => value.strip_prefix(b" ").unwrap_or(value),
            None if line == b"data" => &[],
            None => continue,
        };
        joined = Some(match joined {
            None => Cow::Borrowed(value),
            Some(before) => Cow::Owned([&*before, value].join(&b'\n')),
        });
    }
    joined.unwrap_or_default()
}
