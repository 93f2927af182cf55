//! Changes: storing, evicting, expiring and removing, as cachetools does them.

use aiocachetools_core::Slot;
use aiocachetools_core::policy::AnyPolicy;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyList, PyMapping, PyRange};

use crate::cache::{self, Cache, absent, current_thread, give};
use crate::hooks::Hooks;
use crate::key::{Key, PyStore, Query};
use crate::kind::Kind;
use crate::object::Ref;
use crate::removal::{Departed, Departures, RemovalCause};
use crate::timer::Moment;

/// What a value is stored with.
#[derive(Clone, Copy)]
struct Terms {
    weight: f64,
    deadline: f64,
    /// What has expired by then makes room.
    now: f64,
}

impl Terms {
    const PLAIN: Self = Self { weight: 1.0, deadline: f64::INFINITY, now: f64::NEG_INFINITY };
}

/// A pair as Python's methods return it.
type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// What `popitem` calls when it makes room.
const POPITEM: Hooks = Hooks::POPITEM.and(Hooks::DELITEM).and(Hooks::EXPIRE);
/// What the `popitem` of `MutableMapping` calls.
const MIXIN: Hooks = Hooks::ITER.and(Hooks::GETITEM).and(Hooks::DELITEM);

impl Cache {
    /// Stores a value as the decorators do: without fencing.
    pub fn store_value(
        &self,
        py: Python<'_>,
        hash: u64,
        query: &Query<'_>,
        value: Ref,
    ) -> PyResult<()> {
        self.assign(py, hash, query, || query.keep(py), value)
    }

    /// Removes a key without fencing; whether a fresh entry was there.
    pub fn discard(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<bool> {
        Ok(self.take(py, hash, query, RemovalCause::Explicit)?.is_some_and(|(_, fresh)| fresh))
    }

    /// `self[key] = value`, but for fencing.
    #[inline]
    pub fn assign(
        &self,
        py: Python<'_>,
        hash: u64,
        query: &Query<'_>,
        key: impl FnOnce() -> PyResult<Key>,
        value: Ref,
    ) -> PyResult<()> {
        match self.plain_terms() {
            Some(terms) if terms.weight <= self.within(|store| store.maxsize()) => {
                self.put(py, hash, query, key()?, value, terms)
            }
            _ => self.assign_by_hooks(py, hash, query, key()?, value),
        }
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
    ) -> PyResult<()> {
        let mut terms = Terms::PLAIN;
        let frozen = self.freeze(py)?;
        if let Some(frozen) = &frozen {
            terms.now = frozen.time.seconds;
            let due = self.terms_of_time(py, &frozen.time, &key, &value)?;
            let Some(deadline) = due else {
                return self.take(py, hash, query, RemovalCause::Replaced).map(drop);
            };
            terms.deadline = deadline;
        }
        terms.weight = if self.flags().sizes.sized { self.weigh(py, &value)? } else { 1.0 };
        if terms.weight > self.within(|store| store.maxsize()) {
            return Err(PyValueError::new_err("value too large"));
        }
        if self.flags().evicts_by_popitem {
            self.make_room_by_popitem(py, hash, query, terms.weight)?;
        }
        self.put(py, hash, query, key, value, terms)
    }

    /// The terms of an entry of a cache that needs no Python to know them.
    #[inline]
    fn plain_terms(&self) -> Option<Terms> {
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
        Some(Terms { weight: 1.0, deadline: now + ttl, now })
    }

    /// When an entry expires that is stored now; `None` if it already has.
    fn terms_of_time(
        &self,
        py: Python<'_>,
        now: &Moment,
        key: &Key,
        value: &Ref,
    ) -> PyResult<Option<f64>> {
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

    /// The weight of a value by `getsizeof`.
    fn weigh(&self, py: Python<'_>, value: &Ref) -> PyResult<f64> {
        let size = self.object(py).call_method1("getsizeof", (value.bound(py),))?;
        let weight: f64 = size.extract()?;
        if weight < 0.0 || weight.is_nan() {
            return Err(PyValueError::new_err("value size must be non-negative"));
        }
        if weight == f64::INFINITY {
            return Err(PyValueError::new_err("value too large"));
        }
        if size.is_instance_of::<PyFloat>() || weight.fract() != 0.0 {
            self.set_flags(|flags| flags.sizes.fractional = true);
        }
        Ok(weight)
    }

    /// Stores a value on its terms; makes room by itself.
    fn put(
        &self,
        py: Python<'_>,
        hash: u64,
        query: &Query<'_>,
        key: Key,
        value: Ref,
        terms: Terms,
    ) -> PyResult<()> {
        let Terms { weight, deadline, now } = terms;
        let mut gone = Departures::default();
        let mut key = Some(key);
        let found = self.find(py, hash, query)?;
        self.within(|store| {
            let found = match self.kind.is_timed() {
                true => self.expire_from(store, now, found, &mut gone),
                false => found,
            };
            let found = self.make_room(store, weight, found, &mut gone);
            if let Some(slot) = found {
                let value = store.replace(slot, value, weight, deadline);
                gone.push(self.departed(None, value, RemovalCause::Replaced));
            } else if let Some(key) = key.take() {
                store.insert(hash, key, value, weight, deadline);
                self.count(|stats| stats.insertions += 1);
            }
        });
        Ok(())
    }

    /// Takes out what has expired; what is left of a slot that was found before.
    #[inline]
    fn expire_from(
        &self,
        store: &mut PyStore,
        now: f64,
        found: Option<Slot>,
        gone: &mut Departures,
    ) -> Option<Slot> {
        let mut found = found;
        while let Some(slot) = store.next_expired(now) {
            found = found.filter(|&found| found != slot);
            gone.push(self.take_out(store, slot, RemovalCause::Expired));
        }
        found
    }

    /// Evicts until a weight fits; what is left of the slot whose value it replaces.
    #[inline]
    fn make_room(
        &self,
        store: &mut PyStore,
        weight: f64,
        found: Option<Slot>,
        gone: &mut Departures,
    ) -> Option<Slot> {
        let mut found = found;
        while store.currsize() + weight - found.map_or(0.0, |slot| store.weight(slot))
            > store.maxsize()
        {
            let Some(victim) = store.victim() else { break };
            found = found.filter(|&found| found != victim);
            gone.push(self.take_out(store, victim, RemovalCause::Size));
        }
        found
    }

    /// Whether making room may run Python code: that of a subclass, or of the user's `choice`.
    pub fn evicts_by_popitem(kind: Kind, hooks: Hooks) -> bool {
        match kind {
            Kind::Random => true,
            Kind::Plain => hooks.has(POPITEM.and(MIXIN)),
            _ => hooks.has(POPITEM),
        }
    }

    /// Makes room as cachetools does: by `popitem`, which a subclass may override.
    #[cold]
    fn make_room_by_popitem(
        &self,
        py: Python<'_>,
        hash: u64,
        query: &Query<'_>,
        weight: f64,
    ) -> PyResult<()> {
        loop {
            let found = self.find(py, hash, query)?;
            let fits = self.within(|store| {
                let freed = found.map_or(0.0, |slot| store.weight(slot));
                store.currsize() + weight - freed <= store.maxsize()
            });
            if fits {
                return Ok(());
            }
            let before = self.flags().evicting;
            self.set_flags(|flags| flags.evicting = current_thread());
            let object = self.object(py);
            let popped = match object.cast::<Cache>() {
                Ok(cache) if !self.flags().hooks.has(Hooks::POPITEM) => {
                    Self::pop_victim(cache).map(drop)
                }
                _ => object.call_method0("popitem").map(drop),
            };
            self.set_flags(|flags| flags.evicting = before);
            popped?;
        }
    }

    /// The one way out of the store: takes an entry out and counts why.
    fn take_out(&self, store: &mut PyStore, slot: Slot, cause: RemovalCause) -> Departed {
        let (key, value) = match cause {
            RemovalCause::Size => store.evict(slot),
            _ => store.remove(slot),
        };
        self.departed(Some(key), value, cause)
    }

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

    /// Takes a key out, expired or not; what it was and whether it was fresh.
    pub fn take(
        &self,
        py: Python<'_>,
        hash: u64,
        query: &Query<'_>,
        cause: RemovalCause,
    ) -> PyResult<Option<(Departed, bool)>> {
        let found = self.locate(py, hash, query)?;
        Ok(self
            .within(|store| found.map(|(slot, fresh)| (self.take_out(store, slot, cause), fresh))))
    }

    /// Takes a key out if it is fresh, and gives its value.
    pub fn pop_fresh(&self, py: Python<'_>, hash: u64, query: &Query<'_>) -> PyResult<Option<Ref>> {
        let cause = self.cause();
        let departed = match self.locate(py, hash, query)? {
            Some((slot, true)) => Some(self.within(|store| self.take_out(store, slot, cause))),
            _ => None,
        };
        Ok(departed.map(|departed| departed.value))
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

    /// Takes out the pair that is next to go.
    pub fn pop_victim<'py>(slf: &Bound<'py, Self>) -> PyResult<Pair<'py>> {
        let (py, this) = (slf.py(), slf.get());
        let hooks = this.flags().hooks;
        let _frozen = this.settle(py)?;
        if this.kind == Kind::Plain && hooks.has(MIXIN) {
            return Self::pop_first(slf);
        }
        loop {
            let Some((slot, key, value)) = this.choose(py)? else {
                return Err(Self::is_empty(slf));
            };
            if hooks.has(Hooks::DELITEM) {
                let key = key.object(py)?;
                slf.as_any().del_item(&key)?;
                return Ok((key, give(py, value)));
            }
            let version = this.within(|store| store.version());
            let hash = this.within(|store| store.hash(slot));
            this.fence(py, hash, &key.query(py)?)?;
            if this.within(|store| store.version()) == version {
                let cause = this.cause();
                let departed = this.within(|store| this.take_out(store, slot, cause));
                return Ok((key.object(py)?, give(py, departed.value)));
            }
        }
    }

    /// `popitem` as `MutableMapping` has it.
    fn pop_first<'py>(slf: &Bound<'py, Self>) -> PyResult<Pair<'py>> {
        let Some(key) = slf.as_any().try_iter()?.next().transpose()? else {
            return Err(Self::is_empty(slf));
        };
        let value = slf.as_any().get_item(&key)?;
        slf.as_any().del_item(&key)?;
        Ok((key, value))
    }

    /// The error of an empty cache, raised `from None`.
    fn is_empty(slf: &Bound<'_, Self>) -> PyErr {
        let py = slf.py();
        let error = match slf.get_type().name() {
            _ if slf.get().kind == Kind::Plain => PyKeyError::new_err(()),
            Ok(name) => PyKeyError::new_err(format!("{name} is empty")),
            Err(error) => error,
        };
        error.set_cause(py, None);
        error
    }

    /// The entry that is next to go.
    fn choose(&self, py: Python<'_>) -> PyResult<Option<(Slot, Key, Ref)>> {
        let slot = match self.kind {
            Kind::Random => self.choose_at_random(py)?,
            _ => self.within(|store| store.victim()),
        };
        Ok(self.within(|store| {
            slot.map(|slot| (slot, store.key(slot).clone(), store.value(slot).clone()))
        }))
    }

    /// The entry that the user's `choice` takes.
    fn choose_at_random(&self, py: Python<'_>) -> PyResult<Option<Slot>> {
        let Some(choice) = self.part(|parts| parts.choice.clone()) else {
            return Ok(self.within(|store| store.victim()));
        };
        let choice = choice.bound(py);
        loop {
            let (version, count) = self.within(|store| (store.version(), slots(store).len()));
            if count == 0 {
                return Ok(None);
            }
            if !choice.is(crate::classes::random_choice(py)?) {
                return self.choose_by_key(py, &choice).map(Some);
            }
            let index: usize = choice.call1((PyRange::new(py, 0, count as isize)?,))?.extract()?;
            let slot = self.within(|store| {
                slots(store).get(index).copied().filter(|_| store.version() == version)
            });
            if slot.is_some() {
                return Ok(slot);
            }
        }
    }

    fn choose_by_key(&self, py: Python<'_>, choice: &Bound<'_, PyAny>) -> PyResult<Slot> {
        let keys: Vec<Key> =
            self.within(|store| slots(store).iter().map(|&slot| store.key(slot).clone()).collect());
        let list = PyList::empty(py);
        for key in &keys {
            list.append(key.object(py)?)?;
        }
        let key = choice.call1((list,))?;
        let (hash, query) = cache::ask(&key)?;
        self.find(py, hash, &query)?.ok_or_else(|| absent(&key))
    }

    /// Takes out what has expired by a time; the pairs, in order of expiry.
    pub fn expire_before(&self, now: f64) -> Vec<(Key, Ref)> {
        let mut gone = Departures::default();
        self.within(|store| self.expire_from(store, now, None, &mut gone));
        let pair = |departed: Departed| departed.key.map(|key| (key, departed.value));
        gone.into_iter().filter_map(pair).collect()
    }

    /// Takes out what has expired, by the `expire` that a subclass may have overridden.
    pub fn expire_by_hook(&self, py: Python<'_>, now: &Moment) -> PyResult<()> {
        if self.flags().hooks.has(Hooks::EXPIRE) {
            return self.object(py).call_method1("expire", (now.object(py),)).map(drop);
        }
        drop(self.expire_before(now.seconds));
        Ok(())
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
    fn set(
        slf: &Bound<'_, Self>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.flags().hooks.has(Hooks::SETITEM) {
            return slf.as_any().set_item(key, value);
        }
        let (hash, query) = cache::ask(key)?;
        this.fence(py, hash, &query)?;
        this.assign(py, hash, &query, || Ok(Key::Object(Ref::from(key))), Ref::from(value))
    }

    /// Takes everything out.
    pub fn empty(&self) {
        let gone = self.within(|store| store.clear());
        self.set_flags(|flags| flags.sizes.fractional = false);
        for entry in gone {
            self.count(|stats| stats.removals += 1);
            drop(entry);
        }
    }
}

/// The entries that `choice` chooses from.
fn slots(store: &PyStore) -> &[Slot] {
    match store.policy() {
        AnyPolicy::Random(random) => random.slots(),
        _ => &[],
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
