//! 迟发：许可之后多久请求才真正上路。
//!
//! Watches how long after its grant a request really leaves, and tells the limiter when that was
//! later than the window's guard has room for.
//!
//! Between calling `fetch` and its bytes being on the way lies the event loop, which hundreds of other
//! requests may keep busy; and the clock stands still while code runs. So a timer runs beside the
//! `fetch`: when it fires, everything that was ready before it has run, and the clock has moved on. Where
//! even that was late, the loop is overfull and the timer itself proves little; the answer's headers do
//! prove that the request was there, so they are waited for, a second at most.

use std::time::Duration;

use admission::protocol::{Permit, SentLate};
use futures::channel::oneshot;
use futures::future::{Either, select};
use gateway::config::Server;
use gateway::upstream::{is_counted, is_sent_late};
use worker::Delay;

use crate::admission_client::CallError;
use crate::clock::now;
use crate::isolate::Isolate;

/// How long after a late sending its answer is taken as the proof of it. An upstream that thinks longer
/// than this was there before.
const PROOF_MAX: Duration = Duration::from_secs(1);

/// To be polled beside the sending, after it. `answered` ends when there is an answer or a failure; `watched`
/// hears of the timer.
pub(crate) async fn watch(
    isolate: &Isolate,
    server: &Server,
    permit: &Permit,
    answered: oneshot::Receiver<()>,
    watched: oneshot::Receiver<()>,
) -> Result<(), CallError> {
    if !is_counted(server) {
        return Ok(());
    }
    let answered = match select(answered, watched).await {
        // The answer is here already, so the request was there before.
        Either::Left(_) => None,
        Either::Right((_, answered)) => Some(answered),
    };
    if !is_sent_late(permit, server, now()) {
        return Ok(());
    }
    let late = SentLate {
        ticket: permit.ticket().clone(),
    };
    isolate.admission.sent_late(&server.id, &late).await?;
    if let Some(answered) = answered {
        select(answered, Delay::from(PROOF_MAX)).await;
        isolate.admission.sent_late(&server.id, &late).await?;
    }
    Ok(())
}
