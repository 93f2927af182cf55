//! The cache: what all native classes have in common, and every mapping method once.
//!
//! 1. No Python code runs while the store is borrowed: see [`Cache::within`].
//! 2. After user code has run (`__eq__`, `getsizeof`, timers, hooks), what was found before it is
//!    looked up again.
//! 3. Explicit changes fence loads first and change the cache then; eviction and expiry do not
//!    fence.
//! 4. A method that a subclass overrides is called wherever cachetools calls it; otherwise the
//!    store is used directly.

#![allow(unsafe_code)]

use aiocachetools_core::expiry::Expiry;
use aiocachetools_core::stats::Stats;
use aiocachetools_core::store::Store;
use pyo3::exceptions::PyKeyError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyGenericAlias, PyInt, PyList, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::hooks::Hooks;
use crate::iter::KeyIter;
use crate::key::{Key, PyStore, Query};
use crate::kind::Kind;
use crate::object::{GilCell, Ref};
use crate::removal::{self, RemovalCause};
use crate::timer::{Timer, Ttl};
use crate::{abc, fence};

/// What a cache is made of besides its entries.
#[derive(Default)]
pub struct Parts {
    pub maxsize: Option<Ref>,
    pub timer: Option<Py<Timer>>,
    pub ttl: Option<Ttl>,
    pub ttu: Option<Ref>,
    pub choice: Option<Ref>,
}

/// How values are weighed.
#[derive(Clone, Copy, Default)]
pub struct Sizes {
    /// By `getsizeof`; otherwise each counts one.
    pub sized: bool,
    /// A size that is not an integer was seen.
    pub fractional: bool,
}

/// What decides how a cache works, cheap to copy.
#[derive(Clone, Copy)]
pub struct Flags {
    pub hooks: Hooks,
    pub sizes: Sizes,
    /// Making room may run Python code: that of a subclass, or of the user's `choice`.
    pub evicts_by_popitem: bool,
    /// Storing may ask Python for more than the time.
    pub asks: bool,
    /// The thread that makes room by calling `popitem`, or 0.
    pub evicting: u64,
}

impl Flags {
    fn new(kind: Kind, hooks: Hooks, sizes: Sizes) -> Self {
        let evicts_by_popitem = Cache::evicts_by_popitem(kind, hooks);
        let asks = sizes.sized || evicts_by_popitem || kind == Kind::Tlru;
        Flags { hooks, sizes, evicts_by_popitem, asks, evicting: 0 }
    }
}

/// A mapping of limited size: the base class of all native caches.
#[pyclass(subclass, frozen, dict, weakref, mapping, module = "aiocachetools")]
pub struct Cache {
    pub kind: Kind,
    pub store: GilCell<PyStore>,
    parts: GilCell<Parts>,
    flags: GilCell<Flags>,
    stats: GilCell<Stats>,
    /// The object that this is the state of, once it has been configured.
    this: GilCell<*mut PyObject>,
}

// SAFETY: the pointer names the object itself and is used with the GIL held.
unsafe impl Send for Cache {}
// SAFETY: as above.
unsafe impl Sync for Cache {}

/// An argument that may be left out, as distinct from `None`.
pub enum Given<'py> {
    No,
    Yes(Bound<'py, PyAny>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Given<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Ok(Given::Yes(object.to_owned()))
    }
}

impl Cache {
    /// A cache that can hold nothing until it is configured.
    pub fn unconfigured(kind: Kind) -> Self {
        let flags = Flags::new(kind, Hooks::NONE, Sizes::default());
        Cache {
            kind,
            store: GilCell::new(Store::new(0.0, kind.policy(0.0), Expiry::Never)),
            parts: GilCell::new(Parts::default()),
            flags: GilCell::new(flags),
            stats: GilCell::new(Stats::default()),
            this: GilCell::new(std::ptr::null_mut()),
        }
    }

    /// Gives it these parts and entries in place of what it has.
    pub fn install(
        slf: &Bound<'_, Self>,
        parts: Parts,
        store: PyStore,
        sizes: Sizes,
    ) -> PyResult<()> {
        let this = slf.get();
        let hooks = this.overridden(slf)?;
        fence::all(slf.as_ptr());
        let flags = Flags::new(this.kind, hooks, sizes);
        // SAFETY: nothing of Python runs between these; what was there is dropped afterwards.
        let old = unsafe {
            *this.this.get() = slf.as_ptr();
            *this.flags.get() = flags;
            let parts = std::mem::replace(this.parts.get(), parts);
            (parts, std::mem::replace(this.store.get(), store))
        };
        drop(old);
        Ok(())
    }

    fn overridden(&self, slf: &Bound<'_, Self>) -> PyResult<Hooks> {
        let native = crate::classes::native_type(slf.py(), self.kind);
        let class = slf.get_type();
        if class.is(&native) { Ok(Hooks::NONE) } else { Hooks::of(&class, &native) }
    }

    /// The cache that an object is, if it is one of exactly a native class.
    #[inline]
    pub fn from_exact<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a Self> {
        let cache = object.cast::<Cache>().ok()?.get();
        let native = crate::classes::native_type(object.py(), cache.kind);
        object.get_type().is(&native).then_some(cache)
    }

    /// Keys and values.
    #[inline]
    pub fn store(&self) -> &GilCell<PyStore> {
        &self.store
    }

    /// Reads or changes the store; `act` runs no Python code and drops no reference.
    #[inline]
    pub fn within<T>(&self, act: impl FnOnce(&mut PyStore) -> T) -> T {
        // SAFETY: every caller keeps to the rule.
        unsafe { act(self.store.get()) }
    }

    /// Counts something.
    #[inline]
    pub fn count(&self, act: impl FnOnce(&mut Stats)) {
        // SAFETY: only numbers are changed.
        unsafe { act(self.stats.get()) }
    }

    #[inline]
    pub fn flags(&self) -> Flags {
        // SAFETY: a copy.
        unsafe { *self.flags.get() }
    }

    #[inline]
    pub fn set_flags(&self, act: impl FnOnce(&mut Flags)) {
        // SAFETY: only plain data is changed.
        unsafe { act(self.flags.get()) }
    }

    /// Reads the parts; `read` runs no Python code.
    #[inline]
    pub fn part<T>(&self, read: impl FnOnce(&Parts) -> T) -> T {
        // SAFETY: every caller keeps to the rule.
        unsafe { read(self.parts.get()) }
    }

    pub fn timer<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Timer>> {
        self.part(|parts| parts.timer.as_ref().map(|timer| timer.bind(py).clone()))
    }

    /// The object that this is the state of; only for a configured cache.
    pub fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        // SAFETY: the object is alive as long as its state is, and never moves.
        unsafe {
            let this = *self.this.get();
            if this.is_null() {
                return py.None().into_bound(py);
            }
            Bound::from_borrowed_ptr(py, this)
        }
    }

    /// Whether this thread calls `popitem` to make room just now.
    pub fn is_evicting(&self) -> bool {
        let evicting = self.flags().evicting;
        evicting != 0 && evicting == current_thread()
    }

    /// Why the entries leave that this thread takes out just now.
    pub fn cause(&self) -> RemovalCause {
        if self.is_evicting() { RemovalCause::Size } else { RemovalCause::Explicit }
    }

    /// Fences the loads of a key that the user names.
    #[inline]
    pub fn fence(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<()> {
        // SAFETY: one read of a pointer.
        let this = unsafe { *self.this.get() };
        if this.is_null() || self.is_evicting() {
            return Ok(());
        }
        fence::key(py, this, hash, query)
    }
}

/// The calling thread as Python numbers it.
pub fn current_thread() -> u64 {
    // SAFETY: needs nothing.
    unsafe { ffi::PyThread_get_thread_ident() as u64 }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let store = std::mem::replace(
            // SAFETY: nobody else can reach the cache.
            unsafe { self.store.get() },
            Store::new(0.0, self.kind.policy(0.0), Expiry::Never),
        );
        if !store.is_empty() {
            removal::dispose(store);
        }
    }
}

/// A key that was asked for, with its hash.
#[inline(always)]
pub fn ask<'a>(key: &'a Bound<'_, PyAny>) -> PyResult<(u64, Query<'a>)> {
    if key.is_exact_instance_of::<PyString>() || key.is_exact_instance_of::<PyInt>() {
        let query = Query::Object(key.as_ptr());
        if let Some(hash) = query.hash() {
            return Ok((hash, query));
        }
    }
    ask_any(key)
}

#[inline(never)]
fn ask_any<'a>(key: &'a Bound<'_, PyAny>) -> PyResult<(u64, Query<'a>)> {
    let query = Query::of(key)?;
    match query.hash() {
        Some(hash) => Ok((hash, query)),
        None => Err(PyErr::fetch(key.py())),
    }
}

/// `KeyError(key)`.
pub fn absent(key: &Bound<'_, PyAny>) -> PyErr {
    PyKeyError::new_err((key.clone().unbind(),))
}

/// A reference as PyO3 returns it.
#[inline]
pub fn give(py: Python<'_>, value: Ref) -> Bound<'_, PyAny> {
    // SAFETY: the reference is owned and given away.
    unsafe { Bound::from_owned_ptr(py, value.into_ptr()) }
}

const VIRTUAL_READ: Hooks = Hooks::CONTAINS.and(Hooks::GETITEM);

#[pymethods]
impl Cache {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::unconfigured(Kind::Plain)
    }

    #[pyo3(signature = (maxsize, getsizeof=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        maxsize: &Bound<'_, PyAny>,
        getsizeof: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        crate::classes::init(slf, maxsize, getsizeof, Parts::default())
    }

    #[inline]
    pub fn __getitem__<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let (hash, query) = ask(key)?;
        match this.lookup(py, hash, &query)? {
            Some(value) => Ok(give(py, value)),
            None => Self::miss(slf, key, hash, &query),
        }
    }

    #[inline]
    pub fn __setitem__(
        slf: &Bound<'_, Self>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let (hash, query) = ask(key)?;
        this.fence(py, hash, &query)?;
        this.assign(py, hash, &query, || Ok(Key::Object(Ref::from(key))), Ref::from(value))
    }

    #[inline]
    pub fn __delitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let (hash, query) = ask(key)?;
        this.fence(py, hash, &query)?;
        match this.take(py, hash, &query, this.cause())? {
            Some((_, true)) => Ok(()),
            _ => Err(absent(key)),
        }
    }

    #[inline]
    pub fn __contains__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let (hash, query) = ask(key)?;
        slf.get().peek(slf.py(), hash, &query)
    }

    /// What `self[key]` does for a key that is not there.
    fn __missing__(&self, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Err(absent(key))
    }

    fn __len__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        let _frozen = slf.get().settle(slf.py())?;
        Ok(slf.get().within(|store| store.len()))
    }

    fn __iter__(slf: &Bound<'_, Self>) -> KeyIter {
        KeyIter::of(slf)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        crate::repr::of(slf)
    }

    fn __eq__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        abc::mapping(slf.py())?.call_method1("__eq__", (slf, other))
    }

    /// The keys.
    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        abc::view(slf.as_any(), "KeysView")
    }

    /// The values.
    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        abc::view(slf.as_any(), "ValuesView")
    }

    /// The pairs of keys and values.
    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        abc::view(slf.as_any(), "ItemsView")
    }

    /// The value of a key, or the default if it is not there.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        if this.flags().hooks.has(VIRTUAL_READ) {
            let _frozen = this.freeze(py)?;
            return if slf.contains(key)? {
                slf.as_any().get_item(key).map(Some)
            } else {
                Ok(default)
            };
        }
        let (hash, query) = ask(key)?;
        Ok(this.lookup(py, hash, &query)?.map(|value| give(py, value)).or(default))
    }

    /// Removes a key and returns its value, or the default if it is not there.
    #[pyo3(signature = (key, default=Given::No))]
    fn pop<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        default: Given<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let (hash, query) = ask(key)?;
        this.fence(py, hash, &query)?;
        let value = if this.flags().hooks.has(VIRTUAL_READ.and(Hooks::DELITEM)) {
            Self::pop_by_hooks(slf, key)?
        } else {
            this.pop_fresh(py, hash, &query)?.map(|value| give(py, value))
        };
        match (value, default) {
            (Some(value), _) | (None, Given::Yes(value)) => Ok(value),
            (None, Given::No) => Err(absent(key)),
        }
    }

    /// Removes and returns the pair of key and value that is next to go.
    fn popitem<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        Self::pop_victim(slf)
    }

    /// The value of a key, which is the default from now on if it was not there.
    #[pyo3(signature = (key, default=None))]
    fn setdefault<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let default = default.unwrap_or_else(|| py.None().into_bound(py));
        let (hash, query) = ask(key)?;
        this.fence(py, hash, &query)?;
        let _frozen = this.freeze(py)?;
        if this.flags().hooks.has(VIRTUAL_READ.and(Hooks::SETITEM)) {
            if slf.contains(key)? {
                return slf.as_any().get_item(key);
            }
            slf.as_any().set_item(key, &default)?;
            return Ok(default);
        }
        if let Some(value) = this.lookup(py, hash, &query)? {
            return Ok(give(py, value));
        }
        this.assign(py, hash, &query, || Ok(Key::Object(Ref::from(key))), Ref::from(&default))?;
        Ok(default)
    }

    /// Stores every pair of a mapping or an iterable, and the keyword arguments.
    #[pyo3(signature = (other=Given::No, /, **kwargs))]
    fn update<'py>(
        slf: &Bound<'py, Self>,
        other: Given<'py>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        if let Given::Yes(other) = other {
            Self::update_from(slf, &other)?;
        }
        kwargs.map_or(Ok(()), |kwargs| Self::update_from(slf, kwargs))
    }

    /// Removes everything.
    fn clear(slf: &Bound<'_, Self>) {
        fence::all(slf.as_ptr());
        slf.get().empty();
    }

    fn __copy__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        crate::snapshot::copy(slf)
    }

    fn __deepcopy__<'py>(
        slf: &Bound<'py, Self>,
        memo: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        crate::snapshot::deepcopy(slf, memo)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        crate::snapshot::reduce(slf)
    }

    /// Restores the attributes of an instance; the entries are restored apart from them.
    fn __setstate__(slf: &Bound<'_, Self>, state: &Bound<'_, PyAny>) -> PyResult<()> {
        crate::snapshot::set_attributes(slf.as_any(), state)
    }

    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyGenericAlias>> {
        PyGenericAlias::new(cls.py(), cls.as_any(), item)
    }

    /// The greatest size that the cache may have.
    #[getter]
    fn maxsize<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self.part(|parts| parts.maxsize.clone()) {
            Some(maxsize) => give(py, maxsize),
            None => 0_i32.into_pyobject(py).unwrap_or_else(|never| match never {}).into_any(),
        }
    }

    /// The size that the cache has.
    #[getter]
    fn currsize<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let _frozen = slf.get().settle(slf.py())?;
        slf.get().size(slf.py())
    }

    /// The size of a value: one, unless it is given or overridden.
    #[staticmethod]
    fn getsizeof(#[allow(unused_variables)] value: &Bound<'_, PyAny>) -> i32 {
        1
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.within(|store| {
            for (key, value) in store.iter() {
                let (Key::Object(key) | Key::One(key) | Key::Many(key)) = key;
                visit.call(key.as_py())?;
                visit.call(value.as_py())?;
            }
            Ok(())
        })?;
        self.part(|parts| {
            visit.call(&parts.timer)?;
            visit.call(parts.ttl.as_ref().map(|ttl| ttl.object.as_py()))?;
            for part in [&parts.maxsize, &parts.ttu, &parts.choice] {
                visit.call(part.as_ref().map(Ref::as_py))?;
            }
            Ok(())
        })
    }

    fn __clear__(&self) {
        self.empty();
        // SAFETY: nothing of Python runs while the parts are exchanged.
        let parts = unsafe { std::mem::take(self.parts.get()) };
        drop(parts);
    }
}

/// Prepares the classes, once.
pub fn register(py: Python<'_>) -> PyResult<()> {
    static DONE: PyOnceLock<()> = PyOnceLock::new();
    DONE.get_or_try_init(py, || {
        crate::timer::monotonic(py)?;
        for kind in Kind::ALL {
            crate::slots::install(&crate::classes::native_type(py, kind));
        }
        abc::register(&py.get_type::<Cache>())
    })?;
    Ok(())
}

/// Pairs as a list of tuples.
pub fn pairs<'py>(py: Python<'py>, pairs: Vec<(Key, Ref)>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (key, value) in pairs {
        list.append((key.object(py)?, value.bound(py)))?;
    }
    Ok(list)
}
