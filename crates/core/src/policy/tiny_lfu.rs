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
//! A few slots more or less tell nothing where only a far larger window would help: for a loop that
//! fits the cache and not the window, or newcomers that return late. So the window has *distant* ghosts
//! as well, those that a window of half the cache more would have kept, whose votes weigh a tenth.
//! Without them the cache can stay several points below LRU; with more of them, or heavier ones, it
//! stays closer to LRU where it could leave it behind.
//!
//! Where entries weigh differently, window and protected are limited by weight, and a candidate
//! that is heavier than the entry it would replace has to be as much more popular: its place costs
//! several such entries. (Einziger, Eytan, Friedman and Manes, "Lightweight Robust Size Aware Cache
//! Management", ACM Transactions on Storage, 2022, compare with the sum of all of them.)
//!
//! A newcomer skips the window when the window gave it up too early before, or when it already is
//! more popular than the coldest entry of main; but not while the window is most of the cache, where
//! it lives longer. Now and then a warm candidate is admitted without
//! being the warmer one, so that nobody keeps others out by colliding with them in the sketch.

use super::queues::Queues;
use super::split::Split;
use super::{Policy, spread};
use crate::Slot;
use crate::ghost::Ghost;
use crate::sketch::FrequencySketch;

const WINDOW: usize = 0;
const PROBATION: usize = 1;
const PROTECTED: usize = 2;
/// What protected entries may take of main, in percent.
const PROTECTED_PERCENT: f64 = 80.0;
/// How many of the oldest entries of main are compared to find the coldest.
const COMPARED: usize = 3;
/// Each part has one ghost for so many entries of the cache.
const ENTRIES_PER_GHOST: usize = 10;
/// The distant ghosts of the window, as a share of what is not window, and what their votes weigh.
const DISTANT: f64 = 0.5;
const DISTANT_VOTE: f64 = 0.1;
/// How many ghosts each part has at least: fewer hardly ever vote.
const FEWEST_GHOSTS: usize = 5;
/// The share of the window from which main is too small to be the better place for a newcomer.
const MAJORITY: f64 = 0.5;
/// How many entries too many a shrinking window gives to main at each eviction.
const SURPLUS: usize = 2;
/// What part of a full cache may be taken before newcomers have to stay in the window.
const ROOMY: f64 = 0.9;
/// The frequency from which an entry is judged as if it had one access more.
const PROVEN: u8 = 2;
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
    /// What all entries weighed when one of them had to leave last.
    full: f64,
    luck: u64,
    capacity_hint: usize,
}

/// How many ghosts each part of so many entries has, the distant ones aside.
fn ghosts(entries: usize) -> usize {
    entries.div_ceil(ENTRIES_PER_GHOST).max(FEWEST_GHOSTS)
}

/// Who leaves next and who, if anybody, moves from the window to main in its stead.
#[derive(Clone, Copy, Debug)]
struct Duel {
    loser: Slot,
    winner: Option<Slot>,
}

impl TinyLfu {
    /// An empty cache that is expected to hold so many entries, zero when nobody knows; the first
    /// eviction tells how many they really are.
    pub fn new(capacity_hint: usize) -> Self {
        let mut sketch = FrequencySketch::new();
        if capacity_hint > 0 {
            sketch.expect(capacity_hint);
        }
        Self {
            queues: Queues::new(),
            sketch,
            window_ghost: Ghost::new(),
            main_ghost: Ghost::new(),
            split: Split::new(),
            duel: None,
            full: f64::INFINITY,
            luck: 1,
            capacity_hint,
        }
    }

    /// The least frequent of the entries that main has not seen used for longest.
    fn coldest_of_main(&self) -> Option<Slot> {
        let frequency = |slot: &Slot| self.sketch.frequency(self.queues.hash(*slot));
        let oldest = self.queues.iter(PROBATION).take(COMPARED);
        oldest.min_by_key(frequency).or(self.queues.front(PROTECTED))
    }

    /// Whether a hash is more popular than an entry. Its count has the access that brings it in
    /// and the entry's has not, which would let every round of a loop replace the one before.
    fn outranks(&self, hash: u32, entry: Slot) -> bool {
        self.sketch.frequency(hash) > self.rank(entry)
    }

    /// What a candidate's count has to exceed for an entry's place.
    fn rank(&self, entry: Slot) -> u8 {
        let frequency = self.sketch.frequency(self.queues.hash(entry));
        frequency + u8::from(frequency >= PROVEN)
    }

    /// Where a newcomer goes; a ghost that returns votes on the size of the window.
    fn admit(&mut self, hash: u32) -> usize {
        let entries = self.queues.total();
        let from_window = self.window_ghost.remove(hash);
        let left_main = self.main_ghost.remove(hash).is_some();
        let left_window = from_window.is_some_and(|since| since < ghosts(entries));
        if left_window || left_main {
            self.split.vote(left_window, 1.0, entries);
        } else if from_window.is_some() {
            self.split.vote(true, DISTANT_VOTE, entries);
        }
        let popular = || self.coldest_of_main().is_some_and(|entry| self.outranks(hash, entry));
        let main_keeps = self.split.share < MAJORITY;
        if main_keeps && (left_window || popular()) { PROBATION } else { WINDOW }
    }

    /// What all entries weigh.
    fn size(&self) -> f64 {
        self.queues.size(WINDOW) + self.queues.size(PROBATION) + self.queues.size(PROTECTED)
    }

    /// How large the window should be, and what an entry weighs on average.
    fn target(&self) -> (f64, f64) {
        let entries = self.queues.total();
        let mean = self.size() / entries.max(1) as f64;
        (self.split.window(entries) as f64 * mean, mean)
    }

    /// Moves the oldest window entries to main, which has room, while the window is too large.
    fn spill(&mut self, limit: f64) {
        while self.queues.size(WINDOW) > limit {
            self.queues.shift(WINDOW, PROBATION);
        }
    }

    /// Moves a few of the oldest entries of a window that is too large to main, which is full: who
    /// would not win a place there becomes the next to leave it.
    fn shrink(&mut self, limit: f64) {
        for _ in 0..SURPLUS {
            if self.queues.size(WINDOW) <= limit {
                break;
            }
            let Some(oldest) = self.queues.front(WINDOW) else { break };
            if self.coldest_of_main().is_none_or(|coldest| self.wins(oldest, coldest)) {
                self.queues.move_to(PROBATION, oldest);
            } else {
                self.queues.move_to_front(PROBATION, oldest);
            }
        }
    }

    /// Decides who leaves: the window's candidate, or main's coldest entry for its sake.
    fn fight(&mut self) -> Option<Duel> {
        let (target, mean) = self.target();
        self.full = self.size();
        self.sketch.expect(self.queues.total());
        self.shrink(target + mean);
        let candidate = self.queues.front(WINDOW);
        let Some(coldest) = self.coldest_of_main() else {
            return candidate.map(|loser| Duel { loser, winner: None });
        };
        let full = self.queues.size(WINDOW) >= target;
        Some(match candidate.filter(|_| full) {
            Some(winner) if self.wins(winner, coldest) => Duel { loser: coldest, winner: Some(winner) },
            Some(loser) => Duel { loser, winner: None },
            None => Duel { loser: coldest, winner: None },
        })
    }

    fn wins(&mut self, candidate: Slot, coldest: Slot) -> bool {
        let frequency = self.sketch.frequency(self.queues.hash(candidate));
        let burden = (self.queues.weight(candidate) / self.queues.weight(coldest)).max(1.0);
        f64::from(frequency) > f64::from(self.rank(coldest)) * burden || frequency >= WARM && self.is_lucky()
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
        if self.size() < self.full * ROOMY {
            let (target, _) = self.target();
            self.spill(target);
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
        let main = self.queues.size(PROBATION) + self.queues.size(PROTECTED);
        if self.queues.size(PROTECTED) * 100.0 > main * PROTECTED_PERCENT {
            self.queues.shift(PROTECTED, PROBATION);
        }
    }

    fn write(&mut self, slot: Slot) {
        self.hit(slot);
    }

    fn weigh(&mut self, slot: Slot, weight: f64) {
        self.queues.weigh(slot, weight);
        self.duel = None;
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
        let (hash, near) = (self.queues.hash(slot), ghosts(self.queues.total()));
        if self.queues.queue(slot) == WINDOW {
            let distant = self.split.main(self.queues.total()) * DISTANT;
            self.window_ghost.insert(hash, near.max(distant as usize));
        } else {
            self.main_ghost.insert(hash, near);
        }
        let winner = self.duel.filter(|duel| duel.loser == slot).and_then(|duel| duel.winner);
        self.remove(slot);
        if let Some(winner) = winner {
            self.queues.move_to(PROBATION, winner);
        }
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

    fn validate_weights(&self, weight: &dyn Fn(Slot) -> f64) {
        for slot in [WINDOW, PROBATION, PROTECTED].into_iter().flat_map(|queue| self.queues.iter(queue)) {
            let error = (self.queues.weight(slot) - weight(slot)).abs();
            assert!(error <= 1e-9, "slot {slot} weighs {}", weight(slot));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{hold, steps};
    use super::*;
    use crate::expiry::Expiry;
    use crate::policy::Lru;
    use crate::store::Store;
    use proptest::prelude::*;

    /// A cache over numbers, read through: what is missing is stored.
    struct Cache<P> {
        store: Store<u64, (), P>,
        hits: usize,
    }

    impl<P: Policy> Cache<P> {
        fn new(size: usize, policy: P) -> Self {
            Self { store: Store::new(size as f64, policy, Expiry::Never), hits: 0 }
        }

        fn read(&mut self, key: u64) {
            if let Some(slot) = self.store.find(key, |&known| known == key) {
                self.hits += 1;
                return self.store.hit(slot);
            }
            while self.store.currsize() >= self.store.maxsize() {
                let victim = self.store.victim().expect("a full store has a victim");
                self.store.evict(victim);
            }
            self.store.insert(key, key, (), 1.0, f64::INFINITY);
        }

        fn read_all(&mut self, keys: impl Iterator<Item = u64>) -> usize {
            let before = self.hits;
            keys.for_each(|key| self.read(key));
            self.store.validate();
            self.hits - before
        }
    }

    fn share(cache: &Cache<TinyLfu>) -> f64 {
        cache.store.policy().split.share
    }

    /// Reads of keys that mostly were read a short while ago, for which LRU is made.
    fn recent(seed: u64) -> impl Iterator<Item = u64> {
        let mut dice = seed;
        (0u64..).map(move |time| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            (time / 4).saturating_sub(dice % 80) + 1_000_000
        })
    }

    #[test]
    fn keeps_what_is_popular_through_a_scan() {
        let mut cache = Cache::new(100, TinyLfu::new(100));
        for _ in 0..20 {
            cache.read_all(0..80);
        }
        cache.read_all(1000..3000);
        assert!(cache.read_all(0..80) >= 75);
    }

    #[test]
    fn keeps_part_of_a_loop_that_is_too_long() {
        let mut cache = Cache::new(100, TinyLfu::new(100));
        for _ in 0..20 {
            cache.read_all(0..150);
        }
        assert!(cache.read_all(0..150) >= 90);
    }

    #[test]
    fn widens_the_window_for_recency_and_narrows_it_again() {
        let mut cache = Cache::new(100, TinyLfu::new(100));
        let mut lru = Cache::new(100, Lru::new());
        let [hits, lru_hits] = [cache.read_all(recent(1).take(20_000)), lru.read_all(recent(1).take(20_000))];
        assert!(share(&cache) > 0.5, "{}", share(&cache));
        assert!(hits * 100 > lru_hits * 95, "{hits} of {lru_hits}");
        let wide = share(&cache);
        for _ in 0..100 {
            cache.read_all(0..130);
        }
        assert!(share(&cache) < wide / 2.0, "{}", share(&cache));
    }

    #[test]
    fn a_loop_that_fits_the_cache_soon_fits_a_narrow_window_as_well() {
        let mut cache = Cache::new(1000, TinyLfu::new(1000));
        cache.read_all((0..30_000).map(|time| 10_000 + time % 900));
        assert!(share(&cache) < 0.1, "{}", share(&cache));
        cache.read_all((0..5).flat_map(|_| 0..400));
        assert!(cache.read_all(0..400) >= 390);
    }

    /// Reads, of a cache of 1000, keys of which every tenth weighs so much and the others one.
    fn popular_left(heavy: f64) -> usize {
        let mut store = Store::new(1000.0, TinyLfu::new(1000), Expiry::Never);
        let popular = (0..400).cycle().take(12_000);
        for key in popular.chain(10_000..14_000u64) {
            let weight = if key % 10 == 9 { heavy } else { 1.0 };
            if let Some(slot) = store.find(key, |&known| known == key) {
                store.hit(slot);
                continue;
            }
            while store.currsize() + weight > store.maxsize() {
                let victim = store.victim().expect("a full store has a victim");
                store.evict(victim);
            }
            store.insert(key, key, (), weight, f64::INFINITY);
            store.validate();
        }
        store.iter().filter(|&(&key, ())| key < 400).count()
    }

    #[test]
    fn keeps_what_is_popular_through_a_scan_whatever_it_weighs() {
        assert!(popular_left(1.0) >= 395);
        assert!(popular_left(10.0) >= 320);
    }

    #[test]
    fn a_heavy_candidate_has_to_be_as_much_more_popular() {
        let mut policy = TinyLfu::new(3);
        for slot in 0..3 {
            policy.insert(slot, slot.into());
        }
        policy.hit(2);
        policy.hit(2);
        let [heavy, light] = [4.0, 1.0].map(|weight| {
            let mut policy = policy.clone();
            policy.weigh(2, weight);
            policy.victim()
        });
        assert_eq!((heavy, light), (Some(2), Some(0)));
    }

    #[test]
    fn a_sole_entry_makes_room_for_the_next() {
        let mut cache = Cache::new(1, TinyLfu::new(1));
        cache.read_all([1, 1, 1, 2, 2, 3].into_iter());
        assert_eq!(cache.hits, 3);
        assert_eq!(cache.store.len(), 1);
    }

    #[test]
    fn an_unbounded_cache_counts_without_end() {
        let mut cache = Cache::new(usize::MAX, TinyLfu::new(usize::MAX));
        cache.read_all((0..10_000).chain(0..10_000));
        assert_eq!(cache.hits, 10_000);
    }

    #[test]
    fn a_wrong_hint_is_corrected_at_the_first_eviction() {
        let [mut far_off, mut right] = [1_000_000, 100].map(|hint| Cache::new(100, TinyLfu::new(hint)));
        let keys = || recent(2).take(30_000).chain((0..30_000).map(|key| key % 150));
        let [far_off, right] = [far_off.read_all(keys()), right.read_all(keys())];
        assert!(far_off * 100 > right * 97, "{far_off} of {right}");
    }

    proptest! {
        #[test]
        fn holds_its_invariants(steps in steps(), hint in 0..50usize) {
            hold(&steps, TinyLfu::new(hint));
        }
    }
}
