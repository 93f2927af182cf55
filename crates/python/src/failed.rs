//! `Failed`: a failed load that is remembered in the place of a value.
//!
//! 1. It is an entry that is never fresh: no mapping read sees it, and nobody is told of it.
//! 2. It holds the last good value as long as that may still be served; the two are one entry.
//!    Whoever is told that the entry leaves is told of that value.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::object::Ref;
use crate::removal::Departed;

/// A failed load.
#[pyclass(frozen, name = "_Failed", module = "aiocachetools._core")]
pub struct Failed {
    pub exception: Ref,
    /// Until when no other load is tried.
    pub until: f64,
    /// The last good value, and until when it was fresh.
    pub last: Option<(Ref, f64)>,
}

impl Failed {
    pub fn of<'a>(value: &'a Ref, py: Python<'a>) -> Option<&'a Self> {
        value.as_py().bind(py).cast_exact::<Self>().ok().map(Bound::get)
    }

    /// The entry as others see it that had a value and left; `None` for one without.
    pub fn seen(departed: Departed, py: Python<'_>) -> Option<Departed> {
        let Some(failed) = Self::of(&departed.value, py) else { return Some(departed) };
        let value = failed.last.as_ref()?.0.clone();
        Some(Departed { value, ..departed })
    }
}

#[pymethods]
impl Failed {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.exception.as_py())?;
        match &self.last {
            Some((value, _)) => visit.call(value.as_py()),
            None => Ok(()),
        }
    }
}
