//! The item slots of the native classes, reached from the interpreter without a detour.
//!
//! PyO3's own slots check the type of `self` and count the attachments of the thread, which costs
//! a third of a lookup.  A slot is only ever called on instances of the type that has it, with
//! the GIL held, so neither is needed.  A Python subclass goes by PyO3's slots.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::OnceLock;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::cache::Cache;
use crate::hooks::Hooks;
use crate::object;
use crate::quick::Quick;
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
            let cache = cache(py, &slf);
            match cache.get().quick_lookup(key) {
                Quick::Value(value) => Ok(value.into_ptr()),
                Quick::Absent => {
                    // The key is an `int` or a `str`, which is the error's only argument as it is.
                    ffi::PyErr_SetObject(ffi::PyExc_KeyError, key);
                    Ok(std::ptr::null_mut())
                }
                Quick::Unknown => Ok(Cache::__getitem__(cache, Bound::ref_from_ptr(py, &key))?.into_ptr()),
            }
        })
    }
}

unsafe extern "C" fn set(slf: *mut PyObject, key: *mut PyObject, value: *mut PyObject) -> c_int {
    // SAFETY: the interpreter calls this on a cache and a key, and a value to store or null.
    unsafe {
        raw::slot(|py| {
            let cache = cache(py, &slf);
            if !value.is_null() && cache.get().quick_store(py, key, value) {
                return Ok(0);
            }
            let key = Bound::ref_from_ptr(py, &key);
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
            let cache = cache(py, &slf);
            let found = match cache.get().quick_peek(key) {
                Some(found) => found,
                None => Cache::__contains__(cache, Bound::ref_from_ptr(py, &key))?,
            };
            Ok(c_int::from(found))
        })
    }
}

/// `get` as PyO3 makes it, which checks its arguments.
static CHECKED_GET: OnceLock<ffi::PyCFunctionFastWithKeywords> = OnceLock::new();

unsafe extern "C" fn get_or_default(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this on a cache and so many arguments, all alive.
    unsafe {
        if names.is_null() && (count == 1 || count == 2) {
            let found = raw::slot(|py| Ok(quick_get(cache(py, &slf).get(), args, count)));
            if !found.is_null() {
                return found;
            }
        }
        CHECKED_GET.get().map_or(std::ptr::null_mut(), |checked| checked(slf, args, count, names))
    }
}

/// The value of the first argument, or the second one or `None`; null where that is not known.
///
/// # Safety
/// There are so many arguments, one or two, and all are alive.
#[inline(always)]
unsafe fn quick_get(cache: &Cache, args: *const *mut PyObject, count: ffi::Py_ssize_t) -> *mut PyObject {
    if cache.flags().hooks.has(Hooks::READ) {
        return std::ptr::null_mut();
    }
    // SAFETY: the caller's promise.
    unsafe {
        match cache.quick_lookup(*args) {
            Quick::Value(value) => value.into_ptr(),
            Quick::Absent if count == 2 => ffi::Py_NewRef(*args.add(1)),
            Quick::Absent => ffi::Py_NewRef(object::none()),
            Quick::Unknown => std::ptr::null_mut(),
        }
    }
}

/// Puts the slots and methods into the native classes, of which the first is the base.
pub fn install(classes: &[Bound<'_, PyType>]) -> PyResult<()> {
    let get = classes[0].getattr("get")?;
    for class in classes {
        install_slots(class);
        install_get(class, &get)?;
    }
    Ok(())
}

fn install_slots(class: &Bound<'_, PyType>) {
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

/// Gives each class a descriptor of its own: the interpreter calls one quickly on instances of the very
/// class that it belongs to.
fn install_get(class: &Bound<'_, PyType>, checked: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: the descriptor of a method has this layout, and its definition lives for ever, as does its
    // copy.
    unsafe {
        if ffi::Py_TYPE(checked.as_ptr()) != &raw mut ffi::PyMethodDescr_Type {
            return Ok(());
        }
        let mut method = *(*checked.as_ptr().cast::<ffi::PyMethodDescrObject>()).d_method;
        if method.ml_flags != ffi::METH_FASTCALL | ffi::METH_KEYWORDS {
            return Ok(());
        }
        CHECKED_GET.get_or_init(|| method.ml_meth.PyCFunctionFastWithKeywords);
        method.ml_meth.PyCFunctionFastWithKeywords = get_or_default;
        let method = raw::leak(vec![method]).cast();
        let descriptor = ffi::PyDescr_NewMethod(class.as_type_ptr(), method);
        class.setattr("get", Bound::from_owned_ptr_or_err(class.py(), descriptor)?)
    }
}
