//! Insertion order, as in the base class of cachetools.

use super::{Policy, validate_same};
use crate::Slot;
use crate::links::{Links, List};

/// Evicts what was inserted first; neither reads nor writes matter.
#[derive(Clone, Debug, Default)]
pub struct Insertion {
    links: Links,
    order: List,
}

impl Insertion {
    /// An empty order.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Policy for Insertion {
    fn insert(&mut self, slot: Slot, _hash: u64) {
        self.links.push_back(&mut self.order, slot);
    }

    #[inline]
    fn hit(&mut self, _slot: Slot) {}

    fn write(&mut self, _slot: Slot) {}

    fn victim(&mut self) -> Option<Slot> {
        self.order.front()
    }

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
    fn replacing_keeps_the_place() {
        let mut policy = Insertion::new();
        policy.insert(0, 0);
        policy.insert(1, 0);
        policy.write(0);
        policy.hit(0);
        assert_eq!(policy.victim(), Some(0));
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(steps in steps()) {
            agree(&steps, Insertion::new(), Line::new(false, false));
        }
    }
}
