//! A cache of two entries that computes what it has not, and forgets it after a while.
//!
//! ```text
//! cargo run --package aiocachetools-core --example read_through
//! ```

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use aiocachetools_core::expiry::Expiry;
use aiocachetools_core::policy::TinyLfu;
use aiocachetools_core::store::Store;

const SIZE: usize = 2;
const TTL: f64 = 60.0;

struct Cache {
    store: Store<String, usize, TinyLfu>,
    hasher: RandomState,
}

impl Cache {
    fn new() -> Self {
        let store = Store::new(SIZE as f64, TinyLfu::new(SIZE), Expiry::Fixed);
        Self { store, hasher: RandomState::new() }
    }

    /// The length of a text, and whether it had to be counted.
    fn length(&mut self, text: &str, now: f64) -> (usize, bool) {
        while let Some(slot) = self.store.next_expired(now) {
            self.store.remove(slot);
        }
        let hash = self.hasher.hash_one(text);
        if let Some(slot) = self.store.find(hash, |key| key == text) {
            self.store.hit(slot);
            return (*self.store.value(slot), false);
        }
        self.store.miss(hash);
        while self.store.currsize() + 1.0 > self.store.maxsize() {
            let Some(victim) = self.store.victim() else { break };
            let (key, _) = self.store.evict(victim);
            println!("         {key:?} makes room");
        }
        let length = text.chars().count();
        self.store.insert(hash, text.to_owned(), length, 1.0, now + TTL);
        (length, true)
    }
}

fn main() {
    let mut cache = Cache::new();
    for (now, text) in
        [(0.0, "one"), (1.0, "three"), (2.0, "one"), (3.0, "seventeen"), (4.0, "one"), (99.0, "one")]
    {
        let (length, counted) = cache.length(text, now);
        let how = if counted { "counted" } else { "remembered" };
        println!("{now:>4} s: {text:?} has {length} letters ({how})");
    }
}
