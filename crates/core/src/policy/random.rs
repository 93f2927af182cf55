//! Random replacement.

use super::{Policy, validate_same};
use crate::Slot;
use crate::slab::put;

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

#[cfg(test)]
mod tests {
    use super::super::model::{hold, steps};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_takes_the_place_of_the_removed() {
        let mut policy = Random::new(1);
        for slot in 0..4 {
            policy.insert(slot, 0);
        }
        policy.remove(1);
        assert_eq!(policy.slots(), [0, 3, 2]);
        policy.remove(2);
        assert_eq!(policy.slots(), [0, 3]);
    }

    #[test]
    fn chooses_all_alike() {
        let mut policy = Random::new(2);
        for slot in 0..10 {
            policy.insert(slot, 0);
        }
        let mut chosen = [0; 10];
        for _ in 0..10_000 {
            let slot = policy.victim().expect("there are entries");
            chosen[slot as usize] += 1;
            policy.remove(slot);
            policy.insert(slot, 0);
        }
        assert!(chosen.iter().all(|count| (800..1200).contains(count)), "{chosen:?}");
    }

    #[test]
    fn equal_seeds_choose_alike() {
        let choices = |seed| {
            let mut policy = Random::new(seed);
            for slot in 0..100 {
                policy.insert(slot, 0);
            }
            std::iter::from_fn(move || policy.victim().inspect(|&slot| policy.evict(slot)))
                .collect::<Vec<_>>()
        };
        assert_eq!(choices(3), choices(3));
        assert_ne!(choices(3), choices(4));
    }

    proptest! {
        #[test]
        fn holds_its_invariants(steps in steps()) {
            hold(&steps, Random::default());
        }
    }
}
