//! What may be done with an entry as time passes: the states of RFC 5861, and of failures.
//!
//! ```text
//!            fresh_until          + stale_while_revalidate    + stale_if_error
//!   Fresh ────────┬──────────────────────┬─────────────────────────┬──────────► Gone
//!                 │ Revalidate           │ Fallback                │
//!                 │ served; one load     │ a load is waited for;   │
//!                 │ refreshes it         │ served if that fails    │
//! ```
//!
//! 1. A load that succeeds makes the entry fresh, whatever it was.
//! 2. Both windows begin when the entry ceases to be fresh; the longer one says when it is gone.
//! 3. A failure is an entry too: never fresh, so that it is no value to anybody, and kept for its
//!    own time.  It takes the place of a value only where that is of no use any more.

/// For how long entries are of use once they are no longer fresh, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Grace {
    /// Served at once, while a load refreshes the entry.
    pub while_revalidate: f64,
    /// Served where the load fails.
    pub if_error: f64,
}

/// What an entry is good for at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// To be served.
    Fresh,
    /// To be served while it is refreshed.
    Revalidate,
    /// To be served if the load that replaces it fails or takes too long.
    Fallback,
    /// For nothing.
    Gone,
}

impl Grace {
    /// For how long an entry is kept once it is no longer fresh.
    pub fn kept(&self) -> f64 {
        self.while_revalidate.max(self.if_error)
    }

    /// What an entry is good for now that is, or was, fresh until a time.
    pub fn read(&self, fresh_until: f64, now: f64) -> Reading {
        if now < fresh_until {
            Reading::Fresh
        } else if now < fresh_until + self.while_revalidate {
            Reading::Revalidate
        } else if now < fresh_until + self.if_error {
            Reading::Fallback
        } else {
            Reading::Gone
        }
    }

    /// Whether a value may be served in place of a load that failed or takes too long.
    pub fn covers(&self, fresh_until: f64, now: f64) -> bool {
        now < fresh_until + self.if_error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_grace_an_entry_is_gone_when_it_is_no_longer_fresh() {
        let grace = Grace::default();
        assert_eq!(grace.read(10.0, 9.0), Reading::Fresh);
        assert_eq!(grace.read(10.0, 10.0), Reading::Gone);
    }

    #[test]
    fn the_windows_begin_together() {
        let grace = Grace { while_revalidate: 5.0, if_error: 20.0 };
        assert_eq!(grace.read(10.0, 14.0), Reading::Revalidate);
        assert_eq!(grace.read(10.0, 15.0), Reading::Fallback);
        assert_eq!(grace.read(10.0, 30.0), Reading::Gone);
        assert!(grace.covers(10.0, 12.0));
    }

    proptest! {
        #[test]
        fn an_entry_is_good_for_less_and_less(
            while_revalidate in 0..20u32,
            if_error in 0..20u32,
            times in prop::collection::vec(0..100u32, 2..10),
        ) {
            let grace = Grace {
                while_revalidate: f64::from(while_revalidate),
                if_error: f64::from(if_error),
            };
            let mut times = times;
            times.sort_unstable();
            let readings = times.iter().map(|&time| grace.read(30.0, f64::from(time)) as u8);
            let readings: Vec<u8> = readings.collect();
            prop_assert!(readings.is_sorted());
            for (&time, &reading) in times.iter().zip(&readings) {
                let kept = f64::from(time) < 30.0 + grace.kept();
                prop_assert_eq!(kept, reading != Reading::Gone as u8);
            }
        }
    }
}
