//! 限流对象的客户端：类型化的调用，对象重启后重试。
//!
//! One typed call per message of [`admission::protocol`]. A call that the platform broke off and
//! calls retryable is made again with a new stub and the same ticket, which the object recognises;
//! an overloaded object is never asked again.

use std::borrow::Cow;
use std::time::Duration;

use admission::protocol::{
    Accepted, Acquire, AcquireAnswer, Ask, Batch, Block, Cancel, DecodeError, Limits, Live,
    SentLate, Settle,
};
use admission::{Instant, Progress};
use futures::future::Either;
use gateway::attempts::{self, Attempt};
use gateway::error::{ErrorCode, GatewayError};
use gateway::metrics::Counters;
use gateway_durable::{ANSWER_HEADER, RESET, wait};
use js_sys::Promise;
use js_sys::Reflect;
use wasm_bindgen::prelude::*;
use worker::web_sys::{self, ReadableStream, ReadableStreamDefaultReader, RequestInit};
use worker::{Delay, ObjectNamespace, Response};

use crate::clock::now;
use crate::stream::read_chunk;

/// How often one call is made in all. The pauses add up to 3.2 s, in which an object that was reset or
/// moved is back.
const TRIES_MAX: u32 = 8;
/// Pause before the second try; it doubles with each further one.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

#[wasm_bindgen]
extern "C" {
    /// A stub as the platform has it: the wrapper's answers ask it for five things, of which one is read.
    type ObjectStub;

    #[wasm_bindgen(method, catch)]
    fn fetch(this: &ObjectStub, url: &str) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = fetch)]
    fn fetch_with_init(
        this: &ObjectStub,
        url: &str,
        init: &RequestInit,
    ) -> Result<Promise, JsValue>;
}

/// Calls to the object of a server.
pub(crate) struct AdmissionClient {
    namespace: ObjectNamespace,
}

/// Why a call brought no answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The object has more calls waiting than the platform lets it have.
    Overloaded,
    /// Everything else; the text is for the log.
    Failed(String),
}

/// What came of a question for permits ahead.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    pub(crate) block: Option<Block>,
    /// An earlier call may have been heard as well.
    pub(crate) was_repeated: bool,
}

impl Ahead {
    /// An answer that cannot be read is none; what it granted ends with its lease.
    fn read(&mut self, line: &str, ask: Option<&Ask>) {
        let read = ask.map(|ask| Block::decode(line, ask.block.clone()));
        self.block = read.and_then(|block| block.ok().flatten());
    }
}

impl AdmissionClient {
    pub(crate) fn new(namespace: ObjectNamespace) -> Self {
        Self { namespace }
    }

    /// Waits for a permit: answers when granted or refused, however long that takes. When the object
    /// restarts meanwhile, the request comes back to it with its ticket and the time of this call.
    pub(crate) async fn acquire(
        &self,
        server_id: &str,
        request: &Acquire,
        ask: Option<&Ask>,
    ) -> (Result<AcquireAnswer, CallError>, Ahead) {
        let mut ahead = Ahead::default();
        let answer = self
            .enter("acquire", server_id, request, ask, &mut ahead, async |_| {})
            .await;
        (answer, ahead)
    }

    /// As [`AdmissionClient::acquire`], and tells about every second how the queue moves.
    pub(crate) async fn watch(
        &self,
        server_id: &str,
        request: &Acquire,
        on_progress: impl AsyncFnMut(Progress),
    ) -> Result<AcquireAnswer, CallError> {
        let mut ahead = Ahead::default();
        self.enter("watch", server_id, request, None, &mut ahead, on_progress)
            .await
    }

    /// Says that the upstream took a probing request on.
    pub(crate) async fn accepted(
        &self,
        server_id: &str,
        accepted: &Accepted,
    ) -> Result<(), CallError> {
        self.call(server_id, "accepted", &accepted.encode())
            .await
            .map(drop)
    }

    /// Says that a request goes upstream only now, late after its grant.
    pub(crate) async fn sent_late(
        &self,
        server_id: &str,
        sent: &SentLate,
    ) -> Result<(), CallError> {
        self.call(server_id, "sent-late", &sent.encode())
            .await
            .map(drop)
    }

    /// Resets the object, for fault injection only. The reset ends this very call, so when it is over
    /// the old instance is gone.
    pub(crate) async fn reset(&self, server_id: &str) -> Result<(), CallError> {
        match self.call_once(server_id, "https://limiter/reset?").await {
            Err(Fault::Retryable(_)) => Ok(()),
            Err(Fault::Final(text)) if text.contains(RESET) => Ok(()),
            Err(Fault::Final(text)) => Err(CallError::Failed(text)),
            Err(Fault::Overloaded) => Err(CallError::Overloaded),
            Ok(_) => Err(CallError::Failed("the limiter was not reset".into())),
        }
    }

    /// Replaces the reservation of a permit by what was used; idempotent.
    pub(crate) async fn settle(&self, server_id: &str, settle: &Settle) -> Result<(), CallError> {
        self.call(server_id, "settle", &settle.encode())
            .await
            .map(drop)
    }

    /// What has gathered, in one call; each part may be told again by itself. Asks for permits ahead with it.
    pub(crate) async fn carry_out(
        &self,
        server_id: &str,
        batch: &Batch,
        ask: Option<&Ask>,
    ) -> (Result<(), CallError>, Ahead) {
        let query = ask.map(Ask::encode).unwrap_or_default();
        let url = format!("https://limiter/settles?{query}");
        let body = batch.encode();
        let mut ahead = Ahead::default();
        let mut tries = Tries::default();
        loop {
            let fault = match self.post_once(server_id, &url, &body).await {
                Ok(line) => {
                    ahead.read(&line, ask);
                    return (Ok(()), ahead);
                }
                Err(fault) => fault,
            };
            ahead.was_repeated = true;
            if let Err(error) = tries.after(fault).await {
                return (Err(error), ahead);
            }
        }
    }

    /// Takes a waiting ticket out of the queue.
    pub(crate) async fn cancel(&self, server_id: &str, cancel: &Cancel) -> Result<(), CallError> {
        self.call(server_id, "cancel", &cancel.encode())
            .await
            .map(drop)
    }

    /// Tells the object its server's new limits.
    pub(crate) async fn limits(&self, server_id: &str, limits: &Limits) -> Result<(), CallError> {
        self.call(server_id, "limits", &limits.encode())
            .await
            .map(drop)
    }

    /// What an operator wants to see of a server right now.
    pub(crate) async fn live(&self, server_id: &str) -> Result<Live, CallError> {
        Ok(Live::decode(&self.call(server_id, "live", "").await?)?)
    }

    /// What the requests of a server say in sums.
    pub(crate) async fn counters(&self, server_id: &str) -> Result<Counters, CallError> {
        let answer = self.call(server_id, "counters", "").await?;
        Counters::decode(&answer).map_err(|error| CallError::Failed(error.to_string()))
    }

    /// Counts a wrong credential, or asks how an address stands: until when it is refused.
    pub(crate) async fn attempt(&self, attempt: &Attempt) -> Result<Option<Instant>, CallError> {
        let object = attempt.address.object();
        let answer = self.call(&object, "attempt", &attempt.encode()).await?;
        Ok(attempts::decode_verdict(&answer))
    }

    async fn enter(
        &self,
        operation: &str,
        server_id: &str,
        request: &Acquire,
        ask: Option<&Ask>,
        ahead: &mut Ahead,
        mut on_progress: impl AsyncFnMut(Progress),
    ) -> Result<AcquireAnswer, CallError> {
        let beside = ask.map(Ask::encode_beside).unwrap_or_default();
        let called_at = now();
        let mut request = Cow::Borrowed(request);
        let mut tries = Tries::default();
        loop {
            let url = format!("https://limiter/{operation}?{}{beside}", request.encode());
            let fault = match self.enter_once(server_id, &url, &mut on_progress).await {
                Ok(line) => {
                    ahead.read(&line, ask);
                    return Ok(AcquireAnswer::decode(&line)?);
                }
                Err(fault) => fault,
            };
            ahead.was_repeated = true;
            tries.after(fault).await?;
            if request.arrival.is_none() {
                request.to_mut().arrival = Some(called_at);
            }
        }
    }

    async fn enter_once(
        &self,
        server_id: &str,
        url: &str,
        on_progress: &mut impl AsyncFnMut(Progress),
    ) -> Result<String, Fault> {
        let mut lines = match self.call_once(server_id, url).await? {
            Either::Left(answer) => return Ok(answer),
            Either::Right(body) => Lines::of(&body),
        };
        while let Some(line) = lines.next().await? {
            match Progress::decode(&line) {
                Ok(progress) => on_progress(progress).await,
                Err(_) => return Ok(line),
            }
        }
        Err(Fault::Retryable(
            "the limiter's progress ended early".into(),
        ))
    }

    async fn call(
        &self,
        server_id: &str,
        operation: &str,
        message: &str,
    ) -> Result<String, CallError> {
        let url = format!("https://limiter/{operation}?{message}");
        let mut tries = Tries::default();
        loop {
            match self.call_once(server_id, &url).await {
                Ok(Either::Left(answer)) => return Ok(answer),
                Ok(Either::Right(_)) => {
                    return Err(CallError::Failed(format!("{operation} answered no line")));
                }
                Err(fault) => tries.after(fault).await?,
            }
        }
    }

    async fn post_once(&self, server_id: &str, url: &str, body: &str) -> Result<String, Fault> {
        let init = RequestInit::new();
        init.set_method("POST");
        init.set_body(&body.into());
        let stub: ObjectStub = self.namespace.get_by_name(server_id)?.into_rpc();
        let call = stub.fetch_with_init(url, &init)?;
        let response: web_sys::Response = wait(&call).await?.unchecked_into();
        match response.headers().get(ANSWER_HEADER)? {
            Some(answer) => Ok(answer),
            None => Err(refusal_of_call(response.into()).await),
        }
    }

    /// One line, or a stream of them.
    async fn call_once(
        &self,
        server_id: &str,
        url: &str,
    ) -> Result<Either<String, ReadableStream>, Fault> {
        let stub: ObjectStub = self.namespace.get_by_name(server_id)?.into_rpc();
        let response: web_sys::Response = wait(&stub.fetch(url)?).await?.unchecked_into();
        if let Some(answer) = response.headers().get(ANSWER_HEADER)? {
            return Ok(Either::Left(answer));
        }
        if response.status() != 200 {
            return Err(refusal_of_call(response.into()).await);
        }
        let body = response.body().map(Either::Right);
        body.ok_or_else(|| Fault::Final("an answer without content".into()))
    }
}

async fn refusal_of_call(mut response: Response) -> Fault {
    let status = response.status_code();
    let text = response.text().await.unwrap_or_default();
    let text = format!("limiter answered {status}: {text}");
    if status == 503 {
        Fault::Retryable(text)
    } else {
        Fault::Final(text)
    }
}

/// Counts the tries of one call.
#[derive(Default)]
struct Tries {
    made: u32,
}

impl Tries {
    /// Waits before the next try, or says why there is none.
    async fn after(&mut self, fault: Fault) -> Result<(), CallError> {
        self.made = self.made.saturating_add(1);
        match fault {
            Fault::Overloaded => Err(CallError::Overloaded),
            Fault::Retryable(_) if self.made < TRIES_MAX => {
                let doublings = self.made.saturating_sub(1);
                Delay::from(RETRY_PAUSE.saturating_mul(2_u32.saturating_pow(doublings))).await;
                Ok(())
            }
            Fault::Retryable(text) | Fault::Final(text) => Err(CallError::Failed(text)),
        }
    }
}

/// Lines of a body as they arrive.
struct Lines {
    reader: ReadableStreamDefaultReader,
    pending: Vec<u8>,
}

/// A line is an answer of the protocol at most.
const LINE_BYTES_MAX: usize = admission::protocol::LINE_LEN_MAX;

impl Lines {
    fn of(body: &ReadableStream) -> Self {
        Self {
            reader: body.get_reader().unchecked_into(),
            pending: Vec::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<String>, Fault> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                return Ok(Some(text.trim_end().to_owned()));
            }
            if self.pending.len() > LINE_BYTES_MAX {
                return Err(Fault::Final("a line of progress is too long".into()));
            }
            match read_chunk(&self.reader).await {
                Ok(Some(chunk)) => self.pending.extend_from_slice(&chunk.to_vec()),
                Ok(None) => return Ok(None),
                Err(error) => {
                    // The object went away in the middle of its answer: the same as a broken call.
                    let text = worker::Error::from(error).to_string();
                    return Err(Fault::Retryable(text));
                }
            }
        }
    }
}

/// What the platform said of a call that failed.
enum Fault {
    Overloaded,
    Retryable(String),
    Final(String),
}

impl From<JsValue> for Fault {
    fn from(error: JsValue) -> Self {
        Self::from(worker::Error::from(error))
    }
}

impl From<worker::Error> for Fault {
    fn from(error: worker::Error) -> Self {
        let flag = |name: &str| match &error {
            worker::Error::UnknownJsError { original, .. } => {
                Reflect::get(original, &JsValue::from_str(name))
                    .is_ok_and(|value| value.is_truthy())
            }
            _ => false,
        };
        if flag("overloaded") {
            Self::Overloaded
        } else if flag("retryable") || flag("durableObjectReset") {
            Self::Retryable(error.to_string())
        } else {
            Self::Final(error.to_string())
        }
    }
}

impl From<DecodeError> for CallError {
    fn from(error: DecodeError) -> Self {
        Self::Failed(format!("limiter's answer: {error}"))
    }
}

impl From<CallError> for GatewayError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Overloaded => GatewayError::new(
                ErrorCode::ServerOverloaded,
                "The limiter of this server is overloaded; try again later.",
            ),
            CallError::Failed(detail) => GatewayError::internal(detail),
        }
    }
}
