//! 筛选条：每个条件一格，值在地址里。
//!
//! Owns filters whose values are kept in the query of the URL: a list of known values, or text with suggestions.
//! A choice leaves the present page of a list (`cursor`), because pages belong to their filters. Knows no API.

use crate::reactive::{create_effect, create_memo, create_selector};
use console_macros::view;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlInputElement, HtmlSelectElement};

use crate::browser::Text;
use crate::i18n::common;
use crate::navigation::{param, set_params};

/// One of several: `FilterSelect(param="server_id", label=usage::server, options=move || …)`; options are value and
/// label. A value of the URL that is not among them is offered as it is.
#[component(inline_props)]
pub fn FilterSelect(
    param: &'static str,
    #[prop(setter(into))] label: Text,
    #[prop(setter(into))] options: MaybeDyn<Vec<(String, String)>>,
) -> View {
    let node = create_node_ref();
    let value = create_selector(move || self::param(param).unwrap_or_default());
    let all = create_memo(move || {
        let mut all = vec![(String::new(), common::all().to_owned())];
        all.extend(options.get_clone());
        let wanted = value.get_clone();
        if !all.iter().any(|(one, _)| *one == wanted) {
            all.push((wanted.clone(), wanted));
        }
        all
    });
    // The value can be set only after its option is there.
    on_mount(move || {
        create_effect(move || {
            all.track();
            let wanted = value.get_clone();
            let select = node
                .try_get()
                .and_then(|node| node.dyn_into::<HtmlSelectElement>().ok());
            if let Some(select) = select {
                select.set_value(&wanted);
            }
        });
    });
    view! {
        label(class=if value.with(String::is_empty) { "filter is-select" } else { "filter is-select is-set" }) {
            span(class="filter-label") { (label.get_clone()) }
            select(
                class="filter-input",
                r#ref=node,
                on:change=move |event: Event| {
                    let select = event.target().and_then(|target| target.dyn_into::<HtmlSelectElement>().ok());
                    if let Some(select) = select { put(param, &select.value()); }
                },
            ) {
                (all.get_clone().into_iter().map(|(value, label)| view! { option(value=value) { (label) } }).collect::<Vec<_>>())
            }
        }
    }
}

/// Exactly this text: `FilterText(id="filter-app", param="app", label=usage::app, suggestions=move || …)`. It counts
/// when the field is left or Enter is pressed.
#[component(inline_props)]
pub fn FilterText(
    id: &'static str,
    param: &'static str,
    #[prop(setter(into))] label: Text,
    #[prop(default, setter(strip_option, into))] suggestions: Option<MaybeDyn<Vec<String>>>,
    #[prop(default = 256)] most: u32,
) -> View {
    let value = create_selector(move || self::param(param).unwrap_or_default());
    let list = format!("{id}-list");
    let named = suggestions.is_some().then(|| list.clone());
    let class = if named.is_some() {
        "filter is-list"
    } else {
        "filter"
    };
    view! {
        label(class=format!("{class}{}", if value.with(String::is_empty) { "" } else { " is-set" })) {
            span(class="filter-label") { (label.get_clone()) }
            input(
                id=id,
                class="filter-input",
                r#type="search",
                list=named,
                maxlength=most.to_string(),
                placeholder=move || common::all(),
                autocomplete="off",
                autocapitalize="off",
                "spellcheck"="false",
                prop:value=value.get_clone(),
                on:change=move |event: Event| {
                    let input = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
                    if let Some(input) = input { put(param, input.value().trim()); }
                },
            )
            (suggestions.clone().map(|offered| {
                let list = list.clone();
                view! {
                    datalist(id=list) {
                        (offered.get_clone().into_iter().map(|one| view! { option(value=one) {} }).collect::<Vec<_>>())
                    }
                }
            }))
        }
    }
}

fn put(param: &'static str, value: &str) {
    set_params(&[(param, Some(value)), ("cursor", None)]);
}
