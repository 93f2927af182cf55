//! Identity as a key: what stands for `self` and `cls`, and for a function.
//!
//! 1. An instance need not be hashable: its key hashes by address and compares by identity.
//! 2. The key holds the instance weakly.  A weak reference is cleared before the address can be
//!    used again, so a key never stands for a later object at the same address.
//! 3. An instance without weak references is held until its entry goes.
//! 4. A copied or unpickled key stands for nothing.

#![allow(unsafe_code)]

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyWeakrefReference};

use crate::object::{self, Ref};

enum Target {
    Weak(Ref),
    Strong(Ref),
    Nothing,
}

/// Stands for one instance (or class) in a key, by identity.
#[pyclass(frozen, module = "aiocachetools")]
pub struct InstanceKey {
    target: Target,
    hash: isize,
}

/// The object that a weak reference points to, or `None`'s address.
#[inline]
fn referent(weak: &Ref) -> *mut PyObject {
    // SAFETY: `Target::Weak` holds an exact `weakref.ref`.
    unsafe { (*weak.as_ptr().cast::<ffi::_PyWeakReference>()).wr_object }
}

/// Whether a key's item stands for this very instance.
///
/// # Safety
/// Both objects are alive.
#[inline]
pub unsafe fn stands_for(item: *mut PyObject, instance: *mut PyObject) -> bool {
    // SAFETY: the GIL is held and `item` is alive.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: as above.
    let item = unsafe { Borrowed::from_ptr(py, item) };
    match item.cast_exact::<InstanceKey>() {
        Ok(key) => key.get().is(instance),
        Err(_) => false,
    }
}

impl InstanceKey {
    /// The key's item for an instance.
    pub fn of(py: Python<'_>, instance: *mut PyObject) -> PyResult<Ref> {
        // SAFETY: the caller's instance is alive.
        let bound = unsafe { Borrowed::from_ptr(py, instance) };
        let target = match PyWeakrefReference::new(&bound) {
            Ok(weak) => Target::Weak(weak.into()),
            Err(_) => Target::Strong(Ref::from(&*bound)),
        };
        let key = InstanceKey { target, hash: object::address_hash(instance) };
        Ok(Bound::new(py, key)?.into())
    }

    #[inline]
    fn is(&self, instance: *mut PyObject) -> bool {
        match &self.target {
            Target::Weak(weak) => referent(weak) == instance,
            Target::Strong(held) => held.is(instance),
            Target::Nothing => false,
        }
    }

    fn target(&self, py: Python<'_>) -> Option<*mut PyObject> {
        match &self.target {
            Target::Weak(weak) => {
                Some(referent(weak)).filter(|&object| object != py.None().as_ptr())
            }
            Target::Strong(held) => Some(held.as_ptr()),
            Target::Nothing => None,
        }
    }
}

#[pymethods]
impl InstanceKey {
    /// A key that stands for nothing: what pickling and copying give.
    #[new]
    fn new() -> Self {
        InstanceKey { target: Target::Nothing, hash: 0 }
    }

    fn __hash__(&self) -> isize {
        self.hash
    }

    fn __eq__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> bool {
        if slf.is(other) {
            return true;
        }
        match (slf.get().target(slf.py()), other.cast_exact::<InstanceKey>()) {
            (Some(target), Ok(other)) => other.get().is(target),
            _ => false,
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Some(target) = self.target(py) else {
            return Ok("<key of a dead instance>".to_owned());
        };
        // SAFETY: the target is alive as long as its weak reference says so.
        let target = unsafe { Borrowed::from_ptr(py, target) };
        Ok(format!("<key of {} at {:p}>", target.get_type().name()?, target.as_ptr()))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, ()) {
        (slf.get_type().into_any(), ())
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        let (Target::Weak(held) | Target::Strong(held)) = &self.target else { return Ok(()) };
        visit.call(held.as_py())
    }
}

/// Stands for one decorated function in the keys of a cache that it shares with others.
#[pyclass(frozen, module = "aiocachetools")]
pub struct FunctionKey {
    name: Py<PyString>,
}

impl FunctionKey {
    pub fn of(py: Python<'_>, name: &Bound<'_, PyString>) -> PyResult<Ref> {
        Ok(Bound::new(py, FunctionKey { name: name.clone().unbind() })?.into())
    }
}

#[pymethods]
impl FunctionKey {
    /// A key of no function: what pickling and copying give.
    #[new]
    fn new(name: Py<PyString>) -> Self {
        FunctionKey { name }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<key of {}>", self.name.bind(py))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (Py<PyString>,)) {
        (slf.get_type().into_any(), (slf.get().name.clone_ref(slf.py()),))
    }
}
