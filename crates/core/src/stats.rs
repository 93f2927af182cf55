//! What a cache counted.

/// Counters that only ever grow; the caller decides what counts as what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lookups that found a value.
    pub hits: u64,
    /// Lookups that found none.
    pub misses: u64,
    /// Values stored under new keys.
    pub insertions: u64,
    /// Values stored in the place of older ones.
    pub replacements: u64,
    /// Entries that left for want of room.
    pub evictions: u64,
    /// Entries that left because their time was up.
    pub expirations: u64,
    /// Entries that left because the caller said so.
    pub removals: u64,
}
