//! 图表的数列：补齐空桶，按组拆分，取前几名。
//!
//! Owns the way from rows of statistics, which leave out hours without requests, to series of equal length
//! that a chart can draw. Pure: a bucket is its start in milliseconds.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The starts of all buckets of a range.
#[must_use]
pub fn buckets(from_ms: u64, to_ms: u64, step_ms: u64) -> Vec<u64> {
    let step = usize::try_from(step_ms.max(1)).unwrap_or(usize::MAX);
    (from_ms..to_ms).step_by(step).collect()
}

/// The values of rows at the given buckets; a bucket without a row is 0.
#[must_use]
pub fn filled(buckets: &[u64], rows: impl IntoIterator<Item = (u64, f64)>) -> Vec<f64> {
    let mut sums: BTreeMap<u64, f64> = BTreeMap::new();
    for (bucket, value) in rows {
        let sum = sums.entry(bucket).or_default();
        *sum += value;
    }
    buckets
        .iter()
        .map(|bucket| sums.get(bucket).copied().unwrap_or_default())
        .collect()
}

/// Sorts so that equal items keep their order. Slower than the standard library's for thousands of items, which
/// no view shows, and a tenth of its code for each type of item.
pub fn sort_by<T>(items: &mut Vec<T>, order: &dyn Fn(&T, &T) -> Ordering) {
    let mut sorted: Vec<T> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        let place = sorted.partition_point(|one| order(one, &item) != Ordering::Greater);
        sorted.insert(place, item);
    }
    *items = sorted;
}

/// One line or area of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// One value per bucket; None is a gap.
    pub values: Vec<Option<f64>>,
}

impl Series {
    /// A series without gaps.
    #[must_use]
    pub fn new(label: impl Into<String>, values: Vec<f64>) -> Self {
        Self {
            label: label.into(),
            values: values.into_iter().map(Some).collect(),
        }
    }
}

/// Splits rows `(bucket, group, value)` into a series per group, largest sum first; beyond `most` groups the
/// rest is one series called `rest`.
#[must_use]
pub fn grouped(
    buckets: &[u64],
    rows: &[(u64, String, f64)],
    most: usize,
    rest: &str,
) -> Vec<Series> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (_, group, value) in rows {
        *sums.entry(group).or_default() += value;
    }
    let mut order: Vec<(&str, f64)> = sums.into_iter().collect();
    sort_by(&mut order, &|a, b| {
        b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0))
    });
    let of = |wanted: &dyn Fn(&str) -> bool| {
        filled(
            buckets,
            rows.iter()
                .filter(|(_, group, _)| wanted(group))
                .map(|(bucket, _, value)| (*bucket, *value)),
        )
    };
    let shown: Vec<&str> = order.iter().take(most).map(|(group, _)| *group).collect();
    let mut series: Vec<Series> = shown
        .iter()
        .map(|group| Series::new(*group, of(&|one| one == *group)))
        .collect();
    if order.len() > shown.len() {
        series.push(Series::new(rest, of(&|one| !shown.contains(&one))));
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_without_rows_are_zero_and_rows_of_one_bucket_add_up() {
        let buckets = buckets(0, 40, 10);
        assert_eq!(buckets, [0, 10, 20, 30]);
        assert_eq!(
            filled(&buckets, [(10, 1.0), (10, 2.0), (30, 4.0), (50, 8.0)]),
            [0.0, 3.0, 0.0, 4.0]
        );
    }

    #[test]
    fn sorting_keeps_equal_items_in_their_order() {
        let mut items = vec![(2, 'a'), (1, 'b'), (2, 'c'), (1, 'd'), (0, 'e')];
        let mut expected = items.clone();
        expected.sort_by_key(|item| item.0);
        sort_by(&mut items, &|a, b| a.0.cmp(&b.0));
        assert_eq!(items, expected);
    }

    #[test]
    fn groups_come_by_size_and_the_small_ones_together() {
        let row = |bucket, group: &str, value| (bucket, group.to_owned(), value);
        let rows = [
            row(0, "a", 1.0),
            row(0, "b", 5.0),
            row(10, "c", 2.0),
            row(10, "a", 0.5),
        ];
        let series = grouped(&[0, 10], &rows, 1, "other");
        assert_eq!(
            series,
            [
                Series::new("b", vec![5.0, 0.0]),
                Series::new("other", vec![1.0, 2.5])
            ]
        );
        assert_eq!(grouped(&[0, 10], &rows, 3, "other").len(), 3);
        assert_eq!(grouped(&[0], &[], 3, "other"), []);
    }
}
