//! `Freshness`: what a decorated function was told about the age of its results.
//!
//! The states of an entry are core's (`aiocachetools_core::freshness`); here they get values,
//! failures and the user's functions.

use std::cell::Cell;

use aiocachetools_core::freshness::{Grace, Reading};
use aiocachetools_core::tags::Stamp;
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::cache::Cache;
use crate::failed::Failed;
use crate::function::Body;
use crate::key::{Key, Query};
use crate::object::Ref;
use crate::outcome::Failure;
use crate::own::Own;
use crate::shared::Shared;
use crate::site::Site;
use crate::tags::{FunctionTags, LoadTags, Verdict};
use crate::timer;

/// How many loads of one function may refresh stale entries at a time.
const REFRESHES: usize = 256;

/// For how long a value is fresh.
enum Lifetime {
    /// As long as the cache says.
    OfCache,
    Seconds(f64),
    /// What a function of the value says.
    Of(Ref),
}

/// The options, as the face has checked them.
#[derive(FromPyObject)]
struct Options {
    ttl: Option<Py<PyAny>>,
    jitter: f64,
    while_revalidate: f64,
    if_error: f64,
    cache_if: Option<Py<PyAny>>,
    errors: Vec<(Py<PyAny>, f64)>,
    soft_timeout: Option<f64>,
    timeout: Option<f64>,
    call_later: Option<Py<PyAny>>,
    /// The options that need entries which are kept though they are stale; empty without any.
    entry_options: String,
    tags: Option<Py<PyAny>>,
    tags_of_value: bool,
}

pub struct Freshness {
    lifetime: Lifetime,
    jitter: f64,
    grace: Grace,
    cache_if: Option<Ref>,
    errors: Vec<(Ref, f64)>,
    /// How long one caller waits where there is a stale value, in seconds.
    pub soft_timeout: Option<f64>,
    /// How long one load may take, in seconds.
    pub timeout: Option<f64>,
    call_later: Option<Ref>,
    entry_options: String,
    pub tags: Option<FunctionTags>,
    refreshing: Shared<Refreshes>,
}

/// What a call that found nothing fresh may do.
pub enum Found {
    /// It may load.
    Nothing,
    /// It is answered: a load has stored the value meanwhile.
    Fresh(Ref),
    /// It is answered with this stale value.
    Stale(Ref),
    /// The same, and the entry is to be refreshed.
    Revalidate(Ref),
    /// It may load, and wait for that only for so long: there is a stale value.
    Fallback,
    /// It is answered with this exception.
    Failed(Failure),
}

/// How many refreshes are under way.
struct Refreshes(Cell<usize>);

// SAFETY: as all that belongs to a function it is used only with the GIL held.
#[allow(unsafe_code)]
unsafe impl Sync for Refreshes {}

/// A refresh under way, for as long as this lives.
pub struct Refresh(Shared<Refreshes>);

impl Drop for Refresh {
    fn drop(&mut self) {
        let count = &self.0.0;
        count.set(count.get() - 1);
    }
}

impl Freshness {
    /// # Errors
    /// TypeError for what is no `aiocachetools._freshness.Freshness`.
    pub fn of(options: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = options.py();
        let options: Options = options.extract()?;
        let reference = |object: Py<PyAny>| Ref::from(object.into_bound(py));
        let lifetime = match options.ttl {
            None => Lifetime::OfCache,
            Some(ttl) => match ttl.extract(py) {
                Ok(seconds) => Lifetime::Seconds(seconds),
                Err(_) => Lifetime::Of(reference(ttl)),
            },
        };
        let tags = options.tags.map(|tags| FunctionTags::of(tags.into_bound(py), options.tags_of_value));
        Ok(Self {
            lifetime,
            jitter: options.jitter,
            grace: Grace { while_revalidate: options.while_revalidate, if_error: options.if_error },
            cache_if: options.cache_if.map(reference),
            errors: options.errors.into_iter().map(|(class, ttl)| (reference(class), ttl)).collect(),
            soft_timeout: options.soft_timeout,
            timeout: options.timeout,
            call_later: options.call_later.map(reference),
            entry_options: options.entry_options,
            tags: tags.transpose()?,
            refreshing: Shared::new(Refreshes(Cell::new(0))),
        })
    }

    /// The references that it holds, for the garbage collector.
    pub fn parts(&self) -> impl Iterator<Item = &Ref> {
        let lifetime = match &self.lifetime {
            Lifetime::Of(function) => Some(function),
            _ => None,
        };
        let errors = self.errors.iter().map(|(class, _)| class);
        let tags = self.tags.iter().filter_map(FunctionTags::part);
        lifetime.into_iter().chain(&self.cache_if).chain(&self.call_later).chain(errors).chain(tags)
    }

    /// The cache, where the options need one whose entries can be kept though they are stale, or
    /// have tags.
    ///
    /// # Errors
    /// TypeError for a cache that is none.
    pub fn entries<'a>(&self, py: Python<'a>, site: &'a Site, name: &Ref) -> PyResult<Option<&'a Cache>> {
        if self.entry_options.is_empty() {
            return Ok(None);
        }
        let cache = site.native(py).ok_or_else(|| {
            let (name, options) = (name.bound(py), &self.entry_options);
            let cache = site.cache.bound(py).get_type();
            let cache = cache.name().map(|name| name.to_string()).unwrap_or_default();
            PyTypeError::new_err(format!(
                "{name}(): {options} cannot be combined with a lock or a cache of type {cache}: let it have one of \
                 aiocachetools' own caches (LRUCache, TTLCache, ...) and no lock"
            ))
        })?;
        Ok(Some(cache))
    }

    /// What there is for a call that found no fresh value.
    pub fn find(
        &self,
        py: Python<'_>,
        site: &Site,
        hash: u64,
        query: &Query<'_>,
        name: &Ref,
    ) -> PyResult<Found> {
        let Some(cache) = self.entries(py, site, name)? else { return Ok(Found::Nothing) };
        let Some(kept) = cache.kept(py, hash, query)? else { return Ok(Found::Nothing) };
        let (failed, value, fresh_until) = match Failed::of(&kept.value, py) {
            None => (None, Some(kept.value.clone()), kept.fresh_until),
            Some(failed) => match &failed.last {
                None => (Some(failed), None, f64::NEG_INFINITY),
                Some((value, fresh_until)) => (Some(failed), Some(value.clone()), *fresh_until),
            },
        };
        let rests = failed.filter(|failed| kept.now < failed.until);
        let reading = self.grace.read(fresh_until, kept.now);
        Ok(match (rests, value, reading) {
            (None, Some(value), Reading::Fresh) => Found::Fresh(value),
            (None, Some(value), Reading::Revalidate) => Found::Revalidate(value),
            (None, Some(_), Reading::Fallback) => Found::Fallback,
            (None, ..) => Found::Nothing,
            (Some(_), Some(value), Reading::Fresh | Reading::Revalidate | Reading::Fallback) => {
                Found::Stale(value)
            }
            (Some(failed), ..) => Found::Failed(Failure::new(py, copied(py, &failed.exception)?)),
        })
    }

    /// The value of a key that may be served in place of a load that takes too long, and whether it
    /// is stale: another may have been set meanwhile.
    pub fn fallback(
        &self,
        py: Python<'_>,
        site: &Site,
        hash: u64,
        query: &Query<'_>,
    ) -> PyResult<Option<(Ref, bool)>> {
        let Some(cache) = site.native(py) else { return Ok(None) };
        let last = self.last(py, cache, hash, query)?.filter(|last| last.covers);
        Ok(last.map(|last| (last.value, !last.fresh)))
    }

    fn last(&self, py: Python<'_>, cache: &Cache, hash: u64, query: &Query<'_>) -> PyResult<Option<Last>> {
        let Some(kept) = cache.kept(py, hash, query)? else { return Ok(None) };
        let (value, fresh_until) = match Failed::of(&kept.value, py) {
            None => (kept.value.clone(), kept.fresh_until),
            Some(Failed { last: Some((value, fresh_until)), .. }) => (value.clone(), *fresh_until),
            Some(_) => return Ok(None),
        };
        let left = fresh_until + self.grace.kept() - kept.now;
        let covers = self.grace.covers(fresh_until, kept.now);
        let fresh = kept.now < fresh_until;
        Ok(Some(Last { value, fresh_until, left, covers, fresh, tags: kept.tags }))
    }

    /// A load of a key, with these tags as far as they are known, has failed: remembers that if it
    /// is to be, and gives the value that is served in its place if there is one.
    pub fn fail(
        &self,
        py: Python<'_>,
        site: &Site,
        hash: u64,
        key: &Key,
        failure: &Failure,
        tags: Option<&Stamp>,
    ) -> PyResult<Option<Ref>> {
        let exception = failure.exception().bound(py);
        let Some(cache) = site.native(py).filter(|_| exception.is_instance_of::<PyException>()) else {
            return Ok(None);
        };
        let query = key.query(py)?;
        let last = self.last(py, cache, hash, &query)?.filter(|last| last.left > 0.0);
        // Who asked for a load of a value that is still fresh wants to know that it failed.
        let served = last.as_ref().filter(|last| last.covers && !last.fresh).map(|last| last.value.clone());
        if last.as_ref().is_none_or(|last| !last.fresh)
            && let Some(ttl) = self.remembers(py, exception)?
        {
            self.remember(py, cache, hash, key, exception, ttl, last, tags)?;
        }
        Ok(served)
    }

    /// For how long a failure is remembered, if at all.
    fn remembers(&self, py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
        for (class, ttl) in &self.errors {
            if exception.is_instance(class.bound(py))? {
                return Ok(Some(*ttl));
            }
        }
        Ok(None)
    }

    #[allow(clippy::too_many_arguments)]
    fn remember(
        &self,
        py: Python<'_>,
        cache: &Cache,
        hash: u64,
        key: &Key,
        exception: &Bound<'_, PyAny>,
        ttl: f64,
        last: Option<Last>,
        tags: Option<&Stamp>,
    ) -> PyResult<()> {
        let exception =
            Ref::from(copied(py, &Ref::from(exception))?.into_value(py).into_bound(py).into_any());
        cache.begin_deadlines(py, None)?;
        let now = cache.time(py)?;
        let keep = last.as_ref().map_or(ttl, |last| last.left.max(ttl));
        // The value is good for as long as its own tags are; those of the load are the same names.
        let (last, tags_of_last) = last.map(|last| ((last.value, last.fresh_until), last.tags)).unzip();
        let tags = tags_of_last.as_ref().and_then(Option::as_ref).or(tags);
        let failed = Bound::new(py, Failed { exception, until: now + ttl, last })?;
        let own = Own { ttl: Some(0.0), keep, failed: true, tags, ..Own::NOTHING };
        let stored = cache.assign_own(py, hash, &key.query(py)?, key.clone(), failed.into_any().into(), own);
        match stored {
            // No room for it: it is not remembered.
            Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(()),
            stored => stored,
        }
    }

    /// Stores a load's result, for so many seconds at the most, or what the user set; `false` when it
    /// is not one to be stored.
    #[allow(clippy::too_many_arguments)]
    pub fn store(
        &self,
        py: Python<'_>,
        site: &Site,
        hash: u64,
        key: &Key,
        value: &Ref,
        function: &Body,
        tags: &LoadTags,
        limit: Option<f64>,
    ) -> PyResult<bool> {
        let verdict = tags.verdict(py, function, value)?;
        if let Verdict::Revoked = verdict {
            return Ok(false);
        }
        let mut own = Own { tags: verdict.stamp(), ..self.own(py, value)? };
        own.ttl = own.ttl.into_iter().chain(limit).reduce(f64::min);
        site.store_own(py, hash, key, value, own)
    }

    /// Whether a load's result is one to be stored.
    pub fn accepts(&self, py: Python<'_>, value: &Ref) -> PyResult<bool> {
        match &self.cache_if {
            None => Ok(true),
            Some(predicate) => predicate.bound(py).call1((value.bound(py),))?.is_truthy(),
        }
    }

    fn own(&self, py: Python<'_>, value: &Ref) -> PyResult<Own<'static>> {
        let ttl = match &self.lifetime {
            Lifetime::OfCache => None,
            Lifetime::Seconds(seconds) => Some(*seconds),
            Lifetime::Of(function) => {
                let ttl = function.bound(py).call1((value.bound(py),))?;
                Some(seconds(&ttl)?)
            }
        };
        let jitter = if self.jitter > 0.0 { random(py)? * self.jitter } else { 0.0 };
        Ok(Own { ttl, jitter, keep: self.grace.kept(), ..Own::NOTHING })
    }

    /// One refresh more, unless there are too many.
    pub fn begin_refresh(&self) -> Option<Refresh> {
        let count = &self.refreshing.0;
        if count.get() >= REFRESHES {
            return None;
        }
        count.set(count.get() + 1);
        Some(Refresh(self.refreshing.clone()))
    }

    /// Has `callback(argument)` called on a loop after so many seconds of the cache's time; gives
    /// what can be cancelled.
    pub fn call_later(
        &self,
        py: Python<'_>,
        event_loop: &Ref,
        delay: f64,
        callback: &Bound<'_, PyAny>,
        argument: &Ref,
    ) -> PyResult<Ref> {
        let arguments = (delay, callback, argument.bound(py));
        let handle = match &self.call_later {
            Some(function) => function.bound(py).call1(arguments)?,
            None => event_loop.bound(py).call_method1("call_later", arguments)?,
        };
        Ok(handle.into())
    }
}

/// The last good value of a key.
struct Last {
    value: Ref,
    fresh_until: f64,
    /// For how many seconds it is kept from now on.
    left: f64,
    /// It may be served in place of a failed load.
    covers: bool,
    fresh: bool,
    tags: Option<Stamp>,
}

/// An equal exception without a traceback, for one caller.
fn copied(py: Python<'_>, exception: &Ref) -> PyResult<PyErr> {
    static COPY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let copy = COPY.get_or_try_init(py, || {
        Ok::<_, PyErr>(py.import("aiocachetools._freshness")?.getattr("copy_of")?.unbind())
    })?;
    Ok(PyErr::from_value(copy.bind(py).call1((exception.bound(py),))?))
}

/// What a `ttl` function returned, in seconds: infinity for None, not less than nothing.
fn seconds(ttl: &Bound<'_, PyAny>) -> PyResult<f64> {
    if ttl.is_none() {
        return Ok(f64::INFINITY);
    }
    match timer::span(ttl) {
        Ok(seconds) if !seconds.is_nan() => Ok(seconds.max(0.0)),
        _ => Err(PyTypeError::new_err(format!(
            "cached(): the ttl function must return a number of seconds, a timedelta or None, not {}",
            ttl.repr()?
        ))),
    }
}

/// A number from 0 to 1 by Python's own generator, which users may have seeded.
fn random(py: Python<'_>) -> PyResult<f64> {
    py.import("random")?.call_method0("random")?.extract()
}
