//! `Wait`: the coroutine that a miss returns, and the future that it yields while a load runs.
//!
//! ```text
//!            first step: hit, or the load ended at once
//!   New ───────────────────────────────────────────────────► Spent
//!    │ first step: joins or starts a flight                    ▲
//!    ▼            landed              step                     │
//!   Waiting ───────────────► Landed ───────────────────────────┤
//!    │ cancel(), others wait                    result()       │
//!    ├────────────────────────► Cancelled ─────────────────────┤
//!    │ cancel(), the last            ▲ landed                  │
//!    └──────────► Unwinding ─────────┘                         │
//!   close(), throw() from any state leave the flight ──────────┘
//! ```
//!
//! 1. Nothing starts before the first step, which looks at the cache again.
//! 2. The task that steps it sees a future: the coroutine yields itself, the task adds its wakeup,
//!    and the flight's landing calls it in the task's own context.
//! 3. `_asyncio_future_blocking` is None before the first step, so that asyncio takes the object
//!    for the coroutine that it is.
//! 4. Cancellation of the last waiter is raised only when the load has unwound.
//! 5. A call for several keys is a [`Gathering`] between its first step and its outcome.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::mem::ManuallyDrop;

use aiocachetools_core::flight::FlightId;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use crate::aio::{self, Asyncio};
use crate::arguments::Arguments;
use crate::call::Call;
use crate::event::{self, Event};
use crate::flight::{Flight, Start, Waiter};
use crate::freshness::Freshness;
use crate::function::Function;
use crate::key::Key;
use crate::landing::Wake;
use crate::object::{GilCell, Ref};
use crate::outcome::Outcome;
use crate::raw::{self, TypeCell};
use crate::site::Site;
use crate::stale::{Reply, cancel_timer};
use crate::target::{Approach, Target};
use crate::wait_state::{New, Seat, State};
use crate::{counts, removal};

#[repr(C)]
pub struct Wait {
    ob_base: PyObject,
    pub weak_references: *mut PyObject,
    /// The task has been told that this is a future it waits for.
    pub blocking: Cell<bool>,
    /// Before the first step this is no future.
    pub stepped: Cell<bool>,
    state: ManuallyDrop<GilCell<State>>,
    pub function: ManuallyDrop<Ref>,
    /// The task's wakeup and the context to run it in.
    callback: ManuallyDrop<GilCell<Option<Callback>>>,
    event_loop: ManuallyDrop<GilCell<Option<Ref>>>,
    /// What ends the waiting where there is a stale value.
    patience: ManuallyDrop<GilCell<Option<Ref>>>,
}

pub struct Callback {
    pub function: Ref,
    pub context: Option<Ref>,
}

pub static TYPE: TypeCell = TypeCell::new();

/// A coroutine for a call that missed.
pub fn new(
    py: Python<'_>,
    function: Ref,
    site: Option<Site>,
    key: Key,
    hash: u64,
    call: &Call<'_>,
) -> PyResult<*mut PyObject> {
    let new = Box::new(New { site, key, hash, arguments: Arguments::of(call), refresh: false });
    with_state(py, function, State::New(new))
}

/// A coroutine that loads whatever there is.
pub fn refresh(
    py: Python<'_>,
    function: Ref,
    site: Site,
    key: Key,
    hash: u64,
    call: &Call<'_>,
) -> PyResult<*mut PyObject> {
    let new = New { site: Some(site), key, hash, arguments: Arguments::of(call), refresh: true };
    with_state(py, function, State::New(Box::new(new)))
}

/// A coroutine of a function's in a state.
pub fn with_state(py: Python<'_>, function: Ref, state: State) -> PyResult<*mut PyObject> {
    // SAFETY: the type was made at import; every field of a new object is written before use.
    unsafe {
        let object = ffi::PyType_GenericAlloc(TYPE.get(), 0);
        if object.is_null() {
            return Err(raw::fetch(py));
        }
        let wait = object.cast::<Wait>();
        std::ptr::write(&raw mut (*wait).state, ManuallyDrop::new(GilCell::new(state)));
        std::ptr::write(&raw mut (*wait).function, ManuallyDrop::new(function));
        std::ptr::write(&raw mut (*wait).callback, ManuallyDrop::new(GilCell::new(None)));
        std::ptr::write(&raw mut (*wait).event_loop, ManuallyDrop::new(GilCell::new(None)));
        std::ptr::write(&raw mut (*wait).patience, ManuallyDrop::new(GilCell::new(None)));
        Ok(object)
    }
}

/// What a step came to.
pub enum Step {
    Return(Ref),
    Yield,
}

impl Wait {
    pub fn of(object: &Ref) -> &Self {
        // SAFETY: the caller's reference is to a `Wait`.
        unsafe { Self::at(object.as_ptr()) }
    }

    /// # Safety
    /// The object is of this type and outlives the use of the result.
    pub unsafe fn at<'a>(object: *mut PyObject) -> &'a Self {
        // SAFETY: the caller's promise.
        unsafe { &*object.cast() }
    }

    /// Reads the state; `read` runs no Python code and drops no reference.
    pub fn with_state<R>(&self, read: impl FnOnce(&mut State) -> R) -> R {
        // SAFETY: the GIL is held; see above.
        read(unsafe { self.state.get() })
    }

    /// Puts a state in place of the present one, which is given back.
    pub fn swap(&self, next: State) -> State {
        self.with_state(|state| std::mem::replace(state, next))
    }

    fn set(&self, next: State) {
        drop(self.swap(next));
    }

    /// The place among a flight's waiters of the call, or of one of its keys, has changed.
    pub fn set_position(&self, number: u32, to: usize) {
        self.with_state(|state| match state {
            State::Waiting(seat) | State::Unwinding(seat, _) => seat.position = to,
            State::Gathering(gathering) => {
                if let Some(seat) = gathering.seat_mut(number) {
                    seat.position = to;
                }
            }
            _ => {}
        });
    }

    /// The loop that the call waits, or waited, on.
    pub fn event_loop(&self) -> Option<Ref> {
        // SAFETY: the GIL is held; the reference is cloned.
        unsafe { self.event_loop.get() }.clone()
    }

    fn take_callback(&self) -> Option<Callback> {
        // SAFETY: the GIL is held; what is taken is dropped by the caller.
        unsafe { self.callback.get() }.take()
    }

    /// Puts a timer in the place of the present one, which is given back.
    pub fn set_patience(&self, timer: Option<Ref>) -> Option<Ref> {
        // SAFETY: the GIL is held; what is taken is dropped by the caller.
        std::mem::replace(unsafe { self.patience.get() }, timer)
    }

    /// What the garbage collector must know besides the state; for it alone.
    pub fn parts(&self) -> impl Iterator<Item = &Ref> {
        // SAFETY: the collector runs no Python code while it visits.
        let (callback, event_loop, patience) =
            unsafe { (self.callback.get(), self.event_loop.get(), self.patience.get()) };
        let callback =
            callback.iter().flat_map(|callback| [Some(&callback.function), callback.context.as_ref()]);
        callback.flatten().chain(event_loop.iter()).chain(patience.iter()).chain([&*self.function])
    }

    /// Drops what the object holds: it is being collected, or freed.
    pub fn release(&self) {
        let state = self.swap(State::Spent);
        let callback = self.take_callback();
        // SAFETY: the GIL is held; what is taken is dropped after the borrow.
        let event_loop = unsafe { self.event_loop.get() }.take();
        drop((callback, event_loop, self.set_patience(None)));
        if !matches!(state, State::Spent) {
            // Arguments may be unawaited calls in turn, in a chain of any length.
            removal::dispose(state);
        }
    }

    pub fn step(&self, py: Python<'_>, me: *mut PyObject) -> PyResult<Step> {
        match self.swap(State::Spent) {
            State::New(new) => {
                self.stepped.set(true);
                self.first_step(py, me, *new)
            }
            State::NewMany(new) => {
                self.stepped.set(true);
                // SAFETY: the object is being stepped, so it is alive.
                self.first_step_of_many(py, &unsafe { Ref::from_borrowed(me) }, *new)
            }
            State::Gathering(gathering) if gathering.is_complete() => {
                gathering.result(py, Function::of(&self.function)).map(Step::Return)
            }
            State::Gathering(gathering) if gathering.is_starting() => {
                self.set(State::Gathering(gathering));
                Err(already_executing())
            }
            State::Landed(Outcome::Value(value)) => Ok(Step::Return(value)),
            State::Landed(Outcome::Error(failure)) => Err(failure.raise(py)),
            State::Cancelled(message) => Err(cancelled(py, message)),
            State::Spent => Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
            State::Starting => {
                self.set(State::Starting);
                Err(already_executing())
            }
            waiting => {
                self.set(waiting);
                Err(PyRuntimeError::new_err(
                    "the call is being awaited already: await wasn't used with future",
                ))
            }
        }
    }

    fn first_step(&self, py: Python<'_>, me: *mut PyObject, new: New) -> PyResult<Step> {
        let function_ref = (*self.function).clone();
        let function = Function::of(&function_ref);
        function.check_open(py)?;
        let New { site, key, hash, arguments, refresh } = new;
        let site = match &site {
            Some(site) => site,
            None => function.fixed_site(py)?,
        };
        if !refresh && let Some(value) = site.look_again(py, hash, &key.query(py)?)? {
            counts::hit(site.shelf.counter());
            event::tell(py, Event::Hit, &function_ref, &key);
            return Ok(Step::Return(value));
        }
        let asyncio = Asyncio::get(py)?;
        let event_loop = asyncio.running_loop(py, &function_ref)?;
        let target = Target { function: &function_ref, site, key: &key, hash, event_loop: &event_loop };
        let mut fallback = None;
        if let Some(freshness) = function.freshness.as_ref().filter(|_| !refresh) {
            let reply = target.reply(py, freshness)?;
            if let Some(event) = reply.event() {
                event::tell(py, event, &function_ref, &key);
            }
            match &reply {
                Reply::Refresh(_) => target.refresh(py, freshness, &arguments)?,
                Reply::Load { fallback: true } => fallback = Some(freshness),
                _ => {}
            }
            if let Some(outcome) = reply.outcome() {
                return outcome.result(py).map(Step::Return);
            }
        }
        let current = asyncio.current_flight(py)?;
        let tags = match target.approach(py, || arguments.clone())? {
            Approach::Start(tags) => tags,
            Approach::Join(flight) => {
                Flight::of(&flight, py).join(py, current)?;
                counts::join(site.shelf.counter());
                self.sit(py, me, flight, current, fallback)?;
                event::tell(py, Event::Join, &function_ref, &key);
                return Ok(Step::Yield);
            }
        };
        counts::miss(site.shelf.counter());
        self.set(State::Starting);
        let started = target.start(py, tags, |py| function.load(py, &key, &event_loop, &arguments), current);
        self.set(State::Spent);
        match started? {
            Start::Done(outcome) => outcome.result(py).map(Step::Return),
            Start::Waiting(flight) => {
                self.sit(py, me, flight, current, fallback)?;
                Ok(Step::Yield)
            }
        }
    }

    /// Waits for a flight; not too long where there is a stale value to fall back on.
    fn sit(
        &self,
        py: Python<'_>,
        me: *mut PyObject,
        flight: Ref,
        current: Option<FlightId>,
        fallback: Option<&Freshness>,
    ) -> PyResult<()> {
        // SAFETY: the object is being stepped, so it is alive.
        let me = unsafe { Ref::from_borrowed(me) };
        let event_loop = Flight::of(&flight, py).event_loop().clone();
        let position = Flight::of(&flight, py).add_waiter(Waiter { call: me.clone(), number: 0 });
        self.set(State::Waiting(Seat { flight, position, current, number: 0 }));
        let limited = match fallback {
            Some(freshness) => self.limit_patience(py, &me, &event_loop, freshness),
            None => Ok(()),
        };
        if limited.is_err() {
            self.abandon(py, &me)?;
        }
        self.block(event_loop);
        limited
    }

    /// From here on the task that steps the call sees a future of this loop.
    pub fn block(&self, event_loop: Ref) {
        // SAFETY: the GIL is held; the place was empty.
        unsafe { *self.event_loop.get() = Some(event_loop) };
        self.blocking.set(true);
    }

    /// The flight has landed and let go of this waiter, or of one of its keys; `wake` is to follow.
    pub fn settle(&self, number: u32, outcome: &Outcome) {
        match self.swap(State::Spent) {
            State::Waiting(_) => self.set(State::Landed(outcome.clone())),
            State::Gathering(mut gathering) => {
                let left = gathering.settle(number, outcome.clone());
                let cancelled = if gathering.is_complete() { gathering.cancelled.take() } else { None };
                match cancelled {
                    Some(message) => self.set(State::Cancelled(message)),
                    None => self.set(State::Gathering(gathering)),
                }
                drop(left);
            }
            State::Unwinding(_, message) => self.set(State::Cancelled(message)),
            other => self.set(other),
        }
    }

    /// Tells the task that waits, if one does.
    pub fn wake(&self, py: Python<'_>, me: &Ref, wake: Wake) -> PyResult<()> {
        cancel_timer(py, self.set_patience(None));
        let (Some(callback), Some(event_loop)) = (self.take_callback(), self.event_loop()) else {
            return Ok(());
        };
        let Callback { function, context } = callback;
        if wake == Wake::Now && aio::run_in_context(py, context.as_ref(), &function, me)? {
            return Ok(());
        }
        Asyncio::get(py)?.call_soon(py, &event_loop, &function, me, context.as_ref())
    }

    /// Takes a task's wakeup: called when there is an outcome, at once with the next round if it
    /// is there already.
    pub fn add_callback(&self, py: Python<'_>, me: &Ref, callback: Callback) -> PyResult<()> {
        // SAFETY: the GIL is held; the place is only written when it is empty.
        let place = unsafe { self.callback.get() };
        if place.is_some() {
            return Err(PyRuntimeError::new_err("a cached call is awaited by one task: create a task of it"));
        }
        *place = Some(callback);
        if self.is_done() { self.wake(py, me, Wake::Soon) } else { Ok(()) }
    }

    /// Leaves the flight without waiting for anything; what goes wrong is nobody's to hear, as
    /// when a coroutine is closed after its loop.
    pub fn abandon(&self, py: Python<'_>, me: &Ref) -> PyResult<()> {
        match self.swap(State::Spent) {
            State::Starting => {
                self.set(State::Starting);
                return Err(already_executing());
            }
            State::Waiting(seat) => {
                let flight = Flight::of(&seat.flight, py);
                if flight.leave(py, &seat, me, None).unwrap_or(true) {
                    flight.remove_waiter(&seat, me);
                }
            }
            State::Gathering(gathering) => {
                let starting = gathering.is_starting();
                self.set(State::Gathering(gathering));
                if starting {
                    return Err(already_executing());
                }
                let _ = self.leave_all(py, me, None, false);
                self.set(State::Spent);
            }
            State::Unwinding(seat, _) => Flight::of(&seat.flight, py).remove_waiter(&seat, me),
            _ => {}
        }
        let _ = self.wake(py, me, Wake::Soon);
        Ok(())
    }

    /// What a task's cancellation calls.
    pub fn cancel(&self, py: Python<'_>, me: &Ref, message: Option<Ref>) -> PyResult<bool> {
        match self.swap(State::Spent) {
            State::Waiting(seat) => {
                let left = seat.clone();
                // The waiter keeps its seat while the load is told, which may run anything.
                self.set(State::Unwinding(seat, message.clone()));
                if !Flight::of(&left.flight, py).leave(py, &left, me, message.as_ref())? {
                    self.set(State::Cancelled(message));
                    self.wake(py, me, Wake::Soon)?;
                }
                Ok(true)
            }
            State::Unwinding(seat, first) => {
                let flight = seat.flight.clone();
                self.set(State::Unwinding(seat, first));
                Flight::of(&flight, py).cancel_load(py, message.as_ref())?;
                Ok(true)
            }
            State::Gathering(gathering) if !gathering.is_starting() && !gathering.is_complete() => {
                self.set(State::Gathering(gathering));
                self.cancel_gathering(py, me, message).map(|()| true)
            }
            other => {
                self.set(other);
                Ok(false)
            }
        }
    }

    /// Whether there is nothing left to leave, to warn of or to wake.
    pub fn is_over(&self) -> bool {
        // SAFETY: the GIL is held; nothing is called.
        let waits = unsafe { self.callback.get().is_some() || self.patience.get().is_some() };
        !waits && self.with_state(|state| matches!(state, State::Spent))
    }

    pub fn is_done(&self) -> bool {
        self.with_state(|state| match state {
            State::Landed(_) | State::Cancelled(_) | State::Spent => true,
            State::Gathering(gathering) => gathering.is_complete(),
            _ => false,
        })
    }
}

pub fn already_executing() -> PyErr {
    PyValueError::new_err("coroutine already executing")
}

pub fn cancelled(py: Python<'_>, message: Option<Ref>) -> PyErr {
    let class = match Asyncio::get(py) {
        Ok(asyncio) => asyncio.cancelled_error.bound(py),
        Err(error) => return error,
    };
    let error = match message {
        Some(message) => class.call1((message.bound(py),)),
        None => class.call0(),
    };
    error.map_or_else(|error| error, PyErr::from_value)
}
