//! 配置快照：有年龄上限，保留最后可用的一份。
//!
//! Gives requests an immutable snapshot of the servers and the record of a gateway key without a
//! query on their path: a copy younger than two seconds is used as it is, one younger than five is
//! used while a refresh runs beside the request, an older one is refreshed first. When D1 does not
//! answer, the last known good copy keeps serving ([`gateway::config::Freshness`] holds the ages).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use admission::Instant;
use gateway::auth::KeyDigest;
use gateway::config::{Freshness, KeyRecord, Lookup, Snapshot};
use gateway::error::GatewayError;
use gateway::sql;
use worker::Context;

use crate::clock::now;
use crate::isolate::Isolate;
use crate::log;
use crate::store::{StoreError, rows};

/// A refresh that was started longer ago than this belongs to a request that died with it.
const REFRESH_MS_MAX: u64 = 6_000;

/// The snapshot of this isolate and when it was last confirmed.
#[derive(Default)]
pub(crate) struct SnapshotCell {
    snapshot: RefCell<Option<Rc<Snapshot>>>,
    confirmed_at: Cell<Option<Instant>>,
    refresh_started_at: Cell<Option<Instant>>,
}

impl SnapshotCell {
    fn freshness(&self, now: Instant) -> Freshness {
        match self.confirmed_at.get() {
            Some(confirmed_at) => Freshness::at(confirmed_at, now),
            None => Freshness::Expired,
        }
    }

    /// True when no other request refreshes at the moment; the caller then has to.
    fn begin_refresh(&self, now: Instant) -> bool {
        let running = self.refresh_started_at.get().is_some_and(|started| {
            now.saturating_since(started).as_millis() < u128::from(REFRESH_MS_MAX)
        });
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
    match (known, cell.freshness(now)) {
        (Some(snapshot), Freshness::Fresh) => Ok(snapshot),
        (Some(snapshot), Freshness::Stale) => {
            refresh_beside(isolate, ctx);
            Ok(snapshot)
        }
        (known, _) => match refresh(isolate).await {
            Ok(snapshot) => Ok(snapshot),
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
            if let Err(error) = refresh(&isolate).await {
                log::storage_error("snapshot", &error);
            }
        });
    }
}

/// Forgets the age of everything cached: the next request of this isolate asks D1 first.
pub(crate) fn invalidate(isolate: &Isolate) {
    isolate.snapshot.confirmed_at.set(None);
    isolate.keys.borrow_mut().clear();
}

/// A newer version exists somewhere: the next request of this isolate asks D1 first.
pub(crate) fn expire(isolate: &Isolate) {
    isolate.snapshot.confirmed_at.set(None);
}

async fn refresh(isolate: &Isolate) -> Result<Rc<Snapshot>, StoreError> {
    let cell = &isolate.snapshot;
    let asked_at = now();
    let loaded = load(isolate, asked_at).await;
    cell.refresh_started_at.set(None);
    let snapshot = loaded?;
    // Answers may arrive out of order: an older version never replaces a newer one.
    let newest = cell
        .snapshot
        .borrow()
        .clone()
        .filter(|known| known.version > snapshot.version);
    let snapshot = newest.unwrap_or(snapshot);
    cell.snapshot.replace(Some(Rc::clone(&snapshot)));
    cell.confirmed_at.set(Some(asked_at));
    Ok(snapshot)
}

async fn load(isolate: &Isolate, now: Instant) -> Result<Rc<Snapshot>, StoreError> {
    let known = isolate.snapshot.snapshot.borrow().clone();
    let results = isolate.store.batch(&sql::snapshot()).await?;
    let version = sql::config_version(rows(results.first())?)
        .ok_or_else(|| StoreError::Unavailable("no configuration version".into()))?;
    if let Some(known) = known.filter(|known| known.version == version) {
        return Ok(known);
    }
    let servers: Vec<sql::ServerRow> = rows(results.get(1))?;
    let servers = servers
        .into_iter()
        .map(|row| row.into_server(isolate.keyring.as_ref()))
        .collect();
    Ok(Rc::new(Snapshot::new(version, servers, now)))
}

/// The record of a gateway key, from the bounded cache of this isolate or from D1.
pub(crate) async fn key_record(
    isolate: &Rc<Isolate>,
    ctx: &Context,
    digest: &KeyDigest,
) -> Result<Option<KeyRecord>, GatewayError> {
    let known = match isolate.keys.borrow().get(digest, now()) {
        Lookup::Fresh(record) => return Ok(record.cloned()),
        Lookup::Stale(record) => {
            let (isolate, digest) = (Rc::clone(isolate), *digest);
            ctx.wait_until(async move {
                if let Err(error) = load_key(&isolate, &digest).await {
                    log::storage_error("gateway key", &error);
                }
            });
            return Ok(record.cloned());
        }
        Lookup::Expired(record) => Some(record.cloned()),
        Lookup::Absent => None,
    };
    match load_key(isolate, digest).await {
        Ok(record) => Ok(record),
        Err(error) => {
            log::storage_error("gateway key", &error);
            known.ok_or_else(|| error.into())
        }
    }
}

async fn load_key(isolate: &Isolate, digest: &KeyDigest) -> Result<Option<KeyRecord>, StoreError> {
    let asked_at = now();
    let rows: Vec<sql::KeyRow> = isolate.store.read(&sql::key_by_digest(digest)).await?;
    let record = rows.into_iter().next().map(sql::KeyRow::into_record);
    isolate
        .keys
        .borrow_mut()
        .insert(*digest, record.clone(), asked_at);
    Ok(record)
}
