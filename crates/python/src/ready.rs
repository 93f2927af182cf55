//! `Ready`: the coroutine that a hit returns, and the `StopIteration` that carries its value.
//!
//! 1. The value is there from the start; the first step returns it and leaves the coroutine spent.
//! 2. `await` takes a value from `tp_iternext` out of a `StopIteration`.  One such exception is
//!    used again and again; whenever anybody else may hold it, or it was decorated with a
//!    traceback, context, cause, notes or attributes, a new one takes its place.
//! 3. Freed objects are kept for the next hit; the value is dropped at once.
//! 4. A hit is counted when it is awaited.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, PyObject, PySendResult};
use pyo3::prelude::*;

use crate::counts::{self, Counter};
use crate::object::GilCell;
use crate::raw::{self, TypeCell};

#[repr(C)]
pub struct Ready {
    ob_base: PyObject,
    /// Owned; null once the coroutine is spent.
    value: *mut PyObject,
    counter: Counter,
}

static TYPE: TypeCell = TypeCell::new();

const KEPT: usize = 64;

struct FreeList {
    objects: [*mut Ready; KEPT],
    length: usize,
}

static FREE: GilCell<FreeList> = GilCell::new(FreeList { objects: [null_mut(); KEPT], length: 0 });

/// The exception that is used again; null before the first hit.
static STOP: GilCell<*mut ffi::PyStopIterationObject> = GilCell::new(null_mut());

/// Whether the collector must know of an object that holds this value.
#[inline]
unsafe fn needs_tracking(value: *mut PyObject) -> bool {
    // SAFETY: the caller's object is alive.
    unsafe { ffi::PyType_HasFeature(ffi::Py_TYPE(value), ffi::Py_TPFLAGS_HAVE_GC) != 0 }
}

/// A coroutine that returns `value`, which it takes over.
///
/// # Safety
/// `value` is an owned reference; the GIL is held.
#[inline]
pub unsafe fn new(value: *mut PyObject, counter: Counter) -> *mut PyObject {
    // SAFETY: an object from the free list is of this type, unshared and untracked.
    unsafe {
        let free = FREE.get();
        let ready = if free.length > 0 {
            free.length -= 1;
            let ready = *free.objects.get_unchecked(free.length);
            set_one_reference(ready.cast());
            ready
        } else {
            let ready = allocate();
            if ready.is_null() {
                ffi::Py_DECREF(value);
                return null_mut();
            }
            ready
        };
        (*ready).value = value;
        (*ready).counter = counter;
        if needs_tracking(value) {
            ffi::PyObject_GC_Track(ready.cast());
        }
        ready.cast()
    }
}

#[inline]
unsafe fn set_one_reference(object: *mut PyObject) {
    // SAFETY: the reference count is the first word of an object on 64-bit GIL builds; since 3.14 its upper
    // half is flags, of which an object that is not static has none.
    unsafe { *object.cast::<isize>() = 1 }
}

#[cold]
unsafe fn allocate() -> *mut Ready {
    // SAFETY: the type was made at import.
    unsafe {
        let ready: *mut Ready = ffi::PyType_GenericAlloc(TYPE.get(), 0).cast();
        if !ready.is_null() {
            ffi::PyObject_GC_UnTrack(ready.cast());
        }
        ready
    }
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    let ready: *mut Ready = object.cast();
    // SAFETY: the object is of this type and nobody refers to it any more.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let value = (*ready).value;
        if value.is_null() {
            release_stop();
        } else {
            (*ready).value = null_mut();
            ffi::Py_DECREF(value);
        }
        let free = FREE.get();
        if free.length < KEPT {
            *free.objects.get_unchecked_mut(free.length) = ready;
            free.length += 1;
        } else {
            ffi::PyObject_GC_Del(object.cast());
            ffi::Py_DECREF(TYPE.get().cast());
        }
    }
}

unsafe extern "C" fn traverse(object: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: the object is of this type.
    unsafe {
        let value = (*object.cast::<Ready>()).value;
        if value.is_null() { 0 } else { visit(value, arg) }
    }
}

/// The value, owned; null with an exception set when the coroutine is spent.
#[inline]
unsafe fn take(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        let ready: *mut Ready = object.cast();
        let value = (*ready).value;
        if value.is_null() {
            set_spent();
            return null_mut();
        }
        (*ready).value = null_mut();
        counts::hit((*ready).counter);
        value
    }
}

/// Raises what a coroutine raises when it is awaited twice.
#[cold]
pub fn set_spent() {
    // SAFETY: the GIL is held in every slot.
    let py = unsafe { Python::assume_attached() };
    PyRuntimeError::new_err("cannot reuse already awaited coroutine").restore(py);
}

/// Whether the kept exception is nobody else's and as good as new.
#[inline]
unsafe fn is_reusable(stop: *mut ffi::PyStopIterationObject) -> bool {
    // SAFETY: the caller's pointer is null or the exception that is kept.
    unsafe {
        !stop.is_null()
            && ffi::Py_REFCNT(stop.cast()) == 1
            && (*stop).traceback.is_null()
            && (*stop).context.is_null()
            && (*stop).cause.is_null()
            && (*stop).dict.is_null()
            && (*stop).notes.is_null()
    }
}

/// Sets `StopIteration(value)`, taking `value` over, as the return of `tp_iternext`.
///
/// # Safety
/// `value` is an owned reference; the GIL is held.
#[inline]
pub unsafe fn stop_with(value: *mut PyObject) -> *mut PyObject {
    // SAFETY: the exception is one that this module made; see `is_reusable`.
    unsafe {
        if value == ffi::Py_None() {
            ffi::Py_DECREF(value);
            return null_mut();
        }
        let mut stop = *STOP.get();
        if !is_reusable(stop) {
            stop = renew_stop();
            if stop.is_null() {
                ffi::Py_DECREF(value);
                return null_mut();
            }
        }
        let old = std::mem::replace(&mut (*stop).value, value);
        ffi::Py_INCREF(stop.cast());
        #[cfg(Py_3_12)]
        ffi::PyErr_SetRaisedException(stop.cast());
        #[cfg(not(Py_3_12))]
        {
            ffi::Py_INCREF(ffi::PyExc_StopIteration);
            ffi::PyErr_Restore(ffi::PyExc_StopIteration, stop.cast(), null_mut());
        }
        drop_old_value(old);
        null_mut()
    }
}

/// Drops what the kept exception held, without disturbing the exception that is set.
#[inline]
unsafe fn drop_old_value(old: *mut PyObject) {
    // SAFETY: the pointer is null or an owned reference.
    unsafe {
        if old.is_null() || old == ffi::Py_None() {
            ffi::Py_XDECREF(old);
            return;
        }
        let py = Python::assume_attached();
        let set = PyErr::take(py);
        ffi::Py_DECREF(old);
        if let Some(set) = set {
            set.restore(py);
        }
    }
}

#[cold]
unsafe fn renew_stop() -> *mut ffi::PyStopIterationObject {
    // SAFETY: the GIL is held.
    unsafe {
        let new: *mut ffi::PyStopIterationObject = ffi::PyObject_CallNoArgs(ffi::PyExc_StopIteration).cast();
        if !new.is_null() {
            let old = std::mem::replace(STOP.get(), new);
            ffi::Py_XDECREF(old.cast());
        }
        new
    }
}

/// Lets go of the value in the kept exception once nobody else can ask for it.
///
/// # Safety
/// The GIL is held.
#[inline]
pub unsafe fn release_stop() {
    // SAFETY: the exception is one that this module made.
    unsafe {
        let stop = *STOP.get();
        if !stop.is_null() && ffi::Py_REFCNT(stop.cast()) == 1 {
            let value = std::mem::replace(&mut (*stop).value, null_mut());
            ffi::Py_XDECREF(value);
        }
    }
}

/// Raises a fresh `StopIteration(value)`, as `send` does; takes `value` over.
///
/// # Safety
/// `value` is an owned reference; the GIL is held.
pub unsafe fn raise_stop(value: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's promise.
    unsafe {
        let stop = ffi::PyObject_CallOneArg(ffi::PyExc_StopIteration, value);
        ffi::Py_DECREF(value);
        if !stop.is_null() {
            ffi::PyErr_SetObject(ffi::PyExc_StopIteration, stop);
            ffi::Py_DECREF(stop);
        }
        null_mut()
    }
}

/// Raises what `throw(type)`, `throw(type, value)` or `throw(exception)` asks for.
///
/// # Safety
/// `args` points to `count` live objects; the GIL is held.
pub unsafe fn raise_thrown(args: *const *mut PyObject, count: ffi::Py_ssize_t) {
    // SAFETY: the caller's promise.
    unsafe {
        if count < 1 {
            ffi::PyErr_SetString(ffi::PyExc_TypeError, c"throw expected at least 1 argument, got 0".as_ptr());
            return;
        }
        let thrown = *args;
        if ffi::PyExceptionInstance_Check(thrown) != 0 {
            ffi::PyErr_SetObject(ffi::Py_TYPE(thrown).cast(), thrown);
        } else if ffi::PyExceptionClass_Check(thrown) != 0 {
            ffi::PyErr_SetObject(thrown, if count > 1 { *args.add(1) } else { ffi::Py_None() });
        } else {
            let message = c"exceptions must be classes or instances deriving from BaseException";
            ffi::PyErr_SetString(ffi::PyExc_TypeError, message.as_ptr());
        }
    }
}

unsafe extern "C" fn next(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        let value = take(object);
        if value.is_null() { null_mut() } else { stop_with(value) }
    }
}

unsafe extern "C" fn am_send(
    object: *mut PyObject,
    _: *mut PyObject,
    result: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: the object is of this type; the interpreter passes a place for the result.
    unsafe {
        let value = take(object);
        *result = value;
        if value.is_null() { PySendResult::PYGEN_ERROR } else { PySendResult::PYGEN_RETURN }
    }
}

unsafe extern "C" fn send(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        let value = take(object);
        if value.is_null() { null_mut() } else { raise_stop(value) }
    }
}

/// Drops the value unawaited.
unsafe fn discard(object: *mut PyObject) {
    let ready: *mut Ready = object.cast();
    // SAFETY: the object is of this type.
    unsafe {
        let value = std::mem::replace(&mut (*ready).value, null_mut());
        ffi::Py_XDECREF(value);
    }
}

unsafe extern "C" fn throw(
    object: *mut PyObject,
    args: *mut *mut PyObject,
    count: ffi::Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        if (*object.cast::<Ready>()).value.is_null() {
            set_spent();
        } else {
            discard(object);
            raise_thrown(args, count);
        }
        null_mut()
    }
}

unsafe extern "C" fn close(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        discard(object);
        ffi::Py_NewRef(ffi::Py_None())
    }
}

unsafe extern "C" fn clear(object: *mut PyObject) -> c_int {
    // SAFETY: the object is of this type.
    unsafe { discard(object) };
    0
}

/// `__await__` and `__iter__` of an awaitable that is its own iterator.
pub unsafe extern "C" fn itself(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is alive.
    unsafe { ffi::Py_NewRef(object) }
}

/// Makes the type.
pub fn init<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
    let methods = raw::leak(vec![
        raw::method(
            c"send",
            ffi::PyMethodDefPointer { PyCFunction: send },
            ffi::METH_O,
            c"Return the value.",
        ),
        raw::method(
            c"throw",
            ffi::PyMethodDefPointer { PyCFunctionFast: throw },
            ffi::METH_FASTCALL,
            c"Raise an exception in place of the value.",
        ),
        raw::method(
            c"close",
            ffi::PyMethodDefPointer { PyCFunction: close },
            ffi::METH_NOARGS,
            c"Drop the value.",
        ),
        ffi::PyMethodDef::zeroed(),
    ]);
    let flags = ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let slots = [
        (ffi::Py_tp_dealloc, dealloc as *mut c_void),
        (ffi::Py_tp_traverse, traverse as *mut c_void),
        (ffi::Py_tp_clear, clear as *mut c_void),
        (ffi::Py_tp_iter, itself as *mut c_void),
        (ffi::Py_tp_iternext, next as *mut c_void),
        (ffi::Py_am_await, itself as *mut c_void),
        (ffi::Py_am_send, am_send as *mut c_void),
        (ffi::Py_tp_methods, methods),
    ];
    raw::make_type::<Ready>(py, &TYPE, c"aiocachetools._core.Hit", flags, &slots)
}
