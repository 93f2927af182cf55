//! Entries in numbered slots, the free ones reused.

use crate::Slot;

/// A vector with holes: an entry keeps its slot until it is removed.
#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<Slot>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    /// An empty slab, which holds no memory.
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    /// How many entries it holds.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether it holds no entries.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stores an entry in the slot freed last, or in a new one.
    #[inline]
    pub(crate) fn insert(&mut self, entry: T) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = Some(entry);
            return slot;
        }
        let slot = self.entries.len();
        assert!(slot < Slot::MAX as usize, "a slab holds fewer than 2^32 - 1 entries");
        reserve(&mut self.entries, slot + 1);
        self.entries.push(Some(entry));
        slot as Slot
    }

    /// Takes the entry out of a slot; panics when there is none.
    #[inline]
    pub(crate) fn remove(&mut self, slot: Slot) -> T {
        let entry = self.take(slot);
        self.free.push(slot);
        entry
    }

    /// The same for a slab that is emptied to be dropped: the slot is not used again.
    #[inline]
    pub(crate) fn take(&mut self, slot: Slot) -> T {
        self.entries[slot as usize].take().expect(VACANT)
    }
}

/// Writes the item of a slot; those of slots in between are the same until they are written.
#[inline]
pub(crate) fn put<T: Copy>(items: &mut Vec<T>, slot: Slot, item: T) {
    let index = slot as usize;
    if index >= items.len() {
        reserve(items, index + 1);
        items.resize(index + 1, item);
    }
    items[index] = item;
}

/// Makes room for so many items, and a quarter more instead of twice as many: caches fill up
/// once and then stay as they are, so what is reserved in vain is never used.
#[cold]
fn reserve<T>(items: &mut Vec<T>, len: usize) {
    if len > items.capacity() {
        items.reserve_exact(len + len / 4 + 4 - items.len());
    }
}

const VACANT: &str = "the slot holds an entry";

impl<T> std::ops::Index<Slot> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, slot: Slot) -> &T {
        self.entries[slot as usize].as_ref().expect(VACANT)
    }
}

impl<T> std::ops::IndexMut<Slot> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, slot: Slot) -> &mut T {
        self.entries[slot as usize].as_mut().expect(VACANT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn reuses_the_slot_freed_last() {
        let mut slab = Slab::new();
        let slots = [10, 11, 12].map(|entry| slab.insert(entry));
        assert_eq!(slots, [0, 1, 2]);
        slab.remove(0);
        slab.remove(2);
        assert_eq!(slab.insert(13), 2);
        assert_eq!(slab.insert(14), 0);
        assert_eq!(slab.insert(15), 3);
    }

    #[test]
    #[should_panic(expected = "the slot holds an entry")]
    fn removing_twice_panics() {
        let mut slab = Slab::new();
        let slot = slab.insert(());
        slab.remove(slot);
        slab.remove(slot);
    }

    #[test]
    fn vectors_grow_by_a_quarter() {
        let mut items = Vec::new();
        for slot in 0..10_000 {
            put(&mut items, slot, slot);
            assert!(items.capacity() <= items.len() + items.len() / 4 + 4);
        }
        assert!(items.iter().copied().eq(0..10_000));
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec(prop::option::of(any::<usize>()), 0..200)) {
            let mut slab = Slab::new();
            let mut model = HashMap::new();
            for (time, step) in steps.into_iter().enumerate() {
                let mut slots: Vec<Slot> = model.keys().copied().collect();
                slots.sort_unstable();
                match step.and_then(|number| slots.get(number % slots.len().max(1))) {
                    Some(slot) => assert_eq!(slab.remove(*slot), model.remove(slot).unwrap()),
                    None => assert_eq!(model.insert(slab.insert(time), time), None),
                }
                assert_eq!(slab.len(), model.len());
                assert!(model.iter().all(|(&slot, &entry)| slab[slot] == entry));
            }
        }
    }
}
