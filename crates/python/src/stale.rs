//! What callers get where there is nothing fresh: stale values, failures that are remembered, and an
//! end to waiting.
//!
//! 1. A stale value is served at once where it may be, and the entry is refreshed by a load that
//!    nobody waits for: one per key, not too many at a time, not begun before the caller goes on.
//! 2. A failed load is answered with a stale value where there is one for that.  An invalidation
//!    during the load has taken it away.
//! 3. Who has waited long enough for a load gets such a value as well; the load goes on.

#![allow(unsafe_code)]

use aiocachetools_core::flight::{FlightId, OnAbandon};
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::arguments::Arguments;
use crate::event::{self, Event};
use crate::flight::{Flight, Role, with};
use crate::freshness::{Found, Freshness};
use crate::function::Function;
use crate::key::Key;
use crate::landing::Wake;
use crate::object::Ref;
use crate::outcome::{Failure, Outcome};
use crate::tags::LoadTags;
use crate::target::{Approach, Target};
use crate::wait::Wait;
use crate::wait_state::{Seat, State};
use crate::{counts, wait_type};

/// What becomes of a call that found nothing fresh.
pub enum Reply {
    /// It was loaded meanwhile, or is a failure that is remembered.
    Answer(Outcome),
    Stale(Ref),
    /// The same, and the entry is to be refreshed.
    Refresh(Ref),
    /// It loads, or joins a load.
    Load {
        /// A stale value may be served in place of the load.
        fallback: bool,
    },
}

impl Reply {
    /// What is told of it; a load is told elsewhere.
    pub fn event(&self) -> Option<Event<'static>> {
        match self {
            Reply::Answer(_) => Some(Event::Hit),
            Reply::Stale(_) | Reply::Refresh(_) => Some(Event::Stale),
            Reply::Load { .. } => None,
        }
    }

    /// What the call comes to, unless it loads.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Reply::Answer(outcome) => Some(outcome),
            Reply::Stale(value) | Reply::Refresh(value) => Some(Outcome::Value(value)),
            Reply::Load { .. } => None,
        }
    }
}

/// What a timer calls.
#[derive(Clone, Copy)]
pub enum Callback {
    TimeOut,
    StopWaiting,
}

/// The function of a timer, which is called with a flight or with a call.
pub fn callback(py: Python<'_>, callback: Callback) -> PyResult<&Bound<'_, PyAny>> {
    static CALLBACKS: PyOnceLock<[Py<PyAny>; 2]> = PyOnceLock::new();
    let callbacks = CALLBACKS.get_or_try_init(py, || {
        let module = py.import("aiocachetools._core")?;
        let function = |name| Ok::<_, PyErr>(module.getattr(name)?.unbind());
        Ok::<_, PyErr>([function("_time_out")?, function("_stop_waiting")?])
    })?;
    Ok(callbacks[callback as usize].bind(py))
}

/// Cancels what a timer would call; one that has been called is not harmed.
pub fn cancel_timer(py: Python<'_>, timer: Option<Ref>) {
    if let Some(timer) = timer
        && let Err(error) = timer.bound(py).call_method0("cancel")
    {
        error.write_unraisable(py, None);
    }
}

/// Ends a load that takes too long.
#[pyfunction(name = "_time_out")]
pub fn time_out(py: Python<'_>, flight: &Bound<'_, Flight>) -> PyResult<()> {
    flight.get().time_out(py)
}

/// Has a call return with stale values that has waited long enough.
#[pyfunction(name = "_stop_waiting")]
pub fn stop_waiting(py: Python<'_>, call: &Bound<'_, PyAny>) -> PyResult<()> {
    if !wait_type::is_wait(call) {
        return Err(PyTypeError::new_err("_stop_waiting() takes a call"));
    }
    let call = Ref::from(call);
    Wait::of(&call).stop_waiting(py, &call)
}

impl Target<'_> {
    /// What there is for a call that found nothing fresh.
    pub fn reply(&self, py: Python<'_>, freshness: &Freshness) -> PyResult<Reply> {
        let name = Function::of(self.function).name();
        let found = freshness.find(py, self.site, self.hash, &self.key.query(py)?, name)?;
        let reply = match found {
            Found::Nothing => Reply::Load { fallback: false },
            Found::Fallback => Reply::Load { fallback: true },
            Found::Fresh(value) => Reply::Answer(Outcome::Value(value)),
            Found::Failed(failure) => Reply::Answer(Outcome::Error(failure)),
            Found::Stale(value) => Reply::Stale(value),
            Found::Revalidate(value) => Reply::Refresh(value),
        };
        let counter = self.site.shelf.counter();
        match &reply {
            Reply::Load { .. } => {}
            Reply::Answer(_) => counts::hit(counter),
            Reply::Stale(_) | Reply::Refresh(_) => {
                counts::hit(counter);
                counts::stale(counter, 1);
            }
        }
        Ok(reply)
    }

    /// Starts a load of a stale entry that nobody waits for, unless there is one.
    pub fn refresh(&self, py: Python<'_>, freshness: &Freshness, arguments: &Arguments) -> PyResult<()> {
        let Approach::Start(tags) = self.approach(py, || arguments.clone())? else { return Ok(()) };
        let Some(refresh) = freshness.begin_refresh() else { return Ok(()) };
        counts::refresh(self.site.shelf.counter());
        let object = self.flight(py, Role::Single, tags)?;
        let flight = Flight::of(&object, py);
        flight.state().refresh = Some(refresh);
        let listing = object.clone();
        let id = with(|flights| flights.start_kept(self.table_hash(), listing));
        event::tell(py, Event::Refresh, self.function, self.key);
        let loader = Function::of(self.function).loader();
        match flight.launch(py, &object, id, |py| arguments.call(py, loader)) {
            Err(error) if !error.is_instance_of::<PyException>(py) => Err(error),
            // It was told as any failed load is.
            _ => Ok(()),
        }
    }
}

impl Flight {
    /// What those get who wait for a load that failed; `store` unless something newer is known of
    /// the key.
    pub fn fail(&self, py: Python<'_>, key: &Key, failure: Failure, store: bool, tags: &LoadTags) -> Outcome {
        let waiters = self.state().id.map_or(0, |id| with(|flights| flights.waiters(id)));
        let function = Function::of(&self.function);
        let served = match &function.freshness {
            Some(freshness) if store => {
                freshness.fail(py, &self.site, self.hash, key, &failure, tags.stamp())
            }
            _ => Ok(None),
        };
        match served {
            Ok(None) => Outcome::Error(failure),
            Ok(Some(value)) => {
                counts::stale(self.site.shelf.counter(), waiters);
                for _ in 0..waiters {
                    event::tell(py, Event::Stale, &self.function, key);
                }
                Outcome::Value(value)
            }
            Err(error) => Outcome::Error(Failure::new(py, error)),
        }
    }

    /// A value to serve in place of waiting, and whether it is stale.
    fn fallback(&self, py: Python<'_>) -> PyResult<Option<(Ref, bool)>> {
        let Some(freshness) = &Function::of(&self.function).freshness else { return Ok(None) };
        let Some(key) = self.key() else { return Ok(None) };
        freshness.fallback(py, &self.site, self.hash, &key.query(py)?)
    }

    /// A waiter goes without wanting the load to end.
    fn let_go(&self, py: Python<'_>, seat: &Seat, call: &Ref) {
        self.keep_without(seat.current);
        self.may_outlive_its_loop(py);
        self.remove_waiter(seat, call);
    }

    /// The loop may be closed before a load is over that nobody waits for: that is nobody's mistake.
    pub fn may_outlive_its_loop(&self, py: Python<'_>) {
        let batch = match &self.state().role {
            Role::Member(batch) => Some(batch.clone()),
            _ => None,
        };
        let whose = batch.as_ref().map_or(self, |batch| Flight::of(batch, py));
        if let Some(task) = whose.state().task.clone() {
            // Not every loop's tasks have the attribute.
            let _ = task.bound(py).setattr(intern!(py, "_log_destroy_pending"), false);
        }
    }

    /// The one who is counted as waiting since the flight was listed does not wait.
    pub fn keep_for_nobody(&self) {
        self.keep_without(None);
    }

    fn keep_without(&self, current: Option<FlightId>) {
        let Some(id) = self.state().id else { return };
        with(|flights| {
            flights.keep(id);
            flights.leave(id, current, OnAbandon::Finish);
        });
    }
}

impl Wait {
    /// Limits how long the call waits for loads in whose place stale values may be served.
    pub fn limit_patience(
        &self,
        py: Python<'_>,
        me: &Ref,
        event_loop: &Ref,
        freshness: &Freshness,
    ) -> PyResult<()> {
        let Some(delay) = freshness.soft_timeout else { return Ok(()) };
        let stop_waiting = callback(py, Callback::StopWaiting)?;
        let timer = freshness.call_later(py, event_loop, delay, stop_waiting, me)?;
        cancel_timer(py, self.set_patience(Some(timer)));
        Ok(())
    }

    /// Gives up every seat for which there is a value.
    fn stop_waiting(&self, py: Python<'_>, me: &Ref) -> PyResult<()> {
        drop(self.set_patience(None));
        for number in 0..self.seats() {
            let Some(seat) = self.seat(number) else { continue };
            let flight = Flight::of(&seat.flight, py);
            let Some((value, stale)) = flight.fallback(py)? else { continue };
            // The search may have run anything.
            let Some(seat) = self.seat(number) else { continue };
            flight.let_go(py, &seat, me);
            self.settle(number, &Outcome::Value(value));
            if stale && let Some(key) = flight.key() {
                counts::stale(flight.site.shelf.counter(), 1);
                event::tell(py, Event::Stale, &self.function, &key);
            }
        }
        if self.is_done() { self.wake(py, me, Wake::Soon) } else { Ok(()) }
    }

    /// How many places there may be in flights.
    fn seats(&self) -> u32 {
        self.with_state(|state| match state {
            State::Waiting(_) => 1,
            // A call that was cancelled has left its flights, and waits only until they have unwound.
            State::Gathering(gathering) if gathering.cancelled.is_none() => gathering.next(),
            _ => 0,
        })
    }

    /// The place in the flight of one of the call's keys, if it waits there.
    fn seat(&self, number: u32) -> Option<Seat> {
        self.with_state(|state| match state {
            State::Waiting(seat) => Some(seat.clone()),
            State::Gathering(gathering) if gathering.cancelled.is_none() => gathering.seat(number as usize),
            _ => None,
        })
    }
}
