//! Which event loops make tasks as asyncio does, so that a task may be made without asking them.
//!
//! `create_task` of asyncio's and uvloop's loops makes an `asyncio.Task`, unless the loop has a
//! task factory.  A subclass may override it, and a user may replace it, on the class or on the
//! loop; so the loop is looked at before each load.  What a class says stays true as long as
//! CPython's version tag of it does.

#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::object::{GilCell, Ref};

/// The class of a loop: its address, and the version that its attributes had.
type Version = (usize, u32);

pub struct PlainLoop {
    create_task: Ref,
    get_task_factory: Ref,
    /// A class that has both from asyncio, as last seen.
    known: GilCell<Version>,
}

static UVLOOP_CREATE_TASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl PlainLoop {
    pub fn new(base: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            create_task: base.getattr("create_task")?.into(),
            get_task_factory: base.getattr("get_task_factory")?.into(),
            known: GilCell::new((0, 0)),
        })
    }

    /// Whether the loop's `create_task` would do no more than make an `asyncio.Task`.
    pub fn includes(&self, py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
        let class = event_loop.get_type();
        if self.is_asyncios(py, &class)?
            && let Some(plain) = says_its_dict(py, event_loop)?
        {
            return Ok(plain);
        }
        if !event_loop.call_method0(intern!(py, "get_task_factory"))?.is_none() {
            return Ok(false);
        }
        let create_task = event_loop.getattr(intern!(py, "create_task"))?;
        let Ok(function) = create_task.getattr(intern!(py, "__func__")) else { return Ok(false) };
        Ok(self.create_task.is(function.as_ptr()) || is_uvloops(py, &function))
    }

    /// Whether the class has `create_task` and `get_task_factory` from asyncio.
    fn is_asyncios(&self, py: Python<'_>, class: &Bound<'_, PyType>) -> PyResult<bool> {
        let version = version(class);
        // SAFETY: the GIL is held; numbers are copied.
        if version.1 != 0 && unsafe { *self.known.get() } == version {
            return Ok(true);
        }
        let create_task = class.getattr(intern!(py, "create_task"))?;
        let get_task_factory = class.getattr(intern!(py, "get_task_factory"))?;
        let is =
            self.create_task.is(create_task.as_ptr()) && self.get_task_factory.is(get_task_factory.as_ptr());
        if is {
            // SAFETY: as above.  Looking attributes up has given the class a version.
            unsafe { *self.known.get() = self::version(class) };
        }
        Ok(is)
    }
}

fn version(class: &Bound<'_, PyType>) -> Version {
    let class = class.as_type_ptr();
    // SAFETY: the class is alive.
    (class as usize, unsafe { (*class).tp_version_tag })
}

/// What the attributes of an asyncio loop say: `None` where they are not as they are known.
fn says_its_dict(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Option<bool>> {
    // SAFETY: the loop is alive.
    let attributes = unsafe {
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyObject_GenericGetDict(event_loop.as_ptr(), std::ptr::null_mut()),
        )?
    };
    let attributes = attributes.cast::<PyDict>()?;
    if attributes.contains(intern!(py, "create_task"))?
        || attributes.contains(intern!(py, "get_task_factory"))?
    {
        return Ok(None);
    }
    let factory = attributes.get_item(intern!(py, "_task_factory"))?;
    Ok(factory.map(|factory| factory.is_none()))
}

/// Whether it is uvloop's own `create_task`, which makes an `asyncio.Task` as asyncio's does.
fn is_uvloops(py: Python<'_>, function: &Bound<'_, PyAny>) -> bool {
    let create_task = UVLOOP_CREATE_TASK.get_or_try_init(py, || {
        let modules = py.import("sys")?.getattr("modules")?;
        Ok::<_, PyErr>(modules.get_item("uvloop")?.getattr("Loop")?.getattr("create_task")?.unbind())
    });
    create_task.is_ok_and(|create_task| create_task.is(function))
}
