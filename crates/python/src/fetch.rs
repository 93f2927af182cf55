//! A load that begins with a look at what a server has: a task is made only where that is not enough.
//!
//! ```text
//!           the server has a value
//!   Asked ──────────────────────────────► Over
//!    │ │           cancelled               ▲
//!    │ └───────────────────────────────────┤
//!    │ the reader goes on with a coroutine │
//!    └──────────► Loading ─────────────────┘
//! ```
//!
//! 1. To its flight it is what a task is; it has that flight's context for the task it may become.
//! 2. A plain value is kept as it is.  Of anything else a reader says what it means: a Python object that
//!    takes the load's place in the near cache when there is need of it.
//! 3. A value lands at once, where the answer was taken in; who waits for it is woken by whoever has
//!    taken in all that has arrived.  A cancellation is told with the loop's next round.

#![allow(unsafe_code)]

use std::time::Instant;

use aiocachetools_redis::Frame;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::aio::{Ask, Asyncio, Entered};
use crate::flight::{Flight, Waiter};
use crate::object::{GilCell, Ref};
use crate::outcome::{Failure, Outcome};
use crate::raw::{call_method0, call_method1};
use crate::shared::Shared;
use crate::tier_loader::Visit;
use crate::wait::cancelled;

/// A load that has asked the server, and has no task as long as that is all.
#[pyclass(frozen, module = "aiocachetools._core")]
pub struct Fetch {
    event_loop: Ref,
    asked: Instant,
    state: GilCell<State>,
}

enum State {
    Asked(Asked),
    Loading(Ref),
    Over(Outcome),
}

struct Asked {
    visit: Shared<Visit>,
    /// Who goes on with the visit.
    reader: Option<Ref>,
    flight: Option<Ref>,
    /// The context of the task that it may become.
    context: Option<Ref>,
    callbacks: Vec<Ref>,
}

/// What a reader makes of an answer.
enum Verdict {
    Value(Ref),
    /// The load goes on.
    Coroutine(Ref),
}

impl Verdict {
    fn value(value: Bound<'_, PyAny>) -> Self {
        Self::Value(value.into())
    }

    fn coroutine(coroutine: Bound<'_, PyAny>) -> Self {
        Self::Coroutine(coroutine.into())
    }

    /// A value comes in a tuple.
    fn of(said: Bound<'_, PyAny>) -> PyResult<Self> {
        match said.cast_exact::<PyTuple>() {
            Ok(tuple) => tuple.get_item(0).map(Self::value),
            Err(_) => Ok(Self::coroutine(said)),
        }
    }
}

impl Fetch {
    pub fn new<'py>(event_loop: &Bound<'py, PyAny>, visit: Visit) -> PyResult<Bound<'py, Self>> {
        let visit = Shared::new(visit);
        let asked = Asked { visit, reader: None, flight: None, context: None, callbacks: Vec::new() };
        let state = GilCell::new(State::Asked(asked));
        Bound::new(event_loop.py(), Self { event_loop: event_loop.into(), asked: Instant::now(), state })
    }

    /// The fetch that a loader has returned in the place of a coroutine.
    pub fn from_exact<'a>(py: Python<'a>, object: &'a Ref) -> Option<&'a Self> {
        object.bound(py).cast_exact::<Self>().ok().map(Bound::get)
    }

    #[allow(clippy::mut_from_ref)]
    fn state(&self) -> &mut State {
        // SAFETY: the GIL is held; each use ends before Python code can run.
        unsafe { self.state.get() }
    }

    /// What the near cache knows, until a reader takes its place.
    fn visit(&self) -> Option<&Shared<Visit>> {
        match self.state() {
            State::Asked(Asked { visit, reader: None, .. }) => Some(visit),
            _ => None,
        }
    }

    fn take(&self, next: State) -> State {
        std::mem::replace(self.state(), next)
    }

    /// It is the load of a flight from now on, in the current context.
    pub fn adopt(&self, py: Python<'_>, flight: &Ref) -> PyResult<()> {
        let context = Asyncio::copy_context(py)?;
        if let State::Asked(asked) = self.state() {
            (asked.flight, asked.context) = (Some(flight.clone()), Some(context));
        }
        Ok(())
    }

    /// What it has come to without a task.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state() {
            State::Over(outcome) => Some(outcome.clone()),
            _ => None,
        }
    }

    /// The server has answered; those who waited have their outcome, and are to be woken.
    ///
    /// `reply` makes Python objects of the frames.
    pub fn answer<'py>(
        slf: &Bound<'py, Self>,
        frames: Vec<Frame>,
        reply: impl FnOnce(Vec<Frame>) -> PyResult<Result<Bound<'py, PyAny>, Bound<'py, PyAny>>>,
    ) -> PyResult<Vec<Waiter>> {
        let (py, this) = (slf.py(), slf.get());
        let Some(visit) = this.visit().cloned() else { return Ok(Vec::new()) };
        if let Some((value, seconds)) =
            visit.plain(py).and_then(|plain| plain.answer(py, &frames, this.asked))
        {
            if this.keep(slf, &visit, seconds)? {
                return Self::end(slf, Outcome::Value(value.into()));
            }
            return Self::read(slf, |reader| {
                let said = reader.call_method1(intern!(py, "keep"), (seconds,))?;
                Ok(if said.is_none() { Verdict::value(value) } else { Verdict::coroutine(said) })
            });
        }
        match reply(frames)? {
            Ok(reply) => Self::read(slf, |reader| {
                reader.call_method1(intern!(py, "answer"), (reply,)).and_then(Verdict::of)
            }),
            Err(error) => Self::fail(slf, error),
        }
    }

    /// There is no answer but an exception.
    pub fn fail<'py>(slf: &Bound<'py, Self>, error: Bound<'py, PyAny>) -> PyResult<Vec<Waiter>> {
        Self::read(slf, |reader| {
            reader.call_method1(intern!(slf.py(), "fail"), (error,)).map(Verdict::coroutine)
        })
    }

    /// Has its reader say what there is to do, and does it.
    fn read<'py>(
        slf: &Bound<'py, Self>,
        ask: impl FnOnce(Bound<'py, PyAny>) -> PyResult<Verdict>,
    ) -> PyResult<Vec<Waiter>> {
        match Self::reader(slf) {
            Ok(None) => Ok(Vec::new()),
            Ok(Some(reader)) => Self::heed(slf, ask(reader)),
            Err(error) => {
                slf.get().leave(slf)?;
                Self::heed(slf, Err(error))
            }
        }
    }

    /// Says for how long the flight may keep the value that was read, if nothing is against it.
    fn keep(&self, slf: &Bound<'_, Self>, visit: &Visit, seconds: f64) -> PyResult<bool> {
        let py = slf.py();
        let State::Asked(Asked { flight: Some(flight), .. }) = self.state() else { return Ok(false) };
        let flight = flight.clone();
        let flight = Flight::of(&flight, py);
        let Some(seconds) = visit.hit(py, seconds).filter(|_| flight.can_limit(py)) else { return Ok(false) };
        flight.keep_for(seconds);
        self.leave(slf).map(|()| true)
    }

    /// The near cache knows of it no longer.
    fn leave(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let State::Asked(asked) = self.state() else { return Ok(()) };
        let (visit, reader) = (asked.visit.clone(), asked.reader.clone());
        match reader {
            None => visit.leave(slf),
            Some(reader) => reader.bound(slf.py()).call_method0(intern!(slf.py(), "leave")).map(drop),
        }
    }

    /// Who says what an answer means; `None` when it is over.
    fn reader<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(visit) = slf.get().visit().cloned() else { return Ok(None) };
        let reader = visit.reader(slf)?;
        if let State::Asked(asked) = slf.get().state() {
            asked.reader = Some((&reader).into());
        }
        Ok(Some(reader))
    }

    fn heed(slf: &Bound<'_, Self>, verdict: PyResult<Verdict>) -> PyResult<Vec<Waiter>> {
        let py = slf.py();
        match verdict {
            Ok(Verdict::Value(value)) => Self::end(slf, Outcome::Value(value)),
            Ok(Verdict::Coroutine(coroutine)) => match Self::go_on(slf, &coroutine) {
                Ok(()) => Ok(Vec::new()),
                Err(error) => {
                    slf.get().leave(slf)?;
                    Self::end(slf, Outcome::Error(Failure::new(py, error)))
                }
            },
            Err(error) => Self::end(slf, Outcome::Error(Failure::new(py, error))),
        }
    }

    /// A task goes on with the load, in the context that it was begun in.
    fn go_on(slf: &Bound<'_, Self>, coroutine: &Ref) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let asyncio = Asyncio::get(py)?;
        let State::Asked(asked) = this.state() else {
            // The reader's own code has cancelled it.
            return call_method0(py, coroutine, &asyncio.names.close).map(drop);
        };
        let (Some(flight), Some(context)) = (asked.flight.clone(), asked.context.clone()) else {
            return Err(PyRuntimeError::new_err("a fetch was answered before it was anybody's load"));
        };
        let flight = Flight::of(&flight, py);
        let entered = Entered::new(py, &context)?;
        let task = flight.start_task(py, asyncio, coroutine, false)?;
        drop(entered);
        if !flight.has_waiters() {
            flight.may_outlive_its_loop(py);
        }
        let State::Asked(asked) = this.take(State::Loading(task.clone())) else { return Ok(()) };
        asked.flight.iter().chain(&asked.callbacks).try_for_each(|callback| {
            call_method1(py, &task, &asyncio.names.add_done_callback, callback).map(drop)
        })
    }

    /// It is over, and so is its flight.
    fn end(slf: &Bound<'_, Self>, outcome: Outcome) -> PyResult<Vec<Waiter>> {
        let (py, this) = (slf.py(), slf.get());
        if !matches!(this.state(), State::Asked(_)) {
            return Ok(Vec::new());
        }
        let State::Asked(asked) = this.take(State::Over(outcome.clone())) else { return Ok(Vec::new()) };
        this.tell_soon(slf, &asked.callbacks)?;
        match &asked.flight {
            Some(flight) => Ok(Flight::of(flight, py).conclude(py, outcome).1),
            None => Ok(Vec::new()),
        }
    }

    fn tell_soon(&self, slf: &Bound<'_, Self>, callbacks: &[Ref]) -> PyResult<()> {
        let (py, me) = (slf.py(), Ref::from(slf));
        let asyncio = Asyncio::get(py)?;
        callbacks.iter().try_for_each(|callback| asyncio.call_soon(py, &self.event_loop, callback, &me, None))
    }
}

#[pymethods]
impl Fetch {
    fn done(&self, py: Python<'_>) -> PyResult<bool> {
        match self.state() {
            State::Asked(_) => Ok(false),
            State::Over(_) => Ok(true),
            State::Loading(task) => {
                let task = task.clone();
                Asyncio::get(py)?.ask_task(py, &task, Ask::Done)?.bound(py).is_truthy()
            }
        }
    }

    fn get_loop<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.event_loop.bound(py).clone()
    }

    fn add_done_callback(slf: &Bound<'_, Self>, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, callback) = (slf.py(), Ref::from(callback));
        match slf.get().state() {
            State::Asked(asked) => asked.callbacks.push(callback),
            State::Over(_) => slf.get().tell_soon(slf, &[callback])?,
            State::Loading(task) => {
                let task = task.clone();
                call_method1(py, &task, &Asyncio::get(py)?.names.add_done_callback, &callback)?;
            }
        }
        Ok(())
    }

    #[pyo3(signature = (msg = None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Bound<'_, PyAny>>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let message = msg.map(Ref::from);
        match this.state() {
            State::Over(_) => return Ok(false),
            State::Loading(task) => {
                let task = task.clone();
                Asyncio::get(py)?.cancel(py, &task, message.as_ref())?;
                return Ok(true);
            }
            State::Asked(_) => {}
        }
        let outcome = Outcome::Error(Failure::new(py, cancelled(py, message)));
        this.leave(slf)?;
        let State::Asked(asked) = this.take(State::Over(outcome)) else { return Ok(false) };
        let told: Vec<Ref> = asked.flight.into_iter().chain(asked.callbacks).collect();
        this.tell_soon(slf, &told).map(|()| true)
    }

    /// As a visit of the near cache's: the place.
    #[getter]
    fn place<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.visit().map(|visit| visit.place.bound(py).clone())
    }

    /// Seconds since the server was asked.
    #[getter]
    fn age(&self) -> f64 {
        self.asked.elapsed().as_secs_f64()
    }

    /// A message only makes it look again.
    #[getter]
    fn watches(&self) -> bool {
        self.visit().is_some()
    }

    /// There was a message about the place.
    #[getter]
    fn heard(&self) -> bool {
        self.visit().is_some_and(|visit| visit.heard.get())
    }

    fn hear(&self) {
        if let Some(visit) = self.visit() {
            visit.heard.set(true);
        }
    }

    /// Its value may not be stored.
    #[getter]
    fn fenced(&self) -> bool {
        self.visit().is_some_and(|visit| visit.fenced.get())
    }

    #[setter]
    fn set_fenced(&self, fenced: bool) {
        if let Some(visit) = self.visit() {
            visit.fenced.set(fenced);
        }
    }

    /// The key of its lease: it never has one.
    #[getter]
    fn leads(&self) -> Option<Py<PyBytes>> {
        None
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.event_loop.as_py())?;
        match self.state() {
            State::Asked(asked) => {
                let parts = asked.reader.iter().chain(&asked.flight).chain(&asked.context);
                let mut parts = parts.chain(&asked.callbacks).chain(asked.visit.parts());
                parts.try_for_each(|part| visit.call(part.as_py()))
            }
            State::Loading(task) => visit.call(task.as_py()),
            State::Over(outcome) => outcome.parts().try_for_each(|part| visit.call(part.as_py())),
        }
    }

    fn __clear__(&self) {
        drop(self.take(State::Over(Outcome::Value(Ref::none()))));
    }
}
