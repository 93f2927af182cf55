//! Who waits for whom: a load that calls for another one's key waits for that.

use std::error::Error;
use std::fmt;

use super::{Company, Flight, FlightId, Flights};

/// The call would wait for a load that waits for the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Circular;

impl fmt::Display for Circular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call would wait for itself")
    }
}

impl Error for Circular {}

impl<T> Flights<T> {
    /// The flight whose load a flight waits for to land: its batch, or itself.
    pub(super) fn node(&self, id: FlightId) -> FlightId {
        match self.flight(id) {
            Some(&Flight { company: Company::In(batch), .. }) => batch,
            _ => id,
        }
    }

    pub(super) fn note_wait(&mut self, current: Option<FlightId>, id: FlightId) {
        let Some(current) = current else { return };
        let Some(mut waits_for) =
            self.flight_mut(current).map(|flight| std::mem::take(&mut flight.waits_for))
        else {
            return;
        };
        waits_for.retain(|&other| self.flight(other).is_some());
        waits_for.push(id);
        if let Some(flight) = self.flight_mut(current) {
            flight.waits_for = waits_for;
        }
    }

    pub(super) fn forget_wait(&mut self, current: Option<FlightId>, id: FlightId) {
        let Some(flight) = current.and_then(|current| self.flight_mut(current)) else { return };
        if let Some(at) = flight.waits_for.iter().position(|&other| other == id) {
            flight.waits_for.swap_remove(at);
        }
    }

    /// Whether `from` is, or waits directly or through others for, `target`.
    pub(super) fn waits(&self, from: FlightId, target: FlightId) -> bool {
        let mut seen = Vec::new();
        let mut next = vec![from];
        while let Some(id) = next.pop() {
            let id = self.node(id);
            if id == target {
                return true;
            }
            if !seen.contains(&id) {
                seen.push(id);
                next.extend(self.flight(id).map_or(&[][..], |flight| &flight.waits_for));
            }
        }
        false
    }
}
