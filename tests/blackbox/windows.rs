//! 窗口：无论发生什么，任意 60 秒不超限。
//!
//! The scenarios of the promise that counts most: crowds, crashes, changes and
//! odd loads, each on a server of its own. Judged at the provider, over every
//! 60 s of the whole scenario. A limit is so small that the first burst fills the
//! window and the next requests go a minute later, so that every scenario crosses
//! the boundary at which a limiter that forgets or guesses lets too many through.

mod changes;
mod crashes;
mod crowds;
mod loads;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use gateway_tests::harness::Answer;
use gateway_tests::provider::WINDOW;
use libtest_mimic::Trial;
use tokio::task::JoinHandle;

use crate::stage::Stage;

/// Queue timeout of a waiter that is to live to see the next window: the window, what its guard
/// costs, the burst's own length and a rest.
const NEXT_WINDOW_MS: u64 = 75_000;

/// Bound of such a waiter.
const SLID: Duration = Duration::from_secs(90);

pub(crate) fn trials() -> Vec<Trial> {
    [
        crowds::trials(),
        crashes::trials(),
        changes::trials(),
        loads::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Numbered chats, each from a task of its own, all at once.
fn crowd(stage: &Stage<'_>, numbers: RangeInclusive<u64>) -> Vec<JoinHandle<Answer>> {
    numbers
        .map(|number| stage.numbered(number).bound(SLID).spawn())
        .collect()
}

/// How many were answered how: by status, errors of the gateway's own by code.
async fn tally(chats: Vec<JoinHandle<Answer>>) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for chat in chats {
        let answer = chat.await.expect("an answer");
        let code = answer.code_if_error();
        let how = if code.is_empty() {
            answer.status.to_string()
        } else {
            code
        };
        *tally.entry(how).or_default() += 1;
    }
    tally
}

/// All of them are served.
async fn all_served(chats: Vec<JoinHandle<Answer>>) {
    for chat in chats {
        chat.await.expect("an answer").expect(200);
    }
}

/// The promise itself. The printed line shows how near to the limit the scenario came.
#[track_caller]
fn keeps_window(stage: &Stage<'_>, limit: u64) {
    let ledger = stage.provider.ledger();
    let (all, most) = (ledger.chats().len(), ledger.most_requests_in(WINDOW));
    println!(
        "{}: {all} requests, at most {most} of {limit} in 60 s",
        stage.model
    );
    assert!(most <= limit, "{most} of {limit} in 60 s");
}

/// Nobody was sent upstream twice.
#[track_caller]
fn each_once(stage: &Stage<'_>) {
    let mut numbers = stage.served();
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), all, "each request once at the provider");
}
