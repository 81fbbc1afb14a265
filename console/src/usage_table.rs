//! 用量表的排序：每一列怎么比。
//!
//! Owns the columns of the table of statistics and the order of its rows. How a cell is written is not its
//! business. Invariant: what is not known comes last, whichever way it is sorted.

use std::cmp::Ordering;

use gateway::admin_api::UsageFigures;

use crate::series::sort_by;

/// The columns, as the query names them.
pub const COLUMNS: [&str; 15] = [
    "name",
    "requests",
    "errors",
    "timeouts",
    "evictions",
    "cancelled",
    "queued",
    "wait_p50",
    "wait_p95",
    "latency_p50",
    "latency_p95",
    "prompt",
    "completion",
    "cached",
    "tokens",
];

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Server id, app, model, or the start of an hour or day.
    pub id: String,
    /// What it is called.
    pub label: String,
    /// Its colour, where the chart has it.
    pub tone: Option<&'static str>,
    /// Its figures.
    pub figures: UsageFigures,
}

/// A column to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column(&'static str);

impl Column {
    /// The column of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let found = COLUMNS.iter().find(|column| **column == name);
        found.map(|column| Self(column))
    }

    fn value(self, of: &UsageFigures) -> Option<u64> {
        match self.0 {
            "requests" => Some(of.requests),
            "errors" => Some(of.errors),
            "timeouts" => Some(of.queue_timeouts),
            "evictions" => Some(of.queue_evictions),
            "cancelled" => Some(of.cancelled),
            "queued" => Some(of.queued_requests),
            "wait_p50" => of.queue_wait_p50_ms,
            "wait_p95" => of.queue_wait_p95_ms,
            "latency_p50" => of.latency_p50_ms,
            "latency_p95" => of.latency_p95_ms,
            "prompt" => Some(of.prompt_tokens),
            "completion" => Some(of.completion_tokens),
            "cached" => Some(of.cached_tokens),
            "tokens" => Some(of.total_tokens),
            _ => None,
        }
    }
}

/// Puts rows into an order; equal ones by name. Times are their own names (`tone` is none), which sort as text.
pub fn sort(rows: &mut Vec<Row>, column: Column, descending: bool) {
    let name = |row: &Row| match row.tone {
        None => row.id.clone(),
        Some(_) => row.label.to_lowercase(),
    };
    let turned = |order: Ordering| if descending { order.reverse() } else { order };
    sort_by(rows, &|a, b| {
        if column.0 == "name" {
            return turned(name(a).cmp(&name(b)));
        }
        let order = match (column.value(&a.figures), column.value(&b.figures)) {
            (Some(a), Some(b)) => turned(a.cmp(&b)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        order.then_with(|| name(a).cmp(&name(b)))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage_series::zero;

    fn row(label: &str, requests: u64, wait: Option<u64>) -> Row {
        Row {
            id: label.to_owned(),
            label: label.to_owned(),
            tone: Some("1"),
            figures: UsageFigures {
                requests,
                queue_wait_p95_ms: wait,
                ..zero()
            },
        }
    }

    fn order(column: &str, descending: bool) -> String {
        let mut rows = vec![
            row("b", 2, Some(5)),
            row("A", 2, None),
            row("c", 9, Some(1)),
        ];
        sort(&mut rows, Column::of(column).expect("a column"), descending);
        rows.into_iter().map(|row| row.label).collect()
    }

    #[test]
    fn rows_are_sorted_both_ways_and_the_unknown_comes_last() {
        assert_eq!(order("requests", true), "cAb");
        assert_eq!(order("requests", false), "Abc");
        assert_eq!(order("name", false), "Abc");
        assert_eq!(order("name", true), "cbA");
        assert_eq!(order("wait_p95", true), "bcA");
        assert_eq!(order("wait_p95", false), "cbA");
        assert_eq!(Column::of("nothing"), None);
    }

    #[test]
    fn every_column_but_the_name_has_a_value_of_its_own() {
        let figures = UsageFigures {
            requests: 1,
            errors: 2,
            queue_timeouts: 3,
            queue_evictions: 4,
            cancelled: 5,
            queued_requests: 6,
            queue_wait_p50_ms: Some(7),
            queue_wait_p95_ms: Some(8),
            latency_p50_ms: Some(9),
            latency_p95_ms: Some(10),
            prompt_tokens: 11,
            completion_tokens: 12,
            cached_tokens: 13,
            total_tokens: 14,
            ..zero()
        };
        let values: Vec<Option<u64>> = COLUMNS
            .iter()
            .map(|name| Column::of(name).and_then(|column| column.value(&figures)))
            .collect();
        let expected: Vec<Option<u64>> = std::iter::once(None).chain((1..=14).map(Some)).collect();
        assert_eq!(values, expected);
    }
}
