//! What `collections.abc` gives to mappings.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

static MAPPING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// `collections.abc.Mapping`.
pub fn mapping(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    MAPPING
        .get_or_try_init(py, || Ok(py.import("collections.abc")?.getattr("Mapping")?.unbind()))
        .map(|class| class.bind(py))
}

/// A view of a mapping: `KeysView`, `ValuesView` or `ItemsView`.
pub fn view<'py>(cache: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    cache.py().import("collections.abc")?.call_method1(name, (cache,))
}

/// Makes a class and its subclasses count as mutable mappings.
pub fn register(class: &Bound<'_, PyType>) -> PyResult<()> {
    let abc = class.py().import("collections.abc")?;
    abc.getattr("MutableMapping")?.call_method1("register", (class,)).map(drop)
}
