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
//! 2. The reader is a Python object that says what an answer means: see `_core.pyi`.
//! 3. A value lands at once, where the answer was taken in; who waits for it is woken by whoever has
//!    taken in all that has arrived.  A cancellation is told with the loop's next round.

#![allow(unsafe_code)]

use std::time::Instant;

use aiocachetools_redis::Frame;
use aiocachetools_redis::envelope;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::aio::{Ask, Asyncio};
use crate::flight::{Flight, Waiter};
use crate::object::{GilCell, Ref};
use crate::outcome::{Failure, Outcome};
use crate::raw::{call_method0, call_method1};
use crate::shared::Shared;
use crate::tier_loader::Visit;
use crate::wait::cancelled;

/// How the results of one function are stored where nothing is special about them.
#[pyclass(frozen, module = "aiocachetools._core")]
pub struct PlainFormat {
    beginning: Vec<u8>,
    decode: Ref,
    max_bytes: usize,
    longest: f64,
}

#[pymethods]
impl PlainFormat {
    #[new]
    fn new(beginning: Vec<u8>, decode: &Bound<'_, PyAny>, max_bytes: usize, longest: f64) -> Self {
        Self { beginning, decode: decode.into(), max_bytes, longest }
    }

    /// The `stale_ms` of an entry and its value; `None` for what is not plain, or cannot be decoded.
    fn read<'py>(&self, py: Python<'py>, data: &[u8]) -> Option<(u32, Bound<'py, PyAny>)> {
        let stored = envelope::plain(data, &self.beginning, self.max_bytes)?;
        let value = self.decode.bound(py).call1((PyBytes::new(py, stored.payload),)).ok()?;
        Some((stored.stale_ms, value))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.decode.as_py())
    }
}

impl PlainFormat {
    /// A value and the seconds that it is good for; `None` for what the reader has to judge.
    fn answer<'py>(
        &self,
        py: Python<'py>,
        frames: &[Frame],
        asked: Instant,
    ) -> Option<(Bound<'py, PyAny>, f64)> {
        let [Frame::BulkString(Some(data)), Frame::Integer(milliseconds)] = frames else { return None };
        let (stale_ms, value) = self.read(py, data)?;
        let left = *milliseconds as f64 / 1000.0;
        let left = if (0.0..self.longest).contains(&left) { left } else { self.longest };
        let seconds = left - asked.elapsed().as_secs_f64() - f64::from(stale_ms) / 1000.0;
        (stale_ms == 0 || seconds > 0.0).then_some((value, seconds))
    }
}

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
    reader: Reader,
    plain: Option<Ref>,
    flight: Option<Ref>,
    /// The context of the task that it may become.
    context: Option<Ref>,
    callbacks: Vec<Ref>,
    /// A task that is left over from a closed loop is to be complained about.
    log_destroy_pending: bool,
}

/// Who says what an answer means.
enum Reader {
    /// A Python object.
    Object(Ref),
    /// The same, made when there is need of it: what is plain is kept without.
    Visit(Shared<Visit>),
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

/// What a task would be asked that is either of the two.
pub enum Progress {
    Over(Outcome),
    Task(Ref),
}

impl Fetch {
    pub fn create<'py>(
        event_loop: &Bound<'py, PyAny>,
        reader: &Bound<'py, PyAny>,
        plain: Option<&Bound<'py, PlainFormat>>,
    ) -> PyResult<Bound<'py, Self>> {
        Self::new(event_loop, Reader::Object(reader.into()), plain)
    }

    pub fn visiting<'py>(
        event_loop: &Bound<'py, PyAny>,
        visit: Visit,
        plain: Option<&Bound<'py, PlainFormat>>,
    ) -> PyResult<Bound<'py, Self>> {
        Self::new(event_loop, Reader::Visit(Shared::new(visit)), plain)
    }

    fn new<'py>(
        event_loop: &Bound<'py, PyAny>,
        reader: Reader,
        plain: Option<&Bound<'py, PlainFormat>>,
    ) -> PyResult<Bound<'py, Self>> {
        let asked = Asked {
            reader,
            plain: plain.map(Ref::from),
            flight: None,
            context: None,
            callbacks: Vec::new(),
            log_destroy_pending: true,
        };
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

    fn visit(&self) -> Option<&Visit> {
        match self.state() {
            State::Asked(Asked { reader: Reader::Visit(visit), .. }) => Some(visit),
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

    /// What has become of it, where it is more than a question.
    pub fn progress(&self) -> Option<Progress> {
        match self.state() {
            State::Asked(_) => None,
            State::Loading(task) => Some(Progress::Task(task.clone())),
            State::Over(outcome) => Some(Progress::Over(outcome.clone())),
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
        let py = slf.py();
        let State::Asked(asked) = slf.get().state() else { return Ok(Vec::new()) };
        let plain = asked.plain.clone();
        let plain = plain.as_ref().and_then(|plain| plain.bound(py).cast_exact::<PlainFormat>().ok());
        if let Some((value, seconds)) =
            plain.and_then(|plain| plain.get().answer(py, &frames, slf.get().asked))
        {
            if slf.get().keep(slf, seconds)? {
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
    fn keep(&self, slf: &Bound<'_, Self>, seconds: f64) -> PyResult<bool> {
        let State::Asked(Asked { reader: Reader::Visit(visit), flight: Some(flight), .. }) = self.state()
        else {
            return Ok(false);
        };
        let (visit, flight) = (visit.clone(), flight.clone());
        let Some(seconds) = visit.hit(slf.py(), seconds) else { return Ok(false) };
        Flight::of(&flight, slf.py()).keep_for(seconds);
        self.leave(slf).map(|()| true)
    }

    /// The near cache knows of it no longer.
    fn leave(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let State::Asked(asked) = self.state() else { return Ok(()) };
        match std::mem::replace(&mut asked.reader, Reader::Object(Ref::none())) {
            Reader::Visit(visit) => visit.leave(slf),
            Reader::Object(reader) => {
                reader.bound(slf.py()).call_method0(intern!(slf.py(), "cancel")).map(drop)
            }
        }
    }

    /// Who says what an answer means; `None` when it is over.
    fn reader<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let State::Asked(asked) = slf.get().state() else { return Ok(None) };
        let visit = match &asked.reader {
            Reader::Object(reader) => return Ok(Some(reader.bound(slf.py()).clone())),
            Reader::Visit(visit) => visit.clone(),
        };
        let reader = visit.reader(slf)?;
        match slf.get().state() {
            State::Asked(asked) => {
                let visit = std::mem::replace(&mut asked.reader, Reader::Object((&reader).into()));
                drop(visit);
                Ok(Some(reader))
            }
            // It was cancelled meanwhile, without the reader.
            _ => reader.call_method0(intern!(slf.py(), "cancel")).map(|_| None),
        }
    }

    fn heed(slf: &Bound<'_, Self>, verdict: PyResult<Verdict>) -> PyResult<Vec<Waiter>> {
        let py = slf.py();
        match verdict {
            Ok(Verdict::Value(value)) => Self::end(slf, Outcome::Value(value)),
            Ok(Verdict::Coroutine(coroutine)) => match Self::go_on(slf, &coroutine) {
                Ok(()) => Ok(Vec::new()),
                Err(error) => {
                    // Whoever refused the coroutine may have left it unstarted.
                    let _ = call_method0(py, &coroutine, &Asyncio::get(py)?.names.close);
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
        let task =
            asyncio.start_task_in(py, &context, &this.event_loop, coroutine, || flight.task_name(py))?;
        let State::Asked(asked) = this.take(State::Loading(task.clone())) else { return Ok(()) };
        if !asked.log_destroy_pending {
            // Not every loop's tasks have the attribute.
            let _ = task.bound(py).setattr(intern!(py, "_log_destroy_pending"), false);
        }
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
        match self.progress() {
            None => Ok(false),
            Some(Progress::Over(_)) => Ok(true),
            Some(Progress::Task(task)) => {
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

    #[setter(_log_destroy_pending)]
    fn set_log_destroy_pending(&self, complained: bool) {
        if let State::Asked(asked) = self.state() {
            asked.log_destroy_pending = complained;
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.event_loop.as_py())?;
        match self.state() {
            State::Asked(asked) => {
                let mut parts =
                    asked.plain.iter().chain(&asked.flight).chain(&asked.context).chain(&asked.callbacks);
                parts.try_for_each(|part| visit.call(part.as_py()))?;
                match &asked.reader {
                    Reader::Object(reader) => visit.call(reader.as_py()),
                    Reader::Visit(parts) => parts.parts().try_for_each(|part| visit.call(part.as_py())),
                }
            }
            State::Loading(task) => visit.call(task.as_py()),
            State::Over(outcome) => outcome.parts().try_for_each(|part| visit.call(part.as_py())),
        }
    }

    fn __clear__(&self) {
        drop(self.take(State::Over(Outcome::Value(Ref::none()))));
    }
}
