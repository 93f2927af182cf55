//! Keys of a store: what is kept, what is asked for, and how the two are compared.
//!
//! A call's key is the tuple `hashkey(*arguments)`, but that tuple is built only when somebody
//! wants to see it: the store keeps the arguments, hashes them as Python hashes the tuple, and so
//! finds an entry under either form.
//!
//! No user code runs while a store is borrowed: [`find`] compares exact types in place, and only
//! where Python must be asked does it note the candidates, let go of the store, compare, and look
//! whether the store is still the same.

#![allow(unsafe_code)]

use aiocachetools_core::Slot;
use aiocachetools_core::policy::AnyPolicy;
use aiocachetools_core::store::Store;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict, PyTuple};

use crate::object::{self, Equality, GilCell, Ref};
use crate::raw;
use crate::tuple_hash::TupleHash;

pub type PyStore = Store<Key, Ref, AnyPolicy>;

/// A key as the store keeps it.
#[derive(Clone)]
pub enum Key {
    /// Any object, as a mapping's user passed it.
    Object(Ref),
    /// The one argument of a call: equal to the tuple of it.
    One(Ref),
    /// The arguments of a call, as a tuple.
    Many(Ref),
}

/// The class of cachetools' keys: an older cachetools makes them of a subclass of `tuple`.
static KEY_CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static HASHKEY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static TYPEDKEY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static KEYWORD_MARK: PyOnceLock<Option<Py<PyAny>>> = PyOnceLock::new();

/// `cachetools.keys.hashkey`.
pub fn hashkey(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    HASHKEY
        .get_or_try_init(py, || Ok(py.import("cachetools.keys")?.getattr("hashkey")?.unbind()))
        .map(|function| function.bind(py))
}

/// `cachetools.keys.typedkey`.
pub fn typedkey(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    TYPEDKEY
        .get_or_try_init(py, || Ok(py.import("cachetools.keys")?.getattr("typedkey")?.unbind()))
        .map(|function| function.bind(py))
}

/// What stands between the arguments and the pairs of keywords in `hashkey`'s keys; `None` where
/// these are not `(*arguments, mark, *sorted pairs)`.
pub fn keyword_mark(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyAny>>> {
    let mark = KEYWORD_MARK.get_or_try_init(py, || {
        let kwargs = [("b", 2), ("a", 3)].into_py_dict(py)?;
        let key = hashkey(py)?.call((1,), Some(&kwargs))?;
        let Ok(mark) = key.get_item(1) else { return Ok::<_, PyErr>(None) };
        let expected = (1, &mark, ("a", 3), ("b", 2)).into_pyobject(py)?;
        Ok(if expected.eq(&key)? { Some(mark.unbind()) } else { None })
    })?;
    Ok(mark.as_ref().map(|mark| mark.bind(py)))
}

fn key_class(py: Python<'_>) -> PyResult<*mut ffi::PyTypeObject> {
    let class = KEY_CLASS.get_or_try_init(py, || {
        let key = hashkey(py)?.call0()?;
        Ok::<_, PyErr>(key.get_type().into_any().unbind())
    })?;
    Ok(class.as_ptr().cast())
}

/// Whether an object compares and hashes as the tuple of its items.
#[inline]
fn is_plain_tuple(object: *mut PyObject, py: Python<'_>) -> PyResult<bool> {
    // SAFETY: the object is alive.
    let kind = unsafe { ffi::Py_TYPE(object) };
    Ok(kind == &raw mut ffi::PyTuple_Type || kind == key_class(py)?)
}

/// A key to look for, in borrowed objects.
#[derive(Clone, Copy)]
pub enum Query<'a> {
    Object(*mut PyObject),
    /// The items of a tuple.
    Items(&'a [*mut PyObject]),
}

impl<'a> Query<'a> {
    /// The query for a key as a mapping's user passed it.
    pub fn of(key: &'a Bound<'_, PyAny>) -> PyResult<Self> {
        // SAFETY: `Bound` is transparent over its pointer, which `Ref` is as well.
        Self::of_ref(unsafe { &*std::ptr::from_ref(key).cast::<Ref>() }, key.py())
    }

    /// The query for a key that is kept.
    pub fn of_ref(key: &'a Ref, py: Python<'_>) -> PyResult<Self> {
        if is_plain_tuple(key.as_ptr(), py)? {
            // SAFETY: it is a tuple, alive as long as the reference to it.
            let items = unsafe { object::tuple_items(key.as_ptr()) };
            return Ok(Query::Items(items));
        }
        Ok(Query::Object(key.as_ptr()))
    }

    /// Python's hash of the key, spread; `None` with an exception set where it has none.
    #[inline(always)]
    pub fn hash(&self) -> Option<u64> {
        // SAFETY: the objects of a query are alive.
        let hash = unsafe {
            match *self {
                Query::Object(object) => match object::hash(object) {
                    -1 => return None,
                    hash => hash,
                },
                Query::Items(items) => {
                    let mut state = TupleHash::new();
                    for &item in items {
                        match object::hash(item) {
                            -1 => return None,
                            hash => state = state.item(hash),
                        }
                    }
                    state.finish()
                }
            }
        };
        Some(object::spread(hash))
    }

    /// The key as a mapping's user sees it; a tuple equals and hashes as `hashkey`'s.
    pub fn object(&self, py: Python<'_>) -> PyResult<Ref> {
        match *self {
            // SAFETY: the objects of a query are alive.
            Query::Object(object) => Ok(unsafe { Ref::from_borrowed(object) }),
            Query::Items(items) => tuple_of(py, items),
        }
    }

    /// The key to keep: the arguments of a call, or the very object of a mapping's user.
    pub fn keep(&self, py: Python<'_>) -> PyResult<Key> {
        match *self {
            // SAFETY: the objects of a query are alive.
            Query::Object(object) => Ok(Key::Object(unsafe { Ref::from_borrowed(object) })),
            // SAFETY: as above.
            Query::Items(&[item]) => Ok(Key::One(unsafe { Ref::from_borrowed(item) })),
            Query::Items(items) => Ok(Key::Many(tuple_of(py, items)?)),
        }
    }
}

/// A tuple of borrowed objects.
pub fn tuple_of(py: Python<'_>, items: &[*mut PyObject]) -> PyResult<Ref> {
    // SAFETY: the caller's objects are alive; every place of the new tuple is filled.
    unsafe {
        let tuple = raw::owned(py, ffi::PyTuple_New(items.len() as ffi::Py_ssize_t))?;
        for (i, &item) in items.iter().enumerate() {
            ffi::PyTuple_SET_ITEM(tuple.as_ptr(), i as ffi::Py_ssize_t, ffi::Py_NewRef(item));
        }
        Ok(tuple)
    }
}

/// The tuple `(*items, mark, *pairs)`.
pub fn with_pairs(
    py: Python<'_>,
    items: &[*mut PyObject],
    mark: &Bound<'_, PyAny>,
    pairs: &[(Ref, Ref)],
) -> PyResult<Ref> {
    let pairs_start = items.len() + 1;
    // SAFETY: the caller's objects are alive; every place of the new tuple is filled, or null where
    // it is dropped half-made.
    unsafe {
        let tuple = raw::owned(py, ffi::PyTuple_New((pairs_start + pairs.len()) as ffi::Py_ssize_t))?;
        let put = |i: usize, item| ffi::PyTuple_SET_ITEM(tuple.as_ptr(), i as ffi::Py_ssize_t, item);
        for (i, &item) in items.iter().chain([&mark.as_ptr()]).enumerate() {
            put(i, ffi::Py_NewRef(item));
        }
        for (i, (name, value)) in pairs.iter().enumerate() {
            put(pairs_start + i, tuple_of(py, &[name.as_ptr(), value.as_ptr()])?.into_ptr());
        }
        Ok(tuple)
    }
}

impl Key {
    /// The query that asks for this key.
    pub fn query(&self, py: Python<'_>) -> PyResult<Query<'_>> {
        match self {
            Key::One(item) => {
                // SAFETY: `Ref` is a transparent non-null pointer.
                let item = unsafe { &*std::ptr::from_ref(item).cast::<*mut PyObject>() };
                Ok(Query::Items(std::slice::from_ref(item)))
            }
            Key::Object(object) | Key::Many(object) => Query::of_ref(object, py),
        }
    }

    /// The key as a mapping's user sees it; a tuple equals and hashes as `hashkey`'s.
    pub fn object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Key::Object(object) => Ok(object.bound(py).to_owned()),
            Key::One(item) => Ok(PyTuple::new(py, [item.bound(py)])?.into_any()),
            Key::Many(items) => Ok(items.bound(py).to_owned()),
        }
    }

    /// The objects of the key, for the garbage collector.
    pub fn parts(&self) -> [&Ref; 1] {
        match self {
            Key::Object(object) | Key::One(object) | Key::Many(object) => [object],
        }
    }

    /// Whether the key is the one that is asked for, as far as is known without Python.
    #[inline(always)]
    pub fn equality(&self, query: &Query<'_>) -> Equality {
        match (self, *query) {
            // SAFETY: the key and the query are alive.
            (Key::One(item), Query::Items(&[only])) => unsafe { object::equality(item.as_ptr(), only) },
            _ => self.equality_of_others(query),
        }
    }

    #[inline(never)]
    fn equality_of_others(&self, query: &Query<'_>) -> Equality {
        // SAFETY: the key and the query are alive.
        unsafe {
            match (self, *query) {
                (Key::Many(tuple), Query::Items(items)) => {
                    object::items_equality(object::tuple_items(tuple.as_ptr()), items)
                }
                (Key::Object(object), Query::Object(asked)) => object::equality(object.as_ptr(), asked),
                (Key::Object(object), Query::Items(items)) => object_equality(object.as_ptr(), items),
                // An object that is not a tuple may still say that it equals one.
                (Key::One(_) | Key::Many(_), Query::Object(_)) => Equality::Ask,
                (Key::One(_), Query::Items(_)) => Equality::Different,
            }
        }
    }

    /// Whether the key is the one that is asked for, by Python's own comparison.
    pub fn python_equal(&self, query: &Query<'_>, py: Python<'_>) -> PyResult<bool> {
        self.object(py)?.eq(query.keep(py)?.object(py)?)
    }
}

#[cold]
unsafe fn object_equality(object: *mut PyObject, asked: &[*mut PyObject]) -> Equality {
    // SAFETY: the caller's object is alive and the GIL is held.
    unsafe {
        match is_plain_tuple(object, Python::assume_attached()) {
            Ok(true) => object::items_equality(object::tuple_items(object), asked),
            _ => Equality::Ask,
        }
    }
}

/// The slot of the key that is asked for.
///
/// # Errors
/// What an `__eq__` raised; the store is as it was.
#[inline]
pub fn find(
    store: &GilCell<PyStore>,
    hash: u64,
    query: &Query<'_>,
    py: Python<'_>,
) -> PyResult<Option<Slot>> {
    let mut ask = false;
    // SAFETY: `Key::equality` runs no Python code.
    let kept = unsafe { store.get() };
    for slot in kept.candidates(hash) {
        match kept.key(slot).equality(query) {
            Equality::Same => return Ok(Some(slot)),
            Equality::Different => {}
            Equality::Ask => ask = true,
        }
    }
    if ask { find_slow(store, hash, query, py) } else { Ok(None) }
}

/// Compares candidates outside of the store; starts again whenever user code changed it.
#[cold]
#[inline(never)]
fn find_slow(
    store: &GilCell<PyStore>,
    hash: u64,
    query: &Query<'_>,
    py: Python<'_>,
) -> PyResult<Option<Slot>> {
    'again: loop {
        // SAFETY: nothing of Python runs while the candidates are noted.
        let (version, candidates) = unsafe {
            let store = store.get();
            let noted = store.candidates(hash).map(|slot| (slot, store.key(slot).clone()));
            (store.version(), noted.collect::<Vec<_>>())
        };
        for (slot, key) in &candidates {
            let equal = match key.equality(query) {
                Equality::Same => true,
                Equality::Different => false,
                Equality::Ask => key.python_equal(query, py)?,
            };
            // SAFETY: one read.
            if unsafe { store.get() }.version() != version {
                continue 'again;
            }
            if equal {
                return Ok(Some(*slot));
            }
        }
        return Ok(None);
    }
}

/// The error for an unhashable key, with Python's own as its cause.
pub fn unhashable(py: Python<'_>, what: &str, cause: PyErr) -> PyErr {
    if !cause.is_instance_of::<PyTypeError>(py) {
        return cause;
    }
    let error = PyTypeError::new_err(what.to_owned());
    error.set_cause(py, Some(cause));
    error
}
