//! 实时：每台服务器一行，用量条与等候的队伍。
//!
//! Owns the live strips. A row is made once per server; its figures are signals that change inside it, so
//! nothing flickers, moves or loses the focus when a second passes.

use crate::reactive::{Keyed, create_memo, create_selector};
use console_macros::view;
use sycamore::prelude::*;

use super::lane::Lane;
use crate::api::{List, LiveView};
use crate::attention::backing_off;
use crate::components::{Badge, Card, Meter, Skeleton, Tone, clock, remote_view};
use crate::i18n::overview;
use crate::intl;
use crate::remote::Remote;
use crate::route::Route;

/// The strips of all servers.
#[component(inline_props)]
pub fn Live(live: Remote<List<LiveView>>) -> View {
    let old = create_selector(move || live.failure.with(Option::is_some));
    view! {
        Card(class="is-flush live") {
            (remote_view(live, || view! { div(class="live-waiting") { Skeleton(rows=6) } }, move |list| {
                let waiting = create_selector(move || sum(list, |live| live.queue_length));
                let in_flight = create_selector(move || sum(list, |live| live.in_flight));
                let ids = create_selector(move || list.with(|list| list.items.iter().map(|live| live.server_id.clone()).collect::<Vec<_>>()));
                view! {
                    div(class="live-head") {
                        h2(class="live-title") {
                            span(class=if old.get() { "live-pulse is-old" } else { "live-pulse" }, aria-hidden="true")
                            (if old.get() { overview::live_old() } else { overview::live() })
                        }
                        p(class="live-sum") {
                            span { (overview::live_waiting(&intl::integer(waiting.get()))) }
                            span { (overview::live_in_flight(&intl::integer(in_flight.get()))) }
                        }
                    }
                    ul(class="live-list") {
                        Keyed(list=ids, key=String::clone, view=move |id| row(list, id))
                    }
                }
            }))
        }
    }
}

fn sum(list: ReadSignal<List<LiveView>>, figure: fn(&LiveView) -> u64) -> u64 {
    list.with(|list| list.items.iter().map(figure).fold(0, u64::saturating_add))
}

fn row(list: ReadSignal<List<LiveView>>, id: String) -> View {
    let path = Route::Server(id.clone()).path();
    let live = create_memo(move || {
        list.with(|list| list.items.iter().find(|live| live.server_id == id).cloned())
    });
    let number = move |figure: fn(&LiveView) -> u64| {
        create_selector(move || live.with(|live| live.as_ref().map_or(0, figure)))
    };
    let limit = move |figure: fn(&LiveView) -> Option<u64>| {
        create_selector(move || live.with(|live| live.as_ref().and_then(figure)))
    };
    let name = create_selector(move || {
        live.with(|live| {
            live.as_ref()
                .map(|live| live.name.clone())
                .unwrap_or_default()
        })
    });
    let state =
        create_selector(move || live.with(|live| live.as_ref().map_or(State::Idle, state_of)));
    let paused = create_selector(move || state.get() == State::Paused);
    let class = move || {
        if state.get() == State::Disabled {
            "live-row is-off"
        } else {
            "live-row"
        }
    };
    view! {
        li(class=class) {
            div(class="live-name") {
                a(class="is-cut", href=path, title=name) { (name.get_clone()) }
                (badge(state.get()))
            }
            Meter(label=overview::rpm, used=number(|live| live.rpm_used), limit=limit(|live| live.rpm_limit))
            Meter(label=overview::tpm, used=number(|live| live.tpm_used), limit=limit(|live| live.tpm_limit))
            Meter(label=overview::in_flight, used=number(|live| live.in_flight), limit=limit(|live| live.max_concurrency))
            Lane(
                waiting=number(|live| live.queue_length),
                oldest_ms=number(|live| live.queue_oldest_wait_ms),
                next_ms=limit(|live| live.next_grant_in_ms),
                paused=paused,
            )
        }
    }
}

/// What a server is doing, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Disabled,
    Paused,
    BackingOff,
    Probing,
    Queueing,
    Flowing,
    Idle,
}

/// What a server is doing now.
#[must_use]
pub fn state_of(live: &LiveView) -> State {
    if !live.enabled {
        State::Disabled
    } else if [live.rpm_limit, live.tpm_limit, live.max_concurrency].contains(&Some(0)) {
        State::Paused
    } else if backing_off(live, clock()).is_some() {
        State::BackingOff
    } else if live.probing {
        State::Probing
    } else if live.queue_length > 0 {
        State::Queueing
    } else if live.in_flight > 0 || live.rpm_used > 0 {
        State::Flowing
    } else {
        State::Idle
    }
}

/// The word for it.
pub fn badge(state: State) -> View {
    let (tone, word): (Tone, fn() -> &'static str) = match state {
        State::Disabled => (Tone::Neutral, overview::state_disabled),
        State::Paused => (Tone::Warning, overview::state_paused),
        State::BackingOff => (Tone::Warning, overview::state_backing_off),
        State::Probing => (Tone::Warning, overview::state_probing),
        State::Queueing => (Tone::Accent, overview::state_queueing),
        State::Flowing => (Tone::Good, overview::state_flowing),
        State::Idle => (Tone::Neutral, overview::state_idle),
    };
    view! { Badge(tone=tone) { (word()) } }
}
