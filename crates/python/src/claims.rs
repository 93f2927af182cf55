//! Who uses the plain keys of a cache.
//!
//! Two functions on one cache never see each other's entries, unless both were given `key=`.
//! The first function on a cache has its keys as they are.  A further one has its mark in its
//! keys, unless it and all before it were given `key=`: then their user has seen to it.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::instance::{AddressMap, Guard};
use crate::object::{GilCell, Ref};

struct Record {
    /// Tells another cache at the same address; absent where nothing about the cache has weak
    /// references, and then `holders` keep it alive.
    guard: Option<Guard>,
    holders: usize,
    all_keyed: bool,
}

static CLAIMS: LazyLock<GilCell<AddressMap<Record>>> = LazyLock::new(|| GilCell::new(HashMap::default()));

fn claims<'a>() -> &'a mut AddressMap<Record> {
    // SAFETY: the GIL is held; each use ends before Python code can run.
    unsafe { CLAIMS.get() }
}

impl Record {
    fn is_current(&self) -> bool {
        self.guard.as_ref().is_none_or(Guard::is_alive)
    }
}

/// One function's registration on a cache.
pub struct Claim {
    address: usize,
}

impl Claim {
    /// Registers one more function on a cache; whether its keys need a mark.
    pub fn new(cache: &Ref, guard: Option<Guard>, keyed: bool) -> (Self, bool) {
        let address = cache.as_ptr() as usize;
        let claim = Self { address };
        if let Some(record) = claims().get_mut(&address).filter(|record| record.is_current()) {
            record.holders += 1;
            let needs_mark = !(keyed && record.all_keyed);
            return (claim, needs_mark);
        }
        prune();
        let stale = claims().insert(address, Record { guard, holders: 1, all_keyed: keyed });
        drop(stale);
        (claim, false)
    }
}

impl Drop for Claim {
    /// The claim on a cache with weak references outlives its functions: their entries are there.
    fn drop(&mut self) {
        let Some(record) = claims().get_mut(&self.address) else { return };
        record.holders = record.holders.saturating_sub(1);
        if record.holders == 0 && record.guard.is_none() {
            drop(claims().remove(&self.address));
        }
    }
}

/// Forgets the claims on caches that are gone, whenever their number has doubled.
fn prune() {
    if claims().len() < 64 || !claims().len().is_power_of_two() {
        return;
    }
    let gone: Vec<_> =
        claims().iter().filter(|(_, record)| !record.is_current()).map(|(&at, _)| at).collect();
    for address in gone {
        drop(claims().remove(&address));
    }
}
