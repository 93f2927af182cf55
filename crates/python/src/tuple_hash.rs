//! `TupleHash`: the hash of a tuple that is not there, of its items' hashes.

const PRIME_1: u64 = 11_400_714_785_074_694_791;
const PRIME_2: u64 = 14_029_467_366_897_019_727;
const PRIME_5: u64 = 2_870_177_450_012_600_261;

/// CPython's hash of a tuple (xxHash's rounds), fed with the hashes of its items.
#[derive(Clone, Copy)]
pub struct TupleHash {
    state: u64,
    length: u64,
}

impl TupleHash {
    #[inline]
    pub const fn new() -> Self {
        Self { state: PRIME_5, length: 0 }
    }

    #[inline]
    pub const fn item(mut self, hash: isize) -> Self {
        let state = self.state.wrapping_add((hash as u64).wrapping_mul(PRIME_2));
        self.state = state.rotate_left(31).wrapping_mul(PRIME_1);
        self.length += 1;
        self
    }

    #[inline]
    pub const fn finish(self) -> isize {
        let hash = self.state.wrapping_add(self.length ^ (PRIME_5 ^ 3_527_539));
        if hash == u64::MAX { 1_546_275_796 } else { hash as isize }
    }
}
