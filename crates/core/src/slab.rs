//! Entries in numbered slots, the free ones reused.

use crate::Slot;
use crate::links::NIL;

/// A vector with holes: an entry keeps its slot until it is removed.
#[derive(Clone, Debug)]
pub struct Slab<T> {
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
    pub const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    /// How many entries it holds.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether it holds no entries.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stores an entry in the slot freed last, or in a new one.
    pub fn insert(&mut self, entry: T) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = Some(entry);
            return slot;
        }
        let slot = Slot::try_from(self.entries.len()).ok().filter(|&slot| slot != NIL);
        self.entries.push(Some(entry));
        slot.expect("a slab holds fewer than 2^32 - 1 entries")
    }

    /// Takes the entry out of a slot; panics when there is none.
    pub fn remove(&mut self, slot: Slot) -> T {
        let entry = self.entries[slot as usize].take().expect(VACANT);
        self.free.push(slot);
        entry
    }

    /// The entry in a slot, if there is one.
    #[inline]
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.entries.get(slot as usize)?.as_ref()
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
