//! `Target`: what a call looks for among the flights, and where a load of it starts.

#![allow(unsafe_code)]

use aiocachetools_core::flight::{FlightId, Flights};
use pyo3::ffi::PyObject;
use pyo3::prelude::*;

use crate::arguments::Arguments;
use crate::event::{self, Event};
use crate::flight::{Flight, Role, Start, none_under_way, with};
use crate::function::Function;
use crate::key::{Key, Query};
use crate::leftover;
use crate::object::{Equality, Ref};
use crate::site::Site;
use crate::tags::LoadTags;

/// What a call does about a key that it did not find.
pub enum Approach {
    Join(Ref),
    Start(LoadTags),
}

/// What is looked for: the calls of one function, on one loop, that load one key of one cache.
pub struct Target<'a> {
    pub function: &'a Ref,
    pub site: &'a Site,
    pub key: &'a Key,
    pub hash: u64,
    pub event_loop: &'a Ref,
}

fn table_hash(cache: *mut PyObject, hash: u64) -> u64 {
    hash ^ (cache as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The flights of a key that satisfy `wanted`, until `enough` of one that does.
pub fn each_matching(
    py: Python<'_>,
    cache: *mut PyObject,
    hash: u64,
    query: &Query<'_>,
    wanted: impl Fn(&Flights<Ref>, FlightId, &Flight) -> bool,
    mut found: impl FnMut(FlightId, Ref) -> bool,
) -> PyResult<()> {
    let noted: Vec<_> = with(|flights| {
        let candidates = flights.candidates(table_hash(cache, hash));
        let candidates = candidates.filter(|&(id, object)| wanted(flights, id, Flight::of(object, py)));
        candidates.map(|(id, object)| (id, object.clone())).collect()
    });
    for (id, object) in noted {
        let candidate = Flight::of(&object, py);
        if !candidate.site.cache.is(cache) || candidate.hash != hash {
            continue;
        }
        let Some(key) = candidate.key() else { continue };
        let equal = match key.equality(query) {
            Equality::Same => true,
            Equality::Different => false,
            Equality::Ask => key.python_equal(query, py)?,
        };
        // Asked after the comparison, which may have run anything.
        let still_wanted = with(|flights| wanted(flights, id, Flight::of(&object, py)));
        if equal && still_wanted && found(id, object) {
            break;
        }
    }
    Ok(())
}

impl Target<'_> {
    /// The flight to join, if there is one.
    pub fn find(&self, py: Python<'_>) -> PyResult<Option<Ref>> {
        if none_under_way() {
            return Ok(None);
        }
        let wanted = |flights: &Flights<Ref>, id, flight: &Flight| {
            flight.event_loop().is(self.event_loop.as_ptr())
                && flight.function.is(self.function.as_ptr())
                && flights.is_listed(id)
        };
        let mut found = None;
        each_matching(py, self.site.cache.as_ptr(), self.hash, &self.key.query(py)?, wanted, |_, object| {
            if Flight::of(&object, py).fence_if_revoked() {
                return false;
            }
            found = Some(object);
            true
        })?;
        Ok(found)
    }

    /// The flight to join, or the tags of the one to start; the arguments are those of the call.
    pub fn approach(&self, py: Python<'_>, arguments: impl FnOnce() -> Arguments) -> PyResult<Approach> {
        if let Some(flight) = self.find(py)? {
            return Ok(Approach::Join(flight));
        }
        let function = Function::of(self.function);
        let tags = function.tags_of_load(py, self.site, arguments)?;
        // The user's function may have run anything.
        let found = if function.asks_for_tags() { self.find(py)? } else { None };
        Ok(found.map_or(Approach::Start(tags), Approach::Join))
    }

    /// Lists a flight, then starts its load.
    pub fn start(
        self,
        py: Python<'_>,
        tags: LoadTags,
        call: impl FnOnce(Python<'_>) -> PyResult<Ref>,
        current: Option<FlightId>,
    ) -> PyResult<Start> {
        leftover::sweep_after_change(py, self.event_loop)?;
        let object = self.flight(py, Role::Single, tags)?;
        let listing = object.clone();
        let hash = self.table_hash();
        let id = with(|flights| flights.start(hash, listing, current));
        // A listener that calls the function joins the flight.
        event::tell(py, Event::Miss, self.function, self.key);
        Flight::of(&object, py).launch(py, &object, id, call)
    }

    /// A flight of the target that is not listed yet.
    pub fn flight(&self, py: Python<'_>, role: Role, tags: LoadTags) -> PyResult<Ref> {
        let key = Some(self.key.clone());
        let object = Flight::create(py, self.function, self.site, key, self.hash, self.event_loop, role)?;
        Flight::of(&object, py).state().tags = tags;
        Ok(object)
    }

    /// What the flight is listed under.
    pub fn table_hash(&self) -> u64 {
        table_hash(self.site.cache.as_ptr(), self.hash)
    }
}
