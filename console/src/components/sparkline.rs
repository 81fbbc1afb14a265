//! 迷你折线：一眼看出走势，没有坐标。
//!
//! Owns the tiny line of a trend beside a figure. Decorative: the figure itself is in words.

use crate::reactive::create_memo;
use console_macros::view;
use sycamore::prelude::*;

/// `Sparkline(values=series)`; the line fills its box, whatever its size.
#[component(inline_props)]
pub fn Sparkline(#[prop(setter(into))] values: MaybeDyn<Vec<f64>>) -> View {
    let line = create_memo(move || points(&values.get_clone()));
    let area = move || {
        line.with(|line| {
            if line.is_empty() {
                String::new()
            } else {
                format!("0,30 {line} 100,30")
            }
        })
    };
    view! {
        svg(class="sparkline", viewBox="0 0 100 30", preserveAspectRatio="none", aria-hidden="true") {
            polygon(class="sparkline-area", points=area)
            polyline(class="sparkline-line", points=move || line.get_clone())
        }
    }
}

fn points(values: &[f64]) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    if values.len() < 2 || most <= 0.0 {
        return "0,29 100,29".to_owned();
    }
    let last = values.len().saturating_sub(1);
    let at = |(index, value): (usize, &f64)| {
        let x = 100.0 * crate::figures::lossy(index as u64) / crate::figures::lossy(last as u64);
        let y = 29.0 - 27.0 * value / most;
        format!("{x:.2},{y:.2}")
    };
    values
        .iter()
        .enumerate()
        .map(at)
        .collect::<Vec<_>>()
        .join(" ")
}
