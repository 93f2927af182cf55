//! Iteration over the keys of a cache.
//!
//! 1. Keys come in the order of insertion, or of expiry in a class that is about it.
//! 2. Without expiry and tags, a change of the keys is an error, as it is for a dictionary.
//! 3. With them, entries may go at any time: the keys are those that were there at the
//!    beginning, less those that are gone or expired when their turn comes.

#![allow(unsafe_code)]

use aiocachetools_core::Slot;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::cache::Cache;
use crate::key::{Key, PyStore};
use crate::kind::Kind;
use crate::object::{GilCell, Ref};

enum Position {
    /// Before an entry of a store that has to stay at its version and length.
    Before {
        next: Option<Slot>,
        version: u64,
        len: usize,
    },
    /// Before these keys, the next one last.
    Noted(Vec<(u64, Key)>),
    Done,
}

/// An iterator over the keys of a cache.
#[pyclass(frozen, name = "_KeyIterator", module = "aiocachetools._core")]
pub struct KeyIter {
    cache: Py<Cache>,
    position: GilCell<Position>,
}

impl KeyIter {
    pub fn of(cache: &Bound<'_, Cache>) -> Self {
        let this = cache.get();
        let perishable = this.flags().perishable;
        let position = this.within(|store| {
            if perishable {
                return Position::Noted(in_order(store, this.kind));
            }
            let (version, len) = (store.version(), store.len());
            Position::Before { next: store.first(), version, len }
        });
        KeyIter { cache: cache.clone().unbind(), position: GilCell::new(position) }
    }

    /// The next key, or what is wrong with going on.
    fn step(&self) -> Result<Option<Key>, &'static str> {
        let cache = self.cache.get();
        // SAFETY: nothing of Python runs here.
        let Position::Before { next, version, len } = (unsafe { self.position.get() }) else {
            return Ok(None);
        };
        cache.within(|store| {
            if store.len() != *len {
                return Err("cache changed size during iteration");
            }
            if store.version() != *version {
                return Err("cache keys changed during iteration");
            }
            let Some(slot) = *next else { return Ok(None) };
            *next = store.next(slot);
            Ok(Some(store.key(slot).clone()))
        })
    }

    /// The next of the noted keys that is still there and fresh.
    fn step_noted(&self, py: Python<'_>) -> PyResult<Option<Key>> {
        loop {
            // SAFETY: nothing of Python runs here.
            let Position::Noted(keys) = (unsafe { self.position.get() }) else { return Ok(None) };
            let Some((hash, key)) = keys.pop() else { return Ok(None) };
            let cache = self.cache.get();
            let same = |other: &Key| object(other).is(object(&key).as_ptr());
            if let Some(slot) = cache.within(|store| store.find(hash, same))
                && cache.is_fresh(py, slot)?
            {
                return Ok(Some(key));
            }
        }
    }

    fn finish(&self) {
        // SAFETY: nothing of Python runs while the position is exchanged.
        let old = std::mem::replace(unsafe { self.position.get() }, Position::Done);
        drop(old);
    }
}

/// The object that a key is known by.
fn object(key: &Key) -> &Ref {
    let (Key::Object(object) | Key::One(object) | Key::Many(object)) = key;
    object
}

/// The keys with their hashes, the one that comes first at the end.
fn in_order(store: &PyStore, kind: Kind) -> Vec<(u64, Key)> {
    let mut slots: Vec<Slot> = match store.first_deadline() {
        Some(first) => std::iter::successors(Some(first), |&slot| store.next_deadline(slot)).collect(),
        None => std::iter::successors(store.first(), |&slot| store.next(slot)).collect(),
    };
    if kind.is_timed() {
        slots.sort_by(|&a, &b| store.deadline(a).total_cmp(&store.deadline(b)));
    }
    slots.iter().rev().map(|&slot| (store.hash(slot), store.key(slot).clone())).collect()
}

#[pymethods]
impl KeyIter {
    fn __iter__<'a, 'py>(slf: &'a Bound<'py, Self>) -> &'a Bound<'py, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // SAFETY: nothing of Python runs here.
        let key = match unsafe { self.position.get() } {
            Position::Noted(_) => self.step_noted(py)?,
            _ => self.step().map_err(PyRuntimeError::new_err)?,
        };
        match key {
            Some(key) => key.object(py).map(Some),
            None => {
                self.finish();
                Ok(None)
            }
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.cache)?;
        // SAFETY: nothing of Python runs here.
        if let Position::Noted(keys) = unsafe { self.position.get() } {
            for (_, key) in keys {
                visit.call(object(key).as_py())?;
            }
        }
        Ok(())
    }
}
