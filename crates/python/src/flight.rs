//! Flights on asyncio: a load's task, and who waits for it.
//!
//! The states and their transitions are core's (`aiocachetools_core::flight`); here they are
//! given a task and waiters.  What becomes of the outcome is `landing.rs`'.

#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use aiocachetools_core::flight::{Circular, Departure, FlightId, Flights, OnAbandon};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::aio::{Ask, Asyncio};
use crate::batch::Batch;
use crate::error::RecursiveLoadError;
use crate::fetch::Fetch;
use crate::freshness::Refresh;
use crate::function::Function;
use crate::key::Key;
use crate::landing::Wake;
use crate::object::{GilCell, Ref};
use crate::outcome::{Failure, Outcome};
use crate::raw::{call_method0, call_method1};
use crate::site::Site;
use crate::tags::LoadTags;
use crate::target::each_matching;
use crate::wait::Wait;
use crate::wait_state::Seat;
use crate::{leftover, stale, text};

/// All flights of the process, under the hash of their cache and key.
static FLIGHTS: GilCell<Flights<Ref>> = GilCell::new(Flights::new());

/// Loads nested deeper than this start with the loop's next round, not at once, for the C stack.
const EAGER_DEPTH: u32 = 24;

pub fn with<R>(change: impl FnOnce(&mut Flights<Ref>) -> R) -> R {
    // SAFETY: the GIL is held; core's code runs no Python and drops no reference.
    change(unsafe { FLIGHTS.get() })
}

pub struct State {
    pub id: Option<FlightId>,
    /// Given up on landing, so that those who are woken do not find it kept alive.
    pub key: Option<Key>,
    pub task: Option<Ref>,
    /// Waiters know their place here, to leave in O(1).
    pub waiters: Vec<Waiter>,
    pub role: Role,
    pub tags: LoadTags,
    /// Until when the value may be kept at the most.
    pub good_until: Option<Instant>,
    /// It refreshes what is served meanwhile.
    pub refresh: Option<Refresh>,
    /// What ends a load that takes too long.
    pub timer: Option<Ref>,
    /// It took too long: it has landed, and its load unwinds.
    pub timed_out: bool,
}

/// Whose task loads.
pub enum Role {
    /// The flight's own, one key.
    Single,
    /// That of the batch that the flight is a member of.
    Member(Ref),
    /// The flight's own, the keys of its members.
    Batch(Box<Batch>),
}

/// Who waits for a flight: a call, and which of its keys it waits for here.
pub struct Waiter {
    pub call: Ref,
    pub number: u32,
}

/// One load under way, or a member of one: the callback of its task.
#[pyclass(frozen, module = "aiocachetools._core")]
pub struct Flight {
    pub function: Ref,
    pub site: Site,
    pub hash: u64,
    event_loop: Ref,
    pub started: Instant,
    state: GilCell<State>,
}

/// What a first step came to.
pub enum Start {
    Done(Outcome),
    Waiting(Ref),
}

fn flight<'a>(object: &'a Ref, py: Python<'_>) -> &'a Flight {
    // SAFETY: whatever is called a flight's reference here refers to a `Flight`.
    let bound = unsafe { object.as_py().bind(py).cast_unchecked::<Flight>() };
    let flight: *const Flight = bound.get();
    // SAFETY: the class is frozen and the object is alive as long as the reference to it.
    unsafe { &*flight }
}

pub fn none_under_way() -> bool {
    with(|flights| flights.is_empty())
}

impl Flight {
    pub fn create(
        py: Python<'_>,
        function: &Ref,
        site: &Site,
        key: Option<Key>,
        hash: u64,
        event_loop: &Ref,
        role: Role,
    ) -> PyResult<Ref> {
        let (function, site, event_loop) = (function.clone(), site.clone(), event_loop.clone());
        let state = GilCell::new(State {
            id: None,
            key,
            task: None,
            waiters: Vec::new(),
            role,
            tags: LoadTags::None,
            good_until: None,
            refresh: None,
            timer: None,
            timed_out: false,
        });
        let flight = Flight { function, site, hash, event_loop, started: Instant::now(), state };
        Ok(Bound::new(py, flight)?.into())
    }

    #[allow(clippy::mut_from_ref)]
    pub fn state(&self) -> &mut State {
        // SAFETY: the GIL is held; each use ends before Python code can run.
        unsafe { self.state.get() }
    }

    /// Its value may be kept for so many seconds from now at the most.
    pub fn keep_for(&self, seconds: f64) {
        let left = Duration::try_from_secs_f64(seconds.max(0.0)).ok();
        self.state().good_until = left.and_then(|left| Instant::now().checked_add(left));
    }

    /// Whether its value can be kept for a time of its own.
    pub fn can_limit(&self, py: Python<'_>) -> bool {
        self.site.native(py).is_some()
    }

    pub fn has_waiters(&self) -> bool {
        !self.state().waiters.is_empty()
    }

    pub fn key(&self) -> Option<Key> {
        self.state().key.clone()
    }

    /// Starts the load of a listed flight, or of a batch with its members.
    pub fn launch(
        &self,
        py: Python<'_>,
        object: &Ref,
        id: FlightId,
        call: impl FnOnce(Python<'_>) -> PyResult<Ref>,
    ) -> PyResult<Start> {
        self.state().id = Some(id);
        let asyncio = Asyncio::get(py)?;
        match self.try_launch(py, asyncio, object, id, call) {
            Ok(None) => Ok(Start::Waiting(object.clone())),
            Ok(Some(task)) => {
                let outcome = self.outcome_of(py, asyncio, &task);
                self.land(py, outcome, Wake::Soon).map(Start::Done)
            }
            Err(error) => {
                if let Some(task) = self.state().task.clone() {
                    let _ = asyncio.cancel(py, &task, None);
                }
                let failure = Failure::new(py, error);
                self.land(py, Outcome::Error(failure.clone()), Wake::Soon)?;
                Err(failure.raise(py))
            }
        }
    }

    /// Starts the load, in a task where it needs one; gives that where it is done already.
    fn try_launch(
        &self,
        py: Python<'_>,
        asyncio: &Asyncio,
        object: &Ref,
        id: FlightId,
        call: impl FnOnce(Python<'_>) -> PyResult<Ref>,
    ) -> PyResult<Option<Ref>> {
        let _current = asyncio.enter_flight(py, id)?;
        let coroutine = call(py)?;
        // What is served meanwhile is not to wait for the load's first step.
        let background = self.state().refresh.is_some();
        if let Some(fetch) = Fetch::from_exact(py, &coroutine) {
            self.state().task = Some(coroutine.clone());
            fetch.adopt(py, object)?;
        } else {
            let eager = !background && with(|flights| flights.depth(id)) < EAGER_DEPTH;
            let task = self.start_task(py, asyncio, &coroutine, eager)?;
            if asyncio.ask_task(py, &task, Ask::Done)?.bound(py).is_truthy()? {
                return Ok(Some(task));
            }
            call_method1(py, &task, &asyncio.names.add_done_callback, object)?;
        }
        if background {
            self.may_outlive_its_loop(py);
        }
        if let Some(freshness) = &Function::of(&self.function).freshness
            && let Some(timeout) = freshness.timeout
        {
            let time_out = stale::callback(py, stale::Callback::TimeOut)?;
            let timer = freshness.call_later(py, &self.event_loop, timeout, time_out, object)?;
            self.state().timer = Some(timer);
        }
        Ok(None)
    }

    /// Starts the load's task.
    pub fn start_task(
        &self,
        py: Python<'_>,
        asyncio: &Asyncio,
        coroutine: &Ref,
        eager: bool,
    ) -> PyResult<Ref> {
        let name = || self.task_name(py);
        let started = asyncio.start_task(py, &self.event_loop, coroutine, eager, name);
        match &started {
            Ok(task) => self.state().task = Some(task.clone()),
            // Whoever refused the coroutine may have left it unstarted.
            Err(_) => drop(call_method0(py, coroutine, &asyncio.names.close)),
        }
        started
    }

    /// What the load's task came to, with its exception marked as retrieved.
    fn outcome_of(&self, py: Python<'_>, asyncio: &Asyncio, task: &Ref) -> Outcome {
        if let Some(outcome) = Fetch::from_exact(py, task).and_then(Fetch::outcome) {
            return outcome;
        }
        let outcome = asyncio.ask_task(py, task, Ask::Exception).and_then(|exception| {
            if exception.is_none() {
                return asyncio.ask_task(py, task, Ask::Result);
            }
            Err(PyErr::from_value(exception.bound(py).to_owned()))
        });
        match outcome {
            Ok(value) => Outcome::Value(value),
            Err(error) => Outcome::Error(Failure::new(py, error)),
        }
    }

    fn task_name(&self, py: Python<'_>) -> PyResult<Ref> {
        let function = Function::of(&self.function).name();
        match &self.state().role {
            Role::Batch(batch) => text::batch_name(py, function, &batch.keys()),
            _ => text::task_name(py, function, self.key().as_ref()),
        }
    }

    /// One more waiter.
    ///
    /// # Errors
    /// RecursiveLoadError when the caller's own load would wait for itself.
    pub fn join(&self, py: Python<'_>, current: Option<FlightId>) -> PyResult<()> {
        let Some(id) = self.state().id else { return Ok(()) };
        with(|flights| flights.join(id, current)).map_err(|Circular| {
            let function = Function::of(&self.function).name().bound(py);
            let key = self.key().map(|key| text::describe(py, &key)).unwrap_or_default();
            RecursiveLoadError::new_err(format!(
                "{function}({key}) would wait for itself: its load, directly or through other cached functions, \
                 awaits the same key; call {function}.__wrapped__ there, or break the cycle"
            ))
        })
    }

    pub fn add_waiter(&self, waiter: Waiter) -> usize {
        let waiters = &mut self.state().waiters;
        waiters.push(waiter);
        waiters.len() - 1
    }

    /// The waiter of a seat goes, if it is still there; the last one takes its place.
    pub fn remove_waiter(&self, seat: &Seat, call: &Ref) {
        let state = self.state();
        let own = |found: &Waiter| found.call.is(call.as_ptr()) && found.number == seat.number;
        if !state.waiters.get(seat.position).is_some_and(own) {
            return;
        }
        let removed = state.waiters.swap_remove(seat.position);
        if let Some(moved) = state.waiters.get(seat.position) {
            Wait::of(&moved.call).set_position(moved.number, seat.position);
        }
        drop(removed);
    }

    /// A waiter goes before the flight has landed; `true` when it is the last one and the load
    /// has been told to stop, so that the waiter is to be woken when that has unwound.
    pub fn leave(&self, py: Python<'_>, seat: &Seat, call: &Ref, message: Option<&Ref>) -> PyResult<bool> {
        let Some(id) = self.state().id else { return Ok(false) };
        let on_abandon = Function::of(&self.function).on_abandon();
        let departure = with(|flights| flights.leave(id, seat.current, on_abandon));
        if departure == Departure::Last {
            self.cancel_load(py, message)?;
            return Ok(true);
        }
        if on_abandon == OnAbandon::Finish {
            self.may_outlive_its_loop(py);
        }
        self.remove_waiter(seat, call);
        Ok(false)
    }

    /// Cancels the load, or cancels it again while it unwinds.
    pub fn cancel_load(&self, py: Python<'_>, message: Option<&Ref>) -> PyResult<()> {
        if let Role::Member(batch) = &self.state().role {
            let batch = batch.clone();
            return Flight::of(&batch, py).cancel_batch(py, message);
        }
        let Some(task) = self.state().task.clone() else { return Ok(()) };
        Asyncio::get(py)?.cancel(py, &task, message)
    }

    pub fn event_loop(&self) -> &Ref {
        &self.event_loop
    }

    pub fn of<'a>(object: &'a Ref, py: Python<'_>) -> &'a Self {
        flight(object, py)
    }
}

#[pymethods]
impl Flight {
    /// The load's task is done.
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let outcome = self.outcome_of(py, Asyncio::get(py)?, &Ref::from(task));
        self.land(py, outcome, Wake::Now).map(drop)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let state = self.state();
        let parts = [Some(&self.function), Some(&self.event_loop), state.task.as_ref()];
        let key = state.key.iter().flat_map(Key::parts);
        let waiters = state.waiters.iter().map(|waiter| &waiter.call);
        let parts = parts.into_iter().flatten().chain(&state.timer).chain(state.tags.parts());
        for part in parts.chain(self.site.parts()).chain(waiters).chain(key) {
            visit.call(part.as_py())?;
        }
        match &state.role {
            Role::Single => Ok(()),
            Role::Member(batch) => visit.call(batch.as_py()),
            Role::Batch(batch) => batch.parts().try_for_each(|part| visit.call(part.as_py())),
        }
    }

    fn __clear__(&self) {
        let waiters = std::mem::take(&mut self.state().waiters);
        let task = self.state().task.take();
        let role = std::mem::replace(&mut self.state().role, Role::Single);
        let tags = std::mem::take(&mut self.state().tags);
        drop((waiters, task, role, tags));
    }
}

/// Lets the value that the loads under way of a cache's key come to be kept no longer than so many
/// seconds from now; `false` where there are none, or their cache has no entries of their own times.
#[pyfunction]
pub fn limit_load(cache: &Bound<'_, PyAny>, key: &Bound<'_, PyAny>, seconds: f64) -> PyResult<bool> {
    let py = cache.py();
    let (hash, query) = crate::cache::ask(key)?;
    let mut found = false;
    each_matching(
        py,
        cache.as_ptr(),
        hash,
        &query,
        |_, _, _| true,
        |_, object| {
            let flight = Flight::of(&object, py);
            if flight.can_limit(py) {
                flight.keep_for(seconds);
                found = true;
            }
            false
        },
    )?;
    Ok(found)
}

/// The tasks of a function's loads that are under way.
pub fn tasks_of(py: Python<'_>, function: &Ref) -> PyResult<Vec<Ref>> {
    leftover::sweep_closed_loops(py)?;
    Ok(with(|flights| {
        let of_function = |(_, object)| {
            let flight = flight(object, py);
            if flight.function.is(function.as_ptr()) { flight.state().task.clone() } else { None }
        };
        flights.iter().filter_map(of_function).collect()
    }))
}

/// What becomes of a load that nobody waits for, by its name.
pub fn on_abandon(name: &str) -> PyResult<OnAbandon> {
    match name {
        "cancel" => Ok(OnAbandon::Cancel),
        "finish" => Ok(OnAbandon::Finish),
        other => Err(pyo3::exceptions::PyValueError::new_err(format!(
            "cached(): on_abandon must be 'cancel' or 'finish', not {other:?}"
        ))),
    }
}
