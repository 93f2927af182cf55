//! How a cache is split into a window and a main part, by votes.

/// How much of the cache is window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    pub(super) share: f64,
    /// How united the last votes were: one when all were for a larger window, minus one when
    /// all were for a smaller one.
    trend: f64,
}

impl Split {
    const INITIAL_SHARE: f64 = 0.01;
    const LARGEST_SHARE: f64 = 0.995;
    /// How many votes the trend remembers.
    const MEMORY: f64 = 32.0;
    /// A vote moves the share by one in the root of so many times the entries. The number of
    /// votes in one turnover of the cache goes with its size, so their noise is the same in all.
    const INERTIA: f64 = 2000.0;
    /// How much farther a vote moves the share when the last votes were unanimous.
    const HASTE: f64 = 8.0;

    pub(super) fn new() -> Self {
        Self { share: Self::INITIAL_SHARE, trend: 0.0 }
    }

    /// How many of so many entries belong in the window.
    pub(super) fn window(&self, entries: usize) -> usize {
        ((self.share * entries as f64) as usize).max(1)
    }

    /// How many of so many entries belong in main.
    pub(super) fn main(&self, entries: usize) -> f64 {
        (1.0 - self.share) * entries as f64
    }

    /// Moves the share a step, the farther the more the last votes agreed with this one.
    pub(super) fn vote(&mut self, larger: bool, weight: f64, entries: usize) {
        let entries = entries.max(1) as f64;
        let vote = if larger { 1.0 } else { -1.0 };
        self.trend += weight * (vote - self.trend) / Self::MEMORY;
        let agreement = (self.trend * vote).max(0.0);
        let step = weight * (1.0 + Self::HASTE * agreement) / (Self::INERTIA * entries).sqrt();
        let smallest = 1.0 / entries;
        self.share = (self.share + vote * step).min(Self::LARGEST_SHARE).max(smallest);
    }

    pub(super) fn validate(&self) {
        assert!(self.share > 0.0 && self.share <= 1.0, "the window takes {}", self.share);
        assert!(self.trend.abs() <= 1.0, "the votes come to {}", self.trend);
    }
}
