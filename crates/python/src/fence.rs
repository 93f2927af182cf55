//! Fencing (invalidation wins): what a cache's mutators tell the loads that are under way.

use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use crate::flight;
use crate::key::Query;

/// Something newer is known of one key of a cache: no load under way may store there.
pub fn key(py: Python<'_>, cache: *mut PyObject, hash: u64, query: &Query<'_>) -> PyResult<()> {
    if flight::none_under_way() {
        return Ok(());
    }
    flight::fence(py, cache, hash, query)
}

/// Something newer is known of every key of a cache.
pub fn all(cache: *mut PyObject) {
    if !flight::none_under_way() {
        flight::fence_all(cache);
    }
}
