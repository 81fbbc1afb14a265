//! 账本：各种结局的请求，进程屡次被杀，每个请求仍恰好一行。
//!
//! Requests of every kind go through plain workerd, which is killed at random moments and whose limiter objects
//! are reset at others, with the provider's own ledger beside it. Afterwards the log is compared with what the
//! provider saw and what the clients were told. A few hundred requests with the other tests; `make ledger` asks
//! for 20,000 and ten kills (`LEDGER_REQUESTS`, `LEDGER_KILLS`, `LEDGER_CLIENTS`; `SLUICE_SEED` repeats a run).
//!
//! Invariant: nothing is judged by speed. A request that was under way when the process died, or had ended less
//! than a second before, is judged apart from all others.

mod clients;
mod judge;
mod kinds;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway_tests::harness::{Chat, Gateway, Key, Server, random::Random};
use gateway_tests::provider::{Options, Provider};
use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use clients::Told;
use judge::Books;
use kinds::Place;

use crate::mix;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![every_request_has_one_row_though_the_process_is_killed]
}

/// Longer than any request here takes on a busy machine, or its Worker would be given up while it lives.
const LEASE_MS: &str = "15000";

/// Until the last lease has ended and the journals are in D1.
const DRAINED: Duration = Duration::from_mins(3);

/// A blow comes up to this long after the request that brings it about has begun.
const BLOW_DELAY_MS: usize = 60;

/// A client pauses up to this long before each request.
const PAUSE_MS: usize = 400;

/// How large a run is.
#[derive(Clone, Copy, Debug)]
struct Size {
    requests: usize,
    kills: usize,
    clients: usize,
}

impl Size {
    fn of_environment() -> Self {
        let number = |name: &str, default| {
            std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
        };
        Self {
            requests: number("LEDGER_REQUESTS", 600),
            kills: number("LEDGER_KILLS", 2),
            clients: number("LEDGER_CLIENTS", 24),
        }
    }
}

/// What happens to the gateway.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Kill,
    Reset(Place),
}

/// One life of the gateway's process, as clients see it.
#[derive(Debug)]
struct Life {
    number: usize,
    chat: Chat,
    address: SocketAddr,
}

/// What the clients share.
#[derive(Debug)]
struct Run {
    size: Size,
    /// Where in the mix of kinds it begins.
    offset: usize,
    next: AtomicUsize,
    /// Of the pauses between requests.
    random: Mutex<Random>,
    started: watch::Sender<usize>,
    life: watch::Sender<Option<Arc<Life>>>,
}

impl Run {
    /// The next request and the life in which it is made; `None` when all were made. Takes its time, so that
    /// most requests of a life are over well before it ends.
    async fn next(&self) -> Option<(usize, Arc<Life>)> {
        let pause = self.random.lock().expect("no panic").below(PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(pause as u64)).await;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.size.requests {
            return None;
        }
        let mut life = self.life.subscribe();
        let life = life.wait_for(Option::is_some).await.expect("a life");
        let life = life.clone()?;
        self.started.send_modify(|started| *started += 1);
        Some((number, life))
    }
}

async fn start(state: &TempDir) -> Gateway {
    Gateway::serve()
        .state(state.path())
        .with_faults()
        .variable("FAULT_LEASE_MS", LEASE_MS)
        .variable("LOG_REQUESTS", "off")
        .start()
        .await
}

async fn every_request_has_one_row_though_the_process_is_killed() {
    let size = Size::of_environment();
    let mut random = Random::announced("every_request_has_one_row_though_the_process_is_killed");
    let began = Instant::now();
    let state = TempDir::with_prefix("sluice-ledger-").expect("a temporary directory");
    let provider = Provider::start_with(Options::default()).expect("a loopback port is free");
    let gateway = start(&state).await;
    let mut servers = BTreeMap::new();
    for place in Place::all() {
        servers.insert(place, place.server(&gateway, &provider).create().await);
    }
    let key = gateway.key("ledger").create().await;
    gateway.in_force().await;

    let run = Arc::new(Run {
        size,
        offset: random.below(1_000),
        next: AtomicUsize::new(0),
        random: Mutex::new(Random::new(random.bits())),
        started: watch::Sender::new(0),
        life: watch::Sender::new(None),
    });
    let mut clients = JoinSet::new();
    for _ in 0..size.clients {
        clients.spawn(clients::work(Arc::clone(&run)));
    }
    let (gateway, kills) = lives(&run, &state, gateway, &key, &servers, &mut random).await;
    let told: Vec<Told> = clients.join_all().await.into_iter().flatten().collect();
    assert_eq!(told.len(), size.requests);
    let requests_took = began.elapsed();
    for server in servers.values() {
        gateway
            .live_within(DRAINED, &server.id, "all is over and in D1", |live| {
                live["in_flight"] == 0 && live["queue_length"] == 0 && live["journal_rows"] == 0
            })
            .await;
    }
    let books = Books {
        told,
        kills,
        seen: provider.ledger().chats(),
        rows: mix::rows(&gateway).await,
    };
    println!(
        "{size:?}: requests {requests_took:?}, with their rows in D1 {:?}",
        began.elapsed()
    );
    books.judge();
    sums_are_those_of_the_rows(&gateway, &books.rows).await;
}

/// At which request what happens: kills over the whole run, at random but not before there is something to kill,
/// and as many resets anywhere.
fn blows(size: Size, random: &mut Random) -> Vec<(usize, Blow)> {
    let mut blows = Vec::new();
    let span = size.requests / (size.kills + 1);
    for kill in 0..size.kills {
        let from = kill * span + span / 2;
        blows.push((from + random.below(span), Blow::Kill));
        let place = *random.pick(&Place::all());
        blows.push((random.below(size.requests), Blow::Reset(place)));
    }
    blows.sort_by_key(|(at, _)| *at);
    blows
}

/// Lets the clients work and deals the blows; the gateway that is left, and when each earlier one was killed.
async fn lives(
    run: &Run,
    state: &TempDir,
    mut gateway: Gateway,
    key: &Key,
    servers: &BTreeMap<Place, Server>,
    random: &mut Random,
) -> (Gateway, Vec<Instant>) {
    let mut kills = Vec::new();
    let life = |number: usize, gateway: &Gateway| {
        Some(Arc::new(Life {
            number,
            chat: gateway.chat(key),
            address: gateway.address(),
        }))
    };
    run.life.send_replace(life(0, &gateway));
    let mut started = run.started.subscribe();
    for (at, blow) in blows(run.size, random) {
        let reached = started.wait_for(|started| *started > at).await;
        reached.expect("clients");
        tokio::time::sleep(Duration::from_millis(random.below(BLOW_DELAY_MS) as u64)).await;
        match blow {
            Blow::Reset(place) => gateway.reset_limiter(&servers[&place].id).await,
            Blow::Kill => {
                // Whoever comes now waits for the next life, so all of this one are before the kill.
                run.life.send_replace(None);
                kills.push(Instant::now());
                gateway.kill().await;
                gateway = start(state).await;
                run.life.send_replace(life(kills.len(), &gateway));
            }
        }
    }
    (gateway, kills)
}

/// The cron adds up what the log says.
async fn sums_are_those_of_the_rows(gateway: &Gateway, rows: &[Value]) {
    gateway.cron().await;
    let report = gateway.admin("GET", "/api/stats/usage?granularity=day");
    let totals = report.send().await.expect(200).json()["totals"].clone();
    assert_eq!(totals["requests"], rows.len());
    for field in [
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "total_tokens",
    ] {
        let sum: u64 = rows.iter().filter_map(|row| row[field].as_u64()).sum();
        assert_eq!(totals[field], sum, "{field}");
    }
}
