//! Deadlines of entries, whatever the policy says about them.
//!
//! 1. An entry is expired once `now` is not less than its deadline.
//! 2. Removal is exact: what left the store has no deadline behind it, so the memory is bounded
//!    by the number of slots.

use crate::Slot;
use crate::links::{Links, List};
use crate::policy::validate_same;
use crate::slab::put;

/// How the deadlines of a store's entries relate to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// There are none.
    Never,
    /// They ascend in the order of writing, as with one time-to-live for all.
    Fixed,
    /// They come in any order.
    Varying,
}

/// The deadlines of a store's entries.
#[derive(Clone, Debug)]
pub(crate) enum Deadlines {
    Never,
    Fixed(Queue),
    Varying(Heap),
}

impl Deadlines {
    pub(crate) fn new(expiry: Expiry) -> Self {
        match expiry {
            Expiry::Never => Self::Never,
            Expiry::Fixed => Self::Fixed(Queue::default()),
            Expiry::Varying => Self::Varying(Heap::default()),
        }
    }

    /// Gives a slot its first or a later deadline; not-a-number has always passed.
    ///
    /// Where there are none yet, infinity is the only deadline to set: see [`Deadlines::begin`].
    #[inline]
    pub(crate) fn set(&mut self, slot: Slot, deadline: f64, renewed: bool) {
        if let Self::Never = self {
            return;
        }
        let deadline = if deadline.is_nan() { f64::NEG_INFINITY } else { deadline };
        match self {
            Self::Never => {}
            Self::Fixed(queue) if queue.may_append(deadline) => queue.set(slot, deadline, renewed),
            Self::Varying(heap) => heap.set(slot, deadline, renewed),
            Self::Fixed(_) => {
                self.vary();
                self.set(slot, deadline, renewed);
            }
        }
    }

    /// From now on there are deadlines, in any order; these slots have none so far.
    #[cold]
    pub(crate) fn begin(&mut self, slots: impl Iterator<Item = Slot>) {
        if let Self::Never = self {
            let mut heap = Heap::default();
            slots.for_each(|slot| heap.set(slot, f64::INFINITY, false));
            *self = Self::Varying(heap);
        }
    }

    /// From now on deadlines come in any order.
    #[cold]
    fn vary(&mut self) {
        let Self::Fixed(queue) = self else { return };
        let mut heap = Heap::default();
        for slot in queue.links.iter(&queue.order) {
            heap.set(slot, queue.deadlines[slot as usize], false);
        }
        *self = Self::Varying(heap);
    }

    #[inline]
    pub(crate) fn remove(&mut self, slot: Slot) {
        match self {
            Self::Never => {}
            Self::Fixed(queue) => queue.remove(slot),
            Self::Varying(heap) => heap.remove(slot),
        }
    }

    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> f64 {
        match self {
            Self::Never => f64::INFINITY,
            Self::Fixed(queue) => queue.deadlines[slot as usize],
            Self::Varying(heap) => heap.deadlines[slot as usize],
        }
    }

    /// The slot whose deadline comes first.
    #[inline]
    pub(crate) fn first(&self) -> Option<Slot> {
        match self {
            Self::Never => None,
            Self::Fixed(queue) => queue.order.front(),
            Self::Varying(heap) => heap.slots.first().copied(),
        }
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Self::Never => {}
            Self::Fixed(queue) => *queue = Queue::default(),
            Self::Varying(heap) => *heap = Heap::default(),
        }
    }

    pub(crate) fn validate(&self, resident: &[Slot]) {
        match self {
            Self::Never => {}
            Self::Fixed(queue) => queue.validate(resident),
            Self::Varying(heap) => heap.validate(resident),
        }
    }
}

/// Deadlines in the order of writing: everything in constant time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    links: Links,
    order: List,
    deadlines: Vec<f64>,
}

impl Queue {
    fn set(&mut self, slot: Slot, deadline: f64, renewed: bool) {
        if renewed {
            self.links.move_to_back(&mut self.order, slot);
        } else {
            self.links.push_back(&mut self.order, slot);
        }
        put(&mut self.deadlines, slot, deadline);
    }

    /// Whether a deadline may be the last one.
    fn may_append(&self, deadline: f64) -> bool {
        self.order.back().is_none_or(|last| self.deadlines[last as usize] <= deadline)
    }

    fn remove(&mut self, slot: Slot) {
        self.links.unlink(&mut self.order, slot);
    }

    pub(crate) fn front(&self) -> Option<Slot> {
        self.order.front()
    }

    pub(crate) fn next(&self, slot: Slot) -> Option<Slot> {
        self.links.next(slot)
    }

    fn validate(&self, resident: &[Slot]) {
        self.links.validate(&self.order);
        validate_same(self.links.iter(&self.order), resident);
    }
}

/// A binary heap of slots by deadline, which knows the position of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heap {
    slots: Vec<Slot>,
    positions: Vec<u32>,
    deadlines: Vec<f64>,
}

impl Heap {
    fn set(&mut self, slot: Slot, deadline: f64, renewed: bool) {
        put(&mut self.deadlines, slot, deadline);
        if !renewed {
            put(&mut self.positions, slot, self.slots.len() as u32);
            self.slots.push(slot);
        }
        self.settle(self.positions[slot as usize] as usize);
    }

    fn remove(&mut self, slot: Slot) {
        let at = self.positions[slot as usize] as usize;
        self.slots.swap_remove(at);
        if at < self.slots.len() {
            self.positions[self.slots[at] as usize] = at as u32;
            self.settle(at);
        }
    }

    /// Moves what is at a position to where its deadline belongs.
    fn settle(&mut self, at: usize) {
        let mut at = at;
        while at > 0 && self.before(at, (at - 1) / 2) {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        while let Some(child) = self.earliest_child(at).filter(|&child| self.before(child, at)) {
            self.swap(at, child);
            at = child;
        }
    }

    fn earliest_child(&self, at: usize) -> Option<usize> {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        match self.slots.len() {
            len if left >= len => None,
            len if right < len && self.before(right, left) => Some(right),
            _ => Some(left),
        }
    }

    fn before(&self, a: usize, b: usize) -> bool {
        self.deadline_at(a) < self.deadline_at(b)
    }

    fn deadline_at(&self, at: usize) -> f64 {
        self.deadlines[self.slots[at] as usize]
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.slots.swap(a, b);
        self.positions[self.slots[a] as usize] = a as u32;
        self.positions[self.slots[b] as usize] = b as u32;
    }

    fn validate(&self, resident: &[Slot]) {
        validate_same(self.slots.iter().copied(), resident);
        for (at, &slot) in self.slots.iter().enumerate() {
            assert_eq!(self.positions[slot as usize] as usize, at, "slot {slot} is elsewhere");
            assert!(!self.before(at, at.saturating_sub(1) / 2), "a child is due before its parent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn without_expiry_every_deadline_is_infinite() {
        let mut deadlines = Deadlines::new(Expiry::Never);
        deadlines.set(0, 1.0, false);
        assert_eq!(deadlines.get(0), f64::INFINITY);
        assert_eq!(deadlines.first(), None);
    }

    #[test]
    fn what_is_no_number_comes_first() {
        let mut deadlines = Deadlines::new(Expiry::Varying);
        deadlines.set(0, -1.0, false);
        deadlines.set(1, f64::NAN, false);
        assert_eq!(deadlines.first(), Some(1));
        assert_eq!(deadlines.get(1), f64::NEG_INFINITY);
    }

    #[test]
    fn a_queue_goes_by_the_order_of_writing() {
        let mut deadlines = Deadlines::new(Expiry::Fixed);
        deadlines.set(0, 1.0, false);
        deadlines.set(1, 2.0, false);
        deadlines.set(0, 3.0, true);
        assert_eq!(deadlines.first(), Some(1));
        deadlines.remove(1);
        assert_eq!(deadlines.first(), Some(0));
        assert_eq!(deadlines.get(0), 3.0);
    }

    #[test]
    fn a_queue_becomes_a_heap_when_deadlines_no_longer_ascend() {
        let mut deadlines = Deadlines::new(Expiry::Fixed);
        deadlines.set(0, 3.0, false);
        deadlines.set(1, 1.0, false);
        assert_eq!(deadlines.first(), Some(1));
        deadlines.validate(&[0, 1]);
    }

    #[test]
    fn deadlines_may_begin_late() {
        let mut deadlines = Deadlines::new(Expiry::Never);
        deadlines.begin([0, 1].into_iter());
        deadlines.set(2, 5.0, false);
        assert_eq!(deadlines.first(), Some(2));
        assert_eq!(deadlines.get(0), f64::INFINITY);
        deadlines.validate(&[0, 1, 2]);
    }

    proptest! {
        /// Setting, moving and removing deadlines, beside a map.
        #[test]
        fn agrees_with_a_map(
            ascending in any::<bool>(),
            steps in prop::collection::vec((0..30u32, prop::option::weighted(0.7, 0..100u32)), 0..300),
        ) {
            let expiry = if ascending { Expiry::Fixed } else { Expiry::Varying };
            let mut deadlines = Deadlines::new(expiry);
            let mut model = BTreeMap::new();
            for (time, (slot, deadline)) in steps.into_iter().enumerate() {
                match deadline {
                    Some(deadline) => {
                        let deadline = if ascending { time as f64 } else { f64::from(deadline) };
                        deadlines.set(slot, deadline, model.insert(slot, deadline).is_some());
                    }
                    None if model.remove(&slot).is_some() => deadlines.remove(slot),
                    None => {}
                }
                let slots: Vec<Slot> = model.keys().copied().collect();
                deadlines.validate(&slots);
                prop_assert!(model.iter().all(|(&slot, &deadline)| deadlines.get(slot) == deadline));
                let earliest = model.values().copied().min_by(f64::total_cmp);
                prop_assert_eq!(deadlines.first().map(|slot| deadlines.get(slot)), earliest);
            }
        }
    }
}
