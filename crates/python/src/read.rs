//! Lookups: what a cache is asked without changing more than its policy.

#![allow(unsafe_code)]

use aiocachetools_core::Slot;
use aiocachetools_core::tags::Stamp;
use pyo3::prelude::*;

use crate::cache::{Cache, absent};
use crate::hooks::Hooks;
use crate::key::{self, Key, Query};
use crate::object::{self, Equality, Ref};
use crate::timer::{Frozen, Timer};

/// An entry as it is kept.
pub struct Kept {
    pub value: Ref,
    pub fresh_until: f64,
    pub now: f64,
    pub tags: Option<Stamp>,
}

impl Cache {
    /// The value of a key, read as `self[key]` does; `None` when it is absent or expired.
    #[inline(always)]
    pub fn lookup(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<Option<Ref>> {
        let Some((slot, true)) = self.locate(py, hash, query)? else {
            self.count(|stats| stats.misses += 1);
            self.within(|store| store.miss(hash));
            return Ok(None);
        };
        self.count(|stats| stats.hits += 1);
        self.within(|store| store.hit(slot));
        Ok(Some(self.within(|store| store.value(slot).clone())))
    }

    /// Whether a key is there and fresh; touches nothing.
    #[inline]
    pub fn peek(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<bool> {
        Ok(matches!(self.locate(py, hash, query)?, Some((_, true))))
    }

    /// Where a key is, fresh or not, as of now: no user code has run since.
    #[inline(always)]
    pub fn find(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<Option<Slot>> {
        let Query::Object(asked) = *query else { return key::find(&self.store, hash, query, py) };
        let mut ask = false;
        let found = self.within(|store| {
            store.find(hash, |key| {
                let equality = match key {
                    // SAFETY: both objects are alive.
                    Key::Object(kept) => unsafe { object::equality(kept.as_ptr(), asked) },
                    Key::One(_) | Key::Many(_) => Equality::Ask,
                };
                ask |= equality == Equality::Ask;
                equality == Equality::Same
            })
        });
        if found.is_none() && ask { key::find(&self.store, hash, query, py) } else { Ok(found) }
    }

    /// Where a key is and whether it is fresh, as of now: no user code has run since.
    #[inline(always)]
    pub fn locate(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<Option<(Slot, bool)>> {
        let found = self.find(py, hash, query)?;
        match found {
            Some(slot) if self.flags().perishable => match self.tells_freshness(slot) {
                Some(fresh) => Ok(Some((slot, fresh))),
                None => self.locate_perishable(py, hash, query, slot),
            },
            found => Ok(found.map(|slot| (slot, true))),
        }
    }

    /// The same where entries may cease to be good.
    #[inline(never)]
    fn locate_perishable(
        &self,
        py: Python<'_>,
        hash: u64,
        query: &Query<'_>,
        slot: Slot,
    ) -> PyResult<Option<(Slot, bool)>> {
        let Some(timer) = self.timer(py) else {
            return Ok(Some((slot, !self.within(|store| store.is_revoked(slot)))));
        };
        let version = self.within(|store| store.version());
        let now = timer.get().now(py)?.seconds;
        let found = if self.within(|store| store.version()) == version {
            Some(slot)
        } else {
            self.find(py, hash, query)?
        };
        Ok(found.map(|slot| (slot, now < self.within(|store| store.fresh_until(slot)))))
    }

    /// Whether the entry in a slot is fresh; `None` where Python must be asked for the time.
    #[inline(never)]
    fn tells_freshness(&self, slot: Slot) -> Option<bool> {
        self.reads_clock().then(|| self.is_fresh_by_clock(slot))
    }

    /// What there is of a key, fresh or kept for later: the value, until when it is or was fresh,
    /// and the time.
    pub fn kept(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<Option<Kept>> {
        let Some(frozen) = self.freeze(py)? else { return Ok(None) };
        let now = frozen.time.seconds;
        let Some(slot) = self.find(py, hash, query)? else { return Ok(None) };
        Ok(self.within(|store| {
            let (value, fresh_until) = (store.value(slot).clone(), store.fresh_until(slot));
            let tags = store.stamp(slot).cloned();
            let kept = now < store.deadline(slot) && !store.is_revoked(slot);
            kept.then_some(Kept { value, fresh_until, now, tags })
        }))
    }

    /// The time of a cache that has one.
    pub fn time(&self, py: Python<'_>) -> PyResult<f64> {
        Ok(self.freeze(py)?.map_or(0.0, |frozen| frozen.time.seconds))
    }

    /// How many entries are fresh; what has expired was removed, and time stands still if there is any.
    pub fn count_fresh(&self, now: f64) -> usize {
        self.within(|store| {
            if !store.keeps_stale() {
                return store.len();
            }
            let slots = std::iter::successors(store.first(), |&slot| store.next(slot));
            slots.filter(|&slot| now < store.fresh_until(slot)).count()
        })
    }

    /// Whether the time can be told without Python.
    #[inline]
    pub fn reads_clock(&self) -> bool {
        self.part(|parts| parts.timer.as_ref().is_some_and(|timer| timer.get().is_clock()))
    }

    /// Whether the entry in a slot has not expired.
    #[inline]
    pub fn is_fresh(&self, py: Python<'_>, slot: Slot) -> PyResult<bool> {
        if self.reads_clock() {
            return Ok(self.is_fresh_by_clock(slot));
        }
        let deadline = self.within(|store| store.fresh_until(slot));
        match self.timer(py) {
            Some(timer) => Ok(timer.get().now(py)?.seconds < deadline),
            None => Ok(!self.within(|store| store.is_revoked(slot))),
        }
    }

    /// The same where the clock can be read.
    #[inline]
    pub fn is_fresh_by_clock(&self, slot: Slot) -> bool {
        !crate::clock::passed(self.within(|store| store.fresh_until(slot)))
    }

    /// Stops the time of a cache that has one.
    #[inline]
    pub fn freeze<'py>(&self, py: Python<'py>) -> PyResult<Option<Frozen<'py>>> {
        if !self.flags().timed {
            return Ok(None);
        }
        self.timer(py).map(|timer| Timer::freeze(&timer)).transpose()
    }

    /// Removes what has expired and stops the time, so that what is left stays.
    pub fn settle<'py>(&self, py: Python<'py>) -> PyResult<Option<Frozen<'py>>> {
        let frozen = self.freeze(py)?;
        if let Some(frozen) = &frozen {
            self.expire_by_hook(py, &frozen.time)?;
        }
        Ok(frozen)
    }

    /// What `self[key]` gives for a key that is not there.
    pub fn miss<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        hash: u64,
        query: &Query<'_>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        if !this.flags().hooks.has(Hooks::MISSING) {
            return Err(absent(key));
        }
        let value = slf.call_method1("__missing__", (key,))?;
        if !this.flags().timed
            && let Some(slot) = this.find(py, hash, query)?
        {
            this.within(|store| store.hit(slot));
        }
        Ok(value)
    }

    /// The size as Python shows it: an integer unless a fraction was seen.
    pub fn size<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let size = self.within(|store| store.currsize());
        if self.flags().sizes.fractional || size.abs() >= 9e15 {
            return Ok(size.into_pyobject(py)?.into_any());
        }
        Ok((size as i64).into_pyobject(py)?.into_any())
    }
}
