//! How often keys were seen lately, in four bits each.
//!
//! A count-min sketch with conservative reading, after Einziger, Friedman and Manes, "TinyLFU: A
//! Highly Efficient Cache Admission Policy" (ACM Transactions on Storage, 2017), laid out as in
//! Caffeine: the four counters of a key share one cache line, and all counters are halved once
//! enough was counted, so that the past fades.

/// Counters of a word, counters of a key.
const PER_WORD: u32 = 16;
const PER_KEY: u32 = 4;
/// Words of a block, the cache line in which a key has its counters.
const BLOCK: usize = 8;
/// Words of a new sketch.
const SMALLEST: usize = 64;
const COUNTER: u64 = 0b1111;
/// The upper three bits of every counter, shifted to where they are after halving.
const HALVED: u64 = 0x7777_7777_7777_7777;
/// How many additions per entry make up the remembered past.
const SAMPLE: usize = 30;

/// Approximate, fading counts of hashes: never too low, at most fifteen.
#[derive(Clone, Debug)]
pub struct FrequencySketch {
    /// A power of two of words, at least one for each entry.
    words: Vec<u64>,
    additions: usize,
    /// How many additions trigger the next halving.
    period: usize,
    /// How many entries are expected; zero when nobody knows.
    capacity: usize,
}

impl FrequencySketch {
    /// A sketch for a cache that is expected to hold so many entries, zero when nobody knows; it
    /// takes no memory before it has to [fit](Self::fit) some.
    pub const fn new(capacity: usize) -> Self {
        Self { words: Vec::new(), additions: 0, period: SAMPLE.saturating_mul(capacity), capacity }
    }

    /// Makes it precise enough for so many entries and keeps what it counted.
    ///
    /// The words are doubled by copying them: one more bit of the hash chooses between the
    /// copies, and both know what the original did. So it grows ahead of the entries, lest counts
    /// that collided early do so ever after.
    pub fn fit(&mut self, entries: usize) {
        self.period = self.period.max(SAMPLE.saturating_mul(entries));
        let ahead = match self.capacity {
            0 => entries.saturating_mul(2),
            capacity => entries.saturating_mul(8).min(capacity),
        };
        if self.words.is_empty() {
            self.words = vec![0; SMALLEST];
        }
        while self.words.len() < ahead.max(entries) {
            self.words.extend_from_within(..);
        }
    }

    /// How often the hash was counted.
    #[inline]
    pub fn frequency(&self, hash: u32) -> u8 {
        let counts = self.counters(hash).map(|(word, shift)| self.words[word] >> shift & COUNTER);
        counts.into_iter().min().map_or(0, |count| count as u8)
    }

    /// Counts the hash once more.
    #[inline]
    pub fn increment(&mut self, hash: u32) {
        let mut added = false;
        for (word, shift) in self.counters(hash) {
            let word = &mut self.words[word];
            if *word >> shift & COUNTER != COUNTER {
                *word += 1 << shift;
                added = true;
            }
        }
        self.additions += usize::from(added);
        if self.additions >= self.period {
            self.halve();
        }
    }

    #[cold]
    fn halve(&mut self) {
        for word in &mut self.words {
            *word = *word >> 1 & HALVED;
        }
        self.additions /= 2;
    }

    /// Word and shift of each counter of the hash, all within its block.
    #[inline]
    fn counters(&self, hash: u32) -> [(usize, u32); PER_KEY as usize] {
        let block = (hash as usize & (self.words.len() / BLOCK - 1)) * BLOCK;
        let bits = u64::from(hash).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
        std::array::from_fn(|row| {
            let bits = (bits >> (32 + 8 * row)) as u32;
            let word = block + 2 * row + (bits & 1) as usize;
            (word, (bits >> 1) % PER_WORD * (u64::BITS / PER_WORD))
        })
    }
}
