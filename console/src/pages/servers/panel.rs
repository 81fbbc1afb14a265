//! 面板：新建或修改一台服务器。
//!
//! Owns when the panel is open (the path says so), what it shows, and that it does not close over input that
//! was not saved.

use crate::reactive::create_selector;
use console_macros::view;
use sycamore::prelude::*;

use super::Data;
use super::form::server_form;
use crate::components::{Dialog, EmptyState, Shape, Skeleton, render};
use crate::i18n::{common, servers};
use crate::icons::Icon;
use crate::navigation;
use crate::remote::Phase;
use crate::route::Route;

/// What the form tells the panel.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// Something is typed that is not saved.
    pub dirty: Signal<bool>,
    /// Somebody wants to close nevertheless and is asked.
    pub asked: Signal<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    New,
    Existing(String),
}

/// The panel beside the list.
#[component(inline_props)]
pub fn Panel(data: Data) -> View {
    let target = create_selector(|| match navigation::route() {
        Route::ServerNew => Some(Target::New),
        Route::Server(id) => Some(Target::Existing(id)),
        _ => None,
    });
    let guard = Guard {
        dirty: create_signal(false),
        asked: create_signal(false),
    };
    let close = move || {
        if guard.dirty.get_untracked() {
            guard.asked.set(true);
        } else {
            navigation::go(&Route::Servers.path());
        }
    };
    let title = move || match target.get_clone() {
        Some(Target::Existing(id)) => data
            .server(&id)
            .map_or_else(|| servers::title().to_owned(), |server| server.name),
        _ => servers::new_title().to_owned(),
    };
    let body = render(move || {
        view! {
            (match target.get_clone() {
                Some(Target::New) => untrack(|| server_form(data, None, guard)),
                Some(Target::Existing(id)) => existing(data, id, guard),
                None => View::new(),
            })
        }
    });
    view! {
        Dialog(open=move || target.with(Option::is_some), title=title, shape=Shape::Side, on_close=close, body=body)
    }
}

fn existing(data: Data, id: String, guard: Guard) -> View {
    #[derive(Clone, Copy, PartialEq)]
    enum There {
        Waiting,
        Yes,
        Gone,
    }
    let wanted = id.clone();
    let there = create_selector(move || match data.servers.phase() {
        Phase::Ready if data.server(&wanted).is_some() => There::Yes,
        Phase::Ready => There::Gone,
        Phase::Loading | Phase::Failed => There::Waiting,
    });
    view! {
        (match there.get() {
            There::Waiting => view! { div(class="dialog-body") { Skeleton(rows=8) } },
            There::Gone => view! {
                div(class="dialog-body") { EmptyState(icon=Icon::Servers, title=servers::gone, hint=common::failed_not_found_hint) }
            },
            There::Yes => untrack(|| server_form(data, Some(id.clone()), guard))
        })
    }
}
