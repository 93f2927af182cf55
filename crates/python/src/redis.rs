//! A connection to Redis as a protocol of the loop's own transports.
//!
//! 1. Bytes, times and order are `aiocachetools_redis`'s; here are futures, timers and the transport.
//! 2. Everything happens on the loop's thread.  No Python code runs while the state is borrowed.
//! 3. The owner is told what has happened by its methods `ready`, `changed`, `published` and `lost`, in
//!    the order in which the server sent it.  Answers are set before what came after them is told.
//! 4. Nothing here keeps a caller's context variables.

use aiocachetools_redis::Frame;
use aiocachetools_redis::command;
use aiocachetools_redis::connection::{Broken, Connection, Event};
use aiocachetools_redis::handshake::{Options, Refusal};
use aiocachetools_redis::watch::{Limits, Verdict};
use pyo3::call::PyCallArgs;
use pyo3::exceptions::{PyConnectionError, PyTimeoutError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PySlice, PyString, PyTuple};

use crate::fetch::Fetch;
use crate::flight::Waiter;
use crate::landing::{Wake, wake_all};
use crate::redis_command::write_command;
use crate::redis_frame::{answer, answers, reply_error};

/// Seconds for which a server is given up after it has missed a deadline.
const GRACE: f64 = 1.0;
/// Seconds of silence after which the server is asked for a sign of life.
const HEARTBEAT: f64 = 1.0;
/// When so many requests wait they are sent, not only at the end of the loop's round: the server begins
/// with them while the loop goes on.
const MAX_UNWRITTEN: usize = 50;
/// How much is read at once.
const BUFFER_BYTES: usize = 1 << 18;
/// What the commands of a read have besides its keys, about.
const COMMAND_BYTES: usize = 64;

/// Who waits for the answer to a request.
enum Asker {
    /// The future of one answer.
    One(Py<PyAny>),
    /// That of a list of them.
    Many(Py<PyAny>),
    Fetch(Py<Fetch>),
}

impl Asker {
    fn object(&self) -> &Py<PyAny> {
        match self {
            Self::One(future) | Self::Many(future) => future,
            Self::Fetch(fetch) => fetch.as_any(),
        }
    }
}

/// One connection to a server, from the transport's beginning to its end.
#[pyclass(module = "aiocachetools._core", subclass, weakref)]
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
    /// What is asked now will be sent without more ado.
    is_flushing: bool,
    is_paused: bool,
    /// Why it has ended, if not by the transport.
    reason: Option<Py<PyAny>>,
    /// What the transport reads into: one for all reads, since the 256 kB that asyncio would take
    /// anew for each have to be mapped and zeroed by the system.
    buffer: Py<PyByteArray>,
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
            buffer: PyByteArray::new(py, &[0; BUFFER_BYTES]).unbind(),
        })
    }

    /// The reply to one command.
    #[pyo3(signature = (*command))]
    fn execute<'py>(slf: &Bound<'py, Self>, command: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let future = Self::future(slf)?;
        // Reading what is to be written may run Python code.
        let mut out = Vec::new();
        write_command(&mut out, command)?;
        Self::request(slf, Asker::One(future.clone().unbind()), &out, 1)?;
        Ok(future)
    }

    /// The replies to several commands, in one list.
    fn execute_many<'py>(
        slf: &Bound<'py, Self>,
        commands: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let future = Self::future(slf)?;
        let (mut out, mut count) = (Vec::new(), 0);
        for command in commands.try_iter()? {
            write_command(&mut out, &command?)?;
            count += 1;
        }
        Self::request(slf, Asker::Many(future.clone().unbind()), &out, count)?;
        Ok(future)
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

    #[allow(unused_variables)]
    fn get_buffer<'py>(&self, py: Python<'py>, sizehint: isize) -> Bound<'py, PyByteArray> {
        self.buffer.bind(py).clone()
    }

    fn buffer_updated(slf: &Bound<'_, Self>, nbytes: isize) -> PyResult<()> {
        let py = slf.py();
        let now = Self::now(slf)?;
        let read = slf.borrow().buffer.bind(py).get_item(PySlice::new(py, 0, nbytes, 1))?;
        let data = read.cast::<PyByteArray>()?.to_vec();
        {
            let mut this = slf.borrow_mut();
            this.connection.receive(&data, now);
            // Those who are woken may ask for more.
            this.is_flushing = true;
        }
        let mut woken = Vec::new();
        let taken = Self::take_in(slf, now, &mut woken);
        let woken = wake_all(py, &woken, Wake::Now);
        Self::flush(slf).and(taken).and(woken)
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

    fn connection_lost(slf: &Bound<'_, Self>, exc: Option<Py<PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let (timer, askers, reason, owner) = {
            let mut this = slf.borrow_mut();
            this.transport = None;
            (this.timer.take(), this.connection.fail(), this.reason.take(), this.owner.take())
        };
        if let Some(timer) = timer {
            timer.call_method0(py, intern!(py, "cancel"))?;
        }
        let error = reason.or(exc).unwrap_or_else(|| {
            PyConnectionError::new_err("the server has closed the connection").into_value(py).into_any()
        });
        Self::fail(py, &askers, || {
            PyConnectionError::new_err(format!("the connection is lost: {}", error.bind(py)))
        })?;
        if let Some(owner) = owner {
            owner.call_method1(py, intern!(py, "lost"), (slf, error))?;
        }
        Ok(())
    }

    /// Send what has gathered.
    #[pyo3(name = "_flush")]
    fn flush(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.borrow_mut().is_flushing = false;
        Self::send(slf)
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
        Self::fail(py, &late, || PyTimeoutError::new_err("the server has not answered within the deadline"))?;
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
        for held in [&self.owner, &self.transport, &self.timer, &self.reason] {
            visit.call(held)?;
        }
        self.connection.askers().try_for_each(|asker| visit.call(asker.object()))
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

    /// Whether requests are answered, as far as is known.
    pub fn is_open(slf: &Bound<'_, Self>) -> bool {
        slf.borrow().connection.is_open()
    }

    /// Asks what there is at a place's key.
    pub fn ask_for(
        slf: &Bound<'_, Self>,
        place: &Bound<'_, PyAny>,
        fetch: &Bound<'_, Fetch>,
    ) -> PyResult<()> {
        let py = slf.py();
        let key = place.getattr(intern!(py, "tier_key"))?;
        let key = key.cast::<PyBytes>()?.as_bytes();
        let tags = place.getattr(intern!(py, "tags"))?;
        let tags = tags.cast::<PyTuple>()?;
        let mut out = Vec::with_capacity(2 * key.len() + COMMAND_BYTES);
        command::write(&mut out, &[b"GET", key]);
        command::write(&mut out, &[b"PTTL", key]);
        for tag in tags {
            command::write(&mut out, &[b"GET", tag.cast::<PyBytes>()?.as_bytes()]);
        }
        Self::request(slf, Asker::Fetch(fetch.clone().unbind()), &out, 2 + tags.len())
    }

    fn send(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let now = Self::now(slf)?;
        let (transport, data) = {
            let mut this = slf.borrow_mut();
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

    fn future<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let event_loop = slf.borrow().event_loop.clone_ref(slf.py()).into_bound(slf.py());
        event_loop.call_method0(intern!(slf.py(), "create_future"))
    }

    /// Asks so many commands, which are written already.
    fn request(slf: &Bound<'_, Self>, asker: Asker, commands: &[u8], count: usize) -> PyResult<()> {
        let py = slf.py();
        let mut this = slf.borrow_mut();
        if !this.connection.is_open() {
            drop(this);
            return Self::fail(py, &[asker], || PyConnectionError::new_err("the server does not answer"));
        }
        if count == 0 {
            drop(this);
            return set(asker.object().bind(py), intern!(py, "set_result"), PyList::empty(py).into_any());
        }
        this.connection.out().extend_from_slice(commands);
        this.connection.ask(asker, count);
        if this.connection.unwritten().is_multiple_of(MAX_UNWRITTEN) {
            drop(this);
            return Self::send(slf);
        }
        if !this.is_flushing {
            this.is_flushing = true;
            let (event_loop, keywords) = (this.event_loop.clone_ref(py), this.keywords.clone_ref(py));
            drop(this);
            let flush = slf.getattr(intern!(py, "_flush"))?;
            let call_soon = event_loop.bind(py).getattr(intern!(py, "call_soon"))?;
            call_soon.call((flush,), Some(keywords.bind(py)))?;
        }
        Ok(())
    }

    /// Takes in what has arrived; who waits for a value has it, and is to be woken.
    fn take_in(slf: &Bound<'_, Self>, now: f64, woken: &mut Vec<Waiter>) -> PyResult<()> {
        loop {
            let event = slf.borrow_mut().connection.next(now);
            let Some(event) = event else { return Ok(()) };
            if let Err(error) = Self::heed(slf, event, woken) {
                // What was to be done is not known to be done: whatever comes later would be wrong.
                Self::end(slf, error)?;
            }
        }
    }

    fn settle(slf: &Bound<'_, Self>, asker: &Asker, frames: Vec<Frame>) -> PyResult<Vec<Waiter>> {
        let py = slf.py();
        let make = slf.borrow().reply_error.clone_ref(py);
        let (future, answer) = match asker {
            Asker::Fetch(fetch) => {
                return Fetch::answer(fetch.bind(py), frames, |frames| answers(py, frames, &make));
            }
            Asker::One(future) => (future, answer(py, frames, &make)?),
            Asker::Many(future) => (future, answers(py, frames, &make)?),
        };
        match answer {
            Ok(value) => set(future.bind(py), intern!(py, "set_result"), value)?,
            Err(error) => set(future.bind(py), intern!(py, "set_exception"), error)?,
        }
        Ok(Vec::new())
    }

    /// Tells all who wait for an answer that there is none.
    fn fail(py: Python<'_>, askers: &[Asker], error: impl Fn() -> PyErr) -> PyResult<()> {
        for asker in askers {
            let error = error().into_value(py).into_bound(py).into_any();
            match asker {
                Asker::One(future) | Asker::Many(future) => {
                    set(future.bind(py), intern!(py, "set_exception"), error)?;
                }
                // They go on by themselves; only what cannot even begin to is over.
                Asker::Fetch(fetch) => wake_all(py, &Fetch::fail(fetch.bind(py), error)?, Wake::Soon)?,
            }
        }
        Ok(())
    }

    /// Answers who has asked, or tells the owner.
    fn heed(slf: &Bound<'_, Self>, event: Event<Asker>, woken: &mut Vec<Waiter>) -> PyResult<()> {
        let py = slf.py();
        match event {
            Event::Answer(asker, frames) => {
                woken.extend(Self::settle(slf, &asker, frames)?);
                Ok(())
            }
            Event::Ready(server) => {
                Self::tell(slf, intern!(py, "ready"), (slf, server.tracking, server.subscribed))?;
                let now = Self::now(slf)?;
                Self::look_later(slf, now, HEARTBEAT)
            }
            Event::Changed(keys) => {
                let keys = keys.map(|keys| PyList::new(py, keys.iter().map(|key| PyBytes::new(py, key))));
                Self::tell(slf, intern!(py, "changed"), (keys.transpose()?,))
            }
            Event::Published(message) => {
                Self::tell(slf, intern!(py, "published"), (PyBytes::new(py, &message),))
            }
            Event::Broken(broken) => {
                let make = slf.borrow().reply_error.clone_ref(py);
                Self::end(slf, error_of(py, broken, &make)?)
            }
        }
    }

    /// Tells the owner, while there is one.
    fn tell<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyString>,
        arguments: impl PyCallArgs<'py>,
    ) -> PyResult<()> {
        let owner = slf.borrow().owner.as_ref().map(|owner| owner.clone_ref(slf.py()));
        owner.map_or(Ok(()), |owner| owner.bind(slf.py()).call_method1(name, arguments).map(drop))
    }

    /// End it for a reason.
    fn end(slf: &Bound<'_, Self>, reason: PyErr) -> PyResult<()> {
        let reason = reason.into_value(slf.py()).into_any();
        let mut this = slf.borrow_mut();
        let later = if this.reason.is_none() { this.reason.replace(reason) } else { Some(reason) };
        drop(this);
        drop(later);
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
    method: &Bound<'py, PyString>,
    value: Bound<'py, PyAny>,
) -> PyResult<()> {
    match future.call_method1(method, (value,)) {
        Err(_) if future.call_method0(intern!(future.py(), "done"))?.is_truthy()? => Ok(()),
        settled => settled.map(drop),
    }
}

fn error_of(py: Python<'_>, broken: Broken, make: &Py<PyAny>) -> PyResult<PyErr> {
    Ok(match broken {
        Broken::Refused(Refusal::Denied(text)) => PyErr::from_value(reply_error(py, &text, make)?),
        Broken::Refused(refusal) => PyConnectionError::new_err(refusal.to_string()),
        Broken::Malformed(error) => PyConnectionError::new_err(error.to_string()),
        Broken::Unasked => PyConnectionError::new_err("the server has answered what was not asked"),
    })
}
