//! The one form of a stored result that is read without running Python, but for its decoder.

use std::time::Instant;

use aiocachetools_redis::{Frame, envelope};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};

use crate::object::Ref;

/// How the results of one function are stored where nothing is special about them.
#[pyclass(frozen, module = "aiocachetools._core")]
pub struct PlainFormat {
    beginning: Vec<u8>,
    decode: Ref,
    max_bytes: usize,
    longest: f64,
}

#[pymethods]
impl PlainFormat {
    #[new]
    fn new(beginning: Vec<u8>, decode: &Bound<'_, PyAny>, max_bytes: usize, longest: f64) -> Self {
        Self { beginning, decode: decode.into(), max_bytes, longest }
    }

    /// The `stale_ms` of an entry and its value; `None` for what is not plain, or cannot be decoded.
    fn read<'py>(&self, py: Python<'py>, data: &[u8]) -> Option<(u32, Bound<'py, PyAny>)> {
        let stored = envelope::plain(data, &self.beginning, self.max_bytes)?;
        let value = self.decode.bound(py).call1((PyBytes::new(py, stored.payload),)).ok()?;
        Some((stored.stale_ms, value))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.decode.as_py())
    }
}

impl PlainFormat {
    /// A value and the seconds that it is good for; `None` for what the reader has to judge.
    pub fn answer<'py>(
        &self,
        py: Python<'py>,
        frames: &[Frame],
        asked: Instant,
    ) -> Option<(Bound<'py, PyAny>, f64)> {
        let [Frame::BulkString(Some(data)), Frame::Integer(milliseconds)] = frames else { return None };
        let (stale_ms, value) = self.read(py, data)?;
        let left = *milliseconds as f64 / 1000.0;
        let left = if (0.0..self.longest).contains(&left) { left } else { self.longest };
        let seconds = left - asked.elapsed().as_secs_f64() - f64::from(stale_ms) / 1000.0;
        (stale_ms == 0 || seconds > 0.0).then_some((value, seconds))
    }
}
