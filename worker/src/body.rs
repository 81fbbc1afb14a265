//! 有上限地读取请求体。
//!
//! Reads a request body up to a bound. The JavaScript buffer is kept beside the copied bytes, so
//! that an unchanged body goes upstream without being copied back out of WebAssembly.

use gateway::error::{ErrorCode, GatewayError};
use gateway_durable::wait;
use js_sys::Uint8Array;
use wasm_bindgen::JsCast;
use worker::web_sys::{ReadableStreamDefaultReader, Request};
use worker::{Response, ResponseBody};

use crate::stream::read_chunk;

/// How much of a refused body is read and thrown away, so that its sender hears the refusal; beyond
/// that the connection is closed. Three times the default of `BODY_BYTES_MAX`.
const DISCARD_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A request body: one copy in WebAssembly to parse, one handle to send on.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) handle: Uint8Array,
}

/// Reads the whole body. `check` refuses a length: it is asked with the announced one before anything
/// is read, or with what has come so far.
pub(crate) async fn read(
    req: &Request,
    announced: Option<&str>,
    check: impl Fn(u64) -> Result<(), GatewayError>,
) -> Result<Body, GatewayError> {
    match announced.and_then(|length| length.parse().ok()) {
        Some(length) => match check(length) {
            Ok(()) => read_announced(req).await,
            Err(too_large) => {
                if let Some(stream) = req.body() {
                    discard(&stream.get_reader().unchecked_into()).await;
                }
                Err(too_large)
            }
        },
        None => read_chunked(req, check).await,
    }
}

async fn read_announced(req: &Request) -> Result<Body, GatewayError> {
    let promise = req.array_buffer().map_err(|error| broken(&error))?;
    let buffer = wait(&promise).await.map_err(|error| broken(&error))?;
    let handle = Uint8Array::new(&buffer);
    Ok(Body {
        bytes: handle.to_vec(),
        handle,
    })
}

async fn read_chunked(
    req: &Request,
    check: impl Fn(u64) -> Result<(), GatewayError>,
) -> Result<Body, GatewayError> {
    let mut bytes = Vec::new();
    if let Some(stream) = req.body() {
        let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
        while let Some(chunk) = read_chunk(&reader).await.map_err(|error| broken(&error))? {
            let length = u64::from(chunk.length()).saturating_add(bytes.len() as u64);
            if let Err(too_large) = check(length) {
                discard(&reader).await;
                return Err(too_large);
            }
            bytes.extend_from_slice(&chunk.to_vec());
        }
    }
    let handle = Uint8Array::from(bytes.as_slice());
    Ok(Body { bytes, handle })
}

/// Reads an answer of at most `bytes_max`; `None` if it is longer.
pub(crate) async fn read_response(
    response: Response,
    bytes_max: usize,
) -> worker::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    if let (_, ResponseBody::Stream(stream)) = response.into_parts() {
        let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
        while let Some(chunk) = read_chunk(&reader).await? {
            bytes.extend_from_slice(&chunk.to_vec());
            if bytes.len() > bytes_max {
                drop(reader.cancel());
                return Ok(None);
            }
        }
    }
    Ok(Some(bytes))
}

/// Reads on without keeping anything. The runtime closes a connection whose body was not read, and most
/// clients then report a broken pipe instead of the answer that tells them why.
async fn discard(reader: &ReadableStreamDefaultReader) {
    let mut discarded: u64 = 0;
    while discarded < DISCARD_BYTES_MAX {
        match read_chunk(reader).await {
            Ok(Some(chunk)) => discarded = discarded.saturating_add(chunk.length().into()),
            Ok(None) | Err(_) => return,
        }
    }
    drop(reader.cancel());
}

fn broken(error: &wasm_bindgen::JsValue) -> GatewayError {
    GatewayError::new(
        ErrorCode::InvalidJson,
        "The request body could not be read to its end; send it again.",
    )
    .detail(format!("{error:?}"))
}
