//! Who is evicted next.
//!
//! A policy orders slots. It sees the hash of an entry's key and its weight, never the key, the
//! value or a clock. What every policy may rely on, and [`Policy::validate`] checks:
//!
//! 1. `insert` names a slot that the policy does not hold; every other method names one that it
//!    does.
//! 2. A slot leaves by `remove`, `evict` or `clear` alone, and may come back with another hash.
//! 3. `victim` answers `None` only when the policy is empty. Asked again, it gives the same
//!    answer until another method is called.

mod fifo;
mod insertion;
mod lfu;
mod lru;
#[cfg(test)]
mod model;
mod queues;
mod random;
mod s3_fifo;
mod sieve;
mod split;
mod tiny_lfu;

pub use fifo::Fifo;
pub use insertion::Insertion;
pub use lfu::Lfu;
pub use lru::Lru;
pub use random::Random;
pub use s3_fifo::S3Fifo;
pub use sieve::Sieve;
pub use tiny_lfu::TinyLfu;

use crate::Slot;

/// An eviction order over slots; the module's rules say what callers guarantee.
pub trait Policy {
    /// Takes in a new entry whose key has this hash.
    fn insert(&mut self, slot: Slot, hash: u64);

    /// Notes that the entry was read.
    fn hit(&mut self, slot: Slot);

    /// Notes that the entry's value was replaced.
    fn write(&mut self, slot: Slot);

    /// Notes what an entry weighs, right after it was inserted or written; one, if nothing is said.
    fn weigh(&mut self, slot: Slot, weight: f64) {
        let _ = (slot, weight);
    }

    /// Notes that a lookup of this hash found nothing.
    fn miss(&mut self, hash: u64) {
        let _ = hash;
    }

    /// Names the entry to evict next.
    fn victim(&mut self) -> Option<Slot>;

    /// Forgets an entry that left for another reason than size.
    fn remove(&mut self, slot: Slot);

    /// Forgets an entry that had to make room; policies with ghosts remember its hash.
    fn evict(&mut self, slot: Slot) {
        self.remove(slot);
    }

    /// Forgets everything and frees the memory.
    fn clear(&mut self);

    /// Panics unless the policy is sound and holds exactly these slots (test support).
    fn validate(&self, resident: &[Slot]);

    /// Panics unless each entry has the weight that the policy was told (test support).
    fn validate_weights(&self, weight: &dyn Fn(Slot) -> f64) {
        let _ = weight;
    }
}

/// Any of the policies, chosen at run time.
#[derive(Clone, Debug)]
pub enum AnyPolicy {
    /// First inserted, first out; replacing keeps the place.
    Insertion(Insertion),
    /// First written, first out.
    Fifo(Fifo),
    /// Least recently used.
    Lru(Lru),
    /// Least frequently used.
    Lfu(Lfu),
    /// Random replacement.
    Random(Random),
    /// A queue whose hand spares what was visited.
    Sieve(Sieve),
    /// Three queues: small, main and ghosts.
    S3Fifo(S3Fifo),
    /// Admission by frequency, with an adaptive window.
    TinyLfu(TinyLfu),
}

/// Panics unless `slots` are exactly `resident`, in any order.
pub(crate) fn validate_same(slots: impl Iterator<Item = Slot>, resident: &[Slot]) {
    let mut slots: Vec<Slot> = slots.collect();
    let mut resident = resident.to_vec();
    slots.sort_unstable();
    resident.sort_unstable();
    assert_eq!(slots, resident, "the policy holds other slots than the store");
}

/// Thirty-two well-mixed bits of a hash that may be as plain as a small number.
pub(crate) fn spread(hash: u64) -> u32 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((hash ^ (hash >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32) as u32
}

/// Calls a method of whichever policy it is.
macro_rules! dispatch {
    ($any:expr, $policy:ident => $call:expr) => {
        match $any {
            AnyPolicy::Insertion($policy) => $call,
            AnyPolicy::Fifo($policy) => $call,
            AnyPolicy::Lru($policy) => $call,
            AnyPolicy::Lfu($policy) => $call,
            AnyPolicy::Random($policy) => $call,
            AnyPolicy::Sieve($policy) => $call,
            AnyPolicy::S3Fifo($policy) => $call,
            AnyPolicy::TinyLfu($policy) => $call,
        }
    };
}

impl AnyPolicy {
    #[inline(never)]
    fn insert_other(&mut self, slot: Slot, hash: u64) {
        dispatch!(self, policy => policy.insert(slot, hash));
    }
    #[inline(never)]
    fn write_other(&mut self, slot: Slot) {
        dispatch!(self, policy => policy.write(slot));
    }
    #[inline(never)]
    fn evict_other(&mut self, slot: Slot) {
        dispatch!(self, policy => policy.evict(slot));
    }
    #[inline(never)]
    fn victim_other(&mut self) -> Option<Slot> {
        dispatch!(self, policy => policy.victim())
    }
    #[inline(never)]
    fn hit_other(&mut self, slot: Slot) {
        dispatch!(self, policy => policy.hit(slot));
    }
}

impl Policy for AnyPolicy {
    #[inline]
    fn insert(&mut self, slot: Slot, hash: u64) {
        match self {
            AnyPolicy::Lru(policy) => policy.insert(slot, hash),
            other => other.insert_other(slot, hash),
        }
    }

    /// Inlines the policy that nearly every cache has and calls the others out of line.
    #[inline]
    fn hit(&mut self, slot: Slot) {
        match self {
            AnyPolicy::Lru(policy) => policy.hit(slot),
            other => other.hit_other(slot),
        }
    }

    #[inline]
    fn write(&mut self, slot: Slot) {
        match self {
            AnyPolicy::Lru(policy) => policy.write(slot),
            other => other.write_other(slot),
        }
    }

    fn weigh(&mut self, slot: Slot, weight: f64) {
        dispatch!(self, policy => policy.weigh(slot, weight));
    }

    fn miss(&mut self, hash: u64) {
        dispatch!(self, policy => policy.miss(hash));
    }

    #[inline]
    fn victim(&mut self) -> Option<Slot> {
        match self {
            AnyPolicy::Lru(policy) => policy.victim(),
            other => other.victim_other(),
        }
    }

    fn remove(&mut self, slot: Slot) {
        dispatch!(self, policy => policy.remove(slot));
    }

    #[inline]
    fn evict(&mut self, slot: Slot) {
        match self {
            AnyPolicy::Lru(policy) => policy.evict(slot),
            other => other.evict_other(slot),
        }
    }

    fn clear(&mut self) {
        dispatch!(self, policy => policy.clear());
    }

    fn validate(&self, resident: &[Slot]) {
        dispatch!(self, policy => policy.validate(resident));
    }

    fn validate_weights(&self, weight: &dyn Fn(Slot) -> f64) {
        dispatch!(self, policy => policy.validate_weights(weight));
    }
}
