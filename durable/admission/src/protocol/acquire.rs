//! 请求许可：Worker 发给限流对象的消息。
//!
//! [`Acquire`]: a Worker asks for a permit, and brings the limits that it knows.
//!
//! Invariant: the texts are bounded on both sides. `encode` cuts a longer one, because they only
//! choose an estimate and label a log row and must never make a request fail; `decode` refuses it.

use super::line::{DecodeError, bounded, read, within, write};
use super::{Limits, TicketId};
use crate::time::{Instant, millis};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Longest app name, in bytes (PRODUCT.md §1: 1 to 64 ASCII characters).
pub const APP_LEN_MAX: usize = 64;
/// Longest id of a gateway key, in bytes.
pub const KEY_ID_LEN_MAX: usize = 64;
/// Longest model name, in bytes; the longest known today are below 128.
pub const MODEL_LEN_MAX: usize = 256;

/// Longest note, in bytes: what a log row says of a request has a bound of its own in each text.
pub const NOTE_LEN_MAX: usize = 1_024;

/// A request asks to go upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire {
    /// Identity of the request; the same when the call is repeated.
    pub ticket: TicketId,
    /// The caller's name.
    pub app: String,
    /// Which gateway key it used.
    pub key_id: String,
    /// The model it asks for.
    pub model: String,
    /// Bytes of the request body.
    pub prompt_bytes: u64,
    /// Most output tokens the client allows, all choices together; `None` = it did not say.
    pub output_tokens_max: Option<u64>,
    /// Longest wait the client accepts, counted from arrival; zero = do not queue.
    pub wait_max: Option<Duration>,
    /// When the request first arrived, if that was before this call: a re-entry after a restart
    /// of the object or after an upstream refusal. `None` = now.
    pub arrival: Option<Instant>,
    /// Upstream attempts made before this call. Unchanged when only the call is repeated: a live
    /// permit of the same attempt is handed out again, one of an earlier attempt is used up.
    pub attempt: u32,
    /// The upstream refused the earlier attempt with a 429 and asks not to be asked again for this
    /// long. Says three things at once: the permit of that attempt is used up (its request stays
    /// charged, its tokens are given back), the server pauses, and the request waits again at its
    /// old place. Meaningless where `attempt` has not grown, so that a repeated call changes
    /// nothing twice.
    pub pause: Option<Duration>,
    /// What the shell wants back when the request has ended, however it ends: kept with the waiter and
    /// with the permit, stored with them, never read. Longer than [`NOTE_LEN_MAX`] it is dropped.
    pub note: String,
    /// Version of the configuration snapshot of the calling Worker.
    pub config_version: u64,
    /// The server's limits as that snapshot has them.
    pub limits: Limits,
}

/// The request's own fields; the limits stand beside them on the same line.
#[derive(Serialize, Deserialize)]
struct AcquireLine {
    t: String,
    #[serde(default)]
    a: String,
    #[serde(default)]
    k: String,
    #[serde(default)]
    m: String,
    #[serde(default)]
    b: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    o: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    w: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    i: Option<u64>,
    #[serde(default)]
    n: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    z: Option<u64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    j: String,
    #[serde(default)]
    c: u64,
}

/// A note that is too long is none: half of it would mean nothing.
pub(super) fn note_within_bound(note: &str) -> String {
    if note.len() > NOTE_LEN_MAX {
        return String::new();
    }
    note.to_owned()
}

impl Acquire {
    /// The message as one line.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut line = write(&AcquireLine {
            t: self.ticket.as_str().to_owned(),
            a: bounded(&self.app, APP_LEN_MAX).to_owned(),
            k: bounded(&self.key_id, KEY_ID_LEN_MAX).to_owned(),
            m: bounded(&self.model, MODEL_LEN_MAX).to_owned(),
            b: self.prompt_bytes,
            o: self.output_tokens_max,
            w: self.wait_max.map(millis),
            i: self.arrival.map(Instant::as_millis),
            n: self.attempt,
            z: self.pause.map(millis),
            j: note_within_bound(&self.note),
            c: self.config_version,
        });
        line.push('&');
        line.push_str(&self.limits.encode());
        line
    }

    /// Reads a line. Required are the ticket (`t`) and the version of the limits (`lv`).
    pub fn decode(line: &str) -> Result<Self, DecodeError> {
        // The version stands with the limits and is checked first.
        let limits = Limits::decode(line)?;
        let wire: AcquireLine = read(line)?;
        within("app", &wire.a, APP_LEN_MAX)?;
        within("key_id", &wire.k, KEY_ID_LEN_MAX)?;
        within("model", &wire.m, MODEL_LEN_MAX)?;
        within("note", &wire.j, NOTE_LEN_MAX)?;
        Ok(Self {
            ticket: wire.t.try_into()?,
            app: wire.a,
            key_id: wire.k,
            model: wire.m,
            prompt_bytes: wire.b,
            output_tokens_max: wire.o,
            wait_max: wire.w.map(Duration::from_millis),
            arrival: wire.i.map(Instant::from_millis),
            attempt: wire.n,
            pause: wire.z.map(Duration::from_millis),
            note: wire.j,
            config_version: wire.c,
            limits,
        })
    }
}
