//! 配置快照：有年龄上限，保留最后可用的一份。
//!
//! Gives requests an immutable snapshot of the servers and the record of a gateway key without a
//! query on their path: a copy younger than two seconds is used as it is, one younger than five is
//! used while a refresh runs beside the request, an older one is refreshed first. When D1 does not
//! answer, the last known good copy keeps serving ([`gateway::config::Freshness`] holds the ages).
//! Rows that the previous encryption key sealed are sealed again when a refresh comes across them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use admission::Instant;
use gateway::auth::KeyDigest;
use gateway::config::{Freshness, KeyRecord, Lookup, REFRESH_AGE_MAX, Snapshot};
use gateway::error::GatewayError;
use gateway::sql::{self, Statement};
use worker::Context;

use crate::clock::now;
use crate::isolate::Isolate;
use crate::store::{StoreError, rows};
use crate::{log, random};

/// The snapshot of this isolate and when it was last confirmed.
#[derive(Default)]
pub(crate) struct SnapshotCell {
    snapshot: RefCell<Option<Rc<Snapshot>>>,
    confirmed_at: Cell<Option<Instant>>,
    /// What was read before this is to be read again.
    outdated_at: Cell<Option<Instant>>,
    refresh_started_at: Cell<Option<Instant>>,
    /// The last look found keys to seal again: the next one reads the rows, whatever their version.
    reseals: Cell<bool>,
}

impl SnapshotCell {
    fn freshness(&self, failed_at: Option<Instant>, now: Instant) -> Freshness {
        let outdated_at = self.outdated_at.get();
        let confirmed_at = self.confirmed_at.get();
        let freshness = match confirmed_at.filter(|at| Some(*at) > outdated_at) {
            Some(confirmed_at) => Freshness::at(confirmed_at, now),
            None => Freshness::Expired,
        };
        freshness.after_failure(failed_at, now)
    }

    /// True when no other request refreshes at the moment; the caller then has to.
    fn begin_refresh(&self, now: Instant) -> bool {
        let started = self.refresh_started_at.get();
        let running = started.is_some_and(|at| now.saturating_since(at) < REFRESH_AGE_MAX);
        if !running {
            self.refresh_started_at.set(Some(now));
        }
        !running
    }

    /// Version and age in milliseconds of what this isolate serves.
    pub(crate) fn version_and_age_ms(&self) -> Option<(u64, u64)> {
        let version = self.snapshot.borrow().as_ref()?.version;
        let age = now().saturating_since(self.confirmed_at.get()?);
        Some((version, u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// The snapshot to serve this request with.
pub(crate) async fn current(
    isolate: &Rc<Isolate>,
    ctx: &Context,
) -> Result<Rc<Snapshot>, GatewayError> {
    let cell = &isolate.snapshot;
    let now = now();
    let known = cell.snapshot.borrow().clone();
    match (known, cell.freshness(isolate.store.failed_at(), now)) {
        (Some(snapshot), Freshness::Fresh) => Ok(snapshot),
        (Some(snapshot), Freshness::Stale) => {
            refresh_beside(isolate, ctx);
            Ok(snapshot)
        }
        (known, _) => match refresh(isolate).await {
            Ok(refreshed) => {
                reseal_beside(isolate, ctx, refreshed.reseals);
                Ok(refreshed.snapshot)
            }
            Err(error) => {
                log::storage_error("snapshot", &error);
                known.ok_or_else(|| error.into())
            }
        },
    }
}

/// Starts a refresh beside the request unless one is running.
pub(crate) fn refresh_beside(isolate: &Rc<Isolate>, ctx: &Context) {
    if isolate.snapshot.begin_refresh(now()) {
        let isolate = Rc::clone(isolate);
        ctx.wait_until(async move {
            match refresh(&isolate).await {
                Ok(refreshed) => reseal(&isolate, &refreshed.reseals).await,
                Err(error) => log::storage_error("snapshot", &error),
            }
        });
    }
}

/// Writes keys that were sealed again, beside the request.
pub(crate) fn reseal_beside(isolate: &Rc<Isolate>, ctx: &Context, reseals: Vec<Statement>) {
    if !reseals.is_empty() {
        let isolate = Rc::clone(isolate);
        ctx.wait_until(async move { reseal(&isolate, &reseals).await });
    }
}

/// A failure costs nothing: the rows still open, and the next refresh finds them again.
async fn reseal(isolate: &Isolate, reseals: &[Statement]) {
    if !reseals.is_empty()
        && let Err(error) = isolate.store.batch(reseals).await
    {
        log::storage_error("server keys", &error);
    }
}

/// Outdates everything cached: the next request of this isolate asks D1 first, and has the copies still
/// if D1 does not answer.
pub(crate) fn invalidate(isolate: &Isolate) {
    expire(isolate);
    isolate.keys.borrow_mut().expire();
}

/// A newer version exists somewhere: the next request of this isolate asks D1 first.
pub(crate) fn expire(isolate: &Isolate) {
    isolate.snapshot.outdated_at.set(Some(now()));
}

/// What a look at D1 brought.
struct Refreshed {
    snapshot: Rc<Snapshot>,
    /// To be written beside the request.
    reseals: Vec<Statement>,
}

async fn refresh(isolate: &Isolate) -> Result<Refreshed, StoreError> {
    let cell = &isolate.snapshot;
    let asked_at = now();
    let loaded = load(isolate, asked_at).await;
    cell.refresh_started_at.set(None);
    let Refreshed { snapshot, reseals } = loaded?;
    // Answers may arrive out of order: an older version never replaces a newer one.
    let newest = cell
        .snapshot
        .borrow()
        .clone()
        .filter(|known| known.version > snapshot.version);
    let snapshot = newest.unwrap_or(snapshot);
    cell.snapshot.replace(Some(Rc::clone(&snapshot)));
    cell.confirmed_at.set(Some(asked_at));
    Ok(Refreshed { snapshot, reseals })
}

async fn load(isolate: &Isolate, now: Instant) -> Result<Refreshed, StoreError> {
    let cell = &isolate.snapshot;
    let results = isolate.store.batch(&sql::snapshot()).await?;
    let known = cell.snapshot.borrow().clone();
    let version = sql::config_version(rows(results.first())?)
        .ok_or_else(|| StoreError::Unavailable("no configuration version".into()))?;
    let same = known.as_ref().filter(|known| known.version == version);
    if let Some(snapshot) = same.filter(|_| !cell.reseals.get()) {
        return Ok(Refreshed {
            snapshot: Rc::clone(snapshot),
            reseals: Vec::new(),
        });
    }
    let servers: Vec<sql::ServerRow> = rows(results.get(1))?;
    let reseals =
        sql::reseal_server_keys(&servers, isolate.keyring.as_ref(), || random::bytes().ok());
    cell.reseals.set(!reseals.is_empty());
    let servers = servers
        .into_iter()
        .map(|row| row.into_server(isolate.keyring.as_ref()))
        .collect();
    let snapshot = Snapshot::new(version, servers, now);
    let snapshot = match &known {
        Some(known) => snapshot.with_keys_of(known),
        None => snapshot,
    };
    Ok(Refreshed {
        snapshot: Rc::new(snapshot),
        reseals,
    })
}

/// The record of a gateway key, from the bounded cache of this isolate or from D1.
pub(crate) async fn key_record(
    isolate: &Rc<Isolate>,
    ctx: &Context,
    digest: &KeyDigest,
) -> Result<Option<KeyRecord>, GatewayError> {
    let failed_at = isolate.store.failed_at();
    let known = match isolate.keys.borrow().get(digest, failed_at, now()) {
        Lookup::Fresh(record) => return Ok(record.cloned()),
        Lookup::Stale(record) => Some((record.cloned(), true)),
        Lookup::Expired(record) => Some((record.cloned(), false)),
        Lookup::Absent => None,
    };
    if let Some((record, true)) = known {
        refresh_key_beside(isolate, ctx, *digest);
        return Ok(record);
    }
    match load_key(isolate, digest).await {
        Ok(record) => Ok(record),
        Err(error) => {
            log::storage_error("gateway key", &error);
            let known = known.map(|(record, _)| record);
            known.ok_or_else(|| error.into())
        }
    }
}

fn refresh_key_beside(isolate: &Rc<Isolate>, ctx: &Context, digest: KeyDigest) {
    if isolate.keys.borrow_mut().begin_refresh(&digest, now()) {
        let isolate = Rc::clone(isolate);
        ctx.wait_until(async move {
            if let Err(error) = load_key(&isolate, &digest).await {
                log::storage_error("gateway key", &error);
            }
        });
    }
}

async fn load_key(isolate: &Isolate, digest: &KeyDigest) -> Result<Option<KeyRecord>, StoreError> {
    let asked_at = now();
    let lookup = sql::key_by_digest(digest, asked_at);
    let rows: Vec<sql::FoundKeyRow> = isolate.store.read(&lookup).await?;
    let record = rows.into_iter().next().map(sql::FoundKeyRow::into_record);
    isolate
        .keys
        .borrow_mut()
        .insert(*digest, record.clone(), asked_at);
    Ok(record)
}
