//! First in, first out, where replacing a value counts as coming in.

use super::{Policy, validate_same};
use crate::Slot;
use crate::links::{Links, List};

/// Evicts what was written first: a new value sends its entry to the end.
#[derive(Clone, Debug, Default)]
pub struct Fifo {
    links: Links,
    order: List,
}

impl Fifo {
    /// An empty order.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Policy for Fifo {
    fn insert(&mut self, slot: Slot, _hash: u64) {
        self.links.push_back(&mut self.order, slot);
    }

    #[inline]
    fn hit(&mut self, _slot: Slot) {}

    fn write(&mut self, slot: Slot) {
        self.links.move_to_back(&mut self.order, slot);
    }

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
    fn replacing_moves_to_the_end_and_reading_does_not() {
        let mut policy = Fifo::new();
        policy.insert(0, 0);
        policy.insert(1, 0);
        policy.hit(0);
        assert_eq!(policy.victim(), Some(0));
        policy.write(0);
        assert_eq!(policy.victim(), Some(1));
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(steps in steps()) {
            agree(&steps, Fifo::new(), Line::new(false, true));
        }
    }
}
