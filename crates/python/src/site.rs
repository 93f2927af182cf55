//! `Site`: one cache as one decorated function uses it.
//!
//! A native cache of an exact class is reached directly; any other mapping, a subclass of ours
//! included, by the protocol it implements, with the user's lock held around each access.

#![allow(unsafe_code)]

use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::cache::Cache;
use crate::claims::Claim;
use crate::counts::{Counter, Tally};
use crate::key::{Key, Query};
use crate::object::Ref;
use crate::own::Own;
use crate::question;
use crate::shared::Shared;

/// What a function knows of a cache, apart from the cache itself.
pub struct Shelf {
    tally: Tally,
    /// The function's registration on the cache.
    _claim: Option<Claim>,
    /// The cache is one of ours, of an exact class.
    native: bool,
    /// The function's mark in the keys, where the plan does not put it.
    pub mark: Option<Ref>,
}

impl Shelf {
    pub fn new(py: Python<'_>, cache: &Ref, claim: Option<Claim>, mark: Option<Ref>) -> Shared<Self> {
        let native = Cache::from_exact(cache.bound(py)).is_some();
        Shared::new(Self { tally: Tally::new(), _claim: claim, native, mark })
    }

    #[inline]
    pub fn counter(&self) -> Counter {
        self.tally.counter()
    }

    /// The cache that this is known of, where it is one of ours, of an exact class.
    #[inline]
    pub fn native<'a>(&self, py: Python<'a>, cache: &'a Ref) -> Option<&'a Cache> {
        // SAFETY: what the shelf says was found of this cache.
        self.native.then(|| unsafe { cache.bound(py).cast_unchecked::<Cache>() }.get())
    }
}

#[derive(Clone)]
pub struct Site {
    pub cache: Ref,
    pub lock: Option<Ref>,
    pub shelf: Shared<Shelf>,
}

/// A lock that is held while this lives.
struct Held<'a, 'py> {
    lock: Option<&'a Bound<'py, PyAny>>,
}

impl<'a, 'py> Held<'a, 'py> {
    fn new(lock: Option<&'a Bound<'py, PyAny>>) -> PyResult<Self> {
        if let Some(lock) = lock {
            let enter = lock.get_type().getattr("__enter__").map_err(|_| {
                PyTypeError::new_err(format!(
                    "the lock of a cache must be a synchronous context manager such as threading.Lock(), not {lock:?}"
                ))
            })?;
            enter.call1((lock,))?;
        }
        Ok(Self { lock })
    }
}

impl Drop for Held<'_, '_> {
    fn drop(&mut self) {
        let Some(lock) = self.lock else { return };
        let py = lock.py();
        let none = py.None();
        if let Err(error) = lock.call_method1("__exit__", (&none, &none, &none)) {
            error.write_unraisable(py, Some(lock));
        }
    }
}

impl Site {
    /// The references that the site holds, for the garbage collector.
    pub fn parts(&self) -> impl Iterator<Item = &Ref> {
        [&self.cache].into_iter().chain(&self.lock)
    }

    /// The cache where it is one of ours, of an exact class and without a lock.
    #[inline]
    pub fn native<'a>(&'a self, py: Python<'a>) -> Option<&'a Cache> {
        if self.lock.is_some() { None } else { self.shelf.native(py, &self.cache) }
    }

    fn held<'a, 'py>(&'a self, py: Python<'py>) -> PyResult<Held<'a, 'py>> {
        Held::new(self.lock.as_ref().map(|lock| lock.as_py().bind(py)))
    }

    fn mapping<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        self.cache.as_py().bind(py)
    }

    /// The value of a key, as `cache[key]` has it.
    ///
    /// # Errors
    /// What the mapping raised, but not a KeyError: that is a miss.
    pub fn lookup(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<Option<Ref>> {
        match self.native(py) {
            Some(cache) => cache.lookup(py, hash, query),
            None => self.read(py, query),
        }
    }

    /// The same of a mapping that is asked by its protocol.
    pub fn read(&self, py: Python<'_>, query: &Query<'_>) -> PyResult<Option<Ref>> {
        let _held = if self.lock.is_some() { Some(self.held(py)?) } else { None };
        let mapping = self.mapping(py);
        if let Ok(dict) = mapping.cast_exact::<PyDict>() {
            return read_dict(dict, query);
        }
        question::with_key(py, query, |key| match mapping.get_item(key.bound(py)) {
            Ok(value) => Ok(Some(value.into())),
            Err(error) if error.is_instance_of::<PyKeyError>(py) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// The cache where it is a dict, without a lock.
    pub fn dict(&self, py: Python<'_>) -> Option<&Ref> {
        (self.lock.is_none() && self.mapping(py).is_exact_instance_of::<PyDict>()).then_some(&self.cache)
    }

    /// The value of a key that a [`lookup`](Self::lookup) did not find a moment ago; to a native
    /// cache the two are one, which counts as what this one finds.
    pub fn look_again(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<Option<Ref>> {
        if let Some(cache) = self.native(py) {
            cache.count(|stats| stats.misses -= 1);
        }
        self.lookup(py, hash, query)
    }

    /// Whether the key has a value; touches nothing.
    pub fn contains(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<bool> {
        if let Some(cache) = self.native(py) {
            return cache.peek(py, hash, query);
        }
        let key = query.object(py)?;
        let key = key.bound(py);
        let _held = self.held(py)?;
        self.mapping(py).contains(key)
    }

    /// Stores a load's result; `false` when the cache refused it as too large.
    pub fn store(&self, py: Python<'_>, hash: u64, key: &Key, value: &Ref) -> PyResult<bool> {
        let stored = if let Some(cache) = self.native(py) {
            cache.store_value(py, hash, &key.query(py)?, value.clone())
        } else {
            let key = key.object(py)?;
            let _held = self.held(py)?;
            self.mapping(py).set_item(key, value.bound(py))
        };
        was_stored(py, stored)
    }

    /// The same with what the entry has of its own, as far as the cache can keep that; `false` also for
    /// a value that is not good for any time.
    pub fn store_own(
        &self,
        py: Python<'_>,
        hash: u64,
        key: &Key,
        value: &Ref,
        own: Own<'_>,
    ) -> PyResult<bool> {
        if own.ttl.is_some_and(|ttl| ttl <= 0.0) {
            return Ok(false);
        }
        let Some(cache) = self.native(py).filter(|_| own.differs()) else {
            return self.store(py, hash, key, value);
        };
        // Where nothing is kept in memory each load comes here: an error would be most of what it costs.
        if cache.has_no_room() {
            return Ok(false);
        }
        was_stored(py, cache.assign_own(py, hash, &key.query(py)?, key.clone(), value.clone(), own))
    }

    /// Removes a key's value; whether there was one.
    pub fn discard(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<bool> {
        if let Some(cache) = self.native(py) {
            return cache.discard(py, hash, query);
        }
        let key = query.object(py)?;
        let key = key.bound(py);
        let _held = self.held(py)?;
        let mapping = self.mapping(py);
        let present = mapping.contains(key)?;
        match mapping.del_item(key) {
            Ok(()) => Ok(present),
            Err(error) if error.is_instance_of::<PyKeyError>(py) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes everything.
    pub fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let _held = self.held(py)?;
        self.mapping(py).call_method0("clear")?;
        Ok(())
    }

    /// `maxsize` and `currsize`, as far as the mapping has them.
    pub fn sizes<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let _held = self.held(py)?;
        let mapping = self.mapping(py);
        let length = || Ok::<_, PyErr>(mapping.len()?.into_pyobject(py)?.into_any());
        match (mapping.getattr("maxsize"), mapping.getattr("currsize")) {
            // No limit is None, as functools.lru_cache has it.
            (Ok(maxsize), Ok(currsize)) if maxsize.eq(f64::INFINITY)? => {
                Ok((py.None().into_bound(py), currsize))
            }
            (Ok(maxsize), Ok(currsize)) => Ok((maxsize, currsize)),
            _ => Ok((py.None().into_bound(py), length()?)),
        }
    }
}

/// Whether a value was stored; a cache refuses one that is too large by a ValueError.
fn was_stored(py: Python<'_>, stored: PyResult<()>) -> PyResult<bool> {
    match stored {
        Ok(()) => Ok(true),
        Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The value of a key in a dict.
#[inline]
pub fn read_dict(dict: &Bound<'_, PyDict>, query: &Query<'_>) -> PyResult<Option<Ref>> {
    question::with_key(dict.py(), query, |key| Ok(dict.get_item(key.bound(dict.py()))?.map(Ref::from)))
}

/// Checks that an object can serve as a cache.
pub fn check_mapping(object: &Bound<'_, PyAny>, function: &str) -> PyResult<()> {
    // SAFETY: the object is alive.
    if unsafe { ffi::PyMapping_Check(object.as_ptr()) } == 1 {
        return Ok(());
    }
    let kind = object.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "the cache of {function}() must be a mutable mapping (a cache of aiocachetools or cachetools, a dict) \
         or None, not {kind}"
    )))
}
