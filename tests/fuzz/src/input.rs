//! 字节如何变成输入：先取几个选择，余下是正文。
//!
//! Owns how a target takes choices and texts from its bytes. A choice is one byte; texts are divided by line feeds
//! or by a byte that no UTF-8 text has. Knows no target.

/// The bytes of one input, as far as they are not used up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte; 0 where there is none.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// One of these.
    pub(crate) fn choice<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Everything that is left, as text.
    pub(crate) fn text(self) -> String {
        String::from_utf8_lossy(self.0).into_owned()
    }

    /// What is left, divided by line feeds.
    pub(crate) fn lines(self) -> Vec<String> {
        let lines = self.0.split(|byte| *byte == b'\n');
        lines
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    /// What is left, divided by bytes that no text has.
    pub(crate) fn parts(self) -> Vec<String> {
        let parts = self.0.split(|byte| *byte == 0xff);
        parts
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect()
    }
}

/// Whether the text occurs in the bytes exactly so often.
pub(crate) fn occurs(bytes: &[u8], text: &str, times: usize) -> bool {
    let windows = bytes.windows(text.len());
    windows.filter(|window| *window == text.as_bytes()).count() == times
}
