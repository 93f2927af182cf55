//! Batches on asyncio: one load of several keys, each of which has a flight of its own.
//!
//! A batch is a [`Flight`] without a key.  Its task loads for its members, which are listed and
//! joined, fenced and stored as any flight is; core counts whether anybody waits for any of them.
//! It may stay open for members of later calls until the loop's next round, when it is launched.

#![allow(unsafe_code)]

use aiocachetools_core::flight::{FlightId, OnAbandon};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;

use crate::aio::Asyncio;
use crate::arguments::Arguments;
use crate::flight::{Flight, Role, Waiter, with};
use crate::function::Function;
use crate::landing::{Wake, wake_all};
use crate::object::{self, Equality, Ref};
use crate::outcome::{Failure, Outcome};
use crate::site::Site;
use crate::tags::LoadTags;
use crate::target::Target;
use crate::wait::cancelled;

/// What the flight of a batch loads.
pub struct Batch {
    /// Those of the call that began it; in one place the function is given the keys.
    arguments: Arguments,
    place: usize,
    members: Vec<Member>,
    /// Not launched yet: more members may board.
    open: bool,
}

struct Member {
    /// What the caller asked for: a key of the result.
    asked: Ref,
    flight: Ref,
}

impl Batch {
    pub fn new(arguments: Arguments, place: usize) -> Self {
        Self { arguments, place, members: Vec::new(), open: true }
    }

    /// What is loaded.
    pub fn keys(&self) -> Vec<Ref> {
        self.members.iter().map(|member| member.asked.clone()).collect()
    }

    /// The flights of its members.
    pub fn flights(&self) -> impl Iterator<Item = &Ref> {
        self.members.iter().map(|member| &member.flight)
    }

    /// The references that the batch holds, for the garbage collector.
    pub fn parts(&self) -> impl Iterator<Item = &Ref> {
        let members = self.members.iter().flat_map(|member| [&member.asked, &member.flight]);
        self.arguments.values.iter().chain(members)
    }

    /// Whether one key more may board.
    pub fn has_room(&self, max_batch: usize) -> bool {
        self.open && self.members.len() < max_batch
    }

    /// Whether a call with these arguments may board: all but the key are the same, as far as is
    /// known without running Python code.
    pub fn suits(&self, arguments: &Arguments, place: usize) -> bool {
        let same = |(i, (a, b)): (usize, (&Ref, &Ref))| {
            // SAFETY: both are alive.
            i == place || unsafe { object::equality(a.as_ptr(), b.as_ptr()) } == Equality::Same
        };
        self.place == place
            && self.arguments.has_names_of(arguments)
            && self.arguments.values.iter().zip(&arguments.values).enumerate().all(same)
    }
}

/// A batch that has no members yet.
pub fn start(
    py: Python<'_>,
    function: &Ref,
    site: &Site,
    event_loop: &Ref,
    batch: Batch,
    current: Option<FlightId>,
) -> PyResult<Ref> {
    crate::leftover::sweep_after_change(py, event_loop)?;
    let object = Flight::create(py, function, site, None, 0, event_loop, Role::Batch(Box::new(batch)))?;
    let listing = object.clone();
    let id = with(|flights| flights.start_batch(listing, current));
    Flight::of(&object, py).state().id = Some(id);
    Ok(object)
}

/// Lists the flight of a key that a batch is to load; whoever waits for it is counted already.
pub fn board(
    py: Python<'_>,
    batch: &Ref,
    target: &Target<'_>,
    tags: LoadTags,
    asked: &Ref,
    current: Option<FlightId>,
) -> PyResult<Ref> {
    let object = target.flight(py, Role::Member(batch.clone()), tags)?;
    let Some(batch_id) = Flight::of(batch, py).state().id else { return Ok(object) };
    let listing = object.clone();
    let id = with(|flights| flights.board(batch_id, target.table_hash(), listing, current));
    Flight::of(&object, py).state().id = Some(id);
    if let Role::Batch(batch) = &mut Flight::of(batch, py).state().role {
        batch.members.push(Member { asked: asked.clone(), flight: object.clone() });
    }
    Ok(object)
}

/// The open batch of a cache and a loop, among these, that is wanted.
pub fn find_open(
    py: Python<'_>,
    open: &[FlightId],
    site: &Site,
    event_loop: &Ref,
    wanted: impl Fn(&Flight, &Batch) -> bool,
) -> Option<Ref> {
    open.iter().find_map(|&id| {
        let object = with(|flights| flights.get(id).cloned())?;
        let flight = Flight::of(&object, py);
        let Role::Batch(batch) = &flight.state().role else { return None };
        let suits = flight.event_loop().is(event_loop.as_ptr())
            && flight.site.cache.is(site.cache.as_ptr())
            && wanted(flight, batch);
        suits.then_some(object)
    })
}

/// Launches a batch with the loop's next round.
pub fn launch_soon(py: Python<'_>, batch: &Ref) -> PyResult<()> {
    static LAUNCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let launch = LAUNCH.get_or_try_init(py, || {
        Ok::<_, PyErr>(py.import("aiocachetools._core")?.getattr("_launch")?.unbind())
    })?;
    let event_loop = Flight::of(batch, py).event_loop().clone();
    Asyncio::get(py)?.call_soon(py, &event_loop, &Ref::from(launch.bind(py)), batch, None)
}

/// Launches an open batch, unless all who waited have left.
#[pyfunction(name = "_launch")]
pub fn launch_open(py: Python<'_>, batch: &Bound<'_, Flight>) -> PyResult<()> {
    let object = Ref::from(batch.as_any());
    let flight = batch.get();
    let Some(id) = flight.state().id else { return Ok(()) };
    if let Some(many) = &Function::of(&flight.function).many {
        many.forget_open(id);
    }
    if Function::of(&flight.function).on_abandon() == OnAbandon::Cancel {
        flight.drop_unwanted(py);
    }
    launch(py, &object)
}

/// Starts the load of a batch.  What goes wrong reaches the waiters of its members; only what ends
/// a program is raised as well.
pub fn launch(py: Python<'_>, object: &Ref) -> PyResult<()> {
    let flight = Flight::of(object, py);
    let Some(id) = flight.state().id else { return Ok(()) };
    let Role::Batch(batch) = &mut flight.state().role else { return Ok(()) };
    batch.open = false;
    let (arguments, place, keys) = (batch.arguments.clone(), batch.place, batch.keys());
    let loader = Function::of(&flight.function).loader().clone();
    let call = |py: Python<'_>| {
        let keys = PyList::new(py, keys.iter().map(|key| key.bound(py)))?;
        arguments.with(place, keys.into()).call(py, &loader)
    };
    match flight.launch(py, object, id, call) {
        Err(error) if !error.is_instance_of::<PyException>(py) => Err(error),
        _ => Ok(()),
    }
}

impl Flight {
    /// The batch that this is, if its load is not over.
    pub fn take_batch(&self) -> Option<Batch> {
        let role = &mut self.state().role;
        if !matches!(role, Role::Batch(_)) {
            return None;
        }
        match std::mem::replace(role, Role::Single) {
            Role::Batch(batch) => Some(*batch),
            _ => None,
        }
    }

    /// Gives every member its part of the batch's outcome; those who waited are to be woken.
    pub fn settle_batch(&self, py: Python<'_>, batch: Batch, outcome: &Outcome) -> Vec<Waiter> {
        self.depart();
        let function = Function::of(&self.function);
        let Some(many) = &function.many else { return Vec::new() };
        let outcome = many.check(py, function, outcome);
        let settle = |Member { asked, flight }| {
            let part = many.part(py, &outcome, &asked);
            Flight::of(&flight, py).settle(py, part).1
        };
        batch.members.into_iter().flat_map(settle).collect()
    }

    /// Ends a batch that was not launched.
    fn land_batch(&self, py: Python<'_>, batch: Batch, outcome: &Outcome) -> PyResult<()> {
        wake_all(py, &self.settle_batch(py, batch, outcome), Wake::Soon)
    }

    /// Lets go of the members of an unlaunched batch that nobody waits for any more.
    fn drop_unwanted(&self, py: Python<'_>) {
        let Role::Batch(batch) = &mut self.state().role else { return };
        let unwanted = |member: &Member| {
            let id = Flight::of(&member.flight, py).state().id;
            id.is_some_and(|id| !with(|flights| flights.is_wanted(id)))
        };
        let (gone, kept) = std::mem::take(&mut batch.members).into_iter().partition(unwanted);
        batch.members = kept;
        let gone: Vec<Member> = gone;
        for member in &gone {
            if let Some(id) = Flight::of(&member.flight, py).state().id {
                drop(with(|flights| flights.land(id)));
            }
        }
    }

    /// Cancels the load of a batch; one that was not launched is over at once.
    pub fn cancel_batch(&self, py: Python<'_>, message: Option<&Ref>) -> PyResult<()> {
        let open = matches!(&self.state().role, Role::Batch(batch) if batch.open);
        if !open {
            return self.cancel_load(py, message);
        }
        let Some(batch) = self.take_batch() else { return Ok(()) };
        let failure = Failure::new(py, cancelled(py, message.cloned()));
        self.land_batch(py, batch, &Outcome::Error(failure))
    }

    /// Ends a batch that was not launched, because of an error before that.
    pub fn give_up_batch(&self, py: Python<'_>, failure: Failure) -> PyResult<()> {
        match self.take_batch() {
            Some(batch) => self.land_batch(py, batch, &Outcome::Error(failure)),
            None => Ok(()),
        }
    }
}
