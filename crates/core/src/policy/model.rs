//! Runs a policy beside a naive model of it.

use proptest::collection::vec;
use proptest::prelude::*;

use super::Policy;
use crate::Slot;
use crate::slab::Slab;

/// One call; entries are chosen by a number that stands for one of those present.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Insert(u64),
    Hit(usize),
    Write(usize),
    /// A write of a value that weighs so many halves.
    Weigh(usize, u8),
    Remove(usize),
    Evict(usize),
    EvictVictim,
    Clear,
}

/// Sequences of steps over a few hashes, so that they come again.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..40u64).prop_map(Step::Insert),
        12 => any::<usize>().prop_map(Step::Hit),
        4 => any::<usize>().prop_map(Step::Write),
        1 => (any::<usize>(), 0..9u8).prop_map(|(number, halves)| Step::Weigh(number, halves)),
        2 => any::<usize>().prop_map(Step::Remove),
        1 => any::<usize>().prop_map(Step::Evict),
        8 => Just(Step::EvictVictim),
        1 => Just(Step::Clear),
    ];
    vec(step, 0..300)
}

/// The slots in use, as a store would hand them out.
#[derive(Default)]
struct Present {
    slab: Slab<u64>,
    slots: Vec<Slot>,
}

impl Present {
    fn insert(&mut self, hash: u64) -> Slot {
        let slot = self.slab.insert(hash);
        self.slots.push(slot);
        slot
    }

    fn pick(&self, number: usize) -> Option<Slot> {
        self.slots.get(number % self.slots.len().max(1)).copied()
    }

    fn remove(&mut self, slot: Slot) {
        self.slab.remove(slot);
        self.slots.retain(|&other| other != slot);
    }
}

/// Applies every step to both and checks, after each, that they agree on the victim.
pub(super) fn agree(steps: &[Step], mut policy: impl Policy, mut model: impl Policy) {
    let mut present = Present::default();
    for &step in steps {
        take(step, &mut present, &mut policy, &mut model);
        policy.validate(&present.slots);
        assert_eq!(policy.victim(), model.victim(), "after {step:?}");
        policy.validate(&present.slots);
    }
}

/// Applies every step and checks, after each, that the victim is there and stays the same.
pub(super) fn hold(steps: &[Step], mut policy: impl Policy) {
    let mut present = Present::default();
    for &step in steps {
        take(step, &mut present, &mut policy, &mut Nothing);
        policy.validate(&present.slots);
        let victim = policy.victim();
        assert_eq!(victim.is_none(), present.slots.is_empty(), "after {step:?}");
        assert!(victim.is_none_or(|slot| present.slots.contains(&slot)), "after {step:?}");
        assert_eq!(policy.victim(), victim, "after {step:?}");
        policy.validate(&present.slots);
    }
}

fn take(step: Step, present: &mut Present, policy: &mut impl Policy, model: &mut impl Policy) {
    let picked = match step {
        Step::Hit(number)
        | Step::Write(number)
        | Step::Weigh(number, _)
        | Step::Remove(number)
        | Step::Evict(number) => present.pick(number),
        Step::EvictVictim => policy.victim(),
        Step::Insert(_) | Step::Clear => None,
    };
    match (step, picked) {
        (Step::Insert(hash), _) => {
            let slot = present.insert(hash);
            policy.insert(slot, hash);
            model.insert(slot, hash);
        }
        (Step::Clear, _) => {
            *present = Present::default();
            policy.clear();
            model.clear();
        }
        (_, None) => {}
        (Step::Hit(_), Some(slot)) => {
            policy.hit(slot);
            model.hit(slot);
        }
        (Step::Write(_), Some(slot)) => {
            policy.write(slot);
            model.write(slot);
        }
        (Step::Weigh(_, halves), Some(slot)) => {
            policy.write(slot);
            policy.weigh(slot, f64::from(halves) / 2.0);
            model.write(slot);
        }
        (Step::Remove(_), Some(slot)) => {
            present.remove(slot);
            policy.remove(slot);
            model.remove(slot);
        }
        (Step::Evict(_) | Step::EvictVictim, Some(slot)) => {
            present.remove(slot);
            policy.evict(slot);
            model.evict(slot);
        }
    }
}

/// A model that says nothing.
struct Nothing;

impl Policy for Nothing {
    fn insert(&mut self, _slot: Slot, _hash: u64) {}
    fn hit(&mut self, _slot: Slot) {}
    fn write(&mut self, _slot: Slot) {}
    fn victim(&mut self) -> Option<Slot> {
        None
    }
    fn remove(&mut self, _slot: Slot) {}
    fn clear(&mut self) {}
    fn validate(&self, _resident: &[Slot]) {}
}

/// The model of the policies that keep one list: which calls send an entry to its end?
#[derive(Default)]
pub(super) struct Line {
    slots: Vec<Slot>,
    hits_move: bool,
    writes_move: bool,
}

impl Line {
    pub(super) fn new(hits_move: bool, writes_move: bool) -> Self {
        Self { slots: Vec::new(), hits_move, writes_move }
    }

    fn move_back(&mut self, slot: Slot) {
        self.remove(slot);
        self.slots.push(slot);
    }
}

impl Policy for Line {
    fn insert(&mut self, slot: Slot, _hash: u64) {
        self.slots.push(slot);
    }

    fn hit(&mut self, slot: Slot) {
        if self.hits_move {
            self.move_back(slot);
        }
    }

    fn write(&mut self, slot: Slot) {
        if self.writes_move {
            self.move_back(slot);
        }
    }

    fn victim(&mut self) -> Option<Slot> {
        self.slots.first().copied()
    }

    fn remove(&mut self, slot: Slot) {
        self.slots.retain(|&other| other != slot);
    }

    fn clear(&mut self) {
        self.slots.clear();
    }

    fn validate(&self, _resident: &[Slot]) {}
}
