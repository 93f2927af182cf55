//! Fencing (invalidation wins): what a cache's mutators tell the loads that are under way.
//!
//! A subclass of a native cache is stored to by its own `__setitem__`, which cannot tell a load's
//! store from its user's; [`by_load`] tells [`stored`].

use std::cell::Cell;

use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use crate::flight::{self, none_under_way};
use crate::key::Query;

/// Something newer is known of one key of a cache: no load under way may store there.
pub fn key(py: Python<'_>, cache: *mut PyObject, hash: u64, query: &Query<'_>) -> PyResult<()> {
    if none_under_way() {
        return Ok(());
    }
    flight::fence(py, cache, hash, query)
}

/// Something newer is known of every key of a cache.
pub fn all(cache: *mut PyObject) {
    if !none_under_way() {
        flight::fence_all(cache);
    }
}

thread_local! {
    /// The cache and hash that this thread stores a load's result under.
    static STORING: Cell<Option<(usize, u64)>> = const { Cell::new(None) };
}

/// Runs `store` as the store of a load's result.
pub fn by_load<R>(cache: *mut PyObject, hash: u64, store: impl FnOnce() -> R) -> R {
    let before = STORING.replace(Some((cache as usize, hash)));
    let result = store();
    STORING.set(before);
    result
}

/// A value was stored under a key of a cache.
pub fn stored(py: Python<'_>, cache: *mut PyObject, hash: u64, query: &Query<'_>) -> PyResult<()> {
    if none_under_way() {
        return Ok(());
    }
    if STORING.get() == Some((cache as usize, hash)) {
        return flight::fence_listed(py, cache, hash, query);
    }
    flight::fence(py, cache, hash, query)
}
