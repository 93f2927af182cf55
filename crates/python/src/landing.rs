//! Landing: what becomes of a load's outcome, and of those who wait for it.
//!
//! 1. The outcome is stored unless something newer is known of the key, or served in another's place.
//! 2. The flight leaves the table; from its touching down on its key is free for a new one.
//! 3. Everybody has the outcome before anybody is woken.

use std::time::Instant;

use pyo3::prelude::*;

use crate::aio::Asyncio;
use crate::error::LoadTimeout;
use crate::event::{self, Event};
use crate::flight::{Flight, Role, Waiter, with};
use crate::function::Function;
use crate::key::Key;
use crate::object::Ref;
use crate::outcome::{Failure, Outcome};
use crate::own::Own;
use crate::tags::LoadTags;
use crate::wait::Wait;
use crate::{counts, stale, text};

impl Flight {
    /// The load is over: stores what may be stored, takes the flight out of the table, and serves
    /// the waiters.
    pub fn land(&self, py: Python<'_>, outcome: Outcome, wake: Wake) -> PyResult<Outcome> {
        let (outcome, waiters) = self.conclude(py, outcome);
        wake_all(py, &waiters, wake).map(|()| outcome)
    }

    /// The same; those who waited have their outcome, and are to be woken.
    pub fn conclude(&self, py: Python<'_>, outcome: Outcome) -> (Outcome, Vec<Waiter>) {
        if self.state().timed_out {
            self.end();
            return (outcome, Vec::new());
        }
        let failed = matches!(outcome, Outcome::Error(_));
        counts::load(self.site.shelf.counter(), self.started.elapsed(), failed);
        if let Outcome::Error(failure) = &outcome {
            self.tell_failure(py, failure);
        }
        let task = self.state().task.take();
        stale::cancel_timer(py, self.state().timer.take());
        self.serve(py, outcome, task)
    }

    /// The load has taken too long: it lands as one that failed, and is cancelled.
    pub fn time_out(&self, py: Python<'_>) -> PyResult<()> {
        let Some(timer) = self.state().timer.take() else { return Ok(()) };
        drop(timer);
        let function = Function::of(&self.function);
        let seconds = function.freshness.as_ref().and_then(|freshness| freshness.timeout).unwrap_or(0.0);
        let key = self.key().map(|key| text::describe(py, &key)).unwrap_or_default();
        let error = LoadTimeout::new_err(format!(
            "{}({key}) was not loaded within timeout={seconds} seconds",
            function.name().bound(py)
        ));
        let failure = Failure::new(py, error);
        counts::load(self.site.shelf.counter(), self.started.elapsed(), true);
        self.tell_failure(py, &failure);
        let task = self.state().task.clone();
        self.state().timed_out = true;
        let (_, waiters) = self.serve(py, Outcome::Error(failure), None);
        let woken = wake_all(py, &waiters, Wake::Soon);
        if let Some(task) = task {
            Asyncio::get(py)?.cancel(py, &task, None)?;
        }
        woken
    }

    /// The load is over: the flight is no longer under way.
    fn end(&self) {
        let id = self.state().id;
        let landing = id.and_then(|id| with(|flights| flights.land(id)));
        drop((landing, self.state().task.take()));
    }

    /// Takes the flight out of the table, but one that timed out: that stays until its load has
    /// unwound.  Whether what was stored may stay.
    pub fn depart(&self) -> bool {
        let Some(id) = self.state().id else { return false };
        if self.state().timed_out {
            return with(|flights| flights.give_up(id));
        }
        with(|flights| flights.land(id)).is_some_and(|landing| landing.store)
    }

    /// Settles those who wait for the flight, or for the members of the batch.
    fn serve(&self, py: Python<'_>, outcome: Outcome, task: Option<Ref>) -> (Outcome, Vec<Waiter>) {
        if let Some(batch) = self.take_batch() {
            let waiters = self.settle_batch(py, batch, &outcome);
            return (outcome, waiters);
        }
        drop(task);
        self.settle(py, outcome)
    }

    /// Tells that the load of a key, or of each of a batch, has failed.
    fn tell_failure(&self, py: Python<'_>, failure: &Failure) {
        let keys = match &self.state().role {
            Role::Batch(batch) => batch.flights().filter_map(|member| Flight::of(member, py).key()).collect(),
            _ => Vec::from_iter(self.key()),
        };
        for key in &keys {
            event::tell(py, Event::LoadError(self.started, failure.exception()), &self.function, key);
        }
    }

    /// Lands with an outcome of its own key; those who waited have it, and are to be woken.
    pub fn settle(&self, py: Python<'_>, outcome: Outcome) -> (Outcome, Vec<Waiter>) {
        let id = self.state().id;
        self.fence_if_revoked();
        // From here on the key is free for a new flight, but a fence is still heeded.
        let store = id.is_some_and(|id| with(|flights| flights.touch_down(id)));
        let key = self.state().key.clone();
        let tags = std::mem::take(&mut self.state().tags);
        let outcome = match (outcome, &key) {
            (Outcome::Value(value), Some(key)) if store && self.keeps(py, &value) => {
                self.store(py, key, value, &tags)
            }
            (Outcome::Error(failure), Some(key)) => self.fail(py, key, failure, store, &tags),
            (outcome, _) => outcome,
        };
        let fenced = !self.depart() && store;
        let outcome = match key.as_ref().filter(|_| fenced) {
            Some(key) => self.discard(py, key, outcome),
            None => outcome,
        };
        let state = self.state();
        let role = std::mem::replace(&mut state.role, Role::Single);
        let own = (state.key.take(), role, state.refresh.take());
        let waiters = std::mem::take(&mut self.state().waiters);
        drop((key, own, tags));
        // Whoever is woken may cancel another: all have their outcome first.
        for waiter in &waiters {
            Wait::of(&waiter.call).settle(waiter.number, &outcome);
        }
        (outcome, waiters)
    }

    /// An invalidation of one of the load's tags is something newer that is known of the key.
    /// Whether there was one.
    pub fn fence_if_revoked(&self) -> bool {
        let revoked = self.state().tags.is_revoked();
        if let Some(id) = self.state().id.filter(|_| revoked) {
            with(|flights| flights.fence(id));
        }
        revoked
    }

    /// Whether a value is one to be stored.
    fn keeps(&self, py: Python<'_>, value: &Ref) -> bool {
        Function::of(&self.function).many.as_ref().is_none_or(|many| !many.refuses(py, value))
    }

    /// A fence came while the value was being stored.
    fn discard(&self, py: Python<'_>, key: &Key, outcome: Outcome) -> Outcome {
        let discarded = key.query(py).and_then(|query| self.site.discard(py, self.hash, &query));
        discarded.map_or_else(|error| Outcome::Error(Failure::new(py, error)), |_| outcome)
    }

    fn store(&self, py: Python<'_>, key: &Key, value: Ref, tags: &LoadTags) -> Outcome {
        let function = Function::of(&self.function);
        let left = |until: Instant| until.saturating_duration_since(Instant::now()).as_secs_f64();
        let limit = self.state().good_until.map(left);
        let store = || match &function.freshness {
            None => {
                let own = Own { ttl: limit, ..Own::NOTHING };
                self.site.store_own(py, self.hash, key, &value, own)
            }
            Some(freshness) if freshness.accepts(py, &value)? => {
                freshness.store(py, &self.site, self.hash, key, &value, function, tags, limit)
            }
            Some(_) => Ok(false),
        };
        let stored = crate::fence::by_load(self.site.cache.as_ptr(), self.hash, || {
            event::storing(&self.function, store)
        });
        let stored = stored.and_then(|stored| {
            if stored {
                event::tell(py, Event::Store(Some(self.started)), &self.function, key);
                // The first store wins: the key's loads on other loops are not stored any more.
                crate::fence::listed(py, self.site.cache.as_ptr(), self.hash, &key.query(py)?)?;
            }
            Ok(())
        });
        match stored {
            Ok(()) => Outcome::Value(value),
            Err(error) => Outcome::Error(Failure::new(py, error)),
        }
    }
}

/// Wakes those who have their outcome.
pub fn wake_all(py: Python<'_>, waiters: &[Waiter], wake: Wake) -> PyResult<()> {
    let mut result = Ok(());
    for Waiter { call, .. } in waiters {
        let waiting = Wait::of(call);
        if waiting.is_done() {
            let woken = waiting.wake(py, call, wake);
            result = result.and(woken);
        }
    }
    result
}

/// How waiters are woken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// At once: no task is running.
    Now,
    /// With the loop's next round: the caller is a task's step.
    Soon,
}
