//! Hashes of what was evicted lately.

use std::collections::VecDeque;

use hashbrown::HashTable;
use hashbrown::hash_table::OccupiedEntry;

/// A bounded queue of hashes; the oldest are forgotten first.
#[derive(Clone, Debug, Default)]
pub struct Ghost {
    known: HashTable<Arrival>,
    /// The hashes of all arrivals not yet forgotten, those that came again included.
    queue: VecDeque<u32>,
    /// The number of the arrival at the front of the queue; numbers wrap around.
    first: u32,
}

/// A hash and the number of its latest arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arrival {
    hash: u32,
    number: u32,
}

impl Ghost {
    /// Remembers nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many hashes it remembers.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether it remembers nothing.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Remembers a hash as the latest, and nothing before the last `limit` arrivals.
    pub fn insert(&mut self, hash: u32, limit: usize) {
        let number = self.first.wrapping_add(self.queue.len() as u32);
        self.queue.push_back(hash);
        match self.known.find_mut(key(hash), |known| known.hash == hash) {
            Some(known) => known.number = number,
            None => {
                let arrival = Arrival { hash, number };
                self.known.insert_unique(key(hash), arrival, |known| key(known.hash));
            }
        }
        while self.queue.len() > limit {
            self.forget_first();
        }
    }

    /// Forgets a hash and tells whether it was remembered.
    pub fn remove(&mut self, hash: u32) -> bool {
        let found = self.known.find_entry(key(hash), |known| known.hash == hash);
        found.map(OccupiedEntry::remove).is_ok()
    }

    /// Forgets everything and frees the memory.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Panics unless every remembered hash is in the queue at its arrival.
    pub fn validate(&self) {
        for &Arrival { hash, number } in &self.known {
            let at = number.wrapping_sub(self.first) as usize;
            assert_eq!(self.queue.get(at), Some(&hash), "a ghost has no arrival");
        }
    }

    fn forget_first(&mut self) {
        let Some(hash) = self.queue.pop_front() else { return };
        let forgotten = Arrival { hash, number: self.first };
        if let Ok(entry) = self.known.find_entry(key(hash), |known| *known == forgotten) {
            entry.remove();
        }
        self.first = self.first.wrapping_add(1);
    }
}

/// Spreads a hash over the bits that the table looks at.
fn key(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
