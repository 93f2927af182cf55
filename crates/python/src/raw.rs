//! The few pieces of C that types with slots of their own need.
//!
//! `#[pyclass]` has no vectorcall slot and its awaitables cost twice as much, so the decorated
//! function and what it returns are types made from a `PyType_Spec`.

#![allow(unsafe_code)]

use std::any::Any;
use std::ffi::{CStr, c_int, c_uint, c_ulong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use pyo3::exceptions::PySystemError;
use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;

use crate::object::{GilCell, Ref};

/// A type that is made once, when the module is imported.
pub struct TypeCell(GilCell<*mut PyTypeObject>);

impl TypeCell {
    pub const fn new() -> Self {
        Self(GilCell::new(null_mut()))
    }

    #[inline]
    pub fn get(&self) -> *mut PyTypeObject {
        // SAFETY: the GIL is held; the pointer is copied.
        unsafe { *self.0.get() }
    }

    fn set(&self, kind: *mut PyTypeObject) {
        // SAFETY: the GIL is held.
        unsafe { *self.0.get() = kind }
    }
}

/// A slot of a type and what fills it.
pub type Slot = (c_int, *mut c_void);

/// Makes a type of instances of `T` and keeps it in `cell`.
pub fn make_type<'py, T>(
    py: Python<'py>,
    cell: &TypeCell,
    name: &'static CStr,
    flags: c_ulong,
    slots: &[Slot],
) -> PyResult<Bound<'py, PyAny>> {
    let end = ffi::PyType_Slot { slot: 0, pfunc: null_mut() };
    let mut slots: Vec<_> =
        slots.iter().map(|&(slot, pfunc)| ffi::PyType_Slot { slot, pfunc }).chain([end]).collect();
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_IMMUTABLETYPE | flags;
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: size_of::<T>() as c_int,
        itemsize: 0,
        flags: flags as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the specification is complete; the slots' tables live for ever (see `leak`).
    let kind = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&mut spec))? };
    cell.set(kind.clone().into_ptr().cast());
    Ok(kind)
}

/// A table that a type refers to for ever.
pub fn leak<T>(table: Vec<T>) -> *mut c_void {
    Box::leak(table.into_boxed_slice()).as_mut_ptr().cast()
}

pub fn method(
    name: &'static CStr,
    function: ffi::PyMethodDefPointer,
    flags: c_int,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth: function, ml_flags: flags, ml_doc: doc.as_ptr() }
}

/// An attribute; `closure` is what `get` and `set` are passed.
pub fn attribute(
    name: &'static CStr,
    get: ffi::getter,
    set: Option<ffi::setter>,
    closure: *mut c_void,
) -> ffi::PyGetSetDef {
    ffi::PyGetSetDef { name: name.as_ptr(), get: Some(get), set, doc: std::ptr::null(), closure }
}

/// A name as an attribute's closure.
pub fn closure(name: &'static CStr) -> *mut c_void {
    name.as_ptr().cast_mut().cast()
}

pub fn member(name: &'static CStr, offset: usize) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: std::ptr::null(),
    }
}

/// What a C slot gives back when an exception is set.
pub trait Failure {
    fn failure() -> Self;
}

impl Failure for *mut PyObject {
    fn failure() -> Self {
        null_mut()
    }
}

impl Failure for c_int {
    fn failure() -> Self {
        -1
    }
}

/// Runs the body of a slot: an error becomes Python's, and so does a panic.
///
/// # Safety
/// The GIL is held, as it is in every slot.
#[inline]
pub unsafe fn slot<R: Failure>(body: impl FnOnce(Python<'_>) -> PyResult<R>) -> R {
    // SAFETY: the caller's promise.
    let py = unsafe { Python::assume_attached() };
    let result = catch_unwind(AssertUnwindSafe(|| body(py)));
    match result.unwrap_or_else(|panic| Err(panic_error(&*panic))) {
        Ok(result) => result,
        Err(error) => {
            error.restore(py);
            R::failure()
        }
    }
}

#[cold]
fn panic_error(panic: &(dyn Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    PySystemError::new_err(format!("a bug in aiocachetools: {}", text.unwrap_or("panic")))
}

/// The exception that is set, taken off the interpreter.
pub fn fetch(py: Python<'_>) -> PyErr {
    PyErr::fetch(py)
}

/// The owned result of a C call, or the exception that it set.
///
/// # Safety
/// `result` is null with an exception set, or a reference that the caller owns.
#[inline]
pub unsafe fn owned(py: Python<'_>, result: *mut PyObject) -> PyResult<Ref> {
    // SAFETY: the caller's promise.
    unsafe { Ref::from_owned(result) }.ok_or_else(|| fetch(py))
}

/// Calls a method without arguments.
#[inline]
pub fn call_method0(py: Python<'_>, object: &Ref, name: &Ref) -> PyResult<Ref> {
    // SAFETY: both are alive.
    unsafe { owned(py, ffi::PyObject_CallMethodNoArgs(object.as_ptr(), name.as_ptr())) }
}

/// Calls a method with one argument.
#[inline]
pub fn call_method1(py: Python<'_>, object: &Ref, name: &Ref, argument: &Ref) -> PyResult<Ref> {
    let args = [object.as_ptr(), argument.as_ptr()];
    // SAFETY: all are alive.
    unsafe { owned(py, ffi::PyObject_VectorcallMethod(name.as_ptr(), args.as_ptr(), 2, null_mut())) }
}
