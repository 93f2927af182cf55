//! The native classes: each has its constructor and what no other has.

use aiocachetools_core::store::Store;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use crate::cache::{self, Cache, Parts, Sizes, give};
use crate::kind::Kind;
use crate::listener;
use crate::object::Ref;
use crate::timer::{self, Timer, Ttl};

/// The native class of a kind.
pub fn native_type(py: Python<'_>, kind: Kind) -> Bound<'_, PyType> {
    match kind {
        Kind::Plain => py.get_type::<Cache>(),
        Kind::Fifo => py.get_type::<FIFOCache>(),
        Kind::Lru => py.get_type::<LRUCache>(),
        Kind::Lfu => py.get_type::<LFUCache>(),
        Kind::Random => py.get_type::<RRCache>(),
        Kind::Ttl => py.get_type::<TTLCache>(),
        Kind::Tlru => py.get_type::<TLRUCache>(),
        Kind::TinyLfu => py.get_type::<TinyLFUCache>(),
    }
}

/// `random.choice`, which chooses among positions as it would among keys.
pub fn random_choice(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CHOICE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CHOICE
        .get_or_try_init(py, || Ok(py.import("random")?.getattr("choice")?.unbind()))
        .map(|function| function.bind(py))
}

/// What every constructor does.
pub fn init(
    cache: &Bound<'_, Cache>,
    maxsize: &Bound<'_, PyAny>,
    getsizeof: Option<&Bound<'_, PyAny>>,
    removal_listener: Option<&Bound<'_, PyAny>>,
    parts: Parts,
) -> PyResult<()> {
    let listener = listener::check(cache.as_any(), removal_listener)?;
    let limit: f64 = maxsize.extract()?;
    if limit < 0.0 || limit.is_nan() {
        return Err(PyValueError::new_err("maxsize must be non-negative"));
    }
    if let Some(getsizeof) = getsizeof {
        cache.setattr("getsizeof", getsizeof)?;
    }
    let native = cache.py().get_type::<Cache>().getattr("getsizeof")?;
    let sized = !cache.getattr("getsizeof")?.is(&native);
    let kind = cache.get().kind;
    let store = Store::new(limit, kind.policy(limit), kind.expiry());
    let parts = Parts { maxsize: Some(Ref::from(maxsize)), listener, ..parts };
    Cache::install(cache, parts, store, Sizes { sized, ..Sizes::default() })
}

/// Declares a class that differs from [`Cache`] in its kind alone.
macro_rules! leaf {
    ($(#[$doc:meta])* $class:ident, $kind:expr) => {
        $(#[$doc])*
        #[pyclass(extends = Cache, subclass, frozen, module = "aiocachetools")]
        pub struct $class;

        #[pymethods]
        impl $class {
            #[new]
            #[pyo3(signature = (*_args, **_kwargs), text_signature = "(maxsize, getsizeof=None, *, timer=None, removal_listener=None)")]
            fn new(
                _args: &Bound<'_, PyTuple>,
                _kwargs: Option<&Bound<'_, PyDict>>,
            ) -> PyClassInitializer<Self> {
                PyClassInitializer::from(Cache::unconfigured($kind)).add_subclass(Self)
            }

            #[pyo3(signature = (maxsize, getsizeof=None, *, timer=None, removal_listener=None))]
            fn __init__(
                slf: &Bound<'_, Self>,
                maxsize: &Bound<'_, PyAny>,
                getsizeof: Option<&Bound<'_, PyAny>>,
                timer: Option<&Bound<'_, PyAny>>,
                removal_listener: Option<&Bound<'_, PyAny>>,
            ) -> PyResult<()> {
                let parts = Parts { timer: timer.map(timer_of).transpose()?, ..Parts::default() };
                init(slf.as_super(), maxsize, getsizeof, removal_listener, parts)
            }
        }
    };
}

leaf! {
    /// First in, first out: evicts what was written first.
    FIFOCache, Kind::Fifo
}

leaf! {
    /// Evicts what was least recently used.
    LRUCache, Kind::Lru
}

leaf! {
    /// Evicts what was least frequently used.
    LFUCache, Kind::Lfu
}

leaf! {
    /// Evicts by W-TinyLFU: frequency decides who stays, recency who is asked.
    TinyLFUCache, Kind::TinyLfu
}

/// Random replacement: evicts what `choice` chooses.
#[pyclass(extends = Cache, subclass, frozen, module = "aiocachetools")]
pub struct RRCache;

#[pymethods]
impl RRCache {
    #[new]
    #[pyo3(
        signature = (*_args, **_kwargs),
        text_signature = "(maxsize, choice=..., getsizeof=None, *, timer=None, removal_listener=None)"
    )]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Cache::unconfigured(Kind::Random)).add_subclass(Self)
    }

    #[pyo3(signature = (maxsize, choice=None, getsizeof=None, *, timer=None, removal_listener=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        maxsize: &Bound<'_, PyAny>,
        choice: Option<&Bound<'_, PyAny>>,
        getsizeof: Option<&Bound<'_, PyAny>>,
        timer: Option<&Bound<'_, PyAny>>,
        removal_listener: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let choice = choice.map_or_else(|| random_choice(slf.py()), Ok)?;
        let timer = timer.map(timer_of).transpose()?;
        let parts = Parts { choice: Some(Ref::from(choice)), timer, ..Parts::default() };
        init(slf.as_super(), maxsize, getsizeof, removal_listener, parts)
    }

    /// The function that chooses who is evicted.
    #[getter]
    fn choice<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, PyAny>> {
        let choice = slf.as_super().get().part(|parts| parts.choice.clone());
        choice.map(|choice| give(slf.py(), choice))
    }
}

/// The base class of caches whose entries expire.
#[pyclass(extends = Cache, subclass, frozen, name = "_TimedCache", module = "aiocachetools._core")]
pub struct TimedCache;

impl TimedCache {
    fn unconfigured(kind: Kind) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Cache::unconfigured(kind)).add_subclass(Self)
    }
}

#[pymethods]
impl TimedCache {
    /// The timer of the cache; time stands still inside `with cache.timer`.
    #[getter]
    fn timer<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, Timer>> {
        slf.as_super().get().timer(slf.py())
    }

    /// Removes what has expired and returns the pairs, in order of expiry.
    #[pyo3(signature = (time=None))]
    fn expire<'py>(slf: &Bound<'py, Self>, time: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyList>> {
        let (py, this) = (slf.py(), slf.as_super().get());
        let Some(timer) = this.timer(py) else { return Ok(PyList::empty(py)) };
        let now = match time {
            Some(time) => timer.get().seconds(&time)?,
            None => timer.get().now(py)?.seconds,
        };
        cache::pairs(py, this.expire_before(py, now))
    }
}

/// The least recently used, each entry of which lives for the same time.
#[pyclass(extends = TimedCache, subclass, frozen, module = "aiocachetools")]
pub struct TTLCache;

#[pymethods]
impl TTLCache {
    #[new]
    #[pyo3(
        signature = (*_args, **_kwargs),
        text_signature = "(maxsize, ttl, timer=..., getsizeof=None, *, removal_listener=None)"
    )]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyClassInitializer<Self> {
        TimedCache::unconfigured(Kind::Ttl).add_subclass(Self)
    }

    #[pyo3(signature = (maxsize, ttl, timer=None, getsizeof=None, *, removal_listener=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        maxsize: &Bound<'_, PyAny>,
        ttl: &Bound<'_, PyAny>,
        timer: Option<&Bound<'_, PyAny>>,
        getsizeof: Option<&Bound<'_, PyAny>>,
        removal_listener: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let parts = Parts {
            timer: Some(timer_or_clock(slf.py(), timer)?),
            ttl: Some(Ttl::of(ttl)?),
            ..Parts::default()
        };
        init(slf.as_super().as_super(), maxsize, getsizeof, removal_listener, parts)
    }

    /// How long entries live.
    #[getter]
    fn ttl<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, PyAny>> {
        let ttl = slf.as_super().as_super().get().part(|parts| parts.ttl.clone());
        ttl.map(|ttl| give(slf.py(), ttl.object))
    }
}

/// The least recently used, each entry of which lives until a time of its own.
#[pyclass(extends = TimedCache, subclass, frozen, module = "aiocachetools")]
pub struct TLRUCache;

#[pymethods]
impl TLRUCache {
    #[new]
    #[pyo3(
        signature = (*_args, **_kwargs),
        text_signature = "(maxsize, ttu, timer=..., getsizeof=None, *, removal_listener=None)"
    )]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyClassInitializer<Self> {
        TimedCache::unconfigured(Kind::Tlru).add_subclass(Self)
    }

    #[pyo3(signature = (maxsize, ttu, timer=None, getsizeof=None, *, removal_listener=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        maxsize: &Bound<'_, PyAny>,
        ttu: &Bound<'_, PyAny>,
        timer: Option<&Bound<'_, PyAny>>,
        getsizeof: Option<&Bound<'_, PyAny>>,
        removal_listener: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let parts = Parts {
            timer: Some(timer_or_clock(slf.py(), timer)?),
            ttu: Some(Ref::from(ttu)),
            ..Parts::default()
        };
        init(slf.as_super().as_super(), maxsize, getsizeof, removal_listener, parts)
    }

    /// The function that says when an entry expires.
    #[getter]
    fn ttu<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, PyAny>> {
        let ttu = slf.as_super().as_super().get().part(|parts| parts.ttu.clone());
        ttu.map(|ttu| give(slf.py(), ttu))
    }
}

/// The timer of a cache that was given a function.
pub fn timer_of(function: &Bound<'_, PyAny>) -> PyResult<Py<Timer>> {
    Py::new(function.py(), Timer::of(function)?)
}

fn timer_or_clock(py: Python<'_>, timer: Option<&Bound<'_, PyAny>>) -> PyResult<Py<Timer>> {
    timer_of(timer.map_or_else(|| timer::monotonic(py), Ok)?)
}
