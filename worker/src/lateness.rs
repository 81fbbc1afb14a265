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

use std::rc::Rc;
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
use crate::tail;

/// How long after a late sending its answer is taken as the proof of it. An upstream that thinks longer
/// than this was there before.
const PROOF_MAX: Duration = Duration::from_secs(1);

/// Who hears of it, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The limiter, in a call of its own.
    Called,
    /// The limiter, with what else there is to tell it: the charge leaves the window a minute from now at the
    /// earliest, so the moment for which others are waited does not matter.
    Gathered,
}

/// What is heard of one sending. Each channel speaks by ending.
pub(crate) struct Watch {
    /// There is an answer or a failure.
    pub(crate) answered: oneshot::Receiver<()>,
    /// The sending takes long.
    pub(crate) is_late: oneshot::Receiver<()>,
    /// The exchange is over.
    pub(crate) over: oneshot::Receiver<()>,
}

/// To be polled beside the sending, after it, to its end.
pub(crate) async fn watch(
    isolate: &Rc<Isolate>,
    server: &Server,
    permit: &Permit,
    report: Report,
    watch: Watch,
) -> Result<(), CallError> {
    let Watch {
        answered,
        is_late,
        mut over,
    } = watch;
    if !is_counted(server) {
        return Ok(());
    }
    let answered = match select(answered, is_late).await {
        // The answer is here already, so the request was there before.
        Either::Left(_) => None,
        Either::Right((_, answered)) => Some(answered),
    };
    if !is_sent_late(permit, server, now()) {
        return Ok(());
    }
    tell(isolate, server, permit, report, &mut over).await?;
    if let Some(answered) = answered {
        select(answered, Delay::from(PROOF_MAX)).await;
        tell(isolate, server, permit, report, &mut over).await?;
    }
    Ok(())
}

async fn tell(
    isolate: &Rc<Isolate>,
    server: &Server,
    permit: &Permit,
    report: Report,
    over: &mut oneshot::Receiver<()>,
) -> Result<(), CallError> {
    let ticket = permit.ticket().clone();
    match report {
        Report::Called => {
            let late = SentLate { ticket };
            isolate.admission.sent_late(&server.id, &late).await
        }
        Report::Gathered => {
            isolate.pool.borrow_mut().left_late(&server.id, ticket);
            // Where the exchange ends first, the end of its request tells it.
            let gathering = Delay::from(gateway::tail::GATHERING);
            if let Either::Left(_) = select(gathering, over).await {
                tail::send_if_due(isolate).await;
            }
            Ok(())
        }
    }
}
