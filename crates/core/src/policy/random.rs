//! Random replacement.

use super::{Policy, put, validate_same};
use crate::Slot;

/// Evicts any entry, each as likely as the others.
///
/// [`Random::slots`] lists the entries for callers that choose for themselves; the order is that
/// of insertion, except that the last takes the place of one that is removed.
#[derive(Clone, Debug)]
pub struct Random {
    slots: Vec<Slot>,
    /// Where in `slots` each slot is.
    positions: Vec<u32>,
    chosen: Option<Slot>,
    state: u64,
}

impl Random {
    /// An empty choice; equal seeds choose alike.
    pub fn new(seed: u64) -> Self {
        let state = seed ^ 0x9E37_79B9_7F4A_7C15;
        Self { slots: Vec::new(), positions: Vec::new(), chosen: None, state: state.max(1) }
    }

    /// The entries to choose from.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// A number below `bound`, by Marsaglia's xorshift64 and a multiplication.
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        ((u128::from(self.state) * bound as u128) >> 64) as usize
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Policy for Random {
    fn insert(&mut self, slot: Slot, _hash: u64) {
        put(&mut self.positions, slot, self.slots.len() as u32);
        self.slots.push(slot);
    }

    fn hit(&mut self, _slot: Slot) {}

    fn write(&mut self, _slot: Slot) {}

    fn victim(&mut self) -> Option<Slot> {
        if self.chosen.is_none() && !self.slots.is_empty() {
            let index = self.below(self.slots.len());
            self.chosen = Some(self.slots[index]);
        }
        self.chosen
    }

    fn remove(&mut self, slot: Slot) {
        let at = self.positions[slot as usize];
        self.slots.swap_remove(at as usize);
        if let Some(&moved) = self.slots.get(at as usize) {
            self.positions[moved as usize] = at;
        }
        self.chosen = self.chosen.filter(|&chosen| chosen != slot);
    }

    fn clear(&mut self) {
        *self = Self { slots: Vec::new(), positions: Vec::new(), chosen: None, ..*self };
    }

    fn validate(&self, resident: &[Slot]) {
        for (at, &slot) in self.slots.iter().enumerate() {
            assert_eq!(self.positions[slot as usize] as usize, at, "slot {slot} is elsewhere");
        }
        assert!(self.chosen.is_none_or(|slot| self.slots.contains(&slot)), "the victim is gone");
        validate_same(self.slots.iter().copied(), resident);
    }
}
