//! `cache.stats`: what a cache counted.

use aiocachetools_core::stats::Stats;
use pyo3::prelude::*;

use crate::cache::Cache;

/// The attribute of the classes; no property, so that an instance may have its own of this name,
/// as subclasses that were written for cachetools do.
#[pyclass(frozen, name = "_StatsAttribute", module = "aiocachetools._core")]
pub struct StatsAttribute;

#[pymethods]
impl StatsAttribute {
    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        cache: Option<&Bound<'py, Cache>>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match cache {
            Some(cache) => show(slf.py(), cache.get().counted()),
            None => Ok(slf.as_any().clone()),
        }
    }
}

fn show(py: Python<'_>, stats: Stats) -> PyResult<Bound<'_, PyAny>> {
    py.import("aiocachetools._info")?.getattr("Stats")?.call1((
        stats.hits,
        stats.misses,
        stats.insertions,
        stats.replacements,
        stats.evictions,
        stats.expirations,
        stats.removals,
    ))
}

/// Gives the attribute to a class.
pub fn install(class: &Bound<'_, PyAny>) -> PyResult<()> {
    class.setattr("stats", StatsAttribute)
}
