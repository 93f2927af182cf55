//! `BoundFunction`: a decorated function and what it is bound to, with all that can be asked of
//! its cache.

#![allow(unsafe_code)]

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::basic::CompareOp;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::arguments::Arguments;
use crate::cache::Cache;
use crate::call::{Buffer, Call};
use crate::counts::Counts;
use crate::event::{self, Event};
use crate::function::{Body, Function, Target, Where};
use crate::key::Query;
use crate::object::Ref;
use crate::site::Site;
use crate::{counts, fence};

// A decorated function bound to an instance or a class.  No doc comment: it would hide `__doc__`.
#[pyclass(frozen, subclass, module = "aiocachetools", weakref)]
pub struct BoundFunction {
    function: Ref,
    owner: Option<Ref>,
}

impl BoundFunction {
    pub fn new(function: Ref, owner: Option<Ref>) -> Self {
        Self { function, owner }
    }

    pub fn function(&self) -> &Ref {
        &self.function
    }

    pub fn owner(&self) -> Option<&Ref> {
        self.owner.as_ref()
    }

    pub fn body(&self) -> &Body {
        Function::of(&self.function)
    }

    /// The cache of the object that the function is bound to; of `args[0]` where that decides.
    fn locate(&self, py: Python<'_>, args: Option<&Bound<'_, PyTuple>>) -> PyResult<Where<'_>> {
        let body = self.body();
        let owner = match (&self.owner, args) {
            (Some(owner), _) => Some(owner.clone()),
            (None, Some(args)) if !args.is_empty() => Some(args.get_item(0)?.into()),
            (None, _) if matches!(body.target, Target::Resolved(_)) => {
                let name = body.name().bound(py);
                return Err(PyTypeError::new_err(format!(
                    "{name}: its cache depends on the instance; ask a bound method, or pass the instance"
                )));
            }
            _ => None,
        };
        body.locate(py, owner.as_ref().map(Ref::as_ptr))
    }

    /// Runs `action` with the site, hash and key of a call; `None` when caching is off.
    fn with_key<R>(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
        action: impl FnOnce(&Site, u64, &Query<'_>, &Call<'_>) -> PyResult<R>,
    ) -> PyResult<Option<R>> {
        let arguments = Arguments::from_objects(py, self.owner.as_ref(), args, kwargs)?;
        let call = arguments.as_call();
        let body = self.body();
        let place = body.locate(py, body.owner(&call))?;
        let Some(site) = place.site() else { return Ok(None) };
        let mut buffer = Buffer::new();
        let Some(query) = body.ask(py, &call, site.shelf.mark.as_ref(), &mut buffer)? else {
            return Err(body.misfit(py, &call));
        };
        let hash = body.hash(py, &query, &call)?;
        action(site, hash, &query, &call).map(Some)
    }
}

/// `maxsize` and `currsize` of a function's cache; a function without one has room for nothing.
fn sizes<'py>(py: Python<'py>, place: &Where<'_>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    match place.site() {
        Some(site) => site.sizes(py),
        None => Ok((PyInt::new(py, 0).into_any(), PyInt::new(py, 0).into_any())),
    }
}

#[pymethods]
impl BoundFunction {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let arguments = Arguments::from_objects(py, self.owner.as_ref(), args, kwargs)?;
        Ok(arguments.call(py, &self.function)?.bound(py).to_owned())
    }

    #[getter]
    fn __func__<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.function.bound(py).to_owned()
    }

    #[getter]
    fn __self__<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.owner.as_ref().map(|owner| owner.bound(py).to_owned())
    }

    /// The undecorated function, as a bound method of Python's would have it.
    #[getter]
    fn __wrapped__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.function.bound(py).getattr("__wrapped__")
    }

    /// The function's signature without its first parameter.
    #[getter]
    fn __signature__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let function = self.body().function().bound(py);
        let signature = py.import("inspect")?.getattr("signature")?;
        match &self.owner {
            Some(owner) => {
                let method = py.import("types")?.getattr("MethodType")?.call1((function, owner.bound(py)))?;
                signature.call1((method,))
            }
            None => signature.call1((function,)),
        }
    }

    #[getter]
    fn __doc__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.function.bound(py).getattr("__doc__")
    }

    #[getter]
    fn __module__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.function.bound(py).getattr("__module__")
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.function.bound(py).getattr(name)
    }

    /// Bound already, as a bound method of Python's is.
    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        _instance: &Bound<'py, PyAny>,
        _owner: &Bound<'py, PyAny>,
    ) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __richcmp__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let Ok(other) = other.cast::<BoundFunction>() else { return Ok(py.NotImplemented()) };
        let (a, b) = (slf.get(), other.get());
        let address =
            |owner: &Option<Ref>| owner.as_ref().map_or(std::ptr::null_mut::<PyObject>(), Ref::as_ptr);
        let equal = a.function.is(b.function.as_ptr()) && address(&a.owner) == address(&b.owner);
        match op {
            CompareOp::Eq => Ok(equal.into_pyobject(py)?.to_owned().into_any().unbind()),
            CompareOp::Ne => Ok((!equal).into_pyobject(py)?.to_owned().into_any().unbind()),
            _ => Ok(py.NotImplemented()),
        }
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.function.as_ptr().hash(&mut hasher);
        self.owner.as_ref().map(Ref::as_ptr).hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = self.body().name().bound(py);
        match &self.owner {
            Some(owner) => Ok(format!("<bound cached method {name} of {}>", owner.bound(py).repr()?)),
            None => Ok(format!("<cached {name}>")),
        }
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let getattr = py.import("builtins")?.getattr("getattr")?;
        let name = self.body().function().bound(py).getattr("__name__")?;
        let owner = self.__self__(py);
        Ok((getattr, (owner, name).into_pyobject(py)?.into_any()))
    }

    /// The cache; of a `cachedmethod` that is not bound, the function that resolves it.
    #[getter]
    fn cache<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let (Target::Resolved(resolver), None) = (&self.body().target, &self.owner) {
            return Ok(resolver.resolve.bound(py).to_owned());
        }
        let place = self.locate(py, None)?;
        Ok(place.site().map_or_else(|| py.None().into_bound(py), |site| site.cache.bound(py).to_owned()))
    }

    /// The lock that is held around each access to the cache.
    #[getter]
    fn cache_lock<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let lock = match (&self.body().target, &self.owner) {
            (Target::Resolved(resolver), None) => resolver.lock.clone(),
            _ => self.locate(py, None)?.site().and_then(|site| site.lock.clone()),
        };
        Ok(lock.map(|lock| lock.bound(py).to_owned()))
    }

    #[getter]
    fn cache_condition<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let condition = self.body().condition.as_ref().map(|condition| condition.bound(py).to_owned());
        match (condition, &self.body().target, &self.owner) {
            (Some(condition), Target::Resolved(_), Some(owner)) => {
                condition.call1((owner.bound(py),)).map(Some)
            }
            (condition, ..) => Ok(condition),
        }
    }

    /// The options that the function was decorated with.
    fn cache_parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.body().parameters.bound(py).call_method0("copy")
    }

    /// The key of a call with these arguments.
    #[pyo3(signature = (*args, **kwargs))]
    fn cache_key<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let arguments = Arguments::from_objects(py, self.owner.as_ref(), args, kwargs)?;
        self.body().key_object(py, &arguments.as_call())
    }

    /// Whether a call with these arguments would be a hit; touches nothing.
    #[pyo3(signature = (*args, **kwargs))]
    fn cache_contains(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<bool> {
        let contains =
            self.with_key(py, args, kwargs, |site, hash, query, _| site.contains(py, hash, query))?;
        Ok(contains.unwrap_or(false))
    }

    /// Removes the value of a call with these arguments, and keeps a load of it that is under way
    /// from being stored; whether there was a value.
    #[pyo3(signature = (*args, **kwargs))]
    pub fn cache_invalidate(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<bool> {
        let removed = self.with_key(py, args, kwargs, |site, hash, query, _| {
            fence::key(py, site.cache.as_ptr(), hash, query)?;
            event::tell(py, Event::Invalidate, &self.function, &query.keep(py)?);
            site.discard(py, hash, query)
        })?;
        Ok(removed.unwrap_or(false))
    }

    /// Loads the value of a call with these arguments anew, whatever there is, and returns it; joins
    /// a load that is under way.  The old value is there until then.
    #[pyo3(signature = (*args, **kwargs))]
    fn cache_refresh<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let arguments = Arguments::from_objects(py, self.owner.as_ref(), args, kwargs)?;
        let body = self.body();
        body.check_direct(py, "cache_refresh")?;
        let coroutine = body.refresh(py, &self.function, &arguments.as_call())?;
        // SAFETY: the coroutine is owned.
        Ok(unsafe { Bound::from_owned_ptr(py, coroutine) })
    }

    /// Stores a value for a call with these arguments, in place of what a load of it that is under
    /// way comes to; whether it was stored.
    #[pyo3(signature = (value, /, *args, **kwargs))]
    fn cache_set(
        &self,
        py: Python<'_>,
        value: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<bool> {
        let body = self.body();
        body.check_direct(py, "cache_set")?;
        let stored = self.with_key(py, args, kwargs, |site, hash, query, call| {
            let (key, value) = (query.keep(py)?, Ref::from(value));
            let tags = body.tags_of_load(py, site, || Arguments::of(call))?;
            fence::key(py, site.cache.as_ptr(), hash, query)?;
            let stored = match &body.freshness {
                Some(freshness) => {
                    freshness.accepts(py, &value)?
                        && freshness.store(py, site, hash, &key, &value, body, &tags, None)?
                }
                None => site.store(py, hash, &key, &value)?,
            };
            if stored {
                event::tell(py, Event::Store(None), &self.function, &key);
            }
            Ok(stored)
        })?;
        Ok(stored.unwrap_or(false))
    }

    /// Loads the values of many calls, a few at a time, that are not in the cache.
    #[pyo3(signature = (calls, /, *, concurrency = None, on_progress = None, on_error = None), text_signature = "($self, calls, /, *, concurrency=10, on_progress=None, on_error=None)")]
    fn cache_warm<'py>(
        slf: &Bound<'py, Self>,
        calls: &Bound<'py, PyAny>,
        concurrency: Option<&Bound<'py, PyAny>>,
        on_progress: Option<&Bound<'py, PyAny>>,
        on_error: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let warm = slf.py().import("aiocachetools._warm")?.getattr("warm")?;
        warm.call1((slf, calls, concurrency, on_progress, on_error))
    }

    /// Empties the cache, keeps all its loads that are under way from being stored, and resets
    /// the counters.
    #[pyo3(signature = (*args))]
    fn cache_clear(&self, py: Python<'_>, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        let place = self.locate(py, Some(args))?;
        if let Some(site) = place.site() {
            fence::all(site.cache.as_ptr());
            site.clear(py)?;
        }
        counts::reset(place.counter());
        Ok(())
    }

    /// Hits, misses, maxsize and currsize of the function's use of its cache.
    #[pyo3(signature = (*args))]
    fn cache_info<'py>(&self, py: Python<'py>, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let place = self.locate(py, Some(args))?;
        let (maxsize, currsize) = sizes(py, &place)?;
        let Counts { hits, misses, .. } = counts::read(place.counter());
        py.import("aiocachetools")?.getattr("CacheInfo")?.call1((hits, misses, maxsize, currsize))
    }

    /// What `cache_info` tells, and more of the loads and of what left the cache.
    #[pyo3(signature = (*args))]
    fn cache_stats<'py>(&self, py: Python<'py>, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let place = self.locate(py, Some(args))?;
        let (maxsize, currsize) = sizes(py, &place)?;
        let cache = place.site().and_then(|site| site.cache.bound(py).cast::<Cache>().ok());
        let counted = cache.map(|cache| cache.get().counted());
        let (evictions, expirations) = counted.map(|stats| (stats.evictions, stats.expirations)).unzip();
        let counts = counts::read(place.counter());
        let class = py.import("aiocachetools")?.getattr("CacheStats")?;
        class.call1((
            counts.hits,
            counts.misses,
            maxsize,
            currsize,
            counts.joins,
            counts.loads,
            counts.load_errors,
            counts.load_time.as_secs_f64(),
            evictions,
            expirations,
            counts.stale_served,
            counts.refreshes,
        ))
    }

    /// Takes no calls from now on; cancels the loads that are under way, or waits for them.
    #[pyo3(signature = (wait = false))]
    fn cache_close<'py>(&self, py: Python<'py>, wait: bool) -> PyResult<Bound<'py, PyAny>> {
        self.body().close(&self.function);
        let tasks = crate::flight::tasks_of(py, &self.function)?;
        let tasks = tasks.iter().map(|task| task.bound(py)).collect::<Vec<_>>();
        py.import("aiocachetools._close")?.getattr("close")?.call1((tasks, wait))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for part in [Some(&self.function), self.owner.as_ref()].into_iter().flatten() {
            visit.call(part.as_py())?;
        }
        Ok(())
    }
}
