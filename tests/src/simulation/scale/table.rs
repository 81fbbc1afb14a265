//! 表格：写进文档，也由文档读回。
//!
//! Owns how the figures of the runs are written, and where they stand in a document: between two
//! markers, so that the command can renew and compare them.

use core::time::Duration;

use super::figures::Figures;
use super::plan::REGIONS;
use crate::simulation::table::laid_out;

const BEGIN: &str = "<!-- scale: begin -->\n";
const END: &str = "<!-- scale: end -->";

/// What stands between the markers.
pub fn block(rows: &[Figures], seed: u64, minutes: u64) -> String {
    format!("\n`--seed {seed} --minutes {minutes}`\n\n{}\n", table(rows))
}

/// What stands between the markers of a document, if it has them.
pub fn read(document: &str) -> Option<String> {
    let (_, rest) = document.split_once(BEGIN)?;
    Some(rest.split_once(END)?.0.to_owned())
}

/// The document with another block, if it has the markers.
pub fn renewed(document: &str, block: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{block}{END}{after}"))
}

fn table(rows: &[Figures]) -> String {
    let mut header: Vec<String> = [
        "run",
        "objects",
        "served/s",
        "limit used",
        "fullest 60 s",
        "windows over",
        "calls/s",
        "busy",
        "calls per request",
        "refused",
        "overloaded",
        "passed",
        "passed by",
    ]
    .map(String::from)
    .to_vec();
    header.extend(
        REGIONS
            .iter()
            .map(|region| format!("wait, {}", region.name)),
    );
    let mut lines = vec![header];
    lines.extend(rows.iter().map(line));
    laid_out(&lines)
}

fn line(row: &Figures) -> Vec<String> {
    let fullest = match (row.plan.limits.rpm, row.plan.limits.tpm) {
        (_, Some(tpm)) => format!("{} / {tpm}", row.tokens_window),
        (rpm, None) => format!("{} / {}", row.requests_window, rpm.unwrap_or_default()),
    };
    let mut cells = vec![
        row.plan.name.to_owned(),
        row.plan.shards.to_string(),
        format!("{:.0}", row.served_rate),
        percent(row.used),
        fullest,
        row.windows_over.to_string(),
        format!("{:.0}", row.calls_rate),
        percent(row.busy),
        format!("{:.2}", row.calls_per_request),
        percent(row.refused),
        percent(row.overloaded),
        percent(row.passed),
        span(row.passed_by),
    ];
    cells.extend(
        row.waits
            .iter()
            .map(|[half, most]| format!("{}, {}", span(*half), span(*most))),
    );
    cells
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn span(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}
