//! 黑盒测试：把构建好的网关当作外人来用。
//!
//! Starts gateways as users do (plain workerd behind the launcher of `make
//! serve`; `wrangler dev`) and speaks HTTP with them; what the gateway did is
//! judged at the demo provider. Four rounds: first what is quick, a few tests at
//! a time; then the crowd, alone; then whatever programs of others find, a tester
//! of APIs and a browser; last what waits for a window of a minute, all
//! at once, so that the round takes little more than the longest wait and
//! nothing else keeps the two cores busy while limits are measured.
//!
//! Invariant: no test touches what another one made. A server, a model and a
//! provider belong to one test; whoever counts, lists or reorders everything
//! starts a gateway of its own.

mod admin;
mod ahead;
mod answers;
mod availability;
mod backpressure;
mod canary;
mod clients;
mod configuration;
mod console;
mod crowd;
mod dev;
mod disk;
mod docs;
mod endpoints;
mod faults;
mod fidelity;
mod guide;
mod hardening;
mod identity;
mod immediate;
mod journal;
mod keys;
mod leaving;
mod ledger;
mod limits;
mod logs;
mod metrics;
mod mix;
mod openapi;
mod outage;
mod overflow;
mod progress;
mod propagation;
mod queue;
mod random;
mod refusals;
mod restart;
mod rotation;
mod soak;
mod stage;
mod state;
mod streaming;
mod usage;
mod windows;

use std::process::ExitCode;

use gateway_tests::harness::{kill_everything, runtime};
use libtest_mimic::{Arguments, Trial};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Quick tests at a time: as many as keep two cores busy without starving a bound of a second.
const LIVELY_TESTS: usize = 3;

/// Programs of others that keep a core busy for half a minute: as many as there are cores.
const OUTSIDE_TESTS: usize = 2;

/// Makes trials of async functions, each named after its module and itself.
macro_rules! trials {
    ($($name:ident),+ $(,)?) => {
        vec![$($crate::trial(concat!(module_path!(), "::", stringify!($name)), $name)),+]
    };
}
use trials;

fn trial<F: Future<Output = ()> + 'static>(path: &'static str, test: fn() -> F) -> Trial {
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    Trial::test(name, move || {
        runtime().block_on(test());
        Ok(())
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    raise_open_files();
    let lively = joined([
        clients::trials(),
        guide::trials(),
        streaming::trials(),
        queue::trials(),
        endpoints::trials(),
        fidelity::trials(),
        answers::trials(),
        refusals::trials(),
        hardening::trials(),
        admin::trials(),
        identity::trials(),
        configuration::trials(),
        docs::trials(),
        propagation::trials(),
        keys::trials(),
        rotation::trials(),
        outage::trials(),
        state::trials(),
        canary::trials(),
        logs::trials(),
        metrics::trials(),
        random::trials(),
        immediate::trials(),
        leaving::trials(),
        backpressure::trials(),
        overflow::trials(),
        progress::trials(),
        restart::trials(),
        usage::trials(),
        journal::trials(),
        ledger::trials(),
        ahead::trials(),
        faults::trials(),
        availability::trials(),
        soak::trials(),
        dev::trials(),
    ]);
    let waiting = joined([
        windows::trials(),
        limits::trials(),
        backpressure::waiting_trials(),
    ]);
    let outside = joined([
        openapi::trials(),
        docs::browser_trials(),
        console::browser_trials(),
    ]);
    let all_at_once = waiting.len();
    runtime().spawn(end_when_interrupted());
    let rounds = [
        (lively, LIVELY_TESTS),
        (crowd::trials(), 1),
        (outside, OUTSIDE_TESTS),
        (waiting, all_at_once),
    ];
    let failed = rounds.map(|(trials, threads)| {
        let mut arguments = arguments.clone();
        arguments.test_threads.get_or_insert(threads);
        libtest_mimic::run(&arguments, trials).has_failed()
    });
    kill_everything();
    stage::sweep();
    ExitCode::from(u8::from(failed.contains(&true)))
}

fn joined<const N: usize>(trials: [Vec<Trial>; N]) -> Vec<Trial> {
    trials.into_iter().flatten().collect()
}

/// A crowd needs a socket for each client, here and in the gateway, which inherits the limit.
fn raise_open_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where it cannot be raised, the crowd's own failure tells that it was too low.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

async fn end_when_interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    kill_everything();
    stage::sweep();
    std::process::exit(130);
}
