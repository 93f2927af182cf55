//! The parts of asyncio that a load needs: the running loop, tasks, and the current flight.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::null_mut;

use aiocachetools_core::flight::FlightId;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::object::Ref;
use crate::plain_loop::PlainLoop;
use crate::raw;

/// What is looked up once.
pub struct Asyncio {
    get_running_loop: Ref,
    task: Ref,
    /// `asyncio.Task`'s own methods, by [`Ask`].
    task_methods: [Ref; 3],
    plain_loop: PlainLoop,
    pub cancelled_error: Ref,
    current: Ref,
    /// The keywords of an eager task, kept for the next; not for another class than asyncio's own.
    eager_keywords: Option<Ref>,
    context_keyword: Ref,
    pub names: Names,
}

/// Names of methods that are called on loops, tasks and futures.
pub struct Names {
    pub add_done_callback: Ref,
    pub call_soon: Ref,
    pub cancel: Ref,
    pub close: Ref,
    pub create_task: Ref,
    pub is_closed: Ref,
    event_loop: Ref,
    name: Ref,
}

/// What a task is asked.
#[derive(Clone, Copy)]
pub enum Ask {
    Done,
    Exception,
    Result,
}

impl Ask {
    const NAMES: [&str; 3] = ["done", "exception", "result"];
}

static ASYNCIO: PyOnceLock<Asyncio> = PyOnceLock::new();

impl Asyncio {
    pub fn get(py: Python<'_>) -> PyResult<&Self> {
        ASYNCIO.get_or_try_init(py, || Self::new(py))
    }

    fn new(py: Python<'_>) -> PyResult<Self> {
        let asyncio = py.import("asyncio")?;
        let name = |text| Ref::from(PyString::intern(py, text));
        let names = Names {
            add_done_callback: name("add_done_callback"),
            call_soon: name("call_soon"),
            cancel: name("cancel"),
            close: name("close"),
            create_task: name("create_task"),
            is_closed: name("is_closed"),
            event_loop: name("loop"),
            name: name("name"),
        };
        // SAFETY: the name is a string; no default.
        let current =
            unsafe { raw::owned(py, ffi::PyContextVar_New(c"aiocachetools_flight".as_ptr(), null_mut()))? };
        let task = asyncio.getattr("Task")?;
        let own = task.getattr("__module__")?.eq("_asyncio")?;
        let eager_keywords = if own { Some(Self::task_keywords(py, true)?) } else { None };
        let method = |name| task.getattr(name).map(Ref::from);
        // Names that are interned are found without being compared.
        let context_keyword = PyTuple::new(py, [PyString::intern(py, "context")])?;
        let [done, exception, result] = Ask::NAMES;
        Ok(Self {
            get_running_loop: asyncio.getattr("_get_running_loop")?.into(),
            task_methods: [method(done)?, method(exception)?, method(result)?],
            plain_loop: PlainLoop::new(&asyncio.getattr("BaseEventLoop")?)?,
            task: task.into(),
            cancelled_error: asyncio.getattr("CancelledError")?.into(),
            current,
            eager_keywords,
            context_keyword: context_keyword.into(),
            names,
        })
    }

    /// The loop that runs in this thread.
    ///
    /// # Errors
    /// RuntimeError when none does, naming the function that was awaited.
    pub fn running_loop(&self, py: Python<'_>, function: &Ref) -> PyResult<Ref> {
        // SAFETY: the function is alive.
        let running = unsafe { raw::owned(py, ffi::PyObject_CallNoArgs(self.get_running_loop.as_ptr()))? };
        if running.is_none() {
            let name = function.bound(py).getattr("__qualname__")?;
            return Err(PyRuntimeError::new_err(format!(
                "{name}() was awaited without a running asyncio event loop: aiocachetools loads in an asyncio \
                 task; run it under asyncio.run() (or uvloop, or anyio with its asyncio backend)"
            )));
        }
        Ok(running)
    }

    /// The flight whose load the running code belongs to.
    pub fn current_flight(&self, py: Python<'_>) -> PyResult<Option<FlightId>> {
        let mut token = null_mut();
        // SAFETY: the variable is alive; the token is owned or null.
        let token = unsafe {
            if ffi::PyContextVar_Get(self.current.as_ptr(), null_mut(), &mut token) < 0 {
                return Err(raw::fetch(py));
            }
            Ref::from_owned(token)
        };
        let Some(token) = token else { return Ok(None) };
        Ok(Some(FlightId::from_bits(token.bound(py).extract()?)))
    }

    /// Until what is returned is dropped, code that runs or is given a copy of the context belongs to
    /// the flight's load.
    pub fn enter_flight(&self, py: Python<'_>, flight: FlightId) -> PyResult<impl Drop> {
        Current::set(py, &self.current, flight)
    }

    /// Starts the task of a flight's load; its context is a copy of the present one.
    ///
    /// On an asyncio or uvloop loop without a task factory the task is made directly, named, and
    /// eager where `eager` says so and Python can; any other loop is asked by `create_task(coroutine)`.
    pub fn start_task(
        &self,
        py: Python<'_>,
        event_loop: &Ref,
        coroutine: &Ref,
        eager: bool,
        name: impl FnOnce() -> PyResult<Ref>,
    ) -> PyResult<Ref> {
        let plain = self.makes_plain_tasks(py, event_loop)?;
        let name = if plain { Some(name()?) } else { None };
        let Some(name) = name else {
            let args = [event_loop.as_ptr(), coroutine.as_ptr()];
            // SAFETY: the arguments are alive.
            return unsafe {
                let create_task = self.names.create_task.as_ptr();
                raw::owned(py, ffi::PyObject_VectorcallMethod(create_task, args.as_ptr(), 2, null_mut()))
            };
        };
        self.make_task(py, event_loop, coroutine, &name, eager && cfg!(Py_3_12))
    }

    fn task_keywords(py: Python<'_>, eager: bool) -> PyResult<Ref> {
        let keywords = PyDict::new(py);
        if eager {
            keywords.set_item(intern!(py, "eager_start"), true)?;
        }
        Ok(keywords.into())
    }

    /// `asyncio.Task(coroutine, loop=event_loop, name=name, eager_start=eager)`.
    ///
    /// A class is called with its keywords in a dict.  That of an eager task is kept for the next, but not
    /// the loop in it: asyncio's own class runs no other code between its being filled and its being
    /// read.  Python 3.11, which has no eager tasks, may collect garbage in between.
    fn make_task(
        &self,
        py: Python<'_>,
        event_loop: &Ref,
        coroutine: &Ref,
        name: &Ref,
        eager: bool,
    ) -> PyResult<Ref> {
        let keywords = match &self.eager_keywords {
            Some(kept) if eager => kept.clone(),
            _ => Self::task_keywords(py, eager)?,
        };
        let set = |keyword: &Ref, value: *mut ffi::PyObject| {
            // SAFETY: all are alive.
            match unsafe { ffi::PyDict_SetItem(keywords.as_ptr(), keyword.as_ptr(), value) } {
                0 => Ok(()),
                _ => Err(raw::fetch(py)),
            }
        };
        let positional = Ref::from(PyTuple::new(py, [coroutine.bound(py)])?);
        set(&self.names.name, name.as_ptr())?;
        set(&self.names.event_loop, event_loop.as_ptr())?;
        // SAFETY: all are alive, also beyond the call: others may take their places in the dict meanwhile.
        unsafe {
            let task = raw::owned(
                py,
                ffi::PyObject_Call(self.task.as_ptr(), positional.as_ptr(), keywords.as_ptr()),
            );
            set(&self.names.event_loop, ffi::Py_None())?;
            task
        }
    }

    /// A copy of the current context.
    pub fn copy_context(py: Python<'_>) -> PyResult<Ref> {
        // SAFETY: the GIL is held.
        unsafe { raw::owned(py, ffi::PyContext_CopyCurrent()) }
    }

    /// What a method of a task says that takes no arguments.
    pub fn ask_task(&self, py: Python<'_>, task: &Ref, ask: Ask) -> PyResult<Ref> {
        // SAFETY: the task is alive.
        if self.task.is(unsafe { ffi::Py_TYPE(task.as_ptr()) }.cast()) {
            let method = self.task_methods[ask as usize].as_ptr();
            // SAFETY: as above.
            return unsafe { raw::owned(py, ffi::PyObject_CallOneArg(method, task.as_ptr())) };
        }
        Ok(task.bound(py).call_method0(Ask::NAMES[ask as usize])?.into())
    }

    /// Whether `loop.create_task` would do no more than make an `asyncio.Task`.
    fn makes_plain_tasks(&self, py: Python<'_>, event_loop: &Ref) -> PyResult<bool> {
        self.plain_loop.includes(py, event_loop.bound(py))
    }

    /// Schedules `callback(argument)` on a loop, in `context` or a copy of the current one.
    pub fn call_soon(
        &self,
        py: Python<'_>,
        event_loop: &Ref,
        callback: &Ref,
        argument: &Ref,
        context: Option<&Ref>,
    ) -> PyResult<()> {
        let args = [
            event_loop.as_ptr(),
            callback.as_ptr(),
            argument.as_ptr(),
            context.map_or(null_mut(), Ref::as_ptr),
        ];
        let keyword = context.map_or(null_mut(), |_| self.context_keyword.as_ptr());
        // SAFETY: the arguments are alive.
        unsafe {
            let call_soon = self.names.call_soon.as_ptr();
            raw::owned(py, ffi::PyObject_VectorcallMethod(call_soon, args.as_ptr(), 3, keyword))?;
        }
        Ok(())
    }

    /// `task.cancel(msg=message)`.
    pub fn cancel(&self, py: Python<'_>, task: &Ref, message: Option<&Ref>) -> PyResult<()> {
        let args = [task.as_ptr(), message.map_or(null_mut(), Ref::as_ptr)];
        let count = 1 + usize::from(message.is_some());
        // SAFETY: the arguments are alive.
        unsafe {
            let cancel = self.names.cancel.as_ptr();
            raw::owned(py, ffi::PyObject_VectorcallMethod(cancel, args.as_ptr(), count, null_mut()))?;
        }
        Ok(())
    }
}

/// The current context says, while this lives, that its code belongs to a flight's load.
struct Current<'a> {
    variable: &'a Ref,
    token: Ref,
}

impl<'a> Current<'a> {
    fn set(py: Python<'_>, variable: &'a Ref, flight: FlightId) -> PyResult<Self> {
        let value = Ref::from(flight.to_bits().into_pyobject(py)?);
        // SAFETY: both are alive.
        let token = unsafe { raw::owned(py, ffi::PyContextVar_Set(variable.as_ptr(), value.as_ptr()))? };
        Ok(Self { variable, token })
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        // SAFETY: the GIL is held; the exception that may be set is put aside meanwhile.
        unsafe {
            let py = Python::assume_attached();
            let set = PyErr::take(py);
            if ffi::PyContextVar_Reset(self.variable.as_ptr(), self.token.as_ptr()) < 0 {
                ffi::PyErr_WriteUnraisable(self.variable.as_ptr());
            }
            if let Some(set) = set {
                set.restore(py);
            }
        }
    }
}

/// A context that is entered while this lives.
pub struct Entered<'a>(&'a Ref);

impl<'a> Entered<'a> {
    /// # Errors
    /// RuntimeError where it is entered already.
    pub fn new(py: Python<'_>, context: &'a Ref) -> PyResult<Self> {
        // SAFETY: the context is alive.
        match unsafe { ffi::PyContext_Enter(context.as_ptr()) } {
            0 => Ok(Self(context)),
            _ => Err(raw::fetch(py)),
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // SAFETY: what was entered is left.
        let left: c_int = unsafe { ffi::PyContext_Exit(self.0.as_ptr()) };
        debug_assert_eq!(left, 0);
    }
}

/// Calls `callback(argument)` in a context; `Ok(false)` when the context is in use already.
pub fn run_in_context(
    py: Python<'_>,
    context: Option<&Ref>,
    callback: &Ref,
    argument: &Ref,
) -> PyResult<bool> {
    let Ok(_entered) = context.map(|context| Entered::new(py, context)).transpose() else {
        return Ok(false);
    };
    // SAFETY: all are alive.
    let called = unsafe { raw::owned(py, ffi::PyObject_CallOneArg(callback.as_ptr(), argument.as_ptr())) };
    called.map(|_| true)
}
