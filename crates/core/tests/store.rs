//! The store with every policy and expiry, beside a vector that does the same.

use aiocachetools_core::Slot;
use aiocachetools_core::expiry::Expiry;
use aiocachetools_core::policy::{AnyPolicy, Fifo, Insertion, Lfu, Lru, Random, S3Fifo, Sieve, TinyLfu};
use aiocachetools_core::store::Store;
use aiocachetools_core::tags::Tags;
use proptest::prelude::*;

type Cache = Store<u32, u64, AnyPolicy>;

/// Few hashes for many keys, so that different keys collide.
fn hash(key: u32) -> u64 {
    u64::from(key % 7)
}

fn find(store: &Cache, key: u32) -> Option<Slot> {
    store.find(hash(key), |&known| known == key)
}

#[derive(Clone, Debug)]
struct Entry {
    key: u32,
    value: u64,
    weight: f64,
    deadline: f64,
    fresh_until: f64,
}

/// What a store should hold, in order of insertion.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
}

impl Model {
    fn get(&mut self, key: u32) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }

    fn remove(&mut self, key: u32) -> Option<(u32, u64)> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        let entry = self.entries.remove(at);
        Some((entry.key, entry.value))
    }

    fn pairs(&self) -> Vec<(u32, u64)> {
        self.entries.iter().map(|entry| (entry.key, entry.value)).collect()
    }

    fn size(&self) -> f64 {
        self.entries.iter().map(|entry| entry.weight).sum()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put { key: u32, weight: u32, lifetime: u32 },
    Read(u32),
    Remove(u32),
    Evict,
    Expire,
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..40u32, 1..5u32, 0..50u32)
            .prop_map(|(key, weight, lifetime)| Step::Put { key, weight, lifetime }),
        8 => (0..40u32).prop_map(Step::Read),
        2 => (0..40u32).prop_map(Step::Remove),
        2 => Just(Step::Evict),
        2 => Just(Step::Expire),
        1 => Just(Step::Clear),
    ]
}

fn policy() -> impl Strategy<Value = AnyPolicy> {
    prop_oneof![
        Just(AnyPolicy::Insertion(Insertion::new())),
        Just(AnyPolicy::Fifo(Fifo::new())),
        Just(AnyPolicy::Lru(Lru::new())),
        Just(AnyPolicy::Lfu(Lfu::new())),
        Just(AnyPolicy::Random(Random::new(7))),
        Just(AnyPolicy::Sieve(Sieve::new())),
        Just(AnyPolicy::S3Fifo(S3Fifo::new())),
        Just(AnyPolicy::TinyLfu(TinyLfu::new(10))),
    ]
}

/// A store and its model, with a clock that ticks once a step.
struct Pair {
    store: Cache,
    model: Model,
    expiry: Expiry,
    weighted: bool,
    now: f64,
}

impl Pair {
    fn take(&mut self, step: &Step) {
        self.now += 1.0;
        match *step {
            Step::Put { key, weight, lifetime } => self.put(key, weight, lifetime),
            Step::Read(key) => match find(&self.store, key) {
                Some(slot) => self.store.hit(slot),
                None => self.store.miss(hash(key)),
            },
            Step::Remove(key) => {
                let gone = find(&self.store, key).map(|slot| self.store.remove(slot));
                assert_eq!(gone, self.model.remove(key));
            }
            Step::Evict => self.evict(),
            Step::Expire => self.expire(),
            Step::Clear => {
                let gone: Vec<_> = self.store.clear().collect();
                assert_eq!(gone, std::mem::take(&mut self.model).pairs());
            }
        }
    }

    fn put(&mut self, key: u32, weight: u32, lifetime: u32) {
        let weight = if self.weighted { f64::from(weight) } else { 1.0 };
        let deadline = match self.expiry {
            Expiry::Never => f64::INFINITY,
            Expiry::Fixed => self.now + 20.0,
            Expiry::Varying => self.now + f64::from(lifetime),
        };
        let value = self.now as u64;
        let stale_before_it_goes = key.is_multiple_of(3);
        let fresh_until = if stale_before_it_goes { deadline - 5.0 } else { deadline };
        let entry = Entry { key, value, weight, deadline, fresh_until };
        if let Some(slot) = find(&self.store, key) {
            let old = self.store.replace(slot, value, weight, deadline);
            if stale_before_it_goes {
                self.store.set_fresh_until(slot, fresh_until);
            }
            let known = self.model.get(key).expect("the model has it as well");
            assert_eq!(std::mem::replace(known, entry).value, old);
            return;
        }
        let slot = loop {
            if self.store.currsize() + weight <= self.store.maxsize() {
                break self.store.insert(hash(key), key, value, weight, deadline);
            }
            let victim = self.store.victim().expect("a full store has a victim");
            let left = self.store.currsize() - self.store.weight(victim);
            if left + weight <= self.store.maxsize() && key.is_multiple_of(2) {
                let (old, value) = self.store.supplant(victim, hash(key), key, value, weight, deadline);
                assert_eq!(self.model.remove(old), Some((old, value)));
                break victim;
            }
            self.evict();
        };
        if stale_before_it_goes {
            self.store.set_fresh_until(slot, fresh_until);
        }
        assert_eq!((*self.store.key(slot), *self.store.value(slot)), (key, value));
        self.model.entries.push(entry);
    }

    fn evict(&mut self) {
        let victim = self.store.victim();
        assert_eq!(victim.is_none(), self.model.entries.is_empty());
        if let Some(slot) = victim {
            let (key, value) = self.store.evict(slot);
            assert_eq!(self.model.remove(key), Some((key, value)));
        }
    }

    fn expire(&mut self) {
        while let Some(slot) = self.store.next_expired(self.now) {
            assert!(self.store.deadline(slot) <= self.now);
            let (key, value) = self.store.remove(slot);
            assert_eq!(self.model.remove(key), Some((key, value)));
        }
        assert!(self.model.entries.iter().all(|entry| entry.deadline > self.now));
    }

    fn compare(&mut self) {
        self.store.validate();
        assert_eq!(self.store.len(), self.model.entries.len());
        assert_eq!(self.store.is_empty(), self.model.entries.is_empty());
        assert_eq!(self.store.currsize(), self.model.size());
        let pairs: Vec<_> = self.store.iter().map(|(&key, &value)| (key, value)).collect();
        assert_eq!(pairs, self.model.pairs());
        for key in 0..40 {
            let slot = find(&self.store, key);
            assert_eq!(slot.is_some(), self.model.get(key).is_some());
            if let (Some(slot), Some(entry)) = (slot, self.model.get(key)) {
                assert_eq!(self.store.hash(slot), hash(key));
                assert_eq!(self.store.weight(slot), entry.weight);
                assert_eq!(self.store.deadline(slot), entry.deadline);
                assert_eq!(self.store.fresh_until(slot), entry.fresh_until);
                assert!(self.store.candidates(hash(key)).any(|candidate| candidate == slot));
            }
        }
        self.compare_deadlines();
    }

    /// With one time-to-live the deadlines can be walked in order.
    fn compare_deadlines(&self) {
        let walk = std::iter::successors(self.store.first_deadline(), |&slot| self.store.next_deadline(slot));
        let deadlines: Vec<f64> = walk.map(|slot| self.store.deadline(slot)).collect();
        let mut expected: Vec<f64> = match self.expiry {
            Expiry::Fixed => self.model.entries.iter().map(|entry| entry.deadline).collect(),
            _ => Vec::new(),
        };
        expected.sort_by(f64::total_cmp);
        assert_eq!(deadlines, expected);
    }
}

#[test]
fn tags_go_with_their_entries() {
    let mut tags = Tags::new();
    let mut store = Cache::new(3.0, AnyPolicy::Lru(Lru::new()), Expiry::Never);
    let slots = [1, 2, 3].map(|key| store.insert(hash(key), key, 0, 1.0, f64::INFINITY));
    assert!(!store.keeps_stale());
    for slot in slots {
        let set = tags.set(["a"]);
        store.set_stamp(slot, tags.stamp(set));
    }
    assert_eq!(store.fresh_until(slots[0]), f64::INFINITY);
    tags.invalidate("a");
    assert!(slots.iter().all(|&slot| store.is_revoked(slot)));
    assert_eq!(store.fresh_until(slots[0]), f64::NEG_INFINITY);
    store.replace(slots[0], 1, 1.0, f64::INFINITY);
    store.supplant(slots[1], hash(4), 4, 0, 1.0, f64::INFINITY);
    store.remove(slots[2]);
    store.insert(hash(5), 5, 0, 1.0, f64::INFINITY);
    for key in [1, 4, 5] {
        let slot = find(&store, key).expect("it was stored");
        assert!(!store.is_revoked(slot) && store.stamp(slot).is_none());
        assert_eq!(store.fresh_until(slot), f64::INFINITY);
    }
    drop(store.clear());
    assert!(!store.has_stamps());
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        policy in policy(),
        expiry in prop::sample::select(vec![Expiry::Never, Expiry::Fixed, Expiry::Varying]),
        maxsize in prop::sample::select(vec![4.0, 10.0, 25.0, f64::INFINITY]),
        weighted in any::<bool>(),
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let store = Store::new(maxsize, policy, expiry);
        let mut pair = Pair { store, model: Model::default(), expiry, weighted, now: 0.0 };
        for step in &steps {
            pair.take(step);
            pair.compare();
        }
    }
}

fn lru(maxsize: f64) -> Cache {
    Store::new(maxsize, AnyPolicy::Lru(Lru::new()), Expiry::Never)
}

#[test]
fn candidates_are_all_entries_of_one_hash() {
    let mut store = lru(f64::INFINITY);
    let slots = [1, 8, 2, 15].map(|key| store.insert(hash(key), key, 0, 1.0, f64::INFINITY));
    let mut candidates: Vec<Slot> = store.candidates(hash(1)).collect();
    candidates.sort_unstable();
    assert_eq!(candidates, [slots[0], slots[1], slots[3]]);
}

#[test]
fn the_version_tells_whether_slots_may_have_changed_hands() {
    let mut store = lru(10.0);
    let mut versions = vec![store.version()];
    let first = store.insert(1, 1, 0, 1.0, f64::INFINITY);
    versions.push(store.version());
    store.hit(first);
    store.replace(first, 1, 1.0, f64::INFINITY);
    assert_eq!(store.version(), versions[1]);
    store.remove(first);
    versions.push(store.version());
    let second = store.insert(2, 2, 0, 1.0, f64::INFINITY);
    versions.push(store.version());
    store.evict(second);
    versions.push(store.version());
    drop(store.clear());
    versions.push(store.version());
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

#[test]
fn replacing_keeps_the_place_in_iteration() {
    let mut store = lru(10.0);
    let slots = [1, 2, 3].map(|key| store.insert(hash(key), key, 0, 1.0, f64::INFINITY));
    assert_eq!(store.replace(slots[0], 9, 1.0, f64::INFINITY), 0);
    let walk = std::iter::successors(store.first(), |&slot| store.next(slot));
    assert_eq!(walk.collect::<Vec<_>>(), slots);
    assert_eq!(store.victim(), Some(slots[1]));
}

#[test]
fn nothing_is_dropped_but_by_the_caller() {
    use std::rc::Rc;
    let drops = Rc::new(());
    let mut store = Store::new(10.0, Lru::new(), Expiry::Never);
    for key in 0..5u64 {
        store.insert(key, Rc::clone(&drops), Rc::clone(&drops), 1.0, f64::INFINITY);
    }
    let replaced = store.replace(0, Rc::clone(&drops), 1.0, f64::INFINITY);
    let evicted = store.evict(0);
    let removed = store.remove(1);
    assert_eq!(Rc::strong_count(&drops), 12);
    drop((replaced, evicted, removed));
    let mut gone = store.clear();
    assert!(store.is_empty());
    assert_eq!(Rc::strong_count(&drops), 7);
    drop(gone.next());
    assert_eq!(Rc::strong_count(&drops), 5);
    drop(gone);
    assert_eq!(Rc::strong_count(&drops), 1);
}

#[test]
fn clones_go_their_own_ways() {
    let mut store = lru(10.0);
    let slot = store.insert(1, 1, 1, 1.0, f64::INFINITY);
    let mut clone = store.clone();
    clone.replace(slot, 2, 3.0, f64::INFINITY);
    assert_eq!((*store.value(slot), store.currsize()), (1, 1.0));
    assert_eq!((*clone.value(slot), clone.currsize()), (2, 3.0));
    clone.validate();
}

#[test]
fn a_store_that_takes_the_place_of_another_is_told_from_it() {
    assert_ne!(lru(1.0).version(), lru(1.0).version());
}
