//! Copies and pickles of a cache: its entries, their order, sizes and deadlines, its settings
//! and the attributes of the instance.  A copy has its source's removal listener, be it deep; a
//! pickle has none.
//!
//! The entries are apart from the attributes, so that a subclass may have `__getstate__` and
//! `__setstate__` for its own without knowing of them.

use std::collections::HashMap;

use aiocachetools_core::policy::{AnyPolicy, Policy};
use aiocachetools_core::store::Store;
use aiocachetools_core::{Slot, expiry::Expiry, tags::Stamp};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::cache::{self, Cache, Parts, Sizes};
use crate::key::{Key, PyStore};
use crate::kind::Kind;
use crate::object::Ref;
use crate::timer::{Timer, Ttl};

/// A cache of the same class without anything in it.
fn blank<'py>(cache: &Bound<'py, Cache>) -> PyResult<Bound<'py, Cache>> {
    let class = cache.get_type();
    let blank = class.call_method1("__new__", (&class,))?.cast_into::<Cache>()?;
    if blank.get().kind != cache.get().kind {
        return Err(PyTypeError::new_err("__new__ returned a cache of another kind"));
    }
    Ok(blank)
}

/// `copy.copy(cache)`: shares keys, values and attributes with its source.
pub fn copy<'py>(source: &Bound<'py, Cache>) -> PyResult<Bound<'py, PyAny>> {
    let (py, this) = (source.py(), source.get());
    let copy = blank(source)?;
    copy.getattr("__dict__")?.call_method1("update", (source.getattr("__dict__")?,))?;
    let timer = this.timer(py).map(|timer| Py::new(py, timer.get().copy(py))).transpose()?;
    let parts = this.part(|parts| Parts {
        maxsize: parts.maxsize.clone(),
        timer,
        ttl: parts.ttl.clone(),
        ttu: parts.ttu.clone(),
        choice: parts.choice.clone(),
        listener: parts.listener.clone(),
    });
    let store = this.within(|store| store.clone());
    Cache::install(&copy, parts, store, this.flags().sizes)?;
    Ok(copy.into_any())
}

/// `copy.deepcopy(cache)`.
pub fn deepcopy<'py>(source: &Bound<'py, Cache>, memo: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = source.py();
    let copy = blank(source)?;
    memo.set_item(source.as_ptr() as usize, &copy)?;
    // Copying the values may run anything: what it invalidates is so in the copy as well.
    let (state, stamps) = state(source)?;
    let state = py.import("copy")?.call_method1("deepcopy", (state, memo))?;
    restore_stamped(&copy, state.cast()?, Some(stamps))?;
    copy.get().listen(source.get().part(|parts| parts.listener.clone()));
    Ok(copy.into_any())
}

/// What pickle is told: a blank cache, its state, and [`restore`] to put the state in.
pub fn reduce<'py>(cache: &Bound<'py, Cache>) -> PyResult<Bound<'py, PyTuple>> {
    let py = cache.py();
    let new = py.import("copyreg")?.getattr("__newobj__")?;
    let setter = py.import("aiocachetools._core")?.getattr("_restore")?;
    let none = py.None();
    (new, (cache.get_type(),), state(cache)?.0, &none, &none, setter).into_pyobject(py)
}

/// The state of a cache as a pair: its own, and its attributes as `__getstate__` gives them; and the
/// stamps of its entries, which only this process can have.
fn state<'py>(cache: &Bound<'py, Cache>) -> PyResult<(Bound<'py, PyTuple>, Stamps)> {
    let (own, stamps) = own_state(cache)?;
    Ok(((own, cache.call_method0("__getstate__")?).into_pyobject(cache.py())?, stamps))
}

/// Puts the state of a cache into a blank one.
#[pyfunction]
#[pyo3(name = "_restore")]
pub fn restore(cache: &Bound<'_, Cache>, state: &Bound<'_, PyTuple>) -> PyResult<()> {
    restore_stamped(cache, state, None)
}

/// The same with these stamps for the entries.
fn restore_stamped(
    cache: &Bound<'_, Cache>,
    state: &Bound<'_, PyTuple>,
    stamps: Option<Stamps>,
) -> PyResult<()> {
    let (own, attributes) = state.extract::<(Bound<'_, PyDict>, Bound<'_, PyAny>)>()?;
    set_own_state(cache, &own, stamps)?;
    if attributes.is_none() {
        return Ok(());
    }
    cache.call_method1("__setstate__", (attributes,)).map(drop)
}

/// What `__setstate__` does by default: a dictionary of attributes, or a pair of it and slots.
pub fn set_attributes(cache: &Bound<'_, PyAny>, state: &Bound<'_, PyAny>) -> PyResult<()> {
    let (attributes, slots) = match state.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() {
        Ok((attributes, slots)) => (attributes, Some(slots)),
        Err(_) => (state.clone(), None),
    };
    if !attributes.is_none() {
        cache.getattr("__dict__")?.call_method1("update", (attributes,))?;
    }
    for slot in slots.iter().filter_map(|slots| slots.cast::<PyDict>().ok()) {
        for (name, value) in slot {
            cache.setattr(name.cast()?, value)?;
        }
    }
    Ok(())
}

/// The tags of some entries, if they have any.
type Stamps = Vec<Option<Stamp>>;

/// An entry as it is written down.
struct Record {
    hash: u64,
    key: Key,
    value: Ref,
    weight: f64,
    deadline: f64,
    stamp: Option<Stamp>,
}

/// The slots in the order in which the policy would evict them, or chooses among them.
fn policy_order(store: &PyStore) -> Vec<(Slot, u64)> {
    let count = |slot| match store.policy() {
        AnyPolicy::Lfu(lfu) => lfu.count(slot),
        _ => 1,
    };
    if let AnyPolicy::Random(random) = store.policy() {
        return random.slots().iter().map(|&slot| (slot, 1)).collect();
    }
    let mut policy = store.policy().clone();
    let mut order = Vec::with_capacity(store.len());
    while let Some(slot) = policy.victim() {
        policy.remove(slot);
        order.push((slot, count(slot)));
    }
    order
}

fn own_state<'py>(cache: &Bound<'py, Cache>) -> PyResult<(Bound<'py, PyDict>, Stamps)> {
    let (py, this) = (cache.py(), cache.get());
    let state = PyDict::new(py);
    let frozen = this.freeze(py)?;
    let now = frozen.as_ref().map_or(f64::NEG_INFINITY, |frozen| frozen.time.seconds);
    let (records, order) = this.within(|store| {
        // What is kept though it is stale means nothing to another process.
        let is_fresh = |&slot: &Slot| now < store.fresh_until(slot);
        let slots = || std::iter::successors(store.first(), |&slot| store.next(slot)).filter(is_fresh);
        let record = |slot| Record {
            hash: store.hash(slot),
            key: store.key(slot).clone(),
            value: store.value(slot).clone(),
            weight: store.weight(slot),
            deadline: store.fresh_until(slot),
            stamp: store.stamp(slot).cloned(),
        };
        let places: HashMap<Slot, usize> = slots().enumerate().map(|(place, slot)| (slot, place)).collect();
        let order = policy_order(store).into_iter();
        let order = order.filter_map(|(slot, count)| Some((*places.get(&slot)?, count))).collect::<Vec<_>>();
        (slots().map(record).collect::<Vec<_>>(), order)
    });
    let (places, counts): (Vec<usize>, Vec<u64>) = order.into_iter().unzip();
    state.set_item("order", places)?;
    if this.kind == Kind::Lfu {
        state.set_item("counts", counts)?;
    }
    let column = |read: fn(&Record) -> f64| records.iter().map(read).collect::<Vec<_>>();
    let sizes = this.flags().sizes;
    state.set_item("sized", sizes.sized)?;
    state.set_item("fractional", sizes.fractional)?;
    state.set_item("weighted", sizes.weighted)?;
    if sizes.sized || sizes.weighted {
        state.set_item("weights", column(|record| record.weight))?;
    }
    if this.flags().timed {
        state.set_item("deadlines", column(|record| record.deadline))?;
    }
    if records.iter().any(|record| record.stamp.is_some()) {
        let names = |record: &Record| record.stamp.iter().flat_map(Stamp::names).map(str::to_owned).collect();
        state.set_item("tags", records.iter().map(names).collect::<Vec<Vec<_>>>())?;
    }
    let (pairs, stamps) =
        records.into_iter().map(|record| ((record.key, record.value), record.stamp)).unzip();
    state.set_item("entries", cache::pairs(py, pairs)?)?;
    write_parts(this, &state)?;
    Ok((state, stamps))
}

fn write_parts(cache: &Cache, state: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = state.py();
    let parts = cache.part(|parts| {
        [
            ("maxsize", parts.maxsize.clone()),
            ("ttl", parts.ttl.as_ref().map(|ttl| ttl.object.clone())),
            ("ttu", parts.ttu.clone()),
            ("choice", parts.choice.clone()),
        ]
    });
    let usual = crate::classes::random_choice(py)?;
    for (name, part) in parts {
        // Pickled, `random.choice` would be that of a generator of its own.
        if let Some(part) = part.filter(|part| !part.is(usual.as_ptr())) {
            state.set_item(name, part.bound(py))?;
        }
    }
    if let Some(timer) = cache.timer(py) {
        state.set_item("timer", timer.get().function())?;
        if let Some(base) = timer.get().base() {
            state.set_item("base", base.bound(py))?;
        }
    }
    Ok(())
}

fn set_own_state(
    cache: &Bound<'_, Cache>,
    state: &Bound<'_, PyDict>,
    stamps: Option<Stamps>,
) -> PyResult<()> {
    let (py, kind) = (cache.py(), cache.get().kind);
    let part = |name| Ok::<_, PyErr>(state.get_item(name)?.map(Ref::from));
    let timer = match part("timer")? {
        Some(function) => Some(Py::new(py, Timer::of(function.bound(py))?)?),
        None => None,
    };
    if let (Some(timer), Some(base)) = (&timer, part("base")?) {
        timer.get().set_base(base);
    }
    let ttl = state.get_item("ttl")?.map(|ttl| Ttl::of(&ttl)).transpose()?;
    let maxsize = part("maxsize")?;
    let limit = match &maxsize {
        Some(maxsize) => maxsize.bound(py).extract()?,
        None => 0.0,
    };
    let usual = (kind == Kind::Random).then(|| crate::classes::random_choice(py)).transpose()?;
    let choice = part("choice")?.or(usual.map(Ref::from));
    let parts = Parts { maxsize, timer, ttl, ttu: part("ttu")?, choice, listener: None };
    let store = read_store(kind, limit, state, stamps)?;
    let flag = |name| state.get_item(name)?.map_or(Ok(false), |flag| flag.extract());
    let sizes = Sizes { sized: flag("sized")?, fractional: flag("fractional")?, weighted: flag("weighted")? };
    Cache::install(cache, parts, store, sizes)?;
    cache.get().settle(py)?;
    Ok(())
}

fn read_store(
    kind: Kind,
    limit: f64,
    state: &Bound<'_, PyDict>,
    stamps: Option<Stamps>,
) -> PyResult<PyStore> {
    let records = read_records(state, stamps)?;
    let mut store = Store::new(limit, kind.policy(limit), kind.expiry());
    if state.contains("deadlines")? {
        store.begin_deadlines();
    }
    let mut slots = Vec::with_capacity(records.len());
    for Record { hash, key, value, weight, deadline, stamp } in records {
        let slot = store.insert(hash, key, value, weight, deadline);
        if let Some(stamp) = stamp {
            store.set_stamp(slot, stamp);
        }
        slots.push(slot);
    }
    let order = read_order(state, &slots)?;
    let counts: Vec<u64> = optional(state, "counts")?.unwrap_or_default();
    if kind.expiry() == Expiry::Fixed {
        // Deadlines of one time-to-live ascend; equal ones are in the policy's order.
        let mut ascending = order.clone();
        ascending.sort_by(|&a, &b| store.deadline(a).total_cmp(&store.deadline(b)));
        store.line_up_deadlines(&ascending);
    }
    let mut policy = kind.policy(limit);
    for (place, slot) in order.into_iter().enumerate() {
        match (&mut policy, counts.get(place)) {
            (AnyPolicy::Lfu(lfu), Some(&count)) => lfu.insert_used(slot, count.max(1)),
            (policy, _) => policy.insert(slot, store.hash(slot)),
        }
        if store.weight(slot) != 1.0 {
            policy.weigh(slot, store.weight(slot));
        }
    }
    *store.policy_mut() = policy;
    Ok(store)
}

/// The slots in the order of the policy.
fn read_order(state: &Bound<'_, PyDict>, slots: &[Slot]) -> PyResult<Vec<Slot>> {
    let mut left: Vec<Option<Slot>> = slots.iter().copied().map(Some).collect();
    let places: Vec<usize> = required(state, "order")?;
    let take = |place: usize| left.get_mut(place).and_then(Option::take);
    let order: Option<Vec<Slot>> = places.into_iter().map(take).collect();
    order.filter(|order| order.len() == slots.len()).ok_or_else(malformed)
}

fn read_records(state: &Bound<'_, PyDict>, stamps: Option<Stamps>) -> PyResult<Vec<Record>> {
    let entries: Bound<'_, PyList> = required(state, "entries")?;
    let weights: Option<Vec<f64>> = optional(state, "weights")?;
    let deadlines: Option<Vec<f64>> = optional(state, "deadlines")?;
    let mut stamps = match stamps {
        Some(stamps) => stamps,
        None => read_stamps(state)?,
    };
    let at = |column: &Option<Vec<f64>>, i: usize, or: f64| match column {
        Some(column) => column.get(i).copied().ok_or_else(malformed),
        None => Ok(or),
    };
    let mut records = Vec::with_capacity(entries.len());
    for (i, entry) in entries.iter().enumerate() {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = entry.extract()?;
        let (hash, _) = cache::ask(&key)?;
        let (weight, deadline) = (at(&weights, i, 1.0)?, at(&deadlines, i, f64::INFINITY)?);
        let stamp = stamps.get_mut(i).and_then(Option::take);
        let (key, value) = (Key::Object(key.into()), value.into());
        records.push(Record { hash, key, value, weight, deadline, stamp });
    }
    Ok(records)
}

/// The tags of entries that are restored now.
fn read_stamps(state: &Bound<'_, PyDict>) -> PyResult<Stamps> {
    let names: Vec<Vec<String>> = optional(state, "tags")?.unwrap_or_default();
    Ok(names.iter().map(|names| (!names.is_empty()).then(|| crate::tags::stamp_of(names))).collect())
}

fn required<'py, T: for<'a> FromPyObject<'a, 'py>>(state: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    optional(state, name)?.ok_or_else(malformed)
}

fn optional<'py, T: for<'a> FromPyObject<'a, 'py>>(
    state: &Bound<'py, PyDict>,
    name: &str,
) -> PyResult<Option<T>> {
    match state.get_item(name)? {
        Some(value) => value.extract().map(Some).map_err(Into::into),
        None => Ok(None),
    }
}

fn malformed() -> PyErr {
    PyValueError::new_err("not the state of a cache")
}
