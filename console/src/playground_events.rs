//! 事件流的切分：注释、事件、任意切块。
//!
//! Owns how the bytes of an answer become comments and events, by the rules of the HTML standard (section
//! 9.2.6): lines end with LF, CR LF or CR, an empty line ends an event, a line that begins with a colon is a
//! comment. Knows nothing of what they say (`playground_answer`).
//!
//! Invariant: what comes out does not depend on how the bytes were cut into chunks, and memory is bounded.

/// Longest event that is kept; the rest of a longer one is left out.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What a stream consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The text after the colon, without the space that may follow it.
    Comment(String),
    /// An event with its name (empty where none was given) and its data.
    Event {
        /// The last `event` line.
        name: String,
        /// All `data` lines, with line feeds between them.
        data: String,
    },
}

/// Cuts a stream into pieces.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_return: bool,
    past_start: bool,
    name: String,
    data: Vec<String>,
    kept: usize,
}

impl Parser {
    /// The pieces that this chunk completes.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for byte in chunk {
            let after_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' => pieces.extend(self.end_line()),
                b'\r' => {
                    self.after_return = true;
                    pieces.extend(self.end_line());
                }
                byte => {
                    if self.line.len().saturating_add(self.kept) < EVENT_BYTES_MAX {
                        self.line.push(*byte);
                    }
                }
            }
        }
        pieces
    }

    /// The end of the stream. An event without its empty line does not count, as in a browser; a comment does.
    pub fn finish(&mut self) -> Vec<Piece> {
        let last = self.end_line();
        last.into_iter()
            .filter(|piece| matches!(piece, Piece::Comment(_)))
            .collect()
    }

    fn end_line(&mut self) -> Option<Piece> {
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.past_start, true) && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.is_empty() {
            return self.end_event();
        }
        let text = String::from_utf8_lossy(&line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Some(Piece::Comment(value.to_owned())),
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.kept = self.kept.saturating_add(value.len());
                self.data.push(value.to_owned());
            }
            // `id`, `retry` and what nobody knows mean nothing here.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Piece> {
        self.kept = 0;
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        (!data.is_empty()).then(|| Piece::Event {
            name,
            data: data.join("\n"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Piece {
        Piece::Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    fn comment(text: &str) -> Piece {
        Piece::Comment(text.to_owned())
    }

    fn all(stream: &[u8], size: usize) -> Vec<Piece> {
        let mut parser = Parser::default();
        let mut pieces: Vec<Piece> = stream
            .chunks(size)
            .flat_map(|chunk| parser.push(chunk))
            .collect();
        pieces.extend(parser.finish());
        pieces
    }

    #[test]
    fn pieces_are_the_same_however_the_stream_is_cut_and_its_lines_end() {
        let stream = ": queued position=3 estimate_ms=1200\n\ndata: {\"a\":\"甲🌊\"}\n\nevent: error\ndata: one\ndata: two\n\n:keep-alive\n\ndata: [DONE]\n\n";
        let wanted = vec![
            comment("queued position=3 estimate_ms=1200"),
            event("", "{\"a\":\"甲🌊\"}"),
            event("error", "one\ntwo"),
            comment("keep-alive"),
            event("", "[DONE]"),
        ];
        for ending in ["\n", "\r\n", "\r"] {
            let bytes = stream.replace('\n', ending).into_bytes();
            for size in 1..=bytes.len() {
                assert_eq!(all(&bytes, size), wanted, "{ending:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        let stream = "\u{feff}data:no space\ndata:  two\nid: 7\nretry: 1\nwhat: ever\ndata\n\nevent: alone\n\ndata: x\n\n";
        assert_eq!(
            all(stream.as_bytes(), 5),
            [event("", "no space\n two\n"), event("", "x")]
        );
    }

    #[test]
    fn an_event_that_is_not_ended_does_not_count_and_a_comment_does() {
        assert_eq!(all(b"data: whole\n\ndata: half", 3), [event("", "whole")]);
        assert_eq!(all(b"data: half\n", 3), []);
        assert_eq!(all(b": last", 2), [comment("last")]);
    }

    #[test]
    fn an_endless_event_stays_in_bounded_memory_and_the_next_one_is_read() {
        let mut parser = Parser::default();
        let block = vec![b'x'; 64 * 1024];
        parser.push(b"data: ");
        for _ in 0..40 {
            parser.push(&block);
            assert!(parser.line.len() <= EVENT_BYTES_MAX);
        }
        for _ in 0..40 {
            parser.push(b"\ndata: ");
            parser.push(&block);
        }
        let kept: usize = parser.data.iter().map(String::len).sum();
        assert!(kept <= EVENT_BYTES_MAX);
        let pieces = parser.push(b"\n\ndata: next\n\n");
        assert_eq!(pieces.last(), Some(&event("", "next")));
        assert_eq!(pieces.len(), 2);
    }

    #[test]
    fn bytes_that_are_no_text_break_nothing() {
        assert_eq!(
            all(b"data: a\xff\xfeb\n\n", 1),
            [event("", "a\u{fffd}\u{fffd}b")]
        );
    }
}
