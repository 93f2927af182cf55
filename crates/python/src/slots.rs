//! The item slots of the native classes, reached from the interpreter without a detour.
//!
//! PyO3's own slots check the type of `self` and count the attachments of the thread, which costs
//! a third of a lookup.  A slot is only ever called on instances of the type that has it, with
//! the GIL held, so neither is needed.  A Python subclass goes by PyO3's slots.

#![allow(unsafe_code)]

use std::ffi::c_int;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::cache::Cache;
use crate::raw;

/// `self` as what it is.
///
/// # Safety
/// The object is a cache and alive.
#[inline]
unsafe fn cache<'a, 'py>(py: Python<'py>, object: &'a *mut PyObject) -> &'a Bound<'py, Cache> {
    // SAFETY: the caller's promise.
    unsafe { Bound::ref_from_ptr(py, object).cast_unchecked() }
}

unsafe extern "C" fn get(slf: *mut PyObject, key: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this on a cache and a key, both alive.
    unsafe {
        raw::slot(|py| {
            let value = Cache::__getitem__(cache(py, &slf), Bound::ref_from_ptr(py, &key))?;
            Ok(value.into_ptr())
        })
    }
}

unsafe extern "C" fn set(slf: *mut PyObject, key: *mut PyObject, value: *mut PyObject) -> c_int {
    // SAFETY: the interpreter calls this on a cache and a key, and a value to store or null.
    unsafe {
        raw::slot(|py| {
            let (cache, key) = (cache(py, &slf), Bound::ref_from_ptr(py, &key));
            if value.is_null() {
                Cache::__delitem__(cache, key)?;
            } else {
                Cache::__setitem__(cache, key, Bound::ref_from_ptr(py, &value))?;
            }
            Ok(0)
        })
    }
}

unsafe extern "C" fn contains(slf: *mut PyObject, key: *mut PyObject) -> c_int {
    // SAFETY: the interpreter calls this on a cache and a key, both alive.
    unsafe {
        raw::slot(|py| {
            let found = Cache::__contains__(cache(py, &slf), Bound::ref_from_ptr(py, &key))?;
            Ok(c_int::from(found))
        })
    }
}

/// Puts the slots into a native class.
pub fn install(class: &Bound<'_, PyType>) {
    let class = class.as_type_ptr();
    // SAFETY: a heap type owns the tables of its slots, and nobody uses it yet.
    unsafe {
        if let Some(mapping) = (*class).tp_as_mapping.as_mut() {
            mapping.mp_subscript = Some(get as ffi::binaryfunc);
            mapping.mp_ass_subscript = Some(set as ffi::objobjargproc);
        }
        if let Some(sequence) = (*class).tp_as_sequence.as_mut() {
            sequence.sq_contains = Some(contains as ffi::objobjproc);
        }
    }
}
