//! What left a cache, on its way out.
//!
//! Entries are taken out while the store is borrowed and let go afterwards, because letting go of
//! them may run anything.

use std::cell::RefCell;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::key::Key;
use crate::object::Ref;

/// Why an entry left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemovalCause {
    /// The user said so.
    Explicit,
    /// A new value took its place.
    Replaced,
    /// Its time was up.
    Expired,
    /// It had to make room.
    Size,
}

impl RemovalCause {
    /// The member of Python's enumeration.
    pub fn object<'py>(self, py: Python<'py>) -> PyResult<&'py Bound<'py, PyAny>> {
        static CAUSES: PyOnceLock<[Py<PyAny>; 4]> = PyOnceLock::new();
        let causes = CAUSES.get_or_try_init(py, || {
            let class = py.import("aiocachetools._removal")?.getattr("RemovalCause")?;
            let member = |name| Ok::<_, PyErr>(class.getattr(name)?.unbind());
            Ok::<_, PyErr>([member("EXPLICIT")?, member("REPLACED")?, member("EXPIRED")?, member("SIZE")?])
        })?;
        Ok(causes[self as usize].bind(py))
    }
}

/// An entry that has left its cache.
#[derive(Clone)]
pub struct Departed {
    /// Its key; absent when only the value left and nobody is told.
    pub key: Option<Key>,
    pub value: Ref,
    pub cause: RemovalCause,
}

/// What one operation took out; nearly always one entry or none, so the first needs no memory.
#[derive(Default)]
pub struct Departures {
    first: Option<Departed>,
    rest: Vec<Departed>,
}

impl Departures {
    #[inline]
    pub fn push(&mut self, departed: Departed) {
        if self.first.is_none() {
            self.first = Some(departed);
        } else {
            self.rest.push(departed);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Departed> {
        self.first.iter().chain(&self.rest)
    }

    pub fn into_iter(self) -> impl Iterator<Item = Departed> {
        self.first.into_iter().chain(self.rest)
    }
}

/// What nested caches still have to let go of.
type Queue = Vec<Box<dyn FnOnce()>>;

thread_local! {
    /// The caches that wait; `None` while no cache is being taken apart.
    static WAITING: RefCell<Option<Queue>> = const { RefCell::new(None) };
}

/// Drops the contents of a cache that goes away, however deeply caches hold each other.
///
/// A cache found while another one is taken apart on this thread waits for its turn, so a chain
/// of caches takes a loop and no stack.
pub fn dispose<T: 'static>(contents: T) {
    let mut contents = Some(contents);
    let first = WAITING.try_with(|waiting| {
        let mut waiting = waiting.borrow_mut();
        let first = waiting.is_none();
        let queue = waiting.get_or_insert_default();
        if !first && let Some(contents) = contents.take() {
            queue.push(Box::new(move || drop(contents)));
        }
        first
    });
    drop(contents);
    if first != Ok(true) {
        return;
    }
    while let Some(next) = WAITING.with_borrow_mut(|waiting| waiting.as_mut().and_then(Vec::pop)) {
        next();
    }
    WAITING.set(None);
}
