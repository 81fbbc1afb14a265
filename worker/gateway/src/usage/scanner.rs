//! 扫描器：在流过的 JSON 里找到用量对象。
//!
//! Follows the JSON of an answer while it passes by in pieces of any size, and captures the one object that the
//! path of keys leads to. Reads nothing else and holds nothing else.
//!
//! Invariant: memory is bounded, and the result does not depend on how the answer was cut.

use memchr::memchr2;

use super::Counts;
use crate::endpoint::UsageShape;

/// Largest usage object that is captured; real ones have a few hundred bytes.
pub(crate) const USAGE_BYTES_MAX: usize = 64 * 1024;

/// Finds the usage object at a path of keys from the root object.
///
/// It follows nesting and strings but validates nothing: the answer is the provider's.
#[derive(Debug)]
pub(crate) struct UsageScanner {
    shape: UsageShape,
    /// The last one is the key of the usage object.
    path: &'static [&'static str],
    /// How many keys of the path lead to where the scanner is.
    followed: usize,
    depth: usize,
    place: Place,
    level: Level,
    /// The first bytes of the latest key on the path, closing quote included.
    key: Vec<u8>,
    capture: Option<Vec<u8>>,
    counts: Option<Counts>,
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Structure,
    String,
    /// In a string, behind a backslash.
    Escape,
}

/// Where the scanner is in the object that the path has led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Level {
    #[default]
    Elsewhere,
    BeforeKey,
    InKey,
    AfterKey,
    /// Behind the colon of the path's next key.
    BeforeValue,
}

impl UsageScanner {
    /// For the usage at the top of a plain answer.
    pub(crate) fn of_answer(shape: UsageShape) -> Self {
        Self::at(shape, &["usage"])
    }

    /// For the usage of the response in a stream's event.
    pub(crate) fn of_response_event() -> Self {
        Self::at(UsageShape::Response, &["response", "usage"])
    }

    fn at(shape: UsageShape, path: &'static [&'static str]) -> Self {
        Self {
            shape,
            path,
            followed: 0,
            depth: 0,
            place: Place::default(),
            level: Level::default(),
            key: Vec::new(),
            capture: None,
            counts: None,
        }
    }

    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some((&byte, after)) = rest.split_first() {
            if self.place != Place::Structure {
                rest = self.string(rest);
            } else if self.is_off_the_path() {
                rest = self.skip(rest);
            } else {
                self.capture(&[byte]);
                self.structure(byte);
                rest = after;
            }
        }
    }

    /// What the last usage object said.
    pub(crate) const fn counts(&self) -> Option<Counts> {
        self.counts
    }

    /// The depth of the object that the path has led to.
    const fn level_depth(&self) -> usize {
        self.followed.saturating_add(1)
    }

    /// Deep in a value that is of no interest: vectors of an embedding are a million numbers.
    const fn is_off_the_path(&self) -> bool {
        self.capture.is_none() && self.depth > self.level_depth()
    }

    fn skip<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let next = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'));
        let Some((&byte, after)) = next
            .and_then(|at| rest.get(at..))
            .and_then(<[u8]>::split_first)
        else {
            return &[];
        };
        self.structure(byte);
        after
    }

    /// Consumes up to the next quote or backslash of a string; answers what is left.
    fn string<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let (len, place) = if self.place == Place::Escape {
            (1, Place::String)
        } else {
            match memchr2(b'"', b'\\', rest) {
                Some(at) if rest.get(at) == Some(&b'\\') => (at.saturating_add(1), Place::Escape),
                Some(at) => (at.saturating_add(1), Place::Structure),
                None => (rest.len(), Place::String),
            }
        };
        self.place = place;
        let (consumed, left) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        self.capture(consumed);
        if self.level == Level::InKey {
            // Quote and one byte more than the key are enough to tell a longer one.
            let wanted = self.wanted().len();
            let room = wanted.saturating_add(2).saturating_sub(self.key.len());
            self.key.extend(consumed.iter().take(room));
            if place == Place::Structure {
                self.level = Level::AfterKey;
            }
        }
        left
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.place = Place::String;
                if self.level == Level::BeforeKey {
                    self.level = Level::InKey;
                    self.key.clear();
                }
            }
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(),
            b':' if self.level == Level::AfterKey => {
                let is_wanted = self.key.strip_suffix(b"\"") == Some(self.wanted().as_bytes());
                self.level = if is_wanted {
                    Level::BeforeValue
                } else {
                    Level::Elsewhere
                };
            }
            b',' if self.depth == self.level_depth() => self.level = Level::BeforeKey,
            _ => {}
        }
    }

    fn open(&mut self, byte: u8) {
        let is_root = byte == b'{' && self.depth == 0;
        let mut is_level = is_root;
        if byte == b'{' && self.level == Level::BeforeValue {
            if self.level_depth() == self.path.len() {
                self.capture = Some(vec![byte]);
            } else {
                self.followed = self.followed.saturating_add(1);
                is_level = true;
            }
        }
        self.level = if is_level {
            Level::BeforeKey
        } else {
            Level::Elsewhere
        };
        self.depth = self.depth.saturating_add(1);
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == self.level_depth()
            && let Some(object) = self.capture.take()
        {
            self.counts = Counts::read(self.shape, &object);
        }
        if self.depth < self.level_depth() {
            self.followed = self.followed.saturating_sub(1);
            self.level = Level::Elsewhere;
        }
    }

    /// The key that leads on.
    fn wanted(&self) -> &'static str {
        self.path.get(self.followed).copied().unwrap_or_default()
    }

    fn capture(&mut self, bytes: &[u8]) {
        if let Some(object) = &mut self.capture {
            object.extend_from_slice(bytes);
            if object.len() > USAGE_BYTES_MAX {
                self.capture = None;
            }
        }
    }
}
