//! 总览页面：此刻谁在等，过去发生了什么，哪里要看一眼。
//!
//! The overview. Owns its data (servers, live figures, statistics) and the order of its parts; each part is a
//! file of its own. Live figures come once a second, statistics once a minute.

pub mod attention;
pub mod first_steps;
pub mod lane;
pub mod live;
pub mod totals;
pub mod traffic;

use crate::reactive::create_selector;
use console_macros::view;
use sycamore::prelude::*;

use crate::api::{List, LiveView, Server, UsageReport};
use crate::components::{Card, PageHeader, RangePicker, Skeleton, clock, remote_view, use_range};
use crate::i18n::overview;
use crate::range::Preset;
use crate::remote::poll;

const PRESETS: [Preset; 3] = [Preset::Day, Preset::Week, Preset::Month];
const LIVE_MS: u32 = 1_000;
const SERVERS_MS: u32 = 15_000;
const USAGE_MS: u32 = 60_000;

/// The page.
#[component]
pub fn OverviewPage() -> View {
    let range = use_range(Preset::Day);
    let servers = poll::<List<Server>>(SERVERS_MS, || "/api/servers?limit=500".to_owned());
    let live = poll::<List<LiveView>>(LIVE_MS, || "/api/live".to_owned());
    let usage = poll::<UsageReport>(USAGE_MS, move || {
        let bounds = range.get().bounds(clock());
        let step = bounds.step().name();
        format!(
            "/api/stats/usage?granularity={step}&limit=500&{}",
            bounds.aligned().url_text()
        )
    });
    view! {
        PageHeader(title=overview::title, hint=overview::hint)
        (remote_view(
            servers,
            || view! { Card(class="is-live-waiting") { Skeleton(rows=6) } },
            move |servers| {
                let has_servers = create_selector(move || servers.with(|list| !list.items.is_empty()));
                view! {
                    (if has_servers.get() {
                                view! {
                            attention::Attention(servers=servers, live=live)
                            live::Live(live=live)
                            section(class="overview-traffic", aria-labelledby="overview-traffic") {
                                div(class="spread") {
                                    h2(id="overview-traffic") { (overview::traffic()) }
                                    RangePicker(range=range, presets=&PRESETS)
                                }
                                (remote_view(usage, || view! { totals::Waiting() }, |usage| view! {
                                    totals::Totals(usage=usage)
                                    traffic::Traffic(usage=usage)
                                }))
                            }
                        }
                    } else {
                        view! { first_steps::FirstSteps() }
                    })
                }
            },
        ))
    }
}
