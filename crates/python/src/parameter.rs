//! The parameters of a signature, and their default values as keys see them.

#![allow(unsafe_code)]

use std::ptr::addr_of_mut;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::instance::FunctionKey;
use crate::object::{self, Equality, Ref};

/// A parameter's default value.
pub struct Default {
    pub value: Ref,
    /// Stands in keys for a value that has no hash.
    pub stand_in: Option<Ref>,
}

impl Default {
    pub fn new(py: Python<'_>, name: &Bound<'_, PyString>, value: Ref) -> PyResult<Self> {
        let hashable = value.bound(py).hash().is_ok();
        let stand_in = if hashable { None } else { Some(FunctionKey::of(py, name)?) };
        Ok(Self { value, stand_in })
    }

    /// The default as it appears in a key.
    pub fn in_key(&self) -> &Ref {
        self.stand_in.as_ref().unwrap_or(&self.value)
    }
}

/// A parameter that can be passed by position.
pub struct Positional {
    pub name: Ref,
    pub default: Option<Default>,
    pub by_name: bool,
    pub kept: bool,
}

pub struct KeywordOnly {
    pub name: Ref,
    pub default: Option<Default>,
    pub kept: bool,
}

/// What a key has for the value of a parameter.
pub fn in_key(default: Option<&Default>, value: *mut PyObject) -> *mut PyObject {
    match default {
        Some(default) if default.value.is(value) => default.in_key().as_ptr(),
        _ => value,
    }
}

/// Whether a value is the default: the same object, or an equal constant of the same type.
#[inline]
pub fn is_default(value: *mut PyObject, default: &Ref) -> bool {
    // SAFETY: both are alive.
    match unsafe { object::equality(value, default.as_ptr()) } {
        Equality::Same => true,
        Equality::Different => false,
        // SAFETY: as above.
        Equality::Ask => unsafe { is_equal_constant(value, default.as_ptr()) },
    }
}

#[cold]
unsafe fn is_equal_constant(value: *mut PyObject, default: *mut PyObject) -> bool {
    // SAFETY: both are alive; comparing two exact floats or bytes runs no Python code.
    unsafe {
        let kind = ffi::Py_TYPE(value);
        let constant = kind == addr_of_mut!(ffi::PyFloat_Type) || kind == addr_of_mut!(ffi::PyBytes_Type);
        constant
            && kind == ffi::Py_TYPE(default)
            && ffi::PyObject_RichCompareBool(value, default, ffi::Py_EQ) == 1
    }
}
