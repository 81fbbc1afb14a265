//! 登录：整页，以及过期后盖在页面上的对话框。
//!
//! Owns the form of signing in, as a page and as a dialog over the page that somebody was working on. The
//! token goes to the gateway once and is kept nowhere.

use crate::reactive::create_effect;
use console_macros::view;
use sycamore::prelude::*;
use web_sys::SubmitEvent;

use super::account::Preferences;
use super::logo::logo;
use crate::browser::{Text, document};
use crate::components::{Button, Dialog, Field, Kind as ButtonKind, SecretInput, render};
use crate::errors::Kind;
use crate::i18n::{common, shell};
use crate::session;
use crate::task::use_tasks;

/// The page for whoever is not signed in; the path stays, so that a link leads to its page afterwards.
#[component]
pub fn SignInPage() -> View {
    create_effect(|| document().set_title(&format!("{} · Sluice", shell::sign_in())));
    view! {
        main(class="sign-in", id="content") {
            div(class="sign-in-water", aria-hidden="true")
            div(class="sign-in-card") {
                (logo())
                h1(class="sign-in-title", id="page-title") { (shell::sign_in_title()) }
                p(class="sign-in-hint") { (shell::sign_in_hint()) }
                SignInForm()
            }
            div(class="sign-in-foot") { Preferences() }
        }
    }
}

/// The dialog that opens over a page when its session has ended.
#[component]
pub fn SignInAgain() -> View {
    let body = render(|| {
        view! {
            div(class="dialog-body") {
                p(class="dialog-lead") { (shell::again_hint()) }
                SignInForm()
            }
        }
    });
    view! { Dialog(open=session::has_expired, title=shell::again_title, on_close=session::give_up, body=body) }
}

#[component]
fn SignInForm() -> View {
    let token = create_signal(String::new());
    let busy = create_signal(false);
    let error: Signal<Option<Text>> = create_signal(None);
    let tasks = use_tasks();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let typed = token.get_clone_untracked().trim().to_owned();
        if busy.get_untracked() {
            return;
        }
        if typed.is_empty() {
            error.set(Some(shell::token_missing.into()));
            return;
        }
        busy.set(true);
        error.set(None);
        tasks.run(async move {
            if let Err(failure) = session::sign_in(&typed).await {
                let text: Text = match failure.kind {
                    Kind::Expired | Kind::Invalid => shell::token_wrong.into(),
                    Kind::Offline => common::failed_offline.into(),
                    Kind::Busy => common::failed_busy.into(),
                    _ => failure.message.into(),
                };
                error.set(Some(text));
                busy.set(false);
            }
        });
    };
    let told = move || error.get_clone().map(|text| text.get_clone());
    view! {
        form(class="sign-in-form", novalidate=true, on:submit=submit) {
            Field(id="token", label=shell::token, hint=shell::token_hint, error=told) {
                SecretInput(id="token", value=token, autocomplete="current-password", autofocus=true, error=told)
            }
            Button(kind=ButtonKind::Primary, submit=true, busy=busy) { (shell::sign_in()) }
        }
    }
}
