//! A connection to Redis as a protocol of the loop's own transports.
//!
//! 1. Bytes, times and order are `aiocachetools_redis`'s; here are futures, timers and the transport.
//! 2. Everything happens on the loop's thread.  No Python code runs while the state is borrowed.
//! 3. The owner is told what has happened by its methods `ready`, `changed`, `published` and `lost`, in
//!    the order in which the server sent it.  Answers are set before what came after them is told.
//! 4. Nothing here keeps a caller's context variables.

use aiocachetools_redis::connection::{Broken, Connection, Event};
use aiocachetools_redis::handshake::{Options, Refusal};
use aiocachetools_redis::watch::{Limits, Verdict};
use pyo3::exceptions::{PyConnectionError, PyTimeoutError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::redis_command::write_command;
use crate::redis_frame::{answer, answers, reply_error};

/// Seconds for which a server is given up after it has missed a deadline.
const GRACE: f64 = 1.0;
/// Seconds of silence after which the server is asked for a sign of life.
const HEARTBEAT: f64 = 1.0;

/// Who waits for the answer to a request.
struct Asker {
    future: Py<PyAny>,
    /// Whether for a list of them.
    many: bool,
}

/// One connection to a server, from the transport's beginning to its end.
#[pyclass(module = "aiocachetools._core", weakref)]
pub struct RedisConnection {
    connection: Connection<Asker>,
    deadline: f64,
    event_loop: Py<PyAny>,
    owner: Option<Py<PyAny>>,
    reply_error: Py<PyAny>,
    /// `{"context": Context()}`
    keywords: Py<PyDict>,
    transport: Option<Py<PyAny>>,
    timer: Option<Py<PyAny>>,
    /// When the timer comes.
    due: f64,
    is_flushing: bool,
    is_paused: bool,
    /// Why it has ended, if not by the transport.
    reason: Option<PyErr>,
}

#[pymethods]
impl RedisConnection {
    #[new]
    #[pyo3(signature = (owner, reply_error, *, username, password, database, channel, deadline, longest))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        owner: Py<PyAny>,
        reply_error: Py<PyAny>,
        username: Option<Vec<u8>>,
        password: Option<Vec<u8>>,
        database: u32,
        channel: Vec<u8>,
        deadline: f64,
        longest: usize,
    ) -> PyResult<Self> {
        let name = b"aiocachetools".to_vec();
        let options = Options { username, password, database, name, channel, tracking: true };
        let limits = Limits { deadline, grace: GRACE, heartbeat: HEARTBEAT };
        let keywords = PyDict::new(py);
        keywords.set_item("context", py.import("contextvars")?.getattr("Context")?.call0()?)?;
        Ok(Self {
            connection: Connection::new(options, limits, longest),
            deadline,
            event_loop: py.import("asyncio")?.getattr("get_running_loop")?.call0()?.unbind(),
            owner: Some(owner),
            reply_error,
            keywords: keywords.unbind(),
            transport: None,
            timer: None,
            due: f64::INFINITY,
            is_flushing: false,
            is_paused: false,
            reason: None,
        })
    }

    /// The reply to one command.
    #[pyo3(signature = (*command))]
    fn execute<'py>(slf: &Bound<'py, Self>, command: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        Self::request(slf, false, |out| write_command(out, command).map(|()| 1))
    }

    /// The replies to several commands, in one list.
    fn execute_many<'py>(
        slf: &Bound<'py, Self>,
        commands: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::request(slf, true, |out| {
            let mut count = 0;
            for command in commands.try_iter()? {
                write_command(out, &command?)?;
                count += 1;
            }
            Ok(count)
        })
    }

    /// End it, without waiting for anything.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        let transport = slf.borrow().transport.as_ref().map(|transport| transport.clone_ref(slf.py()));
        if let Some(transport) = transport {
            transport.call_method0(slf.py(), intern!(slf.py(), "abort"))?;
        }
        Ok(())
    }

    fn connection_made(slf: &Bound<'_, Self>, transport: Py<PyAny>) -> PyResult<()> {
        slf.borrow_mut().transport = Some(transport);
        Self::flush(slf)
    }

    fn data_received(slf: &Bound<'_, Self>, data: PyBackedBytes) -> PyResult<()> {
        let now = Self::now(slf)?;
        slf.borrow_mut().connection.receive(&data, now);
        loop {
            let event = slf.borrow_mut().connection.next(now);
            match event {
                None => break,
                Some(Event::Answer(asker, frames)) => Self::settle(slf, &asker, frames)?,
                Some(event) => {
                    if let Err(error) = Self::tell(slf, event) {
                        // What was to be done is not known to be done: whatever comes later would be wrong.
                        Self::end(slf, error)?;
                    }
                }
            }
        }
        Self::flush(slf)
    }

    fn eof_received(&self) -> bool {
        false
    }

    fn pause_writing(&mut self) {
        self.is_paused = true;
    }

    fn resume_writing(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.borrow_mut().is_paused = false;
        Self::flush(slf)
    }

    fn connection_lost(slf: &Bound<'_, Self>, error: Option<Py<PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let (timer, askers, reason, owner) = {
            let mut this = slf.borrow_mut();
            this.transport = None;
            (this.timer.take(), this.connection.fail(), this.reason.take(), this.owner.take())
        };
        if let Some(timer) = timer {
            timer.call_method0(py, intern!(py, "cancel"))?;
        }
        let error = match (reason, error) {
            (Some(reason), _) => reason,
            (None, Some(error)) => PyErr::from_value(error.into_bound(py)),
            (None, None) => PyConnectionError::new_err("the server has closed the connection"),
        };
        for asker in askers {
            let lost = PyConnectionError::new_err(format!("the connection is lost: {}", error.value(py)));
            set_exception(asker.future.bind(py), lost)?;
        }
        if let Some(owner) = owner {
            owner.call_method1(py, intern!(py, "lost"), (slf, error.into_value(py)))?;
        }
        Ok(())
    }

    /// Send what has gathered.
    #[pyo3(name = "_flush")]
    fn flush(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let now = Self::now(slf)?;
        let (transport, data) = {
            let mut this = slf.borrow_mut();
            this.is_flushing = false;
            let Some(transport) = &this.transport else { return Ok(()) };
            let transport = transport.clone_ref(py);
            (transport, (!this.is_paused).then(|| this.connection.write(now)))
        };
        // What cannot be written has its deadline as well.
        if let Some(data) = data {
            if data.is_empty() {
                return Ok(());
            }
            transport.call_method1(py, intern!(py, "write"), (PyBytes::new(py, &data),))?;
        }
        let (due, deadline) = (slf.borrow().due, slf.borrow().deadline);
        if due > now + deadline { Self::look_later(slf, now, deadline) } else { Ok(()) }
    }

    /// Look whether the server is late.
    #[pyo3(name = "_look")]
    fn look(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let now = Self::now(slf)?;
        let (verdict, late) = {
            let mut this = slf.borrow_mut();
            this.timer = None;
            this.due = f64::INFINITY;
            this.connection.look(now)
        };
        for asker in late {
            let error = PyTimeoutError::new_err("the server has not answered within the deadline");
            set_exception(asker.future.bind(py), error)?;
        }
        match verdict {
            Verdict::Wait(seconds) | Verdict::Open(seconds) => Self::look_later(slf, now, seconds),
            Verdict::Ping(_) => Self::flush(slf),
            Verdict::GiveUp => Self::end(slf, PyTimeoutError::new_err("the server gives no sign of life")),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        visit.call(&self.reply_error)?;
        visit.call(&self.keywords)?;
        for held in [&self.owner, &self.transport, &self.timer] {
            visit.call(held)?;
        }
        self.connection.askers().try_for_each(|asker| visit.call(&asker.future))
    }

    fn __clear__(&mut self) {
        (self.owner, self.transport, self.timer) = (None, None, None);
        self.connection.fail();
    }
}

impl RedisConnection {
    fn now(slf: &Bound<'_, Self>) -> PyResult<f64> {
        let event_loop = slf.borrow().event_loop.clone_ref(slf.py());
        event_loop.call_method0(slf.py(), intern!(slf.py(), "time"))?.extract(slf.py())
    }

    /// A future for the answer to the commands that `write` writes and counts.
    fn request<'py>(
        slf: &Bound<'py, Self>,
        many: bool,
        write: impl FnOnce(&mut Vec<u8>) -> PyResult<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let event_loop = slf.borrow().event_loop.clone_ref(py).into_bound(py);
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        if !slf.borrow().connection.is_open() {
            let error = PyConnectionError::new_err("the server does not answer");
            set_exception(&future, error)?;
            return Ok(future);
        }
        // Reading what is to be written may run Python code.
        let mut out = Vec::new();
        let commands = write(&mut out)?;
        if commands == 0 {
            future.call_method1(intern!(py, "set_result"), (PyList::empty(py),))?;
            return Ok(future);
        }
        let mut this = slf.borrow_mut();
        this.connection.out().extend_from_slice(&out);
        this.connection.ask(Asker { future: future.clone().unbind(), many }, commands);
        if !this.is_flushing {
            this.is_flushing = true;
            let keywords = this.keywords.clone_ref(py);
            drop(this);
            let flush = slf.getattr(intern!(py, "_flush"))?;
            event_loop.call_method(intern!(py, "call_soon"), (flush,), Some(keywords.bind(py)))?;
        }
        Ok(future)
    }

    fn settle(slf: &Bound<'_, Self>, asker: &Asker, frames: Vec<aiocachetools_redis::Frame>) -> PyResult<()> {
        let py = slf.py();
        let make = slf.borrow().reply_error.clone_ref(py);
        let answer = if asker.many { answers(py, frames, &make) } else { answer(py, frames, &make) }?;
        match answer {
            Ok(value) => set(asker.future.bind(py), intern!(py, "set_result"), value),
            Err(error) => set_exception(asker.future.bind(py), PyErr::from_value(error)),
        }
    }

    fn tell(slf: &Bound<'_, Self>, event: Event<Asker>) -> PyResult<()> {
        let py = slf.py();
        let Some(owner) = slf.borrow().owner.as_ref().map(|owner| owner.clone_ref(py)) else { return Ok(()) };
        match event {
            Event::Ready(server) => {
                let told = (slf, server.tracking, server.subscribed);
                owner.call_method1(py, intern!(py, "ready"), told)?;
                let now = Self::now(slf)?;
                Self::look_later(slf, now, HEARTBEAT)
            }
            Event::Changed(keys) => {
                let keys = keys.map(|keys| PyList::new(py, keys.iter().map(|key| PyBytes::new(py, key))));
                owner.call_method1(py, intern!(py, "changed"), (keys.transpose()?,)).map(drop)
            }
            Event::Published(message) => {
                owner.call_method1(py, intern!(py, "published"), (PyBytes::new(py, &message),)).map(drop)
            }
            Event::Broken(broken) => {
                let make = slf.borrow().reply_error.clone_ref(py);
                Self::end(slf, error_of(py, broken, &make)?)
            }
            Event::Answer(asker, frames) => Self::settle(slf, &asker, frames),
        }
    }

    /// End it for a reason.
    fn end(slf: &Bound<'_, Self>, reason: PyErr) -> PyResult<()> {
        slf.borrow_mut().reason.get_or_insert(reason);
        Self::abort(slf)
    }

    fn look_later(slf: &Bound<'_, Self>, now: f64, seconds: f64) -> PyResult<()> {
        let py = slf.py();
        let (earlier, event_loop, keywords) = {
            let mut this = slf.borrow_mut();
            this.due = now + seconds;
            (this.timer.take(), this.event_loop.clone_ref(py), this.keywords.clone_ref(py))
        };
        if let Some(timer) = earlier {
            timer.call_method0(py, intern!(py, "cancel"))?;
        }
        let look = slf.getattr(intern!(py, "_look"))?;
        let arguments = (seconds.max(0.0), look);
        let timer =
            event_loop.bind(py).call_method(intern!(py, "call_later"), arguments, Some(keywords.bind(py)))?;
        slf.borrow_mut().timer = Some(timer.unbind());
        Ok(())
    }
}

/// Settles a future, unless it was cancelled.
fn set<'py>(
    future: &Bound<'py, PyAny>,
    method: &Bound<'py, pyo3::types::PyString>,
    value: Bound<'py, PyAny>,
) -> PyResult<()> {
    match future.call_method1(method, (value,)) {
        Err(_) if future.call_method0(intern!(future.py(), "done"))?.is_truthy()? => Ok(()),
        settled => settled.map(drop),
    }
}

fn set_exception(future: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let error = error.into_value(future.py()).into_bound(future.py()).into_any();
    set(future, intern!(future.py(), "set_exception"), error)
}

fn error_of(py: Python<'_>, broken: Broken, make: &Py<PyAny>) -> PyResult<PyErr> {
    Ok(match broken {
        Broken::Refused(Refusal::Denied(text)) => PyErr::from_value(reply_error(py, &text, make)?),
        Broken::Refused(refusal) => PyConnectionError::new_err(refusal.to_string()),
        Broken::Malformed(error) => PyConnectionError::new_err(error.to_string()),
        Broken::Unasked => PyConnectionError::new_err("the server has answered what was not asked"),
    })
}
