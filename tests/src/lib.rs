//! 黑盒测试的地基：演示上游、网关进程、原始连接。
//!
//! Owns what more than one test target needs: the demo [`provider`], the
//! [`harness`] that starts a built gateway and talks to it, nothing of the
//! gateway's own rules. Invariant: nothing here waits by sleeping for a guessed
//! time; every wait ends with an event or fails with a bound and a reason.
//!
//! Running: `make build` first, then `cargo test -p gateway-tests --test native`
//! and `--test blackbox`. The black-box target needs the tools that `make setup`
//! installs (Node, workerd, wrangler, the Python environment in `.tools/venv`).

pub mod bench;
pub mod criteria;
pub mod faults;
pub mod harness;
pub mod provider;
pub mod simulation;
pub mod volumes;
