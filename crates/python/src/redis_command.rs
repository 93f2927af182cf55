//! Commands to Redis, of what Python passes.

use aiocachetools_redis::command;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PySequence, PyString, PyTuple};

/// Writes one command.
///
/// # Errors
/// TypeError for a part that is not bytes, str or int, OverflowError for an int beyond 64 bits,
/// ValueError for no parts.
pub fn write_command(out: &mut Vec<u8>, parts: &Bound<'_, PyAny>) -> PyResult<()> {
    // The number of parts is written first, and has to be true.
    let parts = match parts.cast::<PyTuple>() {
        Ok(parts) => parts.clone(),
        Err(_) => parts.cast::<PySequence>()?.to_tuple()?,
    };
    if parts.is_empty() {
        return Err(PyValueError::new_err("a command must have at least a name"));
    }
    command::begin(out, parts.len());
    parts.iter_borrowed().try_for_each(|part| write_part(out, &part))
}

fn write_part(out: &mut Vec<u8>, part: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(bytes) = part.cast::<PyBytes>() {
        command::part(out, bytes.as_bytes());
    } else if let Ok(text) = part.cast::<PyString>() {
        command::part(out, text.to_str()?.as_bytes());
    } else if let Ok(number) = part.cast::<PyInt>() {
        command::number(out, number.extract()?);
    } else {
        let kind = part.get_type().qualname()?;
        return Err(PyTypeError::new_err(format!(
            "a part of a command must be bytes, str or int, not {kind}"
        )));
    }
    Ok(())
}
