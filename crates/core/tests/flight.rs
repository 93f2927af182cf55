//! Flights against a model that keeps everything in plain lists.

use aiocachetools_core::flight::{Circular, Departure, FlightId, Flights, OnAbandon};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// A call of `key` from within the load number `current`, if there are so many.
    Call {
        key: u8,
        current: Option<usize>,
    },
    Leave {
        waiter: usize,
        finish: bool,
    },
    Fence {
        key: u8,
    },
    Land {
        flight: usize,
    },
    TouchDown {
        flight: usize,
    },
    Keep {
        flight: usize,
    },
    GiveUp {
        flight: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4u8, proptest::option::of(0..8usize)).prop_map(|(key, current)| Step::Call { key, current }),
        3 => (0..16usize, any::<bool>()).prop_map(|(waiter, finish)| Step::Leave { waiter, finish }),
        1 => (0..4u8).prop_map(|key| Step::Fence { key }),
        1 => (0..8usize).prop_map(|flight| Step::TouchDown { flight }),
        2 => (0..8usize).prop_map(|flight| Step::Land { flight }),
        1 => (0..8usize).prop_map(|flight| Step::Keep { flight }),
        1 => (0..8usize).prop_map(|flight| Step::GiveUp { flight }),
    ]
}

#[derive(Clone, Debug)]
struct ModelFlight {
    id: FlightId,
    key: u8,
    /// May be joined.
    listed: bool,
    /// May be stored.
    good: bool,
    kept: bool,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    flight: FlightId,
    current: Option<FlightId>,
}

#[derive(Default, Debug)]
struct Model {
    flights: Vec<ModelFlight>,
    waiters: Vec<Waiter>,
}

impl Model {
    fn reaches(&self, from: FlightId, target: FlightId) -> bool {
        from == target
            || self.waiters.iter().any(|w| {
                w.current == Some(from)
                    && w.flight != from
                    && self.flying(w.flight)
                    && self.reaches(w.flight, target)
            })
    }

    fn flying(&self, id: FlightId) -> bool {
        self.flights.iter().any(|flight| flight.id == id)
    }

    fn call(&mut self, flights: &mut Flights<u8>, key: u8, current: Option<usize>) {
        let current = current.and_then(|i| self.flights.get(i)).map(|flight| flight.id);
        let hash = u64::from(key % 2);
        let found = flights
            .candidates(hash)
            .find(|&(id, &other)| other == key && flights.is_listed(id))
            .map(|(id, _)| id);
        let listed = self.flights.iter().find(|flight| flight.listed && flight.key == key).map(|f| f.id);
        assert_eq!(found, listed);
        let Some(id) = found else {
            let id = flights.start(hash, key, current);
            self.flights.push(ModelFlight { id, key, listed: true, good: true, kept: false });
            self.waiters.push(Waiter { flight: id, current });
            return;
        };
        let circular = current.is_some_and(|current| self.reaches(id, current));
        assert_eq!(flights.join(id, current), if circular { Err(Circular) } else { Ok(()) });
        if !circular {
            self.waiters.push(Waiter { flight: id, current });
        }
    }

    fn leave(&mut self, flights: &mut Flights<u8>, waiter: usize, finish: bool) {
        if waiter >= self.waiters.len() {
            return;
        }
        let waiter = self.waiters.remove(waiter);
        let on_abandon = if finish { OnAbandon::Finish } else { OnAbandon::Cancel };
        let last = !self.waiters.iter().any(|w| w.flight == waiter.flight);
        let landing = self.flights.iter().any(|f| f.id == waiter.flight && f.good && !f.listed);
        let kept = self.flights.iter().any(|f| f.id == waiter.flight && f.kept);
        let expected = match (self.flying(waiter.flight), last && !finish && !landing && !kept) {
            (false, _) => Departure::Landed,
            (true, true) => Departure::Last,
            (true, false) => Departure::Others,
        };
        assert_eq!(flights.leave(waiter.flight, waiter.current, on_abandon), expected);
        if expected == Departure::Last {
            self.flights
                .iter_mut()
                .filter(|f| f.id == waiter.flight)
                .for_each(|f| (f.listed, f.good) = (false, false));
        }
    }

    fn fence(&mut self, flights: &mut Flights<u8>, key: u8) {
        for flight in self.flights.iter_mut().filter(|flight| flight.key == key && flight.good) {
            flights.fence(flight.id);
            (flight.listed, flight.good) = (false, false);
        }
    }

    fn touch_down(&mut self, flights: &mut Flights<u8>, flight: usize) {
        if let Some(flight) = self.flights.get_mut(flight) {
            assert_eq!(flights.touch_down(flight.id), flight.listed);
            flight.listed = false;
        }
    }

    fn keep(&mut self, flights: &mut Flights<u8>, flight: usize) {
        if let Some(flight) = self.flights.get_mut(flight) {
            flights.keep(flight.id);
            flight.kept = true;
            assert!(flights.is_wanted(flight.id));
        }
    }

    fn give_up(&mut self, flights: &mut Flights<u8>, flight: usize) {
        if let Some(flight) = self.flights.get_mut(flight) {
            assert_eq!(flights.give_up(flight.id), flight.good);
            (flight.listed, flight.good, flight.kept) = (false, false, false);
            let id = flight.id;
            self.waiters.retain(|waiter| waiter.flight != id);
            assert!(!flights.is_wanted(id));
        }
    }

    fn land(&mut self, flights: &mut Flights<u8>, flight: usize) {
        if flight >= self.flights.len() {
            return;
        }
        let flight = self.flights.remove(flight);
        let landing = flights.land(flight.id).expect("it is under way");
        assert_eq!((landing.load, landing.store), (flight.key, flight.good));
        assert!(flights.land(flight.id).is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn flights_behave_as_the_model(steps in proptest::collection::vec(step(), 0..60)) {
        let (mut flights, mut model) = (Flights::new(), Model::default());
        for step in steps {
            match step {
                Step::Call { key, current } => model.call(&mut flights, key, current),
                Step::Leave { waiter, finish } => model.leave(&mut flights, waiter, finish),
                Step::Fence { key } => model.fence(&mut flights, key),
                Step::TouchDown { flight } => model.touch_down(&mut flights, flight),
                Step::Land { flight } => model.land(&mut flights, flight),
                Step::Keep { flight } => model.keep(&mut flights, flight),
                Step::GiveUp { flight } => model.give_up(&mut flights, flight),
            }
            flights.validate();
            prop_assert_eq!(flights.len(), model.flights.len());
        }
    }
}

#[test]
fn a_circle_of_two_roots_is_found() {
    let mut flights = Flights::new();
    let a = flights.start(1, 'a', None);
    let b = flights.start(2, 'b', None);
    assert_eq!(flights.join(b, Some(a)), Ok(()));
    assert_eq!(flights.join(a, Some(b)), Err(Circular));
    flights.leave(b, Some(a), OnAbandon::Cancel);
    assert_eq!(flights.join(a, Some(b)), Ok(()));
}

#[test]
fn nesting_is_counted() {
    let mut flights = Flights::new();
    let mut current = None;
    for depth in 0..5 {
        let id = flights.start(depth, (), current);
        assert_eq!(u64::from(flights.depth(id)), depth);
        current = Some(id);
    }
}

#[test]
fn an_identifier_survives_its_number_and_dies_with_its_flight() {
    let mut flights = Flights::new();
    let first = flights.start(1, "first", None);
    assert_eq!(FlightId::from_bits(first.to_bits()), first);
    flights.land(first);
    let second = flights.start(1, "second", None);
    assert_eq!(flights.get(first), None);
    assert_eq!(flights.get(second), Some(&"second"));
}

#[test]
fn a_forked_child_starts_empty() {
    let mut flights = Flights::new();
    let id = flights.start(1, "load", None);
    assert_eq!(flights.drain(), ["load"]);
    assert!(flights.is_empty() && flights.get(id).is_none());
    assert_eq!(flights.candidates(1).count(), 0);
    flights.validate();
}

#[test]
fn a_load_for_nobody_is_not_abandoned() {
    let mut flights = Flights::new();
    let refresh = flights.start_kept(1, 'a');
    assert_eq!((flights.waiters(refresh), flights.is_wanted(refresh)), (0, true));
    flights.join(refresh, None).expect("no circle");
    assert_eq!(flights.leave(refresh, None, OnAbandon::Cancel), Departure::Others);
    assert!(flights.land(refresh).expect("it is under way").store);
}

#[test]
fn a_batch_that_is_given_up_lets_its_members_land() {
    let mut flights = Flights::new();
    let batch = flights.start_batch('b', None);
    let members = [1, 2].map(|hash| flights.board(batch, hash, 'm', None));
    assert!(!flights.give_up(batch));
    flights.validate();
    for member in members {
        assert!(flights.land(member).expect("it is under way").store);
        flights.validate();
    }
    assert!(flights.land(batch).is_some());
    assert!(flights.is_empty());
}

#[test]
fn who_leaves_a_batch_that_goes_on_leaves_it_kept() {
    let mut flights = Flights::new();
    let batch = flights.start_batch('b', None);
    let [stays, goes] = [1, 2].map(|hash| flights.board(batch, hash, 'm', None));
    flights.keep(goes);
    assert_eq!(flights.leave(goes, None, OnAbandon::Finish), Departure::Others);
    assert_eq!(flights.leave(stays, None, OnAbandon::Cancel), Departure::Others);
    assert!(flights.is_wanted(batch));
}
