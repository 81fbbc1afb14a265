//! 变更标记：自上次写出以来，哪些行要写、哪些行要删。
//!
//! [`Marks`]: which rows of one table were changed and which are gone since they were last taken.
//!
//! Owns keys only; the rows are made when they are taken, so that ten changes of a row between two
//! writes are one. Whether a row was ever stored is kept with the row: what came and went between
//! two writes is never mentioned.
//!
//! Invariant: no key is both changed and gone when taken.

use std::collections::BTreeSet;

/// The changed keys of one table.
#[derive(Debug)]
pub(crate) struct Marks<K> {
    changed: BTreeSet<K>,
    gone: BTreeSet<K>,
}

impl<K> Default for Marks<K> {
    fn default() -> Self {
        Self {
            changed: BTreeSet::new(),
            gone: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone> Marks<K> {
    /// The row of `key` is new or different.
    pub(crate) fn change(&mut self, key: &K) {
        if !self.changed.contains(key) {
            self.changed.insert(key.clone());
        }
    }

    /// The row of `key` is no more; `stored` tells whether it was ever taken.
    pub(crate) fn remove(&mut self, key: &K, stored: bool) {
        self.changed.remove(key);
        if stored {
            self.gone.insert(key.clone());
        }
    }

    /// Whether there is nothing to take.
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty()
    }

    /// The changed keys and the gone ones, each once.
    pub(crate) fn take(&mut self) -> (BTreeSet<K>, BTreeSet<K>) {
        let changed = std::mem::take(&mut self.changed);
        let mut gone = std::mem::take(&mut self.gone);
        gone.retain(|key| !changed.contains(key));
        (changed, gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_changed_and_what_was_never_stored_is_not_mentioned() {
        let mut marks = Marks::default();
        marks.change(&1);
        marks.remove(&1, false);
        assert!(marks.is_empty());
        marks.remove(&2, true);
        marks.change(&2);
        marks.change(&3);
        marks.remove(&3, false);
        marks.remove(&4, true);
        assert_eq!(marks.take(), ([2].into(), [4].into()));
        assert!(marks.is_empty());
    }
}
