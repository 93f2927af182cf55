//! What a [`Wait`](crate::wait::Wait) is at: the states that `wait.rs` draws.

use aiocachetools_core::flight::FlightId;

use crate::arguments::Arguments;
use crate::gathering::Gathering;
use crate::key::Key;
use crate::many::NewMany;
use crate::object::Ref;
use crate::outcome::Outcome;
use crate::site::Site;

/// A call that missed and has not been stepped.
pub struct New {
    /// The cache, where it is not the function's own fixed one.
    pub site: Option<Site>,
    pub key: Key,
    pub hash: u64,
    pub arguments: Arguments,
    /// The user asked for a load, whatever there is.
    pub refresh: bool,
}

/// What a waiter has of the flight it is in.
#[derive(Clone)]
pub struct Seat {
    pub flight: Ref,
    pub position: usize,
    pub current: Option<FlightId>,
    /// Which of the call's keys is loaded there.
    pub number: u32,
}

pub enum State {
    New(Box<New>),
    NewMany(Box<NewMany>),
    /// In a step: nothing to hold.
    Starting,
    Waiting(Seat),
    Gathering(Box<Gathering>),
    Unwinding(Seat, Option<Ref>),
    Landed(Outcome),
    Cancelled(Option<Ref>),
    Spent,
}

impl State {
    /// The references that the state holds, for the garbage collector.
    pub fn parts(&self) -> Box<dyn Iterator<Item = &Ref> + '_> {
        match self {
            State::New(new) => {
                let site = new.site.iter().flat_map(Site::parts);
                Box::new(new.arguments.parts().chain(new.key.parts()).chain(site))
            }
            State::NewMany(new) => {
                let site = new.site.iter().flat_map(Site::parts);
                let items = new
                    .items
                    .iter()
                    .flat_map(|item| [&item.asked].into_iter().chain(item.key.parts()).chain(&item.value));
                Box::new(new.arguments.parts().chain(items).chain(site))
            }
            State::Gathering(gathering) => Box::new(gathering.parts()),
            State::Waiting(seat) => Box::new([&seat.flight].into_iter()),
            State::Unwinding(seat, message) => Box::new(message.iter().chain([&seat.flight])),
            State::Landed(outcome) => outcome.parts(),
            State::Cancelled(message) => Box::new(message.iter()),
            State::Starting | State::Spent => Box::new(std::iter::empty()),
        }
    }
}
