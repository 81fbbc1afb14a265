//! 收尾的发送：攒下的结算与日志行。
//!
//! Sends what [`gateway::tail`] has gathered, from inside the task of one of the requests that are over. It
//! decides neither what gathers nor who sends.

use futures::future::{join, join_all};
use gateway::tail::{Settlement, Then};
use worker::Delay;

use crate::clock::now;
use crate::isolate::Isolate;
use crate::log;

/// To be awaited by every request of the data plane at its very end, inside its `wait_until`.
pub(crate) async fn see_off(isolate: &Isolate) {
    let then = isolate.tail.borrow_mut().then(now());
    match then {
        Then::Done => return,
        Then::Gather => Delay::from(gateway::tail::GATHERING).await,
        Then::Send => {}
    }
    let gathered = isolate.tail.borrow_mut().take();
    let settling = gathered
        .settlements
        .iter()
        .map(|(server_id, settlements)| settle(isolate, server_id, settlements));
    let printing = async {
        for line in &gathered.lines {
            gateway_durable::print_line(line);
        }
    };
    join(join_all(settling), printing).await;
}

/// In one call; each by itself where that fails, so that one which cannot be read costs no other.
async fn settle(isolate: &Isolate, server_id: &str, settlements: &[Settlement]) {
    let client = &isolate.admission;
    if client.settle_all(server_id, settlements).await.is_ok() {
        return;
    }
    for Settlement { request_id, settle } in settlements {
        if let Err(error) = client.settle(server_id, settle).await {
            log::limiter_error(request_id, "settle", &error);
        }
    }
}
