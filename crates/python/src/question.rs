//! A key's tuple for as long as a mapping is asked: the same one for each question, as `enumerate` and
//! `zip` reuse theirs.
//!
//! Between two questions it holds None.  Whoever keeps it beyond its question has it for good.

#![allow(unsafe_code)]

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use crate::key::{self, Query};
use crate::object::{GilCell, Ref, none};

/// Tuples of more items are made for each question.
const LONGEST: usize = 4;

/// Those that are free, by their lengths.
static FREE: GilCell<[Option<Ref>; LONGEST + 1]> = GilCell::new([const { None }; LONGEST + 1]);

/// Asks with the key of a query, as a mapping's user sees it.
#[inline]
pub fn with_key<R>(py: Python<'_>, query: &Query<'_>, ask: impl FnOnce(&Ref) -> PyResult<R>) -> PyResult<R> {
    match *query {
        // The empty tuple is everybody's.
        Query::Items(items) if !items.is_empty() && items.len() <= LONGEST => {
            let key = lend(py, items)?;
            let answer = ask(&key);
            take_back(key, items.len());
            answer
        }
        _ => ask(&query.object(py)?),
    }
}

fn lend(py: Python<'_>, items: &[*mut PyObject]) -> PyResult<Ref> {
    // SAFETY: the GIL is held; what is taken is owned here.
    let Some(key) = unsafe { FREE.get() }[items.len()].take() else { return key::tuple_of(py, items) };
    for (i, &item) in items.iter().enumerate() {
        // SAFETY: nobody else refers to the tuple, which has so many places.
        unsafe { put(&key, i, item) };
    }
    Ok(key)
}

fn take_back(key: Ref, length: usize) {
    let tuple = key.as_ptr();
    // SAFETY: the tuple is alive.
    unsafe {
        if ffi::Py_REFCNT(tuple) > 1 {
            // The collector no longer looks at a tuple that it saw when nothing in it could be in a cycle.
            if ffi::PyObject_GC_IsTracked(tuple) == 0 {
                ffi::PyObject_GC_Track(tuple.cast());
            }
            return;
        }
    }
    for i in 0..length {
        // SAFETY: nobody else refers to the tuple, which has so many places.
        unsafe { put(&key, i, none()) };
    }
    // SAFETY: the GIL is held; what was there is dropped after the borrow.
    let before = unsafe { FREE.get() }[length].replace(key);
    drop(before);
}

/// Puts an item in the place of another one, which its owner still holds.
///
/// # Safety
/// The reference is the only one to a tuple that has this place; the item is alive.
unsafe fn put(key: &Ref, i: usize, item: *mut PyObject) {
    // SAFETY: the caller's promise.
    unsafe {
        let tuple = key.as_ptr().cast::<ffi::PyTupleObject>();
        let place = (&raw mut (*tuple).ob_item).cast::<*mut PyObject>().add(i);
        let before = std::mem::replace(&mut *place, ffi::Py_NewRef(item));
        #[cfg(Py_3_14)]
        {
            (*tuple).ob_hash = -1;
        }
        ffi::Py_DECREF(before);
    }
}
