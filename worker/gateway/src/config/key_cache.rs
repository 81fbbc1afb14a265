//! 网关密钥的有界缓存，也记住不存在的密钥。
//!
//! Owns the lookups of gateway keys by digest that one isolate remembers, negative answers included. Does not
//! judge a key (`auth` does) and does not read storage.
//!
//! Invariant: never more than its bound, and a flood of made-up keys can not push out a real one.

use std::collections::{BTreeMap, HashMap};

use admission::time::Instant;

use super::{Freshness, KeyRecord, REFRESH_AGE_MAX};
use crate::auth::KeyDigest;

/// Entries of one isolate: about 3 MB at 300 bytes each, far below the isolate's 128 MB.
pub const KEY_CACHE_LEN_MAX: usize = 10_000;

/// Older than any age that counts.
const LONG_AGO: Instant = Instant::from_millis(0);

/// What the cache knows about a digest. The inner `Option` is the answer: `None` = there is no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// Use it.
    Fresh(Option<&'a KeyRecord>),
    /// Use it and look it up again beside.
    Stale(Option<&'a KeyRecord>),
    /// Look it up first; use this only if storage does not answer.
    Expired(Option<&'a KeyRecord>),
    /// Never looked up, or forgotten.
    Absent,
}

/// A bounded map from digest to record. When it is full the oldest negative answer goes first, then the
/// record that was read longest ago.
#[derive(Debug, Default)]
pub struct KeyCache {
    entries: HashMap<KeyDigest, Entry>,
    /// Reading order of records and of negative answers; the smallest number is the oldest.
    records: BTreeMap<u64, KeyDigest>,
    negatives: BTreeMap<u64, KeyDigest>,
    next_rank: u64,
    len_max: usize,
}

#[derive(Debug)]
struct Entry {
    record: Option<KeyRecord>,
    loaded_at: Instant,
    /// When somebody last began to look it up beside.
    asked_at: Option<Instant>,
    rank: u64,
}

impl KeyCache {
    /// An empty cache of `KEY_CACHE_LEN_MAX`.
    #[must_use]
    pub fn new() -> Self {
        Self::with_len_max(KEY_CACHE_LEN_MAX)
    }

    fn with_len_max(len_max: usize) -> Self {
        Self {
            len_max,
            ..Self::default()
        }
    }

    /// Entries held, negative ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is known, and how it may be used at `now`, when storage last failed to answer at `failed_at`.
    #[must_use]
    pub fn get(&self, digest: &KeyDigest, failed_at: Option<Instant>, now: Instant) -> Lookup<'_> {
        let Some(entry) = self.entries.get(digest) else {
            return Lookup::Absent;
        };
        let record = entry.record.as_ref();
        match Freshness::at(entry.loaded_at, now).after_failure(failed_at, now) {
            Freshness::Fresh => Lookup::Fresh(record),
            Freshness::Stale => Lookup::Stale(record),
            Freshness::Expired => Lookup::Expired(record),
        }
    }

    /// Whether a stale answer is to be looked up again now: not while another request does so.
    pub fn begin_refresh(&mut self, digest: &KeyDigest, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(digest) else {
            return true;
        };
        let runs = |asked_at: Instant| now.saturating_since(asked_at) < REFRESH_AGE_MAX;
        if entry.asked_at.is_some_and(runs) {
            return false;
        }
        entry.asked_at = Some(now);
        true
    }

    /// Remembers what storage said at `now`.
    pub fn insert(&mut self, digest: KeyDigest, record: Option<KeyRecord>, now: Instant) {
        self.remove(&digest);
        if self.entries.len() >= self.len_max && !self.make_room(record.is_none()) {
            return;
        }
        let rank = self.next_rank;
        self.next_rank = self.next_rank.wrapping_add(1);
        let order = if record.is_some() {
            &mut self.records
        } else {
            &mut self.negatives
        };
        order.insert(rank, digest);
        self.entries.insert(
            digest,
            Entry {
                record,
                loaded_at: now,
                asked_at: None,
                rank,
            },
        );
    }

    /// Forgets one digest, after the key was changed.
    pub fn remove(&mut self, digest: &KeyDigest) {
        if let Some(entry) = self.entries.remove(digest) {
            let order = if entry.record.is_some() {
                &mut self.records
            } else {
                &mut self.negatives
            };
            order.remove(&entry.rank);
        }
    }

    /// Takes its age from everything, after a change of configuration: each answer is looked up again
    /// before it is used, but is still there if storage does not answer then.
    pub fn expire(&mut self) {
        for entry in self.entries.values_mut() {
            entry.loaded_at = LONG_AGO;
        }
    }

    /// Evicts one entry; a negative answer never takes the place of a record.
    fn make_room(&mut self, for_negative: bool) -> bool {
        let evicted = match self.negatives.pop_first() {
            Some(oldest) => Some(oldest),
            None if for_negative => None,
            None => self.records.pop_first(),
        };
        evicted.is_some_and(|(_, digest)| self.entries.remove(&digest).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> KeyRecord {
        KeyRecord {
            id: id.to_owned(),
            name: String::new(),
            app: None,
            models: Vec::new(),
            enabled: true,
            expires_at: None,
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_stale_answer_is_looked_up_by_one_request_at_a_time() {
        let mut cache = KeyCache::new();
        let digest = KeyDigest::of("a");
        assert!(
            cache.begin_refresh(&digest, at(0)),
            "nothing is known of it"
        );
        cache.insert(digest, None, at(0));
        assert!(cache.begin_refresh(&digest, at(2_000)));
        assert!(!cache.begin_refresh(&digest, at(2_001)));
        // Whoever began has died with its request.
        assert!(cache.begin_refresh(&digest, at(8_000)));
        cache.insert(digest, None, at(8_010));
        assert!(cache.begin_refresh(&digest, at(10_010)));
    }

    #[test]
    fn answers_age_from_fresh_to_stale_to_expired_and_stay_usable() {
        let mut cache = KeyCache::new();
        let digest = KeyDigest::of("k");
        assert_eq!(cache.get(&digest, None, at(0)), Lookup::Absent);
        cache.insert(digest, Some(record("1")), at(0));
        let found = record("1");
        assert_eq!(
            cache.get(&digest, None, at(1_999)),
            Lookup::Fresh(Some(&found))
        );
        assert_eq!(
            cache.get(&digest, None, at(2_000)),
            Lookup::Stale(Some(&found))
        );
        assert_eq!(
            cache.get(&digest, None, at(5_000)),
            Lookup::Expired(Some(&found))
        );
        let failing = Some(at(4_000));
        assert_eq!(
            cache.get(&digest, failing, at(5_000)),
            Lookup::Stale(Some(&found))
        );
        cache.insert(digest, None, at(6_000));
        assert_eq!(cache.get(&digest, None, at(6_000)), Lookup::Fresh(None));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn flood_of_unknown_keys_never_evicts_a_record_and_stays_bounded() {
        let mut cache = KeyCache::with_len_max(4);
        for id in ["a", "b"] {
            cache.insert(KeyDigest::of(id), Some(record(id)), at(0));
        }
        for made_up in 0..100 {
            cache.insert(KeyDigest::of(&format!("x{made_up}")), None, at(1));
            assert!(cache.len() <= 4);
        }
        assert_eq!(
            cache.get(&KeyDigest::of("x99"), None, at(1)),
            Lookup::Fresh(None),
            "newest negative is kept"
        );
        for id in ["a", "b", "c", "d"] {
            cache.insert(KeyDigest::of(id), Some(record(id)), at(0));
        }
        assert!(cache.negatives.is_empty(), "negatives give way to records");
        cache.insert(KeyDigest::of("x"), None, at(1));
        assert_eq!(
            cache.get(&KeyDigest::of("x"), None, at(1)),
            Lookup::Absent,
            "no room for a negative answer"
        );
    }

    #[test]
    fn when_full_of_records_the_one_read_longest_ago_goes() {
        let mut cache = KeyCache::with_len_max(2);
        cache.insert(KeyDigest::of("a"), Some(record("a")), at(0));
        cache.insert(KeyDigest::of("b"), Some(record("b")), at(1));
        cache.insert(KeyDigest::of("a"), Some(record("a")), at(2));
        cache.insert(KeyDigest::of("c"), Some(record("c")), at(3));
        assert_eq!(cache.get(&KeyDigest::of("b"), None, at(3)), Lookup::Absent);
        assert!(matches!(
            cache.get(&KeyDigest::of("a"), None, at(3)),
            Lookup::Fresh(Some(_))
        ));
    }

    #[test]
    fn removed_entries_are_absent() {
        let mut cache = KeyCache::with_len_max(8);
        cache.insert(KeyDigest::of("a"), Some(record("a")), at(0));
        cache.remove(&KeyDigest::of("a"));
        assert_eq!(cache.get(&KeyDigest::of("a"), None, at(0)), Lookup::Absent);
        assert!(cache.is_empty() && cache.records.is_empty());
    }

    #[test]
    fn expired_entries_are_looked_up_again_but_are_still_known() {
        let mut cache = KeyCache::with_len_max(8);
        let now = 1_795_420_800_000;
        cache.insert(KeyDigest::of("a"), Some(record("a")), at(now));
        cache.insert(KeyDigest::of("b"), None, at(now));
        cache.expire();
        let found = record("a");
        assert_eq!(
            cache.get(&KeyDigest::of("a"), None, at(now)),
            Lookup::Expired(Some(&found))
        );
        assert_eq!(
            cache.get(&KeyDigest::of("b"), None, at(now)),
            Lookup::Expired(None)
        );
        cache.insert(KeyDigest::of("a"), None, at(now));
        assert_eq!(
            cache.get(&KeyDigest::of("a"), None, at(now)),
            Lookup::Fresh(None)
        );
        assert!(cache.records.is_empty() && cache.len() == 2);
    }
}
