//! Who uses the plain keys of a cache.
//!
//! Two functions on one cache never see each other's entries, unless both were given `key=`.
//! The first function on a cache has its keys as they are.  A further one has its mark in its
//! keys, unless it and all before it were given `key=`: then their user has seen to it.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::sync::LazyLock;

use pyo3::prelude::*;

use crate::instance::{self, AddressMap, referent};
use crate::object::{GilCell, Ref};


struct Claim {
    /// Guards against another cache at the same address; absent where the cache has no weak
    /// references, and then `holders` keep it alive.
    cache: Option<Ref>,
    holders: usize,
    all_keyed: bool,
}

static CLAIMS: LazyLock<GilCell<AddressMap<Claim>>> = LazyLock::new(|| GilCell::new(HashMap::default()));

fn claims<'a>() -> &'a mut AddressMap<Claim> {
    // SAFETY: the GIL is held; each use ends before Python code can run.
    unsafe { CLAIMS.get() }
}

/// Registers one more function on a cache; whether its keys need a mark.
pub fn claim(py: Python<'_>, cache: &Ref, keyed: bool) -> bool {
    let address = cache.as_ptr() as usize;
    let guard = instance::weak(py, cache.as_ptr());
    // SAFETY: a claim's cache is an exact weak reference.
    let alive = |claim: &Claim| claim.cache.as_ref().is_none_or(|weak| unsafe { referent(weak) } == cache.as_ptr());
    if let Some(claim) = claims().get_mut(&address).filter(|claim| alive(claim)) {
        claim.holders += 1;
        return !(keyed && claim.all_keyed);
    }
    let stale = claims().insert(address, Claim { cache: guard, holders: 1, all_keyed: keyed });
    drop(stale);
    false
}

/// A function that registered is gone.
pub fn release(cache: &Ref) {
    let address = cache.as_ptr() as usize;
    let Some(claim) = claims().get_mut(&address) else { return };
    claim.holders = claim.holders.saturating_sub(1);
    if claim.holders == 0 && claim.cache.is_none() {
        drop(claims().remove(&address));
    } else if claims().len() > 64 && claims().len().is_power_of_two() {
        prune();
    }
}

/// Forgets the claims on caches that are gone.
fn prune() {
    // SAFETY: a claim's cache is an exact weak reference.
    let dead = |claim: &Claim| claim.cache.as_ref().is_some_and(|weak| {
        // SAFETY: as above; `None` is what a cleared reference points to.
        unsafe { referent(weak) == pyo3::ffi::Py_None() }
    });
    let gone: Vec<_> = claims().iter().filter(|(_, claim)| dead(claim)).map(|(&address, _)| address).collect();
    for address in gone {
        drop(claims().remove(&address));
    }
}
