//! `TierLoader`: the loader of a function with a tier, which asks a server without running Python.
//!
//! 1. Of the keys of a function's own cache it finds the places by itself, on the loop that its route is
//!    for; any other place it is told by its owner, which does in Python whatever else there is to do.
//! 2. A load that it begins is a visit of the near cache's: see `redis/_near.py`, whose names for the
//!    attributes of a place these are.

#![allow(unsafe_code)]

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::arguments::Arguments;
use crate::fetch::Fetch;
use crate::key::Key;
use crate::leftover::forks;
use crate::object::{GilCell, Ref};
use crate::plain_format::PlainFormat;
use crate::redis::RedisConnection;

/// The way to a server on one loop, while there is one.
#[pyclass(module = "aiocachetools._core")]
pub struct Port {
    event_loop: Ref,
    /// The near cache's visits.
    visits: Py<PySet>,
    /// Where nothing is in the way of asking it.
    #[pyo3(get, set)]
    connection: Option<Py<RedisConnection>>,
    forks: u64,
}

#[pymethods]
impl Port {
    #[new]
    fn new(event_loop: &Bound<'_, PyAny>, visits: Py<PySet>) -> Self {
        Self { event_loop: event_loop.into(), visits, connection: None, forks: forks() }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.event_loop.as_py())?;
        visit.call(&self.visits)?;
        visit.call(&self.connection)
    }

    fn __clear__(&mut self) {
        self.connection = None;
    }
}

/// Where a function's keys are asked for.
#[derive(Clone)]
struct Route {
    port: Ref,
    /// The places of its keys.
    places: Ref,
    plain: Option<Ref>,
}

/// What is called in place of a function with a tier, on a miss.
#[pyclass(frozen, module = "aiocachetools._core")]
pub struct TierLoader {
    owner: Ref,
    /// For how many seconds memory keeps a value at the most.
    l1_ttl: f64,
    state: GilCell<State>,
}

struct State {
    route: Option<Route>,
    hits: u64,
}

/// A load as the near cache knows it, and what is needed to go on with it in Python.
pub struct Visit {
    loader: Ref,
    port: Ref,
    plain: Option<Ref>,
    pub place: Ref,
    arguments: Arguments,
    /// There was a message about the place.
    pub heard: Cell<bool>,
    /// The value may not be stored.
    pub fenced: Cell<bool>,
}

// SAFETY: as all that belongs to a fetch it is used only with the GIL held.
unsafe impl Sync for Visit {}

/// What is called on a miss, called.
pub fn call(
    py: Python<'_>,
    loader: &Ref,
    key: &Key,
    event_loop: &Ref,
    arguments: &Arguments,
) -> PyResult<Ref> {
    if let Ok(tier) = loader.bound(py).cast_exact::<TierLoader>()
        && let Some(fetch) = TierLoader::ask_for(tier, key, event_loop, arguments)?
    {
        return Ok(fetch.into());
    }
    arguments.call(py, loader)
}

impl TierLoader {
    #[allow(clippy::mut_from_ref)]
    fn state(&self) -> &mut State {
        // SAFETY: the GIL is held; each use ends before Python code can run.
        unsafe { self.state.get() }
    }

    /// Asks for a key of the function's own cache; `None` where that is for Python to do.
    fn ask_for<'py>(
        slf: &Bound<'py, Self>,
        key: &Key,
        event_loop: &Ref,
        arguments: &Arguments,
    ) -> PyResult<Option<Bound<'py, Fetch>>> {
        let py = slf.py();
        let Some(Route { port, places, plain }) = slf.get().state().route.clone() else { return Ok(None) };
        let port = port.bound(py).cast::<Port>()?;
        if !port.borrow().event_loop.is(event_loop.as_ptr()) {
            return Ok(None);
        }
        let Some(place) = places.bound(py).cast::<PyDict>()?.get_item(key.object(py)?)? else {
            return Ok(None);
        };
        Self::ask_at(slf, port, &place, plain, arguments.clone())
    }

    /// Asks for a place's key; `None` where the server does not answer.
    fn ask_at<'py>(
        slf: &Bound<'py, Self>,
        port: &Bound<'py, Port>,
        place: &Bound<'py, PyAny>,
        plain: Option<Ref>,
        arguments: Arguments,
    ) -> PyResult<Option<Bound<'py, Fetch>>> {
        let py = slf.py();
        let (event_loop, connection) = {
            let port = port.borrow();
            let connection = port.connection.as_ref().filter(|_| port.forks == forks());
            (port.event_loop.clone(), connection.map(|connection| connection.bind(py).clone()))
        };
        let Some(connection) = connection.filter(RedisConnection::is_open) else { return Ok(None) };
        let visit = Visit {
            loader: slf.into(),
            port: port.into(),
            plain,
            place: place.into(),
            arguments,
            heard: Cell::new(false),
            fenced: Cell::new(false),
        };
        let fetch = Fetch::new(event_loop.bound(py), visit)?;
        enter(place, port, &fetch)?;
        RedisConnection::ask_for(&connection, place, &fetch)?;
        Ok(Some(fetch))
    }
}

fn enter(place: &Bound<'_, PyAny>, port: &Bound<'_, Port>, fetch: &Bound<'_, Fetch>) -> PyResult<()> {
    add_loads(place, 1)?;
    place.setattr(intern!(place.py(), "latest"), fetch)?;
    let visits = port.borrow().visits.clone_ref(place.py());
    visits.bind(place.py()).add(fetch)
}

fn add_loads(place: &Bound<'_, PyAny>, change: i64) -> PyResult<()> {
    let name = intern!(place.py(), "loads");
    let loads: i64 = place.getattr(name)?.extract()?;
    place.setattr(name, loads + change)
}

impl Visit {
    pub fn parts(&self) -> impl Iterator<Item = &Ref> {
        [&self.loader, &self.port, &self.place].into_iter().chain(&self.plain).chain(self.arguments.parts())
    }

    /// What reads a value that nothing is special about.
    pub fn plain<'a>(&'a self, py: Python<'a>) -> Option<&'a PlainFormat> {
        self.plain.as_ref()?.bound(py).cast_exact().ok().map(Bound::get)
    }

    /// Counts a hit, if the value that was read may simply be kept; gives for how many seconds.
    pub fn hit(&self, py: Python<'_>, seconds: f64) -> Option<f64> {
        let loader = self.loader.bound(py).cast_exact::<TierLoader>().ok()?.get();
        let seconds = seconds.min(loader.l1_ttl);
        let simple = !self.heard.get() && !self.fenced.get() && seconds > 0.0;
        simple.then(|| {
            loader.state().hits += 1;
            seconds
        })
    }

    /// The load is over, and what it came to is about to be stored.
    pub fn leave(&self, fetch: &Bound<'_, Fetch>) -> PyResult<()> {
        let place = self.place.bound(fetch.py());
        let latest = intern!(fetch.py(), "latest");
        add_loads(place, -1)?;
        if place.getattr(latest)?.is(fetch) {
            place.setattr(latest, fetch.py().None())?;
        }
        let visits = self.port.bound(fetch.py()).cast::<Port>()?.borrow().visits.clone_ref(fetch.py());
        visits.bind(fetch.py()).discard(fetch).map(drop)
    }

    /// What takes the load's place in the near cache, and says what an answer means.
    pub fn reader<'py>(&self, fetch: &Bound<'py, Fetch>) -> PyResult<Bound<'py, PyAny>> {
        let py = fetch.py();
        let owner = &self.loader.bound(py).cast_exact::<TierLoader>()?.get().owner;
        let (args, kwargs) = self.arguments.objects(py)?;
        owner.bound(py).call_method1(intern!(py, "reading"), (fetch, args, kwargs))
    }
}

#[pymethods]
impl TierLoader {
    #[new]
    fn new(owner: &Bound<'_, PyAny>, l1_ttl: f64) -> Self {
        Self { owner: owner.into(), l1_ttl, state: GilCell::new(State { route: None, hits: 0 }) }
    }

    /// From now on keys that have a place are asked for at a port.
    fn open(
        &self,
        port: &Bound<'_, Port>,
        places: &Bound<'_, PyDict>,
        plain: Option<&Bound<'_, PlainFormat>>,
    ) {
        let route = Route { port: port.into(), places: places.into(), plain: plain.map(Ref::from) };
        drop(self.state().route.replace(route));
    }

    /// A load that begins with the read of a place's key; `None` where the server does not answer.
    #[pyo3(signature = (port, place, plain, args, kwargs))]
    fn ask<'py>(
        slf: &Bound<'py, Self>,
        port: &Bound<'py, Port>,
        place: &Bound<'py, PyAny>,
        plain: Option<&Bound<'py, PlainFormat>>,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
    ) -> PyResult<Option<Bound<'py, Fetch>>> {
        let arguments = Arguments::from_objects(slf.py(), None, args, Some(kwargs))?;
        Self::ask_at(slf, port, place, plain.map(Ref::from), arguments)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.owner.bound(args.py()).call_method(intern!(args.py(), "load"), args, kwargs)
    }

    #[getter]
    fn __self__<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.owner.bound(py).clone()
    }

    /// How many values were read and kept without its owner.
    #[getter]
    fn hits(&self) -> u64 {
        self.state().hits
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.owner.as_py())?;
        let Some(route) = &self.state().route else { return Ok(()) };
        let parts = [&route.port, &route.places].into_iter().chain(&route.plain);
        parts.into_iter().try_for_each(|part| visit.call(part.as_py()))
    }

    fn __clear__(&self) {
        drop(self.state().route.take());
    }
}
