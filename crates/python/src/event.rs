//! What happens to calls and entries, as the log and the functions' listeners are told.
//!
//! 1. Both are told here and nowhere else, so that they cannot disagree.
//! 2. They are told when nothing is borrowed and what happened is complete: a listener may use the
//!    cache, and call the function.
//! 3. What a listener raises goes to `sys.unraisablehook`; what it was told of is not affected.
//! 4. An entry that leaves is told to the function that stores just then; when none does, to the
//!    first one that used the cache.

use std::cell::Cell;
use std::time::Instant;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};

use crate::cache::Cache;
use crate::evict;
use crate::function::{Body, Function};
use crate::key::Key;
use crate::log;
use crate::object::Ref;

/// What is told of a call or an entry.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    Hit,
    Miss,
    Join,
    /// The result of a load that began then, or what the user set.
    Store(Option<Instant>),
    /// The exception of a load that began then.
    LoadError(Instant, &'a Ref),
    Evict,
    Expire,
    Invalidate,
    /// A value was served that is no longer fresh.
    Stale,
    /// A load began for nobody, while a stale value is served.
    Refresh,
}

impl Event<'_> {
    fn name(self) -> &'static str {
        match self {
            Event::Hit => "hit",
            Event::Miss => "miss",
            Event::Join => "join",
            Event::Store(_) => "store",
            Event::LoadError(..) => "load_error",
            Event::Evict => "evict",
            Event::Expire => "expire",
            Event::Invalidate => "invalidate",
            Event::Stale => "stale",
            Event::Refresh => "refresh",
        }
    }

    /// Python's `CacheEvent`, made as its own `__new__` does, in half the time.
    fn object<'py>(self, function: &Body, key: &Key, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static NEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let class = CLASS.get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import("aiocachetools._event")?.getattr("CacheEvent")?.unbind())
        })?;
        let new = NEW.get_or_try_init(py, || {
            Ok::<_, PyErr>(py.get_type::<PyTuple>().getattr(intern!(py, "__new__"))?.unbind())
        })?;
        let (error, seconds) = match self {
            Event::Store(began) => (None, began.map(|began| began.elapsed().as_secs_f64())),
            Event::LoadError(began, error) => (Some(error.bound(py)), Some(began.elapsed().as_secs_f64())),
            _ => (None, None),
        };
        let name = PyString::intern(py, self.name());
        let items = (name, function.name().bound(py), key.object(py)?, error, seconds);
        new.bind(py).call1((class.bind(py), items))
    }
}

/// Tells of an event, if anybody listens.
pub fn tell(py: Python<'_>, event: Event<'_>, function: &Ref, key: &Key) {
    let function = Function::of(function);
    if matches!(event, Event::Miss) {
        log::notice(py);
    }
    if log::is_listening() {
        log::report(py, event.name(), function.name().bound(py), key);
    }
    if let Some(listener) = &function.listener {
        tell_listener(py, listener, event, function, key);
    }
}

#[cold]
fn tell_listener(py: Python<'_>, listener: &Ref, event: Event<'_>, function: &Body, key: &Key) {
    let call = || listener.bound(py).call1((event.object(function, key, py)?,));
    if let Err(error) = evict::by_user(call) {
        error.write_unraisable(py, Some(listener.bound(py)));
    }
}

/// Tells of an entry that left a cache, if anybody listens.
pub fn tell_removal(py: Python<'_>, event: Event<'_>, cache: &Cache, key: &Key) {
    match storing_function().or_else(|| cache.first_user()) {
        Some(function) => tell(py, event, &function, key),
        None if log::is_listening() => {
            let class = cache.object(py).get_type().name();
            let class = class.unwrap_or_else(|_| PyString::new(py, "?"));
            log::report(py, event.name(), &class, key);
        }
        None => {}
    }
}

/// Tells of a tag that was invalidated.  Listeners are told of keys; nobody knows of which here.
pub fn tell_tag(py: Python<'_>, name: &str) {
    log::notice(py);
    if log::is_listening() {
        let (tag, name) = (PyString::new(py, "tag"), PyString::new(py, name));
        log::report(py, Event::Invalidate.name(), &tag, &Key::One(name.into()));
    }
}

thread_local! {
    /// The function whose load this thread stores, to which evictions and expirations are ascribed.
    static STORING: Cell<Option<Ref>> = const { Cell::new(None) };
}

/// Runs `store` on behalf of a function.
pub fn storing<R>(function: &Ref, store: impl FnOnce() -> R) -> R {
    let before = STORING.replace(Some(function.clone()));
    let result = store();
    drop(STORING.replace(before));
    result
}

fn storing_function() -> Option<Ref> {
    let function = STORING.take();
    STORING.set(function.clone());
    function
}
