//! Who is told of what leaves a cache: its removal listener, the log, and the listener of a function
//! that uses it.
//!
//! 1. Every departure is told once, in order, when the change is complete and nothing is borrowed:
//!    a listener may use the cache.  What `popitem` evicts waits until the new entry is stored.
//! 2. What a listener raises goes to `sys.unraisablehook`; the operation is not affected.
//! 3. Nobody is told of what a cache holds when it goes away itself, by reference count or by the
//!    garbage collector.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::cache::Cache;
use crate::event::{self, Event};
use crate::evict;
use crate::failed::Failed;
use crate::instance::Guard;
use crate::log;
use crate::object::Ref;
use crate::removal::{Departed, RemovalCause};

/// A removal listener as the user gave it; `None` where there is none.
///
/// # Errors
/// TypeError for what cannot be called.
pub fn check(cache: &Bound<'_, PyAny>, listener: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Ref>> {
    let Some(listener) = listener else { return Ok(None) };
    if listener.is_callable() {
        return Ok(Some(Ref::from(listener)));
    }
    let (class, listener) = (cache.get_type().name()?, listener.repr()?);
    Err(PyTypeError::new_err(format!(
        "{class}: removal_listener must be a function of key, value and cause, or None, not {listener}"
    )))
}

impl Cache {
    /// Whether a departure is told to anybody.
    #[inline]
    pub fn is_told(&self) -> bool {
        let flags = self.flags();
        flags.listened || flags.watched || log::is_listening()
    }

    /// Tells of an entry that has left.
    #[inline]
    pub fn tell(&self, py: Python<'_>, departed: &Departed) {
        if !self.is_told() {
            return;
        }
        if self.is_evicting() {
            return self.wait(departed.clone());
        }
        let listener = self.part(|parts| parts.listener.clone());
        self.tell_to(py, listener.as_ref(), departed);
    }

    /// Tells of what waited for the end of an eviction.
    pub fn tell_waiting(&self, py: Python<'_>) {
        self.take_waiting().iter().for_each(|departed| self.tell(py, departed));
    }

    /// Tells the log, a function's listener, and a removal listener that the cache has or had.
    #[cold]
    pub fn tell_to(&self, py: Python<'_>, listener: Option<&Ref>, departed: &Departed) {
        let Some(departed) = Failed::seen(departed.clone(), py) else { return };
        let Some(key) = &departed.key else { return };
        match departed.cause {
            RemovalCause::Size => event::tell_removal(py, Event::Evict, self, key),
            RemovalCause::Expired => event::tell_removal(py, Event::Expire, self, key),
            RemovalCause::Explicit | RemovalCause::Replaced => {}
        }
        let Some(listener) = listener else { return };
        let call = || {
            let (value, cause) = (departed.value.bound(py), departed.cause.object(py)?);
            listener.bound(py).call1((key.object(py)?, value, cause))
        };
        if let Err(error) = evict::by_user(call) {
            error.write_unraisable(py, Some(listener.bound(py)));
        }
    }

    /// Has a listener from now on, or none.
    pub fn listen(&self, listener: Option<Ref>) {
        self.set_flags(|flags| flags.listened = listener.is_some());
        let old = self.exchange_listener(listener);
        drop(old);
    }

    /// A function uses the cache from now on.
    pub fn note_user(&self, user: &User) {
        if user.listens {
            self.set_flags(|flags| flags.watched = true);
        }
        if self.first_user().is_none() {
            drop(self.exchange_user(user.function.clone()));
        }
    }
}

/// A function that uses caches, held weakly.
#[derive(Clone)]
pub struct User {
    pub function: Guard,
    /// It has a listener.
    pub listens: bool,
}
