//! 名次树：按到达顺序排列，能在 O(log n) 内数出前面有多少人、多少令牌。
//!
//! [`RankTree`]: values in order of [`Place`], with the count and the weight of all that stand
//! before any place. A treap whose priorities are a hash of the place's sequence number.
//!
//! Owns order and sums. Knows nothing of waiting. An ordinary B-tree map keeps order as well but
//! counts a rank in O(n), which would make 10,000 re-entries after a restart quadratic.
//!
//! Invariant: in-order is ascending by place; priorities descend from the root; the sums of a
//! node are those of its subtree. The depth is logarithmic for any order of arrival, because
//! sequence numbers are ours, not the callers'.

use crate::time::Instant;

/// A place in the queue: by arrival, then by order of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) arrival: Instant,
    pub(crate) sequence: u64,
}

/// How much stands before a place, or in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) count: u64,
    pub(crate) weight: u64,
}

/// Values in order of place.
#[derive(Debug)]
pub(crate) struct RankTree<V> {
    root: Link<V>,
}

type Link<V> = Option<Box<Node<V>>>;

#[derive(Debug)]
struct Node<V> {
    place: Place,
    priority: u64,
    weight: u64,
    value: V,
    sums: Sums,
    left: Link<V>,
    right: Link<V>,
}

impl<V> Default for RankTree<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<V> RankTree<V> {
    /// Puts a value at a free place.
    pub(crate) fn insert(&mut self, place: Place, weight: u64, value: V) {
        let node = Box::new(Node {
            place,
            priority: mix(place.sequence),
            weight,
            value,
            sums: Sums { count: 1, weight },
            left: None,
            right: None,
        });
        let (before, after) = split(self.root.take(), place);
        self.root = merge(merge(before, Some(node)), after);
    }

    /// Takes the value at a place.
    pub(crate) fn remove(&mut self, place: Place) -> Option<V> {
        let (before, rest) = split(self.root.take(), place);
        let (found, after) = split(rest, place.successor());
        self.root = merge(before, after);
        found.map(|node| node.value)
    }

    /// The first place and its value.
    pub(crate) fn first(&self) -> Option<(Place, &V)> {
        let mut node = self.root.as_deref()?;
        while let Some(left) = node.left.as_deref() {
            node = left;
        }
        Some((node.place, &node.value))
    }

    /// The value at a place.
    pub(crate) fn get(&self, place: Place) -> Option<&V> {
        let mut node = self.root.as_deref()?;
        while node.place != place {
            let next = if node.place < place {
                &node.right
            } else {
                &node.left
            };
            node = next.as_deref()?;
        }
        Some(&node.value)
    }

    /// The value at a place, to be changed in what its weight does not depend on.
    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut V> {
        let mut node = self.root.as_deref_mut()?;
        while node.place != place {
            let next = if node.place < place {
                &mut node.right
            } else {
                &mut node.left
            };
            node = next.as_deref_mut()?;
        }
        Some(&mut node.value)
    }

    /// The last place and its value.
    #[cfg(test)]
    fn last(&self) -> Option<(Place, &V)> {
        let mut node = self.root.as_deref()?;
        while let Some(right) = node.right.as_deref() {
            node = right;
        }
        Some((node.place, &node.value))
    }

    /// Sums over everything.
    pub(crate) fn total(&self) -> Sums {
        sums(self.root.as_deref())
    }

    /// Sums over everything before a place.
    pub(crate) fn before(&self, place: Place) -> Sums {
        let mut ahead = Sums::default();
        let mut link = self.root.as_deref();
        while let Some(node) = link {
            link = if node.place < place {
                ahead = ahead.plus(sums(node.left.as_deref())).plus(node.own());
                node.right.as_deref()
            } else {
                node.left.as_deref()
            };
        }
        ahead
    }
}

impl<V> Node<V> {
    const fn own(&self) -> Sums {
        Sums {
            count: 1,
            weight: self.weight,
        }
    }

    fn refresh(&mut self) {
        self.sums = self
            .own()
            .plus(sums(self.left.as_deref()))
            .plus(sums(self.right.as_deref()));
    }
}

impl Place {
    const fn successor(self) -> Self {
        Self {
            arrival: self.arrival,
            sequence: self.sequence.saturating_add(1),
        }
    }
}

impl Sums {
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            weight: self.weight.saturating_add(other.weight),
        }
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_sub(other.count),
            weight: self.weight.saturating_sub(other.weight),
        }
    }
}

fn sums<V>(node: Option<&Node<V>>) -> Sums {
    node.map_or_else(Sums::default, |node| node.sums)
}

/// Cuts a tree into what stands before `place` and the rest.
fn split<V>(link: Link<V>, place: Place) -> (Link<V>, Link<V>) {
    let Some(mut node) = link else {
        return (None, None);
    };
    if node.place < place {
        let (before, after) = split(node.right.take(), place);
        node.right = before;
        node.refresh();
        (Some(node), after)
    } else {
        let (before, after) = split(node.left.take(), place);
        node.left = after;
        node.refresh();
        (before, Some(node))
    }
}

/// Joins two trees of which all of the first stands before all of the second.
fn merge<V>(before: Link<V>, after: Link<V>) -> Link<V> {
    match (before, after) {
        (Some(mut before), Some(mut after)) => {
            if before.priority > after.priority {
                before.right = merge(before.right.take(), Some(after));
                before.refresh();
                Some(before)
            } else {
                after.left = merge(Some(before), after.left.take());
                after.refresh();
                Some(after)
            }
        }
        (link, None) | (None, link) => link,
    }
}

/// A well-spread hash of a sequence number (the finaliser of `SplitMix64`).
const fn mix(sequence: u64) -> u64 {
    let mut hash = sequence.wrapping_add(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(arrival: u64, sequence: u64) -> Place {
        Place {
            arrival: Instant::from_millis(arrival),
            sequence,
        }
    }

    fn depth<V>(node: Option<&Node<V>>) -> usize {
        node.map_or(0, |node| {
            let deeper = depth(node.left.as_deref()).max(depth(node.right.as_deref()));
            deeper.saturating_add(1)
        })
    }

    #[test]
    fn order_ranks_and_sums_are_those_of_a_sorted_list() {
        let mut tree = RankTree::default();
        let mut list: Vec<(Place, u64)> = Vec::new();
        for step in 0..2_000_u64 {
            let random = mix(step ^ 0xABCD);
            if random.is_multiple_of(3) && !list.is_empty() {
                let (gone, weight) = list.remove(usize::try_from(random).unwrap() % list.len());
                assert_eq!(tree.remove(gone), Some(weight));
                assert_eq!(tree.remove(gone), None);
            } else {
                let entry = (place(random % 50, step), random % 1_000);
                list.push(entry);
                tree.insert(entry.0, entry.1, entry.1);
            }
            list.sort();
            let probe = place(random % 50, step / 2);
            let ahead: Vec<_> = list.iter().filter(|(place, _)| *place < probe).collect();
            let expected = Sums {
                count: ahead.len() as u64,
                weight: ahead.iter().map(|(_, weight)| weight).sum(),
            };
            assert_eq!(tree.before(probe), expected);
            for (place, weight) in &list {
                assert_eq!(tree.get(*place), Some(weight));
                assert_eq!(tree.get_mut(*place).copied(), Some(*weight));
            }
            assert_eq!(tree.get(place(99, 0)), None);
            assert_eq!(tree.total().count, list.len() as u64);
            assert_eq!(
                tree.first().map(|(place, _)| place),
                list.first().map(|e| e.0)
            );
            assert_eq!(
                tree.last().map(|(place, _)| place),
                list.last().map(|e| e.0)
            );
        }
    }

    #[test]
    fn depth_stays_logarithmic_for_ascending_and_descending_arrivals() {
        for ascending in [true, false] {
            let mut tree = RankTree::default();
            for sequence in 0..10_000 {
                let arrival = if ascending {
                    sequence
                } else {
                    10_000 - sequence
                };
                tree.insert(place(arrival, sequence), 1, ());
            }
            assert!(
                depth(tree.root.as_deref()) < 48,
                "{}",
                depth(tree.root.as_deref())
            );
        }
    }
}
