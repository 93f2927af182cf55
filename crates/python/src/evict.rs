//! Making room and losing what has expired: who goes, and how it is taken out.

use std::cell::Cell;

use aiocachetools_core::Slot;
use aiocachetools_core::policy::AnyPolicy;
use aiocachetools_core::store::Store;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyRange};

use crate::cache::{self, Cache, Pair, absent, give};
use crate::failed::Failed;
use crate::hooks::Hooks;
use crate::key::{Key, PyStore, Query};
use crate::kind::Kind;
use crate::object::Ref;
use crate::removal::{Departures, RemovalCause};
use crate::timer::Moment;

/// What `popitem` calls when it makes room.
const POPITEM: Hooks = Hooks::POPITEM.and(Hooks::DELITEM).and(Hooks::EXPIRE);
/// What the `popitem` of `MutableMapping` calls.
const MIXIN: Hooks = Hooks::ITER.and(Hooks::GETITEM).and(Hooks::DELITEM);

thread_local! {
    /// The cache that this thread makes room in by calling `popitem`, or 0.
    static EVICTING: Cell<usize> = const { Cell::new(0) };
}

/// Runs `act` with entries leaving `cache` for want of room.
fn evicting<R>(cache: usize, act: impl FnOnce() -> R) -> R {
    let before = EVICTING.replace(cache);
    let result = act();
    EVICTING.set(before);
    result
}

/// Runs `act` with entries leaving because the user says so, be it in the midst of an eviction.
pub fn by_user<R>(act: impl FnOnce() -> R) -> R {
    evicting(0, act)
}

impl Cache {
    /// Whether this thread calls `popitem` to make room just now.
    pub fn is_evicting(&self) -> bool {
        self.flags().evicts_by_popitem && EVICTING.get() == std::ptr::from_ref(self) as usize
    }

    /// Why the entries leave that this thread takes out just now.
    pub fn cause(&self) -> RemovalCause {
        if self.is_evicting() { RemovalCause::Size } else { RemovalCause::Explicit }
    }

    /// Takes out what has expired; what is left of a slot that was found before.
    #[inline]
    pub fn expire_from(
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
    pub fn make_room(
        &self,
        store: &mut PyStore,
        weight: f64,
        found: Option<Slot>,
        gone: &mut Departures,
    ) -> Option<Slot> {
        let mut found = found;
        while store.currsize() + weight - found.map_or(0.0, |slot| store.weight(slot)) > store.maxsize() {
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
    pub fn make_room_by_popitem(
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
            let object = self.object(py);
            evicting(std::ptr::from_ref(self) as usize, || match object.cast::<Cache>() {
                Ok(cache) if !self.flags().hooks.has(Hooks::POPITEM) => Self::pop_victim(cache).map(drop),
                _ => object.call_method0("popitem").map(drop),
            })?;
        }
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
            if !this.is_evicting() && this.drop_stale(py, slot)? {
                continue;
            }
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
                let gone = this.within(|store| this.take_out(store, slot, cause));
                this.tell(py, &gone);
                return Ok((key.object(py)?, give(py, value)));
            }
        }
    }

    /// Takes out an entry that is kept though it is no longer fresh; whether it was one.  One whose
    /// tag was invalidated leaves because the user said so.
    pub fn drop_stale(&self, py: Python<'_>, slot: Slot) -> PyResult<bool> {
        if !self.within(|store| store.keeps_stale()) {
            return Ok(false);
        }
        let version = self.within(|store| store.version());
        if self.is_fresh(py, slot)? || self.within(|store| store.version()) != version {
            return Ok(false);
        }
        let gone = self.within(|store| {
            let revoked = store.is_revoked(slot);
            self.take_out(store, slot, if revoked { RemovalCause::Explicit } else { RemovalCause::Expired })
        });
        self.tell(py, &gone);
        Ok(true)
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
            _ => self.within(Store::victim),
        };
        Ok(self.within(|store| slot.map(|slot| (slot, store.key(slot).clone(), store.value(slot).clone()))))
    }

    /// The entry that the user's `choice` takes.
    fn choose_at_random(&self, py: Python<'_>) -> PyResult<Option<Slot>> {
        let Some(choice) = self.part(|parts| parts.choice.clone()) else {
            return Ok(self.within(Store::victim));
        };
        let choice = choice.bound(py);
        loop {
            let (version, count) = self.within(|store| (store.version(), slots(store).len()));
            if count == 0 {
                return Ok(None);
            }
            if !choice.is(crate::classes::random_choice(py)?) {
                return self.choose_by_key(py, choice).map(Some);
            }
            let index: usize = choice.call1((PyRange::new(py, 0, count as isize)?,))?.extract()?;
            let slot =
                self.within(|store| slots(store).get(index).copied().filter(|_| store.version() == version));
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
    pub fn expire_before(&self, py: Python<'_>, now: f64) -> Vec<(Key, Ref)> {
        let mut gone = Departures::default();
        self.within(|store| self.expire_from(store, now, None, &mut gone));
        gone.iter().for_each(|departed| self.tell(py, departed));
        let seen = |departed| {
            let departed = Failed::seen(departed, py)?;
            Some((departed.key?, departed.value))
        };
        gone.into_iter().filter_map(seen).collect()
    }

    /// Takes out what has expired, by the `expire` that a subclass may have overridden.
    pub fn expire_by_hook(&self, py: Python<'_>, now: &Moment) -> PyResult<()> {
        if self.flags().hooks.has(Hooks::EXPIRE) {
            return self.object(py).call_method1("expire", (now.object(py),)).map(drop);
        }
        drop(self.expire_before(py, now.seconds));
        Ok(())
    }
}

/// The entries that `choice` chooses from.
fn slots(store: &PyStore) -> &[Slot] {
    match store.policy() {
        AnyPolicy::Random(random) => random.slots(),
        _ => &[],
    }
}
