//! 服务器页面：列表与旁边的面板。
//!
//! The page of servers. Owns its data (the list, and live figures once a second) and which server is open
//! beside it; the rows, the order and the form are files of their own. A change is put into the list from the
//! API's answer.

pub mod fields;
pub mod form;
pub mod list;
pub mod panel;
pub mod probe;
pub mod row;

use crate::reactive::create_selector;
use console_macros::view;
use sycamore::prelude::*;

use crate::api::{List, LiveView, Server};
use crate::components::{
    Card, EmptyState, Kind, LinkButton, PageHeader, Skeleton, remote_view, render,
};
use crate::i18n::servers;
use crate::icons::Icon;
use crate::remote::{Remote, load, poll};
use crate::session;

const LIVE_MS: u32 = 1_000;

/// What the parts of the page share.
#[derive(Clone, Copy, Debug)]
pub struct Data {
    /// All servers in their order.
    pub servers: Remote<List<Server>>,
    /// Their live figures.
    pub live: Remote<List<LiveView>>,
    /// A server whose connection shall be tested as soon as its form is there.
    pub to_test: Signal<Option<String>>,
}

impl Data {
    /// Puts a changed or new server into the list.
    pub fn put(self, server: Server) {
        let Some(mut list) = self.servers.data.get_clone_untracked() else {
            return;
        };
        match list.items.iter_mut().find(|one| one.id == server.id) {
            Some(one) => *one = server,
            None => list.items.push(server),
        }
        self.servers.set(list);
    }

    /// Takes a server out of the list.
    pub fn drop(self, id: &str) {
        if let Some(mut list) = self.servers.data.get_clone_untracked() {
            list.items.retain(|one| one.id != id);
            self.servers.set(list);
        }
    }

    /// A server of the list; a view that asks follows.
    #[must_use]
    pub fn server(self, id: &str) -> Option<Server> {
        let find = |list: &List<Server>| list.items.iter().find(|one| one.id == id).cloned();
        self.servers.data.with(|list| list.as_ref().and_then(find))
    }

    /// A server's live figures; a view that asks follows.
    #[must_use]
    pub fn live_of(self, id: &str) -> Option<LiveView> {
        let find =
            |list: &List<LiveView>| list.items.iter().find(|one| one.server_id == id).cloned();
        self.live.data.with(|list| list.as_ref().and_then(find))
    }
}

/// The page.
#[component]
pub fn ServersPage() -> View {
    let data = Data {
        servers: load(|| "/api/servers?limit=500".to_owned()),
        live: poll(LIVE_MS, || "/api/live".to_owned()),
        to_test: create_signal(None),
    };
    let add = render(|| {
        let admin = create_selector(session::is_admin);
        view! {
            (if admin.get() {
                view! { LinkButton(href="/servers/new", kind=Kind::Primary, icon=Icon::Add) { (servers::add()) } }
            } else {
                View::new()
            })
        }
    });
    let first = add.clone();
    view! {
        PageHeader(title=servers::title, hint=servers::hint, actions=add)
        (remote_view(data.servers, || view! { Card { Skeleton(rows=7) } }, {
            let first = first.clone();
            move |list| {
                let some = create_selector(move || list.with(|list| !list.items.is_empty()));
                let first = first.clone();
                view! {
                    (if some.get() {
                        view! { list::ServerList(data=data, list=list) }
                    } else {
                        let first = first.clone();
                        view! { EmptyState(icon=Icon::Servers, title=servers::empty_title, hint=servers::empty_hint, actions=first) }
                    })
                }
            }
        }))
        panel::Panel(data=data)
    }
}
