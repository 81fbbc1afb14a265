//! 安装版的启动器：在 workerd 上运行网关，无需 Node。
//!
//! Owns what an installed release needs besides workerd: one gateway per state directory, the line that says ready,
//! the cron, the end in bounded time, the question whether it lives, and new secrets. Decides nothing about requests.
//! `.make/serve.mjs` is its counterpart in a checkout. Only its own process and workerd are touched.

use std::process::ExitCode;

mod control;
mod lines;
mod secrets;
mod serve;
mod settings;

const USAGE: &str = "\
usage: sluice serve     run the gateway until SIGTERM or SIGINT
       sluice health    whether the gateway of HOST and PORT lives: status 0 if it does
       sluice secrets   new secrets, as lines for the file of settings
       sluice version
environment of serve and health: HOST (127.0.0.1), PORT (8787); of serve: STATE or STATE_DIRECTORY, and the
variables of the gateway, ADMIN_TOKEN and ENCRYPTION_KEY at least
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let lookup = |name: &str| std::env::var(name).ok();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve::run(lookup),
        ["health"] => settings::address(lookup).and_then(|address| control::is_alive(&address)),
        // Only `serve` starts it.
        ["watch", group] => serve::watch(group),
        ["secrets"] => secrets::print(),
        ["version"] => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}
