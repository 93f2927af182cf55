//! Fencing (invalidation wins): what a cache's mutators tell the loads that are under way.
//!
//! A subclass of a native cache is stored to by its own `__setitem__`, which cannot tell a load's
//! store from its user's; [`by_load`] tells [`stored`].

#![allow(unsafe_code)]

use std::cell::Cell;

use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use crate::flight::{Flight, none_under_way, with};
use crate::key::Query;
use crate::object::Ref;
use crate::target::each_matching;
use aiocachetools_core::flight::{FlightId, Flights};

/// Something newer is known of one key of a cache: no load under way may store there.
pub fn key(py: Python<'_>, cache: *mut PyObject, hash: u64, query: &Query<'_>) -> PyResult<()> {
    if none_under_way() {
        return Ok(());
    }
    fence_where(py, cache, hash, query, |_, _| true)
}

/// Something newer is known of every key of a cache.
pub fn all(cache: *mut PyObject) {
    if !none_under_way() {
        fence_all(cache);
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
        return listed(py, cache, hash, query);
    }
    fence_where(py, cache, hash, query, |_, _| true)
}

/// A load was stored: no other load of the key that is under way may store there.
pub fn listed(py: Python<'_>, cache: *mut PyObject, hash: u64, query: &Query<'_>) -> PyResult<()> {
    fence_where(py, cache, hash, query, Flights::is_listed)
}

fn fence_where(
    py: Python<'_>,
    cache: *mut PyObject,
    hash: u64,
    query: &Query<'_>,
    wanted: impl Fn(&Flights<Ref>, FlightId) -> bool,
) -> PyResult<()> {
    each_matching(
        py,
        cache,
        hash,
        query,
        |flights, id, _| wanted(flights, id),
        |id, _| {
            with(|flights| flights.fence(id));
            false
        },
    )
}

/// An explicit change of a whole cache wins over all its loads that are under way.
fn fence_all(cache: *mut PyObject) {
    // SAFETY: the GIL is held wherever a cache is changed.
    let py = unsafe { Python::assume_attached() };
    with(|flights| {
        let of_cache = |(id, object)| Flight::of(object, py).site.cache.is(cache).then_some(id);
        let ids: Vec<FlightId> = flights.iter().filter_map(of_cache).collect();
        ids.into_iter().for_each(|id| flights.fence(id));
    });
}
