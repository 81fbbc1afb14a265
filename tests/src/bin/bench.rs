//! 测速的命令行。
//!
//! Runs the parts of [`gateway_tests::bench`] and prints their figures; `--only A,B` runs those parts only
//! (throughput comes always where latency is asked for). The lines at the end say how busy the machine was
//! with other work, because only ratios within one run can be compared.

use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

use gateway_tests::bench::figures::{heading, line};
use gateway_tests::bench::{Stand, busy, parts};
use gateway_tests::harness::{kill_everything, runtime};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const PARTS: [&str; 6] = [
    "throughput",
    "latency",
    "streams",
    "queue",
    "crowds",
    "wake-ups",
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let chosen: Vec<String> = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => PARTS.map(str::to_owned).into(),
        (Some("--only"), Some(names)) => names.split(',').map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let known = |name: &String| PARTS.contains(&name.as_str());
    if chosen.is_empty() || !chosen.iter().all(known) {
        eprintln!("bench [--only {}]", PARTS.join(","));
        return ExitCode::FAILURE;
    }
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where it cannot be raised, the crowd's own failure tells that it was too low.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    runtime().block_on(run(&chosen));
    kill_everything();
    ExitCode::SUCCESS
}

async fn run(chosen: &[String]) {
    let is_chosen = |name: &str| chosen.iter().any(|chosen| chosen == name);
    let stand = Stand::start().await;
    parts::warm_up(&stand).await;
    let (began, before, own) = (Instant::now(), busy(), stand.own_cpu());
    if is_chosen("throughput") || is_chosen("latency") {
        let rate = parts::throughput(&stand).await;
        if is_chosen("latency") {
            parts::latency_at_half_load(&stand, rate).await;
        }
    }
    if is_chosen("streams") {
        parts::streams(&stand).await;
    }
    if is_chosen("queue") {
        parts::queue(&stand).await;
    }
    if is_chosen("crowds") {
        parts::crowds(&stand).await;
    }
    if is_chosen("wake-ups") {
        parts::wake_ups(&stand).await;
    }
    let span = began.elapsed().as_secs_f64();
    let all = (busy().seconds - before.seconds) / span;
    let own = (stand.own_cpu() - own) / span;
    let cores = available_parallelism().map_or(0, usize::from);
    heading("the machine");
    line("cores", &cores.to_string(), &format!("{span:.0} s in all"));
    line("of them busy with this run", &format!("{own:.2}"), "");
    line(
        "with other work",
        &format!("{:.2}", (all - own).max(0.0)),
        "",
    );
}
