//! 响应体的搬运与观察：原样送出，旁听用量。
//!
//! Moves an upstream body to the client chunk by chunk and lets [`gateway::observer::Observer`]
//! look at every chunk. A chunk that the observer leaves alone goes out as the very buffer that came
//! in. The pump runs inside `wait_until`, because a native pipe reports neither the end of a body
//! nor the departure of the client, and an in-band error event could not be appended to it.

use std::time::Duration;

use futures::future::{Either, select};
use gateway::observer::{Observer, Output};
use gateway::settlement::ExchangeEnd;
use gateway::usage::Usage;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::Delay;
use worker::web_sys::{
    ReadableStream, ReadableStreamDefaultReader, WritableStream, WritableStreamDefaultWriter,
};

use crate::client::ClientGone;

#[wasm_bindgen]
extern "C" {
    /// The runtime's own byte pipe: cheaper than a `TransformStream` with callbacks.
    type IdentityTransformStream;

    #[wasm_bindgen(constructor)]
    fn new() -> IdentityTransformStream;

    #[wasm_bindgen(method, getter)]
    fn readable(this: &IdentityTransformStream) -> ReadableStream;

    #[wasm_bindgen(method, getter)]
    fn writable(this: &IdentityTransformStream) -> WritableStream;
}

/// What was learned from a body.
#[derive(Debug)]
pub(crate) struct Relayed {
    pub(crate) end: ExchangeEnd,
    pub(crate) usage: Option<Usage>,
}

/// A pump between an upstream body and the client.
pub(crate) struct Relay {
    reader: ReadableStreamDefaultReader,
    writer: WritableStreamDefaultWriter,
    observer: Observer,
}

impl Relay {
    /// A relay and the stream that the client reads from.
    pub(crate) fn new(
        upstream: &ReadableStream,
        observer: Observer,
    ) -> Result<(Self, ReadableStream), JsValue> {
        let pipe = IdentityTransformStream::new();
        let reader = upstream.get_reader().unchecked_into();
        let writer = pipe.writable().get_writer()?;
        Ok((
            Self {
                reader,
                writer,
                observer,
            },
            pipe.readable(),
        ))
    }

    /// Pumps until the end. `stall_max` bounds the silence between two chunks. `error_event` is
    /// appended to an event stream that ends early; any other body that ends early is broken off,
    /// so that the client cannot take it for whole.
    pub(crate) async fn run(
        mut self,
        gone: &ClientGone,
        stall_max: Duration,
        error_event: Option<String>,
    ) -> Relayed {
        let mut end = self.pump(gone, stall_max).await;
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
            _ => drop(self.writer.abort()),
        }
        Relayed {
            end,
            usage: finish.usage,
        }
    }

    /// Sends the last bytes and closes; false when the client did not take them.
    async fn delivered(&self, gone: &ClientGone, tail: &[u8]) -> bool {
        gone.unless(self.close(tail))
            .await
            .is_some_and(|closed| closed.is_ok())
    }

    async fn pump(&mut self, gone: &ClientGone, stall_max: Duration) -> ExchangeEnd {
        let mut stalled = Stall::new(stall_max);
        loop {
            let Some(read) = gone.unless(stalled.watch(read_chunk(&self.reader))).await else {
                return ExchangeEnd::ClientGone;
            };
            let chunk = match read {
                Some(Ok(Some(chunk))) => chunk,
                Some(Ok(None)) => return ExchangeEnd::Complete,
                Some(Err(_)) | None => return ExchangeEnd::Truncated,
            };
            let out = match self.observer.push(&chunk.to_vec()) {
                Output::Same => chunk,
                Output::Replace(bytes) if bytes.is_empty() => continue,
                Output::Replace(bytes) => Uint8Array::from(bytes.as_slice()),
            };
            match gone.unless(write_chunk(&self.writer, &out)).await {
                Some(Ok(())) => {}
                Some(Err(_)) | None => return ExchangeEnd::ClientGone,
            }
        }
    }

    async fn close(&self, tail: &[u8]) -> Result<(), JsValue> {
        if !tail.is_empty() {
            write_chunk(&self.writer, &Uint8Array::from(tail)).await?;
        }
        JsFuture::from(self.writer.close()).await.map(drop)
    }
}

/// Notices silence with one timer per bound instead of one per chunk: a chunk only notes that it
/// came, so silence is noticed after one to two times the bound.
struct Stall {
    bound: Duration,
    timer: Delay,
    progressed: bool,
}

impl Stall {
    fn new(bound: Duration) -> Self {
        Self {
            bound,
            timer: Delay::from(bound),
            progressed: false,
        }
    }

    /// Runs `work`; `None` when the bound passed twice without anything finishing.
    async fn watch<F: Future>(&mut self, work: F) -> Option<F::Output> {
        let mut work = std::pin::pin!(work);
        loop {
            match select(work.as_mut(), &mut self.timer).await {
                Either::Left((output, _)) => {
                    self.progressed = true;
                    return Some(output);
                }
                Either::Right(_) if self.progressed => {
                    self.progressed = false;
                    self.timer = Delay::from(self.bound);
                }
                Either::Right(_) => return None,
            }
        }
    }
}

/// The next chunk of a body, `None` at its end.
pub(crate) async fn read_chunk(
    reader: &ReadableStreamDefaultReader,
) -> Result<Option<Uint8Array>, JsValue> {
    let result = JsFuture::from(reader.read()).await?;
    let value = Reflect::get(&result, &JsValue::from_str("value"))?;
    if value.is_undefined() {
        Ok(None)
    } else {
        value.dyn_into().map(Some)
    }
}

async fn write_chunk(
    writer: &WritableStreamDefaultWriter,
    chunk: &Uint8Array,
) -> Result<(), JsValue> {
    JsFuture::from(writer.write_with_chunk(chunk))
        .await
        .map(drop)
}
