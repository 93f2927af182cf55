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

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::null_mut;

use aiocachetools_core::flight::FlightId;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, PyObject, PySendResult};
use pyo3::prelude::*;

use crate::aio::{self, Asyncio};
use crate::flight::{Flight, Outcome, Start, Target, Wake};
use crate::function::Function;
use crate::key::Key;
use crate::object::Ref;
use crate::plan::Call;
use crate::raw::{self, TypeCell};
use crate::ready;
use crate::site::Site;
use crate::{counts, log};

/// The arguments of a call, kept until its first step.
struct Arguments {
    values: Vec<Ref>,
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
struct New {
    /// The cache, where it is not the function's own fixed one.
    site: Option<Site>,
    key: Key,
    hash: u64,
    arguments: Arguments,
}

/// What a waiter has of the flight it is in.
struct Seat {
    flight: Ref,
    position: usize,
    current: Option<FlightId>,
}

enum State {
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
    weak_references: *mut PyObject,
    /// The task has been told that this is a future it waits for.
    blocking: bool,
    /// Before the first step this is no future.
    stepped: bool,
    state: ManuallyDrop<State>,
    function: ManuallyDrop<Ref>,
    callback: ManuallyDrop<Option<Ref>>,
    context: ManuallyDrop<Option<Ref>>,
}

static TYPE: TypeCell = TypeCell::new();

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
enum Step {
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

    unsafe fn at<'a>(object: *mut PyObject) -> &'a mut Self {
        // SAFETY: the caller's object is of this type.
        unsafe { &mut *object.cast() }
    }

    fn take(&mut self, next: State) -> State {
        std::mem::replace(&mut *self.state, next)
    }

    pub fn set_position(&mut self, to: usize) {
        if let State::Waiting(seat) | State::Unwinding(seat, _) = &mut *self.state {
            seat.position = to;
        }
    }

    fn step(&mut self, py: Python<'_>, me: *mut PyObject) -> PyResult<Step> {
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
    fn abandon(&mut self, py: Python<'_>) -> PyResult<()> {
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
    fn cancel(&mut self, py: Python<'_>, me: &Ref, message: Option<Ref>) -> PyResult<bool> {
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

    fn is_done(&self) -> bool {
        matches!(&*self.state, State::Landed(_) | State::Cancelled(_) | State::Spent)
    }
}

fn cancelled(py: Python<'_>, message: Option<Ref>) -> PyErr {
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

unsafe extern "C" fn next(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| match Wait::at(object).step(py, object)? {
            Step::Yield => Ok(ffi::Py_NewRef(object)),
            Step::Return(value) => Ok(ready::stop_with(value.into_ptr())),
        })
    }
}

unsafe extern "C" fn am_send(object: *mut PyObject, _: *mut PyObject, result: *mut *mut PyObject) -> PySendResult {
    // SAFETY: the object is of this type; the interpreter passes a place for the result.
    unsafe {
        let mut kind = PySendResult::PYGEN_ERROR;
        *result = raw::slot(|py| match Wait::at(object).step(py, object)? {
            Step::Yield => {
                kind = PySendResult::PYGEN_NEXT;
                Ok(ffi::Py_NewRef(object))
            }
            Step::Return(value) => {
                kind = PySendResult::PYGEN_RETURN;
                Ok(value.into_ptr())
            }
        });
        kind
    }
}

unsafe extern "C" fn send(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| match Wait::at(object).step(py, object)? {
            Step::Yield => Ok(ffi::Py_NewRef(object)),
            Step::Return(value) => Ok(ready::raise_stop(value.into_ptr())),
        })
    }
}

unsafe extern "C" fn throw(object: *mut PyObject, args: *mut *mut PyObject, count: ffi::Py_ssize_t) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| {
            let spent = matches!(&*Wait::at(object).state, State::Spent);
            Wait::at(object).abandon(py)?;
            if spent {
                ready::set_spent();
            } else {
                ready::raise_thrown(args, count);
            }
            Err::<*mut PyObject, _>(raw::fetch(py))
        })
    }
}

unsafe extern "C" fn close(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| {
            Wait::at(object).abandon(py)?;
            Ok(ffi::Py_NewRef(ffi::Py_None()))
        })
    }
}

// The future that the task sees.

unsafe extern "C" fn get_blocking(object: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        let wait = Wait::at(object);
        let answer = match (wait.stepped, wait.blocking) {
            (false, _) => ffi::Py_None(),
            (true, true) => ffi::Py_True(),
            (true, false) => ffi::Py_False(),
        };
        ffi::Py_NewRef(answer)
    }
}

unsafe extern "C" fn set_blocking(object: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    // SAFETY: the object is of this type.
    unsafe { Wait::at(object).blocking = value == ffi::Py_True() };
    0
}

unsafe extern "C" fn get_loop(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| match &*Wait::at(object).state {
            State::Waiting(seat) | State::Unwinding(seat, _) => {
                Ok(Flight::of(&seat.flight, py).event_loop().clone().into_ptr())
            }
            _ => Err(PyRuntimeError::new_err("the call waits for nothing: it has no event loop")),
        })
    }
}

unsafe extern "C" fn add_done_callback(
    object: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the object is of this type; the arguments are those of a vectorcall.
    unsafe {
        raw::slot(|_| {
            let wait = Wait::at(object);
            if count != 1 || wait.callback.is_some() {
                return Err(PyRuntimeError::new_err("a cached call is awaited by one task: create a task of it"));
            }
            let context = (!names.is_null() && ffi::PyTuple_GET_SIZE(names) == 1).then(|| *args.add(1));
            *wait.callback = Some(Ref::from_borrowed(*args));
            *wait.context = context.map(|context| Ref::from_borrowed(context));
            Ok(ffi::Py_NewRef(ffi::Py_None()))
        })
    }
}

unsafe extern "C" fn cancel(
    object: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the object is of this type; the arguments are those of a vectorcall.
    unsafe {
        raw::slot(|py| {
            let given = count > 0 || (!names.is_null() && ffi::PyTuple_GET_SIZE(names) > 0);
            let message = given.then(|| Ref::from_borrowed(*args));
            let message = message.filter(|message| !message.is(ffi::Py_None()));
            let me = Ref::from_borrowed(object);
            let cancelled = Wait::at(object).cancel(py, &me, message)?;
            Ok(ffi::Py_NewRef(if cancelled { ffi::Py_True() } else { ffi::Py_False() }))
        })
    }
}

unsafe extern "C" fn result(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| match &*Wait::at(object).state {
            // The step that follows raises or returns.
            State::Landed(_) | State::Spent => Ok(ffi::Py_NewRef(ffi::Py_None())),
            State::Cancelled(message) => Err(cancelled(py, message.clone())),
            _ => Err(PyRuntimeError::new_err("the load is not done")),
        })
    }
}

unsafe extern "C" fn done(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe { ffi::Py_NewRef(if Wait::at(object).is_done() { ffi::Py_True() } else { ffi::Py_False() }) }
}

unsafe extern "C" fn get_name(object: *mut PyObject, attribute: *mut c_void) -> *mut PyObject {
    // SAFETY: the object is of this type; the closure is the name that `init` passed.
    unsafe { ffi::PyObject_GetAttrString(Wait::at(object).function.as_ptr(), attribute.cast()) }
}

unsafe extern "C" fn repr(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| {
            let name = Wait::at(object).function.bound(py).getattr("__qualname__")?;
            let text = format!("<coroutine of cached {name} at {object:p}>");
            Ok(text.into_pyobject(py)?.into_any().into_ptr())
        })
    }
}

unsafe extern "C" fn traverse(object: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: the object is of this type; the arguments are the collector's.
    unsafe {
        let wait = Wait::at(object);
        let mut parts: Vec<&Ref> = vec![&wait.function];
        parts.extend(wait.callback.iter().chain(wait.context.iter()));
        match &*wait.state {
            State::New(new) => {
                parts.extend(new.arguments.values.iter().chain(new.key.parts()));
                parts.extend(new.site.iter().map(|site| &site.cache));
            }
            State::Waiting(seat) => parts.push(&seat.flight),
            State::Unwinding(seat, message) => parts.extend(message.iter().chain([&seat.flight])),
            State::Landed(Outcome::Value(value)) => parts.push(value),
            State::Landed(Outcome::Error(failure)) => parts.extend(failure.parts()),
            State::Cancelled(message) => parts.extend(message),
            State::Starting | State::Spent => {}
        }
        parts.into_iter().map(|part| visit(part.as_ptr(), arg)).find(|&stop| stop != 0).unwrap_or(0)
    }
}

unsafe extern "C" fn clear(object: *mut PyObject) -> c_int {
    // SAFETY: the object is of this type; what is taken is dropped when it holds no borrow.
    unsafe {
        let wait = Wait::at(object);
        let state = wait.take(State::Spent);
        let parts = (wait.callback.take(), wait.context.take());
        drop((state, parts));
    }
    0
}

/// Warns as a coroutine does that is dropped before it was awaited.
unsafe fn warn_unawaited(object: *mut PyObject) {
    // SAFETY: the object is of this type, and alive: this is its finalizer.
    unsafe {
        let py = Python::assume_attached();
        let wait = Wait::at(object);
        let name = wait.function.bound(py).getattr("__qualname__").map(|name| name.to_string());
        let text = format!("coroutine '{}' was never awaited", name.unwrap_or_default());
        let Ok(text) = std::ffi::CString::new(text) else { return };
        if ffi::PyErr_WarnEx(ffi::PyExc_RuntimeWarning, text.as_ptr(), 1) < 0 {
            ffi::PyErr_WriteUnraisable(object);
        }
    }
}

unsafe extern "C" fn finalize(object: *mut PyObject) {
    // SAFETY: the object is of this type; an exception that is set is put aside meanwhile.
    unsafe {
        let py = Python::assume_attached();
        let set = PyErr::take(py);
        match &*Wait::at(object).state {
            State::New(_) => warn_unawaited(object),
            State::Waiting(_) | State::Unwinding(..) => {
                if let Err(error) = Wait::at(object).abandon(py) {
                    error.write_unraisable(py, None);
                }
            }
            _ => {}
        }
        if let Some(set) = set {
            set.restore(py);
        }
    }
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: the object is of this type and nobody refers to it any more.
    unsafe {
        if ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
            return;
        }
        ffi::PyObject_GC_UnTrack(object.cast());
        let wait = Wait::at(object);
        if !wait.weak_references.is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        ManuallyDrop::drop(&mut wait.state);
        ManuallyDrop::drop(&mut wait.callback);
        ManuallyDrop::drop(&mut wait.context);
        ManuallyDrop::drop(&mut wait.function);
        ready::release_stop();
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(TYPE.get().cast());
    }
}

/// Makes the type.
pub fn init<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
    let with_keywords = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    let plain = |function| ffi::PyMethodDefPointer { PyCFunction: function };
    let fast = |function| ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function };
    let methods = raw::leak(vec![
        raw::method(c"send", plain(send), ffi::METH_O, c"Resume the call."),
        raw::method(
            c"throw",
            ffi::PyMethodDefPointer { PyCFunctionFast: throw },
            ffi::METH_FASTCALL,
            c"Leave the load and raise an exception in the caller.",
        ),
        raw::method(c"close", plain(close), ffi::METH_NOARGS, c"Leave the load."),
        raw::method(c"get_loop", plain(get_loop), ffi::METH_NOARGS, c"The event loop of the load."),
        raw::method(c"add_done_callback", fast(add_done_callback), with_keywords, c"For the task that awaits."),
        raw::method(c"cancel", fast(cancel), with_keywords, c"Leave the load; the last one cancels it."),
        raw::method(c"result", plain(result), ffi::METH_NOARGS, c"For the task that awaits."),
        raw::method(c"done", plain(done), ffi::METH_NOARGS, c"Whether the call has an outcome."),
        ffi::PyMethodDef::zeroed(),
    ]);
    let attribute = |name: &'static std::ffi::CStr, get, set, closure| ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set,
        doc: std::ptr::null(),
        closure,
    };
    let names = |name: &'static std::ffi::CStr| name.as_ptr().cast_mut().cast::<c_void>();
    let attributes = raw::leak(vec![
        attribute(c"_asyncio_future_blocking", get_blocking, Some(set_blocking), null_mut()),
        attribute(c"__name__", get_name, None, names(c"__name__")),
        attribute(c"__qualname__", get_name, None, names(c"__qualname__")),
        ffi::PyGetSetDef::default(),
    ]);
    let members = raw::leak(vec![
        raw::member(c"__weaklistoffset__", std::mem::offset_of!(Wait, weak_references)),
        ffi::PyMemberDef::default(),
    ]);
    let slots = [
        (ffi::Py_tp_dealloc, dealloc as *mut c_void),
        (ffi::Py_tp_finalize, finalize as *mut c_void),
        (ffi::Py_tp_traverse, traverse as *mut c_void),
        (ffi::Py_tp_clear, clear as *mut c_void),
        (ffi::Py_tp_repr, repr as *mut c_void),
        (ffi::Py_tp_iter, ready::itself as *mut c_void),
        (ffi::Py_tp_iternext, next as *mut c_void),
        (ffi::Py_am_await, ready::itself as *mut c_void),
        (ffi::Py_am_send, am_send as *mut c_void),
        (ffi::Py_tp_methods, methods),
        (ffi::Py_tp_getset, attributes),
        (ffi::Py_tp_members, members),
    ];
    let flags = ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    raw::make_type::<Wait>(py, &TYPE, c"aiocachetools._core.Miss", flags, &slots)
}
