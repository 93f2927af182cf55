//! W-TinyLFU whose window is sized by ghosts.
//!
//! Newcomers wait in a *window*, an LRU list. Who has to leave it meets the coldest entry of the
//! *main* part, and whichever a [`FrequencySketch`] has seen more often stays. Main is a
//! segmented LRU: entries used again move from *probation* to *protected*, which holds at most
//! four fifths of main. (Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache
//! Admission Policy", ACM Transactions on Storage, 2017.)
//!
//! How much of the cache should be window depends on the workload and changes with it. Einziger,
//! Eytan, Friedman and Manes ("Adaptive Software Cache Management", Middleware 2018) climb the
//! hit ratio, which is slow and noisy in small caches. Here, as in ARC, each part has ghosts, the
//! hashes of what it gave up last. A newcomer among the ghosts of the window would have been a
//! hit had the window been larger, so the window grows; one among those of main makes it shrink.
//! The ghosts of both parts are equally many, so the two rates are what a further slot would earn
//! on either side, and the window comes to rest where they are equal.
//!
//! A newcomer skips the window when the window gave it up too early before, or when it already is
//! more popular than the coldest entry of main. Now and then a warm candidate is admitted without
//! being the warmer one, so that nobody keeps others out by colliding with them in the sketch.

use super::queues::Queues;
use super::{Policy, spread};
use crate::Slot;
use crate::ghost::Ghost;
use crate::sketch::FrequencySketch;

const WINDOW: usize = 0;
const PROBATION: usize = 1;
const PROTECTED: usize = 2;
/// What protected entries may take of main, in percent.
const PROTECTED_PERCENT: usize = 80;
/// Each part has one ghost for so many entries of the cache.
const ENTRIES_PER_GHOST: usize = 10;
/// How many surplus entries a shrinking window gives to main at each eviction.
const SURPLUS: usize = 2;
/// The frequency from which a candidate may be lucky, and how seldom it is.
const WARM: u8 = 6;
const LUCK: u64 = 128;

/// Admission by frequency, behind a window that adapts.
#[derive(Clone, Debug)]
pub struct TinyLfu {
    queues: Queues<3>,
    sketch: FrequencySketch,
    /// What left from the window, and what left from main.
    window_ghost: Ghost,
    main_ghost: Ghost,
    split: Split,
    duel: Option<Duel>,
    /// Whether an entry was evicted since the last insert.
    made_room: bool,
    luck: u64,
    capacity_hint: usize,
}

/// Who leaves next and who, if anybody, moves from the window to main in its stead.
#[derive(Clone, Copy, Debug)]
struct Duel {
    loser: Slot,
    winner: Option<Slot>,
}

impl TinyLfu {
    /// An empty cache that is expected to hold so many entries; zero when nobody knows.
    pub fn new(capacity_hint: usize) -> Self {
        Self {
            queues: Queues::new(),
            sketch: FrequencySketch::new(capacity_hint),
            window_ghost: Ghost::new(),
            main_ghost: Ghost::new(),
            split: Split::new(),
            duel: None,
            made_room: false,
            luck: 1,
            capacity_hint,
        }
    }

    fn coldest_of_main(&self) -> Option<Slot> {
        self.queues.front(PROBATION).or(self.queues.front(PROTECTED))
    }

    fn frequency(&self, slot: Slot) -> u8 {
        self.sketch.frequency(self.queues.hash(slot))
    }

    /// Where a newcomer goes; a ghost that returns votes on the size of the window.
    fn admit(&mut self, hash: u32) -> usize {
        let left_window = self.window_ghost.remove(hash);
        let left_main = self.main_ghost.remove(hash);
        if left_window || left_main {
            self.split.vote(left_window, self.queues.total());
        }
        let coldest = self.coldest_of_main();
        let frequency = self.sketch.frequency(hash);
        let popular = coldest.is_some_and(|coldest| frequency > self.frequency(coldest));
        if left_window || popular { PROBATION } else { WINDOW }
    }

    /// Moves the oldest window entries to main while the window is larger than `limit`.
    fn spill(&mut self, limit: usize, most: usize) {
        let surplus = self.queues.len(WINDOW).saturating_sub(limit);
        for _ in 0..surplus.min(most) {
            self.queues.shift(WINDOW, PROBATION);
        }
    }

    /// Decides who leaves: the window's candidate, or main's coldest entry for its sake.
    fn fight(&mut self) -> Option<Duel> {
        let target = self.split.window(self.queues.total());
        self.spill(target + 1, SURPLUS);
        let candidate = self.queues.front(WINDOW);
        let Some(coldest) = self.coldest_of_main() else {
            return candidate.map(|loser| Duel { loser, winner: None });
        };
        let full = self.queues.len(WINDOW) >= target;
        Some(match candidate.filter(|_| full) {
            Some(winner) if self.wins(winner, coldest) => {
                Duel { loser: coldest, winner: Some(winner) }
            }
            Some(loser) => Duel { loser, winner: None },
            None => Duel { loser: coldest, winner: None },
        })
    }

    fn wins(&mut self, candidate: Slot, coldest: Slot) -> bool {
        let frequency = self.frequency(candidate);
        frequency > self.frequency(coldest) || frequency >= WARM && self.is_lucky()
    }

    /// One draw of Marsaglia's xorshift64.
    fn is_lucky(&mut self) -> bool {
        self.luck ^= self.luck << 13;
        self.luck ^= self.luck >> 7;
        self.luck ^= self.luck << 17;
        self.luck.is_multiple_of(LUCK)
    }
}

impl Policy for TinyLfu {
    /// Counts the newcomer; lookups that find nothing and store nothing are not counted.
    fn insert(&mut self, slot: Slot, hash: u64) {
        let hash = spread(hash);
        self.sketch.fit(self.queues.total() + 1);
        self.sketch.increment(hash);
        let queue = self.admit(hash);
        self.queues.push(queue, slot, hash);
        if !std::mem::take(&mut self.made_room) {
            let target = self.split.window(self.queues.total());
            self.spill(target, usize::MAX);
        }
        self.duel = None;
    }

    fn hit(&mut self, slot: Slot) {
        self.sketch.increment(self.queues.hash(slot));
        self.duel = None;
        if self.queues.queue(slot) == WINDOW {
            return self.queues.move_to(WINDOW, slot);
        }
        self.queues.move_to(PROTECTED, slot);
        let main = self.queues.len(PROBATION) + self.queues.len(PROTECTED);
        if self.queues.len(PROTECTED) * 100 > main * PROTECTED_PERCENT {
            self.queues.shift(PROTECTED, PROBATION);
        }
    }

    fn write(&mut self, slot: Slot) {
        self.hit(slot);
    }

    fn victim(&mut self) -> Option<Slot> {
        self.duel = self.duel.or_else(|| self.fight());
        self.duel.map(|duel| duel.loser)
    }

    fn remove(&mut self, slot: Slot) {
        self.queues.unlink(slot);
        self.duel = None;
    }

    fn evict(&mut self, slot: Slot) {
        let limit = self.queues.total().div_ceil(ENTRIES_PER_GHOST);
        let from_window = self.queues.queue(slot) == WINDOW;
        let ghost = if from_window { &mut self.window_ghost } else { &mut self.main_ghost };
        ghost.insert(self.queues.hash(slot), limit);
        let winner = self.duel.filter(|duel| duel.loser == slot).and_then(|duel| duel.winner);
        self.remove(slot);
        if let Some(winner) = winner {
            self.queues.move_to(PROBATION, winner);
        }
        self.made_room = true;
    }

    fn clear(&mut self) {
        *self = Self::new(self.capacity_hint);
    }

    fn validate(&self, resident: &[Slot]) {
        self.queues.validate(resident);
        self.window_ghost.validate();
        self.main_ghost.validate();
        self.split.validate();
        if let Some(Duel { loser, winner }) = self.duel {
            assert!(resident.contains(&loser), "the loser is gone");
            let waits = |slot| resident.contains(&slot) && self.queues.queue(slot) == WINDOW;
            assert!(winner.is_none_or(waits), "the winner is not in the window");
        }
    }
}

/// How much of the cache is window.
#[derive(Clone, Copy, Debug)]
struct Split {
    share: f64,
    /// How united the last votes were: one when all were for a larger window, minus one when
    /// all were for a smaller one.
    trend: f64,
}

impl Split {
    const INITIAL_SHARE: f64 = 0.01;
    const LARGEST_SHARE: f64 = 0.9;
    /// How many votes the trend remembers.
    const MEMORY: f64 = 32.0;
    /// A vote moves the share by one in the root of so many times the entries. The number of
    /// votes in one turnover of the cache goes with its size, so their noise is the same in all.
    const INERTIA: f64 = 2000.0;
    /// How much farther a vote moves the share when the last votes were unanimous.
    const HASTE: f64 = 8.0;

    fn new() -> Self {
        Self { share: Self::INITIAL_SHARE, trend: 0.0 }
    }

    /// How many of so many entries belong in the window.
    fn window(&self, entries: usize) -> usize {
        ((self.share * entries as f64) as usize).max(1)
    }

    /// Moves the share a step, the farther the more the last votes agreed with this one.
    fn vote(&mut self, larger: bool, entries: usize) {
        let entries = entries.max(1) as f64;
        let vote = if larger { 1.0 } else { -1.0 };
        self.trend += (vote - self.trend) / Self::MEMORY;
        let agreement = (self.trend * vote).max(0.0);
        let step = (1.0 + Self::HASTE * agreement) / (Self::INERTIA * entries).sqrt();
        self.share =
            (self.share + vote * step).clamp(1.0 / entries, Self::LARGEST_SHARE.max(1.0 / entries));
    }

    fn validate(&self) {
        assert!(self.share > 0.0 && self.share <= 1.0, "the window takes {}", self.share);
        assert!(self.trend.abs() <= 1.0, "the votes come to {}", self.trend);
    }
}
