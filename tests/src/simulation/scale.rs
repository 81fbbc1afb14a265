//! 规模：许多地区、许多隔离区，对一个或几个对象；单个对象的容量有限。
//!
//! The simulation of one server at rates at which its object is the narrow place: isolates in five
//! regions, each at its own distance; objects that serve one call after the other, with the real core
//! inside. Owns the ways of spreading the work over calls and objects, and what is measured of them.
//! Owns no rule of admission, and nothing that the product does not do is called its behaviour.
//!
//! Three ways, and their mixtures: one call for each permit; permits granted ahead, a few with each
//! answer while the server is far from its limit; limits split over several objects, each with its
//! share of the limit and of the requests.
//!
//! Invariant: a run is a function of its plan, its seed and its length.

use core::time::Duration;

mod figures;
mod isolate;
mod judge;
mod plan;
mod shard;
mod table;
mod world;

pub use figures::Figures;
pub use judge::complaints;
pub use plan::{Plan, REGIONS, Size};
pub use table::{block, read, renewed};

use super::WINDOW;

/// Seed of the table in the documentation.
pub const SEED: u64 = 7;

/// Runs one plan: a window to warm up, then so many minutes that are measured.
pub fn run(plan: &Plan, seed: u64, minutes: u64) -> Figures {
    let until = WINDOW + Duration::from_mins(minutes);
    let mut world = world::World::new(plan, seed);
    world.run(until);
    figures::figures(plan, &world, WINDOW, until)
}
