//! 向上游发送：超时、中止、复制头部。
//!
//! Sends one permitted request. [`gateway::upstream`] says where it goes and which headers travel;
//! this module only calls `fetch`, with a bound on the wait for response headers.

use std::borrow::Cow;

use futures::future::{Either, select};
use gateway::config::Secret;
use gateway::headers::RequestHeaders;
use gateway::hops;
use gateway::redact::redacted_text;
use gateway::upstream::{UpstreamRequest, named_in_connection, returns_response_header};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use worker::web_sys::AbortController;
use worker::{
    AbortSignal, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response,
    ResponseBody, ResponseBuilder,
};

use crate::client::ClientGone;
use crate::http::Trail;

/// Why no response came.
#[derive(Debug)]
pub(crate) enum SendFailure {
    /// No connection, or it broke before the response headers; the text is for the log.
    Unreachable(String),
    /// No response headers within the server's timeout.
    Timeout,
    /// The client went away first; the upstream connection was closed.
    ClientGone,
}

/// Sends the request and waits for the response headers. `unchanged` is the client's own buffer,
/// which goes out as it is when the rules have changed no byte; `hops` names the gateways on the way.
pub(crate) async fn send(
    request: &UpstreamRequest<'_>,
    client_headers: &RequestHeaders,
    hops: Option<&str>,
    unchanged: &Uint8Array,
    gone: &ClientGone,
) -> Result<Response, SendFailure> {
    let body = match &request.body {
        Cow::Borrowed(_) => unchanged.clone(),
        Cow::Owned(edited) => Uint8Array::from(edited.as_slice()),
    };
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(request_headers(request, client_headers, hops)?)
        .with_body(Some(body.into()))
        .with_redirect(RequestRedirect::Manual);
    let fetch = Fetch::Request(Request::new_with_init(&request.url, &init)?);
    let controller = AbortController::new()?;
    let signal = AbortSignal::from(controller.signal());
    let sending = std::pin::pin!(fetch.send_with_signal(&signal));
    match gone
        .unless(select(sending, Delay::from(request.timeout)))
        .await
    {
        Some(Either::Left((response, _))) => Ok(response?),
        Some(Either::Right(_)) => {
            controller.abort();
            Err(SendFailure::Timeout)
        }
        None => {
            controller.abort();
            Err(SendFailure::ClientGone)
        }
    }
}

fn request_headers(
    request: &UpstreamRequest<'_>,
    client: &RequestHeaders,
    hops: Option<&str>,
) -> worker::Result<Headers> {
    let headers = Headers::new();
    for (name, value) in client.forwarded() {
        headers.append(name, value)?;
    }
    if let Some(hops) = hops {
        headers.set(hops::HEADER, hops)?;
    }
    for (name, value) in &request.credentials {
        headers.set(name, value.expose())?;
    }
    Ok(headers)
}

/// The head of the client's response, with the gateway's own headers, and the upstream's body.
pub(crate) fn answer(
    response: Response,
    secret: Option<&Secret>,
    trail: &Trail,
) -> worker::Result<(ResponseBuilder, ResponseBody)> {
    let headers = response_headers(response.headers(), secret)?;
    trail.apply(&headers)?;
    let builder = Response::builder()
        .with_status(response.status_code())
        .with_headers(headers);
    let (_, body) = response.into_parts();
    Ok((builder, body))
}

/// Headers of an upstream response that go on to the client, with the server's key redacted where one
/// quotes it; fetched headers are immutable, so they are always copied.
pub(crate) fn response_headers(
    upstream: &Headers,
    secret: Option<&Secret>,
) -> worker::Result<Headers> {
    let headers = Headers::new();
    let connection = upstream.get("connection")?;
    for (name, value) in upstream.entries() {
        if returns_response_header(&name) && !named_in_connection(connection.as_deref(), &name) {
            headers.append(&name, &redacted_text(&value, secret))?;
        }
    }
    Ok(headers)
}

impl From<JsValue> for SendFailure {
    fn from(error: JsValue) -> Self {
        Self::from(worker::Error::from(error))
    }
}

impl From<worker::Error> for SendFailure {
    fn from(error: worker::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}
