//! 用量条：用了多少，离上限多远。
//!
//! Owns bars of use against a limit. The words carry the figures; the bar has the role of a meter. A width is
//! an attribute of SVG, because the page's policy forbids styles inside elements.

use crate::reactive::{create_memo, create_selector};
use console_macros::view;
use sycamore::prelude::*;

use crate::browser::Text;
use crate::figures::{Level, level, share};
use crate::i18n::common;
use crate::intl;

/// `Meter(label=…, used=move || live.get().rpm_used, limit=move || …)`; a limit of None is unlimited.
#[component(inline_props)]
pub fn Meter(
    #[prop(setter(into))] label: Text,
    used: ReadSignal<u64>,
    limit: ReadSignal<Option<u64>>,
) -> View {
    let part = create_memo(move || share(used.get(), limit.get()));
    let class = create_selector(move || match part.get().map(level) {
        None => "meter is-unlimited",
        Some(Level::Fine) => "meter",
        Some(Level::High) => "meter is-high",
        Some(Level::Full) => "meter is-full",
    });
    let width = create_selector(move || format!("{:.2}%", part.get().unwrap_or(0.0) * 100.0));
    let name = label.clone();
    let words = move || match limit.get() {
        Some(limit) => format!("{} / {}", intl::integer(used.get()), intl::integer(limit)),
        None => format!("{} / {}", intl::integer(used.get()), common::unlimited()),
    };
    view! {
        div(class=class) {
            div(class="meter-words") {
                span(class="meter-label") { (label.get_clone()) }
                span(class="meter-figures") {
                    strong { (intl::compact(crate::figures::lossy(used.get()))) }
                    span(class="meter-limit") {
                        (match limit.get() {
                            Some(limit) => format!(" / {}", intl::compact(crate::figures::lossy(limit))),
                            None => format!(" · {}", common::unlimited()),
                        })
                    }
                }
            }
            svg(
                class="meter-bar",
                "role"="meter",
                aria-label=move || name.get_clone(),
                aria-valuemin="0",
                aria-valuemax="100",
                aria-valuenow=move || format!("{:.0}", part.get().unwrap_or(0.0) * 100.0),
                aria-valuetext=words,
            ) {
                rect(class="meter-track", width="100%", height="100%", rx="3")
                rect(class="meter-fill", width=move || width.get_clone(), height="100%", rx="3")
            }
        }
    }
}
