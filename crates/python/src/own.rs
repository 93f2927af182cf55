//! What one entry has of its own: a time to live, a weight, and for how long it is kept.

use aiocachetools_core::tags::Stamp;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::timer;

/// How an entry differs from what its cache would make of it.
#[derive(Clone, Copy)]
pub struct Own<'a> {
    /// For how many seconds from now the value is fresh.
    pub ttl: Option<f64>,
    /// How many seconds are added to that, or to what the cache makes of it.
    pub jitter: f64,
    /// For how many seconds it is kept after that, unseen by mapping reads.
    pub keep: f64,
    pub weight: Option<f64>,
    /// It is a [`Failed`](crate::failed::Failed) load: never fresh, and kept from now on.
    pub failed: bool,
    pub tags: Option<&'a Stamp>,
}

impl Own<'_> {
    pub const NOTHING: Self =
        Self { ttl: None, jitter: 0.0, keep: 0.0, weight: None, failed: false, tags: None };

    /// Out of the arguments of `set`.
    ///
    /// # Errors
    /// TypeError and ValueError for what is no time or no weight.
    pub fn of(
        class: &Bound<'_, PyType>,
        ttl: Option<&Bound<'_, PyAny>>,
        weight: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let ttl = ttl.map(|ttl| {
            let wanted = "ttl must be a number of seconds from 0, or a timedelta";
            number(class, ttl, wanted, timer::span, |seconds| seconds >= 0.0)
        });
        let weight = weight.map(|weight| {
            let wanted = "weight must be a finite number from 0";
            number(
                class,
                weight,
                wanted,
                |weight| weight.extract(),
                |weight| (0.0..f64::INFINITY).contains(&weight),
            )
        });
        let (ttl, weight) = (ttl.transpose()?, weight.transpose()?);
        Ok(Self { ttl, weight, ..Self::NOTHING })
    }

    pub fn is_nothing(&self) -> bool {
        self.ttl.is_none() && self.weight.is_none()
    }

    /// Whether the cache has to be told of anything but the value.
    pub fn differs(&self) -> bool {
        !self.is_nothing() || self.has_times() || self.jitter > 0.0 || self.tags.is_some()
    }

    /// Whether the entry needs a cache that has a timer.
    pub fn has_times(&self) -> bool {
        self.ttl.is_some() || self.keep > 0.0
    }
}

fn number<'py>(
    class: &Bound<'py, PyType>,
    object: &Bound<'py, PyAny>,
    wanted: &str,
    read: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<f64>,
    fits: impl FnOnce(f64) -> bool,
) -> PyResult<f64> {
    let text = format!("{}.set(): {wanted}, not {}", class.name()?, object.repr()?);
    match read(object) {
        Ok(number) if fits(number) => Ok(number),
        Ok(_) => Err(PyValueError::new_err(text)),
        Err(_) => Err(PyTypeError::new_err(text)),
    }
}
