//! The representation of a cache: that of cachetools, of a dictionary inside a call.

#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;

use crate::cache::Cache;

/// Marks an object as being represented, until it is dropped.
struct Representing<'a, 'py>(&'a Bound<'py, PyAny>);

impl<'a, 'py> Representing<'a, 'py> {
    /// `None` when it already is.
    fn of(object: &'a Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        // SAFETY: the object is alive.
        match unsafe { ffi::Py_ReprEnter(object.as_ptr()) } {
            0 => Ok(Some(Self(object))),
            1 => Ok(None),
            _ => Err(PyErr::fetch(object.py())),
        }
    }
}

impl Drop for Representing<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: the object was entered and is alive.
        unsafe { ffi::Py_ReprLeave(self.0.as_ptr()) }
    }
}

/// `repr(cache)`; a cache inside itself is shown as a dictionary inside itself would be.
pub fn of(cache: &Bound<'_, Cache>) -> PyResult<String> {
    let (py, this) = (cache.py(), cache.get());
    let frozen = this.settle(py)?;
    let now = frozen.as_ref().map_or(f64::NEG_INFINITY, |frozen| frozen.time.seconds);
    let entries = match Representing::of(cache.as_any())? {
        Some(_entered) => entries(cache, now)?,
        None => "...".to_owned(),
    };
    let name = cache.get_type().name()?;
    let maxsize = cache.as_any().getattr("maxsize")?.repr()?;
    Ok(format!("{name}({{{entries}}}, maxsize={maxsize}, currsize={})", this.size(py)?.repr()?))
}

fn entries(cache: &Bound<'_, Cache>, now: f64) -> PyResult<String> {
    let py = cache.py();
    let entries = cache.get().within(|store| {
        let slots = std::iter::successors(store.first(), |&slot| store.next(slot));
        let fresh = slots.filter(|&slot| now < store.fresh_until(slot));
        fresh.map(|slot| (store.key(slot).clone(), store.value(slot).clone())).collect::<Vec<_>>()
    });
    let mut shown = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        shown.push(format!("{}: {}", key.object(py)?.repr()?, value.bound(py).repr()?));
    }
    Ok(shown.join(", "))
}
