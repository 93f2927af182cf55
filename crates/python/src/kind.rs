//! The native classes as the shared code tells them apart.

use aiocachetools_core::expiry::Expiry;
use aiocachetools_core::policy::{AnyPolicy, Fifo, Insertion, Lfu, Lru, Random, TinyLfu};

/// Which native class a cache is an instance of, be it through a Python subclass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Plain,
    Fifo,
    Lru,
    Lfu,
    Random,
    Ttl,
    Tlru,
    TinyLfu,
}

impl Kind {
    pub const ALL: [Kind; 8] =
        [Kind::Plain, Kind::Fifo, Kind::Lru, Kind::Lfu, Kind::Random, Kind::Ttl, Kind::Tlru, Kind::TinyLfu];

    /// An empty policy for about so many entries.
    pub fn policy(self, maxsize: f64) -> AnyPolicy {
        match self {
            Kind::Plain => AnyPolicy::Insertion(Insertion::new()),
            Kind::Fifo => AnyPolicy::Fifo(Fifo::new()),
            Kind::Lru | Kind::Ttl | Kind::Tlru => AnyPolicy::Lru(Lru::new()),
            Kind::Lfu => AnyPolicy::Lfu(Lfu::new()),
            Kind::Random => AnyPolicy::Random(Random::new(0)),
            Kind::TinyLfu => AnyPolicy::TinyLfu(TinyLfu::new(capacity(maxsize))),
        }
    }

    pub fn expiry(self) -> Expiry {
        match self {
            Kind::Ttl => Expiry::Fixed,
            Kind::Tlru => Expiry::Varying,
            _ => Expiry::Never,
        }
    }

    /// Whether entries have deadlines.
    #[inline]
    pub fn is_timed(self) -> bool {
        matches!(self, Kind::Ttl | Kind::Tlru)
    }
}

/// A hint for policies that size themselves; 0 where the number of entries is unknown.
fn capacity(maxsize: f64) -> usize {
    if maxsize.is_finite() { maxsize as usize } else { 0 }
}
