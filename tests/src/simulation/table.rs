//! 表格：对齐的 Markdown，既打印也放进文档。
//!
//! Owns how figures are written: one row a run, one more for each app of a run with several. A
//! limit stands behind its value after a slash; a dash is where a figure has no meaning.

use core::time::Duration;

use super::measure::Figures;

/// A column: what it is called, and what stands in it.
type Column = (&'static str, fn(&Figures) -> String);

const COLUMNS: [Column; 15] = [
    ("scenario", |row| match row.app {
        Some(app) => format!("– {app}"),
        None => row.scenario.to_owned(),
    }),
    ("requests", |row| row.requests.to_string()),
    ("RPM used", |row| percent(row.requests_used)),
    ("TPM used", |row| percent(row.tokens_used)),
    ("fullest 60 s, requests", |row| {
        of_limit(row, row.requests_window)
    }),
    ("fullest 60 s, tokens", |row| {
        of_limit(row, row.tokens_window)
    }),
    ("open at once", |row| of_limit(row, row.open_max)),
    ("windows over", |row| whole(row, row.windows_over)),
    ("out of order", |row| whole(row, row.out_of_order)),
    ("wait p50", |row| seconds(row.waits[0])),
    ("wait p95", |row| seconds(row.waits[1])),
    ("wait max", |row| seconds(row.waits[2])),
    ("timeouts, evictions", |row| {
        format!("{}, {}", row.timeouts, row.evictions)
    }),
    ("429 provider, client", |row| match row.app {
        Some(_) => format!("–, {}", row.refused_clients),
        None => format!("{}, {}", row.refused_upstream, row.refused_clients),
    }),
    ("late p99, max", |row| match row.app {
        Some(_) => String::from("–"),
        None => format!("{}, {} ms", row.late_ms[0], row.late_ms[1]),
    }),
];

/// The names of the columns.
pub fn columns() -> Vec<&'static str> {
    COLUMNS.iter().map(|(name, _)| *name).collect()
}

/// The table as text.
pub fn table(rows: &[Figures]) -> String {
    let mut lines: Vec<Vec<String>> = vec![columns().into_iter().map(String::from).collect()];
    lines.extend(
        rows.iter()
            .map(|row| COLUMNS.iter().map(|(_, cell)| cell(row)).collect()),
    );
    laid_out(&lines)
}

/// Lines of cells as a Markdown table; the first are the names of the columns.
pub(super) fn laid_out(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = lines.iter().map(|line| line[column].chars().count());
            cells.max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        text.push_str(&aligned(line, &widths));
        if number == 0 {
            text.push_str(&rule(&widths));
        }
    }
    text
}

/// Text to the left, figures to the right.
fn aligned(line: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = line
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        })
        .collect();
    format!("| {} |\n", cells.join(" | "))
}

fn rule(widths: &[usize]) -> String {
    let cells: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match column {
            0 => "-".repeat(*width),
            _ => format!("{}:", "-".repeat(width - 1)),
        })
        .collect();
    format!("| {} |\n", cells.join(" | "))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(
        || String::from("–"),
        |share| format!("{:.2} %", share * 100.0),
    )
}

fn of_limit(row: &Figures, (value, limit): (u64, Option<u64>)) -> String {
    match (row.app, limit) {
        (Some(_), _) => String::from("–"),
        (None, Some(limit)) => format!("{value} / {limit}"),
        (None, None) => value.to_string(),
    }
}

fn whole(row: &Figures, value: u64) -> String {
    row.app
        .map_or_else(|| value.to_string(), |_| String::from("–"))
}

fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}
