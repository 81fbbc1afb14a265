//! 判定：客户端所见与日志各行，一一对账，算出可用率。
//!
//! Compares what the clients of a run were told with the log, and adds up what was not as promised. Prints what it finds.

use std::collections::BTreeMap;

use gateway_tests::faults::SHARES;
use gateway_tests::harness::Gateway;
use serde_json::Value;

use super::Told;
use super::kinds::number_of;

/// Most differences that are printed.
const PRINTED_MAX: usize = 20;

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Report {
    requests: usize,
    rows: usize,
    by_kind: BTreeMap<&'static str, (usize, usize)>,
    differences: Vec<String>,
    /// Requests that were not answered as promised, or have no row that says so.
    pub(crate) unavailable: usize,
}

/// The whole log.
pub(crate) async fn rows(gateway: &Gateway) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/logs?limit=500{cursor}");
        let page = gateway.admin("GET", &path).send().await.expect(200).json();
        rows.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

impl Report {
    pub(crate) fn new(told: &[Told], rows: &[Value]) -> Self {
        let mut by_number: BTreeMap<usize, Vec<&Value>> = BTreeMap::new();
        let mut strange = 0;
        for row in rows {
            match number_of(row) {
                Some(number) => by_number.entry(number).or_default().push(row),
                None => strange += 1,
            }
        }
        let mut report = Self {
            requests: told.len(),
            rows: rows.len(),
            by_kind: BTreeMap::new(),
            differences: Vec::new(),
            unavailable: strange,
        };
        if strange > 0 {
            report
                .differences
                .push(format!("{strange} rows of no request"));
        }
        for told in told {
            let rows = by_number.get(&told.number).map_or(&[][..], Vec::as_slice);
            let difference = told
                .difference
                .clone()
                .or_else(|| difference_of_rows(told, rows));
            let counts = report.by_kind.entry(told.kind.name()).or_default();
            counts.0 += 1;
            if let Some(difference) = difference {
                counts.1 += 1;
                report.unavailable += 1;
                report
                    .differences
                    .push(format!("mix-{}: {difference}", told.number));
            }
        }
        report
    }

    /// In percent.
    pub(crate) fn availability(&self) -> f64 {
        100.0 * (1.0 - self.unavailable as f64 / self.requests.max(1) as f64)
    }

    pub(crate) fn print(&self) {
        println!(
            "{:<16} {:>6} {:>9} {:>12}",
            "kind", "share", "requests", "unavailable"
        );
        for (name, share) in SHARES {
            let (requests, unavailable) = self.by_kind.get(name).copied().unwrap_or_default();
            println!("{name:<16} {share:>5}% {requests:>9} {unavailable:>12}");
        }
        println!(
            "availability {:.3} % of {} requests ({} unavailable, {} rows)",
            self.availability(),
            self.requests,
            self.unavailable,
            self.rows
        );
        for difference in self.differences.iter().take(PRINTED_MAX) {
            println!("  {}", difference.chars().take(400).collect::<String>());
        }
    }
}

fn difference_of_rows(told: &Told, rows: &[&Value]) -> Option<String> {
    let [row] = rows else {
        return Some(format!("{:?} has {} rows", told.kind.name(), rows.len()));
    };
    let status = row["status"].as_u64().unwrap_or(0);
    let code = row["error_code"].as_str().unwrap_or_default();
    let is_so = told.kind.allows_row(status, code);
    (!is_so).then(|| format!("{:?} has the row {row}", told.kind))
}
