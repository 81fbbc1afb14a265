//! 服务器列表与顺序：拖动，或用方向键。
//!
//! Owns the order of the servers on screen: dragging a handle with mouse or finger, arrow keys on it, and
//! saving the new order. The order that was typed is shown at once and taken back if the API refuses it.

use crate::reactive::{Keyed, create_effect, create_selector};
use console_macros::view;
use serde_json::json;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, PointerEvent};

use super::{Data, row};
use crate::api::{self, List, Server};
use crate::browser::{document, focus_first, listen};
use crate::components::{Card, toast, toast_failure};
use crate::i18n::servers;
use crate::intl;
use crate::server_form::moved;
use crate::session;
use crate::task::{Tasks, use_tasks};

/// The order, and how a row changes it.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Ids, first tried first.
    pub ids: Signal<Vec<String>>,
    /// The one that is being dragged.
    pub dragged: Signal<Option<String>>,
    said: Signal<String>,
    data: Data,
    tasks: Tasks,
}

impl Order {
    /// Moves a server by one place and saves.
    pub fn step(self, id: &str, down: bool) {
        let ids = self.ids.get_clone_untracked();
        let Some(at) = ids.iter().position(|one| one == id) else {
            return;
        };
        let to = if down {
            at.saturating_add(1)
        } else {
            at.saturating_sub(1)
        };
        let next = moved(&ids, id, to);
        if next == ids {
            return;
        }
        self.ids.set(next);
        self.say(id);
        self.save();
        // Its row may have been taken out and put in again, which loses the focus.
        focus_first(&format!("#handle-{id}"));
    }

    fn say(self, id: &str) {
        let ids = self.ids.get_clone_untracked();
        let place = ids
            .iter()
            .position(|one| one == id)
            .map_or(0, |at| at.saturating_add(1));
        let name = self
            .data
            .server(id)
            .map(|server| server.name)
            .unwrap_or_default();
        let number = |count: usize| intl::integer(count as u64);
        self.said
            .set(servers::moved(&name, &number(place), &number(ids.len())));
    }

    fn save(self) {
        let ids = self.ids.get_clone_untracked();
        // A later change overtakes an earlier one that is still under way.
        self.tasks.stop();
        self.tasks.run(async move {
            match api::put::<List<Server>>("/api/servers/order", &json!({ "ids": ids }), None).await
            {
                Ok(list) => {
                    self.data.servers.set(list);
                    toast(servers::ordered());
                }
                Err(failure) => {
                    toast_failure(&failure);
                    self.data.servers.reload();
                    self.reset();
                }
            }
        });
    }

    fn reset(self) {
        let ids = self
            .data
            .servers
            .data
            .with_untracked(|list| list.as_ref().map(ids_of));
        if let Some(ids) = ids {
            self.ids.set(ids);
        }
    }

    fn drag_over(self, event: &PointerEvent) {
        let Some(id) = self.dragged.get_clone_untracked() else {
            return;
        };
        event.prevent_default();
        let (x, y) = (pixels(event.client_x()), pixels(event.client_y()));
        let under = document().element_from_point(x, y);
        let under = under.and_then(|under| under.closest("[data-server]").ok().flatten());
        let target = under.and_then(|under: Element| under.get_attribute("data-server"));
        let ids = self.ids.get_clone_untracked();
        let place = target.and_then(|target| ids.iter().position(|one| *one == target));
        if let Some(place) = place {
            let next = moved(&ids, &id, place);
            if next != ids {
                self.ids.set(next);
            }
        }
    }

    fn drag_end(self, keep: bool) {
        let Some(id) = self.dragged.get_clone_untracked() else {
            return;
        };
        self.dragged.set(None);
        let before = self
            .data
            .servers
            .data
            .with_untracked(|list| list.as_ref().map(ids_of));
        if !keep {
            self.reset();
        } else if before != Some(self.ids.get_clone_untracked()) {
            self.say(&id);
            self.save();
        }
    }
}

fn ids_of(list: &List<Server>) -> Vec<String> {
    list.items.iter().map(|server| server.id.clone()).collect()
}

/// The list.
#[component(inline_props)]
pub fn ServerList(data: Data, list: ReadSignal<List<Server>>) -> View {
    let order = Order {
        ids: create_signal(list.with_untracked(ids_of)),
        dragged: create_signal(None),
        said: create_signal(String::new()),
        data,
        tasks: use_tasks(),
    };
    create_effect(move || {
        let ids = list.with(ids_of);
        if order.dragged.with_untracked(Option::is_none) && ids != order.ids.get_clone_untracked() {
            order.ids.set(ids);
        }
    });
    listen(&document(), "pointermove", move |event: PointerEvent| {
        order.drag_over(&event);
    });
    listen(&document(), "pointerup", move |_: PointerEvent| {
        order.drag_end(true);
    });
    listen(&document(), "pointercancel", move |_: PointerEvent| {
        order.drag_end(false);
    });
    let admin = create_selector(session::is_admin);
    let class = move || {
        let base = if admin.get() {
            "servers"
        } else {
            "servers is-fixed"
        };
        if order.dragged.with(Option::is_some) {
            format!("{base} is-dragging")
        } else {
            base.to_owned()
        }
    };
    view! {
        Card(class="is-flush") {
            div(class=class()) {
                div(class="servers-head", aria-hidden="true") {
                    span {}
                    span { (servers::column_server()) }
                    span { (servers::column_models()) }
                    span { (servers::column_use()) }
                    span { (servers::column_state()) }
                    span {}
                }
                ol(class="servers-list", aria-label=servers::title()) {
                    Keyed(list=order.ids, key=String::clone, view=move |id| row::row(data, order, id))
                }
            }
        }
        p(class="visually-hidden", role="status") { (order.said.get_clone()) }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "places in a window are far below 2^23"
)]
const fn pixels(place: i32) -> f32 {
    place as f32
}

/// Whether an element takes part in dragging: a drag begins with the main button only.
#[must_use]
pub fn begins_drag(event: &PointerEvent) -> bool {
    let handle = event
        .current_target()
        .and_then(|target| target.dyn_into::<Element>().ok());
    event.button() == 0 && handle.is_some()
}
