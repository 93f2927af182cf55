//! Least frequently used.

use super::{Policy, validate_same};
use crate::Slot;
use crate::links::{Links, List};
use crate::slab::{Slab, put};

/// Evicts what was read and written least often; of those, what came to its count first.
///
/// Entries of one count share a bucket and the buckets are linked by ascending count, so every
/// operation takes constant time.
#[derive(Clone, Debug, Default)]
pub struct Lfu {
    /// Neighbors of the slots within their buckets.
    links: Links,
    /// The bucket of each slot.
    homes: Vec<Slot>,
    buckets: Slab<Bucket>,
    /// Neighbors of the buckets.
    bucket_links: Links,
    bucket_order: List,
}

/// The entries used equally often, the one that has been so for longest in front.
#[derive(Clone, Debug)]
struct Bucket {
    count: u64,
    members: List,
}

impl Lfu {
    /// An empty order.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often the entry was used.
    pub fn count(&self, slot: Slot) -> u64 {
        self.buckets[self.homes[slot as usize]].count
    }

    /// Takes in an entry that was used so often before; quick when counts come in ascending order.
    pub fn insert_used(&mut self, slot: Slot, count: u64) {
        let mut after = self.bucket_order.back();
        while let Some(bucket) = after.filter(|&bucket| self.buckets[bucket].count > count) {
            after = self.bucket_links.prev(bucket);
        }
        let home = match after.filter(|&bucket| self.buckets[bucket].count == count) {
            Some(bucket) => bucket,
            None => self.open(count, after),
        };
        self.join(slot, home);
    }

    fn touch(&mut self, slot: Slot) {
        let home = self.homes[slot as usize];
        let count = self.buckets[home].count + 1;
        let next = self.bucket_links.next(home);
        if let Some(next) = next.filter(|&next| self.buckets[next].count == count) {
            self.leave(slot);
            self.join(slot, next);
        } else if self.buckets[home].members.len() == 1 {
            self.buckets[home].count = count;
        } else {
            let next = self.open(count, Some(home));
            self.leave(slot);
            self.join(slot, next);
        }
    }

    fn join(&mut self, slot: Slot, home: Slot) {
        self.links.push_back(&mut self.buckets[home].members, slot);
        put(&mut self.homes, slot, home);
    }

    /// Takes a slot out of its bucket and closes the bucket if that was the last.
    fn leave(&mut self, slot: Slot) {
        let home = self.homes[slot as usize];
        let members = &mut self.buckets[home].members;
        self.links.unlink(members, slot);
        if members.is_empty() {
            self.bucket_links.unlink(&mut self.bucket_order, home);
            self.buckets.remove(home);
        }
    }

    /// Adds an empty bucket after another one, or in front of all.
    fn open(&mut self, count: u64, after: Option<Slot>) -> Slot {
        let bucket = self.buckets.insert(Bucket { count, members: List::new() });
        self.bucket_links.insert_after(&mut self.bucket_order, after, bucket);
        bucket
    }
}

impl Policy for Lfu {
    fn insert(&mut self, slot: Slot, _hash: u64) {
        let first = self.bucket_order.front();
        let home = match first.filter(|&bucket| self.buckets[bucket].count == 1) {
            Some(bucket) => bucket,
            None => self.open(1, None),
        };
        self.join(slot, home);
    }

    fn hit(&mut self, slot: Slot) {
        self.touch(slot);
    }

    fn write(&mut self, slot: Slot) {
        self.touch(slot);
    }

    fn victim(&mut self) -> Option<Slot> {
        let bucket = self.bucket_order.front()?;
        self.buckets[bucket].members.front()
    }

    fn remove(&mut self, slot: Slot) {
        self.leave(slot);
    }

    fn clear(&mut self) {
        *self = Self::new();
    }

    fn validate(&self, resident: &[Slot]) {
        self.bucket_links.validate(&self.bucket_order);
        let mut slots = Vec::new();
        let mut last = 0;
        for home in self.bucket_links.iter(&self.bucket_order) {
            let Bucket { count, members } = &self.buckets[home];
            assert!(*count > last, "the buckets are out of order");
            assert!(!members.is_empty(), "an empty bucket is open");
            last = *count;
            self.links.validate(members);
            for slot in self.links.iter(members) {
                assert_eq!(self.homes[slot as usize], home, "slot {slot} is elsewhere");
                slots.push(slot);
            }
        }
        assert_eq!(self.buckets.len(), self.bucket_order.len(), "a bucket is lost");
        validate_same(slots.into_iter(), resident);
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{agree, hold, steps};
    use super::*;
    use proptest::prelude::*;

    /// Slots with their counts and the time when they came to them.
    #[derive(Default)]
    struct Counts {
        entries: Vec<(Slot, u64, u64)>,
        time: u64,
    }

    impl Policy for Counts {
        fn insert(&mut self, slot: Slot, _hash: u64) {
            self.time += 1;
            self.entries.push((slot, 1, self.time));
        }

        fn hit(&mut self, slot: Slot) {
            self.time += 1;
            for entry in self.entries.iter_mut().filter(|entry| entry.0 == slot) {
                *entry = (slot, entry.1 + 1, self.time);
            }
        }

        fn write(&mut self, slot: Slot) {
            self.hit(slot);
        }

        fn victim(&mut self) -> Option<Slot> {
            let victim = self.entries.iter().min_by_key(|&&(_, count, time)| (count, time));
            victim.map(|&(slot, ..)| slot)
        }

        fn remove(&mut self, slot: Slot) {
            self.entries.retain(|entry| entry.0 != slot);
        }

        fn clear(&mut self) {
            self.entries.clear();
        }

        fn validate(&self, _resident: &[Slot]) {}
    }

    #[test]
    fn of_equal_counts_the_longest_there_goes_first() {
        let mut policy = Lfu::new();
        for slot in 0..3 {
            policy.insert(slot, 0);
        }
        policy.hit(0);
        policy.hit(1);
        policy.hit(2);
        policy.hit(0);
        assert_eq!(policy.count(0), 3);
        assert_eq!(policy.victim(), Some(1));
    }

    #[test]
    fn takes_in_used_entries_in_any_order() {
        let mut policy = Lfu::new();
        for (slot, count) in [5, 2, 9, 2, 5].into_iter().enumerate() {
            policy.insert_used(slot as Slot, count);
        }
        policy.validate(&[0, 1, 2, 3, 4]);
        let mut order = Vec::new();
        while let Some(slot) = policy.victim() {
            order.push((slot, policy.count(slot)));
            policy.evict(slot);
        }
        assert_eq!(order, [(1, 2), (3, 2), (0, 5), (4, 5), (2, 9)]);
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(steps in steps()) {
            agree(&steps, Lfu::new(), Counts::default());
        }

        #[test]
        fn holds_its_invariants(steps in steps()) {
            hold(&steps, Lfu::new());
        }
    }
}
