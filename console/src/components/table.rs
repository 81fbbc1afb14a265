//! 表格的零件：可排序的表头。
//!
//! Owns the headers of sortable tables, whose order is kept in the query of the URL. A table itself is plain
//! HTML with the class `table` inside `div(class="table-frame", tabindex="0")`; cells that hold numbers have
//! the class `is-number`, and `data-label` names their column where the table becomes cards on a telephone.

use crate::reactive::create_selector;
use console_macros::view;
use sycamore::prelude::*;

use super::icon;
use crate::browser::Text;
use crate::i18n::common;
use crate::icons::Icon;
use crate::navigation;

/// The order of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sorting {
    /// By which column.
    pub column: &'static str,
    /// Largest first.
    pub descending: bool,
}

/// Which way, and how it is changed.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    columns: &'static [&'static str],
    fallback: Sorting,
}

impl Sort {
    /// The order of a table with these columns, as the query has it in `sort` (`name` or `-name`).
    #[must_use]
    pub const fn new(columns: &'static [&'static str], fallback: Sorting) -> Self {
        Self { columns, fallback }
    }

    /// The order now; a view that asks follows.
    #[must_use]
    pub fn get(self) -> Sorting {
        let Some(text) = navigation::param("sort") else {
            return self.fallback;
        };
        let (descending, name) = text
            .strip_prefix('-')
            .map_or((false, text.as_str()), |name| (true, name));
        let column = self.columns.iter().find(|column| **column == name);
        column.map_or(self.fallback, |column| Sorting { column, descending })
    }

    fn choose(self, column: &'static str) {
        let now = self.get();
        let descending = if now.column == column {
            !now.descending
        } else {
            true
        };
        let text = if descending {
            format!("-{column}")
        } else {
            column.to_owned()
        };
        navigation::set_params(&[("sort", Some(&text))]);
    }
}

/// A header that sorts: `SortHeader(sort=SORT, column="requests", label=usage::requests, number=true)`.
#[component(inline_props)]
pub fn SortHeader(
    sort: Sort,
    column: &'static str,
    #[prop(setter(into))] label: Text,
    #[prop(default)] number: bool,
) -> View {
    let name = label.clone();
    let now = create_selector(move || sort.get());
    let state = move || {
        let now = now.get();
        match (now.column == column, now.descending) {
            (false, _) => "none",
            (true, true) => "descending",
            (true, false) => "ascending",
        }
    };
    view! {
        th(scope="col", class=if number { "is-number" } else { "" }, aria-sort=state) {
            button(
                r#type="button",
                class="sort",
                title=move || common::sort_by(&name.get_clone()),
                on:click=move |_| sort.choose(column),
            ) {
                (label.get_clone())
                (match state() {
                    "ascending" => icon(Icon::Up),
                    "descending" => icon(Icon::Down),
                    _ => icon(Icon::Sort),
                })
            }
        }
    }
}
