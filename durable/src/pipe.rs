//! 字节管道：一端写，一端作为响应体。
//!
//! The runtime's own byte pipe: what is written at one end is the body of a response at the other.
//! Cheaper than a `TransformStream` with callbacks, and it notices a reader that has gone away.

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;
use web_sys::{ReadableStream, WritableStream, WritableStreamDefaultWriter};

use crate::wait::{Wait, wait};

#[wasm_bindgen]
extern "C" {
    type IdentityTransformStream;

    #[wasm_bindgen(constructor)]
    fn new() -> IdentityTransformStream;

    #[wasm_bindgen(method, getter)]
    fn readable(this: &IdentityTransformStream) -> ReadableStream;

    #[wasm_bindgen(method, getter)]
    fn writable(this: &IdentityTransformStream) -> WritableStream;
}

/// The writing end.
#[derive(Clone, Debug)]
pub struct Pipe {
    writer: WritableStreamDefaultWriter,
}

impl Pipe {
    /// A pipe and the stream to read from.
    pub fn new() -> Result<(Self, ReadableStream), JsValue> {
        let stream = IdentityTransformStream::new();
        let writer = stream.writable().get_writer()?;
        Ok((Self { writer }, stream.readable()))
    }

    /// Writes a chunk; resolves when the reader has taken it, fails when the reader is gone.
    pub async fn write(&self, chunk: &Uint8Array) -> Result<(), JsValue> {
        self.begin(chunk).await.map(drop)
    }

    /// Begins to write a chunk; what it returns settles as [`Pipe::write`].
    #[must_use]
    pub fn begin(&self, chunk: &Uint8Array) -> Wait {
        wait(&self.writer.write_with_chunk(chunk))
    }

    /// Writes bytes; as [`Pipe::write`].
    pub async fn write_bytes(&self, bytes: &[u8]) -> Result<(), JsValue> {
        self.write(&Uint8Array::from(bytes)).await
    }

    /// Ends the stream in order.
    pub async fn close(&self) -> Result<(), JsValue> {
        wait(&self.writer.close()).await.map(drop)
    }

    /// Breaks the stream off, so that its reader cannot take it for whole.
    pub fn abort(&self) {
        drop(self.writer.abort());
    }
}
