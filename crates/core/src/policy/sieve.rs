//! SIEVE: a queue and a hand that spares what was visited.
//!
//! After Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024).

use super::{Policy, put, validate_same};
use crate::Slot;
use crate::links::{Links, List};

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
