//! Replays of access traces: how often a policy would have hit.
//!
//! A trace is a sequence of key numbers. Every key weighs one and never expires; a miss stores it.

use std::collections::BTreeSet;

use crate::expiry::Expiry;
use crate::policy::Policy;
use crate::store::Store;

/// A cache that serves a trace and counts its hits.
#[derive(Clone, Debug)]
pub struct Replay<P> {
    store: Store<u32, (), P>,
    hits: usize,
}

impl<P: Policy> Replay<P> {
    /// An empty cache of so many entries.
    pub fn new(size: usize, policy: P) -> Self {
        Self { store: Store::new(size as f64, policy, Expiry::Never), hits: 0 }
    }

    /// Serves accesses, one after another.
    pub fn serve(&mut self, accesses: &[u32]) {
        for &key in accesses {
            self.access(key);
        }
    }

    /// How many of the accesses so far were hits.
    pub fn hits(&self) -> usize {
        self.hits
    }

    fn access(&mut self, key: u32) {
        let store = &mut self.store;
        let hash = u64::from(key).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        if let Some(slot) = store.find(hash, |&known| known == key) {
            store.hit(slot);
            self.hits += 1;
            return;
        }
        store.miss(hash);
        while store.currsize() + 1.0 > store.maxsize() {
            let Some(victim) = store.victim() else { return };
            store.evict(victim);
        }
        store.insert(hash, key, (), 1.0, f64::INFINITY);
    }
}

/// The policy that knows the future: it evicts what is used again last, or does not even store a
/// key that would be that.
///
/// No policy can hit more often: L. A. Belady, "A study of replacement algorithms for a
/// virtual-storage computer", IBM Systems Journal 5 (2), 1966.
#[derive(Clone, Debug)]
pub struct Optimum {
    /// When the key of each access is used next, or a time past the end.
    next_uses: Vec<u32>,
}

/// A cache of the optimum that serves its trace and counts its hits.
#[derive(Clone, Debug)]
pub struct OptimalReplay<'a> {
    optimum: &'a Optimum,
    size: usize,
    /// The times at which those keys are used next that are cached.
    cached: BTreeSet<u32>,
    hits: usize,
}

impl Optimum {
    /// Looks ahead through a whole trace.
    pub fn new(trace: &[u32]) -> Self {
        let keys = trace.iter().max().map_or(0, |&key| key as usize + 1);
        let mut upcoming = vec![u32::MAX; keys];
        let mut next_uses = vec![u32::MAX; trace.len()];
        for (now, &key) in trace.iter().enumerate().rev() {
            next_uses[now] = std::mem::replace(&mut upcoming[key as usize], now as u32);
        }
        Self { next_uses }
    }

    /// An empty cache of so many entries.
    pub fn replay(&self, size: usize) -> OptimalReplay<'_> {
        OptimalReplay { optimum: self, size, cached: BTreeSet::new(), hits: 0 }
    }
}

impl OptimalReplay<'_> {
    /// Serves the accesses at these positions; each call goes on where the last one ended.
    pub fn serve(&mut self, positions: std::ops::Range<usize>) {
        for now in positions {
            self.hits += usize::from(self.cached.remove(&(now as u32)));
            let next = self.optimum.next_uses[now];
            if next != u32::MAX {
                self.cached.insert(next);
            }
            if self.cached.len() > self.size {
                self.cached.pop_last();
            }
        }
    }

    /// How many of the accesses so far were hits.
    pub fn hits(&self) -> usize {
        self.hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Lru, TinyLfu};
    use proptest::prelude::*;

    fn optimal_hits(trace: &[u32], size: usize) -> usize {
        let optimum = Optimum::new(trace);
        let mut replay = optimum.replay(size);
        replay.serve(0..trace.len());
        replay.hits()
    }

    /// The most hits of any choice of what to keep, tried one by one.
    fn brute_force(trace: &[u32], size: usize, cached: &BTreeSet<u32>) -> usize {
        let Some((key, rest)) = trace.split_first() else { return 0 };
        if cached.contains(key) {
            return 1 + brute_force(rest, size, cached);
        }
        let mut with_key = cached.clone();
        with_key.insert(*key);
        let unchanged = brute_force(rest, size, cached);
        if with_key.len() <= size {
            return unchanged.max(brute_force(rest, size, &with_key));
        }
        let evictions = cached.iter().map(|victim| {
            let mut left = with_key.clone();
            left.remove(victim);
            brute_force(rest, size, &left)
        });
        evictions.fold(unchanged, usize::max)
    }

    #[test]
    fn an_empty_trace_has_no_hits() {
        assert_eq!(optimal_hits(&[], 3), 0);
    }

    #[test]
    fn nothing_is_kept_where_there_is_no_room() {
        let mut replay = Replay::new(0, Lru::new());
        replay.serve(&[1, 1, 1]);
        assert_eq!(replay.hits(), 0);
        assert_eq!(optimal_hits(&[1, 1, 1], 0), 0);
    }

    proptest! {
        #[test]
        fn lru_is_the_list_that_everyone_knows(
            trace in prop::collection::vec(0..12u32, 0..200),
            size in 1..8usize,
        ) {
            let mut replay = Replay::new(size, Lru::new());
            replay.serve(&trace);
            let mut recent: Vec<u32> = Vec::new();
            let mut hits = 0;
            for &key in &trace {
                let known = recent.iter().position(|&other| other == key);
                hits += usize::from(known.is_some());
                known.map(|at| recent.remove(at));
                recent.push(key);
                if recent.len() > size {
                    recent.remove(0);
                }
            }
            prop_assert_eq!(replay.hits(), hits);
        }

        #[test]
        fn the_optimum_is_what_trying_everything_finds(
            trace in prop::collection::vec(0..5u32, 0..11),
            size in 0..4usize,
        ) {
            prop_assert_eq!(optimal_hits(&trace, size), brute_force(&trace, size, &BTreeSet::new()));
        }

        #[test]
        fn no_policy_passes_the_optimum(
            trace in prop::collection::vec(0..40u32, 0..400),
            size in 1..20usize,
        ) {
            let mut replay = Replay::new(size, TinyLfu::new(size));
            replay.serve(&trace);
            prop_assert!(replay.hits() <= optimal_hits(&trace, size));
        }
    }
}
