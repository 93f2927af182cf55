//! Calls for several keys at once: what they find, what they join, and what they load.
//!
//! 1. A call's keys are entries of their own, under the key that the function has with that one key
//!    in the place of all.  Keys that are equal are one.
//! 2. What is found when the function is called is the call's, whatever happens before it is awaited;
//!    the rest is looked up again at the first step, joined where a load of it is under way, and
//!    loaded by a batch otherwise.
//! 3. A function's result may lack a key.  What stands for its value then is [`Missing`].

#![allow(unsafe_code)]

use std::cell::Cell;

use aiocachetools_core::flight::FlightId;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyMapping, PyString};

use crate::arguments::Arguments;
use crate::call::{Buffer, Call};
use crate::counts;
use crate::function::{Body, Where};
use crate::gathering::{Gathering, Item};
use crate::key;
use crate::object::{GilCell, Ref};
use crate::outcome::{Failure, Outcome};
use crate::site::Site;
use crate::wait::{self};
use crate::wait_state::State;

/// What becomes of a key that the function's result lacks.
pub enum Missing {
    /// An error for those who asked for it; nothing is stored.
    Error,
    /// It is stored as absent, and left out of the calls' results.
    Absent,
    /// It has this value.
    Default(Ref),
}

/// What makes a decorated function one of several keys.
pub struct Many {
    /// Which parameter the keys are: the first, or the one after `self`.
    parameter: Cell<usize>,
    /// How many keys one load may be asked for.
    pub max_batch: usize,
    missing: Missing,
    /// Batches that are not launched yet, as far as they are under way.
    open: GilCell<Vec<FlightId>>,
}

/// What a call for several keys returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A dict by key.
    All,
    /// The same, of a load of all keys.
    Refresh,
    /// The value of the only key; its load is shared with other such calls of the loop's round.
    One,
}

/// A call that has not been stepped.
pub struct NewMany {
    /// The cache, where it is not the function's own fixed one.
    pub site: Option<Site>,
    pub arguments: Arguments,
    /// The keys' place among the arguments.
    pub place: usize,
    pub items: Vec<Item>,
    pub form: Form,
}

/// `aiocachetools.ABSENT`, which is stored for a key that has no value.
pub fn absent(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static ABSENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let absent = ABSENT.get_or_try_init(py, || {
        Ok::<_, PyErr>(py.import("aiocachetools._missing")?.getattr("ABSENT")?.unbind())
    })?;
    Ok(absent.bind(py))
}

impl Many {
    /// By the options of `cached_many`: `max_batch`, `missing` and `default`, the last in a tuple.
    pub fn of(options: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (max_batch, missing, default): (Option<usize>, String, Vec<Py<PyAny>>) = options.extract()?;
        let default = default.into_iter().next();
        Ok(Self {
            parameter: Cell::new(0),
            max_batch: max_batch.unwrap_or(usize::MAX),
            missing: match (default, missing.as_str()) {
                (Some(value), _) => Missing::Default(value.into_bound(options.py()).into()),
                (None, "absent") => Missing::Absent,
                (None, _) => Missing::Error,
            },
            open: GilCell::new(Vec::new()),
        })
    }

    /// The first parameter is `self` or `cls`.
    pub fn set_instance(&self) {
        self.parameter.set(1);
    }

    /// Which parameter the keys are.
    pub fn parameter(&self) -> usize {
        self.parameter.get()
    }

    /// The references that it holds, for the garbage collector.
    pub fn parts(&self) -> impl Iterator<Item = &Ref> {
        match &self.missing {
            Missing::Default(value) => Some(value),
            _ => None,
        }
        .into_iter()
    }

    /// The batches that may still be boarded.
    pub fn open(&self) -> Vec<FlightId> {
        // SAFETY: the GIL is held; numbers are copied.
        unsafe { self.open.get() }.clone()
    }

    pub fn note_open(&self, id: FlightId) {
        // SAFETY: the GIL is held; what has landed is forgotten.
        let open = unsafe { self.open.get() };
        crate::flight::with(|flights| open.retain(|&id| flights.get(id).is_some()));
        open.push(id);
    }

    pub fn forget_open(&self, id: FlightId) {
        // SAFETY: the GIL is held.
        unsafe { self.open.get() }.retain(|&other| other != id);
    }

    /// Whether a key's outcome is not to be stored.
    pub fn refuses(&self, py: Python<'_>, value: &Ref) -> bool {
        matches!(self.missing, Missing::Error) && absent(py).is_ok_and(|absent| value.is(absent.as_ptr()))
    }

    /// The outcome of a load, which is an error unless it is a mapping.
    pub fn check(&self, py: Python<'_>, function: &Body, outcome: &Outcome) -> Outcome {
        let Outcome::Value(value) = outcome else { return outcome.clone() };
        let result = value.bound(py);
        if result.is_exact_instance_of::<PyDict>() || result.cast::<PyMapping>().is_ok() {
            return outcome.clone();
        }
        let kind = result.get_type().name().map(|name| name.to_string()).unwrap_or_default();
        let name = function.name().bound(py);
        Outcome::Error(Failure::new(
            py,
            PyTypeError::new_err(format!(
                "{name}() must return a mapping of the keys that it was asked for to their values, not {kind}; \
                 make one of a sequence in the order of the keys with dict(zip(keys, values))"
            )),
        ))
    }

    /// A key's part of the outcome of a load.
    pub fn part(&self, py: Python<'_>, outcome: &Outcome, asked: &Ref) -> Outcome {
        let Outcome::Value(result) = outcome else { return outcome.clone() };
        let value =
            value_of(result.bound(py), asked.bound(py)).and_then(|value| match (value, &self.missing) {
                (Some(value), _) => Ok(value.into()),
                (None, Missing::Default(value)) => Ok(value.clone()),
                (None, _) => absent(py).map(Ref::from),
            });
        value.map_or_else(|error| Outcome::Error(Failure::new(py, error)), Outcome::Value)
    }
}

/// What a mapping has for a key; nothing is made up for one that it does not have.
fn value_of<'py>(
    mapping: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Ok(dict) = mapping.cast_exact::<PyDict>() {
        return dict.get_item(key);
    }
    if !mapping.contains(key)? {
        return Ok(None);
    }
    match mapping.get_item(key) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_instance_of::<PyKeyError>(mapping.py()) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Body {
    /// The place of the keys among a call's arguments; `None` where they are not given.
    fn place_of_keys(&self, many: &Many, call: &Call<'_>) -> Option<usize> {
        let parameter = many.parameter.get();
        if parameter < call.positional.len() {
            return Some(parameter);
        }
        self.plan.keyword_of(call, parameter).map(|i| call.positional.len() + i)
    }

    /// A call for several keys, or for one that is loaded together with others.
    pub fn call_many(
        &self,
        py: Python<'_>,
        me: &Ref,
        many: &Many,
        call: &Call<'_>,
        form: Form,
    ) -> PyResult<*mut PyObject> {
        self.check_open(py)?;
        let place = self.locate(py, self.owner(call))?;
        let site = match &place {
            Where::Off(counter) => {
                counts::miss(*counter);
                return self.call_uncached(py, many, call, form);
            }
            Where::Fixed(site) => *site,
            Where::Own(site) => site,
        };
        let Some(at) = self.place_of_keys(many, call) else {
            return Err(self.misfit(py, call));
        };
        let keys = match form {
            Form::All | Form::Refresh => self.distinct(py, many, call.argument(at))?,
            // SAFETY: the argument is alive.
            Form::One => vec![unsafe { Ref::from_borrowed(call.argument(at)) }],
        };
        let arguments = Arguments::of(call);
        let items = self.look_up(py, site, call, at, keys, form)?;
        let site = if let Where::Own(site) = place { Some(site) } else { None };
        let new = NewMany { site, arguments, place: at, items, form };
        wait::with_state(py, me.clone(), State::NewMany(Box::new(new)))
    }

    /// Looks every key up.
    fn look_up(
        &self,
        py: Python<'_>,
        site: &Site,
        call: &Call<'_>,
        at: usize,
        keys: Vec<Ref>,
        form: Form,
    ) -> PyResult<Vec<Item>> {
        let mut arguments: Vec<*mut PyObject> = call.all().to_vec();
        let mut items = Vec::with_capacity(keys.len());
        for asked in keys {
            arguments[at] = asked.as_ptr();
            // SAFETY: the arguments are alive and laid out as those of the call.
            let call = unsafe { Call::new(arguments.as_ptr(), call.positional.len(), call.names) };
            let mut buffer = Buffer::new();
            let Some(query) = self.ask(py, &call, site.shelf.mark.as_ref(), &mut buffer)? else {
                return Err(self.misfit(py, &call));
            };
            let hash = self.hash(py, &query, &call)?;
            let value = if form == Form::Refresh { None } else { site.lookup(py, hash, &query)? };
            let key = query.keep(py)?;
            items.push(Item { asked, key, hash, value });
        }
        Ok(items)
    }

    /// The keys that are asked for, each once, in order.
    fn distinct(&self, py: Python<'_>, many: &Many, keys: *mut PyObject) -> PyResult<Vec<Ref>> {
        // SAFETY: the argument is alive.
        let keys = unsafe { Ref::from_borrowed(keys) };
        let keys = keys.bound(py);
        let named = || (self.name().bound(py), self.plan.name_of_parameter(py, many.parameter.get()));
        if keys.is_instance_of::<PyString>() || keys.is_instance_of::<PyBytes>() {
            let (name, parameter) = named();
            return Err(PyTypeError::new_err(format!(
                "{name}(): '{parameter}' must be an iterable of keys, not the {} {keys:?}; for one key use \
                 {name}.one(key), or a list of it",
                keys.get_type().name()?
            )));
        }
        let Ok(iterator) = keys.try_iter() else {
            let (name, parameter) = named();
            return Err(PyTypeError::new_err(format!(
                "{name}(): '{parameter}' must be an iterable of keys, not {}; for one key use {name}.one(key)",
                keys.get_type().name()?
            )));
        };
        let distinct = PyDict::new(py);
        for key in iterator {
            let key = key?;
            distinct.set_item(&key, py.None()).map_err(|cause| {
                let (name, parameter) = named();
                let text = format!(
                    "{name}(): a key in '{parameter}' cannot be part of a cache key ({}); pass hashable keys \
                     (a tuple for a list)",
                    cause.value(py)
                );
                key::unhashable(py, &text, cause)
            })?;
        }
        Ok(distinct.keys().iter().map(Ref::from).collect())
    }

    /// A call while caching is off.
    fn call_uncached(
        &self,
        py: Python<'_>,
        many: &Many,
        call: &Call<'_>,
        form: Form,
    ) -> PyResult<*mut PyObject> {
        if form != Form::One {
            return Ok(call.forward(py, &self.function)?.into_ptr());
        }
        let Some(at) = self.place_of_keys(many, call) else { return Err(self.misfit(py, call)) };
        // SAFETY: the argument is alive.
        let asked = unsafe { Ref::from_borrowed(call.argument(at)) };
        let list = PyList::new(py, [asked.bound(py)])?;
        let loading = Arguments::of(call).with(at, list.into()).call(py, &self.function)?;
        let default = match &many.missing {
            Missing::Default(value) => value.clone(),
            _ => absent(py)?.into(),
        };
        let one = py.import("aiocachetools._missing")?.getattr("one_of")?;
        let name = self.name().bound(py);
        Ok(one.call1((loading.bound(py), asked.bound(py), default.bound(py), name))?.into_ptr())
    }
}

/// `MissingKeyError` for keys that a function's result lacked.
pub fn missing_error(py: Python<'_>, function: &Body, keys: &[Ref]) -> PyErr {
    let keys: Vec<_> = keys.iter().map(|key| key.bound(py)).collect();
    let error = py.import("aiocachetools._missing").and_then(|module| {
        let keys = pyo3::types::PyTuple::new(py, keys)?;
        module.getattr("MissingKeyError")?.call1((function.name().bound(py), keys))
    });
    error.map_or_else(|error| error, PyErr::from_value)
}

impl Gathering {
    /// What the call returns, when every key has its outcome.
    ///
    /// # Errors
    /// The first key's, in the order asked, that has one; MissingKeyError with all keys that are
    /// missing, unless they may be.
    pub fn result(self, py: Python<'_>, function: &Body) -> PyResult<Ref> {
        let absent = absent(py)?.as_ptr();
        let all = PyDict::new(py);
        let (mut missing, mut only) = (Vec::new(), None);
        for (asked, outcome) in self.outcomes() {
            match outcome {
                Outcome::Error(failure) => return Err(failure.raise(py)),
                Outcome::Value(value) if value.is(absent) => missing.push(asked),
                Outcome::Value(value) if self::is_one(&self) => only = Some(value),
                Outcome::Value(value) => all.set_item(asked.bound(py), value.bound(py))?,
            }
        }
        let may_miss = function.many.as_ref().is_some_and(|many| matches!(many.missing, Missing::Absent));
        if !missing.is_empty() && (is_one(&self) || !may_miss) {
            return Err(missing_error(py, function, &missing));
        }
        Ok(only.unwrap_or_else(|| all.into_any().into()))
    }
}

fn is_one(gathering: &Gathering) -> bool {
    gathering.form == Form::One
}
