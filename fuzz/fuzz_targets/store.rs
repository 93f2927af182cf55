//! Programs of store operations, over every policy and kind of deadlines, beside a vector that does
//! the same; every invariant is checked after each step.

#![no_main]

use aiocachetools_core::Slot;
use aiocachetools_core::expiry::Expiry;
use aiocachetools_core::policy::{AnyPolicy, Fifo, Insertion, Lfu, Lru, Random, S3Fifo, Sieve, TinyLfu};
use aiocachetools_core::store::Store;
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

type Cache = Store<u8, u16, AnyPolicy>;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Insertion,
    Fifo,
    Lru,
    Lfu,
    Random(u64),
    Sieve,
    S3Fifo,
    TinyLfu(u8),
}

impl Kind {
    fn policy(self) -> AnyPolicy {
        match self {
            Kind::Insertion => AnyPolicy::Insertion(Insertion::new()),
            Kind::Fifo => AnyPolicy::Fifo(Fifo::new()),
            Kind::Lru => AnyPolicy::Lru(Lru::new()),
            Kind::Lfu => AnyPolicy::Lfu(Lfu::new()),
            Kind::Random(seed) => AnyPolicy::Random(Random::new(seed)),
            Kind::Sieve => AnyPolicy::Sieve(Sieve::new()),
            Kind::S3Fifo => AnyPolicy::S3Fifo(S3Fifo::new()),
            Kind::TinyLfu(hint) => AnyPolicy::TinyLfu(TinyLfu::new(hint.into())),
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Deadlines {
    Never,
    Fixed(u8),
    Varying,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    /// Stores a value that weighs so many quarters and lives so long.
    Put {
        key: u8,
        value: u16,
        quarters: u8,
        life: u8,
        /// Whether a new key takes the very place of the last one that makes room.
        supplant: bool,
    },
    Read(u8),
    Remove(u8),
    Evict,
    /// Evicts whom the policy has not named, as a cache does whose user chooses.
    EvictThis(u8),
    Expire {
        passes: u8,
    },
    Clear,
    Clone,
}

#[derive(Arbitrary, Debug)]
struct Program {
    kind: Kind,
    deadlines: Deadlines,
    maxsize: u8,
    /// Whether entries weigh differently.
    weighted: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    key: u8,
    value: u16,
    weight: f64,
    deadline: f64,
}

/// A store, the same entries in a vector, in order of insertion, and the time.
struct Pair {
    store: Cache,
    model: Vec<Entry>,
    deadlines: Deadlines,
    weighted: bool,
    now: f64,
}

/// Few hashes for many keys, so that keys collide; some differ in their upper bits alone.
fn hash(key: u8) -> u64 {
    u64::from(key % 8) << (8 * (key % 2 * 7))
}

impl Pair {
    fn new(program: &Program) -> Self {
        let expiry = match program.deadlines {
            Deadlines::Never => Expiry::Never,
            Deadlines::Fixed(_) => Expiry::Fixed,
            Deadlines::Varying => Expiry::Varying,
        };
        let store = Store::new(f64::from(program.maxsize) / 4.0, program.kind.policy(), expiry);
        let Program { deadlines, weighted, .. } = *program;
        Self { store, model: Vec::new(), deadlines, weighted, now: 0.0 }
    }

    fn find(&self, key: u8) -> Option<Slot> {
        self.store.find(hash(key), |&known| known == key)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Put { key, value, quarters, life, supplant } => {
                self.put(key, value, quarters, life, supplant)
            }
            Step::Read(key) => match self.find(key) {
                Some(slot) => self.store.hit(slot),
                None => self.store.miss(hash(key)),
            },
            Step::Remove(key) => {
                let removed = self.find(key).map(|slot| self.store.remove(slot));
                self.forget(key, removed);
            }
            Step::Evict => match self.store.victim() {
                Some(victim) => self.evict(victim),
                None => assert!(self.model.is_empty()),
            },
            Step::EvictThis(key) => {
                if let Some(slot) = self.find(key) {
                    self.evict(slot);
                }
            }
            Step::Expire { passes } => {
                self.now += f64::from(passes);
                self.expire();
            }
            Step::Clear => {
                let cleared: Vec<_> = self.store.clear().collect();
                let expected: Vec<_> = self.model.drain(..).map(|entry| (entry.key, entry.value)).collect();
                assert_eq!(cleared, expected);
            }
            Step::Clone => self.store = self.store.clone(),
        }
    }

    fn put(&mut self, key: u8, value: u16, quarters: u8, life: u8, supplant: bool) {
        let weight = if self.weighted { f64::from(quarters) / 4.0 } else { 1.0 };
        let deadline = match self.deadlines {
            Deadlines::Never => f64::INFINITY,
            Deadlines::Fixed(ttl) => self.now + f64::from(ttl),
            Deadlines::Varying => self.now + f64::from(life),
        };
        if weight > self.store.maxsize() {
            return;
        }
        let new = Entry { key, value, weight, deadline };
        let freed = |pair: &Self| pair.find(key).map_or(0.0, |slot| pair.store.weight(slot));
        while self.store.currsize() + weight - freed(self) > self.store.maxsize() {
            let victim = self.store.victim().expect("a full store has a victim");
            let left = self.store.currsize() - self.store.weight(victim);
            if supplant && self.find(key).is_none() && left + weight <= self.store.maxsize() {
                let old = self.store.supplant(victim, hash(key), key, value, weight, deadline);
                self.forget(old.0, Some(old));
                return self.model.push(new);
            }
            self.evict(victim);
        }
        match (self.find(key), self.model.iter_mut().find(|entry| entry.key == key)) {
            (Some(slot), Some(entry)) => {
                assert_eq!(self.store.replace(slot, value, weight, deadline), entry.value);
                *entry = new;
            }
            (None, None) => {
                self.store.insert(hash(key), key, value, weight, deadline);
                self.model.push(new);
            }
            (found, expected) => panic!("{key} is at {found:?}, expected {expected:?}"),
        }
    }

    fn evict(&mut self, slot: Slot) {
        let evicted = self.store.evict(slot);
        self.forget(evicted.0, Some(evicted));
    }

    fn forget(&mut self, key: u8, taken: Option<(u8, u16)>) {
        let at = self.model.iter().position(|entry| entry.key == key);
        let expected = at.map(|at| self.model.remove(at));
        assert_eq!(taken, expected.map(|entry| (entry.key, entry.value)));
    }

    fn expire(&mut self) {
        let mut last = f64::NEG_INFINITY;
        while let Some(slot) = self.store.next_expired(self.now) {
            assert!(last <= self.store.deadline(slot), "deadlines come in order");
            last = self.store.deadline(slot);
            let (key, value) = self.store.remove(slot);
            self.forget(key, Some((key, value)));
        }
        assert!(self.model.iter().all(|entry| entry.deadline > self.now), "something has not expired");
    }

    fn check(&mut self) {
        self.store.validate();
        let listed: Vec<_> = self.store.iter().map(|(&key, &value)| (key, value)).collect();
        let expected: Vec<_> = self.model.iter().map(|entry| (entry.key, entry.value)).collect();
        assert_eq!(listed, expected);
        for entry in &self.model {
            let slot = self.find(entry.key).expect("every entry is found");
            assert_eq!((self.store.weight(slot), self.store.deadline(slot)), (entry.weight, entry.deadline));
        }
        let victim = self.store.victim();
        assert_eq!(victim.is_some(), !self.model.is_empty());
        assert_eq!(self.store.victim(), victim, "the victim stays the same");
        let size: f64 = self.model.iter().map(|entry| entry.weight).sum();
        assert_eq!(self.store.currsize(), size);
        assert!(size <= self.store.maxsize());
    }
}

fuzz_target!(|program: Program| {
    let mut pair = Pair::new(&program);
    for &step in &program.steps {
        pair.take(step);
        pair.check();
    }
});
