//! How often keys were seen lately, in four bits each.
//!
//! A count-min sketch with conservative update, after Einziger, Friedman and Manes, "TinyLFU: A
//! Highly Efficient Cache Admission Policy" (ACM Transactions on Storage, 2017), laid out as in
//! Caffeine: the four counters of a key share one cache line, and all counters are halved once
//! enough was counted, so that the past fades.

/// How many counters a key has, each in a pair of words of its own.
const COUNTERS: usize = 4;
/// How many words make up the cache line that a key's counters are in.
const BLOCK: usize = 2 * COUNTERS;
/// The largest count, and the bits of one counter.
const MAX: u64 = 0b1111;
/// The bits of all counters that are left after halving.
const HALVED: u64 = 0x7777_7777_7777_7777;
/// How many words there are for an entry; fewer make rare keys look frequent.
const WORDS_PER_ENTRY: usize = 2;
const FEWEST_WORDS: usize = 64;
/// How many additions for each entry make up the remembered past.
const SAMPLE: usize = 30;

/// Approximate, fading counts of hashes: at least what was counted lately, at most fifteen.
#[derive(Clone, Debug)]
pub(crate) struct FrequencySketch {
    /// A power of two of words.
    words: Vec<u64>,
    additions: usize,
    /// How many additions trigger the next halving.
    period: usize,
    /// How many entries there will be at most, once somebody knows.
    capacity: Option<usize>,
}

impl FrequencySketch {
    /// An empty sketch, which takes no memory before it has to [fit](Self::fit) some entries.
    pub(crate) const fn new() -> Self {
        Self { words: Vec::new(), additions: 0, period: 0, capacity: None }
    }

    /// Sets how many entries there will be, and with it how long the past is remembered.
    pub(crate) fn expect(&mut self, capacity: usize) {
        self.capacity = Some(capacity);
        self.period = SAMPLE.saturating_mul(capacity);
    }

    /// Makes it precise enough for so many entries and keeps what it counted.
    ///
    /// The words are doubled by copying them: one more bit of the hash chooses between the
    /// copies, and both know what the original did. So it grows ahead of the entries, lest keys
    /// that collided early do so ever after.
    pub(crate) fn fit(&mut self, entries: usize) {
        self.period = self.period.max(SAMPLE.saturating_mul(entries));
        let ahead = match self.capacity {
            Some(capacity) => entries.saturating_mul(4).min(capacity).max(entries),
            None => entries.saturating_mul(2),
        };
        if self.words.is_empty() {
            self.words = vec![0; FEWEST_WORDS];
        }
        while self.words.len() / WORDS_PER_ENTRY < ahead {
            self.words.extend_from_within(..);
        }
    }

    /// How often the hash was counted; needs a sketch that fits at least one entry.
    #[inline]
    pub(crate) fn frequency(&self, hash: u32) -> u8 {
        let counters = self.counters(hash);
        self.least(counters) as u8
    }

    /// Counts the hash once more, in those of its counters that are not above the others anyway.
    #[inline]
    pub(crate) fn increment(&mut self, hash: u32) {
        let counters = self.counters(hash);
        let least = self.least(counters);
        if least == MAX {
            return;
        }
        for (word, shift) in counters {
            let word = &mut self.words[word];
            *word += u64::from((*word >> shift) & MAX == least) << shift;
        }
        self.additions += 1;
        if self.additions >= self.period {
            self.halve();
        }
    }

    #[inline]
    fn least(&self, counters: [(usize, u32); COUNTERS]) -> u64 {
        counters.into_iter().fold(MAX, |least, (word, shift)| least.min((self.words[word] >> shift) & MAX))
    }

    #[cold]
    fn halve(&mut self) {
        for word in &mut self.words {
            *word = (*word >> 1) & HALVED;
        }
        self.additions /= 2;
    }

    /// Word and shift of each counter of the hash, all within its block.
    #[inline]
    fn counters(&self, hash: u32) -> [(usize, u32); COUNTERS] {
        let block = (hash as usize & (self.words.len() / BLOCK - 1)) * BLOCK;
        let bits = u64::from(hash).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
        std::array::from_fn(|row| {
            let bits = (bits >> (32 + 8 * row)) as u32;
            let word = block + 2 * row + (bits & 1) as usize;
            (word, (bits >> 1) % 16 * 4)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn sketch(entries: usize) -> FrequencySketch {
        let mut sketch = FrequencySketch::new();
        sketch.expect(entries);
        sketch.fit(entries);
        sketch
    }

    #[test]
    fn counts_up_to_fifteen() {
        let mut sketch = sketch(100);
        for count in 0..20 {
            assert_eq!(sketch.frequency(7), count.min(15));
            sketch.increment(7);
        }
    }

    #[test]
    fn halves_all_counts_once_a_sample_is_complete() {
        let mut sketch = sketch(64);
        for _ in 0..8 {
            sketch.increment(1);
        }
        for hash in 2..2 + 64 * SAMPLE as u32 - 8 {
            sketch.increment(hash.wrapping_mul(0x9E37_79B1));
        }
        assert_eq!(sketch.frequency(1), 4);
        assert_eq!(sketch.additions, 64 * SAMPLE / 2);
    }

    #[test]
    fn grows_ahead_of_the_entries_but_not_beyond_the_capacity() {
        let mut sketch = FrequencySketch::new();
        sketch.fit(1);
        assert_eq!(sketch.words.len(), FEWEST_WORDS);
        sketch.fit(1 << 10);
        assert_eq!(sketch.words.len(), 1 << 12);
        sketch.expect(1 << 13);
        sketch.fit(1 << 10);
        assert_eq!(sketch.words.len(), 1 << 13);
        sketch.fit(1 << 13);
        assert_eq!(sketch.words.len(), 1 << 14);
    }

    proptest! {
        /// Growing keeps every count, and counts are never too low while nothing is halved.
        #[test]
        fn never_forgets_within_a_sample(
            hashes in prop::collection::vec(any::<u32>().prop_map(|hash| (hash % 50).wrapping_mul(0x1234_5677)), 1..500),
            growth in prop::collection::vec(1usize..3000, 1..5),
        ) {
            let mut sketch = sketch(1000);
            let mut counts = HashMap::<u32, u8>::new();
            let step = hashes.len() / growth.len() + 1;
            for (index, &hash) in hashes.iter().enumerate() {
                sketch.increment(hash);
                *counts.entry(hash).or_default() += 1;
                if index % step == 0 {
                    sketch.fit(growth[index / step]);
                }
            }
            for (&hash, &count) in &counts {
                prop_assert!(sketch.frequency(hash) >= count.min(15));
            }
        }
    }
}
