//! `CachedFunction` as a Python type: attributes, binding, collection.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_ulong, c_void};
use std::mem::{ManuallyDrop, offset_of};
use std::ptr::null_mut;

use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use crate::bound::BoundFunction;
use crate::bound_many::BoundManyFunction;
use crate::freshness::Freshness;
use crate::function::{CLASS_METHOD_TYPE, Function, MANY_CLASS_METHOD_TYPE, MANY_TYPE, TYPE, Target};
use crate::many::Many;
use crate::object::Ref;
use crate::raw::{self, TypeCell};

unsafe fn at<'a>(object: *mut PyObject) -> &'a Function {
    // SAFETY: the caller's object is of this type.
    unsafe { &*object.cast() }
}

/// Missing attributes are the function's own.
unsafe extern "C" fn getattro(object: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        let found = ffi::PyObject_GenericGetAttr(object, name);
        if !found.is_null() {
            return found;
        }
        raw::slot(|py| {
            let error = raw::fetch(py);
            if !error.is_instance_of::<PyAttributeError>(py) {
                return Err(error);
            }
            let found = ffi::PyObject_GetAttr(at(object).body.function.as_ptr(), name);
            if found.is_null() {
                drop(raw::fetch(py));
                return Err(error);
            }
            Ok(found)
        })
    }
}

unsafe extern "C" fn descr_get(
    object: *mut PyObject,
    instance: *mut PyObject,
    class: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the object is of this type; absent arguments are null.
    unsafe {
        let owner = if at(object).body.class_method { class } else { instance };
        let owner = if owner.is_null() && !class.is_null() { null_mut() } else { owner };
        let to_itself = owner.is_null() || (owner == ffi::Py_None() && !at(object).body.class_method);
        if to_itself {
            return ffi::Py_NewRef(object);
        }
        raw::slot(|py| Ok(bind(py, object, Some(Ref::from_borrowed(owner)))?.into_ptr()))
    }
}

/// The function and what it is bound to.
///
/// # Safety
/// The object is of this type.
unsafe fn bind(py: Python<'_>, object: *mut PyObject, owner: Option<Ref>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the caller's promise.
    let (function, many) = unsafe { (Ref::from_borrowed(object), at(object).body.many.is_some()) };
    let bound = BoundFunction::new(function, owner);
    if many {
        return Ok(Bound::new(py, BoundManyFunction::new(bound))?.into_any());
    }
    Ok(Bound::new(py, bound)?.into_any())
}

/// The function is an attribute of a class: a method, unless it was defined elsewhere and its
/// first parameter is not called as an instance or a class is.
unsafe extern "C" fn set_name(
    object: *mut PyObject,
    args: *mut *mut PyObject,
    count: ffi::Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the object is of this type; the arguments are those of a call.
    unsafe {
        raw::slot(|py| {
            if count != 2 {
                return Err(PyTypeError::new_err(format!("__set_name__ expected 2 arguments, got {count}")));
            }
            let body = &at(object).body;
            let class = Borrowed::from_ptr(py, *args).getattr("__qualname__")?;
            let prefix = format!("{}.", class.extract::<&str>()?);
            let defined_there = body.name().bound(py).extract::<&str>()?.starts_with(&prefix);
            if defined_there || body.plan.first_is_owner() {
                body.set_instance();
            }
            Ok(ffi::Py_NewRef(ffi::Py_None()))
        })
    }
}

unsafe extern "C" fn reduce(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe { ffi::PyObject_GetAttrString(object, c"__qualname__".as_ptr()) }
}

unsafe extern "C" fn repr(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| {
            let text = format!("<cached {} at {object:p}>", at(object).body.name().bound(py));
            Ok(text.into_pyobject(py)?.into_any().into_ptr())
        })
    }
}

/// `cache_*`: an attribute of the function bound to nothing.
unsafe extern "C" fn get_control(object: *mut PyObject, name: *mut c_void) -> *mut PyObject {
    // SAFETY: the object is of this type; the closure is the name that `init` passed.
    unsafe {
        raw::slot(|py| {
            let bound = bind(py, object, None)?;
            let found = ffi::PyObject_GetAttrString(bound.as_ptr(), name.cast());
            Ok(raw::owned(py, found)?.into_ptr())
        })
    }
}

unsafe extern "C" fn traverse(object: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: the object is of this type; the arguments are the collector's.
    unsafe {
        let function = at(object);
        if !function.dict.is_null() {
            let stop = visit(function.dict, arg);
            if stop != 0 {
                return stop;
            }
        }
        let body = &*function.body;
        let mut parts: Vec<&Ref> = vec![&body.function, &body.parameters];
        parts.extend(body.loader.iter().chain(&body.key).chain(&body.condition).chain(&body.listener));
        parts.extend(body.many.iter().flat_map(Many::parts));
        parts.extend(body.freshness.iter().flat_map(Freshness::parts));
        match &body.target {
            Target::Off { .. } => {}
            Target::Fixed(site) => parts.extend(site.parts()),
            Target::Resolved(resolver) => {
                parts
                    .extend([&resolver.resolve].into_iter().chain(&resolver.lock).chain(&resolver.condition));
            }
        }
        let stop = parts.into_iter().map(|part| visit(part.as_ptr(), arg)).find(|&stop| stop != 0);
        stop.unwrap_or_else(|| body.plan.traverse(&mut |part| visit(part.as_ptr(), arg)))
    }
}

/// Breaks cycles at the attributes; the rest is needed by calls that may still come.
unsafe extern "C" fn clear(object: *mut PyObject) -> c_int {
    // SAFETY: the object is of this type.
    unsafe {
        let dict = std::mem::replace(&mut (*object.cast::<Function>()).dict, null_mut());
        ffi::Py_XDECREF(dict);
    }
    0
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: the object is of this type and nobody refers to it any more.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let kind = ffi::Py_TYPE(object);
        let function = at(object);
        if !function.weak_references.is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        let dict = function.dict;
        ManuallyDrop::drop(&mut (*object.cast::<Function>()).body);
        ffi::Py_XDECREF(dict);
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

const CONTROLS: [&CStr; 14] = [
    c"cache",
    c"cache_key",
    c"cache_lock",
    c"cache_condition",
    c"cache_info",
    c"cache_stats",
    c"cache_parameters",
    c"cache_contains",
    c"cache_invalidate",
    c"cache_refresh",
    c"cache_set",
    c"cache_warm",
    c"cache_clear",
    c"cache_close",
];

/// Those of functions of several keys besides.
const CONTROLS_OF_MANY: [&CStr; 2] = [c"one", c"cache_invalidate_many"];

/// Makes the types.
pub fn init<'py>(py: Python<'py>) -> PyResult<[Bound<'py, PyAny>; 4]> {
    let method = ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
    let many = [&CONTROLS[..], &CONTROLS_OF_MANY].concat();
    Ok([
        make(py, &TYPE, c"aiocachetools.CachedFunction", method, &CONTROLS)?,
        make(py, &CLASS_METHOD_TYPE, c"aiocachetools.CachedClassMethod", 0, &CONTROLS)?,
        make(py, &MANY_TYPE, c"aiocachetools.CachedManyFunction", method, &many)?,
        make(py, &MANY_CLASS_METHOD_TYPE, c"aiocachetools.CachedManyClassMethod", 0, &many)?,
    ])
}

fn make<'py>(
    py: Python<'py>,
    cell: &TypeCell,
    name: &'static CStr,
    flags: c_ulong,
    controls: &[&'static CStr],
) -> PyResult<Bound<'py, PyAny>> {
    let methods = raw::leak(vec![
        raw::method(
            c"__set_name__",
            ffi::PyMethodDefPointer { PyCFunctionFast: set_name },
            ffi::METH_FASTCALL,
            c"Note that the function is a method of a class.",
        ),
        raw::method(
            c"__reduce__",
            ffi::PyMethodDefPointer { PyCFunction: reduce },
            ffi::METH_NOARGS,
            c"Pickle and copy by qualified name, as functions are.",
        ),
        raw::method(
            c"__class_getitem__",
            ffi::PyMethodDefPointer { PyCFunction: ffi::Py_GenericAlias },
            ffi::METH_O | ffi::METH_CLASS,
            c"For annotations: parameters and result.",
        ),
        ffi::PyMethodDef::zeroed(),
    ]);
    let (get, set) = (ffi::PyObject_GenericGetDict, ffi::PyObject_GenericSetDict);
    let dict = raw::attribute(c"__dict__", get, Some(set), null_mut());
    let controls = controls.iter().map(|name| raw::attribute(name, get_control, None, raw::closure(name)));
    let mut attributes = vec![dict];
    attributes.extend(controls);
    attributes.push(ffi::PyGetSetDef::default());
    let members = raw::leak(vec![
        raw::member(c"__vectorcalloffset__", offset_of!(Function, vectorcall)),
        raw::member(c"__dictoffset__", offset_of!(Function, dict)),
        raw::member(c"__weaklistoffset__", offset_of!(Function, weak_references)),
        ffi::PyMemberDef::default(),
    ]);
    let slots = [
        (ffi::Py_tp_dealloc, dealloc as *mut c_void),
        (ffi::Py_tp_traverse, traverse as *mut c_void),
        (ffi::Py_tp_clear, clear as *mut c_void),
        (ffi::Py_tp_repr, repr as *mut c_void),
        (ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
        (ffi::Py_tp_getattro, getattro as *mut c_void),
        (ffi::Py_tp_setattro, ffi::PyObject_GenericSetAttr as *mut c_void),
        (ffi::Py_tp_descr_get, descr_get as *mut c_void),
        (ffi::Py_tp_methods, methods),
        (ffi::Py_tp_getset, raw::leak(attributes)),
        (ffi::Py_tp_members, members),
    ];
    let flags = flags | ffi::Py_TPFLAGS_HAVE_VECTORCALL | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    raw::make_type::<Function>(py, cell, name, flags, &slots)
}
