//! 排队进度：位置与估计等待，一行文本。
//!
//! [`Progress`] on its way to a Worker that tells its client how the queue moves.
//!
//! Invariant: a line of progress is never taken for an answer, which says granted or refused.

use super::line::{DecodeError, read, write};
use crate::Progress;
use crate::time::millis;
use core::time::Duration;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct ProgressLine {
    q: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<u64>,
}

impl Progress {
    /// The message as one line.
    #[must_use]
    pub fn encode(&self) -> String {
        write(&ProgressLine {
            q: self.position,
            e: self.estimate.map(millis),
        })
    }

    /// Reads a line. The position (`q`) is required, which no answer has.
    pub fn decode(line: &str) -> Result<Self, DecodeError> {
        let wire: ProgressLine = read(line)?;
        Ok(Self {
            position: wire.q,
            estimate: wire.e.map(Duration::from_millis),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::AcquireAnswer;

    #[test]
    fn progress_is_read_back_and_is_no_answer() {
        for progress in [
            Progress {
                position: 3,
                estimate: Some(Duration::from_millis(1_200)),
            },
            Progress {
                position: 1,
                estimate: None,
            },
        ] {
            let line = progress.encode();
            assert_eq!(Progress::decode(&line), Ok(progress));
            assert!(AcquireAnswer::decode(&line).is_err());
        }
        assert!(Progress::decode("s=g&t=x&g=1").is_err());
    }
}
