//! The time as a cache sees it: read from a clock or a user's function, and frozen on demand.
//!
//! 1. Times are compared as seconds; the user's own functions get the timer's own objects.
//! 2. Numbers are seconds as they are.  Of other times (datetimes, integers too large for a
//!    float) the first one read is the base, and all are seconds since then.
//! 3. A time that is not a number is an error.

#![allow(unsafe_code)]

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFloat, PyInt};

use crate::clock;
use crate::object::{GilCell, Ref};

/// `time.monotonic`, which a cache reads without calling it.
static MONOTONIC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// `time.monotonic` as it was when it was first asked for.
pub fn monotonic(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    MONOTONIC
        .get_or_try_init(py, || Ok(py.import("time")?.getattr("monotonic")?.unbind()))
        .map(|function| function.bind(py))
}

/// The greatest integer up to which a float holds every one.
const EXACT: f64 = (1_u64 << 53) as f64;

/// A reading of a timer.
#[derive(Clone)]
pub struct Moment {
    pub seconds: f64,
    /// What the timer returned; absent when the clock was read without one.
    object: Option<Ref>,
}

impl Moment {
    /// The time as the timer's users see it.
    pub fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match &self.object {
            Some(object) => object.bound(py).to_owned(),
            None => PyFloat::new(py, self.seconds).into_any(),
        }
    }
}

/// What the seconds of a timer count from.
enum Base {
    Unknown,
    Zero,
    First(Ref),
}

struct State {
    nesting: usize,
    frozen: Option<Moment>,
    base: Base,
}

/// The timer of a cache: calls the timer it was made of, except that time stands still inside
/// `with cache.timer`.
#[pyclass(frozen, name = "_Timer", module = "aiocachetools._core")]
pub struct Timer {
    function: Py<PyAny>,
    /// Whether the clock can be read instead of calling the function.
    native: bool,
    state: GilCell<State>,
}

impl Timer {
    pub fn of(function: &Bound<'_, PyAny>) -> PyResult<Self> {
        let native = clock::NATIVE && function.is(monotonic(function.py())?);
        let base = if native { Base::Zero } else { Base::Unknown };
        let state = State { nesting: 0, frozen: None, base };
        Ok(Timer { function: function.clone().unbind(), native, state: GilCell::new(state) })
    }

    /// Reads or changes the state; `act` runs no Python code.
    #[inline]
    fn within<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // SAFETY: every caller keeps to the rule.
        unsafe { act(self.state.get()) }
    }

    /// Whether the clock is read directly and time does not stand still: no Python is involved.
    #[inline]
    pub fn is_clock(&self) -> bool {
        self.native && self.within(|state| state.nesting == 0)
    }

    /// The time.
    pub fn now(&self, py: Python<'_>) -> PyResult<Moment> {
        if let Some(frozen) = self.within(|state| state.frozen.clone()) {
            return Ok(frozen);
        }
        if self.native {
            return Ok(Moment { seconds: clock::precise(), object: None });
        }
        self.moment(self.function.bind(py).call0()?)
    }

    /// A time that the user gave.
    pub fn moment(&self, time: Bound<'_, PyAny>) -> PyResult<Moment> {
        let seconds = self.seconds(&time)?;
        Ok(Moment { seconds, object: Some(time.into()) })
    }

    /// `time` in seconds.
    pub fn seconds(&self, time: &Bound<'_, PyAny>) -> PyResult<f64> {
        let base = self.within(|state| match &state.base {
            Base::First(base) => Some(Some(base.clone())),
            Base::Zero => Some(None),
            Base::Unknown => None,
        });
        let seconds = match base {
            Some(Some(base)) => span(&time.sub(base.bound(time.py()))?)?,
            Some(None) => span(time)?,
            None => self.first(time)?,
        };
        number(seconds)
    }

    /// The seconds of the first reading, which says what is counted from.
    fn first(&self, time: &Bound<'_, PyAny>) -> PyResult<f64> {
        let exact = |&seconds: &f64| seconds.abs() <= EXACT || time.is_instance_of::<PyFloat>();
        let plain = plain(time).filter(exact);
        let base = match plain {
            Some(_) => Base::Zero,
            None => Base::First(Ref::from(time)),
        };
        let old = self.within(|state| std::mem::replace(&mut state.base, base));
        drop(old);
        Ok(plain.unwrap_or(0.0))
    }

    /// `time + span`, in seconds.
    pub fn after(&self, py: Python<'_>, time: &Moment, ttl: &Ttl) -> PyResult<f64> {
        let counts_from_zero = self.within(|state| matches!(state.base, Base::Zero));
        if let Some(seconds) = ttl.seconds.filter(|_| counts_from_zero) {
            return number(time.seconds + seconds);
        }
        self.seconds(&time.object(py).add(ttl.object.bound(py))?)
    }

    /// Stops the time until the guard is dropped.
    pub fn freeze<'py>(slf: &Bound<'py, Self>) -> PyResult<Frozen<'py>> {
        let time = slf.get().enter(slf.py())?;
        Ok(Frozen { timer: slf.clone(), time })
    }

    fn enter(&self, py: Python<'_>) -> PyResult<Moment> {
        let mut time = Some(self.now(py)?);
        let frozen = self.within(|state| {
            state.nesting += 1;
            if state.frozen.is_none() {
                state.frozen = time.take();
            }
            state.frozen.clone()
        });
        Ok(frozen.expect("the time has just been frozen"))
    }

    fn leave(&self) {
        let thawed = self.within(|state| {
            state.nesting = state.nesting.saturating_sub(1);
            if state.nesting == 0 { state.frozen.take() } else { None }
        });
        drop(thawed);
    }

    /// A timer of the same function and base, whose time does not stand still.
    pub fn copy(&self, py: Python<'_>) -> Self {
        let base = self.within(|state| match &state.base {
            Base::Unknown => Base::Unknown,
            Base::Zero => Base::Zero,
            Base::First(base) => Base::First(base.clone()),
        });
        let state = State { nesting: 0, frozen: None, base };
        Timer { function: self.function.clone_ref(py), native: self.native, state: GilCell::new(state) }
    }

    /// The time that seconds count from, if it is not zero.
    pub fn base(&self) -> Option<Ref> {
        self.within(|state| match &state.base {
            Base::First(base) => Some(base.clone()),
            _ => None,
        })
    }

    /// Counts from this time on; only before the first reading.
    pub fn set_base(&self, base: Ref) {
        let old = self.within(|state| std::mem::replace(&mut state.base, Base::First(base)));
        drop(old);
    }

    pub fn function(&self) -> &Py<PyAny> {
        &self.function
    }
}

#[pymethods]
impl Timer {
    #[new]
    fn new(timer: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::of(timer)
    }

    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.now(py)?.object(py))
    }

    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.enter(py)?.object(py))
    }

    #[pyo3(signature = (*_exc))]
    fn __exit__(&self, _exc: &Bound<'_, PyAny>) {
        self.leave();
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.function.bind(py).getattr(name.cast()?)
    }

    fn __copy__(&self, py: Python<'_>) -> Self {
        self.copy(py)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (Py<PyAny>,)) {
        (slf.get_type().into_any(), (slf.get().function.clone_ref(slf.py()),))
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.function)?;
        self.within(|state| {
            if let Base::First(base) = &state.base {
                visit.call(base.as_py())?;
            }
            visit.call(state.frozen.as_ref().and_then(|time| time.object.as_ref()).map(Ref::as_py))
        })
    }
}

/// Keeps a timer's time from passing.
pub struct Frozen<'py> {
    timer: Bound<'py, Timer>,
    pub time: Moment,
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.timer.get().leave();
    }
}

/// A time-to-live as the user gave it, and in seconds where it is a number.
#[derive(Clone)]
pub struct Ttl {
    pub object: Ref,
    pub seconds: Option<f64>,
}

impl Ttl {
    pub fn of(ttl: &Bound<'_, PyAny>) -> PyResult<Self> {
        let seconds = plain(ttl).map(number).transpose()?;
        Ok(Ttl { object: Ref::from(ttl), seconds })
    }
}

fn number(seconds: f64) -> PyResult<f64> {
    if seconds.is_nan() {
        return Err(PyValueError::new_err("a time must be a number"));
    }
    Ok(seconds)
}

/// The value of an `int` or a `float`.
fn plain(number: &Bound<'_, PyAny>) -> Option<f64> {
    if number.is_instance_of::<PyFloat>() || number.is_instance_of::<PyInt>() {
        return number.extract().ok();
    }
    None
}

/// A difference of times in seconds.
pub fn span(difference: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Some(seconds) = plain(difference) {
        return Ok(seconds);
    }
    match difference.getattr_opt("total_seconds")? {
        Some(method) => method.call0()?.extract(),
        None => difference.extract(),
    }
}
