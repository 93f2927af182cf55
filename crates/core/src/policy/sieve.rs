//! SIEVE: a queue and a hand that spares what was visited.
//!
//! After Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024).

use super::{Policy, validate_same};
use crate::Slot;
use crate::links::{Links, List};
use crate::slab::put;

/// Evicts the oldest entry that was not used since the hand last passed it.
#[derive(Clone, Debug, Default)]
pub struct Sieve {
    links: Links,
    order: List,
    visited: Vec<bool>,
    /// Where the search for a victim goes on; the front of the queue when absent.
    hand: Option<Slot>,
}

impl Sieve {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Policy for Sieve {
    fn insert(&mut self, slot: Slot, _hash: u64) {
        self.links.push_back(&mut self.order, slot);
        put(&mut self.visited, slot, false);
    }

    fn hit(&mut self, slot: Slot) {
        self.visited[slot as usize] = true;
    }

    fn write(&mut self, slot: Slot) {
        self.visited[slot as usize] = true;
    }

    fn victim(&mut self) -> Option<Slot> {
        let mut hand = self.hand.or(self.order.front())?;
        while std::mem::take(&mut self.visited[hand as usize]) {
            hand = self.links.next(hand).or(self.order.front())?;
        }
        self.hand = Some(hand);
        self.hand
    }

    fn remove(&mut self, slot: Slot) {
        if self.hand == Some(slot) {
            self.hand = self.links.next(slot);
        }
        self.links.unlink(&mut self.order, slot);
    }

    fn clear(&mut self) {
        *self = Self::new();
    }

    fn validate(&self, resident: &[Slot]) {
        self.links.validate(&self.order);
        let slots = || self.links.iter(&self.order);
        assert!(self.hand.is_none_or(|hand| slots().any(|slot| slot == hand)), "the hand is lost");
        validate_same(slots(), resident);
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{agree, steps};
    use super::*;
    use proptest::prelude::*;

    /// The queue as a vector, oldest first, with the index of the hand.
    #[derive(Default)]
    struct Queue {
        entries: Vec<(Slot, bool)>,
        hand: usize,
    }

    impl Policy for Queue {
        fn insert(&mut self, slot: Slot, _hash: u64) {
            // A hand that has come to the end begins anew at the front, not at the newcomer.
            if self.hand == self.entries.len() {
                self.hand = 0;
            }
            self.entries.push((slot, false));
        }

        fn hit(&mut self, slot: Slot) {
            for entry in self.entries.iter_mut().filter(|entry| entry.0 == slot) {
                entry.1 = true;
            }
        }

        fn write(&mut self, slot: Slot) {
            self.hit(slot);
        }

        fn victim(&mut self) -> Option<Slot> {
            loop {
                if self.hand >= self.entries.len() {
                    self.hand = 0;
                }
                let entry = self.entries.get_mut(self.hand)?;
                if !std::mem::take(&mut entry.1) {
                    return Some(entry.0);
                }
                self.hand += 1;
            }
        }

        fn remove(&mut self, slot: Slot) {
            let at = self.entries.iter().position(|entry| entry.0 == slot);
            let at = at.expect("the slot is present");
            self.entries.remove(at);
            if at < self.hand {
                self.hand -= 1;
            }
        }

        fn clear(&mut self) {
            *self = Self::default();
        }

        fn validate(&self, _resident: &[Slot]) {}
    }

    #[test]
    fn spares_the_visited_once() {
        let mut policy = Sieve::new();
        for slot in 0..3 {
            policy.insert(slot, 0);
        }
        policy.hit(0);
        assert_eq!(policy.victim(), Some(1));
        policy.evict(1);
        policy.evict(2);
        assert_eq!(policy.victim(), Some(0));
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(steps in steps()) {
            agree(&steps, Sieve::new(), Queue::default());
        }
    }
}
