//! 数字：中位数、百分位、表格的行。
//!
//! Owns how many measured values become one printed figure. Measures nothing itself.

use std::time::Duration;

/// The middle value; of an even number the lower of the two. Not a number where there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or(f64::NAN)
}

/// Milliseconds that this share of the durations do not exceed.
pub fn percentile_ms(durations: &[Duration], share: f64) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() as f64 * share) as usize;
    let at = rank.min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |value| ms(*value))
}

/// In milliseconds.
pub fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// One line of the report: what, how much, and what was aimed at.
pub fn line(what: &str, figure: &str, target: &str) {
    println!("  {what:<46} {figure:>22}   {target}");
}

/// The beginning of a part.
pub fn heading(text: &str) {
    println!("\n{text}");
}
