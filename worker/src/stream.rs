//! 响应体的搬运与观察：原样送出，旁听用量。
//!
//! Moves an upstream body to the client chunk by chunk and lets [`gateway::observer::Observer`]
//! look at every chunk. A chunk that the observer leaves alone goes out as the very buffer that came
//! in. The pump runs inside `wait_until`, because a native pipe reports neither the end of a body
//! nor the departure of the client, and an in-band error event could not be appended to it.

use std::time::Duration;

use admission::Instant;
use futures::future::{Either, select};
use gateway::observer::{Observer, Output};
use gateway::settlement::ExchangeEnd;
use gateway::usage::Observed;
use gateway_durable::{Pipe, Wait, wait};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;
use worker::Delay;
use worker::web_sys::{self, ReadableStream, ReadableStreamDefaultReader};

use crate::client::ClientGone;
use crate::clock::now;
use crate::upstream::Head;

/// How long an event stream may be silent before it gets a comment. Cloudflare's edge cuts a stream
/// that is idle for minutes, other proxies after 60 s or 30 s.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// An SSE comment: every client ignores it.
const COMMENT: &[u8] = b": keep-alive\n\n";

/// What was learned from a body.
#[derive(Debug)]
pub(crate) struct Relayed {
    pub(crate) end: ExchangeEnd,
    pub(crate) observed: Observed,
    pub(crate) first_byte_at: Option<Instant>,
}

/// A pump between an upstream body and the client.
pub(crate) struct Relay {
    reader: ReadableStreamDefaultReader,
    client: Pipe,
    observer: Observer,
    first_byte_at: Option<Instant>,
}

impl Relay {
    /// A relay from an upstream body to the pipe that the client reads from.
    pub(crate) fn new(upstream: &ReadableStream, client: Pipe, observer: Observer) -> Self {
        Self {
            reader: upstream.get_reader().unchecked_into(),
            client,
            observer,
            first_byte_at: None,
        }
    }

    /// Pumps until the end. `silence_max` bounds the silence between two chunks. `error_event` is
    /// appended to an event stream that ends early; any other body that ends early is broken off,
    /// so that the client cannot take it for whole.
    pub(crate) async fn run(
        mut self,
        gone: &ClientGone,
        silence_max: Duration,
        error_event: Option<String>,
    ) -> Relayed {
        let mut end = self.pump(gone, silence_max).await;
        let finish = self.observer.finish();
        if end == ExchangeEnd::Complete && !finish.complete {
            end = ExchangeEnd::Truncated;
        }
        if end != ExchangeEnd::Complete {
            // The upstream stops producing what nobody will read.
            drop(self.reader.cancel());
        }
        let mut tail = finish.tail;
        match (end, error_event) {
            (ExchangeEnd::Complete, _) => {
                if !self.delivered(gone, &tail).await {
                    end = ExchangeEnd::ClientGone;
                }
            }
            (ExchangeEnd::Truncated, Some(event)) => {
                tail.extend_from_slice(finish.separator.as_bytes());
                tail.extend_from_slice(event.as_bytes());
                self.delivered(gone, &tail).await;
            }
            _ => self.client.abort(),
        }
        Relayed {
            end,
            observed: finish.observed,
            first_byte_at: self.first_byte_at,
        }
    }

    /// Sends the last bytes and closes; false when the client did not take them.
    async fn delivered(&self, gone: &ClientGone, tail: &[u8]) -> bool {
        gone.unless(self.close(tail))
            .await
            .is_some_and(|closed| closed.is_ok())
    }

    async fn pump(&mut self, gone: &ClientGone, silence_max: Duration) -> ExchangeEnd {
        let mut silence = Silence::new(silence_max.min(HEARTBEAT));
        // The client takes a chunk while the next one is read; there is never a second one on its way.
        let mut writing: Option<Wait> = None;
        loop {
            let read = self.next_chunk(gone, &mut silence, silence_max).await;
            if let Some(writing) = writing.take() {
                match gone.unless(writing).await {
                    Some(Ok(_taken)) => {}
                    Some(Err(_)) | None => return ExchangeEnd::ClientGone,
                }
            }
            let chunk = match read {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return ExchangeEnd::Complete,
                Err(end) => return end,
            };
            self.first_byte_at.get_or_insert_with(now);
            let out = match self.observer.push(&chunk.to_vec()) {
                Output::Same => chunk,
                Output::Replace(bytes) if bytes.is_empty() => continue,
                Output::Replace(bytes) => Uint8Array::from(bytes.as_slice()),
            };
            writing = Some(self.client.begin(&out));
        }
    }

    /// The upstream's next chunk. While it is silent, an event stream gets a comment now and then: it
    /// keeps the connection open on the way, and a client that has left is noticed by it.
    async fn next_chunk(
        &self,
        gone: &ClientGone,
        silence: &mut Silence,
        silence_max: Duration,
    ) -> Result<Option<Uint8Array>, ExchangeEnd> {
        let mut read = std::pin::pin!(read_chunk(&self.reader));
        loop {
            let heard = gone.unless(silence.watch(read.as_mut())).await;
            match heard.ok_or(ExchangeEnd::ClientGone)? {
                Heard::Sound(chunk) => return chunk.map_err(|_broken_off| ExchangeEnd::Truncated),
                Heard::SilenceOf(span) if span >= silence_max => {
                    return Err(ExchangeEnd::Truncated);
                }
                Heard::SilenceOf(_) => {
                    let comment = Uint8Array::from(COMMENT);
                    if self.observer.is_between_events() && !self.wrote(gone, &comment).await {
                        return Err(ExchangeEnd::ClientGone);
                    }
                }
            }
        }
    }

    /// Sends bytes to the client; false when it has gone away.
    async fn wrote(&self, gone: &ClientGone, bytes: &Uint8Array) -> bool {
        let written = gone.unless(self.client.write(bytes)).await;
        written.is_some_and(|written| written.is_ok())
    }

    async fn close(&self, tail: &[u8]) -> Result<(), JsValue> {
        if !tail.is_empty() {
            self.client.write_bytes(tail).await?;
        }
        self.client.close().await
    }
}

/// Measures silence with one timer per tick instead of one per chunk: a chunk only notes that it came.
/// So silence is measured in whole ticks, and noticed up to one tick late.
struct Silence {
    tick: Duration,
    timer: Delay,
    /// Something was heard since the timer was set.
    heard: bool,
    span: Duration,
}

enum Heard<T> {
    Sound(T),
    /// Nothing came for at least this long.
    SilenceOf(Duration),
}

impl Silence {
    fn new(tick: Duration) -> Self {
        Self {
            tick,
            timer: Delay::from(tick),
            heard: false,
            span: Duration::ZERO,
        }
    }

    async fn watch<F: Future + Unpin>(&mut self, mut work: F) -> Heard<F::Output> {
        loop {
            match select(&mut work, &mut self.timer).await {
                Either::Left((output, _)) => {
                    self.heard = true;
                    self.span = Duration::ZERO;
                    return Heard::Sound(output);
                }
                Either::Right(_) => {
                    self.timer = Delay::from(self.tick);
                    if !std::mem::take(&mut self.heard) {
                        self.span = self.span.saturating_add(self.tick);
                        return Heard::SilenceOf(self.span);
                    }
                }
            }
        }
    }
}

/// All bytes of an answer, unless it breaks off or takes longer than this after the timer that runs already.
pub(crate) async fn read_whole(
    response: &web_sys::Response,
    timer: Option<Delay>,
    silence_max: Duration,
) -> Result<Uint8Array, JsValue> {
    let mut reading = wait(&response.array_buffer()?);
    for timer in timer.into_iter().map(Some).chain([None]) {
        // Most are read before the timer of the response headers is over.
        let timer = timer.unwrap_or_else(|| Delay::from(silence_max));
        if let Either::Left((buffer, _)) = select(&mut reading, timer).await {
            return Ok(Uint8Array::new(&buffer?));
        }
    }
    Err(JsValue::NULL)
}

/// A response that ends before its body does.
pub(crate) fn broken_off(head: &Head) -> Result<web_sys::Response, JsValue> {
    let (pipe, body) = Pipe::new()?;
    pipe.abort();
    head.stream(&body)
}

#[wasm_bindgen]
extern "C" {
    /// What a reader reads.
    type Read;

    #[wasm_bindgen(method, getter)]
    fn value(this: &Read) -> Option<Uint8Array>;
}

/// The next chunk of a body, `None` at its end.
pub(crate) async fn read_chunk(
    reader: &ReadableStreamDefaultReader,
) -> Result<Option<Uint8Array>, JsValue> {
    let read: Read = wait(&reader.read()).await?.unchecked_into();
    Ok(read.value())
}
