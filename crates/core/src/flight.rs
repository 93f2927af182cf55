//! Single-flight: which loads are under way, who waits for them, and what may still be stored.
//!
//! A flight is one load of one key.  Its life:
//!
//! ```text
//!              join, leave (not the last)
//!                     ┌────┐
//!        start        │    ▼    touch_down            land
//!  ──────────────►   Listed  ──────────────► Landing ─────►  landed: `store` is true
//!                     │    │                    │
//!               fence │    │ leave (the last,   │ fence
//!                     │    │ OnAbandon::Cancel) │
//!                     ▼    ▼                    ▼
//!                 Fenced ─► Abandoned        Fenced ──────►  landed: `store` is false
//!                     │   leave (the last)  │    land  ▲
//!                     └─────────────────────┴──────────┘
//! ```
//!
//! 1. Only a listed flight is found, so there is at most one to join per key; a fenced or
//!    abandoned one has left its key free for the next.
//! 2. A fence (an invalidation, or a value stored by other means) keeps the result from being
//!    stored; those who wait still get it.
//!    A flight whose result is being stored, which may take time and run anything, has touched
//!    down: nobody joins it any more, but a fence still reaches it, and landing tells.
//! 3. When the last waiter leaves, the load is to be cancelled and the flight stays, abandoned,
//!    until the load has unwound and lands.  With [`OnAbandon::Finish`] it goes on as it was.
//! 4. Landing removes exactly the flight that landed: a [`FlightId`] is never given out twice.
//! 5. A flight remembers which flights its load waits for.  A caller that would close a circle
//!    of waits is told so by [`Flights::join`] instead of waiting for itself for ever.
//!
//! 6. A batch is one load of several keys, each of which has a flight of its own, a member.  The
//!    batch is never listed.  It stands for its members where loads wait for each other, and it is
//!    abandoned, with all of them, when the last waiter of any of them leaves.  It lands first; its
//!    members follow one by one, and nobody's leaving matters to them any more.
//!
//! 7. A load that is kept goes on though nobody waits for it: one that was started for nobody, or
//!    that somebody left who did not want it to end.
//! 8. A load that takes too long is given up: it lands for those who wait, and stays, abandoned,
//!    until it has unwound.
//!
//! A load's failure is no state: it lands like a value and the caller stores nothing.

mod waits;

use hashbrown::HashTable;

pub use waits::Circular;

/// Names one flight, for all time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlightId {
    index: u32,
    generation: u32,
}

impl FlightId {
    /// The identifier as a number, to be carried where Rust types cannot go.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The identifier that gave this number.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// What becomes of a load that nobody waits for any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnAbandon {
    /// It is cancelled, as a coroutine is whose only caller is cancelled.
    #[default]
    Cancel,
    /// It runs on, and its result is stored.
    Finish,
}

/// What follows from a waiter's leaving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Departure {
    /// The load goes on, or is being stored already.
    Others,
    /// Nobody waits any more: cancel the load, and let the leaver go once it has landed.
    Last,
    /// The flight had landed already.
    Landed,
}

/// A flight that is over.
#[derive(Debug)]
pub struct Landing<T> {
    /// The load, given back.
    pub load: T,
    /// Whether a good result may be stored, or may stay stored.
    pub store: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Listed,
    Landing,
    Fenced,
    Abandoned,
    /// A batch that is under way.
    Batch,
}

/// What a flight has to do with batches.
#[derive(Clone, Debug)]
enum Company {
    Alone,
    /// It is a batch of these.
    Of(Vec<FlightId>),
    /// It is a member of this batch.
    In(FlightId),
}

#[derive(Debug)]
struct Flight<T> {
    load: T,
    hash: u64,
    state: State,
    /// Those of all its members, for a batch.
    waiters: usize,
    /// It goes on without them.
    kept: bool,
    depth: u32,
    waits_for: Vec<FlightId>,
    company: Company,
}

impl<T> Flight<T> {
    fn new(load: T, hash: u64, state: State, depth: u32, company: Company) -> Self {
        Self { load, hash, state, waiters: 0, kept: false, depth, waits_for: Vec::new(), company }
    }
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    flight: Option<Flight<T>>,
}

/// All flights that are under way.
#[derive(Debug)]
pub struct Flights<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    table: HashTable<u32>,
}

impl State {
    /// Whether the table knows the flight: fences reach it.
    fn is_tabled(self) -> bool {
        matches!(self, State::Listed | State::Landing)
    }
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Flights<T> {
    /// No flights.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), table: HashTable::new() }
    }

    /// How many flights are under way, listed or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether no flight is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The load of a flight that is under way.
    #[must_use]
    pub fn get(&self, id: FlightId) -> Option<&T> {
        self.flight(id).map(|flight| &flight.load)
    }

    /// How many flights deep the load is nested; 0 for one that no other load started.
    #[must_use]
    pub fn depth(&self, id: FlightId) -> u32 {
        self.flight(id).map_or(0, |flight| flight.depth)
    }

    /// Every flight that is under way, listed or not.
    pub fn iter(&self) -> impl Iterator<Item = (FlightId, &T)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let id = FlightId { index: index as u32, generation: place.generation };
            place.flight.as_ref().map(|flight| (id, &flight.load))
        })
    }

    /// The flights of a hash that fences reach; those that are listed may be joined as well.
    pub fn candidates(&self, hash: u64) -> impl Iterator<Item = (FlightId, &T)> {
        self.table.iter_hash(hash).filter_map(move |&index| {
            let place = &self.places[index as usize];
            let flight = place.flight.as_ref().filter(|flight| flight.hash == hash)?;
            Some((FlightId { index, generation: place.generation }, &flight.load))
        })
    }

    /// Whether the flight is the one that a caller of its key would join.
    #[must_use]
    pub fn is_listed(&self, id: FlightId) -> bool {
        self.flight(id).is_some_and(|flight| flight.state == State::Listed)
    }

    /// Lists a new flight with one waiter, who is in the load `current` if in any.
    ///
    /// The caller has made sure that no listed flight has the key.
    pub fn start(&mut self, hash: u64, load: T, current: Option<FlightId>) -> FlightId {
        let depth = self.depth_in(current);
        let flight = Flight { waiters: 1, ..Flight::new(load, hash, State::Listed, depth, Company::Alone) };
        let id = self.list(flight);
        self.note_wait(current, id);
        id
    }

    /// Lists a new flight that is kept, for nobody.
    ///
    /// The caller has made sure that no listed flight has the key.
    pub fn start_kept(&mut self, hash: u64, load: T) -> FlightId {
        self.list(Flight { kept: true, ..Flight::new(load, hash, State::Listed, 0, Company::Alone) })
    }

    /// A load of several keys that is about to start from within the load `current`, if in any;
    /// its keys are to [`board`](Self::board).
    pub fn start_batch(&mut self, load: T, current: Option<FlightId>) -> FlightId {
        let company = Company::Of(Vec::new());
        let flight = Flight::new(load, 0, State::Batch, self.depth_in(current), company);
        self.place(flight)
    }

    /// Lists a new flight with one waiter as a member of a batch.
    ///
    /// The caller has made sure that no listed flight has the key, and that the batch is under way.
    pub fn board(&mut self, batch: FlightId, hash: u64, load: T, current: Option<FlightId>) -> FlightId {
        let depth = self.depth(batch);
        let flight =
            Flight { waiters: 1, ..Flight::new(load, hash, State::Listed, depth, Company::In(batch)) };
        let id = self.list(flight);
        if let Some(batch) = self.flight_mut(batch) {
            batch.waiters += 1;
            if let Company::Of(members) = &mut batch.company {
                members.push(id);
            }
        }
        self.note_wait(current, id);
        id
    }

    /// The load goes on though nobody waits for it; a member's is that of its batch.
    pub fn keep(&mut self, id: FlightId) {
        let batch = match self.flight(id).map(|flight| &flight.company) {
            Some(&Company::In(batch)) => batch,
            _ => id,
        };
        for id in [id, batch] {
            if let Some(flight) = self.flight_mut(id) {
                flight.kept = true;
            }
        }
    }

    /// Whether somebody waits for the flight, or it is kept.
    #[must_use]
    pub fn is_wanted(&self, id: FlightId) -> bool {
        self.flight(id).is_some_and(|flight| flight.waiters > 0 || flight.kept)
    }

    /// How many wait for the flight, or for any member of the batch.
    #[must_use]
    pub fn waiters(&self, id: FlightId) -> usize {
        self.flight(id).map_or(0, |flight| flight.waiters)
    }

    /// One more waiter, who is in the load `current` if in any.
    ///
    /// # Errors
    /// [`Circular`] when the flight is, or waits for, the load that the caller is in.
    pub fn join(&mut self, id: FlightId, current: Option<FlightId>) -> Result<(), Circular> {
        if let Some(current) = current
            && self.waits(id, current)
        {
            return Err(Circular);
        }
        if let Some(flight) = self.flight_mut(id) {
            flight.waiters += 1;
            if let Company::In(batch) = flight.company
                && let Some(batch) = self.flight_mut(batch)
            {
                batch.waiters += 1;
            }
            self.note_wait(current, id);
        }
        Ok(())
    }

    /// One waiter less, who was in the load `current` if in any.
    pub fn leave(&mut self, id: FlightId, current: Option<FlightId>, on_abandon: OnAbandon) -> Departure {
        self.forget_wait(current, id);
        let Some(flight) = self.flight_mut(id) else { return Departure::Landed };
        flight.waiters -= 1;
        let settled = on_abandon == OnAbandon::Finish || flight.state == State::Landing;
        let others = match flight.company {
            // A batch that has landed has an outcome for the flight.
            Company::In(batch) => self.flight_mut(batch).is_none_or(|batch| {
                batch.waiters -= 1;
                batch.waiters > 0 || batch.kept
            }),
            _ => flight.waiters > 0 || flight.kept,
        };
        if others || settled {
            return Departure::Others;
        }
        self.abandon(id);
        Departure::Last
    }

    fn abandon(&mut self, id: FlightId) {
        let Some(Company::In(batch)) = self.flight(id).map(|flight| flight.company.clone()) else {
            return self.turn(id, State::Abandoned);
        };
        let Some(Company::Of(members)) = self.flight(batch).map(|batch| batch.company.clone()) else {
            return;
        };
        for id in members.into_iter().chain([batch]) {
            self.turn(id, State::Abandoned);
        }
    }

    /// Something newer than the load's result is known of the key: it is not stored, nor joined.
    pub fn fence(&mut self, id: FlightId) {
        if self.flight(id).is_some_and(|flight| flight.state.is_tabled()) {
            self.turn(id, State::Fenced);
        }
    }

    /// The load has a result; whether it may be stored.  From here on nobody joins the flight.
    pub fn touch_down(&mut self, id: FlightId) -> bool {
        let store = self.is_listed(id);
        if store {
            self.turn(id, State::Landing);
        }
        store
    }

    /// The load is over; its waiters are to be served by whoever calls this.
    pub fn land(&mut self, id: FlightId) -> Option<Landing<T>> {
        let store = self.flight(id)?.state.is_tabled();
        self.turn(id, State::Fenced);
        self.take_from_batch(id);
        let place = &mut self.places[id.index as usize];
        let flight = place.flight.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.index);
        Some(Landing { load: flight.load, store })
    }

    /// The load has taken too long: those who wait are to be served by the caller, and the flight
    /// stays, abandoned, until its load has unwound and [`land`](Self::land)s.  Whether a good
    /// result may be stored, or may stay stored.
    pub fn give_up(&mut self, id: FlightId) -> bool {
        let Some(flight) = self.flight_mut(id) else { return false };
        let store = flight.state.is_tabled();
        (flight.waiters, flight.kept) = (0, false);
        if let Company::Of(members) = &mut flight.company {
            for member in std::mem::take(members) {
                if let Some(member) = self.flight_mut(member) {
                    member.company = Company::Alone;
                }
            }
        }
        self.turn(id, State::Abandoned);
        let flights = self.places.iter_mut().filter_map(|place| place.flight.as_mut());
        flights.for_each(|flight| flight.waits_for.retain(|&other| other != id));
        store
    }

    /// Gives all flights out and starts afresh, as a forked child does.
    pub fn drain(&mut self) -> Vec<T> {
        self.table.clear();
        let mut loads = Vec::new();
        for (index, place) in self.places.iter_mut().enumerate() {
            if let Some(flight) = place.flight.take() {
                place.generation = place.generation.wrapping_add(1);
                self.free.push(index as u32);
                loads.push(flight.load);
            }
        }
        loads
    }

    /// Panics when an invariant of the module does not hold.
    #[doc(hidden)]
    pub fn validate(&self) {
        let flying = self.places.iter().filter(|place| place.flight.is_some());
        assert_eq!(flying.count(), self.len(), "every place is taken or free");
        let tabled = |flight: &Flight<T>| flight.state.is_tabled();
        let count = self.places.iter().filter(|place| place.flight.as_ref().is_some_and(tabled)).count();
        assert_eq!(count, self.table.len(), "the table holds the flights that fences reach");
        for &index in &self.table {
            let flight = self.places[index as usize].flight.as_ref().expect("a tabled place is taken");
            assert!(self.table.find(flight.hash, |&other| other == index).is_some(), "found by its hash");
        }
        for place in self.places.iter().filter_map(|place| place.flight.as_ref()) {
            assert!(place.state != State::Abandoned || place.waiters == 0, "nobody waits for the abandoned");
            let Company::Of(members) = &place.company else { continue };
            let waiters: usize = members.iter().map(|&id| self.waiters(id)).sum();
            assert_eq!(waiters, place.waiters, "a batch counts its members' waiters");
        }
    }

    fn flight(&self, id: FlightId) -> Option<&Flight<T>> {
        let place = self.places.get(id.index as usize)?;
        place.flight.as_ref().filter(|_| place.generation == id.generation)
    }

    fn flight_mut(&mut self, id: FlightId) -> Option<&mut Flight<T>> {
        let place = self.places.get_mut(id.index as usize)?;
        place.flight.as_mut().filter(|_| place.generation == id.generation)
    }

    fn turn(&mut self, id: FlightId, state: State) {
        let Some(flight) = self.flight_mut(id) else { return };
        let was = std::mem::replace(&mut flight.state, state);
        let hash = flight.hash;
        if was.is_tabled()
            && !state.is_tabled()
            && let Ok(entry) = self.table.find_entry(hash, |&index| index == id.index)
        {
            entry.remove();
        }
    }

    fn depth_in(&self, current: Option<FlightId>) -> u32 {
        current.and_then(|id| self.flight(id)).map_or(0, |parent| parent.depth + 1)
    }

    fn place(&mut self, flight: Flight<T>) -> FlightId {
        let index = if let Some(index) = self.free.pop() {
            self.places[index as usize].flight = Some(flight);
            index
        } else {
            self.places.push(Place { generation: 0, flight: Some(flight) });
            self.places.len() as u32 - 1
        };
        FlightId { index, generation: self.places[index as usize].generation }
    }

    fn list(&mut self, flight: Flight<T>) -> FlightId {
        let hash = flight.hash;
        let id = self.place(flight);
        let places = &self.places;
        let rehash = |&index: &u32| places[index as usize].flight.as_ref().map_or(0, |flight| flight.hash);
        self.table.insert_unique(hash, id.index, rehash);
        id
    }

    /// A member that lands before its batch does is no part of it any more.
    fn take_from_batch(&mut self, id: FlightId) {
        let Some(&Flight { company: Company::In(batch), waiters, .. }) = self.flight(id) else { return };
        let Some(batch) = self.flight_mut(batch) else { return };
        batch.waiters -= waiters;
        if let Company::Of(members) = &mut batch.company {
            members.retain(|&member| member != id);
        }
    }
}
