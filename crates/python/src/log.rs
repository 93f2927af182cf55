//! Reports to Loguru, at the price of a counter when nobody listens.
//!
//! Loguru replaces a dict whenever `enable`, `disable`, `add` or `remove` is called, so whether
//! anything changed is two comparisons of addresses.  A miss makes them; a hit only when a counter
//! runs out, whose length adapts so that this is about every half second.  As long as nobody has
//! imported Loguru, nobody listens, and it is not imported here.

#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::key::Key;
use crate::object::{GilCell, Ref};
use crate::text;

/// Hits between two looks, at the most.
const LONGEST: u32 = 128;
const LOOK_EVERY: Duration = Duration::from_millis(500);

struct State {
    /// Hits until the next look; 1 while somebody listens, so that every hit is reported.
    countdown: u32,
    interval: u32,
    looked: Option<Instant>,
    listening: bool,
    /// Loguru's dicts of activations and handlers as they were last seen.
    seen: Option<[Ref; 2]>,
}

static STATE: GilCell<State> =
    GilCell::new(State { countdown: 1, interval: 1, looked: None, listening: false, seen: None });

/// The attributes of Loguru's core.
static CORE: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
static REPORT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn state<'a>() -> &'a mut State {
    // SAFETY: the GIL is held; each use ends before Python code can run.
    unsafe { STATE.get() }
}

/// Whether a hit may pass unreported.
#[inline]
pub fn quiet() -> bool {
    let state = state();
    state.countdown -= 1;
    state.countdown != 0
}

/// The counter ran out: looks whether somebody listens now.
#[cold]
pub fn look(py: Python<'_>) {
    let now = Instant::now();
    let state = state();
    let soon = state.looked.is_some_and(|looked| now - looked < LOOK_EVERY);
    state.looked = Some(now);
    state.interval = if soon { (state.interval * 2).min(LONGEST) } else { (state.interval / 8).max(1) };
    state.countdown = state.interval;
    notice(py);
}

/// Takes a change of Loguru's configuration for a listener, until a report says otherwise.
pub fn notice(py: Python<'_>) {
    if !is_imported(py) {
        return set_listening(false);
    }
    let Ok(current) = configuration(py) else {
        // Another Loguru than is known: let each report find out.
        return set_listening(true);
    };
    let same = |seen: &[Ref; 2]| seen.iter().zip(&current).all(|(seen, current)| seen.is(current.as_ptr()));
    if state().seen.as_ref().is_some_and(same) {
        set_listening(state().listening);
        return;
    }
    let old = state().seen.replace(current);
    set_listening(true);
    drop(old);
}

/// Whether anybody has imported Loguru.
fn is_imported(py: Python<'_>) -> bool {
    static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    if CORE.get(py).is_some() {
        return true;
    }
    let find = || {
        let modules = MODULES.get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.unbind())
        })?;
        match modules.bind(py).get_item(intern!(py, "loguru"))? {
            // Without its logger it is being imported.
            Some(loguru) => loguru.hasattr(intern!(py, "logger")),
            None => Ok(false),
        }
    };
    find().unwrap_or(false)
}

fn configuration(py: Python<'_>) -> PyResult<[Ref; 2]> {
    let attributes = CORE.get_or_try_init(py, || {
        let core = py.import("aiocachetools._log")?.getattr("logger")?.getattr("_core")?;
        Ok::<_, PyErr>(core.getattr("__dict__")?.cast_into::<PyDict>()?.unbind())
    })?;
    let attribute = |name| {
        let found = attributes.bind(py).get_item(name)?;
        found.map(Ref::from).ok_or_else(|| PyAttributeError::new_err("loguru is not as it was"))
    };
    Ok([attribute(intern!(py, "enabled"))?, attribute(intern!(py, "handlers"))?])
}

fn set_listening(listening: bool) {
    let state = state();
    state.listening = listening;
    if listening {
        state.countdown = 1;
    } else if state.countdown == 1 {
        state.countdown = state.interval.max(1);
    }
}

/// Whether somebody listens, as far as is known.
pub fn is_listening() -> bool {
    state().listening
}

/// Reports an event of this name, of a function or a cache.
#[cold]
pub fn report(py: Python<'_>, event: &str, name: &Bound<'_, PyAny>, key: &Key) {
    let reported = REPORT
        .get_or_try_init(py, || Ok(py.import("aiocachetools._log")?.getattr("report")?.unbind()))
        .and_then(|report| report.bind(py).call1((event, name, text::describe(py, key))))
        .and_then(|heard| heard.is_truthy());
    match reported {
        Ok(heard) => set_listening(heard),
        Err(error) => error.write_unraisable(py, None),
    }
}
