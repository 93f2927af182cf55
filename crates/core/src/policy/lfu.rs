//! Least frequently used.

use super::{Policy, put, validate_same};
use crate::Slot;
use crate::links::{Links, List};
use crate::slab::Slab;

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
