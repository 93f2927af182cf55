//! The short way through a cache: keys that are exact `int`s or `str`s, where nobody has to be
//! asked but the policy and the clock.
//!
//! Every function here says when it cannot tell; the long way then does all of the operation.

#![allow(unsafe_code)]

use aiocachetools_core::Slot;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use crate::cache::Cache;
use crate::flight;
use crate::key::Key;
use crate::object::{self, Equality, Ref};

/// What a read finds.
pub enum Quick {
    Value(Ref),
    Absent,
    Unknown,
}

impl Cache {
    /// The value of a key, as [`Cache::lookup`] finds it.
    ///
    /// # Safety
    /// The key is alive.
    #[inline(always)]
    pub unsafe fn quick_lookup(&self, key: *mut PyObject) -> Quick {
        // SAFETY: the caller's promise.
        let Some((hash, found)) = (unsafe { self.seek(key) }) else { return Quick::Unknown };
        let Some(slot) = found.filter(|&slot| !self.flags().perishable || self.has_time(slot)) else {
            return self.quick_miss(hash, found.is_some());
        };
        self.count(|stats| stats.hits += 1);
        self.within(|store| {
            store.hit(slot);
            Quick::Value(store.value(slot).clone())
        })
    }

    /// A miss, if that is certain.
    #[inline]
    fn quick_miss(&self, hash: u64, found: bool) -> Quick {
        if found {
            return Quick::Unknown;
        }
        self.count(|stats| stats.misses += 1);
        self.within(|store| store.miss(hash));
        Quick::Absent
    }

    /// Whether a key is there and fresh, as [`Cache::peek`] finds it; `None` where that is not known.
    ///
    /// # Safety
    /// The key is alive.
    #[inline(always)]
    pub unsafe fn quick_peek(&self, key: *mut PyObject) -> Option<bool> {
        // SAFETY: the caller's promise.
        match unsafe { self.seek(key) }?.1 {
            Some(slot) if self.flags().perishable => self.has_time(slot).then_some(true),
            found => Some(found.is_some()),
        }
    }

    /// Stores a value as `self[key] = value` does; whether it is stored.
    ///
    /// # Safety
    /// Key and value are alive.
    #[inline(always)]
    pub unsafe fn quick_store(&self, py: Python<'_>, key: *mut PyObject, value: *mut PyObject) -> bool {
        if !self.stores_plainly() || !flight::none_under_way() {
            return false;
        }
        // SAFETY: the caller's promise.
        unsafe {
            let Some((hash, found)) = self.seek(key) else { return false };
            match found {
                Some(slot) => self.replace_plain(slot, Ref::from_borrowed(value)),
                None => {
                    let key = Key::Object(Ref::from_borrowed(key));
                    self.insert_plain(py, hash, key, Ref::from_borrowed(value));
                }
            }
        }
        true
    }

    /// The hash of a key and where it is; `None` where only Python can say.
    #[inline(always)]
    unsafe fn seek(&self, key: *mut PyObject) -> Option<(u64, Option<Slot>)> {
        // SAFETY: the caller's key is alive, as are those of the store.
        unsafe {
            let hash = object::spread(object::atom_hash(key)?);
            let mut ask = false;
            let found = self.within(|store| {
                store.find(hash, |kept| {
                    let equality = match kept {
                        Key::Object(kept) => object::equality(kept.as_ptr(), key),
                        Key::One(_) | Key::Many(_) => Equality::Ask,
                    };
                    ask |= equality == Equality::Ask;
                    equality == Equality::Same
                })
            });
            if found.is_none() && ask { None } else { Some((hash, found)) }
        }
    }

    /// Whether the entry in a slot is fresh by the clock; false where that is not known.
    #[inline]
    fn has_time(&self, slot: Slot) -> bool {
        self.reads_clock() && self.is_fresh_by_clock(slot)
    }
}
