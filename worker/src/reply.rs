//! 对客户端的答复：未开始时是响应，已开始时在流内。
//!
//! What the client has been sent so far. As long as nothing was sent, an answer is a response with
//! its own status; once a stream has begun (progress of the queue), everything else is told in it.

use admission::Progress;
use futures::channel::oneshot;
use futures::future::{Either, select};
use gateway::config::Secret;
use gateway::error::{ErrorCode, GatewayError};
use gateway::journal::HeldAnswer;
use gateway::observer;
use gateway::progress;
use gateway_durable::Pipe;
use wasm_bindgen::{JsCast, JsValue};
use worker::Delay;
use worker::web_sys::{self, ReadableStreamDefaultReader};
use worker::{Headers, Response, ResponseBody, Result};

use crate::client::ClientGone;
use crate::http::{Trail, error_response};
use crate::log;
use crate::stream::read_chunk;
use crate::upstream::{Head, response_headers};

/// See the module.
pub(crate) struct Reply {
    head: Option<oneshot::Sender<Result<web_sys::Response>>>,
    begun: Option<Pipe>,
    /// The status of the answer, and the code if it was a failure of the gateway.
    told: Option<(u16, Option<ErrorCode>)>,
}

/// An answer that was not passed on yet, because the request is tried again.
pub(crate) enum Held {
    /// What the upstream said. Its body is kept up to [`progress::ERROR_BODY_BYTES_MAX`] and waited for up to
    /// [`progress::ERROR_BODY_TIME_MAX`].
    Answer {
        status: u16,
        headers: Headers,
        body: Vec<u8>,
    },
    /// Why it could not be asked.
    Failure(GatewayError),
}

impl Held {
    /// What the client would be told.
    pub(crate) fn told(&self) -> HeldAnswer {
        match self {
            Self::Answer { status, .. } => HeldAnswer {
                status: *status,
                code: None,
            },
            Self::Failure(error) => HeldAnswer {
                status: error.status(),
                code: Some(error.code.as_str().to_owned()),
            },
        }
    }

    /// Reads a short answer, as far as it comes; the server's key is redacted in it.
    pub(crate) async fn of(response: Response, secret: Option<&Secret>) -> Result<Self> {
        let status = response.status_code();
        let headers = response_headers(response.headers(), secret)?;
        let body = match response.into_parts() {
            (_, ResponseBody::Stream(body)) => {
                read_short(&body.get_reader().unchecked_into()).await
            }
            _ => Vec::new(),
        };
        Ok(Self::Answer {
            status,
            headers,
            body: observer::redacted(body, secret),
        })
    }
}

/// What comes of a short body: within its bounds, and however it ends.
async fn read_short(reader: &ReadableStreamDefaultReader) -> Vec<u8> {
    let mut body = Vec::new();
    let mut bound = Delay::from(progress::ERROR_BODY_TIME_MAX);
    loop {
        let read = std::pin::pin!(read_chunk(reader));
        let Either::Left((Ok(Some(chunk)), _)) = select(read, &mut bound).await else {
            break;
        };
        body.extend_from_slice(&chunk.to_vec());
        if body.len() > progress::ERROR_BODY_BYTES_MAX {
            body.truncate(progress::ERROR_BODY_BYTES_MAX);
            break;
        }
    }
    // At its end there is nothing left to cancel, which costs nothing.
    drop(reader.cancel());
    body
}

impl Reply {
    pub(crate) fn new(head: oneshot::Sender<Result<web_sys::Response>>) -> Self {
        Self {
            head: Some(head),
            begun: None,
            told: None,
        }
    }

    /// What the client was answered, for the log; nothing while nobody could answer it.
    pub(crate) fn told(&self) -> Option<(u16, Option<ErrorCode>)> {
        self.told
    }

    /// The client gets an answer of the upstream with this status.
    pub(crate) fn answered(&mut self, status: u16) {
        self.told = Some((status, None));
    }

    /// Whether the client reads a stream already.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Sends the response. A client that has left does not take it, which costs nothing.
    pub(crate) fn send(&mut self, response: Result<web_sys::Response>) {
        if let Some(head) = self.head.take() {
            drop(head.send(response));
        }
    }

    /// The pipe for the body: of the stream that has begun, or of this response.
    pub(crate) fn stream(&mut self, head: &Head) -> std::result::Result<Pipe, JsValue> {
        if let Some(pipe) = &self.begun {
            return Ok(pipe.clone());
        }
        let (pipe, body) = Pipe::new()?;
        self.send(Ok(head.stream(&body)?));
        Ok(pipe)
    }

    /// Tells how the queue moves; the first time this begins the stream.
    pub(crate) async fn tell_progress(&mut self, now: Progress, trail: &Trail, gone: &ClientGone) {
        if self.begun.is_none()
            && let Err(error) = self.begin(trail)
        {
            return log::failed(
                &trail.request_id,
                &GatewayError::internal(error.to_string()),
            );
        }
        self.tell(&progress::comment(now.position, now.estimate), gone)
            .await;
    }

    fn begin(&mut self, trail: &Trail) -> Result<()> {
        let headers = Headers::new();
        for (name, value) in progress::HEADERS {
            headers.set(name, value)?;
        }
        trail.apply(&headers)?;
        let (pipe, body) = Pipe::new()?;
        let response = Response::builder().with_headers(headers).stream(body);
        self.send(Ok(response.into()));
        self.begun = Some(pipe);
        Ok(())
    }

    /// Answers with a failure of the gateway.
    pub(crate) async fn fail(&mut self, error: &GatewayError, trail: &Trail, gone: &ClientGone) {
        self.told = Some((error.status(), Some(error.code)));
        if self.begun.is_none() {
            return self.send(error_response(error, trail).map(Into::into));
        }
        log::failed(&trail.request_id, error);
        self.tell(&error.sse_event(&trail.request_id), gone).await;
        self.end(gone).await;
    }

    /// Passes on what was held back.
    pub(crate) async fn pass(&mut self, held: Held, trail: &Trail, gone: &ClientGone) {
        let (status, headers, body) = match held {
            Held::Failure(error) => return self.fail(&error, trail, gone).await,
            Held::Answer {
                status,
                headers,
                body,
            } => (status, headers, body),
        };
        self.answered(status);
        if self.begun.is_none() {
            let response = trail.apply(&headers).map(|()| {
                let builder = Response::builder().with_status(status);
                builder.with_headers(headers).fixed(body).into()
            });
            return self.send(response);
        }
        let event = progress::upstream_error_event(status, &body, &trail.request_id);
        self.tell(&event, gone).await;
        self.end(gone).await;
    }

    async fn tell(&self, text: &str, gone: &ClientGone) {
        if let Some(pipe) = &self.begun {
            // A client that has left is noticed by `gone`.
            let _told = gone.unless(pipe.write_bytes(text.as_bytes())).await;
        }
    }

    async fn end(&self, gone: &ClientGone) {
        if let Some(pipe) = &self.begun {
            let _ended = gone.unless(pipe.close()).await;
        }
    }
}
