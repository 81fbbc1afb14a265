//! 需要关注：有事才出现。
//!
//! Shows what `crate::attention` finds, as links to the servers concerned, gravest first. Where there is
//! nothing to look at, nothing is shown, so that the eye is drawn here only with a reason.

use crate::reactive::{Keyed, create_memo, create_selector};
use console_macros::view;
use sycamore::prelude::*;

use crate::api::{List, LiveView, Server, UsageReport};
use crate::attention::{Matter, Notice, Recent, notices};
use crate::components::{clock, icon};
use crate::i18n::overview;
use crate::icons::Icon;
use crate::intl;
use crate::range::{Preset, Range, Step};
use crate::remote::{Remote, poll};
use crate::route::Route;

const RECENT_MS: u32 = 60_000;
const HOURS: u64 = 2;

/// The list; nothing where all is well.
#[component(inline_props)]
pub fn Attention(servers: ReadSignal<List<Server>>, live: Remote<List<LiveView>>) -> View {
    let usage = poll::<UsageReport>(RECENT_MS, || {
        let to = Range::Preset(Preset::Hour).bounds(clock()).aligned().to_ms;
        let from = to.saturating_sub(Step::Hour.milliseconds().saturating_mul(HOURS));
        let bounds = crate::range::Bounds {
            from_ms: from,
            to_ms: to,
        };
        format!(
            "/api/stats/usage?granularity=hour&group_by=server_id&limit=500&{}",
            bounds.url_text()
        )
    });
    let recent = create_memo(move || {
        usage
            .data
            .with(|usage| usage.as_ref().map(recent).unwrap_or_default())
    });
    let found = create_memo(move || {
        let live = live.data.with(|live| {
            live.as_ref()
                .map(|live| live.items.clone())
                .unwrap_or_default()
        });
        let recent = recent.get_clone();
        servers.with(|servers| notices(&servers.items, &live, &recent, clock()))
    });
    // Only what is the matter makes a row anew; its figures change inside.
    let keys =
        create_selector(move || found.with(|found| found.iter().map(key).collect::<Vec<_>>()));
    let some = create_selector(move || keys.with(|keys| !keys.is_empty()));
    view! {
        (if some.get() {
            view! {
                section(class="attention", aria-labelledby="attention-title") {
                    h2(id="attention-title", class="attention-title") { (overview::attention()) }
                    ul(class="attention-list") {
                        Keyed(list=keys, key=Key::clone, view=move |wanted| row(found, wanted))
                    }
                }
            }
        } else {
            View::new()
        })
    }
}

type Key = (String, u8);

fn key(notice: &Notice) -> Key {
    let kind = match notice.matter {
        Matter::KeyUnreadable => 0,
        Matter::Failing { .. } => 1,
        Matter::Paused => 2,
        Matter::BackingOff { .. } => 3,
        Matter::Slow { .. } => 4,
        Matter::JournalStuck { .. } => 5,
    };
    (notice.server_id.clone(), kind)
}

fn row(found: ReadSignal<Vec<Notice>>, wanted: Key) -> View {
    let path = Route::Server(wanted.0.clone()).path();
    let notice = create_memo(move || {
        found.with(|found| found.iter().find(|one| key(one) == wanted).cloned())
    });
    let name = move || {
        notice.with(|notice| {
            notice
                .as_ref()
                .map(|notice| notice.server_name.clone())
                .unwrap_or_default()
        })
    };
    let grave = notice.with_untracked(|notice| {
        notice
            .as_ref()
            .is_some_and(|notice| notice.matter.is_grave())
    });
    let class = if grave {
        "attention-row is-bad"
    } else {
        "attention-row is-warning"
    };
    let symbol = icon(if grave { Icon::Failure } else { Icon::Warning });
    view! {
        li {
            a(class=class, href=path) {
                (symbol)
                strong { (name()) }
                span(class="attention-words") { (notice.with(|notice| notice.as_ref().map(|notice| words(notice.matter)).unwrap_or_default())) }
                (icon(Icon::Right))
            }
        }
    }
}

fn words(matter: Matter) -> String {
    match matter {
        Matter::KeyUnreadable => overview::key_unreadable().to_owned(),
        Matter::Failing { ratio } => overview::failing(&intl::percent(ratio)),
        Matter::JournalStuck { rows } => overview::journal_stuck(&intl::integer(rows)),
        Matter::Paused => overview::paused().to_owned(),
        Matter::BackingOff { until_ms } => {
            overview::backing_off(&intl::span(until_ms.saturating_sub(clock())))
        }
        Matter::Slow {
            waited_ms,
            timeout_ms,
        } => overview::slow(&intl::span(waited_ms), &intl::span(timeout_ms)),
    }
}

fn recent(usage: &UsageReport) -> Vec<Recent> {
    let mut recent: Vec<Recent> = Vec::new();
    for row in &usage.items {
        let Some(server_id) = row.server_id.clone() else {
            continue;
        };
        let (requests, errors) = (row.figures.requests, row.figures.errors);
        if let Some(known) = recent.iter_mut().find(|known| known.server_id == server_id) {
            known.requests = known.requests.saturating_add(requests);
            known.errors = known.errors.saturating_add(errors);
        } else {
            recent.push(Recent {
                server_id,
                requests,
                errors,
            });
        }
    }
    recent
}
