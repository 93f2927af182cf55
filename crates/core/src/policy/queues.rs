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
    /// By slot, its weight less one; those past the end weigh one.
    excess: Vec<f64>,
    /// The sum of these for each queue.
    surplus: [f64; N],
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    queue: u8,
}

impl<const N: usize> Queues<N> {
    pub(super) fn new() -> Self {
        Self {
            links: Links::new(),
            queues: [const { List::new() }; N],
            places: Vec::new(),
            excess: Vec::new(),
            surplus: [0.0; N],
        }
    }

    /// How many slots are on all queues.
    pub(super) fn total(&self) -> usize {
        self.queues.iter().map(List::len).sum()
    }

    #[inline]
    pub(super) fn len(&self, queue: usize) -> usize {
        self.queues[queue].len()
    }

    /// What the slots of a queue weigh together.
    #[inline]
    pub(super) fn size(&self, queue: usize) -> f64 {
        self.len(queue) as f64 + self.surplus[queue]
    }

    /// What a slot on one of the queues weighs.
    #[inline]
    pub(super) fn weight(&self, slot: Slot) -> f64 {
        1.0 + self.excess(slot)
    }

    /// Gives a slot on one of the queues its weight, which was one when it was pushed.
    pub(super) fn weigh(&mut self, slot: Slot, weight: f64) {
        let excess = weight - 1.0;
        self.surplus[self.queue(slot)] += excess - self.excess(slot);
        if self.excess.len() < self.places.len() {
            self.excess.resize(self.places.len(), 0.0);
        }
        self.excess[slot as usize] = excess;
    }

    #[inline]
    fn excess(&self, slot: Slot) -> f64 {
        self.excess.get(slot as usize).copied().unwrap_or(0.0)
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
        self.move_after(queue, self.queues[queue].back(), slot);
    }

    /// Makes a slot the first of another queue.
    pub(super) fn move_to_front(&mut self, queue: usize, slot: Slot) {
        self.move_after(queue, None, slot);
    }

    #[inline]
    fn move_after(&mut self, queue: usize, at: Option<Slot>, slot: Slot) {
        self.detach(slot);
        self.links.insert_after(&mut self.queues[queue], at, slot);
        self.surplus[queue] += self.excess(slot);
        self.places[slot as usize].queue = queue as u8;
    }

    /// Makes the first slot of one queue the last of another.
    #[inline]
    pub(super) fn shift(&mut self, from: usize, to: usize) {
        if let Some(slot) = self.front(from) {
            self.move_to(to, slot);
        }
    }

    /// Takes a slot off its queue and forgets its weight.
    #[inline]
    pub(super) fn unlink(&mut self, slot: Slot) {
        self.detach(slot);
        if let Some(excess) = self.excess.get_mut(slot as usize) {
            *excess = 0.0;
        }
    }

    #[inline]
    fn detach(&mut self, slot: Slot) {
        let queue = self.queue(slot);
        self.links.unlink(&mut self.queues[queue], slot);
        let left = self.surplus[queue] - self.excess(slot);
        // Rounding errors do not outlive the entries that they come from.
        self.surplus[queue] = if self.len(queue) == 0 { 0.0 } else { left };
    }

    /// Panics unless the queues are sound and hold exactly these slots.
    pub(super) fn validate(&self, resident: &[Slot]) {
        for (number, queue) in self.queues.iter().enumerate() {
            self.links.validate(queue);
            for slot in self.links.iter(queue) {
                assert_eq!(self.queue(slot), number, "slot {slot} is on another queue");
            }
            let size: f64 = self.links.iter(queue).map(|slot| self.weight(slot)).sum();
            let error = (size - self.size(number)).abs();
            assert!(error <= 1e-6 * size.max(1.0), "queue {number} weighs {size}");
        }
        let slots = self.queues.iter().flat_map(|queue| self.links.iter(queue));
        validate_same(slots, resident);
    }
}
