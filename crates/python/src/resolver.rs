//! `cachedmethod`'s cache: what the user's resolver answers, and what is known of it.

#![allow(unsafe_code)]

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::collections::HashMap;

use crate::cache::Cache;
use crate::claims::Claim;
use crate::counts::{Counter, Tally};
use crate::instance::{AddressMap, Guard};
use crate::listener::User;
use crate::object::{GilCell, Ref};
use crate::raw;
use crate::shared::Shared;
use crate::site::{self, Shelf, Site};

/// What a resolver such as `lambda self: self.cache` does: it is read instead of called, which
/// saves a frame of Python on each hit.
struct AttributeRead {
    name: Ref,
    /// The function's code that does no more; a user may replace it.
    code: Ref,
}

impl AttributeRead {
    fn of(py: Python<'_>, resolve: &Ref) -> PyResult<Option<Self>> {
        let name =
            py.import("aiocachetools._resolver")?.getattr("attribute_read")?.call1((resolve.bound(py),))?;
        let Ok(name) = name.cast::<PyString>() else { return Ok(None) };
        let name = PyString::intern(py, name.to_str()?).into();
        Ok(Some(Self { name, code: resolve.bound(py).getattr("__code__")?.into() }))
    }

    #[inline]
    fn is_of(&self, resolve: &Ref) -> bool {
        // SAFETY: only a function has such a read.
        self.code.is(unsafe { ffi::PyFunction_GetCode(resolve.as_ptr()) })
    }
}

/// `cachedmethod`'s cache: a function of the instance.
pub struct Resolver {
    pub resolve: Ref,
    attribute: Option<AttributeRead>,
    /// A function of the instance as well.
    pub lock: Option<Ref>,
    pub condition: Option<Ref>,
    /// The function's mark, where it was given `key=` and the cache is used by others.
    mark: Option<Ref>,
    known: GilCell<AddressMap<Known>>,
    /// Counts the calls for which the resolver answered None.
    off: Tally,
    /// The function, as its caches know it.
    user: GilCell<Option<User>>,
}

/// A cache that the resolver answered before, and what is weakly held to be sure of it.
struct Known {
    guard: Guard,
    shelf: Shared<Shelf>,
}

impl Resolver {
    pub fn new(
        py: Python<'_>,
        resolve: Ref,
        lock: Option<Ref>,
        condition: Option<Ref>,
        mark: Option<Ref>,
    ) -> PyResult<Self> {
        let known = GilCell::new(HashMap::default());
        let attribute = AttributeRead::of(py, &resolve)?;
        Ok(Self {
            resolve,
            attribute,
            lock,
            condition,
            mark,
            known,
            off: Tally::new(),
            user: GilCell::new(None),
        })
    }

    /// Takes the function, when it is there.
    pub fn set_user(&self, user: User) {
        // SAFETY: nothing of Python runs here, and there was none.
        unsafe { *self.user.get() = Some(user) };
    }

    /// Counts the calls for which there is no cache.
    pub fn off(&self) -> Counter {
        self.off.counter()
    }

    /// The cache of an instance, for the function of this name; `None` where caching is off.
    pub fn locate(&self, py: Python<'_>, owner: *mut PyObject, function: &Ref) -> PyResult<Option<Site>> {
        self.site(py, self.read(py, owner)?, owner, function)
    }

    /// What the resolver says of an instance.
    #[inline]
    pub fn read(&self, py: Python<'_>, owner: *mut PyObject) -> PyResult<Ref> {
        // SAFETY: the resolver and the owner are alive.
        unsafe {
            let cache = match &self.attribute {
                Some(read) if read.is_of(&self.resolve) => ffi::PyObject_GetAttr(owner, read.name.as_ptr()),
                _ => ffi::PyObject_CallOneArg(self.resolve.as_ptr(), owner),
            };
            raw::owned(py, cache)
        }
    }

    /// What is known of a cache; to be let go of, or cloned, before any Python code runs.
    #[inline]
    pub fn known(&self, cache: &Ref) -> Option<&Shared<Shelf>> {
        // SAFETY: the GIL is held; see above.
        let known = unsafe { self.known.get() }.get(&(cache.as_ptr() as usize))?;
        known.guard.is_alive().then_some(&known.shelf)
    }

    /// An instance's cache as this function uses it; `None` where caching is off.
    pub fn site(
        &self,
        py: Python<'_>,
        cache: Ref,
        owner: *mut PyObject,
        function: &Ref,
    ) -> PyResult<Option<Site>> {
        if cache.is_none() {
            return Ok(None);
        }
        let lock = match &self.lock {
            // SAFETY: the lock's resolver and the owner are alive.
            Some(lock) => Some(unsafe { raw::owned(py, ffi::PyObject_CallOneArg(lock.as_ptr(), owner))? }),
            None => None,
        };
        let shelf = match self.known(&cache) {
            Some(shelf) => shelf.clone(),
            None => self.shelf(py, &cache, owner, function)?,
        };
        Ok(Some(Site { cache, lock, shelf }))
    }

    /// What there is to know of a cache that is new.
    fn shelf(
        &self,
        py: Python<'_>,
        cache: &Ref,
        owner: *mut PyObject,
        function: &Ref,
    ) -> PyResult<Shared<Shelf>> {
        site::check_mapping(cache.as_py().bind(py), &function.bound(py).to_string())?;
        // A dict has no weak references: it lives no longer than its owner, as a rule.
        let guard = Guard::of(py, &[cache.as_ptr(), owner]);
        let claimed = self.mark.is_some().then(|| Claim::new(cache, guard.clone(), true));
        let (claim, needs_mark) =
            claimed.map_or((None, false), |(claim, needs_mark)| (Some(claim), needs_mark));
        let mark = self.mark.clone().filter(|_| needs_mark);
        let shelf = Shelf::new(py, cache, claim, mark);
        // SAFETY: nothing of Python runs here.
        if let (Some(user), Ok(cache)) = (unsafe { self.user.get() }, cache.bound(py).cast::<Cache>()) {
            cache.get().note_user(user);
        }
        if let Some(guard) = guard {
            self.remember(cache.as_ptr() as usize, Known { guard, shelf: shelf.clone() });
        }
        Ok(shelf)
    }

    fn remember(&self, address: usize, new: Known) {
        // SAFETY: nothing of Python runs before the old ones are dropped.
        let known = unsafe { self.known.get() };
        let mut gone = Vec::new();
        if known.len() >= 32 && known.len().is_power_of_two() {
            let addresses: Vec<_> =
                known.iter().filter(|(_, known)| !known.guard.is_alive()).map(|(&at, _)| at).collect();
            gone.extend(addresses.iter().filter_map(|at| known.remove(at)));
        }
        gone.extend(known.insert(address, new));
        drop(gone);
    }
}
