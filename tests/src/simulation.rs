//! 离散事件仿真：真核心，虚拟时间，一个种子。
//!
//! A discrete-event simulation of the way of requests: clients, Worker isolates, the object with
//! the real core, a provider with a limiter of its own. Owns everything around the core, at the
//! boundary where the shells stand in production, and what is measured at the provider. Owns no
//! rule of admission.
//!
//! ```text
//! clients ─► isolates ══ acquire, accepted, settle, cancel ══► object (core, timer, storage)
//!                │                                                │
//!                └── request, after the grant ──► provider ◄── record, judged afterwards
//! ```
//!
//! Invariant: a run is a function of its scenario, its seed and its length.

use core::time::Duration;

use admission::Instant;
use admission::protocol::TicketId;

mod agenda;
mod chance;
pub mod documented;
mod measure;
mod network;
mod object;
mod order;
mod provider;
pub mod scale;
mod scenario;
mod storage;
mod table;
mod workload;
mod world;

pub use measure::Figures;
pub use scenario::Scenario;
pub use table::{columns, table};

/// Seed of the table in the documentation.
pub const SEED: u64 = 3;

/// Windows that are measured, in the documentation and by the bounds of the tests.
pub const MINUTES: u64 = 10;

/// What limits are per.
pub(crate) const WINDOW: Duration = Duration::from_mins(1);

/// Where the virtual time begins, in milliseconds since the Unix epoch; a date of no meaning.
const EPOCH_MS: u64 = 1_800_000_000_000;

/// Runs one scenario: a window to warm up, then so many minutes that are measured.
pub fn run(scenario: &Scenario, seed: u64, minutes: u64) -> Vec<Figures> {
    let until = WINDOW + Duration::from_mins(minutes);
    let mut world = world::World::new(scenario, seed);
    world.run(until);
    measure::figures(scenario, &mut world, WINDOW, until)
}

/// The clock of the object: whole milliseconds, rounded down.
fn instant(now: Duration) -> Instant {
    Instant::from_millis(EPOCH_MS + now.as_millis() as u64)
}

/// The virtual time of an instant of the object.
fn time(at: Instant) -> Duration {
    Duration::from_millis(at.as_millis().saturating_sub(EPOCH_MS))
}

fn ticket(request: usize) -> TicketId {
    TicketId::try_from(format!("r{request}")).expect("a letter and digits are a ticket id")
}
