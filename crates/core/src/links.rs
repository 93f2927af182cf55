//! Doubly linked lists over slot numbers.
//!
//! [`Links`] holds the neighbors of every slot and [`List`] the two ends of one list, so that
//! several lists share one vector of links as long as a slot is on at most one of them.

use crate::Slot;
use crate::slab::put;

/// The slot number that stands for "none"; a store never hands it out.
const NIL: Slot = Slot::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    prev: Slot,
    next: Slot,
}

/// The ends and the length of one list; its inner links are in a [`Links`].
#[derive(Clone, Debug)]
pub(crate) struct List {
    head: Slot,
    tail: Slot,
    len: usize,
}

impl List {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self { head: NIL, tail: NIL, len: 0 }
    }

    /// How many slots are on it.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether no slot is on it.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its first slot.
    #[inline]
    pub(crate) fn front(&self) -> Option<Slot> {
        some(self.head)
    }

    /// Its last slot.
    #[inline]
    pub(crate) fn back(&self) -> Option<Slot> {
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
pub(crate) struct Links {
    links: Vec<Link>,
}

impl Links {
    /// No slots yet; the vector grows with the highest slot pushed.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends a slot that is on no list.
    #[inline]
    pub(crate) fn push_back(&mut self, list: &mut List, slot: Slot) {
        put(&mut self.links, slot, Link { prev: list.tail, next: NIL });
        match list.tail {
            NIL => list.head = slot,
            tail => self.links[tail as usize].next = slot,
        }
        list.tail = slot;
        list.len += 1;
    }

    /// Puts a slot that is on no list after one that is on this list, or first.
    pub(crate) fn insert_after(&mut self, list: &mut List, at: Option<Slot>, slot: Slot) {
        let next = at.map_or(list.head, |at| self.links[at as usize].next);
        if next == NIL {
            return self.push_back(list, slot);
        }
        put(&mut self.links, slot, Link { prev: at.unwrap_or(NIL), next });
        self.links[next as usize].prev = slot;
        match at {
            None => list.head = slot,
            Some(at) => self.links[at as usize].next = slot,
        }
        list.len += 1;
    }

    /// Takes a slot off the list that it is on.
    #[inline]
    pub(crate) fn unlink(&mut self, list: &mut List, slot: Slot) {
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
    pub(crate) fn move_to_back(&mut self, list: &mut List, slot: Slot) {
        let Link { prev, next } = self.links[slot as usize];
        if next == NIL {
            return;
        }
        match prev {
            NIL => list.head = next,
            prev => self.links[prev as usize].next = next,
        }
        self.links[next as usize].prev = prev;
        self.links[list.tail as usize].next = slot;
        self.links[slot as usize] = Link { prev: list.tail, next: NIL };
        list.tail = slot;
    }

    /// The slot after this one on its list.
    #[inline]
    pub(crate) fn next(&self, slot: Slot) -> Option<Slot> {
        some(self.links[slot as usize].next)
    }

    /// The slot before this one on its list.
    #[inline]
    pub(crate) fn prev(&self, slot: Slot) -> Option<Slot> {
        some(self.links[slot as usize].prev)
    }

    /// The list's slots from front to back.
    pub(crate) fn iter(&self, list: &List) -> impl Iterator<Item = Slot> + '_ {
        std::iter::successors(list.front(), |&slot| self.next(slot))
    }

    /// Panics unless the list is linked alike in both directions and has the length it claims.
    pub(crate) fn validate(&self, list: &List) {
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
}

#[inline]
fn some(slot: Slot) -> Option<Slot> {
    (slot != NIL).then_some(slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two lists over the same slots.
    #[derive(Clone, Debug)]
    enum Step {
        Push(usize, Slot),
        InsertAfter(Slot, Slot),
        InsertFirst(usize, Slot),
        Unlink(Slot),
        MoveToBack(Slot),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..2usize, 0..20u32).prop_map(|(list, slot)| Step::Push(list, slot)),
            (0..20u32, 0..20u32).prop_map(|(at, slot)| Step::InsertAfter(at, slot)),
            (0..2usize, 0..20u32).prop_map(|(list, slot)| Step::InsertFirst(list, slot)),
            (0..20u32).prop_map(Step::Unlink),
            (0..20u32).prop_map(Step::MoveToBack),
        ]
    }

    fn home(model: &[Vec<Slot>; 2], slot: Slot) -> Option<(usize, usize)> {
        let place = |list: usize| model[list].iter().position(|&other| other == slot);
        (0..2).find_map(|list| place(list).map(|at| (list, at)))
    }

    fn take(step: Step, links: &mut Links, lists: &mut [List; 2], model: &mut [Vec<Slot>; 2]) {
        match step {
            Step::Push(list, slot) if home(model, slot).is_none() => {
                links.push_back(&mut lists[list], slot);
                model[list].push(slot);
            }
            Step::InsertFirst(list, slot) if home(model, slot).is_none() => {
                links.insert_after(&mut lists[list], None, slot);
                model[list].insert(0, slot);
            }
            Step::InsertAfter(at, slot) if home(model, slot).is_none() => {
                let Some((list, place)) = home(model, at) else { return };
                links.insert_after(&mut lists[list], Some(at), slot);
                model[list].insert(place + 1, slot);
            }
            Step::Unlink(slot) => {
                let Some((list, place)) = home(model, slot) else { return };
                links.unlink(&mut lists[list], slot);
                model[list].remove(place);
            }
            Step::MoveToBack(slot) => {
                let Some((list, place)) = home(model, slot) else { return };
                links.move_to_back(&mut lists[list], slot);
                model[list].remove(place);
                model[list].push(slot);
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn agrees_with_vectors(steps in prop::collection::vec(step(), 0..200)) {
            let mut links = Links::new();
            let mut lists = [List::new(), List::new()];
            let mut model = [Vec::new(), Vec::new()];
            for step in steps {
                take(step, &mut links, &mut lists, &mut model);
                for (list, slots) in lists.iter().zip(&model) {
                    links.validate(list);
                    prop_assert!(links.iter(list).eq(slots.iter().copied()));
                    prop_assert_eq!(list.len(), slots.len());
                    prop_assert_eq!(list.is_empty(), slots.is_empty());
                    prop_assert_eq!(list.back(), slots.last().copied());
                }
            }
        }
    }
}
