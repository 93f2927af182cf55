//! Which event loops make tasks as asyncio does, so that a task may be made without asking them.
//!
//! `create_task` of asyncio's and uvloop's loops makes an `asyncio.Task`, unless the loop has a
//! task factory.  A subclass may override it, and a user may replace it, on the class or on the
//! loop; so the loop is looked at before each load.  Its `__dict__` is left alone: on Python 3.11
//! and 3.12 the interpreter reads the attributes of an object much slower once that was asked for,
//! and a loop's are read a dozen times in each round.

#![allow(unsafe_code)]

use pyo3::ffi::{self, PyObject};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::object::Ref;

/// asyncio's own `create_task`.
pub struct PlainLoop {
    create_task: Ref,
}

static UVLOOP_CREATE_TASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl PlainLoop {
    pub fn new(base: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { create_task: base.getattr("create_task")?.into() })
    }

    /// Whether the loop's `create_task` would do no more than make an `asyncio.Task`.
    pub fn includes(&self, py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
        let create_task = event_loop.getattr(intern!(py, "create_task"))?;
        if self.create_task.is(function_of(&create_task)) {
            return Ok(event_loop.getattr(intern!(py, "_task_factory"))?.is_none());
        }
        let Ok(function) = create_task.getattr(intern!(py, "__func__")) else { return Ok(false) };
        Ok(is_uvloops(py, &function) && event_loop.call_method0(intern!(py, "get_task_factory"))?.is_none())
    }
}

// CPython's own, which PyO3 does not declare.
unsafe extern "C" {
    static mut PyMethod_Type: ffi::PyTypeObject;
    fn PyMethod_Function(method: *mut PyObject) -> *mut PyObject;
}

/// The function of a bound method, borrowed from it; null for anything else.
fn function_of(method: &Bound<'_, PyAny>) -> *mut PyObject {
    // SAFETY: the method is alive, and of the type that has a function.
    unsafe {
        if ffi::Py_IS_TYPE(method.as_ptr(), &raw mut PyMethod_Type) == 0 {
            return std::ptr::null_mut();
        }
        PyMethod_Function(method.as_ptr())
    }
}

/// Whether it is uvloop's own `create_task`, which makes an `asyncio.Task` as asyncio's does.
fn is_uvloops(py: Python<'_>, function: &Bound<'_, PyAny>) -> bool {
    let create_task = UVLOOP_CREATE_TASK.get_or_try_init(py, || {
        let modules = py.import("sys")?.getattr("modules")?;
        Ok::<_, PyErr>(modules.get_item("uvloop")?.getattr("Loop")?.getattr("create_task")?.unbind())
    });
    create_task.is_ok_and(|create_task| create_task.is(function))
}
