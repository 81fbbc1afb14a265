//! 黑盒测试：把构建好的网关当作外人来用。
//!
//! Starts gateways as users do (plain workerd behind the launcher of `make
//! serve`; `wrangler dev`) and speaks HTTP with them; what the gateway did is
//! judged at the demo provider. Of the scenarios, those that wait for a
//! window of a minute come first and all at once, the others a few at a time beside them, so that the
//! whole takes little more than the longest wait.
//!
//! Invariant: no test touches what another one made. A server, a model and a
//! provider belong to one test; whoever counts, lists or reorders everything
//! starts a gateway of its own.

mod admin;
mod answers;
mod backpressure;
mod clients;
mod configuration;
mod crowd;
mod dev;
mod fidelity;
mod immediate;
mod leaving;
mod limits;
mod overflow;
mod progress;
mod queue;
mod random;
mod refusals;
mod restart;
mod stage;
mod state;
mod streaming;
mod windows;

use std::process::ExitCode;

use gateway_tests::harness::{kill_everything, runtime};
use libtest_mimic::{Arguments, Trial};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// With this variable set (`make scenarios`) the scenarios run too: limits measured under load, crowds
/// of thousands, faults in mid-burst. They judge a wall clock to a quarter of a second, which a machine
/// that does something else at the same time cannot promise.
const SCENARIOS: &str = "SLUICE_SCENARIOS";

/// Tests beside the waiting ones: as many as keep two cores busy without starving a bound of a second.
const LIVELY_TESTS: usize = 3;

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
    let mut arguments = Arguments::from_args();
    raise_open_files();
    let (waiting, rough) = if std::env::var_os(SCENARIOS).is_some() {
        (
            joined([
                windows::trials(),
                limits::trials(),
                backpressure::waiting_trials(),
            ]),
            joined([restart::trials(), crowd::trials()]),
        )
    } else {
        (Vec::new(), Vec::new())
    };
    let threads = waiting.len() + LIVELY_TESTS;
    arguments.test_threads.get_or_insert(threads);
    let lively = [
        clients::trials(),
        streaming::trials(),
        queue::trials(),
        fidelity::trials(),
        answers::trials(),
        refusals::trials(),
        admin::trials(),
        configuration::trials(),
        state::trials(),
        random::trials(),
        immediate::trials(),
        leaving::trials(),
        backpressure::trials(),
        overflow::trials(),
        progress::trials(),
        dev::trials(),
        rough,
    ];
    let trials = waiting
        .into_iter()
        .chain(lively.into_iter().flatten())
        .collect();
    runtime().spawn(end_when_interrupted());
    let conclusion = libtest_mimic::run(&arguments, trials);
    kill_everything();
    stage::sweep();
    conclusion.exit_code()
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
