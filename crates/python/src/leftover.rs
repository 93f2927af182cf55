//! Flights that nobody will land: those of closed loops, and a forked child's of its parent.

#![allow(unsafe_code)]

use aiocachetools_core::flight::Flights;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::aio::Asyncio;
use crate::flight::{Flight, none_under_way, with};
use crate::object::{GilCell, Ref};
use crate::raw::call_method0;

/// The loop that the last flight was started on: only its address, to notice a new one.
static LAST_LOOP: GilCell<usize> = GilCell::new(0);

/// A new loop has come: the old one may be gone.
pub fn sweep_after_change(py: Python<'_>, event_loop: &Ref) -> PyResult<()> {
    // SAFETY: a number is read and written.
    let last = std::mem::replace(unsafe { LAST_LOOP.get() }, event_loop.as_ptr() as usize);
    if last == event_loop.as_ptr() as usize { Ok(()) } else { sweep_closed_loops(py) }
}

/// Forgets the flights that were left over from loops that were closed.
pub fn sweep_closed_loops(py: Python<'_>) -> PyResult<()> {
    let all: Vec<_> = with(|flights| flights.iter().map(|(id, object)| (id, object.clone())).collect());
    let is_closed = &Asyncio::get(py)?.names.is_closed;
    let mut last: Option<(*mut PyObject, bool)> = None;
    for (id, object) in all {
        let event_loop = Flight::of(&object, py).event_loop();
        let closed = match last {
            Some((seen, closed)) if event_loop.is(seen) => closed,
            _ => call_method0(py, event_loop, is_closed)?.bound(py).is_truthy()?,
        };
        last = Some((event_loop.as_ptr(), closed));
        if closed {
            drop(with(|flights| flights.land(id)));
        }
    }
    Ok(())
}

/// A callback of the garbage collector: before a collection of more than the youngest objects, what
/// closed loops left over is let go of, so that it can be collected.
#[pyfunction]
pub fn before_collection(py: Python<'_>, phase: &str, info: &Bound<'_, PyDict>) -> PyResult<()> {
    if none_under_way()
        || phase != "start"
        || info.get_item("generation")?.is_none_or(|age| age.lt(1).unwrap_or(true))
    {
        return Ok(());
    }
    sweep_closed_loops(py)
}

/// How often this process is the child of a fork.
static FORKS: GilCell<u64> = GilCell::new(0);

pub fn forks() -> u64 {
    // SAFETY: the GIL is held; a number is read.
    unsafe { *FORKS.get() }
}

/// In a forked child no load of the parent is under way; its tasks belong to the parent's loop.
///
/// What they hold is not let go of, for that may run anything, but they are no longer counted.
#[pyfunction]
pub fn after_fork_in_child(py: Python<'_>) {
    // SAFETY: the GIL is held; a number is changed.
    unsafe { *FORKS.get() += 1 };
    for load in with(Flights::drain) {
        let state = Flight::of(&load, py).state();
        drop(state.refresh.take());
        std::mem::take(&mut state.tags).forget();
        std::mem::forget(load);
    }
}
