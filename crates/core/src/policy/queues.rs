//! Several queues over the same slots, each slot on one of them.

use super::validate_same;
use crate::Slot;
use crate::links::{Links, List};
use crate::slab::put;

/// `N` queues, numbered from zero, which know the hash of each slot's key.
#[derive(Clone, Debug)]
pub(super) struct Queues<const N: usize> {
    links: Links,
    queues: [List; N],
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    queue: u8,
}

impl<const N: usize> Queues<N> {
    pub(super) fn new() -> Self {
        Self { links: Links::new(), queues: [const { List::new() }; N], places: Vec::new() }
    }

    /// How many slots are on all queues.
    pub(super) fn total(&self) -> usize {
        self.queues.iter().map(List::len).sum()
    }

    #[inline]
    pub(super) fn len(&self, queue: usize) -> usize {
        self.queues[queue].len()
    }

    #[inline]
    pub(super) fn front(&self, queue: usize) -> Option<Slot> {
        self.queues[queue].front()
    }

    /// The slots of a queue from front to back.
    pub(super) fn iter(&self, queue: usize) -> impl Iterator<Item = Slot> + '_ {
        self.links.iter(&self.queues[queue])
    }

    #[inline]
    pub(super) fn hash(&self, slot: Slot) -> u32 {
        self.places[slot as usize].hash
    }

    /// The queue that the slot is on.
    #[inline]
    pub(super) fn queue(&self, slot: Slot) -> usize {
        usize::from(self.places[slot as usize].queue)
    }

    /// Appends a slot that is on none of the queues.
    pub(super) fn push(&mut self, queue: usize, slot: Slot, hash: u32) {
        put(&mut self.places, slot, Place { hash, queue: queue as u8 });
        self.links.push_back(&mut self.queues[queue], slot);
    }

    /// Makes a slot the last of its own or another queue.
    #[inline]
    pub(super) fn move_to(&mut self, queue: usize, slot: Slot) {
        if self.queue(slot) == queue {
            return self.links.move_to_back(&mut self.queues[queue], slot);
        }
        self.unlink(slot);
        self.links.push_back(&mut self.queues[queue], slot);
        self.places[slot as usize].queue = queue as u8;
    }

    /// Makes the first slot of one queue the last of another.
    #[inline]
    pub(super) fn shift(&mut self, from: usize, to: usize) {
        if let Some(slot) = self.front(from) {
            self.move_to(to, slot);
        }
    }

    #[inline]
    pub(super) fn unlink(&mut self, slot: Slot) {
        let queue = self.queue(slot);
        self.links.unlink(&mut self.queues[queue], slot);
    }

    /// Panics unless the queues are sound and hold exactly these slots.
    pub(super) fn validate(&self, resident: &[Slot]) {
        for (number, queue) in self.queues.iter().enumerate() {
            self.links.validate(queue);
            for slot in self.links.iter(queue) {
                assert_eq!(self.queue(slot), number, "slot {slot} is on another queue");
            }
        }
        let slots = self.queues.iter().flat_map(|queue| self.links.iter(queue));
        validate_same(slots, resident);
    }
}
