//! Changes: storing and removing, as cachetools does them.

use aiocachetools_core::Slot;
use aiocachetools_core::store::Store;
use aiocachetools_core::tags::Stamp;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyMapping};

use crate::cache::{self, Cache, Pair};
use crate::hooks::Hooks;
use crate::key::{Key, PyStore, Query};
use crate::kind::Kind;
use crate::object::Ref;
use crate::own::Own;
use crate::removal::{Departed, Departures, RemovalCause};
use crate::timer::Moment;

/// What a value is stored with.
#[derive(Clone, Copy)]
struct Terms<'a> {
    weight: f64,
    /// The weight is that of this value, not one for all.
    weighed: bool,
    /// The weight is not an integer.
    fractional: bool,
    /// Until when the value is kept.
    deadline: f64,
    /// Until when it is fresh, where that is sooner.
    fresh_until: f64,
    /// What has expired by then makes room.
    now: f64,
    tags: Option<&'a Stamp>,
}

impl Terms<'_> {
    const PLAIN: Self = Self {
        weight: 1.0,
        weighed: false,
        fractional: false,
        deadline: f64::INFINITY,
        fresh_until: f64::INFINITY,
        now: f64::NEG_INFINITY,
        tags: None,
    };

    /// Whether nothing but the value changes where it replaces another on such terms.
    #[inline]
    fn are_plain(&self) -> bool {
        self.now == f64::NEG_INFINITY && !self.weighed && self.tags.is_none()
    }
}

impl Cache {
    /// Stores a value as the decorators do: without fencing.
    pub fn store_value(&self, py: Python<'_>, hash: u64, query: &Query<'_>, value: Ref) -> PyResult<()> {
        let key = query.keep(py)?;
        self.assign(py, hash, query, || key, value)
    }

    /// Whether nothing of the usual weight is ever stored.
    pub fn has_no_room(&self) -> bool {
        !self.flags().sizes.sized && self.within(|store| store.maxsize()) < 1.0
    }

    /// Removes a key without fencing; whether a fresh entry was there.
    pub fn discard(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<bool> {
        self.take(py, hash, query, RemovalCause::Explicit)
    }

    /// `self[key] = value`, but for fencing.
    #[inline]
    pub fn assign(
        &self,
        py: Python<'_>,
        hash: u64,
        query: &Query<'_>,
        key: impl FnOnce() -> Key,
        value: Ref,
    ) -> PyResult<()> {
        match self.plain_terms() {
            Some(terms) if terms.weight <= self.within(|store| store.maxsize()) => {
                self.put(py, hash, query, key, value, terms)
            }
            _ => self.assign_by_hooks(py, hash, query, key(), value, Own::NOTHING),
        }
    }

    /// The same with what this value has of its own.
    pub fn assign_own(
        &self,
        py: Python<'_>,
        hash: u64,
        query: &Query<'_>,
        key: Key,
        value: Ref,
        own: Own<'_>,
    ) -> PyResult<()> {
        if own.has_times() {
            self.begin_deadlines(py, None)?;
        }
        if own.tags.is_some() {
            self.set_flags(|flags| flags.perishable = true);
        }
        if own.weight.is_some() {
            self.set_flags(|flags| (flags.sizes.weighted, flags.asks) = (true, true));
        }
        self.assign_by_hooks(py, hash, query, key, value, own)
    }

    /// `self[key] = value` where Python has to be asked about the time, the size or the victim.
    #[inline(never)]
    fn assign_by_hooks(
        &self,
        py: Python<'_>,
        hash: u64,
        query: &Query<'_>,
        key: Key,
        value: Ref,
        own: Own<'_>,
    ) -> PyResult<()> {
        let mut terms = Terms { tags: own.tags, ..Terms::PLAIN };
        let frozen = self.freeze(py)?;
        if let Some(frozen) = &frozen {
            terms.now = frozen.time.seconds;
            let due = match own.ttl {
                Some(ttl) => {
                    self.expire_by_hook(py, &frozen.time)?;
                    Some(terms.now + ttl).filter(|&due| terms.now < due || own.keep > 0.0)
                }
                None => self.terms_of_time(py, &frozen.time, &key, &value)?,
            };
            let Some(due) = due else {
                return self.take(py, hash, query, RemovalCause::Replaced).map(drop);
            };
            let due = due + own.jitter;
            terms.deadline = due + own.keep;
            terms.fresh_until = match own {
                Own { failed: true, .. } => f64::NEG_INFINITY,
                Own { keep: 0.0, .. } => f64::INFINITY,
                _ => due,
            };
        }
        terms.weighed = self.flags().sizes.weighted;
        if own.failed {
            terms.weight = self.weight_found(py, hash, query)?;
            terms.weighed |= self.flags().sizes.sized;
        } else if let Some(weight) = own.weight {
            (terms.weight, terms.fractional) = (weight, weight.fract() != 0.0);
        } else if self.flags().sizes.sized {
            terms.weighed = true;
            (terms.weight, terms.fractional) = self.weigh(py, &value)?;
        }
        if terms.weight > self.within(|store| store.maxsize()) {
            return Err(PyValueError::new_err("value too large"));
        }
        if !self.flags().evicts_by_popitem {
            return self.put(py, hash, query, || key, value, terms);
        }
        let room = self.make_room_by_popitem(py, hash, query, terms.weight);
        let stored = room.and_then(|()| self.put(py, hash, query, || key, value, terms));
        self.tell_waiting(py);
        stored
    }

    /// The terms of an entry of a cache that needs no Python to know them.
    #[inline]
    fn plain_terms(&self) -> Option<Terms<'static>> {
        if self.flags().asks {
            return None;
        }
        if self.kind != Kind::Ttl {
            return Some(Terms::PLAIN);
        }
        let ttl = self.part(|parts| parts.ttl.as_ref().and_then(|ttl| ttl.seconds))?;
        if !self.reads_clock() {
            return None;
        }
        let now = crate::clock::precise();
        Some(Terms { deadline: now + ttl, now, ..Terms::PLAIN })
    }

    /// When an entry expires that is stored now; `None` if it already has.
    fn terms_of_time(&self, py: Python<'_>, now: &Moment, key: &Key, value: &Ref) -> PyResult<Option<f64>> {
        let Some(timer) = self.timer(py) else { return Ok(Some(f64::INFINITY)) };
        let (ttl, ttu) = self.part(|parts| (parts.ttl.clone(), parts.ttu.clone()));
        if let Some(ttl) = ttl {
            let deadline = timer.get().after(py, now, &ttl)?;
            self.expire_by_hook(py, now)?;
            return Ok(Some(deadline));
        }
        self.expire_by_hook(py, now)?;
        let Some(ttu) = ttu else { return Ok(Some(f64::INFINITY)) };
        let due = ttu.bound(py).call1((key.object(py)?, value.bound(py), now.object(py)))?;
        let due = timer.get().seconds(&due)?;
        Ok(Some(due).filter(|&due| now.seconds < due))
    }

    /// The weight of what is stored under a key; one where nothing is.
    fn weight_found(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<f64> {
        let found = self.find(py, hash, query)?;
        Ok(found.map_or(1.0, |slot| self.within(|store| store.weight(slot))))
    }

    /// The weight of a value by `getsizeof`, and whether it is not an integer.
    fn weigh(&self, py: Python<'_>, value: &Ref) -> PyResult<(f64, bool)> {
        let size = self.object(py).call_method1("getsizeof", (value.bound(py),))?;
        let weight: f64 = size.extract()?;
        if weight < 0.0 || weight.is_nan() {
            return Err(PyValueError::new_err("value size must be non-negative"));
        }
        if weight == f64::INFINITY {
            return Err(PyValueError::new_err("value too large"));
        }
        Ok((weight, size.is_instance_of::<PyFloat>() || weight.fract() != 0.0))
    }

    /// Stores a value on its terms; makes room by itself.
    #[inline]
    fn put(
        &self,
        py: Python<'_>,
        hash: u64,
        query: &Query<'_>,
        key: impl FnOnce() -> Key,
        value: Ref,
        terms: Terms<'_>,
    ) -> PyResult<()> {
        match self.find(py, hash, query)? {
            Some(slot) if terms.are_plain() && !self.flags().listened => self.replace_plain(slot, value),
            None if terms.are_plain() => self.insert_plain(py, hash, key(), value),
            found => self.put_at(py, found, hash, key(), value, terms),
        }
        Ok(())
    }

    /// Whether [`Cache::replace_plain`] and [`Cache::insert_plain`] are how values are stored.
    #[inline]
    pub fn stores_plainly(&self) -> bool {
        let flags = self.flags();
        !flags.asks
            && !flags.listened
            && self.kind != Kind::Ttl
            && self.within(|store| 1.0 <= store.maxsize())
    }

    /// Stores another value where each counts one, none expires and nobody is told.
    #[inline]
    pub fn replace_plain(&self, slot: Slot, value: Ref) {
        let old = self.within(|store| store.replace(slot, value, 1.0, f64::INFINITY));
        drop(self.departed(None, old, RemovalCause::Replaced));
    }

    /// Stores a new entry where each counts one: at most one other has to go.
    pub fn insert_plain(&self, py: Python<'_>, hash: u64, key: Key, value: Ref) {
        let gone = self.within(|store| {
            let full = store.currsize() + 1.0 > store.maxsize();
            if let Some(victim) = full.then(|| store.victim()).flatten() {
                return Some(store.supplant(victim, hash, key, value, 1.0, f64::INFINITY));
            }
            store.insert(hash, key, value, 1.0, f64::INFINITY);
            None
        });
        self.count(|stats| stats.insertions += 1);
        if let Some((key, value)) = gone {
            self.tell(py, &self.departed(Some(key), value, RemovalCause::Size));
        }
    }

    /// Stores a value at a slot that its key was found at, or at a new one.
    #[inline(never)]
    fn put_at(&self, py: Python<'_>, found: Option<Slot>, hash: u64, key: Key, value: Ref, terms: Terms<'_>) {
        let Terms { weight, deadline, fresh_until, now, fractional, tags, .. } = terms;
        let mut gone = Departures::default();
        // A failure keeps what it replaces: that has not left.
        let mut kept = None;
        if fractional {
            self.set_flags(|flags| flags.sizes.fractional = true);
        }
        self.within(|store| {
            let found = match self.flags().timed {
                true => self.expire_from(store, now, found, &mut gone),
                false => found,
            };
            let found = self.make_room(store, weight, found, &mut gone);
            let slot = if let Some(slot) = found {
                let old = self.replace(store, slot, value, weight, deadline);
                match fresh_until {
                    f64::NEG_INFINITY => kept = Some(old),
                    _ => gone.push(old),
                }
                slot
            } else {
                self.count(|stats| stats.insertions += 1);
                store.insert(hash, key, value, weight, deadline)
            };
            if fresh_until < deadline {
                store.set_fresh_until(slot, fresh_until);
            }
            if let Some(tags) = tags {
                store.set_stamp(slot, tags.clone());
            }
        });
        gone.iter().for_each(|departed| self.tell(py, departed));
        drop(kept);
    }

    /// The way out of the store, but for [`Cache::insert_plain`]: takes an entry out and counts why.
    #[inline]
    pub fn take_out(&self, store: &mut PyStore, slot: Slot, cause: RemovalCause) -> Departed {
        let (key, value) = match cause {
            RemovalCause::Size => store.evict(slot),
            _ => store.remove(slot),
        };
        self.departed(Some(key), value, cause)
    }

    /// Gives an entry a new value; the old one, with the key if that matters to anybody.
    #[inline]
    fn replace(&self, store: &mut PyStore, slot: Slot, value: Ref, weight: f64, deadline: f64) -> Departed {
        let old = store.replace(slot, value, weight, deadline);
        let key = self.flags().listened.then(|| store.key(slot).clone());
        self.departed(key, old, RemovalCause::Replaced)
    }

    /// Counts why an entry left.
    #[inline]
    fn departed(&self, key: Option<Key>, value: Ref, cause: RemovalCause) -> Departed {
        self.count(|stats| {
            let counter = match cause {
                RemovalCause::Explicit => &mut stats.removals,
                RemovalCause::Replaced => &mut stats.replacements,
                RemovalCause::Expired => &mut stats.expirations,
                RemovalCause::Size => &mut stats.evictions,
            };
            *counter += 1;
        });
        Departed { key, value, cause }
    }

    /// Takes a key out, expired or not; whether a fresh entry was there.
    pub fn take(&self, py: Python<'_>, hash: u64, query: &Query<'_>, cause: RemovalCause) -> PyResult<bool> {
        let Some((slot, fresh)) = self.locate(py, hash, query)? else { return Ok(false) };
        let revoked = self.within(|store| store.is_revoked(slot));
        let cause = if fresh || revoked { cause } else { RemovalCause::Expired };
        let departed = self.within(|store| self.take_out(store, slot, cause));
        self.tell(py, &departed);
        Ok(fresh)
    }

    /// Takes a key out if it is fresh, and gives its value.
    pub fn pop_fresh(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<Option<Ref>> {
        let cause = self.cause();
        let Some((slot, fresh)) = self.locate(py, hash, query)? else { return Ok(None) };
        if !fresh {
            self.drop_stale(py, slot)?;
            return Ok(None);
        }
        let departed = self.within(|store| self.take_out(store, slot, cause));
        self.tell(py, &departed);
        Ok(Some(departed.value))
    }

    /// `pop` by way of the methods that a subclass has overridden.
    pub fn pop_by_hooks<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let _frozen = slf.get().freeze(slf.py())?;
        if !slf.contains(key)? {
            return Ok(None);
        }
        let value = slf.as_any().get_item(key)?;
        slf.as_any().del_item(key)?;
        Ok(Some(value))
    }

    /// Stores every pair of a mapping or an iterable.
    pub fn update_from<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<()> {
        let keys = if other.cast::<PyMapping>().is_ok() {
            other.try_iter()?
        } else if let Some(keys) = other.getattr_opt("keys")? {
            keys.call0()?.try_iter()?
        } else {
            for pair in other.try_iter()? {
                let (key, value) = pair_of(&pair?)?;
                Self::set(slf, &key, &value)?;
            }
            return Ok(());
        };
        for key in keys {
            let key = key?;
            Self::set(slf, &key, &other.get_item(&key)?)?;
        }
        Ok(())
    }

    /// `self[key] = value`, by the method that a subclass may have overridden.
    fn set(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.flags().hooks.has(Hooks::SETITEM) {
            return slf.as_any().set_item(key, value);
        }
        let (hash, query) = cache::ask(key)?;
        this.fence(py, hash, &query)?;
        this.assign(py, hash, &query, || Key::Object(Ref::from(key)), Ref::from(value))
    }

    /// Takes everything out.
    pub fn empty(&self, py: Python<'_>) {
        let gone = self.within(Store::clear);
        self.set_flags(|flags| flags.sizes.fractional = false);
        let listener = self.part(|parts| parts.listener.clone());
        self.part_with(py, gone, listener.as_ref());
    }

    /// Lets go of entries that were taken out all at once.
    pub fn part_with(&self, py: Python<'_>, gone: impl Iterator<Item = (Key, Ref)>, listener: Option<&Ref>) {
        for (key, value) in gone {
            let departed = self.departed(Some(key), value, RemovalCause::Explicit);
            if listener.is_some() {
                self.tell_to(py, listener, &departed);
            }
        }
    }
}

fn pair_of<'py>(pair: &Bound<'py, PyAny>) -> PyResult<Pair<'py>> {
    let mut items = pair.try_iter()?;
    match (items.next().transpose()?, items.next().transpose()?, items.next()) {
        (Some(key), Some(value), None) => Ok((key, value)),
        (_, None, _) => Err(PyValueError::new_err("not enough values to unpack (expected 2)")),
        _ => Err(PyValueError::new_err("too many values to unpack (expected 2)")),
    }
}
