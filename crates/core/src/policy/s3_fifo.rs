//! S3-FIFO: a small queue for newcomers, a main queue, and ghosts.
//!
//! After Yang et al., "FIFO Queues are All You Need for Cache Eviction" (SOSP 2023).

use super::queues::Queues;
use super::{Policy, put, spread};
use crate::Slot;
use crate::ghost::Ghost;

const SMALL: usize = 0;
const MAIN: usize = 1;
/// The small queue gives entries up while it holds more than one of so many.
const SMALL_SHARE: usize = 10;
/// The number of uses at which counting stops.
const MAX_USES: u8 = 3;

/// Evicts newcomers that were not used again, and older entries that no longer are.
#[derive(Clone, Debug)]
pub struct S3Fifo {
    queues: Queues<2>,
    /// How often each slot was used since it came or was spared.
    uses: Vec<u8>,
    /// What left the small queue, as much as the cache holds.
    ghost: Ghost,
    victim: Option<Slot>,
}

impl S3Fifo {
    /// Empty queues.
    pub fn new() -> Self {
        Self { queues: Queues::new(), uses: Vec::new(), ghost: Ghost::new(), victim: None }
    }

    /// The front of the queue that has to give something up.
    fn candidate(&self) -> Option<Slot> {
        let surplus = self.queues.len(SMALL) > self.queues.total() / SMALL_SHARE;
        let queue = if surplus || self.queues.len(MAIN) == 0 { SMALL } else { MAIN };
        self.queues.front(queue)
    }

    /// Gives the candidate another round in main if it has earned one.
    fn spare(&mut self, slot: Slot) -> bool {
        let uses = &mut self.uses[slot as usize];
        *uses = match self.queues.queue(slot) {
            MAIN if *uses > 0 => *uses - 1,
            SMALL if *uses > 1 => 0,
            _ => return false,
        };
        self.queues.move_to(MAIN, slot);
        true
    }
}

impl Default for S3Fifo {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for S3Fifo {
    fn insert(&mut self, slot: Slot, hash: u64) {
        let hash = spread(hash);
        let queue = if self.ghost.remove(hash) { MAIN } else { SMALL };
        self.queues.push(queue, slot, hash);
        put(&mut self.uses, slot, 0);
    }

    fn hit(&mut self, slot: Slot) {
        let uses = &mut self.uses[slot as usize];
        *uses = (*uses + 1).min(MAX_USES);
        self.victim = None;
    }

    fn write(&mut self, slot: Slot) {
        self.hit(slot);
    }

    fn victim(&mut self) -> Option<Slot> {
        while self.victim.is_none() {
            let slot = self.candidate()?;
            if !self.spare(slot) {
                self.victim = Some(slot);
            }
        }
        self.victim
    }

    fn remove(&mut self, slot: Slot) {
        self.queues.unlink(slot);
        self.victim = None;
    }

    fn evict(&mut self, slot: Slot) {
        if self.queues.queue(slot) == SMALL {
            self.ghost.insert(self.queues.hash(slot), self.queues.total());
        }
        self.remove(slot);
    }

    fn clear(&mut self) {
        *self = Self::new();
    }

    fn validate(&self, resident: &[Slot]) {
        self.queues.validate(resident);
        self.ghost.validate();
        assert!(self.victim.is_none_or(|victim| resident.contains(&victim)), "the victim is gone");
    }
}
