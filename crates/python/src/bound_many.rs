//! `BoundManyFunction`: what can be asked of a function of several keys besides.

#![allow(unsafe_code)]

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::arguments::Arguments;
use crate::bound::BoundFunction;
use crate::many::Form;

// A decorated function of several keys and what it is bound to.  No doc comment: see `BoundFunction`.
#[pyclass(frozen, extends = BoundFunction, module = "aiocachetools")]
pub struct BoundManyFunction;

impl BoundManyFunction {
    pub fn new(bound: BoundFunction) -> PyClassInitializer<Self> {
        PyClassInitializer::from(bound).add_subclass(Self)
    }
}

#[pymethods]
impl BoundManyFunction {
    /// The value of one key; such calls of one round of the loop are loaded together.
    #[pyo3(signature = (*args, **kwargs))]
    fn one<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let bound = slf.as_super().get();
        let arguments = Arguments::from_objects(py, bound.owner(), args, kwargs)?;
        let body = bound.body();
        let Some(many) = &body.many else { return Ok(py.None().into_bound(py)) };
        let call = body.call_many(py, bound.function(), many, &arguments.as_call(), Form::One)?;
        // SAFETY: the coroutine is owned.
        Ok(unsafe { Bound::from_owned_ptr(py, call) })
    }

    /// Loads the values of many keys, a few batches at a time, that are not in the cache.  The other
    /// arguments are those of each call.
    #[pyo3(signature = (keys, /, *args, concurrency = None, on_progress = None, on_error = None, **kwargs), text_signature = "($self, keys, /, *args, concurrency=10, on_progress=None, on_error=None, **kwargs)")]
    fn cache_warm<'py>(
        slf: &Bound<'py, Self>,
        keys: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        concurrency: Option<&Bound<'py, PyAny>>,
        on_progress: Option<&Bound<'py, PyAny>>,
        on_error: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let warm = py.import("aiocachetools._warm")?.getattr("warm_many")?;
        let kwargs = kwargs.map_or_else(|| PyDict::new(py), Bound::clone);
        warm.call1((slf, keys, args, kwargs, concurrency, on_progress, on_error))
    }

    /// Removes the values of several keys, and keeps loads of them that are under way from being
    /// stored; how many there were.  Takes the keys where a call does.
    #[pyo3(signature = (*args, **kwargs))]
    fn cache_invalidate_many<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<usize> {
        let (py, bound) = (slf.py(), slf.as_super().get());
        let place = match (&bound.body().many, bound.owner()) {
            (Some(many), None) => many.parameter(),
            _ => 0,
        };
        let mut values: Vec<_> = args.iter().collect();
        let keys = args.get_item(place).map_err(|_| {
            let name = bound.body().name().bound(py);
            PyTypeError::new_err(format!("{name}.cache_invalidate_many(): takes an iterable of keys"))
        })?;
        let mut removed = 0;
        for key in keys.try_iter()? {
            values[place] = key?;
            removed += usize::from(bound.cache_invalidate(py, &PyTuple::new(py, &values)?, kwargs)?);
        }
        Ok(removed)
    }
}
