//! Least recently used.

use super::{Policy, validate_same};
use crate::Slot;
use crate::links::{Links, List};

/// Evicts what was neither read nor written for the longest time.
#[derive(Clone, Debug, Default)]
pub struct Lru {
    links: Links,
    order: List,
}

impl Lru {
    /// An empty order.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Policy for Lru {
    #[inline]
    fn insert(&mut self, slot: Slot, _hash: u64) {
        self.links.push_back(&mut self.order, slot);
    }

    #[inline]
    fn hit(&mut self, slot: Slot) {
        self.links.move_to_back(&mut self.order, slot);
    }

    #[inline]
    fn write(&mut self, slot: Slot) {
        self.links.move_to_back(&mut self.order, slot);
    }

    #[inline]
    fn victim(&mut self) -> Option<Slot> {
        self.order.front()
    }

    #[inline]
    fn remove(&mut self, slot: Slot) {
        self.links.unlink(&mut self.order, slot);
    }

    fn clear(&mut self) {
        *self = Self::new();
    }

    fn validate(&self, resident: &[Slot]) {
        self.links.validate(&self.order);
        validate_same(self.links.iter(&self.order), resident);
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{Line, agree, steps};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reading_and_replacing_move_to_the_end() {
        let mut policy = Lru::new();
        for slot in 0..3 {
            policy.insert(slot, 0);
        }
        policy.hit(0);
        assert_eq!(policy.victim(), Some(1));
        policy.write(1);
        assert_eq!(policy.victim(), Some(2));
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(steps in steps()) {
            agree(&steps, Lru::new(), Line::new(true, true));
        }
    }
}
