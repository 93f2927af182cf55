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

#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::ptr::null_mut;

use aiocachetools_core::flight::FlightId;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use crate::aio::{self, Asyncio};
use crate::flight::{Flight, Outcome, Start, Target, Wake};
use crate::function::Function;
use crate::key::Key;
use crate::object::Ref;
use crate::call::Call;
use crate::raw::{self, TypeCell};
use crate::site::Site;
use crate::{counts, log};

/// The arguments of a call, kept until its first step.
pub struct Arguments {
    pub values: Vec<Ref>,
    names: Option<Ref>,
}

impl Arguments {
    fn of(call: &Call<'_>) -> Self {
        // SAFETY: the arguments of a call are alive.
        let values = call.all().iter().map(|&value| unsafe { Ref::from_borrowed(value) }).collect();
        // SAFETY: the names are a tuple where they are not null.
        let names = (!call.names.is_null()).then(|| unsafe { Ref::from_borrowed(call.names) });
        Self { values, names }
    }

    fn call(&self, py: Python<'_>, function: &Ref) -> PyResult<Ref> {
        let names = self.names.as_ref().map_or(null_mut(), Ref::as_ptr);
        // SAFETY: `Ref` is a transparent pointer; the names tell how many values are keywords'.
        unsafe {
            let keywords = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) as usize };
            let values = self.values.as_ptr().cast::<*mut PyObject>();
            let count = self.values.len() - keywords;
            raw::owned(py, ffi::PyObject_Vectorcall(function.as_ptr(), values, count, names))
        }
    }
}

/// A call that missed and has not been stepped.
pub struct New {
    /// The cache, where it is not the function's own fixed one.
    pub site: Option<Site>,
    pub key: Key,
    hash: u64,
    pub arguments: Arguments,
}

/// What a waiter has of the flight it is in.
pub struct Seat {
    pub flight: Ref,
    position: usize,
    current: Option<FlightId>,
}

pub enum State {
    New(Box<New>),
    /// In a step: nothing to hold.
    Starting,
    Waiting(Seat),
    Unwinding(Seat, Option<Ref>),
    Landed(Outcome),
    Cancelled(Option<Ref>),
    Spent,
}

#[repr(C)]
pub struct Wait {
    ob_base: PyObject,
    pub weak_references: *mut PyObject,
    /// The task has been told that this is a future it waits for.
    pub blocking: bool,
    /// Before the first step this is no future.
    pub stepped: bool,
    pub state: ManuallyDrop<State>,
    pub function: ManuallyDrop<Ref>,
    pub callback: ManuallyDrop<Option<Ref>>,
    pub context: ManuallyDrop<Option<Ref>>,
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
    let new = Box::new(New { site, key, hash, arguments: Arguments::of(call) });
    // SAFETY: the type was made at import; every field of a new object is written before use.
    unsafe {
        let object = ffi::PyType_GenericAlloc(TYPE.get(), 0);
        if object.is_null() {
            return Err(raw::fetch(py));
        }
        let wait = &mut *object.cast::<Wait>();
        std::ptr::write(&mut wait.state, ManuallyDrop::new(State::New(new)));
        std::ptr::write(&mut wait.function, ManuallyDrop::new(function));
        std::ptr::write(&mut wait.callback, ManuallyDrop::new(None));
        std::ptr::write(&mut wait.context, ManuallyDrop::new(None));
        Ok(object)
    }
}

/// What a step came to.
pub enum Step {
    Return(Ref),
    Yield,
}

impl Wait {
    #[allow(clippy::mut_from_ref)]
    pub fn of(object: &Ref) -> &mut Self {
        // SAFETY: the caller's reference is to a `Wait`; the GIL is held and no other borrow of it
        // is used across this one.
        unsafe { Self::at(object.as_ptr()) }
    }

    pub unsafe fn at<'a>(object: *mut PyObject) -> &'a mut Self {
        // SAFETY: the caller's object is of this type.
        unsafe { &mut *object.cast() }
    }

    pub fn take(&mut self, next: State) -> State {
        std::mem::replace(&mut *self.state, next)
    }

    pub fn set_position(&mut self, to: usize) {
        if let State::Waiting(seat) | State::Unwinding(seat, _) = &mut *self.state {
            seat.position = to;
        }
    }

    pub fn step(&mut self, py: Python<'_>, me: *mut PyObject) -> PyResult<Step> {
        match self.take(State::Spent) {
            State::New(new) => {
                self.stepped = true;
                self.first_step(py, me, *new)
            }
            State::Landed(Outcome::Value(value)) => Ok(Step::Return(value)),
            State::Landed(Outcome::Error(failure)) => Err(failure.raise(py)),
            State::Cancelled(message) => Err(cancelled(py, message)),
            State::Spent => Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
            busy => {
                *self.state = busy;
                Err(PyRuntimeError::new_err("the call is being awaited already: await wasn't used with future"))
            }
        }
    }

    fn first_step(&mut self, py: Python<'_>, me: *mut PyObject, new: New) -> PyResult<Step> {
        let function_ref = (*self.function).clone();
        let function = Function::of(&function_ref);
        function.check_open(py)?;
        let New { site, key, hash, arguments } = new;
        let site = match &site {
            Some(site) => site,
            None => function.fixed_site(py)?,
        };
        if let Some(value) = site.lookup(py, hash, &key.query(py)?)? {
            counts::hit(site.shelf.counter);
            log::event(py, log::Event::Hit, &function_ref, &key);
            return Ok(Step::Return(value));
        }
        let asyncio = Asyncio::get(py)?;
        let event_loop = asyncio.running_loop(py, &function_ref)?;
        let current = asyncio.current_flight(py)?;
        let target = Target { function: &function_ref, site, key: &key, hash, event_loop: &event_loop };
        if let Some((_, flight)) = target.find(py)? {
            Flight::of(&flight, py).join(py, current)?;
            counts::hit(site.shelf.counter);
            log::event(py, log::Event::Join, &function_ref, &key);
            self.sit(me, flight, current, py);
            return Ok(Step::Yield);
        }
        counts::miss(site.shelf.counter);
        log::event(py, log::Event::Miss, &function_ref, &key);
        *self.state = State::Starting;
        let started = target.start(py, |py| arguments.call(py, function.function()), current);
        *self.state = State::Spent;
        match started? {
            Start::Done(Outcome::Value(value)) => Ok(Step::Return(value)),
            Start::Done(Outcome::Error(failure)) => Err(failure.raise(py)),
            Start::Waiting(flight) => {
                self.sit(me, flight, current, py);
                Ok(Step::Yield)
            }
        }
    }

    fn sit(&mut self, me: *mut PyObject, flight: Ref, current: Option<FlightId>, py: Python<'_>) {
        // SAFETY: the object is being stepped, so it is alive.
        let me = unsafe { Ref::from_borrowed(me) };
        let position = Flight::of(&flight, py).add_waiter(&me);
        *self.state = State::Waiting(Seat { flight, position, current });
        self.blocking = true;
    }

    /// The flight has landed; the flight has let go of this waiter already.
    pub fn land(&mut self, py: Python<'_>, me: &Ref, outcome: Outcome, wake: Wake, event_loop: &Ref) -> PyResult<()> {
        let next = match self.take(State::Spent) {
            State::Waiting(_) => State::Landed(outcome),
            State::Unwinding(_, message) => State::Cancelled(message),
            other => other,
        };
        *self.state = next;
        self.wake(py, me, wake, event_loop)
    }

    fn wake(&mut self, py: Python<'_>, me: &Ref, wake: Wake, event_loop: &Ref) -> PyResult<()> {
        let (callback, context) = (self.callback.take(), self.context.take());
        let Some(callback) = callback else { return Ok(()) };
        if wake == Wake::Now && aio::run_in_context(py, context.as_ref(), &callback, me)? {
            return Ok(());
        }
        Asyncio::get(py)?.call_soon(py, event_loop, &callback, me, context.as_ref())
    }

    /// Leaves the flight without waiting for anything.
    pub fn abandon(&mut self, py: Python<'_>) -> PyResult<()> {
        match self.take(State::Spent) {
            State::Waiting(seat) => {
                let flight = Flight::of(&seat.flight, py);
                if flight.leave(py, seat.position, seat.current, None)? {
                    flight.forget_waiter(seat.position);
                }
            }
            State::Unwinding(seat, _) => Flight::of(&seat.flight, py).forget_waiter(seat.position),
            _ => {}
        }
        Ok(())
    }

    /// What a task's cancellation calls.
    pub fn cancel(&mut self, py: Python<'_>, me: &Ref, message: Option<Ref>) -> PyResult<bool> {
        match self.take(State::Spent) {
            State::Waiting(seat) => {
                let flight_ref = seat.flight.clone();
                let flight = Flight::of(&flight_ref, py);
                let (position, current) = (seat.position, seat.current);
                // The waiter keeps its seat while the load is told, which may run anything.
                *self.state = State::Unwinding(seat, message.clone());
                if !flight.leave(py, position, current, message.as_ref())? {
                    *self.state = State::Cancelled(message);
                    self.wake(py, me, Wake::Soon, flight.event_loop())?;
                }
                Ok(true)
            }
            State::Unwinding(seat, first) => {
                let flight = seat.flight.clone();
                *self.state = State::Unwinding(seat, first);
                Flight::of(&flight, py).cancel_load(py, message.as_ref())?;
                Ok(true)
            }
            other => {
                *self.state = other;
                Ok(false)
            }
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(&*self.state, State::Landed(_) | State::Cancelled(_) | State::Spent)
    }
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
