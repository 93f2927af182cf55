//! Exceptions of the library's own.

use pyo3::create_exception;
use pyo3::exceptions::{PyRecursionError, PyTimeoutError};

create_exception!(
    aiocachetools,
    RecursiveLoadError,
    PyRecursionError,
    "A cached call would wait for itself.\n\nRaised at once instead of waiting for ever, when the load of a \
     key awaits, directly or through other cached functions, a call of the same key."
);

create_exception!(
    aiocachetools,
    LoadTimeout,
    PyTimeoutError,
    "A load took longer than its function's `timeout`, and was cancelled."
);
