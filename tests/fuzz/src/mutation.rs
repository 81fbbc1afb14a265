//! 变异：从种子出发，确定地造出无穷多的输入。
//!
//! Owns the inputs of the short runs: a seed, spoiled in a few places, by a generator that a number
//! determines. No coverage guides it; that is what `make fuzz` is for.

/// Longest input that mutation grows to.
const LEN_MAX: usize = 4_096;

/// What parsers tend to trip over.
const TOKENS: &[&str] = &[
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\u{0}",
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "18446744073709551615",
    "9007199254740993",
    "\"usage\"",
    "\"model\"",
    "data: ",
    "event: ",
    "[DONE]",
    "\u{5b57}",
    "\\u0000",
    "\\ud800",
    "%",
    "%00",
    "&",
    "=",
    "+",
    ";",
    "..",
    "//",
    "@",
    "#",
    "?",
    "  ",
    "\t",
    "'",
    "nan",
];

/// An endless row of mutated inputs.
#[derive(Clone, Debug)]
pub struct Mutations {
    seeds: Vec<Vec<u8>>,
    state: u64,
}

impl Mutations {
    /// Of these seeds; the number determines the row.
    pub fn new(seeds: Vec<Vec<u8>>, number: u64) -> Self {
        Self {
            seeds,
            state: number,
        }
    }

    /// `SplitMix64`.
    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.bits() % (bound.max(1) as u64)) as usize
    }

    fn seed(&mut self) -> Vec<u8> {
        let at = self.below(self.seeds.len());
        self.seeds[at].clone()
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let end = (at + 1 + self.below(8)).min(bytes.len());
        match self.below(7) {
            0 => {
                let token = TOKENS[self.below(TOKENS.len())];
                bytes.splice(at..at, token.bytes());
            }
            1 => {
                let token = TOKENS[self.below(TOKENS.len())];
                bytes.splice(at..end.max(at), token.bytes());
            }
            2 if !bytes.is_empty() => {
                let at = at.min(bytes.len() - 1);
                bytes[at] = self.bits() as u8;
            }
            3 if !bytes.is_empty() => {
                let at = at.min(bytes.len() - 1);
                bytes[at] ^= 1 << self.below(8);
            }
            4 => {
                bytes.drain(at..end.max(at));
            }
            5 => {
                let other = self.seed();
                let from = self.below(other.len() + 1);
                let to = (from + self.below(64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let again = bytes[at..end.max(at)].to_vec();
                let times = 1 + self.below(20);
                bytes.splice(at..at, again.repeat(times));
            }
        }
        bytes.truncate(LEN_MAX);
    }
}

impl Iterator for Mutations {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = self.seed();
        for _ in 0..=self.below(6) {
            self.spoil(&mut bytes);
        }
        Some(bytes)
    }
}
