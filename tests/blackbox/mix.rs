//! 混合负载：健康的、坏掉的、排队的、离开的，按份额随机。
//!
//! Owns the load of `make availability` and `make soak`: which requests in which shares, what the specification promises
//! for each, and what goes wrong beside them (limiter resets, a database that fails or hangs, changes of the
//! configuration). A request is unavailable if its client saw anything but what is promised for it, or if the log does
//! not have exactly one row for it that says the same.
//!
//! Invariant: the seed determines which requests are made; nothing is judged by speed.

mod judge;
mod kinds;

pub(crate) use judge::{Report, rows};

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_tests::harness::{Chat, Database, Gateway, Key, Server, random::Random, within};
use gateway_tests::provider::Provider;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::faults::Ground;
use kinds::Kind;

/// Far beyond anything that a request waits for here; whoever reaches it has found a request that hangs.
const BOUND: Duration = Duration::from_mins(2);

/// What the clients of a run share.
#[derive(Debug)]
pub(crate) struct Mix {
    chat: Chat,
    address: std::net::SocketAddr,
    next: AtomicUsize,
    requests_max: usize,
    pause_ms: usize,
    random: Mutex<Random>,
    is_over: AtomicBool,
    told: Mutex<Vec<Told>>,
    made: watch::Sender<usize>,
}

/// A request that is over.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) number: usize,
    pub(crate) kind: Kind,
    /// What was not as promised.
    pub(crate) difference: Option<String>,
}

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) clients: usize,
    pub(crate) requests_max: usize,
    /// Longest pause of a client before each request.
    pub(crate) pause_ms: usize,
}

/// The servers of a run.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) key: Key,
    /// Of the servers that are not faulty.
    pub(crate) healthy: Vec<Server>,
    pub(crate) ground: Ground,
    _provider: Provider,
}

impl Scene {
    pub(crate) async fn set(gateway: &Gateway) -> Self {
        let provider = Provider::start();
        let mut healthy = Vec::new();
        for (name, model, fields) in kinds::SERVERS {
            let fields: serde_json::Value = serde_json::from_str(fields).expect("fields");
            let draft = gateway.server(name).provider(&provider).model(model);
            let fields = fields.as_object().into_iter().flatten();
            let draft = fields.fold(draft, |draft, (name, value)| {
                draft.field(name, value.clone())
            });
            healthy.push(draft.create().await);
        }
        let key = gateway.key("mix").create().await;
        let ground = Ground::on(gateway, kinds::FAULTY).await;
        Self {
            key,
            healthy,
            ground,
            _provider: provider,
        }
    }

    /// Every server of the run.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.healthy.iter().chain(self.ground.servers())
    }
}

impl Mix {
    pub(crate) fn new(gateway: &Gateway, scene: &Scene, size: Size, random: Random) -> Arc<Self> {
        Arc::new(Self {
            chat: gateway.chat(&scene.key).bound(BOUND),
            address: gateway.address(),
            next: AtomicUsize::new(0),
            requests_max: size.requests_max,
            pause_ms: size.pause_ms,
            random: Mutex::new(random),
            is_over: AtomicBool::new(false),
            told: Mutex::default(),
            made: watch::Sender::new(0),
        })
    }

    /// The clients, at work until all requests were made or it is over.
    pub(crate) fn start(self: &Arc<Self>, clients: usize) -> JoinSet<()> {
        let mut set = JoinSet::new();
        for _ in 0..clients {
            set.spawn(Arc::clone(self).work());
        }
        set
    }

    /// No client makes another request.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Whoever waits for a request that nobody makes any more.
        self.made.send_replace(usize::MAX);
    }

    /// Waits until so many requests were begun.
    pub(crate) async fn made(&self, count: usize) {
        let mut made = self.made.subscribe();
        // The sender lives as long as this value.
        let _ = made.wait_for(|made| *made >= count).await;
    }

    /// What is over so far.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().expect("no panic").clone()
    }

    async fn work(self: Arc<Self>) {
        loop {
            let (pause, bits) = {
                let mut random = self.random.lock().expect("no panic");
                (random.below(self.pause_ms.max(1)), random.bits())
            };
            tokio::time::sleep(Duration::from_millis(pause as u64)).await;
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.requests_max {
                return;
            }
            self.made.send_modify(|made| *made = made.saturating_add(1));
            let kind = Kind::of(bits);
            let request = kind.request(&self.chat, number, self.address);
            let difference = within(BOUND, "the end of a request", request).await.err();
            let told = Told {
                number,
                kind,
                difference,
            };
            self.told.lock().expect("no panic").push(told);
        }
    }
}

/// What goes wrong, one after the other, each after so many requests more; then all is well again.
pub(crate) async fn trouble(gateway: &Gateway, scene: &Scene, mix: &Mix, every: usize, seed: u64) {
    let mut random = Random::new(seed);
    let mut at = every;
    while !mix.is_over.load(Ordering::Relaxed) && at < mix.requests_max {
        mix.made(at).await;
        if mix.is_over.load(Ordering::Relaxed) {
            break;
        }
        let server = random.pick(&scene.healthy);
        match random.below(5) {
            0 | 1 => gateway.reset_limiter(&server.id).await,
            2 => brief_outage(gateway, Database::Fails).await,
            3 => brief_outage(gateway, Database::Hangs).await,
            _ => change(gateway, server, random.below(2) == 0).await,
        }
        at += every;
    }
}

/// As long as some requests take.
async fn brief_outage(gateway: &Gateway, how: Database) {
    gateway.database(how).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    gateway.database(Database::Answers).await;
}

/// A change that must be noticed by nobody.
async fn change(gateway: &Gateway, server: &Server, raised: bool) {
    let patch = gateway.admin("PATCH", &server.path());
    let limit = if raised { 200_000 } else { 100_000 };
    patch
        .json(&json!({"rpm_limit": limit}))
        .send()
        .await
        .expect(200);
}
