//! 列表的一行：一台服务器，开关、用量与动作。
//!
//! One server of the list. Made once; what changes is signals inside it. Controls are there for
//! administrators only.

use crate::reactive::{create_memo, create_selector};
use console_macros::view;
use serde_json::json;
use sycamore::prelude::*;
use web_sys::{KeyboardEvent, PointerEvent};

use super::Data;
use super::list::{Order, begins_drag};
use crate::api::{self, Server};
use crate::components::{
    Badge, ConfirmByName, Menu, MenuItem, Meter, Switch, Tone, icon, render, toast, toast_failure,
};
use crate::i18n::{common, overview, servers};
use crate::icons::Icon;
use crate::intl;
use crate::navigation;
use crate::pages::overview::live::{badge, state_of};
use crate::route::Route;
use crate::session;
use crate::task::use_tasks;

const MODELS_SHOWN: usize = 2;

/// The row of one server.
pub fn row(data: Data, order: Order, id: String) -> View {
    let path = Route::Server(id.clone()).path();
    let server = {
        let id = id.clone();
        create_memo(move || data.server(&id))
    };
    let live = {
        let id = id.clone();
        create_memo(move || data.live_of(&id))
    };
    let name = create_selector(move || {
        server.with(|server| {
            server
                .as_ref()
                .map(|server| server.name.clone())
                .unwrap_or_default()
        })
    });
    let url = create_selector(move || {
        server.with(|server| {
            server
                .as_ref()
                .map(|server| server.base_url.clone())
                .unwrap_or_default()
        })
    });
    let rpm =
        create_selector(move || live.with(|live| live.as_ref().map_or(0, |live| live.rpm_used)));
    let tpm =
        create_selector(move || live.with(|live| live.as_ref().map_or(0, |live| live.tpm_used)));
    let rpm_limit = create_selector(move || {
        server.with(|server| server.as_ref().and_then(|server| server.rpm_limit))
    });
    let tpm_limit = create_selector(move || {
        server.with(|server| server.as_ref().and_then(|server| server.tpm_limit))
    });
    let state = create_selector(move || live.with(|live| live.as_ref().map(state_of)));
    let unreadable =
        create_selector(move || server.with(|server| server.as_ref().is_some_and(is_unreadable)));
    let admin = create_selector(session::is_admin);
    let dragged = {
        let id = id.clone();
        create_selector(move || {
            order
                .dragged
                .with(|dragged| dragged.as_deref() == Some(id.as_str()))
        })
    };
    let class = move || {
        if dragged.get() {
            "server is-dragged"
        } else {
            "server"
        }
    };
    let (data_id, handle_id, menu_id) = (id.clone(), id.clone(), id);
    view! {
        li(class=class(), "data-server"=data_id) {
            (if admin.get() { handle(order, handle_id.clone(), name) } else { view! { span(class="is-gap") } })
            div(class="server-name") {
                a(class="is-cut", href=path, title=name) { (name.get_clone()) }
                span(class="is-cut is-mono is-faint", title=url) { (url.get_clone()) }
            }
            div(class="server-models") { (models(server)) }
            div(class="server-use") {
                Meter(label=overview::rpm, used=rpm, limit=rpm_limit)
                Meter(label=overview::tpm, used=tpm, limit=tpm_limit)
            }
            div(class="server-state") {
                (if unreadable.get() {
                    view! { Badge(tone=Tone::Bad) { (servers::key_unreadable()) } }
                } else {
                    state.get().map(badge).unwrap_or_default()
                })
            }
            div(class="server-actions") {
                (if admin.get() { actions(data, order, menu_id.clone(), name) } else { View::new() })
            }
        }
    }
}

fn is_unreadable(server: &Server) -> bool {
    server.key_state == gateway::admin_api::KeyState::MustBeEnteredAgain
}

fn models(server: ReadSignal<Option<Server>>) -> View {
    let all = create_selector(move || {
        server.with(|server| {
            server
                .as_ref()
                .map(|server| server.models.clone())
                .unwrap_or_default()
        })
    });
    view! {
        (all.get_clone().into_iter().take(MODELS_SHOWN).map(|model| view! { code(class="server-model is-cut") { (model) } }).collect::<Vec<_>>())
        ({
            let more = all.with(Vec::len).saturating_sub(MODELS_SHOWN);
            let title = all.with(|all| all.join(", "));
            if more > 0 { view! { span(class="is-faint", title=title) { (servers::models_more(&intl::integer(more as u64))) } } } else { View::new() }
        })
    }
}

fn handle(order: Order, id: String, name: ReadSignal<String>) -> View {
    let (element_id, pressed, keyed) = (format!("handle-{id}"), id.clone(), id);
    view! {
        button(
            r#type="button",
            class="server-handle",
            id=element_id,
            aria-label=servers::move_handle(&name.get_clone()),
            on:pointerdown=move |event: PointerEvent| {
                if begins_drag(&event) {
                    event.prevent_default();
                    order.dragged.set(Some(pressed.clone()));
                }
            },
            on:keydown=move |event: KeyboardEvent| {
                let down = match event.key().as_str() {
                    "ArrowDown" => true,
                    "ArrowUp" => false,
                    _ => return,
                };
                event.prevent_default();
                order.step(&keyed, down);
            },
        ) { (icon(Icon::Drag)) }
    }
}

fn actions(data: Data, order: Order, id: String, name: ReadSignal<String>) -> View {
    let tasks = use_tasks();
    let deleting = create_signal(false);
    let busy = create_signal(false);
    let enabled = {
        let id = id.clone();
        create_selector(move || data.server(&id).is_some_and(|server| server.enabled))
    };
    let toggle = {
        let id = id.clone();
        move |on: bool| {
            let Some(server) = data.server(&id) else {
                return;
            };
            tasks.run(async move {
                let path = format!("/api/servers/{}", server.id);
                match api::patch::<Server>(&path, &json!({ "enabled": on }), Some(server.version))
                    .await
                {
                    Ok(server) => data.put(server),
                    Err(failure) => {
                        toast_failure(&failure);
                        data.servers.reload();
                    }
                }
            });
        }
    };
    let delete = {
        let id = id.clone();
        move || {
            let id = id.clone();
            busy.set(true);
            tasks.run(async move {
                match api::delete(&format!("/api/servers/{id}"), None).await {
                    Ok(()) => {
                        deleting.set(false);
                        toast(servers::deleted());
                        data.drop(&id);
                    }
                    Err(failure) => {
                        busy.set(false);
                        toast_failure(&failure);
                    }
                }
            });
        }
    };
    let items = render(move || {
        let (edit, test, up, down) = (id.clone(), id.clone(), id.clone(), id.clone());
        view! {
            MenuItem(icon=Icon::Edit, on_choose=move || navigation::go(&Route::Server(edit.clone()).path())) { (common::edit()) }
            MenuItem(icon=Icon::Test, on_choose=move || {
                data.to_test.set(Some(test.clone()));
                navigation::go(&Route::Server(test.clone()).path());
            }) { (servers::test()) }
            MenuItem(icon=Icon::Up, on_choose=move || order.step(&up, false)) { (servers::move_up()) }
            MenuItem(icon=Icon::Down, on_choose=move || order.step(&down, true)) { (servers::move_down()) }
            MenuItem(icon=Icon::Delete, danger=true, on_choose=move || deleting.set(true)) { (common::delete()) }
        }
    });
    view! {
        Switch(
            label=move || servers::take_requests(&name.get_clone()),
            hidden_label=true,
            on=enabled,
            on_change=toggle,
        )
        Menu(label=move || format!("{}: {}", common::more(), name.get_clone()), icon=Icon::More, items=items)
        ConfirmByName(
            open=deleting,
            title=move || servers::delete_title(&name.get_clone()),
            warning=servers::delete_warning,
            name=name,
            busy=busy,
            on_confirm=delete,
            on_close=move || deleting.set(false),
        )
    }
}
