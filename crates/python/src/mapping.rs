//! Every method of a cache, once for all classes.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyGenericAlias, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::cache::{Cache, Parts, absent, ask, give};
use crate::hooks::Hooks;
use crate::iter::KeyIter;
use crate::key::Key;
use crate::kind::Kind;
use crate::object::Ref;
use crate::own::Own;
use crate::{abc, classes, fence};

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

#[pymethods]
impl Cache {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(maxsize, getsizeof=None, *, timer=None, removal_listener=None)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::unconfigured(Kind::Plain)
    }

    #[pyo3(signature = (maxsize, getsizeof=None, *, timer=None, removal_listener=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        maxsize: &Bound<'_, PyAny>,
        getsizeof: Option<&Bound<'_, PyAny>>,
        timer: Option<&Bound<'_, PyAny>>,
        removal_listener: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let parts = Parts { timer: timer.map(classes::timer_of).transpose()?, ..Parts::default() };
        classes::init(slf, maxsize, getsizeof, removal_listener, parts)
    }

    #[inline]
    pub fn __getitem__<'py>(slf: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
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
        this.fence_stored(py, hash, &query)?;
        this.assign(py, hash, &query, || Key::Object(Ref::from(key)), Ref::from(value))
    }

    #[inline]
    pub fn __delitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let (hash, query) = ask(key)?;
        this.fence(py, hash, &query)?;
        if this.take(py, hash, &query, this.cause())? { Ok(()) } else { Err(absent(key)) }
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
        let this = slf.get();
        let frozen = this.settle(slf.py())?;
        let now = frozen.as_ref().map_or(f64::NEG_INFINITY, |frozen| frozen.time.seconds);
        Ok(this.count_fresh(now))
    }

    fn __iter__(slf: &Bound<'_, Self>) -> KeyIter {
        KeyIter::of(slf)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        crate::repr::of(slf)
    }

    fn __eq__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
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
        if this.flags().hooks.has(Hooks::READ) {
            let _frozen = this.freeze(py)?;
            return if slf.contains(key)? { slf.as_any().get_item(key).map(Some) } else { Ok(default) };
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
        let value = if this.flags().hooks.has(Hooks::READ.and(Hooks::DELITEM)) {
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
        if this.flags().hooks.has(Hooks::READ.and(Hooks::SETITEM)) {
            if slf.contains(key)? {
                return slf.as_any().get_item(key);
            }
            slf.as_any().set_item(key, &default)?;
            return Ok(default);
        }
        if let Some(value) = this.lookup(py, hash, &query)? {
            return Ok(give(py, value));
        }
        this.assign(py, hash, &query, || Key::Object(Ref::from(key)), Ref::from(&default))?;
        Ok(default)
    }

    /// Stores a value with a time to live or a weight of its own.
    #[pyo3(name = "set", signature = (key, value, *, ttl=None, weight=None))]
    fn store_own(
        slf: &Bound<'_, Self>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        ttl: Option<&Bound<'_, PyAny>>,
        weight: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let own = Own::of(&slf.get_type(), ttl, weight)?;
        if own.is_nothing() {
            return slf.as_any().set_item(key, value);
        }
        let (hash, query) = ask(key)?;
        this.fence_stored(py, hash, &query)?;
        this.assign_own(py, hash, &query, Key::Object(Ref::from(key)), Ref::from(value), own)
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

    /// Removes everything.  A listener is told of what had expired as such; without one, the timer
    /// is not read, as in cachetools.
    fn clear(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        fence::all(slf.as_ptr());
        if let (true, Some(timer)) = (this.flags().listened, this.timer(py)) {
            drop(this.expire_before(py, timer.get().now(py)?.seconds));
        }
        this.empty(py);
        Ok(())
    }

    fn __copy__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        crate::snapshot::copy(slf)
    }

    fn __deepcopy__<'py>(slf: &Bound<'py, Self>, memo: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
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

    /// What is called with key, value and cause of every entry that leaves, or `None`.
    #[getter]
    fn removal_listener<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.part(|parts| parts.listener.clone()).map(|listener| give(py, listener))
    }

    #[setter]
    fn set_removal_listener(slf: &Bound<'_, Self>, listener: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        slf.get().listen(crate::listener::check(slf.as_any(), listener)?);
        Ok(())
    }

    /// The size of a value: one, unless it is given or overridden.
    #[staticmethod]
    fn getsizeof(#[allow(unused_variables)] value: &Bound<'_, PyAny>) -> i32 {
        1
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Before 3.12 the collector can run between an object's allocation and its initialization.
        if self.is_blank() {
            return Ok(());
        }
        let entry = |key: &Key, value: &Ref| {
            let (Key::Object(key) | Key::One(key) | Key::Many(key)) = key;
            visit.call(key.as_py())?;
            visit.call(value.as_py())
        };
        self.within(|store| store.iter().try_for_each(|(key, value)| entry(key, value)))?;
        self.waiting(|waiting| {
            waiting.iter().try_for_each(|departed| match &departed.key {
                Some(key) => entry(key, &departed.value),
                None => Ok(()),
            })
        })?;
        self.part(|parts| {
            visit.call(&parts.timer)?;
            visit.call(parts.ttl.as_ref().map(|ttl| ttl.object.as_py()))?;
            for part in [&parts.maxsize, &parts.ttu, &parts.choice, &parts.listener] {
                visit.call(part.as_ref().map(Ref::as_py))?;
            }
            Ok(())
        })
    }

    fn __clear__(&self) {
        drop(self.within(aiocachetools_core::store::Store::clear));
        self.drop_parts();
    }
}
