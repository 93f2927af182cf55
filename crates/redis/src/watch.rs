//! The watch over a connection that is up: whether the server answers, and what to do if not.
//!
//! ```text
//!            deadline passes               grace passes
//!   Closed ──────────────────► Open ─────────────────────► the connection is given up
//!     ▲      all requests fail   │
//!     └──────────────────────────┘
//!         the server says anything
//! ```
//!
//! It is a circuit breaker (Nygard, *Release It!*) whose half-open state is the handshake of the
//! next connection: nothing is sent while it is open.  A server that was merely slow closes it
//! again, on the same connection, so that nothing it tells meanwhile is missed.  When nothing has
//! been heard for a while and nothing is asked, a heartbeat asks.

/// Times are seconds of the owner's clock.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a reply may take.
    pub deadline: f64,
    /// How long after that the connection is kept.
    pub grace: f64,
    /// After how long a silence the server is asked for a sign of life.
    pub heartbeat: f64,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Look again so many seconds later.
    Wait(f64),
    /// Send a PING, and look again so many seconds later.
    Ping(f64),
    /// Fail all requests, refuse new ones, and look again so many seconds later.
    Open(f64),
    /// Give the connection up.
    GiveUp,
}

/// The watch over one connection.
#[derive(Clone, Debug)]
pub struct Watch {
    limits: Limits,
    heard: f64,
    opened: Option<f64>,
}

impl Watch {
    /// A watch that begins now.
    pub fn new(limits: Limits, now: f64) -> Self {
        Self { limits, heard: now, opened: None }
    }

    /// How long a reply may take.
    pub fn deadline(&self) -> f64 {
        self.limits.deadline
    }

    /// Whether requests are refused.
    pub fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// The server has said something.
    pub fn hear(&mut self, now: f64) {
        self.heard = now;
        self.opened = None;
    }

    /// Looks at the time.
    ///
    /// `oldest` is when the oldest request was made that waits and has not been failed.
    pub fn look(&mut self, now: f64, oldest: Option<f64>) -> Verdict {
        let Limits { deadline, grace, heartbeat } = self.limits;
        if let Some(opened) = self.opened {
            let left = opened + grace - now;
            return if left > 0.0 { Verdict::Wait(left) } else { Verdict::GiveUp };
        }
        if let Some(asked) = oldest {
            let left = asked + deadline - now;
            if left > 0.0 {
                return Verdict::Wait(left);
            }
            self.opened = Some(now);
            return Verdict::Open(grace);
        }
        let left = self.heard + heartbeat - now;
        if left > 0.0 { Verdict::Wait(left) } else { Verdict::Ping(deadline) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { deadline: 0.25, grace: 1.0, heartbeat: 2.0 };

    #[test]
    fn a_server_that_answers_is_left_alone() {
        let mut watch = Watch::new(LIMITS, 10.0);
        assert_eq!(watch.look(10.0, Some(10.0)), Verdict::Wait(0.25));
        watch.hear(10.125);
        assert_eq!(watch.look(10.25, Some(10.125)), Verdict::Wait(0.125));
    }

    #[test]
    fn silence_is_asked_about() {
        let mut watch = Watch::new(LIMITS, 10.0);
        assert_eq!(watch.look(11.0, None), Verdict::Wait(1.0));
        assert_eq!(watch.look(12.0, None), Verdict::Ping(0.25));
        assert_eq!(watch.look(12.25, Some(12.0)), Verdict::Open(1.0));
    }

    #[test]
    fn a_late_server_is_back_when_it_says_something() {
        let mut watch = Watch::new(LIMITS, 10.0);
        assert_eq!(watch.look(10.5, Some(10.0)), Verdict::Open(1.0));
        assert!(watch.is_open());
        assert_eq!(watch.look(11.0, None), Verdict::Wait(0.5));
        watch.hear(11.0);
        assert!(!watch.is_open());
        assert_eq!(watch.look(11.0, None), Verdict::Wait(2.0));
    }

    #[test]
    fn a_silent_server_is_given_up() {
        let mut watch = Watch::new(LIMITS, 10.0);
        watch.look(10.5, Some(10.0));
        assert_eq!(watch.look(11.5, None), Verdict::GiveUp);
    }

    proptest! {
        /// Whatever happens, a dead server is given up within heartbeat + deadline + grace, and a
        /// request fails no later than the look that was asked for at its deadline.
        #[test]
        fn a_dead_server_never_goes_unnoticed(steps in proptest::collection::vec((0.0..1.0_f64, any::<bool>()), 0..50)) {
            let mut watch = Watch::new(LIMITS, 0.0);
            let mut now = 0.0;
            let mut oldest = None;
            for (pause, asks) in steps {
                now += pause;
                watch.hear(now);
                oldest = asks.then_some(now);
            }
            let died = now;
            loop {
                match watch.look(now, oldest) {
                    Verdict::Wait(seconds) => now += seconds,
                    Verdict::Ping(seconds) => { oldest = Some(now); now += seconds }
                    Verdict::Open(seconds) => { oldest = None; now += seconds }
                    Verdict::GiveUp => break,
                }
            }
            prop_assert!(now - died <= 3.25 + 1e-9);
        }
    }
}
