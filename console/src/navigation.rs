//! 路由：History API 上的页面与查询串。
//!
//! Owns where the console is: the place as signals, going elsewhere, and the interception of clicks on links
//! of our own pages. Which path is which page is `route`'s business.
//!
//! Invariant: links are real links; what the console does not own (`/docs`, files, the API) is left to the
//! browser, and so is every click with a modifier.

use std::cell::Cell;

use sycamore::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlAnchorElement, MouseEvent};

use crate::browser::{document, listen, window};
use crate::query::Query;
use crate::route::Route;
use crate::task;

/// Paths that are no page of the console.
const ELSEWHERE: [&str; 7] = [
    "/docs",
    "/openapi.json",
    "/api/",
    "/v1/",
    "/health",
    "/metrics",
    "/assets/",
];

#[derive(Clone, Copy)]
struct Place {
    route: Signal<Route>,
    query: Signal<Query>,
}

thread_local! {
    static PLACE: Cell<Option<Place>> = const { Cell::new(None) };
}

/// Makes the signals, in the application's own scope, and begins to listen.
pub fn begin() {
    let place = Place {
        route: create_signal(present_route()),
        query: create_signal(present_query()),
    };
    PLACE.set(Some(place));
    listen(&window(), "popstate", move |_: web_sys::Event| arrive());
    listen(&document(), "click", intercept);
}

/// Where the console is; a view that asks follows.
#[must_use]
pub fn route() -> Route {
    PLACE
        .get()
        .map_or(Route::Unknown, |place| place.route.get_clone())
}

/// The query of the present place; a view that asks follows.
#[must_use]
pub fn query() -> Query {
    PLACE
        .get()
        .map_or_else(Query::default, |place| place.query.get_clone())
}

/// One value of the query; a view that asks follows this value only when made a selector:
/// `create_selector(|| param("app"))`.
#[must_use]
pub fn param(name: &str) -> Option<String> {
    query().get(name).map(str::to_owned)
}

/// Changes values of the query. View state replaces the entry of the history, so that "back" leaves the page.
pub fn set_params(changes: &[(&str, Option<&str>)]) {
    let Some(place) = PLACE.get() else { return };
    let mut query = place.query.get_clone_untracked();
    for (name, value) in changes {
        query = query.with(name, *value);
    }
    if query == place.query.get_clone_untracked() {
        return;
    }
    let url = format!("{}{}", present_path(), query.to_text());
    put(&url, true);
    place.query.set(query);
}

/// Goes to a page, given as its path with or without a query; the entry of the history is a new one.
pub fn go(url: &str) {
    put(url, false);
    arrive();
}

/// As [`go`], in place of the present entry of the history.
pub fn replace(url: &str) {
    put(url, true);
    arrive();
}

/// The link to a page that keeps the present query: for panels beside a list.
#[must_use]
pub fn with_query(route: &Route) -> String {
    format!("{}{}", route.path(), query().to_text())
}

fn put(url: &str, replacing: bool) {
    if let Ok(history) = window().history() {
        let _ = if replacing {
            history.replace_state_with_url(&JsValue::NULL, "", Some(url))
        } else {
            history.push_state_with_url(&JsValue::NULL, "", Some(url))
        };
    }
}

fn arrive() {
    let Some(place) = PLACE.get() else { return };
    let (route, query) = (present_route(), present_query());
    task::batch(move || {
        if query != place.query.get_clone_untracked() {
            place.query.set(query);
        }
        if route != place.route.get_clone_untracked() {
            place.route.set(route);
        }
    });
}

fn intercept(event: MouseEvent) {
    let plain = event.button() == 0
        && !(event.meta_key() || event.ctrl_key() || event.shift_key() || event.alt_key());
    if !plain || event.default_prevented() {
        return;
    }
    let target: Option<Element> = event.target().and_then(|target| target.dyn_into().ok());
    let anchor = target.and_then(|target| target.closest("a[href]").ok().flatten());
    let Some(anchor) = anchor.and_then(|anchor| anchor.dyn_into::<HtmlAnchorElement>().ok()) else {
        return;
    };
    let ours = window()
        .location()
        .origin()
        .is_ok_and(|origin| origin == anchor.origin())
        && !anchor.has_attribute("download")
        && matches!(anchor.target().as_str(), "" | "_self")
        && !anchor
            .get_attribute("href")
            .is_some_and(|href| href.starts_with('#'))
        && !ELSEWHERE
            .iter()
            .any(|start| anchor.pathname().starts_with(start));
    if ours {
        event.prevent_default();
        go(&format!("{}{}", anchor.pathname(), anchor.search()));
    }
}

fn present_path() -> String {
    window().location().pathname().unwrap_or_default()
}

fn present_route() -> Route {
    Route::parse(&present_path())
}

fn present_query() -> Query {
    Query::parse(&window().location().search().unwrap_or_default())
}
