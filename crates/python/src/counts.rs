//! Hit and miss counters, named by number so that whoever counts need not keep them alive.
//!
//! A counter belongs to one decorated function and one cache.  Numbers of freed counters are
//! given out again; a call that is awaited after its function is gone counts for nobody in particular.

#![allow(unsafe_code)]

use std::time::Duration;

use crate::object::GilCell;

/// Names a pair of counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counter(u32);

/// How often a function was answered from one cache, and how often not.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    pub hits: u64,
    pub misses: u64,
    /// Hits that joined a load which was under way.
    pub joins: u64,
    /// Loads that ended.
    pub loads: u64,
    /// Those of them that raised or were cancelled.
    pub load_errors: u64,
    /// How long the loads took together.
    pub load_time: Duration,
    /// Hits that were answered with a value that was no longer fresh.
    pub stale_served: u64,
    /// Loads that were started while a stale value was served.
    pub refreshes: u64,
}

struct Table {
    counts: Vec<Counts>,
    free: Vec<u32>,
}

static TABLE: GilCell<Table> = GilCell::new(Table { counts: Vec::new(), free: Vec::new() });

#[inline]
fn with<R>(counter: Counter, change: impl FnOnce(&mut Counts) -> R) -> R {
    // SAFETY: the GIL is held and nothing of Python runs here; a counter's number is in range.
    unsafe { change(TABLE.get().counts.get_unchecked_mut(counter.0 as usize)) }
}

/// A pair of counters, for as long as this lives.
pub struct Tally(Counter);

impl Tally {
    pub fn new() -> Self {
        // SAFETY: the GIL is held and nothing of Python runs here.
        let table = unsafe { TABLE.get() };
        let index = table.free.pop().unwrap_or_else(|| {
            table.counts.push(Counts::default());
            table.counts.len() as u32 - 1
        });
        table.counts[index as usize] = Counts::default();
        Self(Counter(index))
    }

    #[inline]
    pub fn counter(&self) -> Counter {
        self.0
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // SAFETY: the GIL is held and nothing of Python runs here.
        unsafe { TABLE.get() }.free.push(self.0.0);
    }
}

#[inline]
pub fn hit(counter: Counter) {
    with(counter, |counts| counts.hits += 1);
}

/// The call joined a load, which is a hit.
pub fn join(counter: Counter) {
    with(counter, |counts| {
        counts.hits += 1;
        counts.joins += 1;
    });
}

/// So many calls were answered with a stale value; those of them that are `hits` are counted here.
pub fn stale(counter: Counter, calls: usize) {
    with(counter, |counts| counts.stale_served += calls as u64);
}

pub fn refresh(counter: Counter) {
    with(counter, |counts| counts.refreshes += 1);
}

pub fn load(counter: Counter, took: Duration, failed: bool) {
    with(counter, |counts| {
        counts.loads += 1;
        counts.load_errors += u64::from(failed);
        counts.load_time += took;
    });
}

pub fn miss(counter: Counter) {
    with(counter, |counts| counts.misses += 1);
}

pub fn read(counter: Counter) -> Counts {
    with(counter, |counts| *counts)
}

pub fn reset(counter: Counter) {
    with(counter, |counts| *counts = Counts::default());
}
