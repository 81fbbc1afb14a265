//! 控制台的根：启动，决定显示登录页还是外壳。
//!
//! Owns the start: the global signals, and what is drawn in place of the splash. Nothing of a page is here.

use crate::reactive::create_selector;
use console_macros::view;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

use crate::browser::document;
use crate::components::{FailureState, ToastRegion};
use crate::session::State;
use crate::shell::{Shell, SignInPage};
use crate::task::detach;
use crate::{navigation, preferences, session, task};

#[derive(Clone, PartialEq)]
enum Stage {
    Starting,
    Unreachable(crate::errors::Failure),
    SignIn,
    Inside,
}

/// Draws the console in place of the splash.
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        web_sys::console::error_1(&panic.to_string().into());
    }));
    let root = document()
        .get_element_by_id("app")
        .and_then(|root| root.dyn_into::<HtmlElement>().ok());
    let Some(root) = root else { return };
    let splash = root.inner_html();
    root.set_inner_html("");
    sycamore::render_to(move || app(splash), &root);
}

fn app(splash: String) -> View {
    task::begin();
    preferences::begin();
    navigation::begin();
    session::begin();
    detach(session::look());
    // What a stage shows must not be made anew when only the session's end moves.
    let stage = create_selector(|| match session::state() {
        State::Unknown => Stage::Starting,
        State::Unreachable(failure) => Stage::Unreachable(failure),
        State::SignedOut => Stage::SignIn,
        State::SignedIn(_) => Stage::Inside,
    });
    view! {
        (match stage.get_clone() {
            Stage::Starting => { let splash = splash.clone(); view! { div(dangerously_set_inner_html=splash) } }
            Stage::Unreachable(failure) => view! {
                main(class="splash") { FailureState(failure=failure, retry=|| detach(session::look())) }
            },
            Stage::SignIn => view! { SignInPage() },
            Stage::Inside => view! { Shell() },
        })
        ToastRegion()
    }
}
