//! 收尾的发送：攒下的结算、日志行与预授许可的去向。
//!
//! Sends what [`gateway::tail`] and [`gateway::pool`] have gathered, from inside the task of one of the
//! requests that are over, and asks for permits ahead with it. It decides neither what gathers nor who sends.

use std::collections::BTreeSet;
use std::rc::Rc;

use admission::protocol::{Batch, BlockId};
use futures::future::{join, join_all};
use gateway::pool::{Kind, Words};
use gateway::tail::{Settlement, Then};
use worker::Delay;

use crate::clock::now;
use crate::isolate::Isolate;
use crate::{log, random};

/// To be awaited by every request of the data plane at its very end, inside its `wait_until`.
pub(crate) async fn see_off(isolate: &Rc<Isolate>) {
    let blocks = send(isolate).await;
    join_all(blocks.iter().map(|(kind, id)| attend(isolate, kind, id))).await;
}

/// Sees to it that what is left of a block is told in time. It has to be awaited inside a `wait_until`.
pub(crate) async fn attend(isolate: &Rc<Isolate>, kind: &Kind, id: &BlockId) {
    loop {
        let due = isolate.pool.borrow().due(kind, id);
        let Some(due) = due else { return };
        // Somebody else may be about to send it.
        let span = due.saturating_since(now()).max(gateway::tail::GATHERING);
        Delay::from(span).await;
        // What this one brings it does not ask for: nobody would attend to it.
        send_if_due(isolate).await;
    }
}

/// Sends everything if a server is to be told something by now. It has to be awaited to its end inside a
/// `wait_until`: what it takes it brings.
pub(crate) async fn send_if_due(isolate: &Rc<Isolate>) {
    if !isolate.pool.borrow().servers_due(now()).is_empty() {
        send_now(isolate, false).await;
    }
}

async fn send(isolate: &Rc<Isolate>) -> Vec<(Kind, BlockId)> {
    let is_low = isolate.pool.borrow().is_low(now());
    let then = isolate.tail.borrow_mut().then(is_low, now());
    match then {
        Then::Done => return Vec::new(),
        Then::Gather(round) => {
            Delay::from(gateway::tail::GATHERING).await;
            if !isolate.tail.borrow().is_gathering(round) {
                return Vec::new();
            }
        }
        Then::Send => {}
    }
    send_now(isolate, true).await
}

/// Returns the blocks that have come, which are to be attended to.
async fn send_now(isolate: &Rc<Isolate>, asks: bool) -> Vec<(Kind, BlockId)> {
    let mut gathered = isolate.tail.borrow_mut().take();
    let mut servers: BTreeSet<String> = isolate.pool.borrow().servers_due(now());
    servers.extend(gathered.settlements.keys().cloned());
    let telling = servers.into_iter().map(|server_id| {
        let settlements = gathered.settlements.remove(&server_id).unwrap_or_default();
        async move { tell(isolate, &server_id, settlements, asks).await }
    });
    let telling = join_all(telling.collect::<Vec<_>>());
    let printing = async {
        for line in &gathered.lines {
            gateway_durable::print_line(line);
        }
    };
    let (blocks, ()) = join(telling, printing).await;
    blocks.into_iter().flatten().collect()
}

/// In one call; each settlement by itself where that fails, so that one which cannot be read costs no other.
async fn tell(
    isolate: &Isolate,
    server_id: &str,
    settlements: Vec<Settlement>,
    asks: bool,
) -> Option<(Kind, BlockId)> {
    let client = &isolate.admission;
    let random = random::bytes().ok().filter(|_| asks);
    let (words, question) = {
        let mut pool = isolate.pool.borrow_mut();
        let question = random.and_then(|random| pool.ask_of(server_id, random, now()));
        (pool.words(server_id, now()), question)
    };
    let (ids, settles): (Vec<String>, Vec<_>) = settlements
        .into_iter()
        .map(|settlement| (settlement.request_id, settlement.settle))
        .unzip();
    let batch = Batch {
        late: words.late,
        settles,
        uses: words.uses,
        unused: words.unused,
    };
    if batch.is_empty() && question.is_none() {
        return None;
    }
    let ask = question.as_ref().map(|(_, ask)| ask);
    let (told, ahead) = client.carry_out(server_id, &batch, ask).await;
    let attended = question.and_then(|(kind, ask)| {
        let mut pool = isolate.pool.borrow_mut();
        let came = pool.answered(&kind, &ask.block, ahead.block, ahead.was_repeated, now());
        came.then_some((kind, ask.block))
    });
    if told.is_err() {
        for (request_id, settle) in ids.iter().zip(&batch.settles) {
            if let Err(error) = client.settle(server_id, settle).await {
                log::limiter_error(request_id, "settle", &error);
            }
        }
        let words = Words {
            late: batch.late,
            uses: batch.uses,
            unused: batch.unused,
        };
        isolate.pool.borrow_mut().put_back(server_id, words);
    }
    attended
}
