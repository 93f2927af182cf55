//! Keys and values in slots: the table that finds them, their order, weights and deadlines.
//!
//! 1. The store is the sole owner of size accounting and the sole caller of its policy.
//! 2. It never evicts by itself: the caller makes room, then inserts.
//! 3. It never drops a key or a value by itself: what leaves is returned.  The stamps that it drops
//!    run no foreign code.
//! 4. It never calls back while it looks something up, except for the `eq` of [`Store::find`],
//!    which must not re-enter; callers whose equality may run foreign code walk
//!    [`Store::candidates`] and check [`Store::version`] before they trust what they noted.

use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashTable;

use crate::Slot;
use crate::expiry::{Deadlines, Expiry};
use crate::links::{Links, List};
use crate::policy::Policy;
use crate::slab::Slab;
use crate::tags::Stamp;

#[derive(Clone, Debug)]
struct Entry<K, V> {
    hash: u64,
    key: K,
    value: V,
}

/// A mapping of limited size whose policy says who has to leave.
#[derive(Clone, Debug)]
pub struct Store<K, V, P> {
    table: HashTable<Slot>,
    entries: Slab<Entry<K, V>>,
    links: Links,
    order: List,
    policy: P,
    deadlines: Deadlines,
    /// Until when entries are fresh, by slot; those past the end are until their deadline.
    fresh: Vec<f64>,
    /// By slot; those past the end have none.
    stamps: Vec<Option<Stamp>>,
    /// By slot; those past the end weigh one.
    weights: Vec<f64>,
    maxsize: f64,
    currsize: f64,
    version: u64,
}

/// How many stores there have been: each starts its versions elsewhere, so that one which takes the
/// place of another while a caller is away is told from it.
static STORES: AtomicU64 = AtomicU64::new(0);

impl<K, V, P: Policy> Store<K, V, P> {
    /// An empty store; `maxsize` may be infinite.
    pub fn new(maxsize: f64, policy: P, expiry: Expiry) -> Self {
        Self {
            table: HashTable::new(),
            entries: Slab::new(),
            links: Links::new(),
            order: List::new(),
            policy,
            deadlines: Deadlines::new(expiry),
            fresh: Vec::new(),
            stamps: Vec::new(),
            weights: Vec::new(),
            maxsize,
            currsize: 0.0,
            version: STORES.fetch_add(1, Ordering::Relaxed) << 32,
        }
    }

    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The greatest sum of weights that callers should let it have.
    #[inline]
    pub fn maxsize(&self) -> f64 {
        self.maxsize
    }

    /// The sum of the weights.
    #[inline]
    pub fn currsize(&self) -> f64 {
        self.currsize
    }

    /// The policy.
    #[inline]
    pub fn policy(&self) -> &P {
        &self.policy
    }

    /// The policy, for settings of its own; its slots belong to the store.
    #[inline]
    pub fn policy_mut(&mut self) -> &mut P {
        &mut self.policy
    }

    /// A number that changes with every insert, remove, evict and clear.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Finds the entry whose key `eq` accepts, asking only about keys of this very hash.
    #[inline(always)]
    pub fn find(&self, hash: u64, mut eq: impl FnMut(&K) -> bool) -> Option<Slot> {
        // Not `HashTable::find`, which calls its closure by pointer.
        for &slot in self.table.iter_hash(hash) {
            let entry = &self.entries[slot];
            if entry.hash == hash && eq(&entry.key) {
                return Some(slot);
            }
        }
        None
    }

    /// Every entry whose key has this very hash.
    pub fn candidates(&self, hash: u64) -> impl Iterator<Item = Slot> + '_ {
        let slots = self.table.iter_hash(hash).copied();
        slots.filter(move |&slot| self.entries[slot].hash == hash)
    }

    /// The entry's key.
    #[inline]
    pub fn key(&self, slot: Slot) -> &K {
        &self.entries[slot].key
    }

    /// The entry's value.
    #[inline]
    pub fn value(&self, slot: Slot) -> &V {
        &self.entries[slot].value
    }

    /// The hash of the entry's key.
    #[inline]
    pub fn hash(&self, slot: Slot) -> u64 {
        self.entries[slot].hash
    }

    /// The entry's weight.
    #[inline]
    pub fn weight(&self, slot: Slot) -> f64 {
        self.weights.get(slot as usize).copied().unwrap_or(1.0)
    }

    /// Until when the entry is kept; infinity when that is for ever.
    #[inline]
    pub fn deadline(&self, slot: Slot) -> f64 {
        self.deadlines.get(slot)
    }

    /// Until when the entry is fresh: its deadline, unless it was given an earlier time; never,
    /// once one of its tags was invalidated.
    #[inline]
    pub fn fresh_until(&self, slot: Slot) -> f64 {
        if self.keeps_stale() { self.fresh_until_sooner(slot) } else { self.deadlines.get(slot) }
    }

    #[inline(never)]
    fn fresh_until_sooner(&self, slot: Slot) -> f64 {
        if self.is_revoked(slot) {
            return f64::NEG_INFINITY;
        }
        let deadline = self.deadlines.get(slot);
        self.fresh.get(slot as usize).map_or(deadline, |&fresh| fresh.min(deadline))
    }

    /// The entry's tags.
    #[inline]
    pub fn stamp(&self, slot: Slot) -> Option<&Stamp> {
        self.stamps.get(slot as usize)?.as_ref()
    }

    /// Gives the entry tags, until it is replaced or leaves.
    pub fn set_stamp(&mut self, slot: Slot, stamp: Stamp) {
        let index = slot as usize;
        if index >= self.stamps.len() {
            self.stamps.resize(index + 1, None);
        }
        self.stamps[index] = Some(stamp);
    }

    /// Whether one of the entry's tags was invalidated: it is of no use any more.
    pub fn is_revoked(&self, slot: Slot) -> bool {
        self.stamp(slot).is_some_and(Stamp::is_revoked)
    }

    /// Whether any entry may have tags.
    #[inline]
    pub fn has_stamps(&self) -> bool {
        !self.stamps.is_empty()
    }

    /// Makes the entry stale from a time on, until it is replaced or leaves.
    pub fn set_fresh_until(&mut self, slot: Slot, time: f64) {
        let index = slot as usize;
        if index >= self.fresh.len() {
            self.fresh.resize(index + 1, f64::INFINITY);
        }
        self.fresh[index] = time;
    }

    /// Whether entries may be kept though they are not fresh.
    #[inline]
    pub fn keeps_stale(&self) -> bool {
        !self.fresh.is_empty() || !self.stamps.is_empty()
    }

    /// From now on entries may have deadlines, whatever the store began with.
    pub fn begin_deadlines(&mut self) {
        self.deadlines.begin(self.links.iter(&self.order));
    }

    /// Tells the policy that the entry was read.
    #[inline]
    pub fn hit(&mut self, slot: Slot) {
        self.policy.hit(slot);
    }

    /// Tells the policy that a lookup of this hash found nothing.
    #[inline]
    pub fn miss(&mut self, hash: u64) {
        self.policy.miss(hash);
    }

    /// Stores a key that is not there yet; the caller has made room.  A finite deadline needs a
    /// store that has them: see [`Store::begin_deadlines`].
    #[inline]
    pub fn insert(&mut self, hash: u64, key: K, value: V, weight: f64, deadline: f64) -> Slot {
        let slot = self.entries.insert(Entry { hash, key, value });
        self.list(hash, slot);
        self.links.push_back(&mut self.order, slot);
        self.currsize += weight;
        self.deadlines.set(slot, deadline, false);
        self.policy.insert(slot, hash);
        self.set_weight(slot, weight);
        self.version += 1;
        slot
    }

    /// Stores a key that is not there yet in the place of an entry that has to make room for it, and
    /// returns that one: as [`Store::evict`] and [`Store::insert`] do, in one go.
    #[inline]
    pub fn supplant(
        &mut self,
        victim: Slot,
        hash: u64,
        key: K,
        value: V,
        weight: f64,
        deadline: f64,
    ) -> (K, V) {
        self.policy.evict(victim);
        let old = std::mem::replace(&mut self.entries[victim], Entry { hash, key, value });
        self.unlist(old.hash, victim);
        self.list(hash, victim);
        self.links.move_to_back(&mut self.order, victim);
        self.currsize += weight - self.weight(victim);
        self.deadlines.set(victim, deadline, true);
        self.forget_terms(victim);
        self.policy.insert(victim, hash);
        self.set_weight(victim, weight);
        self.version += 1;
        (old.key, old.value)
    }

    /// Gives an entry a new value and returns the old one; its place in iteration stays.
    #[inline]
    pub fn replace(&mut self, slot: Slot, value: V, weight: f64, deadline: f64) -> V {
        let old = std::mem::replace(&mut self.entries[slot].value, value);
        self.currsize += weight - self.weight(slot);
        self.deadlines.set(slot, deadline, true);
        self.forget_terms(slot);
        self.policy.write(slot);
        self.set_weight(slot, weight);
        old
    }

    /// Takes out an entry for another reason than size.
    #[inline]
    pub fn remove(&mut self, slot: Slot) -> (K, V) {
        self.policy.remove(slot);
        self.take(slot)
    }

    /// Takes out an entry to make room.
    #[inline]
    pub fn evict(&mut self, slot: Slot) -> (K, V) {
        self.policy.evict(slot);
        self.take(slot)
    }

    /// The entry that the policy would evict next.
    #[inline]
    pub fn victim(&mut self) -> Option<Slot> {
        self.policy.victim()
    }

    /// The entry whose deadline comes first, if it has passed.
    #[inline]
    pub fn next_expired(&self, now: f64) -> Option<Slot> {
        self.deadlines.first().filter(|&slot| self.deadlines.get(slot) <= now)
    }

    /// Takes out everything, in order of insertion, and frees the memory.
    pub fn clear(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V, P> {
        let mut entries = std::mem::take(&mut self.entries);
        let links = std::mem::take(&mut self.links);
        let mut next = std::mem::take(&mut self.order).front();
        self.table = HashTable::new();
        self.weights = Vec::new();
        self.deadlines.clear();
        self.fresh = Vec::new();
        self.stamps = Vec::new();
        self.policy.clear();
        self.currsize = 0.0;
        self.version += 1;
        std::iter::from_fn(move || {
            let slot = next?;
            next = links.next(slot);
            let Entry { key, value, .. } = entries.take(slot);
            Some((key, value))
        })
    }

    /// The entry inserted first.
    #[inline]
    pub fn first(&self) -> Option<Slot> {
        self.order.front()
    }

    /// The entry inserted after this one.
    #[inline]
    pub fn next(&self, slot: Slot) -> Option<Slot> {
        self.links.next(slot)
    }

    /// Lines up the deadlines of all entries anew, given in ascending order, as if they had been written in it.
    pub fn line_up_deadlines(&mut self, ascending: &[Slot]) {
        let mut queue = Deadlines::new(Expiry::Fixed);
        for &slot in ascending {
            queue.set(slot, self.deadlines.get(slot), false);
        }
        self.deadlines = queue;
    }

    /// The entry at the head of the deadlines; only with [`Expiry::Fixed`].
    pub fn first_deadline(&self) -> Option<Slot> {
        match &self.deadlines {
            Deadlines::Fixed(queue) => queue.front(),
            _ => None,
        }
    }

    /// The entry whose deadline follows this one's; only with [`Expiry::Fixed`].
    pub fn next_deadline(&self, slot: Slot) -> Option<Slot> {
        match &self.deadlines {
            Deadlines::Fixed(queue) => queue.next(slot),
            _ => None,
        }
    }

    /// Keys and values in order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.links.iter(&self.order).map(|slot| (self.key(slot), self.value(slot)))
    }

    /// Panics when an invariant of the store, its policy or its deadlines is broken.
    #[doc(hidden)]
    pub fn validate(&self) {
        let slots: Vec<Slot> = self.links.iter(&self.order).collect();
        self.links.validate(&self.order);
        assert_eq!(slots.len(), self.len(), "the order misses an entry");
        assert_eq!(self.table.len(), self.len(), "the table misses an entry");
        for &slot in &slots {
            let found = self.table.find(self.hash(slot), |&other| other == slot);
            assert!(found.is_some(), "slot {slot} is not under its hash");
        }
        let sum: f64 = slots.iter().map(|&slot| self.weight(slot)).sum();
        let error = (sum - self.currsize).abs();
        assert!(error <= 1e-9 * sum.abs().max(1.0), "the weights sum to {sum}");
        self.policy.validate(&slots);
        self.policy.validate_weights(&|slot| self.weight(slot));
        self.deadlines.validate(&slots);
    }

    /// Lets a slot be found by its hash.
    #[inline]
    fn list(&mut self, hash: u64, slot: Slot) {
        let entries = &self.entries;
        self.table.insert_unique(hash, slot, |&slot| entries[slot].hash);
    }

    #[inline]
    fn unlist(&mut self, hash: u64, slot: Slot) {
        if let Ok(found) = self.table.find_entry(hash, |&other| other == slot) {
            found.remove();
        }
    }

    #[inline]
    fn take(&mut self, slot: Slot) -> (K, V) {
        let weight = self.weight(slot);
        let Entry { hash, key, value } = self.entries.remove(slot);
        self.unlist(hash, slot);
        self.links.unlink(&mut self.order, slot);
        self.deadlines.remove(slot);
        self.forget_terms(slot);
        self.currsize = if self.is_empty() { 0.0 } else { self.currsize - weight };
        self.version += 1;
        (key, value)
    }

    #[inline]
    fn forget_terms(&mut self, slot: Slot) {
        if let Some(fresh) = self.fresh.get_mut(slot as usize) {
            *fresh = f64::INFINITY;
        }
        if let Some(stamp) = self.stamps.get_mut(slot as usize) {
            *stamp = None;
        }
    }

    #[inline]
    fn set_weight(&mut self, slot: Slot, weight: f64) {
        let index = slot as usize;
        if index >= self.weights.len() {
            if weight == 1.0 {
                return;
            }
            self.weights.resize(index + 1, 1.0);
        }
        self.weights[index] = weight;
        self.policy.weigh(slot, weight);
    }
}
