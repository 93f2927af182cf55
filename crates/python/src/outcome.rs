//! What a load came to.

#![allow(unsafe_code)]

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::object::{self, Ref};

/// What a load came to: a value, or an exception and the traceback that it left the load with.
#[derive(Clone)]
pub enum Outcome {
    Value(Ref),
    Error(Failure),
}

impl Outcome {
    /// What a call returns or raises.
    pub fn result(self, py: Python<'_>) -> PyResult<Ref> {
        match self {
            Outcome::Value(value) => Ok(value),
            Outcome::Error(failure) => Err(failure.raise(py)),
        }
    }

    /// The references that it holds, for the garbage collector.
    pub fn parts(&self) -> Box<dyn Iterator<Item = &Ref> + '_> {
        match self {
            Outcome::Value(value) => Box::new([value].into_iter()),
            Outcome::Error(failure) => Box::new(failure.parts()),
        }
    }
}

#[derive(Clone)]
pub struct Failure {
    exception: Ref,
    traceback: Option<Ref>,
}

impl Failure {
    /// A load is a coroutine, out of which StopIteration would be a result (PEP 479).
    pub fn new(py: Python<'_>, error: PyErr) -> Self {
        let error = if error.is_instance_of::<PyStopIteration>(py) { not_stopping(py, error) } else { error };
        let traceback = error.traceback(py).map(Ref::from);
        Self { exception: error.into_value(py).into_bound(py).into(), traceback }
    }

    pub fn exception(&self) -> &Ref {
        &self.exception
    }

    pub fn parts(&self) -> impl Iterator<Item = &Ref> {
        [&self.exception].into_iter().chain(&self.traceback)
    }

    /// The exception with the load's own traceback, whatever other waiters added to it.
    pub fn raise(self, py: Python<'_>) -> PyErr {
        let traceback = self.traceback.as_ref().map_or(object::none(), Ref::as_ptr);
        // SAFETY: the exception and the traceback are what an exception gave.
        unsafe { ffi::PyException_SetTraceback(self.exception.as_ptr(), traceback) };
        PyErr::from_value(self.exception.bound(py).to_owned())
    }
}

fn not_stopping(py: Python<'_>, error: PyErr) -> PyErr {
    let raised = PyRuntimeError::new_err("a load raised StopIteration");
    raised.set_traceback(py, error.traceback(py));
    raised.set_cause(py, Some(error));
    raised
}
