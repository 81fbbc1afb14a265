//! 文档里的表：两个标记之间。
//!
//! Owns how a run stands in a document: seed and table between two markers, so that a test can
//! compare them with the run and the command can renew them.

use super::measure::Figures;
use super::table::table;

const BEGIN: &str = "<!-- simulation: begin -->\n";
const END: &str = "<!-- simulation: end -->";

/// What stands between the markers.
pub fn block(rows: &[Figures], seed: u64, minutes: u64) -> String {
    format!("\n`--seed {seed} --minutes {minutes}`\n\n{}\n", table(rows))
}

/// What stands between the markers of a document, if it has them.
pub fn read(document: &str) -> Option<String> {
    let (_, rest) = document.split_once(BEGIN)?;
    let (block, _) = rest.split_once(END)?;
    Some(block.to_owned())
}

/// The document with another block, if it has the markers.
pub fn renewed(document: &str, block: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{block}{END}{after}"))
}
