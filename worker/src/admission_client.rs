//! 限流对象的客户端：类型化的调用，对象重启后重试。
//!
//! One typed call per message of [`admission::protocol`]. A call that the platform broke off and
//! calls retryable is made again with a new stub and the same ticket, which the object recognises;
//! an overloaded object is never asked again.

use std::time::Duration;

use admission::protocol::{Acquire, AcquireAnswer, Cancel, DecodeError, Limits, Live, Settle};
use gateway::error::{ErrorCode, GatewayError};
use gateway_durable::ANSWER_HEADER;
use js_sys::Reflect;
use wasm_bindgen::JsValue;
use worker::{Delay, ObjectNamespace};

/// How often one call is made in all; resets are rare and far apart.
const TRIES_MAX: u32 = 4;
/// Pause before a call is made again; the object needs about that long to come back.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

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

impl AdmissionClient {
    pub(crate) fn new(namespace: ObjectNamespace) -> Self {
        Self { namespace }
    }

    /// Waits for a permit: answers when granted or refused, however long that takes.
    pub(crate) async fn acquire(
        &self,
        server_id: &str,
        request: &Acquire,
    ) -> Result<AcquireAnswer, CallError> {
        let answer = self.call(server_id, "acquire", &request.encode()).await?;
        Ok(AcquireAnswer::decode(&answer)?)
    }

    /// Replaces the reservation of a permit by what was used; idempotent.
    pub(crate) async fn settle(&self, server_id: &str, settle: &Settle) -> Result<(), CallError> {
        self.call(server_id, "settle", &settle.encode())
            .await
            .map(drop)
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

    async fn call(
        &self,
        server_id: &str,
        operation: &str,
        message: &str,
    ) -> Result<String, CallError> {
        let url = format!("https://limiter/{operation}?{message}");
        let mut tries: u32 = 1;
        loop {
            match self.call_once(server_id, &url).await {
                Ok(answer) => return Ok(answer),
                Err(Fault::Overloaded) => return Err(CallError::Overloaded),
                Err(Fault::Retryable(_)) if tries < TRIES_MAX => {
                    tries = tries.saturating_add(1);
                    Delay::from(RETRY_PAUSE).await;
                }
                Err(Fault::Retryable(text) | Fault::Final(text)) => {
                    return Err(CallError::Failed(text));
                }
            }
        }
    }

    async fn call_once(&self, server_id: &str, url: &str) -> Result<String, Fault> {
        let stub = self.namespace.get_by_name(server_id)?;
        let mut response = stub.fetch_with_str(url).await?;
        if let Some(answer) = response.headers().get(ANSWER_HEADER)? {
            return Ok(answer);
        }
        let status = response.status_code();
        let text = response.text().await.unwrap_or_default();
        Err(Fault::Final(format!("limiter answered {status}: {text}")))
    }
}

/// What the platform said of a call that failed.
enum Fault {
    Overloaded,
    Retryable(String),
    Final(String),
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
