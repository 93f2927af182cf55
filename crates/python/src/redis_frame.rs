//! What Redis has answered, as Python objects.

use aiocachetools_redis::Frame;
use aiocachetools_redis::handshake::error_of;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyList};

/// A value, or the exception that stands for an answer that is an error.
type Answer<'py> = Result<Bound<'py, PyAny>, Bound<'py, PyAny>>;

/// The answer to one command.
pub fn answer<'py>(py: Python<'py>, mut frames: Vec<Frame>, make: &Py<PyAny>) -> PyResult<Answer<'py>> {
    let frame = frames.pop().unwrap_or(Frame::Null);
    match error_of(&frame) {
        Some(text) => Ok(Err(reply_error(py, &text, make)?)),
        None => value(py, frame, make).map(Ok),
    }
}

/// The answers to several commands, or the first error among them.
pub fn answers<'py>(py: Python<'py>, frames: Vec<Frame>, make: &Py<PyAny>) -> PyResult<Answer<'py>> {
    match frames.iter().find_map(error_of) {
        Some(text) => Ok(Err(reply_error(py, &text, make)?)),
        None => list(py, frames, make).map(Ok),
    }
}

/// An error that the server has answered with.
pub fn reply_error<'py>(py: Python<'py>, text: &str, make: &Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
    make.bind(py).call1((text,))
}

fn list<'py>(py: Python<'py>, frames: Vec<Frame>, make: &Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let items: Vec<_> = frames.into_iter().map(|frame| value(py, frame, make)).collect::<PyResult<_>>()?;
    Ok(PyList::new(py, items)?.into_any())
}

fn value<'py>(py: Python<'py>, frame: Frame, make: &Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match frame {
        Frame::BulkString(Some(bytes)) | Frame::SimpleString(bytes) | Frame::BigNumber(bytes) => {
            PyBytes::new(py, &bytes).into_any()
        }
        Frame::Integer(number) => number.into_pyobject(py)?.into_any(),
        Frame::Double(number) => PyFloat::new(py, number).into_any(),
        Frame::Boolean(truth) => PyBool::new(py, truth).to_owned().into_any(),
        Frame::Array(Some(items)) | Frame::Set(items) | Frame::Push(items) => list(py, items, make)?,
        // As in RESP 2, whose keys need no hash.
        Frame::Map(pairs) => list(py, pairs.into_iter().flat_map(|(key, item)| [key, item]).collect(), make)?,
        Frame::Error(text) | Frame::BlobError(text) => {
            reply_error(py, &String::from_utf8_lossy(&text), make)?
        }
        // Such as no command of the tier's is answered with.
        _ => py.None().into_bound(py),
    })
}
