//! S3-FIFO: a small queue for newcomers, a main queue, and ghosts.
//!
//! After Yang et al., "FIFO Queues are All You Need for Cache Eviction" (SOSP 2023).

use super::queues::Queues;
use super::{Policy, spread};
use crate::Slot;
use crate::ghost::Ghost;
use crate::slab::put;

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
        let queue = if self.ghost.remove(hash).is_some() { MAIN } else { SMALL };
        self.queues.push(queue, slot, hash);
        put(&mut self.uses, slot, 0);
        self.victim = None;
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

#[cfg(test)]
mod tests {
    use super::super::model::{agree, steps};
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// The three queues as such, with the uses and the hash of each entry.
    #[derive(Default)]
    struct Model {
        small: VecDeque<(Slot, u64, u8)>,
        main: VecDeque<(Slot, u64, u8)>,
        /// Hashes in order of arrival; `None` where a ghost came back or left again later.
        ghost: VecDeque<Option<u64>>,
    }

    impl Model {
        fn total(&self) -> usize {
            self.small.len() + self.main.len()
        }

        fn lay_ghost(&mut self, hash: u64) -> bool {
            let ghost = self.ghost.iter_mut().find(|ghost| **ghost == Some(hash));
            ghost.and_then(Option::take).is_some()
        }
    }

    impl Policy for Model {
        fn insert(&mut self, slot: Slot, hash: u64) {
            let queue = if self.lay_ghost(hash) { &mut self.main } else { &mut self.small };
            queue.push_back((slot, hash, 0));
        }

        fn hit(&mut self, slot: Slot) {
            for entry in self.small.iter_mut().chain(&mut self.main) {
                entry.2 = (entry.2 + u8::from(entry.0 == slot)).min(MAX_USES);
            }
        }

        fn write(&mut self, slot: Slot) {
            self.hit(slot);
        }

        fn victim(&mut self) -> Option<Slot> {
            loop {
                if self.small.len() > self.total() / SMALL_SHARE || self.main.is_empty() {
                    let &(slot, hash, uses) = self.small.front()?;
                    if uses < 2 {
                        return Some(slot);
                    }
                    self.small.pop_front();
                    self.main.push_back((slot, hash, 0));
                } else {
                    let &(slot, hash, uses) = self.main.front()?;
                    if uses == 0 {
                        return Some(slot);
                    }
                    self.main.pop_front();
                    self.main.push_back((slot, hash, uses - 1));
                }
            }
        }

        fn remove(&mut self, slot: Slot) {
            self.small.retain(|entry| entry.0 != slot);
            self.main.retain(|entry| entry.0 != slot);
        }

        fn evict(&mut self, slot: Slot) {
            if let Some(&(_, hash, _)) = self.small.iter().find(|entry| entry.0 == slot) {
                self.lay_ghost(hash);
                self.ghost.push_back(Some(hash));
                while self.ghost.len() > self.total() {
                    self.ghost.pop_front();
                }
            }
            self.remove(slot);
        }

        fn clear(&mut self) {
            *self = Self::default();
        }

        fn validate(&self, _resident: &[Slot]) {}
    }

    #[test]
    fn a_ghost_that_returns_goes_to_main() {
        let mut policy = S3Fifo::new();
        policy.insert(0, 10);
        policy.insert(1, 11);
        policy.evict(0);
        policy.insert(0, 10);
        assert_eq!(policy.queues.queue(0), MAIN);
        assert_eq!(policy.victim(), Some(1));
    }

    #[test]
    fn used_newcomers_move_to_main_and_unused_ones_leave() {
        let mut policy = S3Fifo::new();
        for slot in 0..3 {
            policy.insert(slot, u64::from(slot));
        }
        policy.hit(0);
        policy.hit(0);
        assert_eq!(policy.victim(), Some(1));
        assert_eq!(policy.queues.queue(0), MAIN);
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(steps in steps()) {
            agree(&steps, S3Fifo::new(), Model::default());
        }
    }
}
