//! 旁观者：字节原样通过，看出用量、结束与密钥。
//!
//! Owns what happens to the bytes of an upstream's answer between upstream and client: usage is read, the
//! usage-only event that the gateway itself asked for is removed, the server's key is redacted. Nothing else
//! changes.
//!
//! Invariant: an answer without such an event and without the key comes out byte for byte, and mostly as the
//! very chunks that went in.

use crate::{
    config::Secret,
    endpoint::{Endpoint, UsageShape},
    inference::InferenceRequest,
    redact::Redactor,
    sse::EventStream,
    usage::{Observed, TextMeter, Told, UsageScanner},
};

/// What kind of answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Server-sent events.
    EventStream {
        /// Whose events they are.
        endpoint: Endpoint,
        /// Remove the usage-only event: the gateway asked for it, the client did not.
        strip_usage: bool,
    },
    /// One JSON document.
    Json {
        /// Whose answer it is.
        endpoint: Endpoint,
    },
    /// Anything else: only redacted.
    Opaque,
}

impl Kind {
    /// Of an answer as a whole: one that reports an error owes nobody an end marker, whatever its type.
    #[must_use]
    pub fn of_answer(status: u16, content_type: Option<&str>, request: &InferenceRequest) -> Self {
        match Self::of(content_type, request.endpoint, request.strips_usage()) {
            Self::EventStream { .. } if status >= 300 => Self::Opaque,
            kind => kind,
        }
    }

    /// By the answer's content type.
    fn of(content_type: Option<&str>, endpoint: Endpoint, strip_usage: bool) -> Self {
        let essence = content_type
            .and_then(|value| value.split(';').next())
            .unwrap_or_default()
            .trim();
        if essence.eq_ignore_ascii_case("text/event-stream") {
            match endpoint.stream_form() {
                Some(_) => Self::EventStream {
                    endpoint,
                    strip_usage,
                },
                None => Self::Opaque,
            }
        } else if essence.eq_ignore_ascii_case("application/json")
            || essence
                .rsplit_once('+')
                .is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"))
        {
            Self::Json { endpoint }
        } else {
            Self::Opaque
        }
    }
}

/// A whole answer with the server's key redacted.
#[must_use]
pub fn redacted(answer: Vec<u8>, secret: Option<&Secret>) -> Vec<u8> {
    let mut observer = Observer::new(Kind::Opaque, secret);
    let mut out = match observer.push(&answer) {
        Output::Same => answer,
        Output::Replace(bytes) => bytes,
    };
    out.extend(observer.finish().tail);
    out
}

/// What to forward for a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The chunk itself.
    Same,
    /// These bytes instead; possibly none.
    Replace(Vec<u8>),
}

/// What there is to do and to know at the end of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// Bytes that were held back and have to be sent still.
    pub tail: Vec<u8>,
    /// What to send, after `tail`, before an in-band error event, so that it begins an event of its own.
    pub separator: &'static str,
    /// The answer has its end marker, or needs none. `false` = send `upstream_stream_truncated`.
    pub complete: bool,
    /// What was seen of its cost.
    pub observed: Observed,
}

/// Watches one answer.
#[derive(Debug)]
pub struct Observer {
    answer: Answer,
    redactor: Option<Redactor>,
}

#[derive(Debug)]
enum Answer {
    EventStream(Box<EventStream>),
    Json(Box<Document>),
    Opaque,
}

/// One JSON document that passes by.
#[derive(Debug)]
struct Document {
    shape: UsageShape,
    usage: UsageScanner,
    text: TextMeter,
}

impl Document {
    fn new(endpoint: Endpoint) -> Self {
        let shape = endpoint.usage_shape();
        Self {
            shape,
            usage: UsageScanner::of_answer(shape),
            text: TextMeter::new(endpoint.text_keys()),
        }
    }

    fn push(&mut self, chunk: &[u8]) {
        self.usage.push(chunk);
        self.text.push(chunk);
    }

    fn observed(&self) -> Observed {
        let mut told = Told::default();
        told.all(self.usage.counts());
        Observed::new(self.shape, told, self.text.bytes())
    }
}

impl Observer {
    /// For an answer of this kind from a server with this key.
    #[must_use]
    pub fn new(kind: Kind, secret: Option<&Secret>) -> Self {
        let answer = match kind {
            Kind::EventStream {
                endpoint,
                strip_usage,
            } => EventStream::new(endpoint, strip_usage).map_or(Answer::Opaque, |stream| {
                Answer::EventStream(Box::new(stream))
            }),
            Kind::Json { endpoint } => Answer::Json(Box::new(Document::new(endpoint))),
            Kind::Opaque => Answer::Opaque,
        };
        Self {
            answer,
            redactor: secret.and_then(Redactor::new),
        }
    }

    /// Looks at a chunk; answers what to forward for it.
    pub fn push(&mut self, chunk: &[u8]) -> Output {
        let output = match &mut self.answer {
            Answer::EventStream(stream) => stream.push(chunk),
            Answer::Json(document) => {
                document.push(chunk);
                Output::Same
            }
            Answer::Opaque => Output::Same,
        };
        let Some(redactor) = &mut self.redactor else {
            return output;
        };
        match output {
            Output::Same => redactor.push(chunk),
            Output::Replace(bytes) => match redactor.push(&bytes) {
                Output::Same => Output::Replace(bytes),
                replaced @ Output::Replace(_) => replaced,
            },
        }
    }

    /// The end of the answer, also when it broke off. To be called once.
    pub fn finish(&mut self) -> Finish {
        let mut finish = Finish {
            tail: Vec::new(),
            separator: "",
            complete: true,
            observed: Observed::default(),
        };
        match &mut self.answer {
            Answer::EventStream(stream) => {
                let end = stream.finish();
                finish.tail = end.tail;
                finish.separator = if end.inside_event { "\n\n" } else { "" };
                finish.complete = end.done;
                finish.observed = end.observed;
            }
            Answer::Json(document) => finish.observed = document.observed(),
            Answer::Opaque => {}
        }
        if let Some(redactor) = &mut self.redactor {
            if let Output::Replace(bytes) = redactor.push(&finish.tail) {
                finish.tail = bytes;
            }
            finish.tail.extend(redactor.finish());
        }
        finish
    }

    /// Whether a comment may be put into the stream now: it is an event stream, and what has been
    /// forwarded ends with a whole event.
    #[must_use]
    pub fn is_between_events(&self) -> bool {
        let between =
            matches!(&self.answer, Answer::EventStream(stream) if stream.is_between_events());
        between && self.redactor.as_ref().is_none_or(Redactor::holds_nothing)
    }
}

#[cfg(test)]
mod endpoint_tests;
#[cfg(test)]
mod tests;
