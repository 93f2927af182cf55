//! `Gathering`: a call that waits for several keys, each in a flight of its own.
//!
//! 1. A key has a value from the start, or a seat in a flight until that lands.
//! 2. The call is woken when no seat is left.  Errors wait for the others as well: what they load
//!    is kept.
//! 3. A cancelled call leaves all its flights, and is woken when the loads that it was the last to
//!    wait for have unwound.

use std::cell::Cell;

use aiocachetools_core::flight::FlightId;
use pyo3::prelude::*;

use crate::arguments::Arguments;
use crate::batch::{self, Batch};
use crate::event::{self, Event};
use crate::flight::{Flight, Waiter};
use crate::freshness::Freshness;
use crate::function::Function;
use crate::key::Key;
use crate::landing::Wake;
use crate::many::{Form, Many, NewMany};
use crate::object::Ref;
use crate::outcome::{Failure, Outcome};
use crate::site::Site;
use crate::stale::Reply;
use crate::target::{Approach, Target};
use crate::wait::{Step, Wait, already_executing};
use crate::wait_state::{Seat, State};
use crate::{aio::Asyncio, counts};

/// One of the keys of a call.
#[derive(Clone)]
pub struct Item {
    /// As the caller wrote it.
    pub asked: Ref,
    /// The entry's.
    pub key: Key,
    pub hash: u64,
    /// What the cache had.
    pub value: Option<Ref>,
}

enum Place {
    Known(Outcome),
    Seated(Seat),
}

/// The keys of a call that is under way.
pub struct Gathering {
    asked: Vec<Ref>,
    places: Vec<Place>,
    pub form: Form,
    /// How many are seated.
    waiting: usize,
    /// The first step is not over.
    starting: bool,
    /// The call was cancelled, with this message.
    pub cancelled: Option<Option<Ref>>,
}

impl Gathering {
    fn new(form: Form) -> Self {
        Self { asked: Vec::new(), places: Vec::new(), form, waiting: 0, starting: true, cancelled: None }
    }

    fn know(&mut self, asked: Ref, outcome: Outcome) {
        self.asked.push(asked);
        self.places.push(Place::Known(outcome));
    }

    fn sit(&mut self, asked: Ref, seat: Seat) {
        self.asked.push(asked);
        self.places.push(Place::Seated(seat));
        self.waiting += 1;
    }

    /// The number of the next key.
    pub fn next(&self) -> u32 {
        self.places.len() as u32
    }

    pub fn seat(&self, number: usize) -> Option<Seat> {
        match self.places.get(number)? {
            Place::Seated(seat) => Some(seat.clone()),
            Place::Known(_) => None,
        }
    }

    pub fn seat_mut(&mut self, number: u32) -> Option<&mut Seat> {
        match self.places.get_mut(number as usize)? {
            Place::Seated(seat) => Some(seat),
            Place::Known(_) => None,
        }
    }

    /// A flight has landed, or was left; gives back the seat.
    pub fn settle(&mut self, number: u32, outcome: Outcome) -> Option<Seat> {
        let place = self.places.get_mut(number as usize).filter(|place| matches!(place, Place::Seated(_)))?;
        self.waiting -= 1;
        match std::mem::replace(place, Place::Known(outcome)) {
            Place::Seated(seat) => Some(seat),
            Place::Known(_) => None,
        }
    }

    pub fn is_starting(&self) -> bool {
        self.starting
    }

    pub fn is_complete(&self) -> bool {
        self.waiting == 0 && !self.starting
    }

    /// The keys and what became of them, in the order asked.
    pub fn outcomes(&self) -> impl Iterator<Item = (Ref, Outcome)> {
        self.asked.iter().zip(&self.places).filter_map(|(asked, place)| match place {
            Place::Known(outcome) => Some((asked.clone(), outcome.clone())),
            Place::Seated(_) => None,
        })
    }

    /// The references that it holds, for the garbage collector.
    pub fn parts(&self) -> impl Iterator<Item = &Ref> {
        let places = self.places.iter().flat_map(|place| -> Box<dyn Iterator<Item = &Ref> + '_> {
            match place {
                Place::Known(outcome) => outcome.parts(),
                Place::Seated(seat) => Box::new([&seat.flight].into_iter()),
            }
        });
        self.asked.iter().chain(places).chain(self.cancelled.iter().flatten())
    }
}

/// What the first step of a call knows.
struct FirstStep<'a> {
    wait: &'a Wait,
    me: Ref,
    function_ref: &'a Ref,
    site: &'a Site,
    many: &'a Many,
    event_loop: Ref,
    current: Option<FlightId>,
    arguments: Arguments,
    place: usize,
    form: Form,
    /// For some key there is a stale value that may be served in place of its load.
    has_fallback: Cell<bool>,
}

impl Wait {
    /// Changes the gathering that the call is, if it is one; `change` runs no Python code.
    fn gathering<R>(&self, change: impl FnOnce(&mut Gathering) -> R) -> Option<R> {
        self.with_state(|state| match state {
            State::Gathering(gathering) => Some(change(gathering)),
            _ => None,
        })
    }

    pub fn first_step_of_many(&self, py: Python<'_>, me: &Ref, new: NewMany) -> PyResult<Step> {
        let function_ref = (*self.function).clone();
        let function = Function::of(&function_ref);
        function.check_open(py)?;
        let Some(many) = &function.many else { return Err(already_executing()) };
        let NewMany { site, arguments, place, mut items, form } = new;
        let site = match &site {
            Some(site) => site,
            None => function.fixed_site(py)?,
        };
        let refresh = form == Form::Refresh;
        for item in items.iter_mut().filter(|item| item.value.is_none() && !refresh) {
            item.value = site.look_again(py, item.hash, &item.key.query(py)?)?;
        }
        for item in items.iter().filter(|item| item.value.is_some()) {
            counts::hit(site.shelf.counter());
            event::tell(py, Event::Hit, &function_ref, &item.key);
        }
        if items.iter().all(|item| item.value.is_some()) {
            let mut gathering = Gathering::new(form);
            for Item { asked, value, .. } in items {
                value.into_iter().for_each(|value| gathering.know(asked.clone(), Outcome::Value(value)));
            }
            return gathering.result(py, function).map(Step::Return);
        }
        let asyncio = Asyncio::get(py)?;
        let event_loop = asyncio.running_loop(py, &function_ref)?;
        let current = asyncio.current_flight(py)?;
        drop(self.swap(State::Gathering(Box::new(Gathering::new(form)))));
        let step = FirstStep {
            wait: self,
            me: me.clone(),
            function_ref: &function_ref,
            site,
            many,
            event_loop,
            current,
            arguments,
            place,
            form,
            has_fallback: Cell::new(false),
        };
        step.run(py, items)?;
        self.gathering(|gathering| gathering.starting = false);
        if self.is_done() {
            return self.step(py, me.as_ptr());
        }
        if let Some(freshness) = step.freshness().filter(|_| step.has_fallback.get())
            && let Err(error) = self.limit_patience(py, me, &step.event_loop, freshness)
        {
            self.abandon(py, me)?;
            return Err(error);
        }
        self.block(step.event_loop);
        Ok(Step::Yield)
    }

    /// What cancelling the task does to a call that waits for several keys.
    pub fn cancel_gathering(&self, py: Python<'_>, me: &Ref, message: Option<Ref>) -> PyResult<()> {
        let first = self.gathering(|gathering| {
            let first = gathering.cancelled.is_none();
            if first {
                gathering.cancelled = Some(message.clone());
            }
            first
        });
        if first == Some(false) {
            return self.cancel_again(py, message.as_ref());
        }
        self.leave_all(py, me, message.as_ref(), true)?;
        if self.gathering(|gathering| gathering.is_complete()) == Some(true) {
            drop(self.swap(State::Cancelled(message)));
            self.wake(py, me, Wake::Soon)?;
        }
        Ok(())
    }

    /// Leaves every flight that the call waits for; those that have to unwind first keep it when
    /// `unwinding` says so.
    pub fn leave_all(
        &self,
        py: Python<'_>,
        me: &Ref,
        message: Option<&Ref>,
        unwinding: bool,
    ) -> PyResult<()> {
        let mut result = Ok(());
        let count = self.gathering(|gathering| gathering.places.len()).unwrap_or(0);
        for number in 0..count {
            let Some(seat) = self.gathering(|gathering| gathering.seat(number)).flatten() else { continue };
            let flight = Flight::of(&seat.flight, py);
            let left = flight.leave(py, &seat, me, message);
            if matches!(left, Ok(true)) && unwinding {
                continue;
            }
            // The place may have changed while the load was told.
            let seat = self.gathering(|gathering| gathering.seat(number)).flatten();
            if let Some(seat) = seat {
                flight.remove_waiter(&seat, me);
            }
            let nothing = Outcome::Value(Ref::none());
            drop(self.gathering(|gathering| gathering.settle(number as u32, nothing)));
            result = result.and(left.map(drop));
        }
        result
    }

    /// Cancels once more the loads that the cancelled call waits for.
    pub fn cancel_again(&self, py: Python<'_>, message: Option<&Ref>) -> PyResult<()> {
        let count = self.gathering(|gathering| gathering.places.len()).unwrap_or(0);
        for number in 0..count {
            if let Some(seat) = self.gathering(|gathering| gathering.seat(number)).flatten() {
                Flight::of(&seat.flight, py).cancel_load(py, message)?;
            }
        }
        Ok(())
    }
}

impl FirstStep<'_> {
    /// Seats the call in the flights of all that was not found, and launches what is new.
    fn run(&self, py: Python<'_>, items: Vec<Item>) -> PyResult<()> {
        let (mut batches, mut events) = (Vec::new(), Vec::new());
        let seated = self.seat_all(py, items, &mut batches, &mut events);
        // Listeners are told when all is seated: what they call joins these flights.
        for (event, key) in &events {
            event::tell(py, *event, self.function_ref, key);
        }
        if let Err(error) = seated {
            let failure = Failure::new(py, error);
            for batch in &batches {
                Flight::of(batch, py).give_up_batch(py, failure.clone())?;
            }
            self.wait.leave_all(py, &self.me, None, false)?;
            drop(self.wait.swap(State::Spent));
            return Err(failure.raise(py));
        }
        let mut result = Ok(());
        for batch in &batches {
            result = result.and(self.launch(py, batch));
        }
        result
    }

    fn launch(&self, py: Python<'_>, batch: &Ref) -> PyResult<()> {
        match self.form {
            Form::All | Form::Refresh => batch::launch(py, batch),
            Form::One => batch::launch_soon(py, batch),
        }
    }

    fn seat_all(
        &self,
        py: Python<'_>,
        items: Vec<Item>,
        batches: &mut Vec<Ref>,
        events: &mut Vec<(Event<'_>, Key)>,
    ) -> PyResult<()> {
        let mut room = 0;
        let mut stale = Vec::new();
        for item in items {
            if let Some(value) = item.value {
                self.wait.gathering(|gathering| gathering.know(item.asked, Outcome::Value(value)));
                continue;
            }
            if let Some(freshness) = self.freshness() {
                let reply = self.target(&item).reply(py, freshness)?;
                events.extend(reply.event().map(|event| (event, item.key.clone())));
                match &reply {
                    Reply::Refresh(_) => stale.push(item.clone()),
                    Reply::Load { fallback: true } => self.has_fallback.set(true),
                    _ => {}
                }
                if let Some(outcome) = reply.outcome() {
                    self.wait.gathering(|gathering| gathering.know(item.asked, outcome));
                    continue;
                }
            }
            let target = self.target(&item);
            let asked = &item.asked;
            let tags = match target.approach(py, || self.arguments_of(asked))? {
                Approach::Start(tags) => tags,
                Approach::Join(flight) => {
                    Flight::of(&flight, py).join(py, self.current)?;
                    counts::join(self.site.shelf.counter());
                    self.sit(py, asked, flight);
                    events.push((Event::Join, item.key));
                    continue;
                }
            };
            counts::miss(self.site.shelf.counter());
            let batch = self.batch(py, batches, &mut room)?;
            let flight = batch::board(py, &batch, &target, tags, asked, self.current)?;
            self.sit(py, asked, flight);
            events.push((Event::Miss, item.key));
        }
        match self.freshness() {
            Some(freshness) => self.refresh(py, freshness, &stale, events),
            None => Ok(()),
        }
    }

    /// What stale entries may still be used for, unless the user asked for a load of all keys.
    fn freshness(&self) -> Option<&Freshness> {
        Function::of(self.function_ref).freshness.as_ref().filter(|_| self.form != Form::Refresh)
    }

    fn target<'b>(&'b self, item: &'b Item) -> Target<'b> {
        Target {
            function: self.function_ref,
            site: self.site,
            key: &item.key,
            hash: item.hash,
            event_loop: &self.event_loop,
        }
    }

    /// The arguments of a call for one key.
    fn arguments_of(&self, asked: &Ref) -> Arguments {
        self.arguments.clone().with(self.place, asked.clone())
    }

    /// Starts loads of stale entries that nobody waits for.
    fn refresh(
        &self,
        py: Python<'_>,
        freshness: &Freshness,
        stale: &[Item],
        events: &mut Vec<(Event<'_>, Key)>,
    ) -> PyResult<()> {
        let mut batches = Vec::new();
        let mut result = self.board_stale(py, freshness, stale, &mut batches, events);
        // What has boarded is listed: it is loaded whatever becomes of the rest.
        for batch in &batches {
            result = result.and(self.launch(py, batch));
        }
        result
    }

    fn board_stale(
        &self,
        py: Python<'_>,
        freshness: &Freshness,
        stale: &[Item],
        batches: &mut Vec<Ref>,
        events: &mut Vec<(Event<'_>, Key)>,
    ) -> PyResult<()> {
        let mut room = 0;
        for item in stale {
            let approach = self.target(item).approach(py, || self.arguments_of(&item.asked))?;
            let Approach::Start(tags) = approach else { continue };
            let Some(batch) = self.refresh_batch(py, freshness, batches, &mut room)? else { break };
            let flight = batch::board(py, &batch, &self.target(item), tags, &item.asked, None)?;
            Flight::of(&flight, py).keep_for_nobody();
            counts::refresh(self.site.shelf.counter());
            events.push((Event::Refresh, item.key.clone()));
        }
        Ok(())
    }

    fn sit(&self, py: Python<'_>, asked: &Ref, flight: Ref) {
        let Some(number) = self.wait.gathering(|gathering| gathering.next()) else { return };
        let position = Flight::of(&flight, py).add_waiter(Waiter { call: self.me.clone(), number });
        let seat = Seat { flight, position, current: self.current, number };
        self.wait.gathering(|gathering| gathering.sit(asked.clone(), seat));
    }

    /// The batch that loads the next key: one with room, or a new one.
    fn batch(&self, py: Python<'_>, batches: &mut Vec<Ref>, room: &mut usize) -> PyResult<Ref> {
        if let Some(found) = self.batch_with_room(py, batches, room, false) {
            return Ok(found);
        }
        self.new_batch(py, batches, room, self.current)
    }

    /// The same for a key that is loaded for nobody; `None` when there are too many such loads.
    fn refresh_batch(
        &self,
        py: Python<'_>,
        freshness: &Freshness,
        batches: &mut Vec<Ref>,
        room: &mut usize,
    ) -> PyResult<Option<Ref>> {
        if let Some(found) = self.batch_with_room(py, batches, room, true) {
            return Ok(Some(found));
        }
        let Some(refresh) = freshness.begin_refresh() else { return Ok(None) };
        let batch = self.new_batch(py, batches, room, None)?;
        Flight::of(&batch, py).state().refresh = Some(refresh);
        Ok(Some(batch))
    }

    /// The last of the call's own batches, or one that other calls have opened in this round.
    fn batch_with_room(
        &self,
        py: Python<'_>,
        batches: &[Ref],
        room: &mut usize,
        for_nobody: bool,
    ) -> Option<Ref> {
        if let Some(last) = batches.last().filter(|_| *room > 0) {
            *room -= 1;
            return Some(last.clone());
        }
        if self.form != Form::One {
            return None;
        }
        let wanted = |flight: &Flight, batch: &Batch| {
            flight.state().refresh.is_some() == for_nobody
                && batch.has_room(self.many.max_batch)
                && batch.suits(&self.arguments, self.place)
        };
        batch::find_open(py, &self.many.open(), self.site, &self.event_loop, wanted)
    }

    fn new_batch(
        &self,
        py: Python<'_>,
        batches: &mut Vec<Ref>,
        room: &mut usize,
        current: Option<FlightId>,
    ) -> PyResult<Ref> {
        let batch = Batch::new(self.arguments.clone(), self.place);
        let started = batch::start(py, self.function_ref, self.site, &self.event_loop, batch, current)?;
        if self.form == Form::One
            && let Some(id) = Flight::of(&started, py).state().id
        {
            self.many.note_open(id);
        }
        batches.push(started.clone());
        *room = self.many.max_batch - 1;
        Ok(started)
    }
}
