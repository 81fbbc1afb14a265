//! 成功标准的命令行：量出 SC-001、SC-002、SC-003。
//!
//! Runs [`gateway_tests::bench::criteria`] on a gateway and a provider of its own, and fails where one is missed.
//! `make criteria` runs this and the tests that say the other three.

use std::process::ExitCode;

use gateway_tests::bench::{Stand, criteria};
use gateway_tests::harness::{kill_everything, runtime};

fn main() -> ExitCode {
    let is_met = runtime().block_on(async {
        let stand = Stand::start().await;
        let mut met = criteria::added_latency(&stand).await;
        met &= criteria::crowd(&stand).await;
        met & criteria::queued(&stand).await
    });
    kill_everything();
    if is_met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
