//! 向上游发送：超时、中止、复制头部。
//!
//! Sends one permitted request. [`gateway::upstream`] says where it goes and which headers travel;
//! this module only calls `fetch`, with a bound on the wait for response headers.

use std::borrow::Cow;

use futures::channel::oneshot;
use futures::future::{Either, select};
use gateway::config::Secret;
use gateway::headers::RequestHeaders;
use gateway::hops;
use gateway::redact::redacted_text;
use gateway::upstream::{
    SENDING_WATCHED, UpstreamRequest, named_in_connection, returns_response_header,
};
use gateway_durable::wait;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::{
    self, AbortController, ReadableStream, RequestInit, RequestRedirect, ResponseInit,
    WorkerGlobalScope,
};
use worker::{Delay, Headers};

use crate::client::ClientGone;
use crate::fields;
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

/// Response headers that have come, and the timer that was set for them. It goes on.
pub(crate) struct Sent {
    pub(crate) response: web_sys::Response,
    pub(crate) timer: Delay,
}

/// Sends the request and waits for the response headers. `unchanged` is the client's own buffer,
/// which goes out as it is when the rules have changed no byte; `hops` names the gateways on the way.
/// `watched` is told when the sending has taken [`SENDING_WATCHED`].
pub(crate) async fn send(
    request: &UpstreamRequest<'_>,
    client_headers: &RequestHeaders,
    hops: Option<&str>,
    unchanged: &Uint8Array,
    watched: Option<oneshot::Sender<()>>,
    gone: &ClientGone,
) -> Result<Sent, SendFailure> {
    let body = match &request.body {
        Cow::Borrowed(_) => unchanged.clone(),
        Cow::Owned(edited) => Uint8Array::from(edited.as_slice()),
    };
    let headers = request_headers(request, client_headers, hops)?;
    let controller = AbortController::new()?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    init.set_body(&body);
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&controller.signal()));
    // Straight to the platform: the wrapper's Request and Response ask it for ten things that nobody reads.
    let global: WorkerGlobalScope = js_sys::global().unchecked_into();
    let mut sending = wait(&global.fetch_with_str_and_init(&request.url, &init));
    // One timer after the other: most answers come before the first.
    let first = match &watched {
        Some(_) => SENDING_WATCHED.min(request.timeout),
        None => request.timeout,
    };
    let mut timer = Delay::from(first);
    let mut waited = gone.unless(select(&mut sending, &mut timer)).await;
    if let (Some(Either::Right(_)), Some(watched)) = (&waited, watched) {
        // Nobody watches any more only where the exchange is over.
        let _over = watched.send(());
        timer = Delay::from(request.timeout.saturating_sub(first));
        waited = gone.unless(select(&mut sending, &mut timer)).await;
    }
    let answer = match waited {
        Some(Either::Left((answer, _))) => Some(answer),
        Some(Either::Right(_)) => {
            controller.abort();
            return Err(SendFailure::Timeout);
        }
        None => None,
    };
    let Some(answer) = answer else {
        controller.abort();
        return Err(SendFailure::ClientGone);
    };
    Ok(Sent {
        response: answer?.unchecked_into(),
        timer,
    })
}

fn request_headers(
    request: &UpstreamRequest<'_>,
    client: &RequestHeaders,
    hops: Option<&str>,
) -> worker::Result<JsValue> {
    let own = hops.map(|hops| (hops::HEADER, hops)).into_iter();
    let credentials = request.credentials.iter();
    let own: Vec<(&str, &str)> = own
        .chain(credentials.map(|(name, value)| (&**name, value.expose())))
        .collect();
    let is_own = |name: &str| own.iter().any(|(own, _)| *own == name);
    let mut all: Vec<_> = client
        .forwarded()
        .filter(|(name, _)| !is_own(name))
        .collect();
    all.extend(&own);
    fields::init(&all)
}

/// The head of the client's response.
pub(crate) struct Head(ResponseInit);

impl Head {
    /// With the gateway's own headers. `fields` are the upstream's.
    pub(crate) fn new(
        status: u16,
        fields: Vec<(String, String)>,
        secret: Option<&Secret>,
        trail: &Trail,
    ) -> worker::Result<Self> {
        let headers = trail.beside(returned(fields, secret))?;
        let init = ResponseInit::new();
        init.set_status(status);
        init.set_headers(&headers);
        Ok(Self(init))
    }

    /// The answer that has these bytes.
    pub(crate) fn whole(&self, bytes: &Uint8Array) -> Result<web_sys::Response, JsValue> {
        web_sys::Response::new_with_opt_buffer_source_and_init(Some(bytes), &self.0)
    }

    /// The answer that reads this stream.
    pub(crate) fn stream(&self, body: &ReadableStream) -> Result<web_sys::Response, JsValue> {
        web_sys::Response::new_with_opt_readable_stream_and_init(Some(body), &self.0)
    }

    /// The answer without a body.
    pub(crate) fn empty(&self) -> Result<web_sys::Response, JsValue> {
        web_sys::Response::new_with_opt_str_and_init(None, &self.0)
    }
}

/// Headers of an upstream response that go on to the client, with the server's key redacted where one
/// quotes it; fetched headers are immutable, so they are always copied.
pub(crate) fn response_headers(
    upstream: &Headers,
    secret: Option<&Secret>,
) -> worker::Result<Headers> {
    fields::make(&returned(fields::read(upstream), secret))
}

fn returned(fields: Vec<(String, String)>, secret: Option<&Secret>) -> Vec<(String, String)> {
    let connection = fields.iter().find(|(name, _)| name == "connection");
    let connection = connection.map(|(_, value)| value.clone());
    let returned = fields.into_iter().filter(|(name, _)| {
        returns_response_header(name) && !named_in_connection(connection.as_deref(), name)
    });
    returned
        .map(|(name, value)| match redacted_text(&value, secret) {
            Cow::Borrowed(_) => (name, value),
            Cow::Owned(redacted) => (name, redacted),
        })
        .collect()
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
