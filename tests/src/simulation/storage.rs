//! 存储：对象的持久行，以及断电时还没落盘的写。
//!
//! Owns what survives the death of the object. A write becomes durable some time after it is made,
//! writes become durable in their order, and those that are not durable yet die with the object.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use admission::{BucketRow, Changes, LeaseRow, ModelRow, State, StateRow, WaiterRow};

/// The rows of one object.
#[derive(Debug, Default)]
pub(super) struct Storage {
    pending: VecDeque<(Duration, Changes)>,
    state: Option<StateRow>,
    buckets: BTreeMap<u64, BucketRow>,
    leases: BTreeMap<String, LeaseRow>,
    waiters: BTreeMap<String, WaiterRow>,
    models: BTreeMap<String, ModelRow>,
}

impl Storage {
    /// Writes; durable after `span`, but not before earlier writes. Returns when.
    pub(super) fn write(&mut self, changes: Changes, now: Duration, span: Duration) -> Duration {
        self.settle_down(now);
        let earlier = self.pending.back().map_or(now, |(at, _)| *at);
        let durable_at = (now + span).max(earlier);
        self.pending.push_back((durable_at, changes));
        durable_at
    }

    /// The object dies: what is not durable at `now` is lost.
    pub(super) fn crash(&mut self, now: Duration) -> State {
        self.settle_down(now);
        self.pending.clear();
        State {
            sequence: 0,
            state: self.state.clone(),
            buckets: self.buckets.values().cloned().collect(),
            leases: self.leases.values().cloned().collect(),
            waiters: self.waiters.values().cloned().collect(),
            models: self.models.values().cloned().collect(),
        }
    }

    fn settle_down(&mut self, now: Duration) {
        while self.pending.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, changes)) = self.pending.pop_front()
        {
            self.apply(changes);
        }
    }

    fn apply(&mut self, changes: Changes) {
        if changes.state.is_some() {
            self.state = changes.state;
        }
        for key in &changes.buckets_removed {
            self.buckets.remove(key);
        }
        for key in &changes.leases_removed {
            self.leases.remove(key);
        }
        for key in &changes.waiters_removed {
            self.waiters.remove(key);
        }
        for key in &changes.models_removed {
            self.models.remove(key);
        }
        for row in changes.buckets {
            self.buckets.insert(row.bucket, row);
        }
        for row in changes.leases {
            self.leases.insert(row.ticket.clone(), row);
        }
        for row in changes.waiters {
            self.waiters.insert(row.ticket.clone(), row);
        }
        for row in changes.models {
            self.models.insert(row.model.clone(), row);
        }
    }
}
