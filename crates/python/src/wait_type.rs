//! `Wait` as a Python type: coroutine, iterator, and the future that a task sees.

#![allow(unsafe_code)]

use std::ffi::{CString, c_int, c_void};
use std::mem::{ManuallyDrop, offset_of};
use std::ptr::null_mut;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi::{self, PyObject, PySendResult};
use pyo3::prelude::*;

use crate::object::Ref;
use crate::raw;
use crate::ready;
use crate::wait::{Callback, Step, TYPE, Wait, cancelled};
use crate::wait_state::State;

unsafe extern "C" fn next(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| match Wait::at(object).step(py, object)? {
            Step::Yield => Ok(ffi::Py_NewRef(object)),
            Step::Return(value) => Ok(ready::stop_with(value.into_ptr())),
        })
    }
}

unsafe extern "C" fn am_send(
    object: *mut PyObject,
    _: *mut PyObject,
    result: *mut *mut PyObject,
) -> PySendResult {
    // SAFETY: the object is of this type; the interpreter passes a place for the result.
    unsafe {
        let mut kind = PySendResult::PYGEN_ERROR;
        *result = raw::slot(|py| match Wait::at(object).step(py, object)? {
            Step::Yield => {
                kind = PySendResult::PYGEN_NEXT;
                Ok(ffi::Py_NewRef(object))
            }
            Step::Return(value) => {
                kind = PySendResult::PYGEN_RETURN;
                Ok(value.into_ptr())
            }
        });
        kind
    }
}

unsafe extern "C" fn send(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| match Wait::at(object).step(py, object)? {
            Step::Yield => Ok(ffi::Py_NewRef(object)),
            Step::Return(value) => Ok(ready::raise_stop(value.into_ptr())),
        })
    }
}

unsafe extern "C" fn throw(
    object: *mut PyObject,
    args: *mut *mut PyObject,
    count: ffi::Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| {
            let spent = Wait::at(object).with_state(|state| matches!(state, State::Spent));
            Wait::at(object).abandon(py, &Ref::from_borrowed(object))?;
            if spent {
                ready::set_spent();
            } else {
                ready::raise_thrown(args, count);
            }
            Err::<*mut PyObject, _>(raw::fetch(py))
        })
    }
}

unsafe extern "C" fn close(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| {
            Wait::at(object).abandon(py, &Ref::from_borrowed(object))?;
            Ok(ffi::Py_NewRef(ffi::Py_None()))
        })
    }
}

// The future that the task sees.

unsafe extern "C" fn get_blocking(object: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        let wait = Wait::at(object);
        let answer = match (wait.stepped.get(), wait.blocking.get()) {
            (false, _) => ffi::Py_None(),
            (true, true) => ffi::Py_True(),
            (true, false) => ffi::Py_False(),
        };
        ffi::Py_NewRef(answer)
    }
}

unsafe extern "C" fn set_blocking(object: *mut PyObject, value: *mut PyObject, _: *mut c_void) -> c_int {
    // SAFETY: the object is of this type.
    unsafe { Wait::at(object).blocking.set(value == ffi::Py_True()) };
    0
}

unsafe extern "C" fn get_loop(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|_| {
            let event_loop = Wait::at(object).event_loop();
            let event_loop = event_loop
                .ok_or_else(|| PyRuntimeError::new_err("the call waits for nothing: it has no event loop"))?;
            Ok(event_loop.into_ptr())
        })
    }
}

unsafe extern "C" fn add_done_callback(
    object: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the object is of this type; the arguments are those of a vectorcall.
    unsafe {
        raw::slot(|py| {
            if count != 1 {
                return Err(PyTypeError::new_err(format!(
                    "add_done_callback expected 1 argument, got {count}"
                )));
            }
            let context = (!names.is_null() && ffi::PyTuple_GET_SIZE(names) == 1).then(|| *args.add(1));
            let callback = Callback {
                function: Ref::from_borrowed(*args),
                context: context.map(|context| Ref::from_borrowed(context)),
            };
            Wait::at(object).add_callback(py, &Ref::from_borrowed(object), callback)?;
            Ok(ffi::Py_NewRef(ffi::Py_None()))
        })
    }
}

unsafe extern "C" fn cancel(
    object: *mut PyObject,
    args: *const *mut PyObject,
    count: ffi::Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the object is of this type; the arguments are those of a vectorcall.
    unsafe {
        raw::slot(|py| {
            let given = count > 0 || (!names.is_null() && ffi::PyTuple_GET_SIZE(names) > 0);
            let message = given.then(|| Ref::from_borrowed(*args));
            let message = message.filter(|message| !message.is(ffi::Py_None()));
            let me = Ref::from_borrowed(object);
            let cancelled = Wait::at(object).cancel(py, &me, message)?;
            Ok(ffi::Py_NewRef(if cancelled { ffi::Py_True() } else { ffi::Py_False() }))
        })
    }
}

unsafe extern "C" fn result(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| {
            let outcome = Wait::at(object).with_state(|state| match state {
                // The step that follows raises or returns.
                State::Landed(_) | State::Spent => Some(Ok(())),
                State::Gathering(gathering) if gathering.is_complete() => Some(Ok(())),
                State::Cancelled(message) => Some(Err(message.clone())),
                _ => None,
            });
            match outcome {
                Some(Ok(())) => Ok(ffi::Py_NewRef(ffi::Py_None())),
                Some(Err(message)) => Err(cancelled(py, message)),
                None => Err(PyRuntimeError::new_err("the load is not done")),
            }
        })
    }
}

unsafe extern "C" fn done(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe { ffi::Py_NewRef(if Wait::at(object).is_done() { ffi::Py_True() } else { ffi::Py_False() }) }
}

unsafe extern "C" fn get_name(object: *mut PyObject, attribute: *mut c_void) -> *mut PyObject {
    // SAFETY: the object is of this type; the closure is the name that `init` passed.
    unsafe { ffi::PyObject_GetAttrString(Wait::at(object).function.as_ptr(), attribute.cast()) }
}

unsafe extern "C" fn repr(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the object is of this type.
    unsafe {
        raw::slot(|py| {
            let name = Wait::at(object).function.bound(py).getattr("__qualname__")?;
            let text = format!("<coroutine of cached {name} at {object:p}>");
            Ok(text.into_pyobject(py)?.into_any().into_ptr())
        })
    }
}

unsafe extern "C" fn traverse(object: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: the object is of this type; the arguments are the collector's.
    unsafe {
        let wait = Wait::at(object);
        let mut parts: Vec<*mut PyObject> = wait.parts().map(Ref::as_ptr).collect();
        wait.with_state(|state| parts.extend(state.parts().map(Ref::as_ptr)));
        parts.into_iter().map(|part| visit(part, arg)).find(|&stop| stop != 0).unwrap_or(0)
    }
}

unsafe extern "C" fn clear(object: *mut PyObject) -> c_int {
    // SAFETY: the object is of this type.
    unsafe { Wait::at(object).release() };
    0
}

/// Warns as a coroutine does that is dropped before it was awaited.
unsafe fn warn_unawaited(object: *mut PyObject) {
    // SAFETY: the object is of this type, and alive: this is its finalizer.
    unsafe {
        let py = Python::assume_attached();
        let wait = Wait::at(object);
        let name = wait.function.bound(py).getattr("__qualname__").map(|name| name.to_string());
        let text = format!("coroutine '{}' was never awaited", name.unwrap_or_default());
        let Ok(text) = CString::new(text) else { return };
        if ffi::PyErr_WarnEx(ffi::PyExc_RuntimeWarning, text.as_ptr(), 1) < 0 {
            ffi::PyErr_WriteUnraisable(object);
        }
    }
}

unsafe extern "C" fn finalize(object: *mut PyObject) {
    // SAFETY: the object is of this type; an exception that is set is put aside meanwhile.
    unsafe {
        let py = Python::assume_attached();
        let set = PyErr::take(py);
        let wait = Wait::at(object);
        let unawaited = wait.with_state(|state| match state {
            State::New(_) => true,
            State::NewMany(new) => new.items.iter().any(|item| item.value.is_none()),
            _ => false,
        });
        if unawaited {
            warn_unawaited(object);
        } else if let Err(error) = wait.abandon(py, &Ref::from_borrowed(object)) {
            error.write_unraisable(py, None);
        }
        if let Some(set) = set {
            set.restore(py);
        }
    }
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: the object is of this type and nobody refers to it any more.
    unsafe {
        if !Wait::at(object).is_over() && ffi::PyObject_CallFinalizerFromDealloc(object) < 0 {
            return;
        }
        ffi::PyObject_GC_UnTrack(object.cast());
        if !Wait::at(object).weak_references.is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        // What is left in the other fields holds nothing.
        Wait::at(object).release();
        ManuallyDrop::drop(&mut (*object.cast::<Wait>()).function);
        ready::release_stop();
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(TYPE.get().cast());
    }
}

/// Whether an object is a call that missed.
pub fn is_wait(object: &Bound<'_, PyAny>) -> bool {
    object.get_type().as_type_ptr() == TYPE.get()
}

/// Makes the type.
pub fn init<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
    let with_keywords = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    let plain = |function| ffi::PyMethodDefPointer { PyCFunction: function };
    let fast = |function| ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function };
    let methods = raw::leak(vec![
        raw::method(c"send", plain(send), ffi::METH_O, c"Resume the call."),
        raw::method(
            c"throw",
            ffi::PyMethodDefPointer { PyCFunctionFast: throw },
            ffi::METH_FASTCALL,
            c"Leave the load and raise an exception in the caller.",
        ),
        raw::method(c"close", plain(close), ffi::METH_NOARGS, c"Leave the load."),
        raw::method(c"get_loop", plain(get_loop), ffi::METH_NOARGS, c"The event loop of the load."),
        raw::method(
            c"add_done_callback",
            fast(add_done_callback),
            with_keywords,
            c"For the task that awaits.",
        ),
        raw::method(c"cancel", fast(cancel), with_keywords, c"Leave the load; the last one cancels it."),
        raw::method(c"result", plain(result), ffi::METH_NOARGS, c"For the task that awaits."),
        raw::method(c"done", plain(done), ffi::METH_NOARGS, c"Whether the call has an outcome."),
        ffi::PyMethodDef::zeroed(),
    ]);
    let attributes = raw::leak(vec![
        raw::attribute(c"_asyncio_future_blocking", get_blocking, Some(set_blocking), null_mut()),
        raw::attribute(c"__name__", get_name, None, raw::closure(c"__name__")),
        raw::attribute(c"__qualname__", get_name, None, raw::closure(c"__qualname__")),
        ffi::PyGetSetDef::default(),
    ]);
    let members = raw::leak(vec![
        raw::member(c"__weaklistoffset__", offset_of!(Wait, weak_references)),
        ffi::PyMemberDef::default(),
    ]);
    let slots = [
        (ffi::Py_tp_dealloc, dealloc as *mut c_void),
        (ffi::Py_tp_finalize, finalize as *mut c_void),
        (ffi::Py_tp_traverse, traverse as *mut c_void),
        (ffi::Py_tp_clear, clear as *mut c_void),
        (ffi::Py_tp_repr, repr as *mut c_void),
        (ffi::Py_tp_iter, ready::itself as *mut c_void),
        (ffi::Py_tp_iternext, next as *mut c_void),
        (ffi::Py_am_await, ready::itself as *mut c_void),
        (ffi::Py_am_send, am_send as *mut c_void),
        (ffi::Py_tp_methods, methods),
        (ffi::Py_tp_getset, attributes),
        (ffi::Py_tp_members, members),
    ];
    let flags = ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    raw::make_type::<Wait>(py, &TYPE, c"aiocachetools._core.Miss", flags, &slots)
}
