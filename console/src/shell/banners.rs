//! 横幅：整个网关的状况，谁都该知道。
//!
//! Owns the strips above every page: the gateway does not answer, and what the readiness answer warns of.
//! Warnings are the gateway's own sentences, except those that the console has words for.

use crate::reactive::{create_effect, create_selector};
use console_macros::view;
use sycamore::prelude::*;

use crate::api::{self, ReadyView};
use crate::components::icon;
use crate::i18n::shell;
use crate::icons::Icon;
use crate::session;
use crate::task::spawn;

/// The strips; nothing where all is well.
#[component]
pub fn Banners() -> View {
    let ready: Signal<Option<ReadyView>> = create_signal(None);
    let reachable = create_selector(session::is_reachable);
    create_effect(move || {
        if reachable.get() {
            spawn(async move {
                // Offline is told by the strip of its own.
                if let Ok(answer) = api::readiness().await {
                    ready.set(Some(answer));
                }
            });
        }
    });
    view! {
        div(class="banners", role="status") {
            (if reachable.get() { View::new() } else { view! { p(class="banner is-bad is-offline") { (icon(Icon::Offline)) span { (shell::offline()) } } } })
            (ready.get_clone().map(|ready| {
                let problems = ready.problems.into_iter().map(|text| strip("banner is-bad", text));
                let warnings = ready.warnings.into_iter().map(|text| strip("banner is-warning", text));
                problems.chain(warnings).collect::<Vec<View>>()
            }).unwrap_or_default())
        }
    }
}

fn strip(class: &'static str, text: String) -> View {
    let auth = text.contains("CLIENT_AUTH");
    view! {
        p(class=class) {
            (icon(Icon::Warning))
            span { (if auth { shell::auth_off().to_owned() } else { text.clone() }) }
        }
    }
}
