//! 存储：把变更写进表格，再整表读回，与外壳所做的一样。
//!
//! The store: tables that changes are written into and read back from as a whole, like the
//! shell's. It survives the core.

use crate::{BucketRow, Changes, LeaseRow, ModelRow, State, StateRow, WaiterRow};
use std::collections::BTreeMap;

/// The tables.
#[derive(Clone, Default)]
pub(crate) struct Store {
    state: Option<StateRow>,
    buckets: BTreeMap<u64, BucketRow>,
    leases: BTreeMap<String, LeaseRow>,
    waiters: BTreeMap<String, WaiterRow>,
    models: BTreeMap<String, ModelRow>,
}

fn write<K: Ord, R>(table: &mut BTreeMap<K, R>, rows: Vec<R>, key: fn(&R) -> K, gone: Vec<K>) {
    for key in gone {
        assert!(
            table.remove(&key).is_some(),
            "deletes only what was written"
        );
    }
    table.extend(rows.into_iter().map(|row| (key(&row), row)));
}

impl Store {
    /// Writes one batch.
    pub(crate) fn write(&mut self, changes: Changes) {
        self.state = changes.state.or(self.state.take());
        let Changes {
            buckets,
            buckets_removed,
            leases,
            leases_removed,
            waiters,
            waiters_removed,
            models,
            models_removed,
            ..
        } = changes;
        write(
            &mut self.buckets,
            buckets,
            |row| row.bucket,
            buckets_removed,
        );
        write(
            &mut self.leases,
            leases,
            |row| row.ticket.clone(),
            leases_removed,
        );
        write(
            &mut self.waiters,
            waiters,
            |row| row.ticket.clone(),
            waiters_removed,
        );
        write(
            &mut self.models,
            models,
            |row| row.model.clone(),
            models_removed,
        );
    }

    /// Everything that is written.
    pub(crate) fn read(&self) -> State {
        State {
            sequence: 0,
            state: self.state.clone(),
            buckets: self.buckets.values().cloned().collect(),
            leases: self.leases.values().cloned().collect(),
            waiters: self.waiters.values().cloned().collect(),
            models: self.models.values().cloned().collect(),
        }
    }
}
