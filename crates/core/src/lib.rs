//! Cache storage, eviction policies and expiry, with no Python in them.
//!
//! A [`Store`](store::Store) keeps keys and values in numbered slots and tells a
//! [`Policy`](policy::Policy) what happens to them; the policy answers who is evicted next.
//! The caller owns the clock, the hashing and the loop that makes room:
//!
//! ```
//! use aiocachetools_core::{expiry::Expiry, policy::Lru, store::Store};
//!
//! let mut store = Store::new(2.0, Lru::new(), Expiry::Never);
//! for (hash, key) in [(1, "a"), (2, "b"), (3, "c")] {
//!     while store.currsize() + 1.0 > store.maxsize() {
//!         let victim = store.victim().expect("a full store has a victim");
//!         assert_eq!(store.evict(victim), ("a", 1));
//!     }
//!     store.insert(hash, key, hash, 1.0, f64::INFINITY);
//! }
//! let slot = store.find(3, |key| *key == "c").expect("it was just stored");
//! store.hit(slot);
//! assert_eq!(*store.value(slot), 3);
//! assert_eq!(store.find(1, |key| *key == "a"), None);
//! ```
//!
//! | | |
//! |---|---|
//! | [`store`] | the table, slots, weights and deadlines |
//! | [`policy`] | who is evicted: FIFO, LRU, LFU, random, SIEVE, S3-FIFO, W-TinyLFU |
//! | [`expiry`] | deadlines: none, in the order of writing, or any |
//! | [`flight`] | one load for all who wait for a key |
//! | [`freshness`] | how long a value is fresh, and served when it no longer is |
//! | [`simulate`] | traces, replayed through a policy or the optimum |
//!
//! `examples/read_through.rs` is a cache that computes what it has not, `examples/hit_ratio.rs` compares
//! the policies on traces.
//!
//! Nothing here drops a key or a value behind the caller's back: what leaves the store is
//! returned, so destructors run when and where the caller decides.

#![forbid(unsafe_code)]

pub mod expiry;
pub mod flight;
pub mod freshness;
mod ghost;
mod links;
pub mod policy;
pub mod simulate;
mod sketch;
mod slab;
pub mod stats;
pub mod store;
pub mod tags;

/// Number of an entry's place in a [`store::Store`]; reused once the entry has left.
pub type Slot = u32;
