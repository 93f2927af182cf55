//! Hashes of what was evicted lately.

use std::collections::VecDeque;

use hashbrown::HashTable;

/// A bounded queue of hashes; the oldest are forgotten first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ghost {
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
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Remembers a hash as the latest, and nothing before the last `limit` arrivals.
    pub(crate) fn insert(&mut self, hash: u32, limit: usize) {
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

    /// Forgets a hash and tells how many arrivals there have been since its own, if it was remembered.
    pub(crate) fn remove(&mut self, hash: u32) -> Option<usize> {
        let found = self.known.find_entry(key(hash), |known| known.hash == hash).ok()?;
        let (Arrival { number, .. }, _) = found.remove();
        Some(self.queue.len() - 1 - number.wrapping_sub(self.first) as usize)
    }

    /// Panics unless every remembered hash is in the queue at its arrival.
    pub(crate) fn validate(&self) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Beside the last arrivals in order, `None` where one came again or was removed.
        #[test]
        fn agrees_with_a_queue(
            steps in prop::collection::vec((any::<bool>(), 0..30u32, 0..12usize), 0..300),
        ) {
            let mut ghost = Ghost::new();
            let mut model: Vec<Option<u32>> = Vec::new();
            for (inserts, hash, limit) in steps {
                let known = model.iter_mut().rev().position(|known| known.take_if(|known| *known == hash).is_some());
                if inserts {
                    ghost.insert(hash, limit);
                    model.push(Some(hash));
                    model.drain(..model.len().saturating_sub(limit));
                } else {
                    prop_assert_eq!(ghost.remove(hash), known);
                }
                ghost.validate();
                prop_assert_eq!(ghost.queue.len(), model.len());
                prop_assert_eq!(ghost.known.len(), model.iter().flatten().count());
            }
        }

        /// Numbers wrap around without a ghost being lost.
        #[test]
        fn numbers_wrap_around(before in 0..20u32) {
            let mut ghost = Ghost { first: u32::MAX - before, ..Ghost::new() };
            for hash in 0..100 {
                ghost.insert(hash, 10);
                ghost.validate();
            }
            for hash in 0..100 {
                prop_assert_eq!(ghost.remove(hash), (hash >= 90).then(|| 99 - hash as usize));
            }
        }
    }
}
