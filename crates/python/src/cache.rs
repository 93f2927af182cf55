//! The cache: what all native classes have in common.
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
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyList, PyString};

use crate::hooks::Hooks;
use crate::instance::Guard;
use crate::key::{Key, PyStore, Query};
use crate::kind::Kind;
use crate::object::{self, GilCell, Ref};
use crate::removal::{self, Departed};
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
    pub listener: Option<Ref>,
}

/// How values are weighed.
#[derive(Clone, Copy, Default)]
pub struct Sizes {
    /// By `getsizeof`; otherwise each counts one.
    pub sized: bool,
    /// A size that is not an integer was seen.
    pub fractional: bool,
    /// Some entry was given a weight of its own.
    pub weighted: bool,
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
    /// There is a removal listener.
    pub listened: bool,
    /// A function that has a listener uses it.
    pub watched: bool,
    /// Entries may have deadlines: there is a timer.
    pub timed: bool,
    /// Entries may cease to be good by themselves: by time, or by tags.
    pub perishable: bool,
}

impl Flags {
    fn new(kind: Kind, hooks: Hooks, sizes: Sizes, parts: &Parts) -> Self {
        let evicts_by_popitem = Cache::evicts_by_popitem(kind, hooks);
        let timed = parts.timer.is_some();
        let asks = sizes.sized || sizes.weighted || evicts_by_popitem || timed && kind != Kind::Ttl;
        let listened = parts.listener.is_some();
        Flags { hooks, sizes, evicts_by_popitem, asks, listened, watched: false, timed, perishable: timed }
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
    /// What was evicted for an entry that is not stored yet, while somebody is told.
    waiting: GilCell<Vec<Departed>>,
    /// The first decorated function that used it, held weakly.
    user: GilCell<Option<Guard>>,
    /// The object that this is the state of, once it has been configured.
    this: GilCell<*mut PyObject>,
}

// SAFETY: the pointer names the object itself and is used with the GIL held.
unsafe impl Send for Cache {}
// SAFETY: as above.
unsafe impl Sync for Cache {}

impl Cache {
    /// A cache that can hold nothing until it is configured.
    pub fn unconfigured(kind: Kind) -> Self {
        let flags = Flags::new(kind, Hooks::NONE, Sizes::default(), &Parts::default());
        Cache {
            kind,
            store: GilCell::new(Store::new(0.0, kind.policy(0.0), Expiry::Never)),
            parts: GilCell::new(Parts::default()),
            flags: GilCell::new(flags),
            stats: GilCell::new(Stats::default()),
            waiting: GilCell::new(Vec::new()),
            user: GilCell::new(None),
            this: GilCell::new(std::ptr::null_mut()),
        }
    }

    /// Gives it these parts and entries in place of what it has; the old entries have left, which
    /// the old listener is told.
    pub fn install(slf: &Bound<'_, Self>, parts: Parts, mut store: PyStore, sizes: Sizes) -> PyResult<()> {
        let this = slf.get();
        let hooks = this.overridden(slf)?;
        fence::all(slf.as_ptr());
        let mut flags = Flags::new(this.kind, hooks, sizes, &parts);
        flags.watched = this.flags().watched;
        if flags.timed {
            store.begin_deadlines();
        }
        flags.perishable |= store.has_stamps();
        // SAFETY: nothing of Python runs between these; what was there is dropped afterwards.
        let (parts, mut store) = unsafe {
            *this.this.get() = slf.as_ptr();
            *this.flags.get() = flags;
            let parts = std::mem::replace(this.parts.get(), parts);
            (parts, std::mem::replace(this.store.get(), store))
        };
        this.part_with(slf.py(), store.clear(), parts.listener.as_ref());
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

    /// What was counted so far.
    pub fn counted(&self) -> Stats {
        // SAFETY: a copy.
        unsafe { *self.stats.get() }
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

    /// Keeps what was evicted until it may be told.
    pub fn wait(&self, departed: Departed) {
        // SAFETY: nothing of Python runs here.
        unsafe { self.waiting.get() }.push(departed);
    }

    /// What was evicted and has to be told.
    pub fn take_waiting(&self) -> Vec<Departed> {
        // SAFETY: nothing of Python runs here.
        unsafe { std::mem::take(self.waiting.get()) }
    }

    /// Reads what was evicted and has not been told; `read` runs no Python code.
    pub fn waiting<T>(&self, read: impl FnOnce(&[Departed]) -> T) -> T {
        // SAFETY: every caller keeps to the rule.
        unsafe { read(self.waiting.get()) }
    }

    /// Puts a listener in the place of another.
    pub fn exchange_listener(&self, listener: Option<Ref>) -> Option<Ref> {
        // SAFETY: nothing of Python runs while they are exchanged.
        unsafe { std::mem::replace(&mut self.parts.get().listener, listener) }
    }

    /// The first function that used it, if it is still there.
    pub fn first_user(&self) -> Option<Ref> {
        // SAFETY: nothing of Python runs here.
        unsafe { self.user.get() }.as_ref().and_then(Guard::object)
    }

    /// Puts a function that uses it in the place of the first one.
    pub fn exchange_user(&self, user: Guard) -> Option<Guard> {
        // SAFETY: nothing of Python runs while they are exchanged.
        unsafe { self.user.get() }.replace(user)
    }

    /// Forgets the parts.
    pub fn drop_parts(&self) {
        // SAFETY: nothing of Python runs while the parts are exchanged.
        let parts = unsafe { std::mem::take(self.parts.get()) };
        drop(parts);
    }

    /// Lets entries have deadlines from now on, by this timer unless there is one.
    pub fn begin_deadlines(&self, py: Python<'_>, timer: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        if self.flags().timed {
            return Ok(());
        }
        let function = timer.map_or_else(|| crate::timer::monotonic(py), Ok)?;
        let timer = Py::new(py, Timer::of(function)?)?;
        self.within(Store::begin_deadlines);
        self.set_flags(|flags| (flags.timed, flags.perishable, flags.asks) = (true, true, true));
        // SAFETY: nothing of Python runs here, and there was no timer.
        unsafe { self.parts.get() }.timer = Some(timer);
        Ok(())
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

    /// Whether it has not been configured, or its memory is still all zero.
    pub fn is_blank(&self) -> bool {
        // SAFETY: one read of a pointer.
        unsafe { (*self.this.get()).is_null() }
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

    /// Fences the loads of a key that is stored, but not the very load that stores it.
    #[inline]
    pub fn fence_stored(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<()> {
        // SAFETY: one read of a pointer.
        let this = unsafe { *self.this.get() };
        if this.is_null() { Ok(()) } else { fence::stored(py, this, hash, query) }
    }
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

/// A pair as Python's methods return it.
pub type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// A key that was asked for, with its hash.
#[inline(always)]
pub fn ask<'a>(key: &'a Bound<'_, PyAny>) -> PyResult<(u64, Query<'a>)> {
    if key.is_exact_instance_of::<PyString>() || key.is_exact_instance_of::<PyInt>() {
        // SAFETY: the key is alive; hashing these types cannot fail.
        let hash = unsafe { object::hash(key.as_ptr()) };
        return Ok((object::spread(hash), Query::Object(key.as_ptr())));
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

/// Prepares the classes, once.
pub fn register(py: Python<'_>) -> PyResult<()> {
    static DONE: PyOnceLock<()> = PyOnceLock::new();
    DONE.get_or_try_init(py, || {
        crate::timer::monotonic(py)?;
        crate::slots::install(&Kind::ALL.map(|kind| crate::classes::native_type(py, kind)))?;
        crate::stats::install(py.get_type::<Cache>().as_any())?;
        abc::register(&py.get_type::<Cache>())
    })?;
    Ok(())
}

/// Panics when the store of a cache is not sound: for tests.
#[pyfunction]
#[pyo3(name = "_validate")]
pub fn validate(cache: &Bound<'_, Cache>) {
    cache.get().within(|store| store.validate());
}

/// Pairs as a list of tuples.
pub fn pairs<'py>(py: Python<'py>, pairs: Vec<(Key, Ref)>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (key, value) in pairs {
        list.append((key.object(py)?, value.bound(py)))?;
    }
    Ok(list)
}
