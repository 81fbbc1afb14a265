//! 次序裁判：后到的不得先于先到的放行。
//!
//! Owns the check of "first come, first served" from outside the core. It knows who waits as the
//! object saw it: a request counts from the moment at which a living object has taken it in, at
//! its original arrival. A request whose only trace died with the object waits again from its
//! re-entry on.

use std::collections::{BTreeSet, HashMap};

use admission::Instant;

/// Arrival, then the order in which requests of one millisecond were taken in.
type Place = (Instant, u64);

/// Watches grants.
#[derive(Debug, Default)]
pub(super) struct Judge {
    places: HashMap<usize, Place>,
    waiting: BTreeSet<(Place, usize)>,
    sequence: u64,
    violations: u64,
}

impl Judge {
    /// The object has taken a request in.
    pub(super) fn enters(&mut self, request: usize, arrival: Instant) {
        self.sequence += 1;
        let place = *self
            .places
            .entry(request)
            .or_insert((arrival, self.sequence));
        self.waiting.insert((place, request));
    }

    /// The object has granted a request.
    pub(super) fn granted(&mut self, request: usize) {
        self.leaves(request);
        let place = self.places.get(&request);
        let earliest = self.waiting.first().map(|(place, _)| place);
        if let (Some(place), Some(earliest)) = (place, earliest)
            && earliest < place
        {
            self.violations += 1;
        }
    }

    /// A request waits no longer.
    pub(super) fn leaves(&mut self, request: usize) {
        if let Some(place) = self.places.get(&request) {
            self.waiting.remove(&(*place, request));
        }
    }

    /// The object died; `survives` tells whose permit or place its successor knows.
    pub(super) fn restarted(&mut self, survives: impl Fn(usize) -> bool) {
        self.places.retain(|request, _| survives(*request));
        let places = &self.places;
        self.waiting
            .retain(|(_, request)| places.contains_key(request));
    }

    /// Grants that passed somebody who had arrived earlier.
    pub(super) const fn violations(&self) -> u64 {
        self.violations
    }
}
