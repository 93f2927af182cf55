//! Identity as a key: what stands for `self` and `cls`, and for a function.
//!
//! 1. An instance is represented in keys by a token, which compares and hashes by its own
//!    identity, so the instance need not be hashable.
//! 2. A token holds its instance weakly.  A weak reference is cleared before the address can be
//!    used again, so a token never stands for a later object at the same address; and since each
//!    instance has its own, the keys of the dead do not collide with those of the living.
//! 3. An instance without weak references is held by its token, until the last key of it goes.
//! 4. A token lives as long as a key holds it; [`TOKENS`] only finds it.
//! 5. A copied or unpickled token stands for nothing.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::object::{self, GilCell, Ref};

/// A map from addresses of objects.
pub type AddressMap<V> = HashMap<usize, V, BuildHasherDefault<AddressHasher>>;

/// Spreads an address; it needs no defense.
#[derive(Default)]
pub struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("addresses are hashed as usize");
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = object::spread(address as isize);
    }
}

/// Holds an object weakly where that can be, else strongly.
enum Hold {
    Weak(Ref),
    Strong(Ref),
    Nothing,
}

/// The live tokens by the address of their instance.  Not owned: a token takes itself out.
static TOKENS: LazyLock<GilCell<AddressMap<*mut PyObject>>> =
    LazyLock::new(|| GilCell::new(HashMap::default()));

fn tokens<'a>() -> &'a mut AddressMap<*mut PyObject> {
    // SAFETY: the GIL is held; each use ends before Python code can run.
    unsafe { TOKENS.get() }
}

/// Stands for one instance (or class) in a key, by identity.
#[pyclass(frozen, module = "aiocachetools._core")]
pub struct InstanceKey {
    hold: Hold,
    address: usize,
}

/// The object that a weak reference points to, or `None`'s address.
///
/// # Safety
/// `weak` is an exact `weakref.ref`.
#[inline]
unsafe fn referent(weak: &Ref) -> *mut PyObject {
    // SAFETY: the caller's promise.
    unsafe { (*weak.as_ptr().cast::<ffi::_PyWeakReference>()).wr_object }
}

/// A weak reference to an object, where it can have any.
fn weak(py: Python<'_>, object: *mut PyObject) -> Option<Ref> {
    // SAFETY: the object is alive.
    let weak = unsafe { Ref::from_owned(ffi::PyWeakref_NewRef(object, std::ptr::null_mut())) };
    if weak.is_none() {
        drop(PyErr::take(py));
    }
    weak
}

/// Tells whether an object is alive that is not kept so.
#[derive(Clone)]
pub struct Guard {
    weak: Ref,
    address: usize,
}

impl Guard {
    /// A guard of the first of these objects that can have weak references.
    pub fn of(py: Python<'_>, objects: &[*mut PyObject]) -> Option<Self> {
        objects.iter().find_map(|&object| Some(Self { weak: weak(py, object)?, address: object as usize }))
    }

    #[inline]
    pub fn is_alive(&self) -> bool {
        // SAFETY: it is an exact weak reference.
        unsafe { referent(&self.weak) as usize == self.address }
    }

    /// The object, if it is alive.
    pub fn object(&self) -> Option<Ref> {
        // SAFETY: what is alive may be referred to.
        self.is_alive().then(|| unsafe { Ref::from_borrowed(self.address as *mut PyObject) })
    }
}

/// The token of an instance.
#[inline]
pub fn token(py: Python<'_>, instance: *mut PyObject) -> PyResult<Ref> {
    known_token(instance).map_or_else(|| new_token(py, instance), Ok)
}

/// The same if there is one already.
#[inline]
pub fn known_token(instance: *mut PyObject) -> Option<Ref> {
    let &token = tokens().get(&(instance as usize))?;
    // SAFETY: the GIL is held; a token that is found is alive: it takes itself out when it goes.
    unsafe {
        let key = Borrowed::from_ptr(Python::assume_attached(), token).cast_unchecked::<InstanceKey>();
        key.get().is(instance).then(|| Ref::from_borrowed(token))
    }
}

#[cold]
fn new_token(py: Python<'_>, instance: *mut PyObject) -> PyResult<Ref> {
    let hold = match weak(py, instance) {
        Some(weak) => Hold::Weak(weak),
        // SAFETY: the caller's instance is alive.
        None => Hold::Strong(unsafe { Ref::from_borrowed(instance) }),
    };
    let address = instance as usize;
    let token = Ref::from(Bound::new(py, InstanceKey { hold, address })?);
    tokens().insert(address, token.as_ptr());
    Ok(token)
}

impl InstanceKey {
    #[inline]
    fn is(&self, instance: *mut PyObject) -> bool {
        match &self.hold {
            // SAFETY: it is an exact weak reference.
            Hold::Weak(weak) => unsafe { referent(weak) == instance },
            Hold::Strong(held) => held.is(instance),
            Hold::Nothing => false,
        }
    }
}

impl Drop for InstanceKey {
    fn drop(&mut self) {
        if matches!(self.hold, Hold::Nothing) {
            return;
        }
        let found = tokens().get(&self.address).copied();
        // SAFETY: what is found is alive, or is this very token on its way out.
        let own = found.is_some_and(|token| unsafe {
            let py = Python::assume_attached();
            std::ptr::eq(Borrowed::from_ptr(py, token).cast_unchecked::<InstanceKey>().get(), self)
        });
        if own {
            tokens().remove(&self.address);
        }
    }
}

#[pymethods]
impl InstanceKey {
    /// A token of nothing: what pickling and copying give.
    #[new]
    fn new() -> Self {
        InstanceKey { hold: Hold::Nothing, address: 0 }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let object = match &self.hold {
            // SAFETY: it is an exact weak reference; what it points to is alive.
            Hold::Weak(weak) => unsafe { Ref::from_borrowed(referent(weak)) },
            Hold::Strong(held) => held.clone(),
            Hold::Nothing => return Ok("<key of nothing>".to_owned()),
        };
        if object.is_none() {
            return Ok("<key of a dead instance>".to_owned());
        }
        Ok(format!("<key of {} at {:p}>", object.bound(py).get_type().name()?, object.as_ptr()))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, ()) {
        (slf.get_type().into_any(), ())
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        match &self.hold {
            Hold::Weak(held) | Hold::Strong(held) => visit.call(held.as_py()),
            Hold::Nothing => Ok(()),
        }
    }
}

/// Stands for something of a decorated function in keys: the function itself, or a default value
/// that has no hash.
#[pyclass(frozen, module = "aiocachetools._core")]
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
