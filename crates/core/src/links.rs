//! Doubly linked lists over slot numbers.
//!
//! [`Links`] holds the neighbors of every slot and [`List`] the two ends of one list, so that
//! several lists share one vector of links as long as a slot is on at most one of them.

use crate::Slot;

/// The slot number that stands for "none"; a store never hands it out.
pub const NIL: Slot = Slot::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    prev: Slot,
    next: Slot,
}

/// The ends and the length of one list; its inner links are in a [`Links`].
#[derive(Clone, Debug)]
pub struct List {
    head: Slot,
    tail: Slot,
    len: usize,
}

impl List {
    /// An empty list.
    pub const fn new() -> Self {
        Self { head: NIL, tail: NIL, len: 0 }
    }

    /// How many slots are on it.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no slot is on it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its first slot.
    #[inline]
    pub fn front(&self) -> Option<Slot> {
        some(self.head)
    }

    /// Its last slot.
    #[inline]
    pub fn back(&self) -> Option<Slot> {
        some(self.tail)
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

/// The neighbors of every slot.
#[derive(Clone, Debug, Default)]
pub struct Links {
    links: Vec<Link>,
}

impl Links {
    /// No slots yet; the vector grows with the highest slot pushed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a slot that is on no list.
    #[inline]
    pub fn push_back(&mut self, list: &mut List, slot: Slot) {
        self.grow(slot);
        self.links[slot as usize] = Link { prev: list.tail, next: NIL };
        match list.tail {
            NIL => list.head = slot,
            tail => self.links[tail as usize].next = slot,
        }
        list.tail = slot;
        list.len += 1;
    }

    /// Puts a slot that is on no list after one that is on this list, or first.
    pub fn insert_after(&mut self, list: &mut List, at: Option<Slot>, slot: Slot) {
        let next = at.map_or(list.head, |at| self.links[at as usize].next);
        if next == NIL {
            return self.push_back(list, slot);
        }
        self.grow(slot);
        self.links[slot as usize] = Link { prev: at.unwrap_or(NIL), next };
        self.links[next as usize].prev = slot;
        match at {
            None => list.head = slot,
            Some(at) => self.links[at as usize].next = slot,
        }
        list.len += 1;
    }

    /// Takes a slot off the list that it is on.
    #[inline]
    pub fn unlink(&mut self, list: &mut List, slot: Slot) {
        let Link { prev, next } = self.links[slot as usize];
        match prev {
            NIL => list.head = next,
            prev => self.links[prev as usize].next = next,
        }
        match next {
            NIL => list.tail = prev,
            next => self.links[next as usize].prev = prev,
        }
        list.len -= 1;
    }

    /// Makes a slot of the list its last one.
    #[inline]
    pub fn move_to_back(&mut self, list: &mut List, slot: Slot) {
        if list.tail != slot {
            self.unlink(list, slot);
            self.push_back(list, slot);
        }
    }

    /// The slot after this one on its list.
    #[inline]
    pub fn next(&self, slot: Slot) -> Option<Slot> {
        some(self.links[slot as usize].next)
    }

    /// The slot before this one on its list.
    #[inline]
    pub fn prev(&self, slot: Slot) -> Option<Slot> {
        some(self.links[slot as usize].prev)
    }

    /// The list's slots from front to back.
    pub fn iter(&self, list: &List) -> impl Iterator<Item = Slot> + '_ {
        std::iter::successors(list.front(), |&slot| self.next(slot))
    }

    /// Forgets all links and frees their memory; the lists over them must be emptied as well.
    pub fn clear(&mut self) {
        self.links = Vec::new();
    }

    /// Panics unless the list is linked alike in both directions and has the length it claims.
    pub fn validate(&self, list: &List) {
        let mut prev = None;
        let mut len = 0;
        for slot in self.iter(list) {
            assert_eq!(self.prev(slot), prev, "slot {slot} does not know its predecessor");
            prev = Some(slot);
            len += 1;
            assert!(len <= list.len, "the list is longer than it claims, or a circle");
        }
        assert_eq!(list.back(), prev, "the tail is not the last slot");
        assert_eq!(list.len, len, "the list is shorter than it claims");
    }

    #[inline]
    fn grow(&mut self, slot: Slot) {
        if slot as usize >= self.links.len() {
            self.links.resize(slot as usize + 1, Link { prev: NIL, next: NIL });
        }
    }
}

#[inline]
fn some(slot: Slot) -> Option<Slot> {
    (slot != NIL).then_some(slot)
}
